// A cluster that has no hosts of its own: it stands for others, whose priorities follow each other in the order in
// which the clusters are named. Which of them a request goes to is decided by the health of all, as in a cluster that
// has all those priorities; the cluster behind it then picks the host, in its own way.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/lb/levels.h"

namespace weir::upstream {

class ClusterLocal;
class LaneClusters;
struct ClusterSpec;

// Where an attempt goes.
struct Member {
  ClusterLocal* cluster = nullptr;  // nullptr: nobody can take it
  lb::Target target;                // in that cluster
  uint32_t level = 0;               // the place of its priority among all
};

// Of a lane; made anew when hosts have changed and somebody asks. [worker]
class Aggregate {
 public:
  // As many priorities as a set of them holds; those behind them are not used.
  static constexpr size_t kMostLevels = lb::PrioritySet().size();
  // An aggregate of aggregates, and so on. A configuration has no circle; while it changes there may be one.
  static constexpr uint32_t kDeepest = 16;

  explicit Aggregate(LaneClusters& clusters) : clusters_(clusters) {}

  // Before all else: what is known by now.
  void refresh(const ClusterSpec& spec) {
    if (built_of_ != &spec || built_at_ != changes()) build(spec);
  }
  Member choose(const lb::PickInput& input);
  // As lb::HostSet: some level that is not in this list has a usable host.
  bool usable_without(const lb::PrioritySet& passed_over) const noexcept;
  bool has_other_hosts(std::span<const lb::Host* const> tried) const;

 private:
  struct Level {
    ClusterLocal* cluster;
    uint32_t priority;
    lb::LevelHealth health;
    bool populated;
  };
  uint64_t changes() const;
  void build(const ClusterSpec& spec);
  void add(const ClusterSpec& spec, uint32_t depth);
  Member at(size_t level, bool degraded) const {
    const auto index = static_cast<uint32_t>(level);
    return {levels_[level].cluster, {levels_[level].priority, degraded}, index};
  }

  LaneClusters& clusters_;
  const ClusterSpec* built_of_ = nullptr;
  uint64_t built_at_ = 0;  // LaneClusters::changes()
  std::vector<Level> levels_;
  lb::LevelShares shares_;
};

}  // namespace weir::upstream
