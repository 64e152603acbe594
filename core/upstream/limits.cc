#include "core/upstream/limits.h"

namespace weir::upstream {

bool FreeRetries::take_if_any() {
  int32_t left = left_.load(std::memory_order_relaxed);
  while (left > 0) {
    if (left_.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

bool FreeRetries::take(MonoTime now) {
  if (take_if_any()) return true;
  MonoTime before = taken_at_.load(std::memory_order_relaxed);
  return now - before >= 1s && taken_at_.compare_exchange_strong(before, now, std::memory_order_relaxed);
}

bool Lease::acquire_slow() {
  SharedLimit& limit = *limit_;
  uint32_t wanted = limit.batch();
  keep_ = wanted > 1 ? wanted * 2 : 0;
  if (wanted > 1) announce();
  while (true) {
    int64_t before = limit.taken_.fetch_add(wanted, std::memory_order_relaxed);
    if (before + wanted <= limit.max()) {
      taken_ += wanted;
      ++used_;
      return true;
    }
    limit.taken_.fetch_sub(wanted, std::memory_order_relaxed);
    if (wanted == 1) return false;
    wanted = 1;
  }
}

void Lease::announce_slow() {
  announced_ = true;
  limit_->may_hold_.fetch_or(SharedLimit::bit_of(lane_), std::memory_order_relaxed);
}

void Lease::attach(std::shared_ptr<SharedLimit> limit, uint32_t lane) {
  if (limit_ != nullptr) give_back(taken_);
  limit_ = std::move(limit);
  lane_ = lane;
  announced_ = false;
  taken_ = used_;
  keep_ = 0;
  if (limit_ != nullptr && taken_ > 0) limit_->taken_.fetch_add(taken_, std::memory_order_relaxed);
}

void Lease::give_back(uint32_t count) {
  if (count == 0) return;
  taken_ -= count;
  limit_->taken_.fetch_sub(count, std::memory_order_relaxed);
}

}  // namespace weir::upstream
