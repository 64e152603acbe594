#include "extensions/dynamic/handle_table.h"

#include "core/base/assert.h"

namespace weir::extensions::dynamic {

weir_stream HandleTable::add(Filter& filter) {
  uint32_t slot;
  if (slots_.size() < max_slots_ && free_count_ < kMinFree) {
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else if (free_count_ > 0) {
    slot = first_free_;
    first_free_ = slots_[slot].next_free;
    if (first_free_ == kNone) last_free_ = kNone;
    --free_count_;
  } else {
    return 0;
  }
  Slot& at = slots_[slot];
  at.filter = &filter;
  ++live_;
  return uint64_t{worker_} << (kSlotBits + kGenerationBits) | uint64_t{slot} << kGenerationBits | at.generation;
}

void HandleTable::remove(weir_stream handle) {
  if (WEIR_BUG(find(handle) == nullptr)) return;
  uint32_t slot = slot_of(handle);
  Slot& at = slots_[slot];
  at.filter = nullptr;
  at.generation = (at.generation + 1) & kGenerationMask;
  if (at.generation == 0) at.generation = 1;
  at.next_free = kNone;
  if (last_free_ != kNone) slots_[last_free_].next_free = slot;
  last_free_ = slot;
  if (first_free_ == kNone) first_free_ = slot;
  ++free_count_;
  --live_;
}

}  // namespace weir::extensions::dynamic
