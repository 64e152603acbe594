#include "core/route/text_table.h"

#include <algorithm>
#include <cstring>

namespace weir::route {

std::string_view TextTable::text_of(const Item& item) const noexcept {
  if (item.size <= kShort) return {item.text, item.size};
  uint32_t begin;
  std::memcpy(&begin, item.text, sizeof(begin));
  return {long_texts_.data() + begin, item.size};
}

void TextTable::place(Slot slot) {
  const size_t mask = slots_.size() - 1;
  size_t at = items_[slot.item - 1].hash & mask;
  while (slots_[at].item != 0) at = (at + 1) & mask;
  slots_[at] = slot;
}

void TextTable::add(std::string_view text, uint64_t hash, uint32_t value) {
  Item item{hash, static_cast<uint32_t>(text.size()), {}};
  if (text.size() <= kShort) {
    std::copy(text.begin(), text.end(), item.text);
  } else {
    const auto begin = static_cast<uint32_t>(long_texts_.size());
    std::memcpy(item.text, &begin, sizeof(begin));
    long_texts_ += text;
  }
  items_.push_back(item);
  sizes_ |= uint64_t{1} << (text.size() % 64);
  if (items_.size() * 2 > slots_.size()) {
    std::vector<Slot> old(std::max<size_t>(4, slots_.size() * 2));
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.item != 0) place(slot);
    }
  }
  place({tag_of(hash), static_cast<uint32_t>(items_.size()), value});
}

void TextTable::shrink_to_fit() {
  items_.shrink_to_fit();
  long_texts_.shrink_to_fit();
}

}  // namespace weir::route
