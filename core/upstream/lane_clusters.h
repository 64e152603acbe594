// A lane's side of all clusters: for each cluster slot its pools, its balancing state and its shares of the limits.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/slab.h"
#include "core/event/lane.h"
#include "core/lb/host_set.h"
#include "core/upstream/cluster.h"
#include "core/upstream/limits.h"
#include "core/upstream/pool.h"

namespace weir::upstream {

class LaneClusters;

// One cluster on one lane. Lives as long as the lane; configuration and membership behind it change. [worker]
class ClusterLocal {
 public:
  ClusterLocal(LaneClusters& owner, event::SlotId cluster_slot, event::SlotId host_slot);

  // nullptr: the cluster does not exist (any more).
  const Cluster* current() const { return cluster_; }
  event::Pin<Cluster> pin() const;
  const lb::HostSet* hosts() const { return hosts_; }
  const ClusterStats& stats() const { return *stats_; }
  const http::h1::Settings& h1_settings() const { return h1_; }
  LaneClusters& lane_clusters() { return owner_; }

  // Chooses a host; nullptr: none can serve. `excluded`: hosts tried before.
  ConnPool* pick(uint64_t hash, bool has_hash, uint32_t attempt, std::span<const lb::Host* const> excluded);
  // Of the host that pick() has just returned; nullptr: none.
  const stream::StaticMetadata* host_metadata(const ConnPool& pool) const {
    return hosts_->host(pool.place()).metadata.get();
  }
  event::Pin<lb::HostSet> pin_hosts() const;
  // In-flight counts of a host that pick() returned.
  void begin_request(ConnPool& pool);
  void end_request(ConnPool& pool);

  Lease connections, pending, requests, retries;
  uint32_t active_requests() const { return requests.used(); }

 private:
  friend class LaneClusters;
  friend class H1Connection;
  struct Place {
    std::unique_ptr<ConnPool> pool;  // made at first use
  };
  void set_cluster(const Cluster* cluster);
  void set_hosts(const lb::HostSet* hosts);
  void on_pool_maybe_empty(ConnPool& pool);
  uint32_t index_of(const ConnPool& pool) const;

  LaneClusters& owner_;
  event::SlotId cluster_slot_;
  event::SlotId host_slot_;
  const Cluster* cluster_ = nullptr;
  const lb::HostSet* hosts_ = nullptr;
  std::shared_ptr<ClusterStats> stats_;
  http::h1::Settings h1_;
  std::vector<Place> places_;                       // by host index
  std::vector<lb::LaneView::PerHost> per_host_;     // by host index
  std::vector<std::unique_ptr<ConnPool>> leaving_;  // of hosts that are gone, until their last connection is
  lb::LaneState lb_state_;
};

class LaneClusters final : public event::SlotObserver {
 public:
  explicit LaneClusters(event::Lane& lane);
  ~LaneClusters() override;
  static LaneClusters& of(event::Lane& lane) {
    return *static_cast<LaneClusters*>(lane.local(event::LocalKey::kUpstream));
  }

  // nullptr: no such cluster (now).
  ClusterLocal* find(event::SlotId cluster) {
    ClusterLocal* local = cluster.index < clusters_.size() ? clusters_[cluster.index].get() : nullptr;
    return local != nullptr && local->current() != nullptr ? local : nullptr;
  }
  // For names that only a request brings (cluster_header).
  ClusterLocal* find_by_name(std::string_view name);

  event::Lane& lane() { return lane_; }
  Slab<H1Connection>& connections() { return connections_; }
  // Closes every upstream connection; for the end of the process and of tests.
  void shut_down();
  size_t connection_count() const { return connections_.live(); }

  void on_slot_changed(event::SlotId id, const event::Versioned* before, const event::Versioned* after) override;

 private:
  ClusterLocal& at(uint32_t index);
  event::Lane& lane_;
  Slab<H1Connection> connections_;
  std::vector<std::unique_ptr<ClusterLocal>> clusters_;
};

}  // namespace weir::upstream
