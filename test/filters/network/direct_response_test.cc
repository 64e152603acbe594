#include <gtest/gtest.h>

#include "envoy/extensions/filters/network/direct_response/v3/config.pb.h"
#include "test/filters/network/tcp_world.h"

namespace weir::filters::direct_response {
namespace {

using envoy::extensions::filters::network::direct_response::v3::Config;
using test::ProxyWorld;

// field: direct_response.v3.Config.response
TEST(DirectResponseTest, SaysItAndCloses) {
  Config config;
  config.mutable_response()->set_inline_string("go away\n");
  ProxyWorld world(test::network_filter(config));
  auto client = world.connect();
  EXPECT_EQ(client->receive(), "go away\n");
  EXPECT_TRUE(client->ended());
  EXPECT_FALSE(client->was_reset());
  client->close();
  world.settle();
  EXPECT_EQ(world.stat("listener.l.downstream_cx_active"), 0);
}

// Whoever is still talking gets to read it, and does not hold the connection for ever.
TEST(DirectResponseTest, WaitsALittleForATalkativeClient) {
  Config config;
  config.mutable_response()->set_inline_string("go away\n");
  ProxyWorld world(test::network_filter(config));
  auto client = world.connect();
  client->send("GET / HTTP/1.1\r\n\r\n");
  world.settle();
  EXPECT_EQ(client->receive(), "go away\n");
  EXPECT_FALSE(client->was_reset());
  EXPECT_EQ(world.stat("listener.l.downstream_cx_active"), 1);
  world.advance(2s);
  EXPECT_EQ(world.stat("listener.l.downstream_cx_active"), 0);
}

TEST(DirectResponseTest, WithNothingToSayItCloses) {
  ProxyWorld world(test::network_filter(Config()));
  auto client = world.connect();
  EXPECT_EQ(client->receive(), "");
  EXPECT_TRUE(client->ended());
}

}  // namespace
}  // namespace weir::filters::direct_response
