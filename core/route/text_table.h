// A hash table from texts of the configuration to numbers, for look-ups of one text among very many: beside the object
// itself such a look-up touches a slot and one cache line, which has the text too unless that is long; one of a text
// that is not there touches a slot.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/prefetch.h"
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
    return look_up(
        text.size(), hash, [text](std::string_view there) { return there == text; }, [](uint32_t) {});
  }
  // All texts are in lower case; this one in any. `likely`: called with a value that is probably the one, before that
  // is sure: what the value stands for can be on its way meanwhile.
  template <class Likely>
  uint32_t find_folded(std::string_view text, uint64_t hash, Likely&& likely) const noexcept {
    return look_up(
        text.size(), hash, [text](std::string_view there) { return http::equals_ignoring_case(text, there); }, likely);
  }
  uint32_t find_folded(std::string_view text, uint64_t hash) const noexcept {
    return find_folded(text, hash, [](uint32_t) {});
  }
  // False: no text has this size.
  bool may_have(size_t size) const noexcept { return (sizes_ >> (size % 64) & 1) != 0; }
  void shrink_to_fit();
  // Asks for the slots of a small table, so that they come while the hash is made; of a large one that cannot help.
  void prefetch() const noexcept {
    if (slots_.size() <= 16 && !slots_.empty()) weir::prefetch(slots_.data(), slots_.size() * sizeof(Slot));
  }

 private:
  static constexpr size_t kShort = 52;
  struct alignas(64) Item {
    uint64_t hash;
    uint32_t size;
    char text[kShort];  // of a longer one: where it begins in long_texts_
  };
  static_assert(sizeof(Item) == 64);
  struct Slot {
    uint32_t tag = 0;   // the upper half of the hash: says of nearly every other text that it is not this one
    uint32_t item = 0;  // + 1; 0: free
    uint32_t value = 0;
  };
  static uint32_t tag_of(uint64_t hash) noexcept { return static_cast<uint32_t>(hash >> 32); }

  template <class Same, class Likely>
  uint32_t look_up(size_t size, uint64_t hash, Same&& same, Likely&& likely) const noexcept {
    if (!may_have(size)) return kNone;
    const size_t mask = slots_.size() - 1;
    for (size_t at = hash & mask; slots_[at].item != 0; at = (at + 1) & mask) {
      const Slot& slot = slots_[at];
      if (slot.tag != tag_of(hash)) continue;
      likely(slot.value);
      const Item& item = items_[slot.item - 1];
      if (item.hash == hash && item.size == size && same(text_of(item))) return slot.value;
    }
    return kNone;
  }
  std::string_view text_of(const Item& item) const noexcept;
  void place(Slot slot);

  uint64_t sizes_ = 0;       // bit n: some text's size is n modulo 64
  std::vector<Slot> slots_;  // a power of two, at most half full
  std::vector<Item> items_;
  std::string long_texts_;
};

}  // namespace weir::route
