// From a host name to a virtual host: exact, then the longest "*suffix", then the longest "prefix*", then "*". Case is
// ignored. A wildcard stands for at least one character.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::route {

// [immutable] after the last add().
class HostIndex {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  enum class Added : uint8_t { kYes, kDuplicate, kBadWildcard, kEmpty };
  // [main] `domain` in any case; `owner` is what find() returns. Duplicate: `other` becomes the owner of the first.
  Added add(std::string_view domain, uint32_t owner, uint32_t& other);
  uint32_t find(std::string_view host) const noexcept;

 private:
  // A hash table of lower-case texts; the hash is fed forwards or backwards.
  struct Table {
    struct Item {
      std::string text;
      uint64_t hash;
      uint32_t owner;
    };
    std::vector<Item> items;
    std::vector<uint32_t> slots;  // item + 1; 0: free. A power of two, at most half full
    std::vector<bool> sizes;      // sizes[n]: some text has n characters

    const Item* find(std::string_view any_case, uint64_t hash) const noexcept;
    void add(std::string text, uint64_t hash, uint32_t owner);
    bool has_size(size_t n) const noexcept { return n < sizes.size() && sizes[n]; }
  };
  static uint64_t hash_forwards(std::string_view lower);
  static uint64_t hash_backwards(std::string_view lower);

  Table exact_;
  Table suffixes_;
  Table prefixes_;
  uint32_t any_ = kNone;
};

// The host without its port: "a:80" is "a", "[::1]:80" is "[::1]".
std::string_view without_port(std::string_view host) noexcept;

}  // namespace weir::route
