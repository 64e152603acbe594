// envoy.filters.http.dynamic_forward_proxy: requests go to whatever host they name. The filter has the name resolved,
// where that is not done yet, and the request waits so long; the cluster of the route, which is of the type
// dynamic_forward_proxy, has the host then.
#include "core/filter/duration.h"
#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "core/http/url.h"
#include "core/stream/filter_state.h"
#include "core/upstream/lane_clusters.h"
#include "envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy.pb.h"

namespace weir::filters::dynamic_forward_proxy {
namespace {

namespace pb = envoy::extensions::filters::http::dynamic_forward_proxy::v3;
using filter::Action;
using stream::ResponseFlag;
using upstream::NameOutcome;

// [immutable]
struct Config {
  Duration timeout{};  // zero: that of the cache counts
  bool host_from_filter_state = false;
  // As published.
  stream::FilterStateName host_key{"envoy.upstream.dynamic_host"}, port_key{"envoy.upstream.dynamic_port"};

  static Result<std::shared_ptr<const Config>> from_proto(const pb::FilterConfig& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    config->host_from_filter_state = proto.allow_dynamic_host_from_filter_state();
    switch (proto.implementation_specifier_case()) {
      case pb::FilterConfig::kDnsCacheConfig: {
        filter::FactoryScope below = scope.below("dns_cache_config");
        scope.routes().dns_cache(proto.dns_cache_config(), below);
        break;
      }
      case pb::FilterConfig::kSubClusterConfig: {
        config->timeout = proto.sub_cluster_config().has_cluster_init_timeout()
                              ? filter::to_duration(proto.sub_cluster_config().cluster_init_timeout())
                              : Duration(5s);
        break;
      }
      default:
        scope.error({}, "one of dns_cache_config, sub_cluster_config must be set");
    }
    return std::shared_ptr<const Config>(std::move(config));
  }
};

struct RouteSettings {
  std::string host;  // instead of that of the request
  std::optional<http::HeaderName> header;

  static Result<std::shared_ptr<const RouteSettings>> from_proto(const pb::PerRouteConfig& proto,
                                                                 filter::FactoryScope& scope) {
    auto config = std::make_shared<RouteSettings>();
    config->host = proto.host_rewrite_literal();
    if (!config->host.empty() && !http::is_valid_authority(config->host))
      scope.error("host_rewrite_literal", "\"" + config->host + "\" " + std::string(http::kAuthorityRule));
    if (!proto.host_rewrite_header().empty()) config->header.emplace(proto.host_rewrite_header());
    return std::shared_ptr<const RouteSettings>(std::move(config));
  }
};

// One per stream. [worker]
class Filter final : public filter::HttpFilter, private upstream::NameLookup, private event::Timer {
 public:
  using RouteConfig = RouteSettings;
  explicit Filter(const Config& config) : config_(config) {}

  Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool) override {
    upstream::ClusterLocal* cluster =
        upstream::LaneClusters::of(stream.lane()).find_by_name(stream.host().route_cluster());
    if (cluster == nullptr || cluster->current()->spec.dns_cache.empty()) return Action::kContinue;
    const upstream::ClusterSpec& spec = cluster->current()->spec;
    rewrite_host(stream, headers);
    std::string_view wanted = headers.authority();
    uint16_t port = spec.transports.encrypts ? 443 : 80;
    if (config_.host_from_filter_state) look_into_filter_state(stream.info(), wanted, port);
    auto* name = stream.arena().make<upstream::WantedName>();
    if (!upstream::read_wanted_name(wanted, port, stream.arena(), *name))
      return stream.reply_local(400, "dynamic_forward_proxy_invalid_host", "no host to connect to");
    stream.shared(&upstream::kWantedNameKey) = name;
    lb::PickInput input;
    input.name = name->key;
    input.only_asks = true;
    if (cluster->pick(input) != nullptr) return Action::kContinue;
    stream_ = &stream;
    resume_ = stream.resume_handle();
    find(stream.lane(), spec.dns_cache, *name);
    if (config_.timeout > Duration::zero()) stream.lane().arm_in(*this, config_.timeout);
    return Action::kPause;
  }
  void on_complete(filter::Stream&) override {
    upstream::NameLookup::cancel();
    event::Timer::cancel();
    resume_.cancel();
  }

 private:
  void rewrite_host(filter::Stream& stream, http::HeaderMap& headers) {
    const auto* route = stream.route_config<RouteSettings>();
    if (route == nullptr) return;
    if (!route->host.empty()) {
      headers.set(http::HeaderId::kAuthority, stream.arena().copy(route->host));
    } else if (route->header) {
      const std::string_view host = headers.get(*route->header);
      if (!host.empty()) headers.set(http::HeaderId::kAuthority, stream.arena().copy(host));
    }
  }

  void look_into_filter_state(const stream::StreamInfo& info, std::string_view& host, uint16_t& port) const {
    using Kind = stream::FilterStateValue::Kind;
    const stream::FilterStateValue* own = stream::find_filter_state(info, config_.host_key);
    if (own == nullptr || own->kind() != Kind::kString) return;
    host = own->string();
    const stream::FilterStateValue* number = stream::find_filter_state(info, config_.port_key);
    if (number != nullptr && number->kind() == Kind::kUnsigned && number->number() > 0 && number->number() <= 65535)
      port = static_cast<uint16_t>(number->number());
  }

  void on_name(NameOutcome outcome) override {
    event::Timer::cancel();
    switch (outcome) {
      case NameOutcome::kKnown:
        resume_.resume();
        return;
      case NameOutcome::kCacheFull:
        return refuse(503, ResponseFlag::kUpstreamOverflow, "dns_cache_overflow", "DNS cache overflow");
      case NameOutcome::kTooMany:
        return refuse(503, ResponseFlag::kUpstreamOverflow, "dynamic_forward_proxy_pending_request_overflow",
                      "Dynamic forward proxy pending request overflow");
      case NameOutcome::kNoName:
        return refuse(400, ResponseFlag::kDnsResolutionFailed, "dynamic_forward_proxy_invalid_host",
                      "no host to connect to");
      case NameOutcome::kFailed:
        return refuse(503, ResponseFlag::kDnsResolutionFailed, "dns_resolution_failure", "DNS resolution failure");
    }
  }
  void on_timer() override {
    upstream::NameLookup::cancel();
    refuse(503, ResponseFlag::kDnsResolutionFailed, "sub_cluster_warming_timeout", "Sub cluster warming timeout");
  }
  void refuse(int status, ResponseFlag flag, std::string_view details, std::string_view body) {
    if (stream_->answered_locally()) return;
    stream_->info().flags.set(flag);
    stream_->reply_local(*this, status, details, body);
  }

  const Config& config_;
  filter::Stream* stream_ = nullptr;
  filter::Resume resume_;
};

}  // namespace
}  // namespace weir::filters::dynamic_forward_proxy

namespace weir::plugins {
void http_filter_dynamic_forward_proxy(filter::RegistryBuilder& registry) {
  using namespace filters::dynamic_forward_proxy;
  registry.add(filter::describe_http_filter<Config, Filter>("envoy.filters.http.dynamic_forward_proxy"));
}
}  // namespace weir::plugins
