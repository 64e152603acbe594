#include "core/lb/host_set.h"

#include <algorithm>

#include "core/base/assert.h"

namespace weir::lb {

HostSet::HostSet(std::vector<HostEntry> hosts, const PolicyDescriptor& policy, const void* policy_config,
                 const Options& options)
    : hosts_(std::move(hosts)) {
  uint32_t top = 0;
  for (const HostEntry& host : hosts_) top = std::max(top, host.priority);
  WEIR_CHECK(top < PrioritySet().size());
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

  for (size_t p = 0; p < levels_.size(); ++p) {
    auto percent = [&](const std::vector<HostIndex>& some) {
      const uint64_t share = all[p].empty() ? 0 : some.size() * options.overprovisioning_percent / all[p].size();
      return static_cast<uint32_t>(std::min<uint64_t>(100, share));
    };
    levels_[p].healthy = percent(healthy[p]);
    levels_[p].degraded = percent(degraded[p]);
  }
  Shares shares = shares_without({});
  if (shares.health == 0) {
    // Nobody is healthy: the first level with hosts panics.
    auto first = std::find_if(all.begin(), all.end(), [](const auto& level) { return !level.empty(); });
    if (first != all.end()) shares.percent[static_cast<size_t>(first - all.begin())] = 100;
  }
  for (size_t p = 0; p < levels_.size(); ++p) {
    Level& level = levels_[p];
    level.load = shares.percent[p];
    std::vector<HostIndex> usable = healthy[p];
    if (shares.degraded[p]) usable.insert(usable.end(), degraded[p].begin(), degraded[p].end());
    bool below = !all[p].empty() && usable.size() * 100 < uint64_t{options.panic_threshold_percent} * all[p].size();
    if (below && shares.health < 100) {
      level.panic = panics_ = true;
      usable = all[p];
    }
    if (!usable.empty()) level.table = policy.build(BuildInput{hosts_, usable}, policy_config);
    if (levels_.size() == 1 || level.panic || shares.degraded[p] || degraded[p].empty()) continue;
    usable.insert(usable.end(), degraded[p].begin(), degraded[p].end());
    level.with_degraded = policy.build(BuildInput{hosts_, usable}, policy_config);
  }
}

// Each level takes as much of what is left of 100 % as its (overprovisioned) health allows; first healthy hosts of all
// levels, then degraded ones.
HostSet::Shares HostSet::shares_without(const PrioritySet& passed_over) const noexcept {
  Shares out;
  uint32_t left = 100;
  auto take = [&](size_t p, uint32_t health) {
    const uint32_t share = std::min(left, health);
    out.percent[p] = static_cast<uint8_t>(out.percent[p] + share);
    out.health += health;
    left -= share;
    return share > 0;
  };
  for (size_t p = 0; p < levels_.size(); ++p) {
    if (!passed_over[p]) take(p, levels_[p].healthy);
  }
  for (size_t p = 0; p < levels_.size() && left > 0; ++p) {
    if (!passed_over[p]) out.degraded[p] = take(p, levels_[p].degraded);
  }
  if (left == 0 || left == 100) return out;
  // Not enough health in sum: what is there takes everything, in proportion.
  const uint32_t given = 100 - left;
  uint32_t sum = 0;
  for (uint8_t& percent : out.percent) sum += percent = static_cast<uint8_t>(percent * 100 / given);
  *std::find_if(out.percent.begin(), out.percent.end(), [](uint8_t percent) { return percent > 0; }) +=
      static_cast<uint8_t>(100 - sum);
  return out;
}

bool HostSet::usable_without(const PrioritySet& passed_over) const noexcept {
  for (size_t p = 0; p < levels_.size(); ++p) {
    if (!passed_over[p] && levels_[p].healthy + levels_[p].degraded > 0) return true;
  }
  return false;
}

HostIndex HostSet::pick(const PickInput& input, LaneView& view, LaneState& state) const noexcept {
  size_t chosen = 0;
  if (levels_.size() > 1) {
    uint32_t point = input.has_hash ? static_cast<uint32_t>(input.hash % 100) : view.random.below(100);
    if (input.passed_over != nullptr) [[unlikely]]
      return pick_elsewhere(point, input, view, state);
    while (chosen + 1 < levels_.size() && point >= levels_[chosen].load) {
      point -= levels_[chosen].load;
      ++chosen;
    }
  }
  if (levels_[chosen].table == nullptr) return kNoHost;
  return levels_[chosen].table->pick(input, view, state);
}

// Like pick(), as if the priorities that are passed over had no usable host; unless no other has any. Apart from it,
// which all requests pay for.
[[gnu::noinline]] HostIndex HostSet::pick_elsewhere(uint32_t point, const PickInput& input, LaneView& view,
                                                    LaneState& state) const noexcept {
  if (!usable_without(*input.passed_over)) {
    PickInput anew = input;
    anew.passed_over = nullptr;
    return pick(anew, view, state);
  }
  const Shares shares = shares_without(*input.passed_over);
  size_t chosen = 0;
  while (chosen + 1 < levels_.size() && point >= shares.percent[chosen]) point -= shares.percent[chosen++];
  const Level& level = levels_[chosen];
  const Table* table =
      shares.degraded[chosen] && level.with_degraded != nullptr ? level.with_degraded.get() : level.table.get();
  return table != nullptr ? table->pick(input, view, state) : kNoHost;
}

}  // namespace weir::lb
