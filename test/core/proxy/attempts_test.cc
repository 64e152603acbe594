// Attempts that fail, and what becomes of the request: replays of stale connections, retries, what they cost and what
// is counted.
#include <gtest/gtest.h>

#include <algorithm>

#include "test/core/proxy/proxy_world.h"

namespace weir::proxy {
namespace {

using test::Peer;
using test::ProxyWorld;
using Lines = std::vector<std::string>;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
constexpr std::string_view kPost = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

route::RetryPolicySpec& retry(route::VirtualHostSpec& host, std::string on, uint32_t retries) {
  route::RetryPolicySpec& policy = host.routes[0].forward.retry.emplace();
  policy.retry_on = std::move(on);
  policy.num_retries = retries;
  return policy;
}

// A connection with one exchange behind it.
std::unique_ptr<Peer> warm(ProxyWorld& world, Peer& client) {
  client.send(kGet);
  world.settle();
  auto server = world.upstream().accept();
  server->receive();
  server->send(kOk);
  world.settle();
  EXPECT_TRUE(client.receive().ends_with("ok"));
  return server;
}

TEST(StaleConnection, ASafeRequestGoesOutAgain) {
  ProxyWorld world;
  auto client = world.connect();
  auto server = warm(world, *client);
  client->send(kGet);
  world.settle();
  EXPECT_NE(server->receive(), "");
  server->close();
  world.settle();
  world.advance(1ms);
  auto next = world.upstream().accept();
  EXPECT_NE(next->receive(), "");
  next->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("ok"));
  EXPECT_EQ(world.log(), (Lines{"200 - via_upstream", "200 - via_upstream"}));
}

TEST(StaleConnection, AnUnsafeRequestThatWasTakenDoesNot) {
  ProxyWorld world;
  auto client = world.connect();
  auto server = warm(world, *client);
  client->send(kPost);
  world.settle();
  EXPECT_NE(server->receive(), "");
  server->close();
  world.settle();
  world.advance(1ms);
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 503 "));
  EXPECT_EQ(world.log().back(), "503 UC upstream_reset_before_response_started{connection_termination}");
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_503"), 1);
}

// The upstream has no part in it.
TEST(FailedAttempt, WhatIsEndedHereIsALocalReset) {
  test::WorldOptions options;
  options.cluster = [](upstream::ClusterSpec& spec) { spec.breakers.max_connections = 1; };
  ProxyWorld world(options);
  auto first = world.connect();
  first->send(kGet);
  world.settle();
  auto second = world.connect();
  second->send(kGet);  // waits for the connection
  world.settle();
  {
    test::OnLane on(world.lane());
    upstream::LaneClusters::of(world.lane()).shut_down();
  }
  world.settle();
  EXPECT_TRUE(first->receive().starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(second->receive().ends_with("reset reason: local reset"));
  Lines log = world.log();
  std::sort(log.begin(), log.end());
  EXPECT_EQ(log, (Lines{"503 LR upstream_reset_before_response_started{local_reset}",
                        "503 UC upstream_reset_before_response_started{connection_termination}"}));
}

// The connection is dead already when the request is given to it, but nobody knows yet: nothing has gone out.
TEST(StaleConnection, AnUnsafeRequestThatWasNeverTakenDoes) {
  ProxyWorld world;
  auto client = world.connect();
  auto server = warm(world, *client);
  // Both in one turn, and the end comes after the request was given to the connection.
  world.lane().post([&] { server->reset(); });
  client->send(kPost);
  world.settle(1);
  world.settle();
  world.advance(1ms);
  auto next = world.upstream().accept();
  EXPECT_TRUE(next->receive().ends_with("body"));
  next->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("ok"));
  EXPECT_EQ(world.log().back(), "200 - via_upstream");
}

// The end of an idle connection and a request arrive together: the connection is out of the pool before the request
// looks for one.
TEST(StaleConnection, ItsEndIsSeenBeforeRequestsOfTheSameTurn) {
  ProxyWorld world;
  auto client = world.connect();
  auto server = warm(world, *client);
  client->send(kPost);
  server->close();
  world.settle();
  auto next = world.upstream().accept();
  EXPECT_TRUE(next->receive().ends_with("body"));
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry"), 0);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_rx_reset"), 0);
}

// Part of a response is not silence: a request whose answer was lost is not repeated without a retry policy.
TEST(StaleConnection, OneThatBeganToAnswerWasNotStale) {
  for (bool reset : {false, true}) {
    ProxyWorld world;
    auto client = world.connect();
    auto server = warm(world, *client);
    client->send(kGet);
    world.settle();
    server->receive();
    server->send("HTTP/1.1 200 OK\r\ncontent-le");
    world.settle();
    reset ? server->reset() : server->close();
    world.settle();
    world.advance(1ms);
    EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 503 "));
    EXPECT_EQ(world.log().back(), "503 UC upstream_reset_before_response_started{connection_termination}");
    EXPECT_EQ(world.stat("cluster.c.upstream_cx_protocol_error"), 0);
  }
}

TEST(Failures, OfAResponseThatHasBegun) {
  struct Case {
    std::string_view rest, line;
    bool reset;
  };
  for (Case one :
       {Case{"", "200 UC upstream_reset_after_response_started{connection_termination}", false},
        Case{"", "200 UC upstream_reset_after_response_started{connection_termination}", true},
        Case{"zz\r\n", "200 UPE upstream_reset_after_response_started{protocol_error|http1.invalid_chunk_size}",
             false}}) {
    ProxyWorld world;
    auto client = world.connect();
    client->send(kGet);
    world.settle();
    auto server = world.upstream().accept();
    server->send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    world.settle();
    EXPECT_NE(client->receive(), "");
    if (!one.rest.empty()) server->send(one.rest);
    one.reset ? server->reset() : server->close();
    world.settle();
    EXPECT_EQ(client->receive().find("0\r\n\r\n"), std::string::npos);
    EXPECT_TRUE(client->ended());
    EXPECT_EQ(world.log(), Lines{std::string(one.line)});
  }
}

TEST(Failures, OfAServerThatSpeaksNoHttp) {
  ProxyWorld world;
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  auto server = world.upstream().accept();
  server->send("SSH-2.0-hello\r\n");
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 502 "));
  EXPECT_EQ(world.log(),
            Lines{"502 UPE upstream_reset_before_response_started{protocol_error|http1.invalid_status_line}"});
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_protocol_error"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_502"), 1);
}

TEST(Failures, OfARefusedConnection) {
  ProxyWorld world(
      {.virtual_host = [](route::VirtualHostSpec& host) { host.include_attempt_count_in_response = true; }});
  world.upstream().stop();
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  std::string answer = client->receive();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 "));
  EXPECT_NE(answer.find("x-envoy-attempt-count: 1\r\n"), std::string::npos) << answer;
  EXPECT_EQ(world.log(), Lines{"503 UF upstream_reset_before_response_started{connection_failure}"});
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_5xx"), 1);
}

TEST(Failures, OfACircuitBreaker) {
  ProxyWorld world({.cluster = [](upstream::ClusterSpec& spec) { spec.breakers.max_requests = 0; }});
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  EXPECT_NE(client->receive().find("x-envoy-overloaded: true\r\n"), std::string::npos);
  EXPECT_EQ(world.log(), Lines{"503 UO upstream_reset_before_response_started{overflow}"});
}

TEST(Retries, AResponseThatIsReplacedIsCountedApart) {
  ProxyWorld world({.virtual_host =
                        [](route::VirtualHostSpec& host) {
                          retry(host, "5xx", 1);
                          host.routes[0].stat_prefix = "r";
                          host.virtual_clusters.emplace_back().name = "all";
                          host.virtual_clusters[0].headers.emplace_back().name = ":method";
                        },
                    .upstreams = 2});
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  auto first = world.upstream(0).accept();
  first->send("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
  world.settle();
  world.advance(1s);
  auto second = world.upstream(1).accept();
  second->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_503"), 0);
  EXPECT_EQ(world.stat("cluster.c.retry.upstream_rq_503"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_200"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry_success"), 1);
  for (const std::string owner : {"cluster.c.", "vhost.all.route.r.", "vhost.all.vcluster.all."}) {
    EXPECT_EQ(world.stat(owner + "upstream_rq_total"), 2) << owner;
    EXPECT_EQ(world.stat(owner + "upstream_rq_retry"), 1) << owner;
    EXPECT_EQ(world.stat(owner + "upstream_rq_503"), 0) << owner;
  }
}

TEST(Retries, NoneFollowsHintsThatTheClientHasHeard) {
  ProxyWorld world({.virtual_host = [](route::VirtualHostSpec& host) { retry(host, "5xx,reset", 2); }, .upstreams = 2});
  auto client = world.connect();
  for (const bool answers : {true, false}) {
    client->send(kGet);
    world.settle();
    auto server = world.upstream(answers ? 0 : 1).accept();
    server->send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    world.settle();
    EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 103 "));
    answers ? server->send("HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy") : server->close();
    world.settle();
    EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 503 "));
  }
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry"), 0);
  for (const char* name : {"cluster.c.upstream_rq_103", "cluster.c.upstream_rq_1xx", "http.m.downstream_rq_1xx"})
    EXPECT_EQ(world.stat(name), 2) << name;
}

TEST(Retries, HintsLiftTheLimitOfATry) {
  ProxyWorld world({.virtual_host = [](route::VirtualHostSpec& host) { retry(host, "5xx", 1).per_try_timeout = 1s; }});
  auto client = world.connect();
  for (const bool early : {true, false}) {
    const std::string_view request = early ? kPost : kGet;
    client->send(request.substr(0, request.size() - (early ? 4 : 0)));
    world.settle();
    auto server = world.upstream().accept();
    server->send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    world.settle();
    if (early) client->send("body");
    world.settle();
    world.advance(2s);
    EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 103 "));
    server->send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
    world.settle();
    EXPECT_TRUE(client->receive().ends_with("ok"));
  }
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_per_try_timeout"), 0);
}

TEST(Retries, TheLimitOfAllIsSaidWithItsFlag) {
  ProxyWorld world({.virtual_host = [](route::VirtualHostSpec& host) { retry(host, "5xx", 1); },
                    .cluster = [](upstream::ClusterSpec& spec) { spec.breakers.max_retries = 0; }});
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  auto server = world.upstream().accept();
  server->send("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 503 "));
  EXPECT_EQ(world.log(), Lines{"503 UO via_upstream"});
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry_overflow"), 1);
}

// A server that dies may take new connections until its last process is gone.
TEST(Retries, AStaleConnectionDoesNotUseUpTheRepetitionThatIsFree) {
  ProxyWorld world({.virtual_host = [](route::VirtualHostSpec& host) { retry(host, "reset", 3); },
                    .cluster =
                        [](upstream::ClusterSpec& spec) {
                          spec.breakers.has_retry_budget = spec.breakers.retry_budget_is_default = true;
                          spec.breakers.retry_budget_percent = 0;
                          spec.breakers.retry_budget_min = 0;
                        },
                    .upstreams = 2});
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  auto dying = world.upstream(0).accept();
  dying->send(kOk);
  world.settle();
  auto other = world.connect();
  other->send(kGet);  // to the second server
  world.settle();
  client->receive();
  client->send(kGet);  // to the first one, on the same connection
  world.settle();
  auto third = world.connect();
  third->send(kGet);  // to the second one
  world.settle();
  dying->receive();
  dying->close();  // stale: at once another try, of any server
  world.settle();
  world.advance(1ms);
  ASSERT_TRUE(world.upstream(0).has_connection());
  auto again = world.upstream(0).accept();
  again->receive();
  again->close();
  world.settle();
  world.advance(1s);
  auto first = world.upstream(1).accept();
  auto second = world.upstream(1).accept();
  ASSERT_TRUE(world.upstream(1).has_connection());
  auto last = world.upstream(1).accept();
  last->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("ok"));
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry_overflow"), 0);
}

// Of a fleet of which nothing answers, few repetitions are free: it would see twice what is asked of it.
TEST(Retries, FewRepetitionsAreFreeWhileNobodyAnswers) {
  for (const uint32_t floor : {0u, 3u}) {
    ProxyWorld world({.virtual_host = [](route::VirtualHostSpec& host) { retry(host, "reset", 1); },
                      .cluster =
                          [floor](upstream::ClusterSpec& spec) {
                            spec.breakers.has_retry_budget = spec.breakers.retry_budget_is_default = true;
                            spec.breakers.retry_budget_min = floor;
                          },
                      .upstreams = 2});
    // Whichever of the two gets the request.
    const auto served = [&] {
      world.settle();
      return world.upstream(world.upstream(0).has_connection() ? 0 : 1).accept();
    };
    auto client = world.connect();
    int64_t retries = 0;
    // Whether a request is repeated of which both attempts fail.
    const auto repeats = [&] {
      client->send(kGet);
      served()->close();
      world.settle();
      world.advance(50ms);  // the back-off
      const bool repeated = world.stat("cluster.c.upstream_rq_retry") > retries;
      if (repeated) {
        ++retries;
        served()->close();
        world.settle();
      }
      EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 503 "));
      return repeated;
    };
    int free = 0;
    while (repeats() && free < 100) ++free;
    EXPECT_GE(free, 30) << floor;
    EXPECT_LT(free, 36) << floor;  // with those of the time that has passed
    world.advance(1s);
    EXPECT_TRUE(repeats()) << floor;
    EXPECT_FALSE(repeats()) << floor;
    // An answer pays for one.
    client->send(kGet);
    auto server = served();
    server->receive();
    server->send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
    world.settle();
    EXPECT_TRUE(client->receive().ends_with("ok"));
    EXPECT_TRUE(repeats()) << floor;
    EXPECT_FALSE(repeats()) << floor;
  }
}

// Those that wait out their back-off are no first tries that have gone.
TEST(Retries, TheBudgetCountsThoseThatWait) {
  ProxyWorld world({.virtual_host =
                        [](route::VirtualHostSpec& host) {
                          retry(host, "5xx", 1);
                          host.routes[0].forward.retry->back_off_base = 10s;
                        },
                    .cluster =
                        [](upstream::ClusterSpec& spec) {
                          spec.breakers.has_retry_budget = true;
                          spec.breakers.retry_budget_percent = 50;
                          spec.breakers.retry_budget_min = 0;
                        }});
  std::vector<std::unique_ptr<test::Peer>> clients, servers;
  for (int i = 0; i < 12; ++i) {
    clients.push_back(world.connect());
    clients.back()->send(kGet);
    world.settle();
    servers.push_back(world.upstream().accept());
  }
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry_overflow"), 0) << i;
    servers[i]->send("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
    world.settle();
  }
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry"), 4);  // half of the 8 that are left
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry_overflow"), 1);
}

TEST(Responses, WithTrailersAreTimedToo) {
  ProxyWorld world(
      {.log_format = "%COMMON_DURATION(US_RX_BEG:US_RX_BODY_BEG:ms)% %COMMON_DURATION(US_RX_BEG:US_RX_END:ms)%"});
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  auto server = world.upstream().accept();
  server->send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  world.settle();
  world.advance(5ms);
  server->send("2\r\nok\r\n");
  world.settle();
  world.advance(3ms);
  server->send("0\r\nx-last: 1\r\n\r\n");
  world.settle();
  EXPECT_EQ(world.log(), Lines{"5 8"});
}

// A host that takes no connection has no load from it: going on to one that was not tried costs one of num_retries, and
// nothing of the default budget. A limit that somebody has set holds.
TEST(Retries, RefusedConnectionsMoveOnToOtherHosts) {
  for (const bool by_default : {true, false}) {
    ProxyWorld world({.virtual_host = [](route::VirtualHostSpec& host) { retry(host, "connect-failure", 2); },
                      .cluster =
                          [by_default](upstream::ClusterSpec& spec) {
                            spec.breakers.has_retry_budget = true;
                            spec.breakers.retry_budget_is_default = by_default;
                            spec.breakers.retry_budget_percent = 0;
                            spec.breakers.retry_budget_min = 1;
                          },
                      .upstreams = 3});
    world.upstream(0).stop();
    world.upstream(1).stop();
    auto busy = world.connect();
    busy->send(kGet);  // to the first server, and then to another one
    auto client = world.connect();
    client->send(kGet);
    for (int i = 0; i < 4; ++i) {
      world.settle();
      world.advance(1s);
    }
    const bool both = by_default;
    for (int i = 0; i < (both ? 2 : 1); ++i) world.upstream(2).accept()->send(kOk);
    world.settle();
    EXPECT_TRUE(busy->receive().starts_with("HTTP/1.1 200 "));
    EXPECT_TRUE(client->receive().starts_with(both ? "HTTP/1.1 200 " : "HTTP/1.1 503 "));
    EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry_overflow"), both ? 0 : 1);
  }
}

TEST(Retries, TheAnswerSaysThatThereWereSome) {
  ProxyWorld world({.virtual_host = [](route::VirtualHostSpec& host) { retry(host, "connect-failure", 1); }});
  world.upstream().stop();
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  world.advance(1s);
  EXPECT_NE(client->receive().find("\r\n\r\nupstream connect error or disconnect/reset before headers. retried and the "
                                   "latest reset reason: connection failure"),
            std::string::npos);
}

// As published, only requests that still wait for a connection.
TEST(Cancelled, WhoHasNoConnectionYet) {
  ProxyWorld world({.cluster = [](upstream::ClusterSpec& spec) { spec.breakers.max_connections = 1; }});
  auto connected = world.connect();
  connected->send(kGet);
  world.settle();
  auto waiting = world.connect();
  waiting->send(kGet);
  world.settle();
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_pending_active"), 1);
  waiting->reset();
  world.settle();
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_cancelled"), 1);
  connected->reset();
  world.settle();
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_cancelled"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_tx_reset"), 1);
}

TEST(Retries, WithNoOtherHostTheLimitHolds) {
  ProxyWorld world({.virtual_host = [](route::VirtualHostSpec& host) { retry(host, "connect-failure", 2); },
                    .cluster = [](upstream::ClusterSpec& spec) { spec.breakers.max_retries = 0; }});
  world.upstream().stop();
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 503 "));
  EXPECT_EQ(world.log(), Lines{"503 UF,UO upstream_reset_before_response_started{connection_failure}"});
}

TEST(Retries, ThoseThatLimitsForbidAreCountedForRouteAndVirtualClusterToo) {
  ProxyWorld world({.virtual_host =
                        [](route::VirtualHostSpec& host) {
                          retry(host, "5xx", 2);
                          host.routes[0].stat_prefix = "r";
                          route::VirtualClusterSpec& reads = host.virtual_clusters.emplace_back();
                          reads.name = "reads";
                          reads.headers.emplace_back().name = ":method";
                        },
                    .cluster = [](upstream::ClusterSpec& spec) { spec.breakers.max_retries = 0; }});
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  auto server = world.upstream().accept();
  server->send("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 503 "));
  for (const char* owner : {"cluster.c", "vhost.all.route.r", "vhost.all.vcluster.reads"})
    EXPECT_EQ(world.stat(std::string(owner) + ".upstream_rq_retry_overflow"), 1) << owner;
  EXPECT_EQ(world.stat("vhost.all.vcluster.other.upstream_rq_retry_overflow"), 0);
}

// What is sent again is what was kept, and not another copy of it.
TEST(Replay, ARetryCopiesNothing) {
  ProxyWorld world({.virtual_host = [](route::VirtualHostSpec& host) { retry(host, "5xx", 1); }, .upstreams = 2});
  auto client = world.connect();
  const std::string body(512 << 10, 'b');
  client->send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n");
  std::string got;
  std::unique_ptr<Peer> first;
  for (size_t at = 0; at < body.size(); at += 16 << 10) {
    client->send(std::string_view(body).substr(at, 16 << 10));
    world.settle();
    if (first == nullptr) first = world.upstream(0).accept();
    got += first->receive();
  }
  EXPECT_TRUE(got.ends_with(body));
  const size_t kept = world.lane().blocks().live_bytes();
  EXPECT_GT(kept, body.size());
  first->send("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
  world.settle();
  world.advance(1s);
  auto second = world.upstream(1).accept();
  EXPECT_LE(world.lane().blocks().live_bytes(), kept + 4 * BlockPool::kStandardBytes);
  std::string again;
  for (int i = 0; i < 1000 && again.size() < body.size() + 1; ++i) {
    again += second->receive();
    world.settle(2);
  }
  EXPECT_TRUE(again.ends_with(body));
}

// A body that drips in is kept for a retry without keeping a whole block for every drop.
TEST(Replay, DropsDoNotPinBlocks) {
  ProxyWorld world({.virtual_host = [](route::VirtualHostSpec& host) { retry(host, "5xx", 1); }, .upstreams = 2});
  auto client = world.connect();
  client->send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n");
  world.settle();
  auto first = world.upstream(0).accept();
  size_t before = world.lane().blocks().live_bytes();
  std::string body;
  for (int i = 0; i < 1000; ++i) {
    char drop = static_cast<char>('a' + i % 26);
    body += drop;
    client->send({&drop, 1});
    world.settle(2);
  }
  EXPECT_LT(world.lane().blocks().live_bytes(), before + 10 * BlockPool::kStandardBytes);
  EXPECT_TRUE(first->receive().ends_with(body));
  first->send("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
  world.settle();
  world.advance(1s);
  auto second = world.upstream(1).accept();
  EXPECT_TRUE(second->receive().ends_with(body));
}

}  // namespace
}  // namespace weir::proxy
