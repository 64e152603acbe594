// Counts responses by status code: `<prefix>_<code>`, `<prefix>_<class>xx` and `<prefix>_completed` of one thing. The
// names appear when traffic first brings them; after that a response costs three additions to cells of this thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/stats/store.h"

namespace weir::stats {

// Made on main, beside the group; must not outlive it. inc() from any thread.
class CodeCounters {
 public:
  enum class Detail : uint8_t {
    kClasses,  // no counter per code (what listeners and connection managers show)
    kCodes,
  };
  // `prefix` as in "upstream_rq" or "canary.upstream_rq", static. Names that the group defines are its own counters.
  CodeCounters(const Group& group, std::string_view prefix, Detail detail = Detail::kCodes);
  ~CodeCounters();
  CodeCounters(const CodeCounters&) = delete;
  CodeCounters& operator=(const CodeCounters&) = delete;

  void inc(int code) const {
    if (code < kFirst || code > kLast) [[unlikely]]
      return inc_odd();
    auto offset = static_cast<uint32_t>(code - kFirst);
    count(classes_[offset / 100], code, Name::kClass);
    if (detail_ == Detail::kCodes) {
      Hundred* hundred = codes_[offset / 100].load(std::memory_order_acquire);
      if (hundred == nullptr) [[unlikely]]
        hundred = make_hundred(offset / 100);
      count(hundred->cells[offset % 100], code, Name::kCode);
    }
    count(completed_, code, Name::kCompleted);
  }

  // The same three counters under a prefix that a peer has chosen (Family::kOfPeers): each is searched for under a
  // lock.
  static void inc_of_peer(const Group& group, std::string_view prefix, int code);

 private:
  static constexpr int kFirst = 100;
  static constexpr int kLast = 599;
  enum class Name : uint8_t { kCode, kClass, kCompleted };
  // Cell indices; 0: not made yet.
  using Index = std::atomic<uint32_t>;
  struct Hundred {
    Index cells[100];
  };

  void count(Index& index, int code, Name name) const {
    // Acquire: whoever published the index saw its cells zeroed.
    uint32_t cell = index.load(std::memory_order_acquire);
    if (cell == 0) [[unlikely]]
      cell = make(index, code, name);
    Counter(cell).inc();
  }
  static std::string full_name(std::string_view prefix, int code, Name name);
  uint32_t make(Index& index, int code, Name name) const;
  Hundred* make_hundred(uint32_t which) const;
  void inc_odd() const;

  const Group& group_;
  const std::string_view prefix_;
  const Detail detail_;
  mutable std::atomic<Hundred*> codes_[5] = {};
  mutable Index classes_[5] = {};
  mutable Index completed_{0};
};

}  // namespace weir::stats
