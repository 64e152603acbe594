// Hosts by priority: how much of the traffic each priority gets by its health, and the tables that pick there. Of all
// hosts of a cluster, or of some of them.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "core/lb/policy.h"

namespace weir::lb {

class LocalCluster;
struct ZoneStats;

struct BalanceOptions {
  uint32_t panic_threshold_percent = 50;  // below this share of healthy hosts all hosts are used
  uint32_t overprovisioning_percent = 140;
  // A locality gets requests by its weight (less what it lacks in health), and its hosts share them.
  bool locality_weighted = false;
  // And by what share of the locality's hosts are members.
  bool scale_localities = false;
  // Hosts of weir's own locality first, if all three are there.
  std::optional<ZonePolicy> zones = {};
  std::shared_ptr<const LocalCluster> local_cluster = nullptr;
  std::shared_ptr<const ZoneStats> zone_stats = nullptr;
  bool fails_on_panic() const { return zones && zones->fail_on_panic; }
};

// What the hosts of a priority could take, in percent, overprovisioned.
struct LevelHealth {
  uint32_t healthy = 0, degraded = 0;
};

// Who takes the requests, in percent that add up to 100, or to 0 if nobody can.
struct LevelShares {
  using Percents = std::array<uint8_t, PrioritySet().size()>;
  Percents healthy{}, degraded{};
  uint32_t health = 0;  // what all together could take, in percent
};

// As if the priorities that are passed over had nobody. `health_of(priority)`: a LevelHealth.
template <class HealthOf>
LevelShares share_out(size_t levels, const PrioritySet& passed_over, HealthOf&& health_of) noexcept;

// [immutable]
class Levels {
 public:
  // [main] `members`: indices into `hosts`, which must stay where they are. The tables get states from `next_state` on,
  // which counts them.
  Levels(std::span<const HostEntry> hosts, std::span<const HostIndex> members, const PolicyDescriptor& policy,
         const void* policy_config, const BalanceOptions& options, uint32_t& next_state);

  // Chooses the priority by load, then lets its table pick. `states`: of the lane, from the first. [worker]
  HostIndex pick(const PickInput& input, LaneView& view, LaneState* states) const noexcept {
    if (!single_) [[unlikely]]
      return pick_level(input, view, states);
    const Level& level = levels_.front();
    return level.table != nullptr ? level.table->pick(input, view, states[level.state]) : kNoHost;
  }
  size_t healthy() const { return healthy_; }
  size_t degraded() const { return degraded_; }
  // Some priority uses all of its hosts, because too few are healthy.
  bool panics() const { return panics_; }
  bool panicking(uint32_t priority) const { return priority < levels_.size() && levels_[priority].panic; }
  size_t size() const { return levels_.size(); }
  LevelHealth health_of(size_t priority) const { return levels_[priority].health; }
  // Has hosts, usable or not.
  bool populated(size_t priority) const { return levels_[priority].populated; }
  // Some priority that is not in this list has a host that is healthy or degraded. [worker]
  bool usable_without(const PrioritySet& passed_over) const noexcept;
  // visit(const Table&)
  template <class Visit>
  void for_each_table(Visit&& visit) const {
    for (const Level& level : levels_) {
      if (level.table != nullptr) visit(*level.table);
      if (level.degraded_table != nullptr) visit(*level.degraded_table);
    }
  }

 private:
  struct Level {
    std::unique_ptr<const Table> table;  // of the healthy hosts, or of all in a panic; nullptr: none
    std::unique_ptr<const Table> degraded_table;
    uint32_t state = 0, degraded_state = 0;  // where those of the tables begin
    uint32_t load = 0, degraded_load = 0;    // percent of requests
    LevelHealth health;
    bool panic = false;
    bool populated = false;
  };
  LevelShares shares_without(const PrioritySet& passed_over) const noexcept {
    return share_out(levels_.size(), passed_over, [this](size_t p) { return levels_[p].health; });
  }
  HostIndex pick_level(const PickInput& input, LaneView& view, LaneState* states) const noexcept;
  HostIndex pick_among(uint32_t point, const PickInput& input, LaneView& view, LaneState* states) const noexcept;
  HostIndex pick_elsewhere(uint32_t point, const PickInput& input, LaneView& view, LaneState* states) const noexcept;
  // nullptr: there are none such.
  const Table* target_of(const Target& target, uint32_t& state) const noexcept;

  std::vector<Level> levels_;  // one at least
  size_t healthy_ = 0;
  size_t degraded_ = 0;
  bool panics_ = false;
  bool single_ = false;  // the first table takes every request
};

// Each level takes as much of what is left of 100 % as its (overprovisioned) health allows; first healthy hosts of all
// levels, then degraded ones.
template <class HealthOf>
LevelShares share_out(size_t levels, const PrioritySet& passed_over, HealthOf&& health_of) noexcept {
  LevelShares out;
  uint32_t left = 100;
  auto take = [&](uint8_t& percent, uint32_t health) {
    percent = static_cast<uint8_t>(std::min(left, health));
    out.health += health;
    left -= percent;
  };
  for (size_t p = 0; p < levels; ++p) {
    if (!passed_over[p]) take(out.healthy[p], health_of(p).healthy);
  }
  for (size_t p = 0; p < levels && left > 0; ++p) {
    if (!passed_over[p]) take(out.degraded[p], health_of(p).degraded);
  }
  if (left == 0 || left == 100) return out;
  // Not enough health in sum: what is there takes everything, in proportion.
  const uint32_t given = 100 - left;
  uint32_t sum = 0;
  uint8_t* first = nullptr;
  for (LevelShares::Percents* percents : {&out.healthy, &out.degraded}) {
    for (uint8_t& percent : *percents) {
      if (percent > 0 && first == nullptr) first = &percent;
      sum += percent = static_cast<uint8_t>(percent * 100 / given);
    }
  }
  *first += static_cast<uint8_t>(100 - sum);
  return out;
}

}  // namespace weir::lb
