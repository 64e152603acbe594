#include "core/server/cluster_manager.h"

#include <set>

namespace weir::server {

using event::SlotId;
using event::SlotKind;

ClusterManager::ClusterManager(event::Publisher& publisher, stats::Store& store, uint32_t lanes)
    : publisher_(publisher),
      store_(store),
      lanes_(lanes),
      added_(store.counter("cluster_manager.cluster_added")),
      modified_(store.counter("cluster_manager.cluster_modified")),
      removed_(store.counter("cluster_manager.cluster_removed")),
      active_(store.gauge("cluster_manager.active_clusters")),
      warming_(store.gauge("cluster_manager.warming_clusters")) {}

void ClusterManager::apply(std::vector<config::ClusterTranslation> clusters, event::Publisher::Batch& batch) {
  std::set<std::string> kept;
  for (config::ClusterTranslation& from : clusters) {
    const std::string name = from.spec.name;
    kept.insert(name);
    if (from.unchanged) continue;
    auto [it, fresh] = clusters_.try_emplace(name);
    Entry& entry = it->second;
    if (fresh) {
      // Both slots have the same index (configuration.h).
      publisher_.intern(SlotKind::kHostSet, name);
      entry.slot = publisher_.intern(SlotKind::kCluster, name);
      added_.inc();
      active_.inc();
    }
    if (fresh || entry.spec_fingerprint != from.spec_fingerprint) {
      if (!fresh) modified_.inc();
      if (fresh || entry.spec.stat_name != from.spec.stat_name) {
        entry.stats = std::make_shared<upstream::ClusterStats>(store_, from.spec.stat_name);
      }
      if (entry.limits == nullptr) {
        entry.limits = std::make_shared<upstream::ClusterLimits>(from.spec.breakers, lanes_);
      } else {
        entry.limits->set(from.spec.breakers);
      }
      entry.spec = from.spec;
      entry.spec_fingerprint = from.spec_fingerprint;
      batch.set(entry.slot, std::make_unique<upstream::Cluster>(from.spec, entry.stats, entry.limits));
    }
    if (fresh || entry.host_fingerprint != from.host_fingerprint) {
      entry.host_fingerprint = from.host_fingerprint;
      publish_hosts(entry, from, batch);
      from.endpoints = {};  // of a large configuration, before the next ones are built
    }
  }
  for (auto it = clusters_.begin(); it != clusters_.end();) {
    if (kept.contains(it->first)) {
      ++it;
      continue;
    }
    batch.remove(SlotId{SlotKind::kHostSet, it->second.slot.index});
    batch.remove(it->second.slot);
    removed_.inc();
    active_.dec();
    it = clusters_.erase(it);
  }
}

std::span<const lb::HostEntry> ClusterManager::members(const Entry& entry) const {
  const auto* set = static_cast<const lb::HostSet*>(publisher_.newest(SlotId{SlotKind::kHostSet, entry.slot.index}));
  return set == nullptr ? std::span<const lb::HostEntry>() : set->hosts();
}

bool ClusterManager::has(std::string_view name, uint64_t fingerprint) const {
  auto known = clusters_.find(name);
  return known != clusters_.end() && known->second.host_fingerprint == fingerprint;
}

void ClusterManager::publish_hosts(Entry& entry, const config::ClusterTranslation& from,
                                   event::Publisher::Batch& batch) {
  // By address and hostname; the same host in every version that names it.
  using Identity = std::pair<std::string_view, std::string_view>;
  std::map<Identity, std::shared_ptr<lb::Host>> known;
  for (const lb::HostEntry& member : members(entry)) {
    known.emplace(Identity{member.host->text(), member.host->hostname()}, member.host);
  }
  std::set<const lb::Host*> taken;
  std::vector<lb::HostEntry> members;
  members.reserve(from.endpoints.size());
  for (const config::EndpointSpec& endpoint : from.endpoints) {
    std::string text = endpoint.address.to_string();
    auto at = known.find({text, endpoint.hostname});
    if (at == known.end()) {
      auto host = std::make_shared<lb::Host>(endpoint.address, std::move(text), endpoint.hostname, lanes_);
      at = known.emplace(Identity{host->text(), host->hostname()}, host).first;
    }
    if (!taken.insert(at->second.get()).second) continue;  // named twice: one host
    lb::HostEntry member;
    member.host = at->second;
    member.weight = endpoint.weight;
    member.priority = endpoint.priority;
    member.health = endpoint.health;
    member.region = endpoint.region;
    member.zone = endpoint.zone;
    member.sub_zone = endpoint.sub_zone;
    members.push_back(std::move(member));
  }
  auto set =
      std::make_unique<lb::HostSet>(std::move(members), *from.policy, from.policy_config.get(), from.host_options);
  entry.stats->membership_total.set(set->hosts().size());
  entry.stats->membership_healthy.set(set->healthy());
  entry.stats->membership_degraded.set(set->degraded());
  entry.stats->membership_change.inc();
  entry.stats->update_success.inc();
  batch.set(SlotId{SlotKind::kHostSet, entry.slot.index}, std::move(set));
}

}  // namespace weir::server
