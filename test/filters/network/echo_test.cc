#include <gtest/gtest.h>

#include "envoy/extensions/filters/network/echo/v3/echo.pb.h"
#include "test/filters/network/tcp_world.h"

namespace weir::filters::echo {
namespace {

using envoy::extensions::filters::network::echo::v3::Echo;
using test::ProxyWorld;

TEST(EchoTest, GivesBackWhatItGets) {
  ProxyWorld world(test::network_filter(Echo()));
  auto client = world.connect();
  client->send("hello");
  world.settle();
  EXPECT_EQ(client->receive(), "hello");
  client->send("and bye");
  client->half_close();
  world.settle();
  EXPECT_EQ(client->receive(), "and bye");
  EXPECT_TRUE(client->ended());
  EXPECT_FALSE(client->was_reset());
  EXPECT_EQ(world.stat("listener.l.downstream_cx_active"), 0);
}

TEST(EchoTest, DoesNotReadFromWhoDoesNotRead) {
  ProxyWorld world(test::network_filter(Echo()));
  auto client = world.connect();
  std::string received;
  const std::string bytes(64 << 20, 'x');
  ASSERT_FALSE(test::pump(world, *client, bytes, nullptr, received));
  EXPECT_LT(world.lane().blocks().live_bytes(), 4U << 20);
  EXPECT_TRUE(test::pump(world, *client, "", client.get(), received));
  client->send("end");
  world.settle();
  received += client->receive();
  EXPECT_TRUE(received.ends_with("xend"));
}

TEST(EchoTest, ADrainEndsIt) {
  ProxyWorld world(test::network_filter(Echo()));
  auto client = world.connect();
  world.drain({});
  client->receive();
  EXPECT_TRUE(client->ended());
}

}  // namespace
}  // namespace weir::filters::echo
