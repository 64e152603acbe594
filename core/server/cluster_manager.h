// Main's side of the clusters: identity of hosts, limits and statistics over updates, and the versions to publish.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/config/cluster_config.h"
#include "core/event/publisher.h"
#include "core/lb/host_set.h"
#include "core/server/dns_members.h"
#include "core/stats/store.h"
#include "core/upstream/cluster.h"

namespace weir::server {

// [main]
class ClusterManager final : private DnsMembers::Owner {
 public:
  // At the latest after this nobody waits for the first answers of name servers any more.
  static constexpr Duration kLongestWarming = 5s;

  // `main`: the lane. `lanes`: how many there are.
  ClusterManager(event::Lane& main, event::Publisher& publisher, stats::Store& store, dns::ResolverSource& resolvers,
                 uint32_t lanes);

  // Adds to the batch what differs from what was published before; clusters that are not in the list are removed, with
  // the last of the batches, behind what leads to them. Members that come from name servers are published when they are
  // known: those that such a cluster had before serve until then.
  void apply(std::vector<config::ClusterTranslation> clusters, event::Publisher::Batch& batch,
             event::Publisher::Batch& last);
  // Some cluster waits for its first answers, and has no members that serve until then.
  bool warming() const;
  // Runs the task when none does any more, or kLongestWarming from now; at a later turn. One at a time.
  void when_warm(event::Task task);
  // Before the lane ends: nothing is asked any more.
  void stop();

  struct Entry {
    upstream::ClusterSpec spec;
    uint64_t spec_fingerprint = 0;
    uint64_t host_fingerprint = 0;
    event::SlotId slot;
    std::shared_ptr<upstream::ClusterStats> stats;
    std::shared_ptr<upstream::ClusterLimits> limits;
    std::unique_ptr<DnsMembers> dns;  // null: its members are addresses
    bool keeps_members = false;       // of the version before, until those of `dns` are known
    bool given_up = false;            // its first answers were waited for long enough
    // Nobody can be served by it, and that may change soon.
    bool warming() const { return dns != nullptr && dns->warms() && !dns->settled() && !keeps_members && !given_up; }
  };
  // Gauges that are worked out when somebody reads them.
  void refresh_stats() const;
  const std::map<std::string, Entry>& clusters() const { return clusters_; }
  // Of the version that was published last; good until the next one is.
  std::span<const lb::HostEntry> hosts(const Entry& entry) const;

 private:
  class Soon final : public event::Timer {
   public:
    explicit Soon(ClusterManager& owner) : owner_(owner) {}
    void on_timer() override { owner_.publish_members(); }

   private:
    ClusterManager& owner_;
  };
  class Patience final : public event::Timer {
   public:
    explicit Patience(ClusterManager& owner) : owner_(owner) {}
    void on_timer() override { owner_.lose_patience(); }

   private:
    ClusterManager& owner_;
  };

  void on_members(DnsMembers& members) override;
  void set_members(Entry& entry, const config::ClusterTranslation& from, event::Publisher::Batch& batch);
  void publish_members();
  void finish_warming();
  void lose_patience();
  void publish_hosts(Entry& entry, const config::ClusterTranslation& from,
                     const std::vector<config::EndpointSpec>& endpoints, event::Publisher::Batch& batch);

  event::Lane& main_;
  event::Publisher& publisher_;
  stats::Store& store_;
  dns::ResolverSource& resolvers_;
  const uint32_t lanes_;
  std::map<std::string, Entry> clusters_;
  stats::Counter added_, modified_, updated_, removed_;  // updated: a membership was published
  stats::Gauge active_, warming_;
  std::set<std::string> changed_;  // whose names have other addresses than those that are published
  Soon soon_;
  event::Task warm_;
  Patience patience_;
};

}  // namespace weir::server
