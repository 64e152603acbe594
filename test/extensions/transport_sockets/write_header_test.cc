#include "extensions/transport_sockets/proxy_protocol/write_header.h"

#include <gtest/gtest.h>

#include "filters/listener/proxy_protocol/header.h"

namespace weir::transport_sockets {
namespace {

// What weir's own reader says of it.
filters::proxy_protocol::Header read(std::string_view bytes) {
  filters::proxy_protocol::Header header;
  EXPECT_EQ(filters::proxy_protocol::parse_header(bytes, {}, header), filters::proxy_protocol::Parsed::kHeader);
  EXPECT_EQ(header.size, bytes.size());
  return header;
}

const net::Address v4 = *net::Address::from_ip("192.0.2.7", 1234), other4 = *net::Address::from_ip("10.0.0.1", 80);
const net::Address v6 = *net::Address::from_ip("2001:db8::1", 65535);

TEST(WriteHeader, V1) {
  EXPECT_EQ(proxy_header_v1(v4, other4), "PROXY TCP4 192.0.2.7 10.0.0.1 1234 80\r\n");
  EXPECT_EQ(proxy_header_v1(v6, v6), "PROXY TCP6 2001:db8::1 2001:db8::1 65535 65535\r\n");
  EXPECT_EQ(proxy_header_v1(v4, v6), "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1234 65535\r\n");
  EXPECT_EQ(proxy_header_v1({}, other4), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(proxy_header_v1(*net::Address::from_unix("/s"), other4), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(read(proxy_header_v1(v4, v6)).destination, v6);
}

TEST(WriteHeader, V2) {
  size_t dropped = 1;
  const Tlv tlvs[] = {{0xea, "vpc"}, {4, ""}};
  const std::string bytes = proxy_header_v2(v4, other4, tlvs, dropped);
  EXPECT_EQ(dropped, 0u);
  filters::proxy_protocol::Header header = read(bytes);
  EXPECT_EQ(header.source, v4);
  EXPECT_EQ(header.destination, other4);
  EXPECT_EQ(header.tlvs, std::string_view("\xea\0\x03vpc\x04\0\0", 9));
  EXPECT_EQ(read(proxy_header_v2(v6, v6, {}, dropped)).source, v6);
  EXPECT_EQ(read(proxy_header_v2(v6, v4, {}, dropped)).source, v6);
  EXPECT_TRUE(read(proxy_header_v2({}, {}, tlvs, dropped)).local);
}

TEST(WriteHeader, WhatHasNoRoomIsLeftOut) {
  const std::string large(40000, 'x');
  const Tlv tlvs[] = {{1, large}, {2, large}, {3, "y"}};
  size_t dropped = 0;
  const auto header = read(proxy_header_v2(v4, other4, tlvs, dropped));
  EXPECT_EQ(dropped, 2u);
  EXPECT_EQ(header.tlvs.size(), large.size() + 3);
}

}  // namespace
}  // namespace weir::transport_sockets
