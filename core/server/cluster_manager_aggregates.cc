// A cluster manager's half about clusters that stand for others (aggregate.h): what they were serves until those are
// known that they are to stand for.
#include <algorithm>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "core/server/cluster_manager.h"

namespace weir::server {

using event::SlotId;
using event::SlotKind;

namespace {

// Whether `is` says so of the cluster, or of one of those that it stands for in the end. `members_of`: those that a
// cluster names. There may be circles while a configuration changes.
template <class MembersOf, class Is>
bool any_in_the_end(SlotId cluster, MembersOf members_of, Is is) {
  std::vector<SlotId> left = {cluster};
  std::set<uint32_t> seen = {cluster.index};
  while (!left.empty()) {
    const SlotId one = left.back();
    left.pop_back();
    const std::span<const SlotId> members = members_of(one);
    if (members.empty() && is(one)) return true;
    for (const SlotId member : members) {
      if (seen.insert(member.index).second) left.push_back(member);
    }
  }
  return false;
}

}  // namespace

bool ClusterManager::serves(const Entry& entry) const {
  const auto members_of = [this](SlotId slot) -> std::span<const SlotId> {
    const upstream::Cluster* cluster = published(slot);
    return cluster != nullptr ? std::span(cluster->spec.members) : std::span<const SlotId>();
  };
  return any_in_the_end(entry.slot, members_of, [this](SlotId slot) {
    const upstream::Cluster* cluster = published(slot);
    if (cluster == nullptr) return false;
    const auto* set = static_cast<const lb::HostSet*>(publisher_.newest({SlotKind::kHostSet, slot.index}));
    return cluster->asked_by_name || (set != nullptr && !set->hosts().empty());
  });
}

bool ClusterManager::waits_for_others(const Entry& entry) const {
  const auto members_of = [this](SlotId slot) -> std::span<const SlotId> {
    const Entry* one = entry_of(slot);
    return one != nullptr ? std::span(one->spec.members) : std::span<const SlotId>();
  };
  return any_in_the_end(entry.slot, members_of, [this](SlotId slot) {
    const Entry* one = entry_of(slot);
    return one != nullptr && one->waits();
  });
}

void ClusterManager::publish_aggregates(event::Publisher::Batch& batch) {
  std::erase_if(aggregates_, [&](const auto& one) {
    Entry& entry = *one.second;
    if (waits_for_others(entry) && serves(entry)) return false;
    const auto next = std::exchange(entry.next, nullptr);
    set_members(entry, *next, batch);
    named_.erase(one.first);
    batch.append(std::exchange(entry.with_members, {}));
    return true;
  });
}

bool ClusterManager::leads_to_others() const {
  const auto leads = [this](const Entry& entry) {
    const upstream::Cluster* cluster = published(entry.slot);
    return (entry.keeps_members || entry.next != nullptr) && cluster != nullptr && !cluster->spec.members.empty();
  };
  const auto any = [&leads](const auto& entries) {
    return std::any_of(entries.begin(), entries.end(), [&leads](const auto& one) { return leads(*one.second); });
  };
  return any(named_) || any(aggregates_);
}

const ClusterManager::Entry* ClusterManager::entry_of(SlotId cluster) const {
  const auto at = clusters_.find(std::string(publisher_.name_of(cluster)));
  return at != clusters_.end() ? &at->second : nullptr;
}

const upstream::Cluster* ClusterManager::published(SlotId cluster) const {
  return static_cast<const upstream::Cluster*>(publisher_.newest(cluster));
}

}  // namespace weir::server
