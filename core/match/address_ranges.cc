#include "core/match/address_ranges.h"

#include <algorithm>
#include <string>

namespace weir::match {

using detail::Wide;

namespace detail {

uint32_t number_v4(const net::Address& address) {
  const uint8_t* bytes = address.ip_bytes();
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

Wide number_v6(const net::Address& address) {
  Wide number = 0;
  for (int i = 0; i < 16; ++i) number = number << 8 | address.ip_bytes()[i];
  return number;
}

}  // namespace detail

namespace {

// The bits that a prefix leaves free.
template <class Number>
Number free_bits(int prefix_bits) {
  constexpr int kBits = sizeof(Number) * 8;
  return prefix_bits == 0 ? ~Number{0} : prefix_bits == kBits ? Number{0} : (Number{1} << (kBits - prefix_bits)) - 1;
}

}  // namespace

Result<AddressRange> make_range(std::string_view address_prefix, uint32_t prefix_len) {
  Result<net::Address> address = net::Address::from_ip(address_prefix, 0);
  if (!address.ok()) return invalid("address_prefix: \"" + std::string(address_prefix) + "\" is not an IP address");
  const bool v4 = address->family() == net::Family::kIpv4;
  const bool mapped = v4 && address_prefix.find(':') != std::string_view::npos;
  const uint32_t most = v4 && !mapped ? 32 : 128;
  if (prefix_len > most) {
    return invalid("prefix_len: " + std::to_string(prefix_len) + " is too long for an " + (v4 ? "IPv4" : "IPv6") +
                   " address; 0 to " + std::to_string(most) + " are allowed");
  }
  if (mapped && prefix_len < 96) {
    return invalid("prefix_len: " + std::to_string(prefix_len) +
                   " is too short for an IPv4 address mapped into IPv6; write the IPv4 range itself");
  }
  return AddressRange{*address, static_cast<int>(mapped ? prefix_len - 96 : prefix_len)};
}

AddressRanges::AddressRanges(const std::vector<AddressRange>& ranges) {
  for (const AddressRange& range : ranges) {
    if (range.prefix.family() == net::Family::kIpv4) {
      const uint32_t free = free_bits<uint32_t>(range.bits), number = detail::number_v4(range.prefix);
      v4_.push_back({number & ~free, number | free});
    } else if (range.prefix.family() == net::Family::kIpv6) {
      const Wide free = free_bits<Wide>(range.bits), number = detail::number_v6(range.prefix);
      v6_.push_back({number & ~free, number | free});
    }
  }
  join(v4_);
  join(v6_);
}

template <class Number>
void AddressRanges::join(std::vector<Interval<Number>>& intervals) {
  std::sort(intervals.begin(), intervals.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  size_t kept = 0;
  for (const Interval<Number>& one : intervals) {
    if (kept > 0 && (one.first <= intervals[kept - 1].last || one.first - intervals[kept - 1].last == 1)) {
      intervals[kept - 1].last = std::max(intervals[kept - 1].last, one.last);
    } else {
      intervals[kept++] = one;
    }
  }
  intervals.resize(kept);
  intervals.shrink_to_fit();
}

template <class Number>
bool AddressRanges::contains(const std::vector<Interval<Number>>& intervals, Number number) noexcept {
  auto after = std::upper_bound(intervals.begin(), intervals.end(), number,
                                [](Number wanted, const Interval<Number>& one) { return wanted < one.first; });
  return after != intervals.begin() && std::prev(after)->last >= number;
}

bool AddressRanges::contains(const net::Address& address) const noexcept {
  if (address.family() == net::Family::kIpv4) return contains(v4_, detail::number_v4(address));
  return address.family() == net::Family::kIpv6 && contains(v6_, detail::number_v6(address));
}

AddressMap::AddressMap(const std::vector<Item>& items) {
  for (const Item& item : items) {
    if (item.range.prefix.family() == net::Family::kIpv4) {
      const uint32_t free = free_bits<uint32_t>(item.range.bits), number = detail::number_v4(item.range.prefix);
      v4_.push_back({number & ~free, number | free, kNone, item.value});
    } else if (item.range.prefix.family() == net::Family::kIpv6) {
      const Wide free = free_bits<Wide>(item.range.bits), number = detail::number_v6(item.range.prefix);
      v6_.push_back({number & ~free, number | free, kNone, item.value});
    }
  }
  link(v4_);
  link(v6_);
}

template <class Number>
void AddressMap::link(std::vector<Entry<Number>>& entries) {
  // Turned round first: of equal ranges the one given first must stand last, where a search meets it first.
  std::reverse(entries.begin(), entries.end());
  std::stable_sort(entries.begin(), entries.end(), [](const Entry<Number>& a, const Entry<Number>& b) {
    return a.first != b.first ? a.first < b.first : a.last > b.last;
  });
  for (uint32_t i = 1; i < entries.size(); ++i) {
    uint32_t parent = i - 1;
    while (parent != kNone && entries[parent].last < entries[i].last) parent = entries[parent].parent;
    entries[i].parent = parent;
  }
  entries.shrink_to_fit();
}

}  // namespace weir::match
