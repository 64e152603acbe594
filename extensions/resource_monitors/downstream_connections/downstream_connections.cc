// envoy.resource_monitors.global_downstream_max_connections: how many downstream connections there may be, over all
// listeners. What is beyond is refused when it comes; nobody is polled.
#include "core/filter/register.h"
#include "core/filter/resource_monitor.h"
#include "envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections.pb.h"

namespace weir::extensions::resource_monitors {
namespace {

namespace pb = envoy::extensions::resource_monitors::downstream_connections::v3;

class Config final : public filter::ResourceMonitorConfig {
 public:
  explicit Config(int64_t max) : max_(max) {}
  static Result<std::shared_ptr<const filter::ResourceMonitorConfig>> from_proto(
      const pb::DownstreamConnectionsConfig& proto, filter::FactoryScope&) {
    return std::make_shared<const Config>(proto.max_active_downstream_connections());
  }
  std::unique_ptr<filter::ResourceMonitor> make() const override { return nullptr; }
  int64_t max_connections() const override { return max_; }

 private:
  const int64_t max_;
};

}  // namespace
}  // namespace weir::extensions::resource_monitors

namespace weir::plugins {
void resource_monitor_downstream_connections(filter::RegistryBuilder& registry) {
  registry.add(filter::describe_extension<extensions::resource_monitors::Config>(
      filter::kResourceMonitorKind, "envoy.resource_monitors.global_downstream_max_connections"));
}
}  // namespace weir::plugins
