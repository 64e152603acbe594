#include "core/lb/levels.h"

#include <algorithm>
#include <utility>

#include "core/base/assert.h"
#include "core/lb/localities.h"
#include "core/lb/zones.h"

namespace weir::lb {
namespace {

// A policy may have refused to make one.
HostIndex pick_of(const Table* table, const PickInput& input, LaneView& view, LaneState& state) {
  return table != nullptr ? table->pick(input, view, state) : kNoHost;
}

}  // namespace

Levels::Levels(std::span<const HostEntry> hosts, std::span<const HostIndex> members, const PolicyDescriptor& policy,
               const void* policy_config, const BalanceOptions& options, uint32_t& next_state) {
  uint32_t top = 0;
  for (HostIndex i : members) top = std::max(top, hosts[i].priority);
  WEIR_CHECK(top < PrioritySet().size());
  levels_.resize(top + 1);
  std::vector<std::vector<HostIndex>> all(levels_.size()), healthy(levels_.size()), degraded(levels_.size());
  for (HostIndex i : members) {
    const HostEntry& host = hosts[i];
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
    levels_[p].health = {percent(healthy[p]), percent(degraded[p])};
    levels_[p].populated = !all[p].empty();
  }
  LevelShares shares = shares_without({});
  const auto panics = [&](size_t p) {
    const size_t usable = healthy[p].size() + degraded[p].size();
    return shares.health < 100 && usable * 100 < uint64_t{options.panic_threshold_percent} * all[p].size();
  };
  // Where nobody is healthy, or all levels panic, health says nothing: as published, they share by their size.
  bool by_size = shares.health == 0;
  if (!by_size) {
    by_size = true;
    for (size_t p = 0; p < levels_.size() && by_size; ++p) by_size = all[p].empty() || panics(p);
  }
  if (by_size && !members.empty()) {
    shares.healthy = shares.degraded = {};
    uint32_t left = 100;
    for (size_t p = 0; p < levels_.size(); ++p)
      left -= shares.healthy[p] = static_cast<uint8_t>(all[p].size() * 100 / members.size());
    auto first = std::find_if(all.begin(), all.end(), [](const auto& level) { return !level.empty(); });
    shares.healthy[static_cast<size_t>(first - all.begin())] += static_cast<uint8_t>(left);
  }
  const bool by_zone = options.zones && options.local_cluster != nullptr && options.zone_stats != nullptr;
  auto build = [&](const std::vector<HostIndex>& usable, size_t p, bool panic, uint32_t& state) {
    std::unique_ptr<const Table> table;
    // As published, of the first priority alone.
    if (by_zone && p == 0 && !panic && &usable == &healthy[p])
      table = build_by_zone(policy, policy_config, {hosts, usable}, all[p], options);
    if (table == nullptr) table = build_table(policy, policy_config, {hosts, usable}, all[p], options, panic);
    state = next_state;
    if (table != nullptr) next_state += table->lane_states();
    return table;
  };
  for (size_t p = 0; p < levels_.size(); ++p) {
    Level& level = levels_[p];
    level.load = shares.healthy[p];
    level.degraded_load = shares.degraded[p];
    if (panics(p)) {
      level.panic = panics_ = true;
      level.load += std::exchange(level.degraded_load, 0);
      if (!options.fails_on_panic()) level.table = build(all[p], p, true, level.state);
      continue;
    }
    if (!healthy[p].empty()) level.table = build(healthy[p], p, false, level.state);
    if (!degraded[p].empty()) level.degraded_table = build(degraded[p], p, false, level.degraded_state);
  }
  single_ = levels_.size() == 1 && levels_[0].degraded_load == 0 && !panics_;
}

bool Levels::usable_without(const PrioritySet& passed_over) const noexcept {
  for (size_t p = 0; p < levels_.size(); ++p) {
    if (!passed_over[p] && levels_[p].health.healthy + levels_[p].health.degraded > 0) return true;
  }
  return false;
}

HostIndex Levels::pick_level(const PickInput& input, LaneView& view, LaneState* states) const noexcept {
  if (input.target.priority != Target::kAny) {
    uint32_t state = 0;
    if (const Table* table = target_of(input.target, state)) {
      view.panicked = levels_[input.target.priority].panic;
      return table->pick(input, view, states[state]);
    }
  }
  const uint32_t point = input.has_hash ? static_cast<uint32_t>(input.hash % 100) : view.random.below(100);
  return input.passed_over == nullptr ? pick_among(point, input, view, states)
                                      : pick_elsewhere(point, input, view, states);
}

const Table* Levels::target_of(const Target& target, uint32_t& state) const noexcept {
  if (target.priority >= levels_.size()) return nullptr;
  const Level& level = levels_[target.priority];
  const bool degraded = target.degraded && level.degraded_table != nullptr;
  state = degraded ? level.degraded_state : level.state;
  return degraded ? level.degraded_table.get() : level.table.get();
}

// `point`: of the hundred, first those that healthy hosts of all levels take, then those that degraded ones do.
HostIndex Levels::pick_among(uint32_t point, const PickInput& input, LaneView& view, LaneState* states) const noexcept {
  for (const Level& level : levels_) {
    view.panicked = level.panic;
    if (point < level.load) return pick_of(level.table.get(), input, view, states[level.state]);
    point -= level.load;
  }
  view.panicked = false;
  for (const Level& level : levels_) {
    if (point < level.degraded_load)
      return pick_of(level.degraded_table.get(), input, view, states[level.degraded_state]);
    point -= level.degraded_load;
  }
  return kNoHost;
}

// Like pick(), as if the priorities that are passed over had no usable host; unless no other has any.
HostIndex Levels::pick_elsewhere(uint32_t point, const PickInput& input, LaneView& view,
                                 LaneState* states) const noexcept {
  if (!usable_without(*input.passed_over)) return pick_among(point, input, view, states);
  const LevelShares shares = shares_without(*input.passed_over);
  for (const bool degraded : {false, true}) {
    const LevelShares::Percents& percents = degraded ? shares.degraded : shares.healthy;
    for (size_t p = 0; p < levels_.size(); ++p) {
      if (point >= percents[p]) {
        point -= percents[p];
        continue;
      }
      // In a panic all of its hosts are in one table.
      const Level& level = levels_[p];
      view.panicked = level.panic;
      return degraded && !level.panic ? pick_of(level.degraded_table.get(), input, view, states[level.degraded_state])
                                      : pick_of(level.table.get(), input, view, states[level.state]);
    }
  }
  return kNoHost;
}

}  // namespace weir::lb
