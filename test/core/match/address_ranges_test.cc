#include "core/match/address_ranges.h"

#include <gtest/gtest.h>

#include "core/base/random.h"
#include "test/support/seed.h"

namespace weir::match {
namespace {

AddressRange range(std::string_view prefix, uint32_t bits) {
  auto made = make_range(prefix, bits);
  EXPECT_TRUE(made.ok()) << made.status();
  return *made;
}
net::Address ip(std::string_view text) { return *net::Address::from_ip(text, 80); }

std::string error(std::string_view prefix, uint32_t bits) {
  auto made = make_range(prefix, bits);
  EXPECT_FALSE(made.ok());
  return message_of(made.status());
}

TEST(AddressRanges, EdgesOfRanges) {
  AddressRanges ranges({range("10.1.2.3", 8), range("192.0.2.7", 32), range("2001:db8::", 32), range("::1", 128)});
  EXPECT_TRUE(ranges.contains(ip("10.0.0.0")));
  EXPECT_TRUE(ranges.contains(ip("10.255.255.255")));
  EXPECT_FALSE(ranges.contains(ip("9.255.255.255")));
  EXPECT_FALSE(ranges.contains(ip("11.0.0.0")));
  EXPECT_TRUE(ranges.contains(ip("192.0.2.7")));
  EXPECT_FALSE(ranges.contains(ip("192.0.2.8")));
  EXPECT_TRUE(ranges.contains(ip("2001:db8:ffff::1")));
  EXPECT_FALSE(ranges.contains(ip("2001:db9::")));
  EXPECT_TRUE(ranges.contains(ip("::1")));
  EXPECT_FALSE(ranges.contains(net::Address()));
  EXPECT_FALSE(ranges.contains(*net::Address::from_unix("/x")));
  EXPECT_FALSE(AddressRanges().contains(ip("10.0.0.1")));
}

TEST(AddressRanges, FamiliesAreApartAndMappedAddressesAreIpv4) {
  AddressRanges any4({range("0.0.0.0", 0)});
  EXPECT_TRUE(any4.contains(ip("255.255.255.255")));
  EXPECT_TRUE(any4.contains(ip("::ffff:10.0.0.1")));
  EXPECT_FALSE(any4.contains(ip("::1")));
  AddressRanges any6({range("::", 0)});
  EXPECT_TRUE(any6.contains(ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")));
  EXPECT_FALSE(any6.contains(ip("10.0.0.1")));
  AddressRanges mapped({range("::ffff:10.0.0.0", 104)});
  EXPECT_TRUE(mapped.contains(ip("10.9.9.9")));
  EXPECT_FALSE(mapped.contains(ip("11.0.0.0")));
}

TEST(AddressRanges, Errors) {
  EXPECT_EQ(error("10.0.0", 8), "address_prefix: \"10.0.0\" is not an IP address");
  EXPECT_EQ(error("10.0.0.0", 33), "prefix_len: 33 is too long for an IPv4 address; 0 to 32 are allowed");
  EXPECT_EQ(error("::", 129), "prefix_len: 129 is too long for an IPv6 address; 0 to 128 are allowed");
  EXPECT_EQ(error("::ffff:10.0.0.0", 90),
            "prefix_len: 90 is too short for an IPv4 address mapped into IPv6; write the IPv4 range itself");
}

// --- Against looking at one range after another, bit by bit.

bool holds(const AddressRange& range, const net::Address& address) {
  if (range.prefix.family() != address.family()) return false;
  for (int bit = 0; bit < range.bits; ++bit) {
    const int shift = 7 - bit % 8;
    if ((range.prefix.ip_bytes()[bit / 8] >> shift & 1) != (address.ip_bytes()[bit / 8] >> shift & 1)) return false;
  }
  return true;
}

// Few different bits, so that ranges lie inside each other.
net::Address random_address(Random& random) {
  if (random.below(2) == 0) {
    std::string text = "10." + std::to_string(random.below(2) * 128) + "." + std::to_string(random.below(4)) + "." +
                       std::to_string(random.below(256));
    return ip(text);
  }
  char text[64];
  std::snprintf(text, sizeof text, "2001:db8:%x::%x:%x", random.below(2), random.below(4), random.below(65536));
  return ip(text);
}
AddressRange random_range(Random& random) {
  net::Address prefix = random_address(random);
  const uint32_t most = prefix.family() == net::Family::kIpv4 ? 32 : 128;
  uint32_t bits = random.below(4) == 0 ? random.below(most + 1) : most - random.below(18);
  return AddressRange{prefix, static_cast<int>(bits)};
}

TEST(AddressRanges, AgreeWithAWalk) {
  test::for_each_seed(100, [](uint64_t seed) {
    Random random(seed);
    std::vector<AddressRange> ranges;
    std::vector<AddressMap::Item> items;
    for (uint32_t i = random.below(200); i > 0; --i) {
      ranges.push_back(random_range(random));
      items.push_back({ranges.back(), random.below(1000)});
    }
    AddressRanges set(ranges);
    AddressMap map(items);
    for (int i = 0; i < 300; ++i) {
      net::Address address = random_address(random);
      std::vector<AddressMap::Item> expected;
      for (const AddressMap::Item& item : items) {
        if (holds(item.range, address)) expected.push_back(item);
      }
      std::stable_sort(expected.begin(), expected.end(),
                       [](const auto& a, const auto& b) { return a.range.bits > b.range.bits; });
      ASSERT_EQ(set.contains(address), !expected.empty()) << address.to_string();
      std::vector<uint32_t> wanted, found;
      for (const auto& item : expected) wanted.push_back(item.value);
      map.find(address, [&](uint32_t value) {
        found.push_back(value);
        return false;
      });
      ASSERT_EQ(found, wanted) << address.to_string();
      if (wanted.empty()) continue;
      found.clear();
      map.find(address, [&](uint32_t value) {
        found.push_back(value);
        return true;
      });
      ASSERT_EQ(found, std::vector<uint32_t>{wanted[0]});
    }
  });
}

}  // namespace
}  // namespace weir::match
