#include "core/upstream/destination.h"

#include <gtest/gtest.h>

#include "core/stream/metadata.h"

namespace weir::upstream {
namespace {

std::string parsed(std::string_view text) {
  const net::Address address = parse_destination(text);
  return address.empty() ? "" : address.to_string();
}

TEST(DestinationTest, AddressesAreIpsWithPorts) {
  EXPECT_EQ(parsed("10.0.0.1:80"), "10.0.0.1:80");
  EXPECT_EQ(parsed("[2001:db8::1]:65535"), "[2001:db8::1]:65535");
  EXPECT_EQ(parsed("[::ffff:10.0.0.1]:80"), "10.0.0.1:80");
  for (const char* wrong : {"",
                            ":",
                            "10.0.0.1",
                            "10.0.0.1:",
                            "10.0.0.1:0",
                            "10.0.0.1:65536",
                            "10.0.0.1:-1",
                            "10.0.0.1:+1",
                            "10.0.0.1:8 0",
                            "10.0.0.1:0x50",
                            "localhost:80",
                            "::1:80",
                            "[::1]",
                            "[::1:80",
                            "::1]:80",
                            "[]:80",
                            "10.0.0.256:80",
                            "/tmp/socket:1",
                            "@name:1",
                            "10.0.0.1:80,10.0.0.2:80"})
    EXPECT_EQ(parsed(wrong), "") << wrong;
  EXPECT_EQ(parsed(std::string(5000, '1') + ":80"), "");
}

struct FindDestinationTest : testing::Test {
  std::string found(const http::HeaderMap* headers = nullptr) {
    const net::Address address = find_destination(*original, info, headers);
    return address.empty() ? "" : address.to_string();
  }
  stats::Store store;
  std::shared_ptr<OriginalDestination> original = make_original_destination(store, "c");
  stream::StreamInfo info;
  ArenaPool pool;
  Arena arena{pool};
};

TEST_F(FindDestinationTest, ConnectionsThatWereNotRedirectedGoNowhere) {
  info.downstream_local = *net::Address::from_ip("10.0.0.1", 80);
  EXPECT_EQ(found(), "");
  info.downstream_direct_local = *net::Address::from_ip("127.0.0.1", 15001);
  EXPECT_EQ(found(), "10.0.0.1:80");
  original->port = 8080;
  EXPECT_EQ(found(), "10.0.0.1:8080");
}

TEST_F(FindDestinationTest, MetadataCountsMoreThanAHeaderAndThatMoreThanTheConnection) {
  info.downstream_local = *net::Address::from_ip("10.0.0.1", 80);
  info.downstream_direct_local = *net::Address::from_ip("127.0.0.1", 15001);
  const http::HeaderName to("x-to");
  original->header = to;
  original->metadata = {"where", "to"};
  http::HeaderMap headers(arena);
  EXPECT_EQ(found(&headers), "10.0.0.1:80");
  headers.set(to, "10.0.0.2:80");
  EXPECT_EQ(found(&headers), "10.0.0.2:80");
  stream::Metadata metadata(arena);
  info.metadata = &metadata;
  metadata.set("where", "to", stream::Value::of_number(7));
  EXPECT_EQ(found(&headers), "10.0.0.2:80");
  metadata.set("where", "to", stream::Value::of_string("10.0.0.3:80"));
  EXPECT_EQ(found(&headers), "10.0.0.3:80");
  metadata.set("where", "to", stream::Value::of_string("nowhere"));
  EXPECT_EQ(found(&headers), "10.0.0.2:80");
  EXPECT_EQ(original->host_invalid.value(), 1U);
}

}  // namespace
}  // namespace weir::upstream
