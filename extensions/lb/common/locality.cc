#include "extensions/lb/common/locality.h"

#include "envoy/extensions/load_balancing_policies/common/v3/common.pb.h"

// Deprecated fields are read on purpose: existing files have them.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace weir::extensions::locality {

using envoy::extensions::load_balancing_policies::common::v3::LocalityLbConfig;

void read(const LocalityLbConfig& proto, lb::PolicyConfig& config) {
  config.locality_weighted = proto.has_locality_weighted_lb_config();
  if (config.locality_weighted) return;
  lb::ZonePolicy& zones = config.zones.emplace();
  if (!proto.has_zone_aware_lb_config()) return;
  const LocalityLbConfig::ZoneAwareLbConfig& from = proto.zone_aware_lb_config();
  if (from.has_routing_enabled())
    zones.enabled = static_cast<uint32_t>(from.routing_enabled().value() / 100 * lb::ZonePolicy::kAlways);
  if (from.has_min_cluster_size()) zones.min_cluster_size = from.min_cluster_size().value();
  zones.fail_on_panic = from.fail_traffic_on_panic();
  zones.by_weight = from.locality_basis() == LocalityLbConfig::ZoneAwareLbConfig::HEALTHY_HOSTS_WEIGHT;
  if (from.force_locality_direct_routing()) zones.direct_from = 1;
  if (from.has_force_local_zone()) {
    zones.direct_from = 1;
    if (from.force_local_zone().has_min_size()) zones.direct_from = from.force_local_zone().min_size().value();
  }
}

}  // namespace weir::extensions::locality
