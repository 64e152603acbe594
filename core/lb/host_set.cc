#include "core/lb/host_set.h"

#include <algorithm>

namespace weir::lb {

HostSet::HostSet(std::vector<HostEntry> hosts, const PolicyDescriptor& policy, const void* policy_config,
                 const Options& options)
    : hosts_(std::move(hosts)) {
  uint32_t top = 0;
  for (const HostEntry& host : hosts_) top = std::max(top, host.priority);
  levels_.resize(top + 1);
  std::vector<std::vector<HostIndex>> all(levels_.size()), healthy(levels_.size()), degraded(levels_.size());
  for (HostIndex i = 0; i < hosts_.size(); ++i) {
    const HostEntry& host = hosts_[i];
    all[host.priority].push_back(i);
    if (host.health == Health::kHealthy) healthy[host.priority].push_back(i);
    if (host.health == Health::kDegraded) degraded[host.priority].push_back(i);
  }
  for (const auto& level : healthy) healthy_ += level.size();
  for (const auto& level : degraded) degraded_ += level.size();

  // Each level takes as much of what is left of 100 % as its (overprovisioned) health allows; first healthy hosts of
  // all levels, then degraded ones.
  uint32_t left = 100;
  std::vector<uint32_t> share(levels_.size(), 0);
  std::vector<bool> use_degraded(levels_.size(), false);
  uint64_t total_health = 0;
  for (size_t p = 0; p < levels_.size(); ++p) {
    uint64_t usable = healthy[p].size();
    uint32_t health =
        all[p].empty()
            ? 0
            : static_cast<uint32_t>(std::min<uint64_t>(100, usable * options.overprovisioning_percent / all[p].size()));
    total_health += health;
    share[p] = std::min(left, health);
    left -= share[p];
  }
  for (size_t p = 0; p < levels_.size() && left > 0; ++p) {
    if (degraded[p].empty()) continue;
    uint32_t health = static_cast<uint32_t>(
        std::min<uint64_t>(100, degraded[p].size() * options.overprovisioning_percent / all[p].size()));
    uint32_t more = std::min(left, health);
    if (more > 0) use_degraded[p] = true;
    share[p] += more;
    left -= more;
    total_health += health;
  }
  if (left > 0 && left < 100) {
    // Not enough health in sum: what is there takes everything, in proportion.
    uint32_t given = 100 - left;
    uint32_t sum = 0;
    for (size_t p = 0; p < levels_.size(); ++p) {
      share[p] = share[p] * 100 / given;
      sum += share[p];
    }
    for (size_t p = 0; p < levels_.size() && sum < 100; ++p) {
      if (share[p] > 0) {
        share[p] += 100 - sum;
        sum = 100;
      }
    }
  } else if (left == 100) {
    for (size_t p = 0; p < levels_.size(); ++p) {
      if (!all[p].empty()) {
        share[p] = 100;  // nobody is healthy: the first level with hosts panics
        break;
      }
    }
  }
  for (size_t p = 0; p < levels_.size(); ++p) {
    Level& level = levels_[p];
    level.load = share[p];
    std::vector<HostIndex> usable = healthy[p];
    if (use_degraded[p]) usable.insert(usable.end(), degraded[p].begin(), degraded[p].end());
    bool below = !all[p].empty() && usable.size() * 100 < uint64_t{options.panic_threshold_percent} * all[p].size();
    if (below && total_health < 100) {
      level.panic = panics_ = true;
      usable = all[p];
    }
    if (usable.empty()) continue;
    level.table = policy.build(BuildInput{hosts_, usable}, policy_config);
  }
}

HostIndex HostSet::pick(const PickInput& input, LaneView& view, LaneState& state) const noexcept {
  size_t chosen = 0;
  if (levels_.size() > 1) {
    uint32_t point = input.has_hash ? static_cast<uint32_t>(input.hash % 100) : view.random.below(100);
    while (chosen + 1 < levels_.size() && point >= levels_[chosen].load) {
      point -= levels_[chosen].load;
      ++chosen;
    }
  }
  if (levels_[chosen].table == nullptr) return kNoHost;
  return levels_[chosen].table->pick(input, view, state);
}

}  // namespace weir::lb
