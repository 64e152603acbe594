#include "core/event/timer.h"

#include <algorithm>
#include <bit>

namespace weir::event {

void TimerWheel::link(Timer& timer, uint64_t tick) {
  uint64_t delta = tick > current_ ? tick - current_ : 0;
  int level = 0;
  while (level < kLevels - 1 && delta >= (uint64_t{1} << (kSlotBits * (level + 1)))) ++level;
  uint64_t horizon = current_ + (uint64_t{1} << (kSlotBits * kLevels)) - 1;
  uint64_t index = (std::min(tick, horizon) >> (kSlotBits * level)) & (kSlots - 1);
  slots_[level][index].push_back(timer);
  busy_[level][index / 64] |= uint64_t{1} << (index % 64);
}

void TimerWheel::arm(Timer& timer, MonoTime deadline) {
  timer.node_.unlink();
  timer.deadline_ = deadline;
  link(timer, std::max(tick_of(deadline), current_ + 1));
}

void TimerWheel::advance(MonoTime now) {
  uint64_t target = now <= start_ ? 0 : static_cast<uint64_t>((now - start_).count()) / 1'000'000;
  while (current_ < target) {
    // Jump over ticks at which nothing can happen.
    Duration idle = until_next(start_ + Duration((current_)*1'000'000));
    uint64_t next = idle == Duration::max() ? target : current_ + static_cast<uint64_t>(idle.count() / 1'000'000);
    current_ = std::min(std::max(next, current_ + 1), target);
    for (int level = kLevels - 1; level > 0; --level) {
      // On the edge of an upper level's slot its timers move down.
      if ((current_ & ((uint64_t{1} << (kSlotBits * level)) - 1)) != 0) continue;
      uint64_t index = (current_ >> (kSlotBits * level)) & (kSlots - 1);
      Slot moved;
      while (Timer* timer = slots_[level][index].pop_front()) moved.push_back(*timer);
      busy_[level][index / 64] &= ~(uint64_t{1} << (index % 64));
      while (Timer* timer = moved.pop_front()) link(*timer, std::max(tick_of(timer->deadline_), current_));
    }
    uint64_t index = current_ & (kSlots - 1);
    while (Timer* timer = slots_[0][index].pop_front()) due_.push_back(*timer);
    busy_[0][index / 64] &= ~(uint64_t{1} << (index % 64));
    // A timer that a callback cancels or re-arms unlinks itself from due_.
    while (Timer* timer = due_.pop_front()) timer->on_timer();
  }
}

Duration TimerWheel::until_next(MonoTime now) const {
  for (int level = 0; level < kLevels; ++level) {
    uint64_t here = current_ >> (kSlotBits * level);
    for (int step = 1; step <= kSlots; ++step) {
      uint64_t index = (here + step) & (kSlots - 1);
      uint64_t word = busy_[level][index / 64] >> (index % 64);
      if (word == 0) {
        step += 63 - static_cast<int>(index % 64);  // to the end of this word; the loop adds one
        continue;
      }
      step += std::countr_zero(word);
      index = (here + step) & (kSlots - 1);
      if (step > kSlots) break;
      if (const_cast<TimerWheel*>(this)->slots_[level][index].empty()) {
        busy_[level][index / 64] &= ~(uint64_t{1} << (index % 64));
        continue;
      }
      uint64_t tick = (here + step) << (kSlotBits * level);
      // An occupied slot further up may be due before this one only at its edge, where it moves down; so take the
      // nearest edge of the levels above too.
      for (int above = level + 1; above < kLevels; ++above) {
        uint64_t edge = ((current_ >> (kSlotBits * above)) + 1) << (kSlotBits * above);
        uint64_t at = (edge >> (kSlotBits * above)) & (kSlots - 1);
        if (edge < tick && (busy_[above][at / 64] >> (at % 64) & 1) != 0) tick = edge;
      }
      MonoTime when = start_ + Duration(static_cast<int64_t>(tick) * 1'000'000);
      return when > now ? when - now : Duration::zero();
    }
  }
  return Duration::max();
}

}  // namespace weir::event
