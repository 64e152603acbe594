#include "core/runtime/runtime.h"

#include <deque>
#include <unordered_map>

namespace weir::runtime {
namespace {

// [main]
struct Names {
  std::deque<std::string> texts;  // by id
  std::unordered_map<std::string_view, uint32_t> ids;
};
Names& names() {
  static Names names;
  return names;
}

}  // namespace

Key::Key(std::string_view text) {
  if (text.empty()) return;
  Names& all = names();
  auto known = all.ids.find(text);
  if (known != all.ids.end()) {
    id_ = known->second;
    return;
  }
  id_ = static_cast<uint32_t>(all.texts.size());
  all.ids.emplace(all.texts.emplace_back(text), id_);
}

std::string_view Key::text() const { return empty() ? std::string_view() : std::string_view(names().texts[id_]); }

uint32_t Key::count() { return static_cast<uint32_t>(names().texts.size()); }

Value Value::of_number(double number) {
  constexpr double kBeyondWhole = 18446744073709551616.0;  // 2^64
  Value value;
  value.has_number = true;
  value.number = number;
  value.has_whole = number >= 0 && number < kBeyondWhole;
  if (value.has_whole) value.whole = static_cast<uint64_t>(number);
  return value;
}

Value Value::of_boolean(bool boolean) {
  Value value;
  value.has_boolean = true;
  value.boolean = boolean;
  return value;
}

Value Value::of_fraction(Fraction fraction) {
  Value value;
  value.has_fraction = true;
  value.fraction = fraction;
  return value;
}

Fraction RuntimeFraction::get(const event::SlotTable& slots) const noexcept {
  const Value* value = find(slots, key);
  if (value == nullptr) return default_value;
  if (value->has_fraction) return value->fraction;
  if (!value->has_whole) return default_value;
  return {static_cast<uint32_t>(value->whole < 100 ? value->whole : 100), 100};
}

}  // namespace weir::runtime
