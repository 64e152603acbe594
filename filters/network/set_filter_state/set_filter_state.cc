// envoy.filters.network.set_filter_state: puts values made of what is known of a connection into its filter state.
#include "core/filter/network_filter.h"
#include "core/filter/register.h"
#include "envoy/extensions/filters/network/set_filter_state/v3/set_filter_state.pb.h"
#include "filters/common/filter_state/values.h"

namespace weir::filters::set_filter_state {
namespace {

namespace pb = envoy::extensions::filters::network::set_filter_state::v3;
using filter::Action;

struct Config {
  filter_state::Values always;
  filter_state::Values with_tls;
  stats::Counter not_set;

  static Result<std::shared_ptr<const Config>> from_proto(const pb::Config& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    config->always = filter_state::read_values(proto.on_new_connection(), scope, "on_new_connection");
    config->with_tls =
        filter_state::read_values(proto.on_downstream_tls_handshake(), scope, "on_downstream_tls_handshake");
    config->not_set = scope.counter("set_filter_state.not_set");
    return std::shared_ptr<const Config>(std::move(config));
  }
};

// One per connection. [worker]
class Filter final : public filter::NetworkFilter {
 public:
  Filter(const Config& config, event::Lane&) : config_(config) {}

  // Filters hear of a connection when its handshake is done: of the two moments one comes right behind the other.
  Action on_new_connection(filter::ConnectionHost& host) override {
    set(host, config_.always);
    if (host.tls() != nullptr) set(host, config_.with_tls);
    return Action::kContinue;
  }
  Action on_data(filter::ConnectionHost&, Slices&, bool) override { return Action::kContinue; }

 private:
  void set(filter::ConnectionHost& host, const filter_state::Values& values) const {
    if (values.empty()) return;
    stream::FilterState& state = host.info().make_filter_state();
    stream::StreamInfo info;
    filter::describe(host, info);
    filter_state::set_values(values, {info}, state, stream::LifeSpan::kConnection, config_.not_set);
  }
  const Config& config_;
};

}  // namespace
}  // namespace weir::filters::set_filter_state

namespace weir::plugins {
void network_filter_set_filter_state(filter::RegistryBuilder& registry) {
  using namespace filters::set_filter_state;
  registry.add(filter::describe_network_filter<Config, Filter>("envoy.filters.network.set_filter_state"));
}
}  // namespace weir::plugins
