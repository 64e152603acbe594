#include "core/server/cluster_manager.h"

#include <unordered_map>
#include <utility>

#include "core/server/change_plan.h"

namespace weir::server {

using event::SlotId;
using event::SlotKind;

ClusterManager::ClusterManager(event::Publisher& publisher, stats::Store& store, uint32_t lanes)
    : publisher_(publisher),
      store_(store),
      lanes_(lanes),
      added_(store.counter("cluster_manager.cluster_added")),
      modified_(store.counter("cluster_manager.cluster_modified")),
      updated_(store.counter("cluster_manager.cluster_updated")),
      removed_(store.counter("cluster_manager.cluster_removed")),
      active_(store.gauge("cluster_manager.active_clusters")),
      warming_(store.gauge("cluster_manager.warming_clusters")) {}

void ClusterManager::apply(std::vector<config::ClusterTranslation> clusters, event::Publisher::Batch& batch) {
  std::unordered_map<std::string_view, std::string_view> stat_names;
  stat_names.reserve(clusters.size());
  for (const config::ClusterTranslation& from : clusters) stat_names.emplace(from.spec.name, from.spec.stat_name);
  // Statistics that no cluster of that name will describe any more: what is under way counts itself down in them, the
  // members are main's. Before all others, because a name may pass from one cluster to another.
  for (auto& [name, entry] : clusters_) {
    auto next = stat_names.find(name);
    if (next != stat_names.end() && next->second == entry.spec.stat_name) continue;
    entry.stats->clear_main_gauges();
    entry.host_fingerprint = 0;
  }
  for (config::ClusterTranslation& from : clusters) {
    const std::string& name = from.spec.name;
    auto [it, fresh] = clusters_.try_emplace(name);
    Entry& entry = it->second;
    if (fresh) {
      // Both slots have the same index (configuration.h).
      publisher_.intern(SlotKind::kHostSet, name);
      entry.slot = publisher_.intern(SlotKind::kCluster, name);
      added_.inc();
      active_.inc();
    }
    const ClusterFacts was{0, entry.spec_fingerprint, entry.host_fingerprint};
    const ClusterFacts is{0, from.spec_fingerprint, from.host_fingerprint};
    const ClusterEffect effect = effect_of(fresh ? nullptr : &was, &is);
    if (effect.settings) {
      if (!fresh) modified_.inc();
      if (fresh || entry.spec.stat_name != from.spec.stat_name) {
        entry.stats = std::make_shared<upstream::ClusterStats>(store_, from.spec.stat_name);
      }
      if (entry.limits == nullptr) {
        entry.limits = std::make_shared<upstream::ClusterLimits>(from.spec.breakers, lanes_, from.spec.high_breakers);
      } else {
        entry.limits->set(from.spec.breakers);
        entry.limits->high.set(from.spec.high_breakers);
      }
      entry.spec = from.spec;
      entry.spec_fingerprint = from.spec_fingerprint;
      batch.set(entry.slot, std::make_unique<upstream::Cluster>(from.spec, entry.stats, entry.limits));
    }
    if (effect.hosts) {
      entry.host_fingerprint = from.host_fingerprint;
      publish_hosts(entry, from, batch);
    }
  }
  for (auto it = clusters_.begin(); it != clusters_.end();) {
    if (stat_names.contains(it->first)) {
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

void ClusterManager::refresh_stats() const {
  for (const auto& [name, entry] : clusters_) entry.stats->show(*entry.limits, entry.spec);
}

std::span<const lb::HostEntry> ClusterManager::hosts(const Entry& entry) const {
  const auto* set = static_cast<const lb::HostSet*>(publisher_.newest(SlotId{SlotKind::kHostSet, entry.slot.index}));
  return set != nullptr ? set->hosts() : std::span<const lb::HostEntry>();
}

void ClusterManager::publish_hosts(Entry& entry, const config::ClusterTranslation& from,
                                   event::Publisher::Batch& batch) {
  // By address and hostname; true: it is a member already, for an endpoint that is named twice is one host.
  std::unordered_map<std::string, std::pair<std::shared_ptr<lb::Host>, bool>> known;
  auto key_of = [](std::string_view text, std::string_view hostname) {
    return std::string(text).append(" ").append(hostname);
  };
  for (const lb::HostEntry& member : hosts(entry))
    known[key_of(member.host->text(), member.host->hostname())].first = member.host;
  std::vector<lb::HostEntry> members;
  members.reserve(from.endpoints.size());
  for (const config::EndpointSpec& endpoint : from.endpoints) {
    std::string text = endpoint.address.to_string();
    auto& [host, is_member] = known[key_of(text, endpoint.hostname)];
    if (std::exchange(is_member, true)) continue;
    if (host == nullptr) {
      host = std::make_shared<lb::Host>(endpoint.address, std::move(text), endpoint.hostname, lanes_);
    }
    members.push_back({host, endpoint.place, endpoint.weight, endpoint.priority, endpoint.health, endpoint.metadata});
  }
  auto set =
      std::make_unique<lb::HostSet>(std::move(members), *from.policy, from.policy_config.get(), from.host_options);
  entry.stats->membership_total.set(set->hosts().size());
  entry.stats->membership_healthy.set(set->healthy());
  entry.stats->membership_degraded.set(set->degraded());
  entry.stats->membership_change.inc();
  entry.stats->update_success.inc();
  updated_.inc();
  batch.set(SlotId{SlotKind::kHostSet, entry.slot.index}, std::move(set));
}

}  // namespace weir::server
