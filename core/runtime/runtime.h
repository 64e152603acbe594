// Values that operators change at run time. Keys are interned when configuration is built; lanes look them up by index
// in an immutable snapshot, which a slot shows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/event/slot.h"

namespace weir::runtime {

// The slot of the snapshot; there is one.
inline constexpr event::SlotId kSlot{event::SlotKind::kRuntime, 0};

// How often: numerator in denominator.
struct Fraction {
  uint32_t numerator = 0;
  uint32_t denominator = 100;  // never 0
  // The same number gives the same answer: a stream draws one and stays on its side.
  bool hit(uint64_t random) const { return random % denominator < numerator; }
  bool operator==(const Fraction&) const = default;
};

// One value, in every form that it can be read in. A text has none of them.
struct Value {
  bool has_number = false;
  bool has_whole = false;  // a number that is not negative: rounded down
  bool has_boolean = false;
  bool has_fraction = false;
  bool boolean = false;
  double number = 0;
  uint64_t whole = 0;
  Fraction fraction;

  static Value of_number(double number);
  static Value of_boolean(bool boolean);
  static Value of_fraction(Fraction fraction);
  bool operator==(const Value&) const = default;
};

// A name of a value. Interned for the life of the process.
class Key {
 public:
  Key() = default;
  // [main] An empty text is no key.
  explicit Key(std::string_view text);
  bool empty() const { return id_ == kNone; }
  bool operator==(const Key&) const = default;
  std::string_view text() const;  // [main]
  uint32_t id() const { return id_; }
  static uint32_t count();  // [main] ids so far

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t id_ = kNone;
};

// [immutable] All values at one time.
class Snapshot final : public event::Versioned {
 public:
  // By id of key; ids beyond have no value.
  explicit Snapshot(std::vector<Value> values) : values_(std::move(values)) {}
  // nullptr: no layer says anything that has a form.
  const Value* find(Key key) const noexcept {
    if (key.id() >= values_.size()) return nullptr;
    const Value& value = values_[key.id()];
    return value.has_number || value.has_boolean || value.has_fraction ? &value : nullptr;
  }
  bool operator==(const Snapshot& other) const { return values_ == other.values_; }

 private:
  std::vector<Value> values_;
};

// What the lane's snapshot says of a key; nullptr: nothing. [worker] Good until the turn ends.
inline const Value* find(const event::SlotTable& slots, Key key) noexcept {
  if (key.empty()) return nullptr;
  const Snapshot* snapshot = slots.current<Snapshot>(kSlot);
  return snapshot != nullptr ? snapshot->find(key) : nullptr;
}

// --- The settings of configuration: a default that a key may override. [immutable]

// RuntimeFractionalPercent. A plain number at run time is a percentage, as published.
struct RuntimeFraction {
  Fraction default_value;
  Key key = {};
  Fraction get(const event::SlotTable& slots) const noexcept;
  bool enabled(const event::SlotTable& slots, uint64_t random) const noexcept { return get(slots).hit(random); }
};

// RuntimeFeatureFlag.
struct RuntimeFlag {
  bool default_value = false;
  Key key = {};
  bool get(const event::SlotTable& slots) const noexcept {
    const Value* value = find(slots, key);
    return value != nullptr && value->has_boolean ? value->boolean : default_value;
  }
};

// RuntimeDouble, and RuntimePercent with its percent as the number.
struct RuntimeDouble {
  double default_value = 0;
  Key key = {};
  double get(const event::SlotTable& slots) const noexcept {
    const Value* value = find(slots, key);
    return value != nullptr && value->has_number ? value->number : default_value;
  }
};

// RuntimeUInt32. What does not fit is the largest number.
struct RuntimeUnsigned {
  uint32_t default_value = 0;
  Key key = {};
  uint32_t get(const event::SlotTable& slots) const noexcept {
    const Value* value = find(slots, key);
    if (value == nullptr || !value->has_whole) return default_value;
    return value->whole < UINT32_MAX ? static_cast<uint32_t>(value->whole) : UINT32_MAX;
  }
};

}  // namespace weir::runtime
