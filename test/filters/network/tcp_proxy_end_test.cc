// tcp_proxy: how a connection ends, and what the log says of it.
#include <gtest/gtest.h>

#include <algorithm>

#include "test/filters/network/tcp_world.h"

namespace weir::filters::tcp_proxy {
namespace {

using test::Peer;
using test::ProxyWorld;
using test::tcp_proxy;
using test::TcpProxyConfig;
using Lines = std::vector<std::string>;

struct Open {
  explicit Open(test::WorldOptions options = tcp_proxy()) : world(std::move(options)) {
    client = world.connect();
    server = world.upstream().accept();
  }
  ProxyWorld world;
  std::unique_ptr<Peer> client;
  std::unique_ptr<Peer> server;
};

TEST(TcpProxyEnd, TheClientMayEndFirst) {
  Open open;
  open.client->send("question");
  open.client->half_close();
  open.world.settle();
  EXPECT_EQ(open.server->receive(), "question");
  EXPECT_TRUE(open.server->ended());
  open.server->send("answer");
  open.world.settle();
  EXPECT_EQ(open.client->receive(), "answer");
  EXPECT_FALSE(open.client->ended());
  open.server->send(", and more");
  open.server->close();
  open.world.settle();
  EXPECT_EQ(open.client->receive(), ", and more");
  EXPECT_TRUE(open.client->ended());
  EXPECT_FALSE(open.client->was_reset());
  EXPECT_EQ(open.world.log(), Lines{"- 8 16 - - TcpConnectionEnd"});
}

TEST(TcpProxyEnd, TheServerMayEndFirst) {
  Open open;
  open.server->send("bye");
  open.server->half_close();
  open.world.settle();
  EXPECT_EQ(open.client->receive(), "bye");
  EXPECT_TRUE(open.client->ended());
  EXPECT_FALSE(open.client->was_reset());
  open.client->send("wait, ");
  open.world.settle();
  open.client->send("I have more");
  open.client->half_close();
  open.world.settle();
  EXPECT_EQ(open.server->receive(), "wait, I have more");
  EXPECT_TRUE(open.server->ended());
  EXPECT_FALSE(open.server->was_reset());
  EXPECT_EQ(open.world.log(), Lines{"- 17 3 - - TcpConnectionEnd"});
}

TEST(TcpProxyEnd, AnEndBeforeTheUpstreamIsThereArrives) {
  ProxyWorld world(tcp_proxy());
  auto client = world.connect();
  client->send("all");
  client->half_close();
  auto server = world.upstream().accept();
  world.settle();
  EXPECT_EQ(server->receive(), "all");
  EXPECT_TRUE(server->ended());
  server->send("ok");
  server->close();
  world.settle();
  EXPECT_EQ(client->receive(), "ok");
  EXPECT_TRUE(client->ended());
}

// A server that breaks off does not end in order: its client is told the same, behind what has come.
TEST(TcpProxyEnd, AResetOfTheServerReachesTheClient) {
  Open open;
  open.server->send("the first ha");
  open.world.settle();
  open.server->reset();
  open.world.settle();
  EXPECT_EQ(open.client->receive(), "the first ha");
  EXPECT_TRUE(open.client->was_reset());
  EXPECT_EQ(open.world.log(), Lines{"UC 0 12 upstream_connection_termination - TcpConnectionEnd"});
  EXPECT_EQ(open.world.stat("cluster.c.upstream_cx_active"), 0);
}

TEST(TcpProxyEnd, AResetOfTheClientReachesTheServer) {
  Open open;
  open.client->send("half a requ");
  open.world.settle();
  open.client->reset();
  open.world.settle();
  open.server->receive();
  EXPECT_TRUE(open.server->was_reset());
  EXPECT_EQ(open.world.log(),
            Lines{"DC 11 0 - closing_upstream_tcp_connection_due_to_downstream_reset_close TcpConnectionEnd"});
  EXPECT_EQ(open.world.stat("cluster.c.upstream_cx_active"), 0);
  EXPECT_EQ(open.world.stat("cluster.c.upstream_rq_active"), 0);
}

// field: TcpProxy.idle_timeout
TEST(TcpProxyEnd, IdleConnectionsClose) {
  Open open(tcp_proxy([](TcpProxyConfig& config) { config.mutable_idle_timeout()->set_seconds(10); }));
  open.world.advance(9s);
  open.client->send("x");
  open.world.settle();
  open.world.advance(9s);
  open.server->send("x");
  open.world.settle();
  open.world.advance(9s);
  open.world.advance(500ms);
  EXPECT_EQ(open.client->receive(), "x");
  EXPECT_FALSE(open.client->ended());
  open.world.advance(1s);
  open.client->receive();
  EXPECT_EQ(open.server->receive(), "x");
  EXPECT_TRUE(open.client->ended());
  EXPECT_TRUE(open.server->ended());
  EXPECT_EQ(open.world.log(), Lines{"SI 1 1 tcp_session_idle_timeout tcp_session_idle_timeout TcpConnectionEnd"});
  EXPECT_EQ(open.world.stat("tcp.t.idle_timeout"), 1);
}

TEST(TcpProxyEnd, AnHourIsIdleByDefaultAndZeroIsNever) {
  for (const bool never : {false, true}) {
    Open open(tcp_proxy([&](TcpProxyConfig& config) {
      if (never) config.mutable_idle_timeout()->set_seconds(0);
    }));
    open.world.advance(59min);
    EXPECT_FALSE((open.client->receive(), open.client->ended()));
    open.world.advance(2min);
    EXPECT_EQ((open.client->receive(), open.client->ended()), !never);
  }
}

// field: TcpProxy.downstream_idle_timeout, TcpProxy.upstream_idle_timeout
TEST(TcpProxyEnd, TheShortestIdleTimeoutCounts) {
  for (const bool downstream : {true, false}) {
    Open open(tcp_proxy([&](TcpProxyConfig& config) {
      config.mutable_idle_timeout()->set_seconds(100);
      auto& other = downstream ? *config.mutable_downstream_idle_timeout() : *config.mutable_upstream_idle_timeout();
      other.set_seconds(10);
    }));
    open.world.advance(11s);
    open.client->receive();
    EXPECT_TRUE(open.client->ended());
  }
}

TEST(TcpProxyEnd, AFilterBeforeMaySetTheIdleTimeout) {
  Open open(tcp_proxy({}, {}, [](stream::FilterState& state) {
    state.set(stream::FilterStateName("envoy.tcp_proxy.per_connection_idle_timeout_ms"),
              stream::FilterStateValue::of_unsigned(5000), {});
  }));
  open.world.advance(6s);
  open.client->receive();
  EXPECT_TRUE(open.client->ended());
}

// A reader that takes a little now and then is slow and not idle; one that takes nothing is.
TEST(TcpProxyEnd, ASlowReaderIsNotIdle) {
  Open open(tcp_proxy([](TcpProxyConfig& config) { config.mutable_idle_timeout()->set_seconds(10); }));
  std::string nothing;
  ASSERT_FALSE(test::pump(open.world, *open.server, std::string(64 << 20, 'x'), nullptr, nothing));
  for (int i = 0; i < 5; ++i) {
    open.world.advance(9s);
    std::string some;
    while (some.size() < 2 << 20) {
      const std::string part = open.client->receive(1 << 20);
      if (part.empty()) break;
      some += part;
      open.world.settle(2);
    }
  }
  EXPECT_FALSE(open.client->ended());
  for (int i = 0; i < 4; ++i) open.world.advance(11s);
  EXPECT_EQ(open.world.stat("tcp.t.idle_timeout"), 1);
}

// field: TcpProxy.max_downstream_connection_duration
TEST(TcpProxyEnd, NoConnectionLastsLongerThanThat) {
  Open open(
      tcp_proxy([](TcpProxyConfig& config) { config.mutable_max_downstream_connection_duration()->set_seconds(10); }));
  for (int i = 0; i < 9; ++i) {
    open.world.advance(1s);
    open.client->send("x");
  }
  open.world.advance(900ms);
  open.client->receive();
  EXPECT_FALSE(open.client->ended());
  open.world.advance(200ms);
  open.client->receive();
  EXPECT_TRUE(open.client->ended());
  EXPECT_EQ(open.world.log(),
            Lines{"DT 9 0 max_connection_duration_reached max_connection_duration_reached TcpConnectionEnd"});
  EXPECT_EQ(open.world.stat("tcp.t.max_downstream_connection_duration"), 1);
}

// field: TcpProxy.max_downstream_connection_duration_jitter_percentage
TEST(TcpProxyEnd, TheLongestTimesAreSpread) {
  ProxyWorld world(tcp_proxy([](TcpProxyConfig& config) {
    config.mutable_max_downstream_connection_duration()->set_seconds(100);
    config.mutable_max_downstream_connection_duration_jitter_percentage()->set_value(50);
  }));
  std::vector<std::unique_ptr<Peer>> clients;
  for (int i = 0; i < 40; ++i) clients.push_back(world.connect());
  const auto open = [&] {
    return std::count_if(clients.begin(), clients.end(), [](auto& one) { return one->receive(), !one->ended(); });
  };
  world.advance(99s);
  EXPECT_EQ(open(), 40);
  world.advance(26s);
  EXPECT_GT(open(), 0);
  EXPECT_LT(open(), 40);
  world.advance(26s);
  EXPECT_EQ(open(), 0);
}

// What goes on is not cut off by a drain, but at its end.
TEST(TcpProxyEnd, ADrainLeavesWhatGoesOnUntilItsEnd) {
  Open open;
  open.world.drain({.time = 60s, .close_at_end = true});
  open.world.advance(59s);
  open.client->send("x");
  open.world.settle();
  EXPECT_EQ(open.server->receive(), "x");
  open.world.advance(2s);
  open.client->receive();
  open.server->receive();
  EXPECT_TRUE(open.client->ended());
  EXPECT_TRUE(open.server->ended());
  EXPECT_EQ(open.world.log(),
            Lines{"- 1 0 - closing_upstream_tcp_connection_due_to_downstream_local_close TcpConnectionEnd"});
}

// field: TcpProxy.access_log_flush_interval, TcpProxy.flush_access_log_on_connected
TEST(TcpProxyEnd, TheOlderFieldsOfLogsMeanTheSame) {
  Open open(tcp_proxy(
      [](TcpProxyConfig& config) {
        config.mutable_access_log_flush_interval()->set_seconds(10);
        config.set_flush_access_log_on_connected(true);
      },
      {.log_format = "%ACCESS_LOG_TYPE%"}));
  open.world.advance(10s);
  EXPECT_EQ(open.world.log(), (Lines{"TcpUpstreamConnected", "TcpPeriodic"}));
}

}  // namespace
}  // namespace weir::filters::tcp_proxy
