// Latencies in nanoseconds, in buckets at most 1/32 wide.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace weir::bench {

class Histogram {
 public:
  void add(uint64_t value) {
    ++buckets_[bucket(value)];
    ++count_;
    max_ = std::max(max_, value);
  }

  double percentile_us(double share) const {
    uint64_t left = static_cast<uint64_t>(share * static_cast<double>(count_));
    for (size_t i = 0; i < buckets_.size(); ++i) {
      if (buckets_[i] > left) return static_cast<double>(std::min(upper_bound(i), max_)) / 1000;
      left -= buckets_[i];
    }
    return static_cast<double>(max_) / 1000;
  }

  double max_us() const { return static_cast<double>(max_) / 1000; }

 private:
  static size_t bucket(uint64_t value) {
    if (value < 32) return value;
    const int shift = 63 - std::countl_zero(value) - 5;
    return static_cast<size_t>(shift + 1) * 32 + (value >> shift) - 32;
  }
  static uint64_t upper_bound(size_t bucket) {
    if (bucket < 32) return bucket;
    return (static_cast<uint64_t>(bucket % 32) + 33) << (bucket / 32 - 1);
  }

  std::array<uint64_t, 64 * 32> buckets_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace weir::bench
