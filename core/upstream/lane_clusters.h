// A lane's side of clusters: for each cluster slot its pools, its balancing state and its shares of the limits, made
// when the lane first uses the cluster: most lanes never use most of many clusters.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/slab.h"
#include "core/base/text_map.h"
#include "core/event/lane.h"
#include "core/lb/host_set.h"
#include "core/upstream/aggregate.h"
#include "core/upstream/cluster.h"
#include "core/upstream/connection_demand.h"
#include "core/upstream/h1_connection.h"
#include "core/upstream/limits.h"
#include "core/upstream/name_lookup.h"
#include "core/upstream/pool.h"
#include "core/upstream/recall.h"

namespace weir::upstream {

class LaneClusters;

// One cluster on one lane, for requests of one priority. Lives as long as the lane; configuration and membership behind
// it change. [worker]
class ClusterLocal {
 public:
  ClusterLocal(LaneClusters& owner, ClusterPart part);

  // The same cluster for requests of high priority: it has pools and limits of its own, and the same hosts. Made at
  // first use. Of the one for the default priority alone.
  ClusterLocal& high_priority();
  Priority priority() const { return part_.priority; }

  // nullptr: the cluster does not exist (any more).
  const Cluster* current() const { return cluster_; }
  event::Pin<Cluster> pin() const;
  const lb::HostSet* hosts() const { return hosts_; }
  // Of the current version; whoever counts a gauge up keeps a pin, because the name may change meanwhile.
  const ClusterStats& stats() const { return *cluster_->stats; }
  const http::h1::Settings& h1_settings() const { return h1_; }
  LaneClusters& lane_clusters() { return owner_; }

  // It stands for others (aggregate.h): an attempt goes to one of them, and this one has no hosts.
  bool aggregates() const { return !cluster_->spec.members.empty(); }
  // Of one that aggregates. The member is for requests of the same priority as this one.
  Member choose_member(const lb::PickInput& input);
  Aggregate& aggregate();
  // Chooses a host; nullptr: none can serve.
  ConnPool* pick(const lb::PickInput& input);
  // The same for who sends there without a pool: the place in hosts(), or kNoHost.
  lb::HostIndex pick_host(const lb::PickInput& input);
  // Another number for each version of hosts().
  uint64_t hosts_version() const { return hosts_version_; }
  // A session with a host and without a connection takes a share of the limit of connections. False: it is reached.
  bool take_session();
  void give_session_back();
  // What a session that has taken a share counts while it lasts. `place`: in hosts(), when it was looked up last.
  void begin_session(lb::Host& host, uint32_t place);
  void end_session(lb::Host& host, uint32_t place);
  // Somebody wants a connection that the limit refuses; one that has become idle or has gone is for it.
  bool starving() const { return !starving_.empty() || !demand.empty(); }
  // Of this lane's pools.
  void feed_starving();
  // A pool of this lane has waiters and no connection at all.
  bool hungry() { return first_hungry() != nullptr; }
  // Whether a host of the set is known not to be in this list.
  bool has_other_hosts(std::span<const lb::Host* const> tried) const;
  event::Pin<lb::HostSet> pin_hosts() const;
  // What a request to a host that pick() returned counts, there and in `stats`: of the same version both times. In
  // between the pool stays.
  void begin_request(ConnPool& pool, const ClusterStats& stats);
  void end_request(ConnPool& pool, const ClusterStats& stats);
  // And once a connection has it: what is refused or fails before that was no request to the upstream.
  static void count_request(ConnPool& pool, const ClusterStats& stats) {
    stats.rq_total.inc();
    pool.host().totals.rq_total.inc();
  }

  // Of all lanes.
  void note_answer() { free_retries_->give(active_requests()); }
  FreeRetries& free_retries() { return *free_retries_; }

  Lease connections, pending, requests, retries, waiting_retries;
  // Where connections are wanted while their limit is reached.
  ConnectionDemand demand;
  // Where to wait when one of them refuses.
  Recall& recall(LimitKind kind) { return recalls_[static_cast<size_t>(kind)]; }
  uint32_t active_requests() const { return requests.used(); }
  // Of all lanes. `version`: that which the caller has pinned; there is none of now when the cluster is gone.
  CircuitBreakers::Load load(const Cluster& version) const {
    return version.limits->of(part_.priority).load(*version.stats);
  }

 private:
  friend class ConnPool;
  friend class LaneClusters;
  friend class H1Connection;
  friend class ConnectionDemand;
  struct Place {
    std::unique_ptr<ConnPool> pool;  // made at first use
  };
  void set_cluster(const Cluster* cluster);
  void set_hosts(const lb::HostSet* hosts);
  // Requests of this lane to a host, for both priorities to see.
  void set_own(uint32_t place, int32_t requests);
  // A host that was found by where a request is to go, and that main has not published yet.
  struct Found {
    std::unique_ptr<ConnPool> pool;
    MonoTime told{};  // when main was
  };
  static constexpr size_t kMostFound = 1024;
  lb::HostIndex pick_index(const lb::PickInput& input);
  // `text`: its address.
  ConnPool* find_destination(std::string_view text);
  void tell_main(Found& found);
  void leave_found(const lb::HostSet* hosts);
  // Of a host that is gone: until its last connection is.
  void leave(std::unique_ptr<ConnPool> pool);
  template <class Visit>
  void for_each_pool(Visit&& visit) {
    for (auto& [text, found] : found_) found.pool->for_each_variant(visit);
    for (Place& place : places_) {
      if (place.pool != nullptr) place.pool->for_each_variant(visit);
    }
    for (auto& pool : leaving_) visit(*pool);
  }
  Lease& lease(LimitKind kind);
  // Closes up to `wanted` idle connections, so that others may be opened.
  void shed_idle(uint32_t wanted);
  // Closes an idle connection; its share is the caller's then. False: none is idle.
  bool shed_one();
  ConnPool* first_hungry();
  // No connection can ever come: the cluster may have none. True: hungry pools' waiters have failed. Those who came
  // before a cluster went are served all the same.
  bool refuse_hopeless();
  bool hopeless() const { return connections.limit()->max() == 0; }
  void on_pool_maybe_empty(ConnPool& pool);
  uint32_t index_of(const lb::Host& host) const;

  LaneClusters& owner_;
  const ClusterPart part_;
  std::unique_ptr<ClusterLocal> high_;    // null: not used yet
  ClusterLocal* other_ = nullptr;         // that of the other priority
  std::unique_ptr<Aggregate> aggregate_;  // null: it is none, or nobody has asked
  const Cluster* cluster_ = nullptr;
  FreeRetries* free_retries_ = nullptr;  // beside the limits that the leases have
  const lb::HostSet* hosts_ = nullptr;
  uint64_t hosts_version_ = 0;
  http::h1::Settings h1_;
  std::vector<Place> places_;                       // by host index
  std::vector<lb::LaneView::PerHost> per_host_;     // by host index
  lb::LaneView::InAll in_all_;                      // of these
  std::vector<lb::LaneState> lb_states_;            // of the host set's tables
  std::vector<std::unique_ptr<ConnPool>> leaving_;  // of hosts that are gone, until their last connection is
  TextMap<Found> found_;                            // of an ORIGINAL_DST cluster, by text
  IntrusiveList<ConnPool, &ConnPool::starving_node_> starving_;  // want a connection and the limit has none
  size_t shed_from_ = 0;
  std::array<Recall, static_cast<size_t>(LimitKind::kCount)> recalls_;
};

// Where main hears of hosts that lanes have found. [main]
class FoundHosts {
 public:
  // `cluster`: the index of its slot.
  virtual void on_host_found(uint32_t cluster, std::shared_ptr<lb::Host> host) = 0;

 protected:
  ~FoundHosts() = default;
};

class LaneClusters final : public event::SlotObserver {
 public:
  explicit LaneClusters(event::Lane& lane);
  ~LaneClusters() override;
  static LaneClusters& of(event::Lane& lane) { return *find_on(lane); }
  // nullptr: it is gone already, or the lane has none.
  static LaneClusters* find_on(event::Lane& lane) {
    return static_cast<LaneClusters*>(lane.local(event::LocalKey::kUpstream));
  }

  // nullptr: no such cluster (now).
  ClusterLocal* find(event::SlotId cluster) {
    ClusterLocal* local = cluster.index < clusters_.size() ? clusters_[cluster.index].get() : nullptr;
    if (local == nullptr) [[unlikely]]
      return first_use(cluster.index);
    return local->current() != nullptr ? local : nullptr;
  }
  // For names that only a request brings (cluster_header). One hash, however many clusters there are.
  ClusterLocal* find_by_name(std::string_view name);

  event::Lane& lane() { return lane_; }
  LaneNames& names() { return names_; }
  // How often clusters or their hosts have changed here.
  uint64_t changes() const { return changes_; }
  // nullptr: the lane is ending, or has never used it.
  static ClusterLocal* find_part(event::Lane& lane, ClusterPart part) {
    LaneClusters* there = find_on(lane);
    return there != nullptr ? there->find_part(part) : nullptr;
  }
  Slab<H1Connection>& connections() { return connections_; }
  Slab<H2Stream>& streams() { return streams_; }
  // Another lane was refused: what this one holds of that limit and does not use goes back. For connections up to
  // `wanted` idle ones are closed.
  void give_back(ClusterPart part, LimitKind kind, uint32_t wanted);
  // Of one that has asked.
  Recall& recall_of(ClusterPart part, LimitKind kind) { return find_part(part)->recall(kind); }
  // Closes the upstream connections that nobody uses. For the end of the process: to a server behind itself, say, or to
  // one that is ending too, they would be what is waited for.
  void close_idle();
  // Closes every upstream connection; for the end of the process and of tests.
  void shut_down();
  size_t connection_count() const { return connections_.live(); }
  uint64_t next_connection_id() { return ++last_connection_id_ << 8 | lane_.index(); }

  // Of main's lane: nullptr, nobody wants to hear.
  void set_found_hosts(FoundHosts* listener) { found_hosts_ = listener; }
  FoundHosts* found_hosts() { return found_hosts_; }

  void on_slot_changed(event::SlotId id, const event::Versioned* before, const event::Versioned* after) override;

 private:
  // nullptr: there is no such cluster now.
  ClusterLocal* first_use(uint32_t index);
  ClusterLocal* find_part(ClusterPart part);
  template <class Visit>
  void for_each_local(Visit&& visit);
  event::Lane& lane_;
  LaneNames names_{lane_};
  Slab<H1Connection> connections_;
  Slab<H2Stream> streams_;
  FoundHosts* found_hosts_ = nullptr;
  std::vector<std::unique_ptr<ClusterLocal>> clusters_;  // null: not used yet
  // Indices of all clusters that were there since somebody asked by name for the first time; none before.
  TextMap<uint32_t> by_name_;
  bool asked_by_name_ = false;
  uint64_t changes_ = 0;
  uint64_t last_connection_id_ = 0;
};

}  // namespace weir::upstream
