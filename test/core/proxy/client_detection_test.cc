// Whom the ways of original_ip_detection_extensions take for the client.
#include "core/proxy/client_detection.h"

#include <gtest/gtest.h>

namespace weir::proxy {
namespace {

using Kind = ClientDetection::Kind;

net::Address ip(std::string_view text) { return *net::Address::from_ip(text, 0); }
std::string text_of(const net::Address& address) {
  char room[net::Address::kMaxText];
  return address.empty() ? "" : std::string(address.ip_to_text(room));
}
match::AddressRanges ranges(std::initializer_list<std::pair<std::string_view, uint32_t>> list) {
  std::vector<match::AddressRange> all;
  for (auto [prefix, bits] : list) all.push_back(*match::make_range(prefix, bits));
  return match::AddressRanges(all);
}

TEST(ForwardedAddress, CountsFromTheEnd) {
  EXPECT_EQ(forwarded_address("a, b ,\tc", 0), "c");
  EXPECT_EQ(forwarded_address("a, b ,\tc", 1), "b");
  EXPECT_EQ(forwarded_address("a, b ,\tc", 2), "a");
  EXPECT_EQ(forwarded_address("a, b ,\tc", 3), "");
  EXPECT_EQ(forwarded_address("", 0), "");
  EXPECT_EQ(forwarded_address("a,", 0), "");
  EXPECT_EQ(forwarded_address("a,", 1), "a");
}

TEST(ForwardedAddress, IsReadAsProxiesWriteIt) {
  for (auto [text, address] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"10.1.2.3", "10.1.2.3"},
           {"10.1.2.3:80", "10.1.2.3"},
           {"2001:db8::1", "2001:db8::1"},
           {"[2001:db8::1]", "2001:db8::1"},
           {"[2001:db8::1]:80", "2001:db8::1"},
           {"", ""},
           {"unknown", ""},
           {"10.1.2", ""},
           {"10.1.2.3.4", ""},
           {"[10.1.2.3", ""},
           {"10.1.2.3 ", ""},
       }) {
    EXPECT_EQ(text_of(parse_forwarded(text)), address) << text;
  }
}

TEST(InternalAddressesTest, OfUnixSocketsOnlyIfToldSo) {
  InternalAddresses addresses;
  addresses.ranges = ranges({{"10.0.0.0", 8}});
  const net::Address pipe = *net::Address::from_unix("/tmp/x");
  EXPECT_TRUE(addresses.contains(ip("10.9.9.9")));
  EXPECT_FALSE(addresses.contains(ip("11.0.0.1")));
  EXPECT_FALSE(addresses.contains(pipe));
  addresses.unix_sockets = true;
  EXPECT_TRUE(addresses.contains(pipe));
}

class ClientDetectionTest : public testing::Test {
 protected:
  DetectedClient detect(std::string_view peer = "10.0.0.1") { return detect_client(ways_, ip(peer), headers_); }
  std::string found(std::string_view peer = "10.0.0.1") { return text_of(detect(peer).address); }
  void forwarded(std::string_view list) { headers_.set(http::HeaderId::kXForwardedFor, list); }

  ArenaPool pool_;
  Arena arena_{pool_};
  http::HeaderMap headers_{arena_};
  std::vector<ClientDetection> ways_;
};

TEST_F(ClientDetectionTest, TrustedHops) {
  ways_.push_back({.kind = Kind::kForwardedFor, .trusted_hops = 1, .append_peer = true});
  EXPECT_EQ(found(), "");
  EXPECT_FALSE(detect().append_peer) << "nothing was found";
  forwarded("1.1.1.1");
  EXPECT_EQ(found(), "");
  forwarded("1.1.1.1, 2.2.2.2, 3.3.3.3");
  const DetectedClient client = detect();
  EXPECT_EQ(text_of(client.address), "2.2.2.2");
  EXPECT_TRUE(client.append_peer);
  EXPECT_FALSE(client.may_be_internal) << "others stand in the list";
  forwarded("nobody, 3.3.3.3");
  EXPECT_EQ(found(), "");
}

TEST_F(ClientDetectionTest, TheLastOneThatIsNoKnownProxy) {
  ways_.push_back({.kind = Kind::kForwardedForRanges, .trusted = ranges({{"10.0.0.0", 8}, {"2001:db8::", 32}})});
  forwarded("9.9.9.9, 1.1.1.1, 10.7.7.7, 2001:db8::7");
  EXPECT_EQ(found(), "1.1.1.1");
  EXPECT_EQ(found("11.0.0.1"), "") << "the peer is no known proxy: what it says does not count";
  forwarded("10.1.1.1, 10.2.2.2");
  EXPECT_EQ(found(), "10.1.1.1") << "known proxies all: the first of them";
  forwarded("1.1.1.1, what, 10.2.2.2");
  EXPECT_EQ(found(), "") << "who stands in front of it is hearsay";
  forwarded("10.1.1.1");
  EXPECT_TRUE(detect().may_be_internal);
}

TEST_F(ClientDetectionTest, AHeader) {
  ways_.push_back({.kind = Kind::kHeader, .header = http::HeaderName("x-client")});
  EXPECT_EQ(found(), "");
  headers_.add_copy("x-client", " 1.1.1.1 ");
  EXPECT_EQ(found(), "1.1.1.1");
  EXPECT_FALSE(detect().may_be_internal);
  ways_[0].may_be_internal = true;
  EXPECT_TRUE(detect().may_be_internal);
  headers_.set(http::HeaderName("x-client"), "me");
  EXPECT_EQ(detect().reject_status, 0);
  ways_[0].reject_status = 418;
  EXPECT_EQ(detect().reject_status, 418);
}

TEST_F(ClientDetectionTest, TheFirstThatFindsOrRejectsCounts) {
  ways_.push_back({.kind = Kind::kHeader, .header = http::HeaderName("x-client"), .may_be_internal = true});
  ways_.push_back({.kind = Kind::kForwardedFor, .append_peer = true});
  ways_.push_back({.kind = Kind::kHeader, .header = http::HeaderName("x-last"), .reject_status = 400});
  forwarded("1.1.1.1, 2.2.2.2");
  DetectedClient client = detect();
  EXPECT_EQ(text_of(client.address), "2.2.2.2");
  EXPECT_TRUE(client.append_peer);
  EXPECT_FALSE(client.may_be_internal);
  headers_.add_copy("x-client", "3.3.3.3");
  client = detect();
  EXPECT_EQ(text_of(client.address), "3.3.3.3");
  EXPECT_FALSE(client.append_peer);
  headers_.clear();
  EXPECT_EQ(detect().reject_status, 400);
}

}  // namespace
}  // namespace weir::proxy
