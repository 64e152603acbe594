#include "core/event/slot.h"

namespace weir::event {

SlotTable::~SlotTable() {
  for (auto& slots : slots_) {
    for (SlotRecord* record : slots) delete record;
  }
}

void SlotTable::apply(const std::vector<SlotChange>& changes) {
  for (const SlotChange& change : changes) {
    auto& slots = slots_[static_cast<size_t>(change.id.kind)];
    if (change.id.index >= slots.size()) {
      if (change.version == nullptr) continue;
      slots.resize(change.id.index + 1, nullptr);
    }
    SlotRecord* before = slots[change.id.index];
    if (before != nullptr) ++before->pins;  // alive while observers look at it
    if (SlotObserver* observer = observers_[static_cast<size_t>(change.id.kind)]) {
      observer->on_slot_changed(change.id, before != nullptr ? before->version : nullptr, change.version);
    }
    slots[change.id.index] = change.version != nullptr ? new SlotRecord{change.version, this, 0, true} : nullptr;
    if (before != nullptr) {
      before->current = false;
      ++retired_;
      if (--before->pins == 0) release(before);
    }
  }
}

void SlotTable::release(SlotRecord* record) {
  WEIR_ASSERT(!record->current && record->pins == 0);
  --retired_;
  released_.push_back(record->version);
  delete record;
}

uint64_t SlotTable::pins() const {
  uint64_t total = 0;
  for (const auto& slots : slots_) {
    for (const SlotRecord* record : slots) {
      if (record != nullptr) total += record->pins;
    }
  }
  return total;
}

}  // namespace weir::event
