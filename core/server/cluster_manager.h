// Main's side of the clusters: identity of hosts, limits and statistics over updates, and the versions to publish.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/config/cluster_config.h"
#include "core/event/publisher.h"
#include "core/lb/host_set.h"
#include "core/stats/store.h"
#include "core/upstream/cluster.h"

namespace weir::server {

// [main]
class ClusterManager {
 public:
  ClusterManager(event::Publisher& publisher, stats::Store& store, uint32_t lanes);

  // Adds to the batch what differs from what was published before; clusters that are not in the list are removed.
  void apply(std::vector<config::ClusterTranslation> clusters, event::Publisher::Batch& batch);

  struct Entry {
    upstream::ClusterSpec spec;
    uint64_t spec_fingerprint = 0;
    uint64_t host_fingerprint = 0;
    event::SlotId slot;
    std::shared_ptr<upstream::ClusterStats> stats;
    std::shared_ptr<upstream::ClusterLimits> limits;
  };
  // Gauges that are worked out when somebody reads them.
  void refresh_stats() const;
  const std::map<std::string, Entry>& clusters() const { return clusters_; }
  // Of the version that was published last; good until the next one is.
  std::span<const lb::HostEntry> hosts(const Entry& entry) const;

 private:
  void publish_hosts(Entry& entry, const config::ClusterTranslation& from, event::Publisher::Batch& batch);

  event::Publisher& publisher_;
  stats::Store& store_;
  const uint32_t lanes_;
  std::map<std::string, Entry> clusters_;
  stats::Counter added_, modified_, updated_, removed_;  // updated: a membership was published
  stats::Gauge active_, warming_;
};

}  // namespace weir::server
