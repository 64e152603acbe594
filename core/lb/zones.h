// Hosts of weir's own locality first (zone_aware_lb_config): as much as they can take of what weir's instances there
// send. How many there are, and where, the cluster says that weir itself is a member of.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <tuple>

#include "core/lb/policy.h"
#include "core/stats/store.h"

namespace weir::lb {

struct BalanceOptions;

// weir's own cluster (cluster_manager.local_cluster_name) at one moment. [immutable]
class LocalCluster {
 public:
  // `panics`: too few of its hosts are healthy for their places to tell anything. `where`: this process.
  LocalCluster(std::span<const HostEntry> hosts, bool panics, Locality where);
  const Locality& where() const { return where_; }
  bool panics() const { return panics_; }
  // How much of it is in that locality, by healthy hosts or by their weights: 0 to 1.
  double share(const Locality& where, bool by_weight) const;

 private:
  struct Part {
    uint64_t hosts = 0, weight = 0;
  };
  std::map<std::tuple<std::string, std::string, std::string>, Part> parts_;
  Part all_;
  Locality where_;
  bool panics_;
};

// The published statistics. [any]
struct ZoneStats {
  ZoneStats(stats::Store& store, const std::string& cluster);
  std::shared_ptr<stats::Group> group;
  stats::Counter recalculated, too_small, local_not_ok, all_directly, sampled, cross_zone, no_capacity;
};

// The table of the healthy hosts of the first priority. nullptr: localities make no difference. `all`: the hosts of
// that priority, whatever their health. [main]
std::unique_ptr<const Table> build_by_zone(const PolicyDescriptor& policy, const void* policy_config,
                                           const BuildInput& input, std::span<const HostIndex> all,
                                           const BalanceOptions& options);

}  // namespace weir::lb
