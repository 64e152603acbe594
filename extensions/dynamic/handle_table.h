// The numbers that plugins know streams by. A number says worker (8 bits), slot (20) and generation (36); a slot's
// generation moves on each time it is given back, and slots are reused first in, first out, so that an old number meets
// a new stream only after 2^36 reuses of one slot.
#pragma once

#include <cstdint>
#include <vector>

#include "weir/plugin.h"

namespace weir::extensions::dynamic {

class Filter;

// One per lane. [worker]
class HandleTable {
 public:
  static constexpr int kSlotBits = 20;
  static constexpr int kGenerationBits = 36;
  static constexpr uint32_t kMaxSlots = uint32_t{1} << kSlotBits;
  static constexpr uint64_t kGenerationMask = (uint64_t{1} << kGenerationBits) - 1;

  // `max_slots`: tests make small ones.
  explicit HandleTable(uint32_t worker, uint32_t max_slots = kMaxSlots) : worker_(worker), max_slots_(max_slots) {}

  static uint32_t worker_of(weir_stream handle) {
    return static_cast<uint32_t>(handle >> (kSlotBits + kGenerationBits));
  }
  // 0: every slot is in use.
  weir_stream add(Filter& filter);
  void remove(weir_stream handle);
  // nullptr: given back, or never given out. The worker must have been compared before.
  Filter* find(weir_stream handle) const {
    uint32_t slot = slot_of(handle);
    if (slot >= slots_.size()) return nullptr;
    const Slot& at = slots_[slot];
    return at.generation == (handle & kGenerationMask) ? at.filter : nullptr;
  }
  uint32_t live() const { return live_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  // A slot is reused no sooner than after this many others, while the table may grow.
  static constexpr uint32_t kMinFree = 256;
  struct Slot {
    Filter* filter = nullptr;
    uint64_t generation = 1;
    uint32_t next_free = kNone;
  };
  static uint32_t slot_of(weir_stream handle) {
    return static_cast<uint32_t>(handle >> kGenerationBits) & (kMaxSlots - 1);
  }

  std::vector<Slot> slots_;
  uint32_t first_free_ = kNone;
  uint32_t last_free_ = kNone;
  uint32_t free_count_ = 0;
  uint32_t live_ = 0;
  const uint32_t worker_;
  const uint32_t max_slots_;
};

}  // namespace weir::extensions::dynamic
