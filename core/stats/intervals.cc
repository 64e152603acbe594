#include "core/stats/intervals.h"

#include <utility>

namespace weir::stats {

Intervals take_intervals(const Frozen& stats, Intervals& before) {
  Intervals now, since;
  stats.for_each_histogram([&](uint32_t cell) {
    HistogramSnapshot read = read_histogram(cell);
    if (read.count == 0) return;
    const auto old = before.find(cell);
    // Fewer than before: the cell is another histogram's by now.
    if (old == before.end() || old->second.count > read.count) {
      since.emplace(cell, read);
    } else if (old->second.count < read.count) {
      since.emplace(cell, read.since(old->second));
    }
    now.emplace(cell, std::move(read));
  });
  before = std::move(now);
  return since;
}

}  // namespace weir::stats
