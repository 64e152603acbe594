#include "core/stats/code_counters.h"

#include "core/stats/dynamic.h"

namespace weir::stats {

CodeCounters::CodeCounters(const Group& group, std::string_view prefix, Detail detail)
    : group_(group), prefix_(prefix), detail_(detail) {}

CodeCounters::~CodeCounters() {
  for (auto& hundred : codes_) delete hundred.load(std::memory_order_relaxed);
}

// Two threads may come here at once for the same name: the store gives both the same cell.
uint32_t CodeCounters::make(Index& index, int code, Name name) const {
  std::string text(prefix_);
  switch (name) {
    case Name::kCode:
      text += '_' + std::to_string(code);
      break;
    case Name::kClass:
      text += '_' + std::to_string(code / 100) + "xx";
      break;
    case Name::kCompleted:
      text += "_completed";
      break;
  }
  uint32_t cell = group_.store().dynamic_counter(group_, text).cell_index();
  index.store(cell, std::memory_order_release);
  return cell;
}

void count_code_of_peer(const Group& group, std::string_view prefix, int code) {
  const auto count = [&](std::string_view suffix) {
    dynamic_counter(group, Family::kOfPeers, std::string(prefix).append(suffix)).inc();
  };
  if (code >= 100 && code <= 599) {
    count('_' + std::to_string(code));
    count('_' + std::to_string(code / 100) + "xx");
  }
  count("_completed");
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
