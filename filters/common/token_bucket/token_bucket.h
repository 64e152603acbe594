// Token buckets: full at first, so many tokens more at each end of an interval, up to a most. One word each, which any
// number of lanes change without a lock.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "core/base/time.h"

namespace weir::filters {

// [immutable]
struct BucketSpec {
  uint32_t max_tokens = 0;
  uint32_t tokens_per_fill = 1;
  Duration fill_interval{};  // above zero

  // Which of two is the stricter: tokens in the same time.
  bool slower_than(const BucketSpec& other) const {
    return static_cast<double>(tokens_per_fill) * static_cast<double>(other.fill_interval.count()) <
           static_cast<double>(other.tokens_per_fill) * static_cast<double>(fill_interval.count());
  }
};

// [any] Holds exactly: no two takers get one token.
class TokenBucket {
 public:
  // All of `count` tokens, or none if there are not so many. 0: whether there is one.
  bool take(const BucketSpec& spec, MonoTime now, uint32_t count = 1) noexcept {
    return remove(spec, now, std::max<uint32_t>(count, 1), count);
  }
  // As many of `count` tokens as there are.
  void drain(const BucketSpec& spec, MonoTime now, uint32_t count) noexcept { remove(spec, now, 1, count); }
  // As new. Who takes at the same time takes from before or from after.
  void renew() noexcept {
    start_.store(kUnset, std::memory_order_relaxed);
    state_.store(0, std::memory_order_release);
  }
  uint32_t tokens(const BucketSpec& spec, MonoTime now) noexcept {
    const uint32_t fills = fills_until(spec, start_at(now), now);
    return static_cast<uint32_t>(tokens_in(state_.load(std::memory_order_relaxed), spec, fills));
  }
  // Until tokens come again.
  Duration until_fill(const BucketSpec& spec, MonoTime now) noexcept {
    return spec.fill_interval - (since(start_at(now), now) % spec.fill_interval);
  }

 private:
  // At most `most` tokens, if there are `least` (above zero).
  bool remove(const BucketSpec& spec, MonoTime now, uint64_t least, uint64_t most) noexcept {
    const int64_t start = start_at(now);
    const uint32_t fills = fills_until(spec, start, now);
    uint64_t seen = state_.load(std::memory_order_relaxed);
    while (true) {
      const uint64_t tokens = tokens_in(seen, spec, fills);
      if (tokens < least) return false;
      if (most == 0) return true;
      // Somebody else may be ahead in time: then fills do not go back.
      const uint32_t at = ahead(fills_of(seen), fills) ? fills_of(seen) : fills;
      const uint64_t left = tokens - std::min(tokens, most);
      if (!state_.compare_exchange_weak(seen, pack(at, spec.max_tokens - left), std::memory_order_acquire)) continue;
      // Renewed in between: fills since another start would mean that none come for long.
      if (start_.load(std::memory_order_relaxed) != start) state_.store(0, std::memory_order_relaxed);
      return true;
    }
  }
  // Intervals count from the first use on.
  int64_t start_at(MonoTime now) noexcept {
    const int64_t ticks = now.time_since_epoch().count();
    int64_t start = start_.load(std::memory_order_relaxed);
    // Written once: lanes that only read it share its cache line.
    if (start == kUnset && start_.compare_exchange_strong(start, ticks, std::memory_order_relaxed)) start = ticks;
    return start;
  }
  // A lane may be a turn behind the start.
  static Duration since(int64_t start, MonoTime now) {
    return Duration(std::max<int64_t>(now.time_since_epoch().count() - start, 0));
  }
  // Wraps after a long life; differences stay right.
  static uint32_t fills_until(const BucketSpec& spec, int64_t start, MonoTime now) {
    return static_cast<uint32_t>(since(start, now) / spec.fill_interval);
  }
  static uint64_t pack(uint32_t fills, uint64_t taken) { return uint64_t{fills} << 32 | taken; }
  static uint32_t fills_of(uint64_t state) { return static_cast<uint32_t>(state >> 32); }
  static bool ahead(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) > 0; }
  static uint64_t tokens_in(uint64_t state, const BucketSpec& spec, uint32_t fills) {
    const uint64_t left = spec.max_tokens - std::min<uint64_t>(state & UINT32_MAX, spec.max_tokens);
    if (!ahead(fills, fills_of(state))) return left;
    return std::min<uint64_t>(spec.max_tokens, left + uint64_t{fills - fills_of(state)} * spec.tokens_per_fill);
  }

  static constexpr int64_t kUnset = INT64_MIN;
  std::atomic<int64_t> start_{kUnset};
  std::atomic<uint64_t> state_{0};  // fills that were counted, and tokens that are missing then
};

}  // namespace weir::filters
