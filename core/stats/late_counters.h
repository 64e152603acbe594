// Counters of one thing whose names appear when they first count: most things never have them. After that a count costs
// an addition to a cell of this thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/stats/store.h"

namespace weir::stats {

template <size_t kSize>
using LateNames = std::array<std::string_view, kSize>;

// Made on main, beside the group; must not outlive it. inc() from any thread.
template <size_t kSize>
class LateCounters {
 public:
  // `names`: behind that of the group's thing; static.
  LateCounters(const Group& group, const LateNames<kSize>& names) : group_(group), names_(names) {}
  LateCounters(const LateCounters&) = delete;
  LateCounters& operator=(const LateCounters&) = delete;

  void inc(size_t index) const {
    // Acquire: whoever published the index saw its cells zeroed. Two threads may make it at once: the store gives both
    // the same cell.
    uint32_t cell = cells_[index].load(std::memory_order_acquire);
    if (cell == 0) [[unlikely]] {
      cell = group_.store().dynamic_counter(group_, names_[index]).cell_index();
      cells_[index].store(cell, std::memory_order_release);
    }
    Counter(cell).inc();
  }

 private:
  const Group& group_;
  const LateNames<kSize>& names_;
  mutable std::array<std::atomic<uint32_t>, kSize> cells_{};  // 0: not made yet
};

}  // namespace weir::stats
