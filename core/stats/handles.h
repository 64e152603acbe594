// What code holds to count: a counter, a gauge or a histogram, resolved by name once, when configuration is built.
// Handles are plain values; the store that made them gives out the same cell for the same name.
#pragma once

#include <cstdint>

#include "core/stats/cells.h"

namespace weir::stats {

// Only goes up (until /reset_counters). [any]
class Counter {
 public:
  Counter() = default;
  explicit Counter(uint32_t cell) : cell_(cell) {}
  void inc() const { add(1); }
  void add(uint64_t amount) const {
    std::atomic<uint64_t>& at = cell(cell_);
    at.store(at.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  uint64_t value() const { return read_cell(cell_); }
  uint32_t cell_index() const { return cell_; }

 private:
  uint32_t cell_ = 0;  // cell 0 is reserved: a default-made handle counts into nowhere
};

// Goes up and down; every thread's share may be negative, the sum is the value. [any]
class Gauge {
 public:
  Gauge() = default;
  explicit Gauge(uint32_t cell) : cell_(cell) {}
  void inc() const { add(1); }
  void dec() const { add(-1); }
  void add(int64_t amount) const {
    std::atomic<uint64_t>& at = cell(cell_);
    at.store(at.load(std::memory_order_relaxed) + static_cast<uint64_t>(amount), std::memory_order_relaxed);
  }
  // For gauges that one thread alone writes.
  void set(uint64_t value) const { cell(cell_).store(value, std::memory_order_relaxed); }
  int64_t value() const { return static_cast<int64_t>(read_cell(cell_)); }
  uint32_t cell_index() const { return cell_; }

 private:
  uint32_t cell_ = 0;
};

// Log-linear distribution of non-negative integers (milliseconds, bytes). Per-thread buckets are allocated at the first
// value. [any]
class Histogram {
 public:
  Histogram() = default;
  explicit Histogram(uint32_t cell) : cell_(cell) {}
  void record(uint64_t value) const;
  uint32_t cell_index() const { return cell_; }

 private:
  uint32_t cell_ = 0;
};

}  // namespace weir::stats
