// A hash table from texts of the configuration to numbers, for look-ups of one text among very many: beside the object
// itself such a look-up touches a slot and one cache line, which has the text too unless that is long.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/http/chars.h"

namespace weir::route {

// [immutable] after the last add().
class TextTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  bool empty() const { return items_.empty(); }
  // [main] `hash`: of any function, the same for all texts and for find().
  void add(std::string_view text, uint64_t hash, uint32_t value);
  uint32_t find(std::string_view text, uint64_t hash) const noexcept {
    return look_up(text.size(), hash, [text](std::string_view there) { return there == text; });
  }
  // All texts are in lower case; this one in any.
  uint32_t find_folded(std::string_view text, uint64_t hash) const noexcept {
    return look_up(text.size(), hash,
                   [text](std::string_view there) { return http::equals_ignoring_case(text, there); });
  }
  // False: no text has this size.
  bool may_have(size_t size) const noexcept { return (sizes_ >> (size % 64) & 1) != 0; }
  void shrink_to_fit();

 private:
  static constexpr size_t kShort = 48;
  struct alignas(64) Item {
    uint64_t hash;
    uint32_t value;
    uint32_t size;
    char text[kShort];  // of a longer one: where it begins in long_texts_
  };
  static_assert(sizeof(Item) == 64);

  template <class Same>
  uint32_t look_up(size_t size, uint64_t hash, Same&& same) const noexcept {
    if (!may_have(size)) return kNone;
    const size_t mask = slots_.size() - 1;
    for (size_t at = hash & mask; slots_[at] != 0; at = (at + 1) & mask) {
      const Item& item = items_[slots_[at] - 1];
      if (item.hash == hash && item.size == size && same(text_of(item))) return item.value;
    }
    return kNone;
  }
  std::string_view text_of(const Item& item) const noexcept;
  void place(uint32_t item);

  std::vector<uint32_t> slots_;  // item + 1; 0: free. A power of two, at most half full
  std::vector<Item> items_;
  uint64_t sizes_ = 0;  // bit n: some text's size is n modulo 64
  std::string long_texts_;
};

}  // namespace weir::route
