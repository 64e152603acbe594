#include "core/dns/address_guard.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace weir::dns {
namespace {

using net::Address;
using net::Family;
using Bytes = std::span<const uint8_t>;

Bytes bytes_of(const Address& address) {
  return {reinterpret_cast<const uint8_t*>(address.ip_bytes()), address.ip_size()};
}

bool within(Bytes address, Bytes prefix, int bits) {
  if (address.size() != prefix.size()) return false;
  const auto whole = static_cast<size_t>(bits / 8);
  if (!std::equal(address.begin(), address.begin() + static_cast<ptrdiff_t>(whole), prefix.begin())) return false;
  const int rest = bits % 8;
  return rest == 0 || (address[whole] ^ prefix[whole]) >> (8 - rest) == 0;
}

struct V4 {
  std::array<uint8_t, 4> prefix;
  int bits;
};
// RFC 6890, RFC 6598, RFC 2544, RFC 5771 and the addresses of documents: none is a host of the Internet.
constexpr V4 kNotPublicV4[] = {
    {{0, 0, 0, 0}, 8},      {{10, 0, 0, 0}, 8},     {{100, 64, 0, 0}, 10}, {{127, 0, 0, 0}, 8},
    {{169, 254, 0, 0}, 16}, {{172, 16, 0, 0}, 12},  {{192, 0, 0, 0}, 24},  {{192, 0, 2, 0}, 24},
    {{192, 88, 99, 0}, 24}, {{192, 168, 0, 0}, 16}, {{198, 18, 0, 0}, 15}, {{198, 51, 100, 0}, 24},
    {{203, 0, 113, 0}, 24}, {{224, 0, 0, 0}, 4},    {{240, 0, 0, 0}, 4},
};

bool is_public_v4(Bytes address) {
  return std::none_of(std::begin(kNotPublicV4), std::end(kNotPublicV4),
                      [&](const V4& one) { return within(address, one.prefix, one.bits); });
}

// The IPv4 address that packets to this one end up at; none: it is IPv6 all the way.
std::optional<std::array<uint8_t, 4>> carried(Bytes v6) {
  static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  static constexpr uint8_t kNat64[12] = {0, 0x64, 0xff, 0x9b};  // RFC 6052
  static constexpr uint8_t k6to4[2] = {0x20, 0x02};             // RFC 3056
  std::array<uint8_t, 4> out{};
  if (within(v6.first(12), kMapped, 96) || within(v6.first(12), kNat64, 96)) {
    std::copy_n(v6.begin() + 12, 4, out.begin());
  } else if (within(v6.first(2), k6to4, 16)) {
    std::copy_n(v6.begin() + 2, 4, out.begin());
  } else {
    return std::nullopt;
  }
  return out;
}

bool is_public_v6(Bytes address) {
  // Of all of IPv6 the sixteenth that begins with 001 is in use for hosts (RFC 4291 section 2.4), and NAT64 outside.
  static constexpr uint8_t kGlobal[16] = {0x20};
  static constexpr uint8_t kDocuments[16] = {0x20, 0x01, 0x0d, 0xb8};
  static constexpr uint8_t kTeredo[16] = {0x20, 0x01, 0, 0};
  return within(address, kGlobal, 3) && !within(address, kDocuments, 32) && !within(address, kTeredo, 32);
}

}  // namespace

bool AddressGuard::permits(const Address& address) const {
  if (!address.is_ip()) return empty();
  const Bytes bytes = bytes_of(address);
  const bool v6 = address.family() == Family::kIpv6;
  const std::optional<std::array<uint8_t, 4>> inner = v6 ? carried(bytes) : std::nullopt;
  const auto in = [&](const std::vector<Range>& ranges) {
    return std::any_of(ranges.begin(), ranges.end(), [&](const Range& range) {
      const Bytes prefix = bytes_of(range.prefix);
      return within(bytes, prefix, range.bits) || (inner && within(*inner, prefix, range.bits));
    });
  };
  if (in(allow)) return true;
  if (in(deny)) return false;
  if (!deny_private) return true;
  if (inner) return is_public_v4(*inner);
  return v6 ? is_public_v6(bytes) : is_public_v4(bytes);
}

}  // namespace weir::dns
