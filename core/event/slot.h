// How configuration reaches the lanes. Main publishes immutable versions of named things (listeners, route tables,
// clusters, host sets) in batches; each lane holds a table of slots and switches a slot to its new version at a turn
// boundary. Streams pin the versions they use with a plain per-lane count; when the last pin of a replaced version is
// gone on every lane, the version goes back to main and is destroyed there.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/assert.h"

namespace weir::event {

enum class SlotKind : uint8_t { kListener, kRouteTable, kCluster, kHostSet, kRuntime, kTransport, kOther };
constexpr size_t kSlotKinds = 7;

// The address of a slot: interned on main (one index per name and kind, never reused for another name).
struct SlotId {
  SlotKind kind = SlotKind::kOther;
  uint32_t index = 0;
  bool operator==(const SlotId&) const = default;
};

// Base of everything that is published. [immutable] after publication; created and destroyed on main only.
class Versioned {
 public:
  virtual ~Versioned() = default;

 private:
  friend class Publisher;
  uint32_t lanes_holding_ = 0;  // [main]
};

class SlotTable;

// A lane's record of one version: how many pins, and whether the slot still shows it.
struct SlotRecord {
  const Versioned* version = nullptr;
  SlotTable* table = nullptr;
  uint32_t pins = 0;
  bool current = true;
};

// Keeps a version alive on this lane. [worker] Plain counts: never hand a pin to another thread.
template <class T>
class Pin {
 public:
  Pin() = default;
  Pin(const Pin& other) : record_(other.record_) { hold(); }
  Pin(Pin&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  Pin& operator=(Pin other) noexcept {
    std::swap(record_, other.record_);
    return *this;
  }
  ~Pin() { drop(); }
  void reset() {
    drop();
    record_ = nullptr;
  }
  const T* get() const { return record_ != nullptr ? static_cast<const T*>(record_->version) : nullptr; }
  const T* operator->() const { return get(); }
  const T& operator*() const { return *get(); }
  explicit operator bool() const { return record_ != nullptr; }

 private:
  friend class SlotTable;
  explicit Pin(SlotRecord* record) : record_(record) { hold(); }
  void hold() {
    if (record_ != nullptr) ++record_->pins;
  }
  inline void drop();
  SlotRecord* record_ = nullptr;
};

// Told, per lane, when a slot changes; before is nullptr at creation, after is nullptr at removal. [worker], at a turn
// boundary, before the slot switches: pin() still gives the old version.
class SlotObserver {
 public:
  virtual ~SlotObserver() = default;
  virtual void on_slot_changed(SlotId id, const Versioned* before, const Versioned* after) = 0;
};

struct SlotChange {
  SlotId id;
  const Versioned* version;  // nullptr: empty the slot
};

// One per lane. [worker]
class SlotTable {
 public:
  ~SlotTable();
  // nullptr if the slot is empty.
  template <class T>
  const T* current(SlotId id) const {
    SlotRecord* record = find(id);
    return record != nullptr ? static_cast<const T*>(record->version) : nullptr;
  }
  template <class T>
  Pin<T> pin(SlotId id) const {
    return Pin<T>(find(id));
  }
  // Indices of this kind are below it.
  uint32_t size(SlotKind kind) const { return static_cast<uint32_t>(slots_[static_cast<size_t>(kind)].size()); }
  void observe(SlotKind kind, SlotObserver* observer) { observers_[static_cast<size_t>(kind)] = observer; }
  void apply(const std::vector<SlotChange>& changes);
  // Versions that nothing on this lane refers to any more; the lane sends them to main.
  bool has_released() const { return !released_.empty(); }
  std::vector<const Versioned*> take_released() { return std::exchange(released_, {}); }
  // Pins held now on current versions, and replaced versions that pins keep alive: both zero when idle. Walks.
  uint64_t pins() const;
  size_t retired() const { return retired_; }

 private:
  template <class T>
  friend class Pin;
  SlotRecord* find(SlotId id) const {
    const auto& slots = slots_[static_cast<size_t>(id.kind)];
    return id.index < slots.size() ? slots[id.index] : nullptr;
  }
  void release(SlotRecord* record);

  std::vector<SlotRecord*> slots_[kSlotKinds];
  SlotObserver* observers_[kSlotKinds] = {};
  std::vector<const Versioned*> released_;
  size_t retired_ = 0;
};

template <class T>
void Pin<T>::drop() {
  if (record_ != nullptr && --record_->pins == 0 && !record_->current) record_->table->release(record_);
}

}  // namespace weir::event
