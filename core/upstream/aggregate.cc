#include "core/upstream/aggregate.h"

#include <algorithm>

#include "core/upstream/lane_clusters.h"

namespace weir::upstream {

void Aggregate::add(const ClusterSpec& spec, uint32_t depth) {
  for (const event::SlotId slot : spec.members) {
    ClusterLocal* cluster = clusters_.find(slot);
    if (cluster == nullptr) continue;  // it comes later, or has gone
    if (!cluster->current()->spec.members.empty()) {
      if (depth < kDeepest) add(cluster->current()->spec, depth + 1);
      continue;
    }
    if (cluster->hosts() == nullptr) continue;
    const lb::Levels& levels = cluster->hosts()->levels();
    for (size_t p = 0; p < levels.size() && levels_.size() < kMostLevels; ++p)
      levels_.push_back({cluster, static_cast<uint32_t>(p), levels.health_of(p), levels.populated(p)});
  }
}

void Aggregate::build(const ClusterSpec& spec) {
  levels_.clear();
  add(spec, 1);
  built_of_ = &spec;
  built_at_ = changes();  // behind add(), which may be the first to use a cluster
  shares_ = lb::share_out(levels_.size(), {}, [this](size_t p) { return levels_[p].health; });
  if (shares_.health > 0) return;
  // Nobody is healthy: the first level with hosts panics.
  const auto first = std::find_if(levels_.begin(), levels_.end(), [](const Level& one) { return one.populated; });
  if (first != levels_.end()) shares_.healthy[static_cast<size_t>(first - levels_.begin())] = 100;
}

uint64_t Aggregate::changes() const { return clusters_.changes(); }

Member Aggregate::choose(const lb::PickInput& input) {
  const lb::LevelShares* shares = &shares_;
  lb::LevelShares elsewhere;
  if (input.passed_over != nullptr && usable_without(*input.passed_over)) {
    elsewhere = lb::share_out(levels_.size(), *input.passed_over, [this](size_t p) { return levels_[p].health; });
    shares = &elsewhere;
  }
  uint32_t point = input.has_hash ? static_cast<uint32_t>(input.hash % 100) : clusters_.lane().random().below(100);
  for (const bool degraded : {false, true}) {
    const lb::LevelShares::Percents& percents = degraded ? shares->degraded : shares->healthy;
    for (size_t p = 0; p < levels_.size(); ++p) {
      if (point < percents[p]) return at(p, degraded);
      point -= percents[p];
    }
  }
  return {};
}

bool Aggregate::usable_without(const lb::PrioritySet& passed_over) const noexcept {
  for (size_t p = 0; p < levels_.size(); ++p) {
    if (!passed_over[p] && levels_[p].health.healthy + levels_[p].health.degraded > 0) return true;
  }
  return false;
}

bool Aggregate::has_other_hosts(std::span<const lb::Host* const> tried) const {
  return std::any_of(levels_.begin(), levels_.end(),
                     [&](const Level& level) { return level.cluster->has_other_hosts(tried); });
}

}  // namespace weir::upstream
