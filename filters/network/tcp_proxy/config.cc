#include "filters/network/tcp_proxy/config.h"

#include <algorithm>
#include <utility>

#include "core/filter/config_translator.h"
#include "core/filter/duration.h"
#include "core/filter/registry.h"
#include "core/http/url.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"

namespace weir::filters::tcp_proxy {

namespace pb = envoy::extensions::filters::network::tcp_proxy::v3;

namespace {

// What is below envoy.lb, over `general`.
std::shared_ptr<const stream::StaticMetadata> read_match(const envoy::config::core::v3::Metadata& proto,
                                                         const stream::StaticMetadata* general,
                                                         filter::FactoryScope& scope) {
  const auto space = proto.filter_metadata().find("envoy.lb");
  if (space == proto.filter_metadata().end()) {
    scope.warning("metadata_match", "has no effect: nothing but filter_metadata of envoy.lb is compared");
    return nullptr;
  }
  ArenaPool pool;
  Arena arena(pool);
  const stream::Value own = scope.translator().value(space->second, arena);
  return std::make_shared<const stream::StaticMetadata>(
      general != nullptr ? stream::with_members(general->root(), own, arena) : own);
}

void read_clusters(const pb::TcpProxy& proto, filter::FactoryScope& scope, Settings& settings) {
  if (proto.has_metadata_match()) settings.match = read_match(proto.metadata_match(), nullptr, scope);
  if (proto.has_weighted_clusters()) {
    uint64_t sum = 0;
    for (int i = 0; i < proto.weighted_clusters().clusters_size(); ++i) {
      const auto& one = proto.weighted_clusters().clusters(i);
      sum += one.weight();
      WeightedCluster& to = settings.clusters.emplace_back(WeightedCluster{scope.routes().cluster(one.name()), sum});
      to.match = settings.match;
      if (!one.has_metadata_match()) continue;
      filter::FactoryScope here = scope.below("weighted_clusters").below("clusters", i);
      if (auto match = read_match(one.metadata_match(), settings.match.get(), here)) to.match = std::move(match);
    }
  } else {
    settings.clusters.push_back({scope.routes().cluster(proto.cluster()), 1, settings.match});
  }
}

// Each byte passes both connections: a time without any on one of them is one on the other, too.
void read_idle_timeouts(const pb::TcpProxy& proto, Settings& settings) {
  if (proto.has_idle_timeout()) settings.idle_timeout = filter::to_duration(proto.idle_timeout());
  const auto shorten = [&](const google::protobuf::Duration& message) {
    const Duration timeout = filter::to_duration(message);
    if (timeout <= Duration::zero()) return;
    if (settings.idle_timeout == Duration::zero() || timeout < settings.idle_timeout) settings.idle_timeout = timeout;
  };
  if (proto.has_downstream_idle_timeout()) shorten(proto.downstream_idle_timeout());
  if (proto.has_upstream_idle_timeout()) shorten(proto.upstream_idle_timeout());
}

void read_back_off(const envoy::config::core::v3::BackoffStrategy& proto, filter::FactoryScope scope,
                   Settings& settings) {
  settings.back_off_base = filter::to_duration(proto.base_interval());
  settings.back_off_max =
      proto.has_max_interval() ? filter::to_duration(proto.max_interval()) : settings.back_off_base * 10;
  if (settings.back_off_max < settings.back_off_base) scope.error("max_interval", "must not be below base_interval");
}

void read_hash_policy(const pb::TcpProxy& proto, Settings& settings) {
  for (const auto& policy : proto.hash_policy()) {  // at most one
    if (policy.has_source_ip()) settings.hash_by = HashBy::kSourceIp;
    if (policy.has_filter_state()) {
      settings.hash_by = HashBy::kFilterState;
      settings.hash_key = stream::FilterStateName(policy.filter_state().key());
    }
  }
}

void read_tunnel(const pb::TcpProxy::TunnelingConfig& proto, filter::FactoryScope scope, Settings& settings) {
  auto tunnel = std::make_unique<TunnelSettings>();
  auto hostname = stream::Format::compile(proto.hostname(), {.for_headers = true});
  if (hostname.ok()) {
    tunnel->hostname = std::move(*hostname);
    if (tunnel->hostname.constant() && !proto.hostname().empty() && !http::is_valid_authority(proto.hostname()))
      scope.error("hostname", "\"" + proto.hostname() + "\" " + std::string(http::kAuthorityRule));
  } else {
    scope.error("hostname", message_of(hostname.status()));
  }
  tunnel->post = proto.use_post();
  if (!proto.post_path().empty()) {
    tunnel->post_path = proto.post_path();
    const bool clean = std::all_of(tunnel->post_path.begin(), tunnel->post_path.end(),
                                   [](unsigned char c) { return c > ' ' && c < 0x7f; });
    if (!tunnel->post) scope.error("post_path", "is for POST; set use_post, or remove it");
    if (!tunnel->post_path.starts_with('/') || !clean)
      scope.error("post_path", "must begin with / and have no spaces, control characters or bytes above 0x7e");
  }
  if (proto.propagate_response_headers())
    tunnel->headers_key = stream::FilterStateName("envoy.tcp_proxy.propagate_response_headers");
  if (proto.propagate_response_trailers())
    tunnel->trailers_key = stream::FilterStateName("envoy.tcp_proxy.propagate_response_trailers");
  tunnel->headers = filter::translate_all(scope.translator(), &filter::ConfigTranslator::header_value,
                                          proto.headers_to_add(), scope.at("headers_to_add"));
  settings.tunnel = std::move(tunnel);
}

void read_access_logs(const pb::TcpProxy& proto, filter::FactoryScope& scope, Settings& settings) {
  settings.access_logs = scope.translator().access_loggers(proto.access_log(), scope, "access_log");
  const bool old_fields = proto.has_access_log_flush_interval() || proto.flush_access_log_on_connected();
  if (proto.has_access_log_options()) {
    if (old_fields)
      scope.error("access_log_options",
                  "says what access_log_flush_interval and flush_access_log_on_connected say beside it; remove those, "
                  "which are deprecated");
    const pb::TcpProxy::TcpAccessLogOptions& options = proto.access_log_options();
    if (options.has_access_log_flush_interval())
      settings.access_log_interval = filter::to_duration(options.access_log_flush_interval());
    settings.access_log_on_connected = options.flush_access_log_on_connected();
    settings.access_log_on_start = options.flush_access_log_on_start();
  } else if (old_fields) {
    if (proto.has_access_log_flush_interval())
      settings.access_log_interval = filter::to_duration(proto.access_log_flush_interval());
    settings.access_log_on_connected = proto.flush_access_log_on_connected();
  }
}

}  // namespace

std::shared_ptr<Settings> read_settings(const pb::TcpProxy& proto, filter::FactoryScope& scope) {
  auto settings = std::make_shared<Settings>();
  read_clusters(proto, scope, *settings);
  read_idle_timeouts(proto, *settings);
  if (proto.has_max_downstream_connection_duration())
    settings->max_duration = filter::to_duration(proto.max_downstream_connection_duration());
  settings->max_duration_jitter = proto.max_downstream_connection_duration_jitter_percentage().value() / 100;
  if (proto.has_max_downstream_connection_duration_jitter_percentage() &&
      !proto.has_max_downstream_connection_duration()) {
    scope.warning("max_downstream_connection_duration_jitter_percentage",
                  "means nothing without max_downstream_connection_duration; set that, or remove this");
  }
  if (proto.has_max_connect_attempts()) settings->max_connect_attempts = proto.max_connect_attempts().value();
  if (proto.has_backoff_options()) read_back_off(proto.backoff_options(), scope.below("backoff_options"), *settings);
  read_hash_policy(proto, *settings);
  if (proto.has_tunneling_config()) read_tunnel(proto.tunneling_config(), scope.below("tunneling_config"), *settings);
  settings->tlvs = filter::translate_all(scope.translator(), &filter::ConfigTranslator::tlv,
                                         proto.proxy_protocol_tlvs(), scope.at("proxy_protocol_tlvs"));
  settings->connect_on_data = proto.upstream_connect_mode() == pb::ON_DOWNSTREAM_DATA;
  if (proto.has_max_early_data_bytes()) {
    settings->max_early_data = proto.max_early_data_bytes().value();
  } else if (settings->connect_on_data) {
    scope.error(
        "max_early_data_bytes",
        "is required with upstream_connect_mode ON_DOWNSTREAM_DATA: how much is read before there is an upstream");
  }
  filter::FactoryScope inner = scope;
  inner.set_stat_prefix("tcp." + proto.stat_prefix() + ".");
  read_access_logs(proto, inner, *settings);
  settings->buffer_limit = scope.buffer_limit();
  settings->cluster_key = stream::FilterStateName("envoy.tcp_proxy.cluster");
  settings->dynamic_host_key = stream::FilterStateName("envoy.upstream.dynamic_host");
  settings->dynamic_port_key = stream::FilterStateName("envoy.upstream.dynamic_port");
  settings->idle_timeout_key = stream::FilterStateName("envoy.tcp_proxy.per_connection_idle_timeout_ms");
  settings->stats = std::make_unique<Stats>(scope.store(), proto.stat_prefix());
  return settings;
}

}  // namespace weir::filters::tcp_proxy

namespace weir::plugins {

void network_filter_tcp_proxy(filter::RegistryBuilder& registry) {
  using namespace filters::tcp_proxy;
  filter::NetworkFilterDescriptor descriptor;
  descriptor.name = "envoy.filters.network.tcp_proxy";
  descriptor.type = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
  descriptor.terminal = true;
  descriptor.make = [](const filter::ConfigPtr& config, event::Lane& lane) -> std::unique_ptr<filter::NetworkFilter> {
    return std::make_unique<TcpProxy>(*static_cast<const Settings*>(config.get()), lane);
  };
  descriptor.make_config = [](const google::protobuf::Message& message,
                              filter::FactoryScope& scope) -> Result<filter::ConfigPtr> {
    return filter::ConfigPtr(read_settings(static_cast<const pb::TcpProxy&>(message), scope));
  };
  registry.add(std::move(descriptor));
}

}  // namespace weir::plugins
