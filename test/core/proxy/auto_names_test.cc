#include "core/proxy/auto_names.h"

#include <gtest/gtest.h>

namespace weir::proxy {
namespace {

class AutoNamesTest : public testing::Test {
 protected:
  // "SNI|expected".
  std::string names(const upstream::AutoNames& wanted, const std::string& authority, const std::string& other = "") {
    http::HeaderMap request(arena_);
    request.add_copy(":authority", authority);
    const filter::UpstreamTransportOptions options = names_of(wanted, request, other, arena_);
    std::string text = std::string(options.server_name) + "|";
    for (std::string_view name : options.expected_names) text += name;
    return text;
  }

  ArenaPool pool_;
  Arena arena_{pool_};
};

// field: UpstreamHttpProtocolOptions.auto_sni, UpstreamHttpProtocolOptions.auto_san_validation
TEST_F(AutoNamesTest, OfTheHost) {
  EXPECT_EQ(names({}, "a.example"), "|");
  EXPECT_EQ(names({.server_name = true}, "a.example:8443"), "a.example|");
  EXPECT_EQ(names({.validation = true}, "a.example:8443"), "|a.example");
  EXPECT_EQ(names({.server_name = true, .validation = true}, "a.example"), "a.example|a.example");
}

TEST_F(AutoNamesTest, AddressesAreNoServerNames) {
  EXPECT_EQ(names({.server_name = true, .validation = true}, "10.0.0.1:80"), "|10.0.0.1");
  EXPECT_EQ(names({.server_name = true, .validation = true}, "[::1]:80"), "|::1");
}

// field: UpstreamHttpProtocolOptions.override_auto_sni_header
TEST_F(AutoNamesTest, OfAHeader) {
  const upstream::AutoNames wanted{.server_name = true, .header = http::HeaderName("X-Name")};
  EXPECT_EQ(names(wanted, "a.example", "b.example:1"), "b.example|");
  EXPECT_EQ(names(wanted, "a.example"), "a.example|");
}

TEST_F(AutoNamesTest, TooLongForAName) {
  EXPECT_EQ(names({.server_name = true, .validation = true}, std::string(256, 'a')), "|");
  EXPECT_EQ(names({.server_name = true}, std::string(255, 'a')), std::string(255, 'a') + "|");
}

// A header that says no addresses (LOCAL, UNKNOWN, a Unix socket) may say other things that are to be passed on.
TEST_F(AutoNamesTest, WhatAHeaderWithoutAddressesSays) {
  stream::FilterState state(arena_, nullptr);
  stream::ProxyHeader header;
  header.tlvs = std::string("\xea\0\1x", 4);
  ASSERT_EQ(state.set(stream::FilterStateName(stream::kProxyHeaderName),
                      stream::FilterStateValue::of_object(&header, stream::kProxyHeaderType), {}),
            stream::FilterState::Set::kDone);
  const net::Address client = *net::Address::from_ip("192.0.2.7", 1000);
  stream::StreamInfo info;
  info.filter_state = &state;
  info.connection_remote = &client;
  std::unique_ptr<stream::ProxyHeader> own;
  const stream::ProxyHeader* told = client_of(info, own);
  EXPECT_EQ(told->source, client);
  EXPECT_EQ(told->tlvs, header.tlvs);
}

}  // namespace
}  // namespace weir::proxy
