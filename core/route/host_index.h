// From a host name to a virtual host: exact, then the longest "*suffix", then the longest "prefix*", then "*". Case is
// ignored. A wildcard stands for at least one character.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/route/text_hash.h"
#include "core/route/text_table.h"

namespace weir::route {

// [immutable] after the last add().
class HostIndex {
 public:
  static constexpr uint32_t kNone = TextTable::kNone;

  enum class Added : uint8_t { kYes, kDuplicate, kBadWildcard, kEmpty };
  // [main] `domain` in any case; `owner` is what find() returns. Duplicate: `other` becomes the owner of the first.
  Added add(std::string_view domain, uint32_t owner, uint32_t& other);
  // `likely`: as of TextTable::find_folded().
  template <class Likely>
  uint32_t find(std::string_view host, Likely&& likely) const noexcept {
    if (exact_.may_have(host.size())) {
      const uint32_t owner = exact_.find_folded(host, hash_text<true>(host), likely);
      if (owner != kNone) return owner;
    }
    return find_wildcard(host);
  }
  uint32_t find(std::string_view host) const noexcept {
    return find(host, [](uint32_t) {});
  }

 private:
  uint32_t find_wildcard(std::string_view host) const noexcept;
  template <bool Backwards>
  static uint32_t find_longest(const TextTable& table, std::string_view host) noexcept;
  // Of wildcards, whose lengths the look-up does not know: fed forwards or backwards. In lower case.
  static uint64_t hash_forwards(std::string_view lower);
  static uint64_t hash_backwards(std::string_view lower);

  TextTable exact_;
  TextTable suffixes_;
  TextTable prefixes_;
  uint32_t any_ = kNone;
};

// The host without its port: "a:80" is "a", "[::1]:80" is "[::1]".
std::string_view without_port(std::string_view host) noexcept;

}  // namespace weir::route
