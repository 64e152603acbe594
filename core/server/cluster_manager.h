// Main's side of the clusters: identity of hosts, limits and statistics over updates, and the versions to publish.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/config/cluster_config.h"
#include "core/event/publisher.h"
#include "core/lb/host_set.h"
#include "core/server/dns_cache.h"
#include "core/server/dns_members.h"
#include "core/server/local_zones.h"
#include "core/stats/store.h"
#include "core/upstream/cluster.h"
#include "core/upstream/lane_clusters.h"

namespace weir::server {

// [main]
class ClusterManager final : private DnsMembers::Owner,
                             private DnsCache::Owner,
                             private upstream::NameService,
                             private upstream::FoundHosts {
 public:
  // So long the first answers of a cluster's names are waited for. More than name servers have for one try by default,
  // so that the second one can still help.
  static constexpr Duration kLongestWarming = 7s;
  // When nobody serves meanwhile: other routes of the same listener are not to wait for it.
  static constexpr Duration kLongestWarmingAtStart = 2s;

  // So many hosts may all clusters of names have together by default, whatever name servers say. Each has statistics
  // and a place in the tables of every lane. Above it a cluster keeps the members that it had.
  static constexpr size_t kMostNamedHosts = 100'000;

  // So many hosts an ORIGINAL_DST cluster may have, whatever clients ask for.
  static constexpr size_t kMostFoundHosts = 10'000;

  // `main`: the lane. `lanes`: how many there are.
  ClusterManager(event::Lane& main, event::Publisher& publisher, stats::Store& store, dns::ResolverSource& resolvers,
                 uint32_t lanes, size_t most_named_hosts = kMostNamedHosts);
  ~ClusterManager();

  // Adds to the batch what of `clusters` differs from what was published before. Those in `gone` are removed, with the
  // last of the batches, behind what leads to them. All others stay, and cost nothing. Members that come from name
  // servers are published when they are known: what such a cluster was before serves until then, as it does of one that
  // begins to stand for such clusters (aggregate.h).
  void apply(std::vector<config::ClusterTranslation> clusters, const std::vector<std::string>& gone,
             event::Publisher::Batch& batch, event::Publisher::Batch& last);
  // Before apply(): the cluster that weir is a member of (empty: none), and where weir is.
  void set_local(const std::string& cluster, const lb::Locality& where) { zones_.set_local(cluster, where); }
  // Likewise: how long clusters are waited for that it adds or changes.
  void set_patience(Duration longest) { longest_warming_ = longest; }
  // Some cluster that apply() added or changed waits for its first answers, and has no members that serve until then
  // (or only for requests that say which host they want). Those of an apply() before the last one count as long as
  // somebody waits for them with when_warmer().
  bool warming() const;
  bool warming(std::string_view cluster) const;
  // What is to be published with the members of a cluster that keeps those it had until they are known: they are none
  // of what the new settings are about. nullptr: it does not wait.
  event::Publisher::Batch* with_members(std::string_view cluster);
  // Some cluster that waits stands for others until then: they are to stay, although nothing else leads to them.
  bool leads_to_others() const;
  // Runs the task when it may be that fewer do; at a later turn. One at a time.
  void when_warmer(event::Task task);
  // Before the lane ends: nothing is asked any more.
  void stop();

  struct Entry {
    upstream::ClusterSpec spec;
    uint64_t spec_fingerprint = 0;
    uint64_t host_fingerprint = 0;
    event::SlotId slot;
    std::shared_ptr<upstream::ClusterStats> stats;
    std::shared_ptr<upstream::ClusterLimits> limits;
    std::shared_ptr<stats::Group> figures;                      // of its tables; null: its policy has none
    std::shared_ptr<const lb::SubsetStats> subset_stats;        // null: its hosts are not divided
    std::set<std::string> subsets;                              // those of the last version
    LocalZones::Made made;                                      // of what the last version was made
    std::unique_ptr<DnsMembers> dns;                            // null: its members are addresses
    std::shared_ptr<const config::ClusterTranslation> dynamic;  // null: requests bring no names
    DnsCache* cache = nullptr;                                  // of `dynamic`
    // Until all names of `dns` are known, or its first answers were waited for long enough:
    MonoTime waits_until = MonoTime::max();  // max: nothing is waited for
    bool keeps_members = false;              // the version before serves, with its members and in its settings
    event::Publisher::Batch with_members;    // what comes with the others; empty unless `keeps_members` or `next`
    bool awaited = false;                    // what leads to it is held back: see warming()
    // It stands for others from when those are known; null: it does not, or does already.
    std::shared_ptr<const config::ClusterTranslation> next;
    size_t named_hosts = 0;  // published, of `dns`
    bool too_many = false;   // it has been told more than there is room for
    bool original = false;   // its members are those that lanes have found:
    struct Found {
      std::shared_ptr<lb::Host> host;
      uint64_t uses = 0;  // when this was looked at last
    };
    std::unordered_map<std::string, Found> found;  // by text
    Duration cleanup_interval = 5s;
    MonoTime next_cleanup = MonoTime::max();  // max: there is nothing to forget
    bool unsettled() const { return dns != nullptr && !dns->settled(); }
    bool waits() const { return unsettled() && waits_until != MonoTime::max(); }
    bool warms() const { return awaited && unsettled(); }
  };
  // Gauges that are worked out when somebody reads them, some hundred clusters at a time. True: there is more.
  struct StatsRound {
    std::string after;  // this cluster; empty: none yet
    uint64_t warming = 0;
  };
  bool refresh_stats(StatsRound& round) const;
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

  class Cleanup final : public event::Timer {
   public:
    explicit Cleanup(ClusterManager& owner) : owner_(owner) {}
    void on_timer() override { owner_.clean_up(); }

   private:
    ClusterManager& owner_;
  };

  void stop_hearing();
  // What has changed, in so long at the latest.
  void publish_in(Duration delay);
  void clean_up();
  void arm_cleanup();
  void publish_found(Entry& entry, event::Publisher::Batch& batch);
  void on_members(DnsMembers& members) override;
  void on_names(DnsCache& cache) override;
  void when_published(std::vector<DnsCache::Answer> answers) override;
  std::map<std::string, uint64_t> uses(const DnsCache& cache) override;
  void find(std::string_view cache, std::string_view host, uint16_t port, Answer answer) override;
  // A lane of an ORIGINAL_DST cluster has been asked for an address that is no host of it. It becomes one until nobody
  // has used it for an interval.
  void on_host_found(uint32_t cluster, std::shared_ptr<lb::Host> host) override;
  // The caches of these clusters and of those that stay, and no others.
  void apply_caches(const std::vector<config::ClusterTranslation>& clusters, const std::vector<std::string>& gone);
  void set_members(Entry& entry, const config::ClusterTranslation& from, event::Publisher::Batch& batch);
  void set_named(Entry& entry, const config::ClusterTranslation& from, event::Publisher::Batch& batch);
  // Requests do not say any more which hosts it has.
  void forget_names(Entry& entry);
  void forget_found(Entry& entry);
  void drop_unused_caches();
  // Those of the aggregates that have not to wait any more.
  void publish_aggregates(event::Publisher::Batch& batch);
  // As published: it has hosts, or finds some when requests ask for them; one that stands for others: one of them does.
  bool serves(const Entry& entry) const;
  // Some of those that it is to stand for have members that are not known yet.
  bool waits_for_others(const Entry& entry) const;
  // Those that `entry.dns` knows, as far as there is room for them.
  void publish_named(Entry& entry, event::Publisher::Batch& batch);
  void arm_patience();
  void publish_members();
  void lose_patience();
  const Entry* entry_of(event::SlotId cluster) const;
  const upstream::Cluster* published(event::SlotId cluster) const;
  const lb::HostSet* newest(const Entry& entry) const;
  void show_members(const Entry& entry, const lb::HostSet& set) const;
  static void show_subsets(Entry& entry, const lb::HostSet& set);
  void show_figures(Entry& entry, const lb::Figures* figures, const lb::HostSet& set) const;
  void note_local();
  void remake_by_zone(event::Publisher::Batch& batch);
  void publish_hosts(Entry& entry, const config::ClusterTranslation& from,
                     const std::vector<config::EndpointSpec>& endpoints, event::Publisher::Batch& batch);

  event::Lane& main_;
  event::Publisher& publisher_;
  stats::Store& store_;
  dns::ResolverSource& resolvers_;
  const uint32_t lanes_;
  const size_t most_named_hosts_;
  size_t named_hosts_ = 0;
  std::map<std::string, std::unique_ptr<DnsCache>> caches_;
  bool may_be_unused_ = false;  // some of those
  std::map<std::string, Entry> clusters_;
  std::map<std::string_view, Entry*> named_;       // those of them whose members come from name servers
  std::map<std::string_view, Entry*> aggregates_;  // those that have a `next`
  LocalZones zones_;
  uint64_t remade_ = 0;                                  // LocalZones::changes() then
  stats::Counter added_, modified_, updated_, removed_;  // updated: a membership was published
  stats::Gauge active_, warming_;
  std::set<std::string> changed_;  // whose names have other addresses than those that are published
  bool stopped_ = false;
  std::vector<DnsCache::Answer> answers_;  // of names: when what has changed is published
  Soon soon_;
  event::Task warmer_;
  Duration longest_warming_ = kLongestWarming;
  Patience patience_;
  std::unordered_map<uint32_t, std::string> originals_;  // names of ORIGINAL_DST clusters by the index of their slots
  Cleanup cleanup_;
};

}  // namespace weir::server
