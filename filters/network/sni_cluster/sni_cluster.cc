// envoy.filters.network.sni_cluster: the server name that the client asked for (SNI) is the name of the cluster that
// tcp_proxy connects to.
#include "core/filter/register.h"
#include "core/stream/filter_state.h"
#include "envoy/extensions/filters/network/sni_cluster/v3/sni_cluster.pb.h"

namespace weir::filters::sni_cluster {
namespace {

namespace pb = envoy::extensions::filters::network::sni_cluster::v3;
using filter::Action;

struct Config {
  stream::FilterStateName name{"envoy.tcp_proxy.cluster"};  // as published: tcp_proxy reads it
  static Result<std::shared_ptr<const Config>> from_proto(const pb::SniCluster&, filter::FactoryScope& scope) {
    scope.routes().may_lead_anywhere();
    return std::make_shared<const Config>();
  }
};

// One per connection. [worker]
class Filter final : public filter::NetworkFilter {
 public:
  Filter(const Config& config, event::Lane&) : config_(config) {}

  Action on_new_connection(filter::ConnectionHost& host) override {
    if (!host.server_name().empty()) {
      host.info().make_filter_state().set(config_.name, stream::FilterStateValue::of_string(host.server_name()),
                                          {.life_span = stream::LifeSpan::kConnection});
    }
    return Action::kContinue;
  }
  Action on_data(filter::ConnectionHost&, Slices&, bool) override { return Action::kContinue; }

 private:
  const Config& config_;
};

}  // namespace
}  // namespace weir::filters::sni_cluster

namespace weir::plugins {
void network_filter_sni_cluster(filter::RegistryBuilder& registry) {
  using namespace filters::sni_cluster;
  registry.add(filter::describe_network_filter<Config, Filter>("envoy.filters.network.sni_cluster"));
}
}  // namespace weir::plugins
