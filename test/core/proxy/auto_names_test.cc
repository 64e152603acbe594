#include "core/proxy/auto_names.h"

#include <gtest/gtest.h>

#include "test/support/count_allocations.h"

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

TEST_F(AutoNamesTest, NamesThatLookLikeAddressesAreNames) {
  for (const char* name : {"1.2.3", "10.0.0.256", "1.2.3.4.example", "7"})
    EXPECT_EQ(names({.server_name = true}, name), std::string(name) + "|");
}

TEST_F(AutoNamesTest, NamesTakeNoHeap) {
  http::HeaderMap request(arena_);
  request.add_copy(":authority", "a-name-that-no-small-string-has-room-for.example:8443");
  const upstream::AutoNames wanted{.server_name = true, .validation = true};
  (void)names_of(wanted, request, {}, arena_);
  const uint64_t before = test::allocations;
  const filter::UpstreamTransportOptions options = names_of(wanted, request, {}, arena_);
  EXPECT_EQ(test::allocations, before);
  EXPECT_EQ(options.server_name, "a-name-that-no-small-string-has-room-for.example");
}

// field: UpstreamHttpProtocolOptions.override_auto_sni_header
TEST_F(AutoNamesTest, OfAHeader) {
  const upstream::AutoNames wanted{.server_name = true, .header = http::HeaderName("X-Name")};
  EXPECT_EQ(names(wanted, "a.example", "b.example:1"), "b.example|");
  EXPECT_EQ(names(wanted, "a.example"), "a.example|");
}

TEST_F(AutoNamesTest, TooLongForAName) {
  EXPECT_EQ(names({.server_name = true, .validation = true}, std::string(256, 'a')), "|(not a name)");
  EXPECT_EQ(names({.validation = true}, ""), "|(not a name)");
  EXPECT_EQ(names({.server_name = true}, std::string(256, 'a')), "|");
  EXPECT_EQ(names({.server_name = true}, std::string(255, 'a')), std::string(255, 'a') + "|");
}

TEST_F(AutoNamesTest, OfFilterState) {
  stream::FilterState state(arena_, nullptr);
  stream::StreamInfo info;
  info.filter_state = &state;
  const auto set = [&](std::string_view name, std::string_view text) {
    EXPECT_EQ(state.set(stream::FilterStateName(name), stream::FilterStateValue::of_string(text), {}),
              stream::FilterState::Set::kDone);
  };
  const auto told = [&](filter::UpstreamTransportOptions options) {
    add_filter_state(info, options, arena_);
    std::string text(options.server_name);
    for (std::string_view name : options.expected_names) (text += '|') += name;
    for (std::string_view name : options.offered) (text += '/') += name;
    return text;
  };
  const std::string_view expected[] = {"host.example"};
  const filter::UpstreamTransportOptions by_host{.server_name = "host.example", .expected_names = expected};
  EXPECT_EQ(told({}), "");
  EXPECT_EQ(told(by_host), "host.example|host.example");
  set("envoy.network.upstream_server_name", "own.example");
  EXPECT_EQ(told(by_host), "own.example|host.example");
  set("envoy.network.upstream_subject_alt_names", "a.example, b.example,,");
  set("envoy.network.application_protocols", "h2,http/1.1");
  EXPECT_EQ(told(by_host), "own.example|a.example|b.example/h2/http/1.1");
  EXPECT_EQ(told({}), "own.example|a.example|b.example/h2/http/1.1");
  set("envoy.network.upstream_server_name", std::string(256, 'a'));
  set("envoy.network.upstream_subject_alt_names", ",");
  set("envoy.network.application_protocols", "");
  EXPECT_EQ(told(by_host), "host.example|host.example");
  // What is no name matches nothing; it is not as if nothing had been said.
  EXPECT_EQ(told({}), "|(not a name)");
  set("envoy.network.upstream_subject_alt_names", std::string(256, 'a') + ", b.example");
  EXPECT_EQ(told(by_host), "host.example|(not a name)|b.example");
}

// It is looked at only where it matters.
TEST_F(AutoNamesTest, WhoAsks) {
  upstream::ClusterSpec spec;
  stream::StreamInfo info;
  stream::FilterState state(arena_, nullptr);
  EXPECT_FALSE(asks_for_names(spec, info));
  info.filter_state = &state;
  EXPECT_FALSE(asks_for_names(spec, info));
  spec.transports.encrypts = true;
  EXPECT_TRUE(asks_for_names(spec, info));
  info.filter_state = nullptr;
  EXPECT_FALSE(asks_for_names(spec, info));
  spec.auto_names.validation = true;
  EXPECT_TRUE(asks_for_names(spec, info));
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
