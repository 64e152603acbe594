#include "core/stats/code_counters.h"

#include "core/stats/dynamic.h"

namespace weir::stats {

CodeCounters::CodeCounters(const Group& group, std::string_view prefix, Detail detail)
    : group_(group), prefix_(prefix), detail_(detail) {}

CodeCounters::~CodeCounters() {
  for (auto& hundred : codes_) delete hundred.load(std::memory_order_relaxed);
}

std::string CodeCounters::full_name(std::string_view prefix, int code, Name name) {
  std::string text(prefix);
  switch (name) {
    case Name::kCode:
      return text + '_' + std::to_string(code);
    case Name::kClass:
      return text + '_' + std::to_string(code / 100) + "xx";
    case Name::kCompleted:
      return text + "_completed";
  }
  return text;
}

// Two threads may come here at once for the same name: the store gives both the same cell.
uint32_t CodeCounters::make(Index& index, int code, Name name) const {
  uint32_t cell = group_.store().dynamic_counter(group_, full_name(prefix_, code, name)).cell_index();
  index.store(cell, std::memory_order_release);
  return cell;
}

void CodeCounters::inc_of_peer(const Group& group, std::string_view prefix, int code) {
  const auto count = [&](Name name) { dynamic_counter(group, Family::kOfPeers, full_name(prefix, code, name)).inc(); };
  if (code >= kFirst && code <= kLast) {
    count(Name::kCode);
    count(Name::kClass);
  }
  count(Name::kCompleted);
}

CodeCounters::Hundred* CodeCounters::make_hundred(uint32_t which) const {
  auto* made = new Hundred{};
  Hundred* there = nullptr;
  if (codes_[which].compare_exchange_strong(there, made, std::memory_order_acq_rel)) return made;
  delete made;
  return there;
}

// Codes that HTTP does not have count as completed only.
void CodeCounters::inc_odd() const { count(completed_, 0, Name::kCompleted); }

}  // namespace weir::stats
