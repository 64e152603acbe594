// Circuit-breaker limits that hold over all lanes. A lane takes a batch from the global count and gives out of it
// without touching shared memory; a small limit, and the rest of one that is nearly reached, is counted one by one. Use
// never exceeds the limit. What a lane holds and does not use, others get by a recall (recall.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/time.h"

namespace weir::upstream {

// Of requests, by their routes (RouteAction.priority): each has limits and connections of its own.
enum class Priority : uint8_t { kDefault, kHigh };

// One limit of one cluster. [any] for taken(); lanes reach it through their Lease.
class SharedLimit {
 public:
  // `largest_batch`: 1 where taken() is to be exact whatever the limit is, and use is rare.
  SharedLimit(uint32_t max, uint32_t lanes, uint32_t largest_batch = 64)
      : lanes_(lanes), largest_batch_(largest_batch), max_(max) {}
  uint32_t max() const { return max_.load(std::memory_order_relaxed); }
  // [main] A lower limit refuses new use; what is in use goes on.
  void set_max(uint32_t max) { max_.store(max, std::memory_order_relaxed); }
  uint32_t lanes() const { return lanes_; }
  int64_t taken() const { return taken_.load(std::memory_order_relaxed); }
  // Of a share that was on its way to a lane which does not want it (Lease::pass_on). [any]
  void give_back_one() { taken_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  friend class Lease;
  // How many a lane takes at once: one when the limit is so small that unused shares would matter.
  uint32_t batch() const {
    uint32_t share = max() / (lanes_ * 16);
    share = share > largest_batch_ ? largest_batch_ : (share < 1 ? 1 : share);
    // Near the end a batch would be what the others lack.
    return taken() + int64_t{share} * lanes_ > max() ? 1 : share;
  }
  const uint32_t lanes_;
  const uint32_t largest_batch_;
  std::atomic<uint32_t> max_;
  std::atomic<int64_t> taken_{0};
  // A bit for each lane, or for those that are 64 apart: it may hold what it does not use. Written once by each lane,
  // read when the limit is reached.
  static uint64_t bit_of(uint32_t lane) { return uint64_t{1} << (lane % 64); }
  std::atomic<uint64_t> may_hold_{0};
};

// Retries beside the percentage of the budget that nobody has configured, instead of a floor: one for each answer that
// was not to be repeated. So that as long as some hosts answer, what others fail goes to them; and a cluster of which
// nothing answers gets hardly more than the percentage, however few requests there are at a time: what is there at the
// beginning, and one in a second. What the percentage allows uses them up, too. [worker]
class FreeRetries {
 public:
  // An answer has come. There may be as many as half of the requests could need at once.
  void give(uint32_t active_requests) {
    const int32_t left = left_.load(std::memory_order_relaxed);
    if (left < kAtFirst || left < static_cast<int32_t>(active_requests / 2))
      left_.fetch_add(1, std::memory_order_relaxed);
  }
  bool take(MonoTime now);
  // As take(), where one is not needed.
  bool take_if_any();

 private:
  static constexpr int32_t kAtFirst = 30;  // as a few people who try things out may need in a row
  // Read with every answer, and written with retries: by itself.
  alignas(64) std::atomic<int32_t> left_{kAtFirst};
  std::atomic<MonoTime> taken_at_{MonoTime{}};  // though there were none left
};

// A lane's part of a limit. [worker]
class Lease {
 public:
  Lease() = default;
  explicit Lease(std::shared_ptr<SharedLimit> limit, uint32_t lane = 0) { attach(std::move(limit), lane); }
  ~Lease() { give_back(taken_); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  // What is in use counts against the new limit from now on, even beyond it. `lane`: whose lease this is.
  void attach(std::shared_ptr<SharedLimit> limit, uint32_t lane);

  // False: the limit is reached, unless another lane gives something back (recall.h).
  bool acquire() {
    if (used_ < taken_) {
      ++used_;
      return true;
    }
    return acquire_slow();
  }
  void release() {
    --used_;
    if (taken_ - used_ > keep_) give_back(taken_ - used_ - keep_ / 2);
  }
  uint32_t used() const { return used_; }
  // Unused shares go back: another lane was refused.
  void recall() { give_back(taken_ - used_); }
  // The limit may be another one: what is not in use was taken under the old one.
  void look_again() {
    recall();
    keep_ = 0;
  }
  // What this lane uses it may not need (an idle connection): it wants to be asked, too.
  void announce() {
    if (!announced_) announce_slow();
  }
  bool may_be_held_by(uint32_t lane) const {
    return limit_ != nullptr && (limit_->may_hold_.load(std::memory_order_relaxed) & SharedLimit::bit_of(lane)) != 0;
  }
  SharedLimit* limit() const { return limit_.get(); }
  // A share that was in use is unused, and stays here.
  void put_back() { --used_; }
  // A share that was in use leaves for another lane without anybody else getting it; that lane's accept() follows.
  std::shared_ptr<SharedLimit> pass_on() {
    --used_;
    --taken_;
    return limit_;
  }
  void accept() { ++taken_; }

 private:
  bool acquire_slow();
  void announce_slow();
  void give_back(uint32_t count);
  std::shared_ptr<SharedLimit> limit_;
  uint32_t used_ = 0;
  uint32_t taken_ = 0;
  uint32_t keep_ = 0;  // unused shares kept for the next requests
  uint32_t lane_ = 0;
  bool announced_ = false;
};

}  // namespace weir::upstream
