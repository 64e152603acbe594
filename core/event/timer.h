// One timer wheel per lane. A timer is a node inside its owner; arming and cancelling touch no heap and no system call.
// Resolution is one millisecond; a timer never fires early.
#pragma once

#include <cstdint>

#include "core/base/intrusive_list.h"
#include "core/base/time.h"

namespace weir::event {

class TimerWheel;

// Derive or embed. [worker] The destructor cancels. on_timer() is called once per arming.
class Timer {
 public:
  virtual ~Timer() = default;
  bool armed() const { return node_.linked(); }
  void cancel() { node_.unlink(); }
  MonoTime deadline() const { return deadline_; }

 protected:
  virtual void on_timer() = 0;

 private:
  friend class TimerWheel;
  ListNode node_;
  MonoTime deadline_{};
};

// A hashed hierarchical wheel: 4 levels of 256 slots of 1 ms, 256 ms, 65.5 s and 4.66 h. Deadlines beyond the last
// level wait in its last slot and are re-linked.
class TimerWheel {
 public:
  explicit TimerWheel(MonoTime start) : start_(start) {}

  // (Re)arms. A deadline that has passed fires at the next advance().
  void arm(Timer& timer, MonoTime deadline);
  // Fires everything due at `now`. Timers armed meanwhile fire at the next call at the earliest.
  void advance(MonoTime now);
  // How long the loop may sleep; Duration::max() when nothing is armed. May be too short (never too long) by the width
  // of a slot of an upper level.
  Duration until_next(MonoTime now) const;

 private:
  static constexpr int kLevels = 4;
  static constexpr int kSlotBits = 8;
  static constexpr int kSlots = 1 << kSlotBits;
  using Slot = IntrusiveList<Timer, &Timer::node_>;

  uint64_t tick_of(MonoTime t) const {
    return t <= start_ ? 0 : static_cast<uint64_t>((t - start_).count() + 999'999) / 1'000'000;
  }
  void link(Timer& timer, uint64_t tick);

  const MonoTime start_;
  uint64_t current_ = 0;  // every tick below and including this has been fired
  Slot slots_[kLevels][kSlots];
  // One bit per slot that may hold something; cleared when a slot is found empty.
  mutable uint64_t busy_[kLevels][kSlots / 64] = {};
  Slot due_;
};

}  // namespace weir::event
