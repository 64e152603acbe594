// tcp_proxy: how a connection finds its upstream, and what passes between them. How it ends: tcp_proxy_end_test.cc.
#include <gtest/gtest.h>

#include "core/upstream/cluster.h"
#include "test/filters/network/tcp_world.h"

namespace weir::filters::tcp_proxy {
namespace {

using test::Peer;
using test::ProxyWorld;
using test::pump;
using test::tcp_proxy;
using test::TcpProxyConfig;
using Lines = std::vector<std::string>;

constexpr std::string_view kConnected = "tcp.t.downstream_cx_total";

// field: TcpProxy.stat_prefix, TcpProxy.cluster
TEST(TcpProxyTest, BytesPassBothWays) {
  ProxyWorld world(tcp_proxy());
  auto client = world.connect();
  auto server = world.upstream().accept();
  client->send("GET / HTTP/1.1\nnot a request");
  server->send("220 hello\r\n");
  world.settle();
  EXPECT_EQ(server->receive(), "GET / HTTP/1.1\nnot a request");
  EXPECT_EQ(client->receive(), "220 hello\r\n");
  EXPECT_EQ(world.stat(kConnected), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_active"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_total"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_http1_total"), 0);
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_rx_bytes_total"), 11);  // while it goes on
  client->half_close();
  world.settle();
  server->close();
  world.settle();
  EXPECT_EQ(world.log(), Lines{"- 28 11 - - TcpConnectionEnd"});
  EXPECT_EQ(world.stat("tcp.t.downstream_cx_rx_bytes_total"), 28);
  EXPECT_EQ(world.stat("tcp.t.downstream_cx_tx_bytes_total"), 11);
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_tx_bytes_total"), 28);
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_active"), 0);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 0);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_pending_active"), 0);
}

TEST(TcpProxyTest, AServerMaySpeakFirst) {
  ProxyWorld world(tcp_proxy());
  auto client = world.connect();
  world.upstream().accept()->send("220 hello\r\n");
  world.settle();
  EXPECT_EQ(client->receive(), "220 hello\r\n");
}

// What passes in large pieces stays in the kernel, and arrives as it was sent.
TEST(TcpProxyTest, MuchPassesThroughPipes) {
  ProxyWorld world(tcp_proxy());
  auto client = world.connect();
  auto server = world.upstream().accept();
  std::string bytes(16 << 20, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 2654435761U >> 24);
  std::string received;
  EXPECT_TRUE(pump(world, *client, bytes, server.get(), received));
  EXPECT_TRUE(received == bytes);
  received.clear();
  EXPECT_TRUE(pump(world, *server, bytes, client.get(), received));
  EXPECT_TRUE(received == bytes);
  EXPECT_EQ(world.lane().pipes().used(), 0U);
  EXPECT_GE(world.lane().pipes().free(), 1U);
  EXPECT_EQ(world.stat("tcp.t.downstream_cx_rx_bytes_total"), int64_t{16 << 20});
  client->send("small again");
  world.settle();
  EXPECT_EQ(server->receive(), "small again");
}

// Neither side fills the memory when the other does not read.
TEST(TcpProxyTest, ASlowReaderStopsItsWriter) {
  constexpr uint32_t kLimit = 64 * 1024;
  for (const bool to_server : {true, false}) {
    ProxyWorld world(tcp_proxy({}, {.cluster = [](upstream::ClusterSpec& spec) { spec.buffer_limit = kLimit; }}));
    auto client = world.connect();
    auto server = world.upstream().accept();
    Peer& writer = to_server ? *client : *server;
    Peer& reader = to_server ? *server : *client;
    const std::string bytes(64 << 20, 'x');
    std::string received;
    ASSERT_FALSE(pump(world, writer, bytes, nullptr, received));
    if (to_server) {
      EXPECT_EQ(world.stat("tcp.t.downstream_flow_control_paused_reading_total"), 1);
    }
    const int64_t taken =
        world.stat(to_server ? "tcp.t.downstream_cx_rx_bytes_total" : "tcp.t.downstream_cx_tx_bytes_total");
    EXPECT_LT(taken, 32 << 20);
    // It goes on when the reader does.
    EXPECT_TRUE(pump(world, writer, "", &reader, received));
    if (to_server) {
      EXPECT_GE(world.stat("tcp.t.downstream_flow_control_resumed_reading_total"), 1);
    }
    EXPECT_GE(static_cast<int64_t>(received.size()), taken);
  }
}

// --- Finding an upstream -------------------------------------------------------------------------------------------

TEST(TcpProxyTest, WithoutAClusterItCloses) {
  ProxyWorld world(tcp_proxy([](TcpProxyConfig& config) { config.set_cluster("a"); }));
  auto client = world.connect();
  client->receive();
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{"NC 0 0 cluster_not_found - TcpConnectionEnd"});
  EXPECT_EQ(world.stat("tcp.t.downstream_cx_no_route"), 1);
}

TEST(TcpProxyTest, WithoutAHostItCloses) {
  ProxyWorld world(tcp_proxy({}, {.upstreams = 0}));
  auto client = world.connect();
  client->receive();
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{"UH 0 0 no_healthy_upstream - TcpConnectionEnd"});
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_none_healthy"), 1);
}

TEST(TcpProxyTest, ARefusedConnectionIsTheEndByDefault) {
  ProxyWorld world(tcp_proxy(
      {}, {.log_format = "%RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON% "
                         "%UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_CLUSTER%"}));
  world.upstream().stop();
  auto client = world.connect();
  client->receive();
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{"UF,URX connection_failure connection_refused 1 c"});
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_connect_fail"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_connect_attempts_exceeded"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 0);
}

// field: TcpProxy.max_connect_attempts
TEST(TcpProxyTest, AnotherHostGetsTheNextAttempt) {
  ProxyWorld world(tcp_proxy([](TcpProxyConfig& config) { config.mutable_max_connect_attempts()->set_value(2); },
                             {.log_format = "%RESPONSE_FLAGS% %UPSTREAM_REQUEST_ATTEMPT_COUNT%", .upstreams = 3}));
  world.upstream(0).stop();
  auto client = world.connect();
  client->send("hello");
  world.advance(1ms);
  auto server = world.upstream(1).accept();
  EXPECT_EQ(server->receive(), "hello");
  client->close();
  server->close();
  world.settle();
  EXPECT_EQ(world.log(), Lines{"- 2"});
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_connect_attempts_exceeded"), 0);
  // Both attempts of the next one fail.
  world.upstream(1).stop();
  world.upstream(2).stop();
  auto other = world.connect();
  world.advance(1ms);
  other->receive();
  EXPECT_TRUE(other->ended());
  EXPECT_EQ(world.log().back(), "UF,URX 2");
}

// field: TcpProxy.backoff_options, BackoffStrategy.base_interval, BackoffStrategy.max_interval
TEST(TcpProxyTest, AttemptsWaitForEachOther) {
  const auto attempts_after = [](Duration time, int64_t base_s, int64_t max_s) {
    ProxyWorld world(tcp_proxy([&](TcpProxyConfig& config) {
      config.mutable_max_connect_attempts()->set_value(1000);
      config.mutable_backoff_options()->mutable_base_interval()->set_seconds(base_s);
      config.mutable_backoff_options()->mutable_max_interval()->set_seconds(max_s);
    }));
    world.upstream().stop();
    auto client = world.connect();
    for (; time > Duration::zero(); time -= 500ms) world.advance(500ms);
    return world.stat("cluster.c.upstream_cx_connect_fail");
  };
  // By and large: a wait is anything from nothing to twice its mean.
  EXPECT_LT(attempts_after(100s, 10, 40), 30);
  EXPECT_GT(attempts_after(100s, 10, 10), 10);
  EXPECT_GT(attempts_after(100s, 1, 1), 80);
}

TEST(TcpProxyTest, TheLimitOfConnectionsRefuses) {
  ProxyWorld world(tcp_proxy({}, {.cluster = [](upstream::ClusterSpec& spec) { spec.breakers.max_connections = 1; }}));
  auto first = world.connect();
  auto server = world.upstream().accept();
  auto second = world.connect();
  second->receive();
  EXPECT_TRUE(second->ended());
  EXPECT_EQ(world.log(), Lines{"UO 0 0 upstream_overflow - TcpConnectionEnd"});
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_overflow"), 1);
  first->reset();
  world.settle();
  auto third = world.connect();
  EXPECT_TRUE(world.upstream().has_connection());
}

// field: TcpProxy.upstream_connect_mode
TEST(TcpProxyTest, ItMayWaitForTheFirstBytes) {
  ProxyWorld world(tcp_proxy([](TcpProxyConfig& config) {
    config.set_upstream_connect_mode(envoy::extensions::filters::network::tcp_proxy::v3::ON_DOWNSTREAM_DATA);
    config.mutable_max_early_data_bytes()->set_value(1000);
  }));
  auto client = world.connect();
  EXPECT_FALSE(world.upstream().has_connection());
  client->send("first");
  world.settle();
  EXPECT_EQ(world.upstream().accept()->receive(), "first");
  EXPECT_EQ(world.stat("tcp.t.early_data_received_count_total"), 1);
  // Who says nothing needs no upstream.
  auto silent = world.connect();
  silent->half_close();
  world.settle();
  silent->receive();
  EXPECT_TRUE(silent->ended());
  EXPECT_FALSE(world.upstream().has_connection());
  EXPECT_EQ(world.log().back(), "- 0 0 closed_before_first_data - TcpConnectionEnd");
  auto another = world.connect();
  world.drain({});
  another->receive();
  EXPECT_TRUE(another->ended());
}

// field: TcpProxy.max_early_data_bytes
TEST(TcpProxyTest, BytesMayComeBeforeTheUpstream) {
  for (const bool early : {false, true}) {
    ProxyWorld world(tcp_proxy([&](TcpProxyConfig& config) {
      config.mutable_max_connect_attempts()->set_value(1000);
      config.mutable_backoff_options()->mutable_base_interval()->set_seconds(1000);
      if (early) config.mutable_max_early_data_bytes()->set_value(100'000);
    }));
    world.upstream().stop();
    auto client = world.connect();
    std::string nothing;
    EXPECT_FALSE(pump(world, *client, std::string(64 << 20, 'x'), nullptr, nothing));
    EXPECT_EQ(world.stat("tcp.t.early_data_received_count_total"), early ? 1 : 0);
    EXPECT_EQ(world.lane().blocks().live_bytes() > 90'000, early);
    EXPECT_LT(world.lane().blocks().live_bytes(), 1'000'000U);  // no more than a read beyond the limit
  }
}

std::vector<std::pair<bool, uint64_t>> seen_hashes;

class SeesHashes final : public lb::Table {
 public:
  lb::HostIndex pick(const lb::PickInput& input, lb::LaneView&, lb::LaneState&) const noexcept override {
    seen_hashes.emplace_back(input.has_hash, input.hash);
    return 0;
  }
};

const lb::PolicyDescriptor& hash_policy() {
  static const lb::PolicyDescriptor policy{
      "test", "test", {}, [](const lb::BuildInput&, const void*) { return std::make_unique<SeesHashes>(); }};
  return policy;
}

// field: TcpProxy.hash_policy, type.v3.HashPolicy.source_ip, type.v3.HashPolicy.filter_state
// field: type.v3.HashPolicy.FilterState.key
TEST(TcpProxyTest, BalancersGetAHash) {
  seen_hashes.clear();
  ProxyWorld without(tcp_proxy({}, {.policy = &hash_policy()}));
  without.connect();
  ProxyWorld by_address(tcp_proxy([](TcpProxyConfig& config) { config.add_hash_policy()->mutable_source_ip(); },
                                  {.policy = &hash_policy()}));
  by_address.connect();
  by_address.connect();
  const auto by_state = [](std::string_view value) {
    ProxyWorld world(
        tcp_proxy([](TcpProxyConfig& config) { config.add_hash_policy()->mutable_filter_state()->set_key("user"); },
                  {.policy = &hash_policy()},
                  [value](stream::FilterState& state) {
                    if (!value.empty())
                      state.set(stream::FilterStateName("user"), stream::FilterStateValue::of_string(value), {});
                  }));
    world.connect();
  };
  by_state("alice");
  by_state("alice");
  by_state("bob");
  by_state("");
  ASSERT_EQ(seen_hashes.size(), 7U);
  EXPECT_FALSE(seen_hashes[0].first);
  EXPECT_TRUE(seen_hashes[1].first);
  EXPECT_EQ(seen_hashes[1], seen_hashes[2]);
  EXPECT_TRUE(seen_hashes[3].first);
  EXPECT_EQ(seen_hashes[3], seen_hashes[4]);
  EXPECT_NE(seen_hashes[3].second, seen_hashes[5].second);
  EXPECT_FALSE(seen_hashes[6].first);
}

// Filters in front may choose the cluster; what they do not take passes.
TEST(TcpProxyTest, AFilterBeforeChoosesTheCluster) {
  ProxyWorld world(tcp_proxy([](TcpProxyConfig& config) { config.set_cluster("a"); }, {},
                             [](stream::FilterState& state) {
                               state.set(stream::FilterStateName("envoy.tcp_proxy.cluster"),
                                         stream::FilterStateValue::of_string("c"), {});
                             }));
  auto client = world.connect();
  client->send("hello");
  world.settle();
  auto server = world.upstream().accept();
  EXPECT_EQ(server->receive(), "hello");
  client->half_close();
  world.settle();
  server->receive();
  EXPECT_TRUE(server->ended());
}

// field: TcpProxy.access_log_options, TcpAccessLogOptions.access_log_flush_interval
// field: TcpAccessLogOptions.flush_access_log_on_connected, TcpAccessLogOptions.flush_access_log_on_start
TEST(TcpProxyTest, LinesAreWrittenOnTheWay) {
  ProxyWorld world(tcp_proxy(
      [](TcpProxyConfig& config) {
        auto& options = *config.mutable_access_log_options();
        options.mutable_access_log_flush_interval()->set_seconds(10);
        options.set_flush_access_log_on_connected(true);
        options.set_flush_access_log_on_start(true);
      },
      {.log_format = "%ACCESS_LOG_TYPE% %DURATION% %BYTES_RECEIVED% %CONNECTION_ID% %UPSTREAM_REMOTE_ADDRESS%"}));
  auto client = world.connect();
  const std::string host = "127.0.0.1:" + std::to_string(world.upstream().port());
  ASSERT_EQ(world.log().size(), 2U);
  const std::string id = world.log()[0].substr(23, world.log()[0].find(' ', 23) - 23);
  EXPECT_EQ(world.log()[0], "TcpConnectionStart 0 0 " + id + " -");
  EXPECT_EQ(world.log()[1], "TcpUpstreamConnected 0 0 " + id + " " + host);
  client->send("12345");
  world.advance(10s);
  world.advance(10s);
  client->reset();
  world.advance(1s);
  const Lines expected = {"TcpPeriodic 10000 5 " + id + " " + host, "TcpPeriodic 20000 5 " + id + " " + host,
                          "TcpConnectionEnd 21000 5 " + id + " " + host};
  EXPECT_EQ(Lines(world.log().begin() + 2, world.log().end()), expected);
}

}  // namespace
}  // namespace weir::filters::tcp_proxy
