// envoy.filters.network.sni_dynamic_forward_proxy: a connection goes to the server that the client asks for (SNI), at
// one port. The filter says so; tcp_proxy, whose cluster is of the type dynamic_forward_proxy, has the name resolved.
#include "core/filter/register.h"
#include "core/stream/filter_state.h"
#include "envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy.pb.h"

namespace weir::filters::sni_dynamic_forward_proxy {
namespace {

namespace pb = envoy::extensions::filters::network::sni_dynamic_forward_proxy::v3;
using filter::Action;

struct Config {
  uint16_t port = 443;
  // As published: tcp_proxy reads them.
  stream::FilterStateName host_key{"envoy.upstream.dynamic_host"}, port_key{"envoy.upstream.dynamic_port"};

  static Result<std::shared_ptr<const Config>> from_proto(const pb::FilterConfig& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    filter::FactoryScope below = scope.below("dns_cache_config");
    if (proto.has_dns_cache_config()) scope.routes().dns_cache(proto.dns_cache_config(), below);
    if (proto.port_specifier_case() == pb::FilterConfig::kPortValue) {
      if (proto.port_value() == 0) scope.error("port_value", "must be 1 to 65535: where the servers listen");
      config->port = static_cast<uint16_t>(proto.port_value());
    }
    return std::shared_ptr<const Config>(std::move(config));
  }
};

// One per connection. [worker]
class Filter final : public filter::NetworkFilter {
 public:
  Filter(const Config& config, event::Lane&) : config_(config) {}

  Action on_new_connection(filter::ConnectionHost& host) override {
    stream::FilterState& state = host.info().make_filter_state();
    constexpr stream::FilterState::Options kForConnection{.life_span = stream::LifeSpan::kConnection};
    // As published: what a filter before this one has chosen goes before.
    const bool chosen = state.find(config_.host_key) != nullptr;
    if (!chosen && host.server_name().empty()) return Action::kContinue;
    if (!chosen) state.set(config_.host_key, stream::FilterStateValue::of_string(host.server_name()), kForConnection);
    if (state.find(config_.port_key) == nullptr)
      state.set(config_.port_key, stream::FilterStateValue::of_unsigned(config_.port), kForConnection);
    return Action::kContinue;
  }
  Action on_data(filter::ConnectionHost&, Slices&, bool) override { return Action::kContinue; }

 private:
  const Config& config_;
};

}  // namespace
}  // namespace weir::filters::sni_dynamic_forward_proxy

namespace weir::plugins {
void network_filter_sni_dynamic_forward_proxy(filter::RegistryBuilder& registry) {
  using namespace filters::sni_dynamic_forward_proxy;
  registry.add(filter::describe_network_filter<Config, Filter>("envoy.filters.network.sni_dynamic_forward_proxy"));
}
}  // namespace weir::plugins
