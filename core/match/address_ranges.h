// Sets and maps of address ranges (CIDR). IPv4 and IPv6 apart: an IPv6 range never holds an IPv4 address, but one that
// is mapped into IPv6 is IPv4 here (core/net/address.h). Built on main; [immutable] after that.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/net/address.h"

namespace weir::match {

struct AddressRange {
  net::Address prefix;
  int bits = 0;
};

// "10.0.0.0", 8. Bits of the address behind the prefix do not matter. Errors begin with the field at fault,
// "address_prefix: " or "prefix_len: ".
Result<AddressRange> make_range(std::string_view address_prefix, uint32_t prefix_len);

namespace detail {
using Wide = unsigned __int128;
// In host byte order; the address is of that family.
uint32_t number_v4(const net::Address& address);
Wide number_v6(const net::Address& address);
}  // namespace detail

// Whether an address is in any of thousands of ranges: a binary search.
class AddressRanges {
 public:
  AddressRanges() = default;
  explicit AddressRanges(const std::vector<AddressRange>& ranges);
  bool contains(const net::Address& address) const noexcept;
  bool empty() const { return v4_.empty() && v6_.empty(); }

 private:
  // Disjoint and in ascending order.
  template <class Number>
  struct Interval {
    Number first;
    Number last;
  };
  template <class Number>
  static bool contains(const std::vector<Interval<Number>>& intervals, Number number) noexcept;
  template <class Number>
  static void join(std::vector<Interval<Number>>& intervals);

  std::vector<Interval<uint32_t>> v4_;
  std::vector<Interval<detail::Wide>> v6_;
};

// Ranges with a number each. An address finds all that hold it, the longest prefix first; ranges that are equal come in
// the order in which they were given.
class AddressMap {
 public:
  struct Item {
    AddressRange range;
    uint32_t value;
  };
  AddressMap() = default;
  explicit AddressMap(const std::vector<Item>& items);

  // visit(value) until it returns true.
  template <class Visit>
  void find(const net::Address& address, Visit&& visit) const {
    if (address.family() == net::Family::kIpv4) find(v4_, detail::number_v4(address), visit);
    if (address.family() == net::Family::kIpv6) find(v6_, detail::number_v6(address), visit);
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  // Ordered by first, then by size, the largest first: what holds an entry stands before it. `parent` is the smallest
  // entry that holds this one.
  template <class Number>
  struct Entry {
    Number first;
    Number last;
    uint32_t parent;
    uint32_t value;
  };
  template <class Number, class Visit>
  static void find(const std::vector<Entry<Number>>& entries, Number number, Visit& visit) {
    size_t low = 0, high = entries.size();
    while (low < high) {
      size_t middle = (low + high) / 2;
      if (entries[middle].first <= number) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    // The last entry that begins before the address, and what holds it: anything else ends before or begins after.
    for (uint32_t at = low == 0 ? kNone : static_cast<uint32_t>(low - 1); at != kNone; at = entries[at].parent) {
      if (entries[at].last >= number && visit(entries[at].value)) return;
    }
  }
  template <class Number>
  static void link(std::vector<Entry<Number>>& entries);

  std::vector<Entry<uint32_t>> v4_;
  std::vector<Entry<detail::Wide>> v6_;
};

}  // namespace weir::match
