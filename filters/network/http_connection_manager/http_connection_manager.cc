// envoy.filters.network.http_connection_manager: its configuration. What it does is core/proxy/server_connection.h.
#include <algorithm>
#include <map>
#include <optional>

#include "core/filter/config_translator.h"
#include "core/filter/duration.h"
#include "core/filter/registry.h"
#include "core/http/url.h"
#include "core/proxy/connection_manager.h"
#include "core/proxy/server_connection.h"
#include "core/route/upgrades.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/request_id/uuid/v3/uuid.pb.h"
#include "filters/network/http_connection_manager/read_parts.h"

namespace weir::filters::http_connection_manager {
namespace {

using filter::FactoryScope;
using proxy::ConnectionManagerConfig;

void read_upgrades(const pb::HttpConnectionManager& proto, FactoryScope& scope, ConnectionManagerConfig& config) {
  for (int i = 0; i < proto.upgrade_configs_size(); ++i) {
    const auto& from = proto.upgrade_configs(i);
    auto here = scope.below("upgrade_configs", i);
    if (from.upgrade_type().empty())
      here.error("upgrade_type", "must not be empty; \"websocket\" and \"CONNECT\" are the usual ones");
    if (const std::string fault = route::upgrade_fault(from.upgrade_type(), config.upgrades); !fault.empty())
      here.error("upgrade_type", fault);
    proxy::UpgradeConfig& upgrade = config.upgrades.emplace_back();
    upgrade.type = from.upgrade_type();
    upgrade.enabled = !from.has_enabled() || from.enabled().value();
    if (!from.filters().empty())
      upgrade.chain = here.translator().http_filters(from.filters(), filter::ChainSide::kDownstream, here, "filters");
  }
}

void read_common_options(const envoy::config::core::v3::HttpProtocolOptions& proto, ConnectionManagerConfig& config) {
  if (proto.has_idle_timeout()) config.idle_timeout = filter::to_duration(proto.idle_timeout());
  if (proto.has_max_connection_duration())
    config.max_connection_duration = filter::to_duration(proto.max_connection_duration());
  if (proto.has_max_stream_duration()) config.max_stream_duration = filter::to_duration(proto.max_stream_duration());
  if (proto.has_max_headers_count()) config.h1.limits.max_header_count = proto.max_headers_count().value();
  if (proto.has_max_requests_per_connection())
    config.max_requests_per_connection = proto.max_requests_per_connection().value();
  switch (proto.headers_with_underscores_action()) {
    case envoy::config::core::v3::HttpProtocolOptions::REJECT_REQUEST:
      config.underscores = proxy::UnderscoreAction::kReject;
      break;
    case envoy::config::core::v3::HttpProtocolOptions::DROP_HEADER:
      config.underscores = proxy::UnderscoreAction::kDrop;
      break;
    default:
      break;
  }
}

void read_http1_options(const pb::HttpConnectionManager& manager, FactoryScope& scope,
                        ConnectionManagerConfig& config) {
  const envoy::config::core::v3::Http1ProtocolOptions& proto = manager.http_protocol_options();
  FactoryScope here = scope.below("http_protocol_options");
  http::h1::Options& options = config.h1.options;
  here.translator().http1_options(proto, options, here.path());
  if (proto.has_allow_absolute_url()) options.allow_absolute_url = proto.allow_absolute_url().value();
  options.accept_http_10 = proto.accept_http_10();
  options.default_host = proto.default_host_for_http_10();
  if (!options.default_host.empty()) {
    if (!http::is_valid_authority(options.default_host))
      here.error("default_host_for_http_10", std::string(http::kAuthorityRule));
    if (!options.accept_http_10)
      here.warning("default_host_for_http_10", "means nothing without accept_http_10; set that, or remove this");
  }
  options.keep_open_after_invalid = proto.has_override_stream_error_on_invalid_http_message()
                                        ? proto.override_stream_error_on_invalid_http_message().value()
                                        : manager.stream_error_on_invalid_http_message().value();
  config.ignored_upgrades = filter::translate_all(here.translator(), &filter::ConfigTranslator::string_matcher,
                                                  proto.ignore_http_11_upgrade(), here.at("ignore_http_11_upgrade"));
}

void read_http2_options(const pb::HttpConnectionManager& manager, FactoryScope& scope,
                        ConnectionManagerConfig& config) {
  FactoryScope here = scope.below("http2_protocol_options");
  http::h2::Options& options = config.h2;
  here.translator().http2_options(manager.http2_protocol_options(),
                                  manager.stream_error_on_invalid_http_message().value(), options, here.path());
  // What limits a head of HTTP/1 limits one of HTTP/2, and so it is with what waits to be sent.
  options.max_head_bytes = config.h1.limits.max_head_bytes;
  options.max_header_count = config.h1.limits.max_header_count;
  options.high_watermark = std::min(options.high_watermark, std::max<uint32_t>(config.buffer_limit, 1));
  options.buffer_limit = std::max(options.buffer_limit, config.buffer_limit);
}

proxy::CodecType codec_of(const pb::HttpConnectionManager& proto) {
  switch (proto.codec_type()) {
    case pb::HttpConnectionManager::HTTP1:
      return proxy::CodecType::kHttp1;
    case pb::HttpConnectionManager::HTTP2:
      return proxy::CodecType::kHttp2;
    default:
      return proxy::CodecType::kAuto;
  }
}

void read_access_log_options(const pb::HttpConnectionManager& proto, FactoryScope& scope,
                             ConnectionManagerConfig& config) {
// The deprecated fields mean what those in access_log_options do.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  if (proto.has_access_log_options()) {
    if (proto.has_access_log_flush_interval() || proto.flush_access_log_on_new_request())
      scope.error("access_log_options",
                  "says what access_log_flush_interval and flush_access_log_on_new_request say "
                  "beside it; remove those, which are deprecated");
    if (proto.access_log_options().has_access_log_flush_interval())
      config.access_log_interval = filter::to_duration(proto.access_log_options().access_log_flush_interval());
    config.access_log_on_request = proto.access_log_options().flush_access_log_on_new_request();
    config.access_log_on_tunnel = proto.access_log_options().flush_log_on_tunnel_successfully_established();
  } else {
    if (proto.has_access_log_flush_interval())
      config.access_log_interval = filter::to_duration(proto.access_log_flush_interval());
    config.access_log_on_request = proto.flush_access_log_on_new_request();
  }
#pragma GCC diagnostic pop
  if (config.access_logs.empty()) {
    config.access_log_interval = {};
    config.access_log_on_request = config.access_log_on_tunnel = false;
  }
}

void read_request_id(const pb::HttpConnectionManager& proto, FactoryScope& scope) {
  using envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig;
  if (!proto.has_request_id_extension()) return;
  FactoryScope here = scope.below("request_id_extension.typed_config");
  auto message = here.report().unpack(proto.request_id_extension().typed_config(), here.path());
  // There is one kind of ids, and it has no settings without tracing.
  if (message != nullptr && dynamic_cast<const UuidRequestIdConfig*>(message.get()) == nullptr)
    here.error("", message->GetTypeName() + " makes no request ids; " + UuidRequestIdConfig::descriptor()->full_name() +
                       " does");
}

void read_path_options(const pb::HttpConnectionManager& proto, ConnectionManagerConfig& config) {
  config.path.normalize = proto.normalize_path().value();
  config.path.merge_slashes = proto.merge_slashes();
  // The numbers are the published ones (http/path.h).
  int action = proto.path_with_escaped_slashes_action();
  config.path.escaped_slashes = action == 0 ? http::EscapedSlashes::kKeep : static_cast<http::EscapedSlashes>(action);
}

Result<filter::ConfigPtr> make_config(const google::protobuf::Message& message, FactoryScope& scope) {
  const auto& proto = static_cast<const pb::HttpConnectionManager&>(message);
  auto config = std::make_shared<ConnectionManagerConfig>();
  if (proto.stat_prefix().empty())
    scope.error("stat_prefix", "must not be empty: it names the statistics, http.<stat_prefix>.*");
  config->stat_prefix = proto.stat_prefix();
  config->buffer_limit = scope.buffer_limit();
  FactoryScope inner = scope;
  inner.set_stat_prefix("http." + proto.stat_prefix() + ".");
  config->chain =
      inner.translator().http_filters(proto.http_filters(), filter::ChainSide::kDownstream, inner, "http_filters");
  read_upgrades(proto, inner, *config);
  config->access_logs = inner.translator().access_loggers(proto.access_log(), inner, "access_log");
  read_access_log_options(proto, inner, *config);
  read_request_id(proto, inner);
  read_common_options(proto.common_http_protocol_options(), *config);
  read_http1_options(proto, inner, *config);
  read_path_options(proto, *config);
  read_local_replies(proto, inner, *config);
  config->safe_max_connection_duration = proto.http1_safe_max_connection_duration();
  if (proto.has_max_request_headers_kb())
    config->h1.limits.max_head_bytes = config->h1.limits.max_trailer_bytes =
        proto.max_request_headers_kb().value() * 1024;
  read_http2_options(proto, inner, *config);
  config->codec = codec_of(proto);
  if (proto.has_stream_idle_timeout()) config->stream_idle_timeout = filter::to_duration(proto.stream_idle_timeout());
  if (proto.has_stream_flush_timeout())
    config->stream_flush_timeout = filter::to_duration(proto.stream_flush_timeout());
  if (proto.has_request_timeout()) config->request_timeout = filter::to_duration(proto.request_timeout());
  if (proto.has_request_headers_timeout())
    config->request_headers_timeout = filter::to_duration(proto.request_headers_timeout());
  if (proto.has_drain_timeout()) config->drain_timeout = filter::to_duration(proto.drain_timeout());
  if (proto.has_delayed_close_timeout())
    config->delayed_close_timeout = filter::to_duration(proto.delayed_close_timeout());
  config->use_remote_address = proto.use_remote_address().value();
  config->xff_trusted_hops = proto.xff_num_trusted_hops();
  config->skip_xff_append = proto.skip_xff_append();
  config->via = proto.via();
  config->generate_request_id = !proto.has_generate_request_id() || proto.generate_request_id().value();
  config->preserve_external_request_id = proto.preserve_external_request_id();
  config->always_set_request_id_in_response = proto.always_set_request_id_in_response();
  config->proxy_100_continue = proto.proxy_100_continue();
  config->strip_matching_host_port = proto.strip_matching_host_port();
  config->strip_any_host_port = proto.strip_any_host_port();
  config->append_local_overload = proto.append_local_overload();
  config->strip_trailing_host_dot = proto.strip_trailing_host_dot();
  if (!proto.server_name().empty()) config->server_name = proto.server_name();
  read_identity(proto, inner, *config);
  switch (proto.server_header_transformation()) {
    case pb::HttpConnectionManager::APPEND_IF_ABSENT:
      config->server_header = proxy::ServerHeader::kAppendIfAbsent;
      break;
    case pb::HttpConnectionManager::PASS_THROUGH:
      config->server_header = proxy::ServerHeader::kPassThrough;
      break;
    default:
      break;
  }
  if (proto.has_route_config()) {
    FactoryScope routes = inner.below("route_config");
    const auto [slot, use] = scope.routes().route_table(proto.route_config(), routes);
    config->route_table = slot;
    config->route_table_use = use;
  } else if (!proto.has_rds() && !proto.has_scoped_routes()) {
    scope.error("route_config", "is required, or else rds or scoped_routes");
  }
  config->stats = std::make_unique<proxy::ConnectionManagerStats>(scope.store(), proto.stat_prefix());
  config->http2_stats = std::make_unique<proxy::Http2Stats>(scope.store());
  return filter::ConfigPtr(std::move(config));
}

}  // namespace
}  // namespace weir::filters::http_connection_manager

namespace weir::plugins {

void network_filter_http_connection_manager(filter::RegistryBuilder& registry) {
  filter::NetworkFilterDescriptor descriptor;
  descriptor.name = "envoy.filters.network.http_connection_manager";
  descriptor.type = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
  descriptor.terminal = true;
  descriptor.make = [](const filter::ConfigPtr& config, event::Lane& lane) -> std::unique_ptr<filter::NetworkFilter> {
    return std::make_unique<proxy::ServerConnection>(*static_cast<const proxy::ConnectionManagerConfig*>(config.get()),
                                                     lane);
  };
  descriptor.make_config = filters::http_connection_manager::make_config;
  registry.add(std::move(descriptor));
}

}  // namespace weir::plugins
