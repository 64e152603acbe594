#include "core/server/local_zones.h"

#include <utility>

namespace weir::server {

void LocalZones::set_local(const std::string& cluster, const lb::Locality& where) {
  const auto same = [](const lb::Locality& a, const lb::Locality& b) {
    return a.region == b.region && a.zone == b.zone && a.sub_zone == b.sub_zone;
  };
  if (cluster == name_ && same(where, where_)) return;
  name_ = cluster;
  where_ = where;
  now_ = nullptr;
  ++changes_;
}

void LocalZones::note(const lb::HostSet& set) {
  now_ = std::make_shared<const lb::LocalCluster>(set.hosts(), set.panicking(0), where_);
  ++changes_;
}

// As published, weir's own cluster has no regard to zones.
bool LocalZones::is_up_to_date(const Made& made, std::string_view cluster) const {
  return made.policy == nullptr || !made.options.zones || is_local(cluster) || made.options.local_cluster == now_;
}

std::unique_ptr<lb::HostSet> LocalZones::make(std::vector<lb::HostEntry> hosts, Made& made,
                                              const upstream::ClusterSpec& cluster, stats::Store& store) {
  const bool local = is_local(cluster.name);
  lb::HostSet::Options& options = made.options;
  options.local_cluster = options.zones && !local ? now_ : nullptr;
  // Before those of the version before go: what they count goes on.
  options.zone_stats =
      options.local_cluster != nullptr ? std::make_shared<const lb::ZoneStats>(store, cluster.stat_name) : nullptr;
  auto set = std::make_unique<lb::HostSet>(std::move(hosts), *made.policy, made.config.get(), options, made.division);
  if (local) note(*set);
  return set;
}

}  // namespace weir::server
