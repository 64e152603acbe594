// Tries that take too long and get company, and servers that say when to come again.
#include <gtest/gtest.h>

#include "core/config/shared_messages.h"
#include "envoy/config/core/v3/base.pb.h"
#include "test/core/proxy/proxy_world.h"

namespace weir::proxy {
namespace {

using test::ProxyWorld;
using test::WorldOptions;
using Lines = std::vector<std::string>;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
constexpr std::string_view kBusy = "HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy";

WorldOptions hedging(uint32_t retries = 1) {
  WorldOptions options;
  options.upstreams = 3;
  options.virtual_host = [retries](route::VirtualHostSpec& host) {
    host.routes[0].forward.hedge = true;
    route::RetryPolicySpec& policy = host.routes[0].forward.retry.emplace();
    policy.retry_on = "5xx";
    policy.num_retries = retries;
    policy.per_try_timeout = 1s;
  };
  return options;
}

// A request that has waited for its first server for longer than a try may take.
struct Hedged {
  explicit Hedged(ProxyWorld& world, std::string_view request = kGet) : client(world.connect()) {
    client->send(request);
    world.settle();
    first = world.upstream(0).accept();
    received = first->receive();
    world.advance(1s + 1ms);
    second = world.upstream(1).accept();
  }
  std::unique_ptr<test::Peer> client, first, second;
  std::string received;
};

void expect_at_rest(ProxyWorld& world) {
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 0);
  EXPECT_EQ(world.stat("cluster.c.circuit_breakers.default.rq_retry_open"), 0);
}

TEST(Hedging, TheFirstServerMayStillAnswer) {
  ProxyWorld world(hedging());
  Hedged at(world);
  // The same request, but for the time that is left.
  std::string again = at.second->receive();
  const std::string told = "x-envoy-expected-rq-timeout-ms: ";
  const size_t left = again.find(told + "13999\r\n");
  ASSERT_NE(left, std::string::npos) << again;
  EXPECT_EQ(again.replace(left + told.size(), 5, "15000"), at.received);
  at.first->send(kOk);
  world.settle();
  EXPECT_TRUE(at.client->receive().ends_with("ok"));
  at.second->receive();
  EXPECT_TRUE(at.second->ended());
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_per_try_timeout"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry"), 1);
  EXPECT_EQ(world.log(), Lines{"200 - via_upstream"});
  expect_at_rest(world);
}

TEST(Hedging, TheSecondServerMayAnswerFirst) {
  ProxyWorld world(hedging());
  Hedged at(world, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody");
  EXPECT_TRUE(at.second->receive().ends_with("\r\n\r\nbody"));
  at.second->send(kOk);
  world.settle();
  EXPECT_TRUE(at.client->receive().ends_with("ok"));
  at.first->receive();
  EXPECT_TRUE(at.first->ended());
  expect_at_rest(world);
}

TEST(Hedging, WhoseHintsTheClientHasHeardAnswers) {
  constexpr std::string_view kHints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
  ProxyWorld world(hedging());
  Hedged at(world);
  at.first->send(kHints);
  world.settle();
  EXPECT_TRUE(at.client->receive().starts_with("HTTP/1.1 103 "));
  at.second->receive();
  EXPECT_TRUE(at.second->ended());
  at.first->send(kBusy);
  world.settle();
  EXPECT_TRUE(at.client->receive().ends_with("busy"));
  // Nor does one that has given hints get company.
  at.client->send(kGet);
  world.settle();
  auto third = world.upstream(2).accept();
  third->send(kHints);
  world.advance(1s + 1ms);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_per_try_timeout"), 1);
  third->send(kOk);
  world.settle();
  EXPECT_TRUE(at.client->receive().ends_with("ok"));
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry"), 1);
  expect_at_rest(world);
}

TEST(Hedging, FailuresOfTheFirstDoNotCountAnyMore) {
  for (bool answers : {true, false}) {
    SCOPED_TRACE(answers);
    ProxyWorld world(hedging());
    Hedged at(world);
    answers ? at.first->send(kBusy) : at.first->close();
    world.settle();
    EXPECT_EQ(at.client->receive(), "");
    at.second->send(kOk);
    world.settle();
    EXPECT_TRUE(at.client->receive().ends_with("ok"));
    EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry"), 1);
    expect_at_rest(world);
  }
}

TEST(Hedging, TheFirstIsLeftWhenTheSecondFails) {
  ProxyWorld world(hedging());
  Hedged at(world);
  at.second->close();
  world.settle();
  EXPECT_EQ(at.client->receive(), "");
  at.first->send(kOk);
  world.settle();
  EXPECT_TRUE(at.client->receive().ends_with("ok"));
  expect_at_rest(world);
}

TEST(Hedging, ABadAnswerOfTheSecondWaitsForTheFirst) {
  for (bool answers : {true, false}) {
    SCOPED_TRACE(answers);
    ProxyWorld world(hedging());
    Hedged at(world);
    at.second->send(kBusy);
    world.settle();
    EXPECT_EQ(at.client->receive(), "");
    answers ? at.first->send(kOk) : at.first->close();
    world.settle();
    EXPECT_TRUE(at.client->receive().starts_with(answers ? "HTTP/1.1 200 " : "HTTP/1.1 503 "));
    expect_at_rest(world);
  }
}

TEST(Hedging, TheLogNamesTheServerThatAnswered) {
  WorldOptions options = hedging();
  options.log_format =
      "%UPSTREAM_HOST% %UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_METADATA(envoy.lb:name)% "
      "%COMMON_DURATION(US_TX_BEG:US_TX_END:ms)%";
  options.host_metadata = [](size_t host) {
    envoy::config::core::v3::Metadata metadata;
    (*(*metadata.mutable_filter_metadata())["envoy.lb"].mutable_fields())["name"].set_string_value(
        "h" + std::to_string(host));
    return config::translate(metadata);
  };
  ProxyWorld world(std::move(options));
  Hedged at(world);
  const std::string local = at.first->remote_address();
  at.first->send(kOk);
  world.settle();
  EXPECT_EQ(world.log(), Lines{"127.0.0.1:" + std::to_string(world.upstream(0).port()) + " " + local + " h0 0"});
}

// Its company is there already.
TEST(Hedging, TheFirstThatSaysNothingIsNotReplacedTwice) {
  WorldOptions options = hedging(3);
  auto base = options.virtual_host;
  options.virtual_host = [base](route::VirtualHostSpec& host) {
    base(host);
    host.routes[0].forward.retry->per_try_idle_timeout = 1500ms;
  };
  ProxyWorld world(std::move(options));
  Hedged at(world);
  world.advance(500ms);
  world.advance(250ms);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_per_try_idle_timeout"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 1);
  at.second->send(kOk);
  world.settle();
  EXPECT_TRUE(at.client->receive().ends_with("ok"));
  expect_at_rest(world);
}

TEST(Hedging, AStaleConnectionOfTheFirstIsNotReplacedTwice) {
  WorldOptions options = hedging();
  options.upstreams = 2;
  ProxyWorld world(std::move(options));
  auto client = world.connect();
  std::unique_ptr<test::Peer> servers[2];
  for (size_t i = 0; i < 2; ++i) {
    client->send(kGet);
    world.settle();
    servers[i] = world.upstream(i).accept();
    servers[i]->send(kOk);
    world.settle();
  }
  client->send(kGet);
  world.settle();
  servers[0]->receive();
  world.advance(1s + 1ms);
  servers[0]->close();
  world.settle();
  EXPECT_FALSE(world.upstream(0).has_connection());
  EXPECT_FALSE(world.upstream(1).has_connection());
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry"), 1);
  client->receive();
  servers[1]->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("ok"));
  expect_at_rest(world);
}

TEST(Hedging, EveryTryGetsCompanyUntilRetriesAreUsedUp) {
  ProxyWorld world(hedging(2));
  Hedged at(world);
  world.advance(1s + 1ms);
  auto third = world.upstream(2).accept();
  EXPECT_NE(third->receive(), "");
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 3);
  // No retry is left: the last one goes on, too.
  world.advance(1s + 1ms);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 3);
  at.second->send(kOk);
  world.settle();
  EXPECT_TRUE(at.client->receive().ends_with("ok"));
  expect_at_rest(world);
}

TEST(Hedging, NobodyAnswers) {
  ProxyWorld world(hedging());
  Hedged at(world);
  at.first->close();
  world.settle();
  at.second->close();
  world.settle();
  world.advance(1ms);
  EXPECT_TRUE(at.client->receive().starts_with("HTTP/1.1 503 "));
  expect_at_rest(world);
}

TEST(Hedging, OnlyIfSoConfigured) {
  WorldOptions options = hedging();
  auto base = options.virtual_host;
  options.virtual_host = [base](route::VirtualHostSpec& host) {
    base(host);
    host.routes[0].forward.hedge = false;
    host.hedge = true;
  };
  ProxyWorld world(std::move(options));
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  auto first = world.upstream(0).accept();
  first->receive();
  world.advance(1s + 1ms);
  first->receive();
  EXPECT_TRUE(first->ended());
  world.advance(25ms);
  world.upstream(1).accept()->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("ok"));
  expect_at_rest(world);
}

// --- Servers that say when ------------------------------------------------------------------------------------------

WorldOptions resetting(bool unix_time) {
  WorldOptions options;
  options.upstreams = 2;
  options.virtual_host = [unix_time](route::VirtualHostSpec& host) {
    route::RetryPolicySpec& policy = host.routes[0].forward.retry.emplace();
    policy.retry_on = "5xx,retriable-status-codes";
    policy.retriable_status_codes = {429};
    policy.reset_headers = {{"retry-after", false}, {"x-reset", unix_time}};
    policy.reset_max = 60s;
    host.routes[0].forward.timeout = 0s;
  };
  return options;
}

std::string busy(std::string_view field) {
  return "HTTP/1.1 429 Slow\r\n" + std::string(field) + "\r\ncontent-length: 0\r\n\r\n";
}

TEST(RateLimitedBackOff, TheServersWordCounts) {
  ProxyWorld world(resetting(false));
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  world.upstream(0).accept()->send(busy("retry-after: 10"));
  world.settle();
  world.advance(10s - 1ms);
  EXPECT_FALSE(world.upstream(1).has_connection());
  world.advance(5s + 2ms);
  world.upstream(1).accept()->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("ok"));
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry_backoff_ratelimited"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry_backoff_exponential"), 0);
}

TEST(RateLimitedBackOff, UnixTimeAndWhatIsNoTime) {
  ProxyWorld world(resetting(true));
  auto client = world.connect();
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(world.clock().wall_now().time_since_epoch()).count();
  client->send(kGet);
  world.settle();
  world.upstream(0).accept()->send(busy("retry-after: soon\r\nx-reset: " + std::to_string(now + 5)));
  world.settle();
  world.advance(3s);
  EXPECT_FALSE(world.upstream(1).has_connection());
  world.advance(5s);
  EXPECT_TRUE(world.upstream(1).has_connection());
}

TEST(RateLimitedBackOff, TooLateIsAsIfNothingHadBeenSaid) {
  for (std::string_view field : {"retry-after: 61", "retry-after: 0", "retry-after: -3",
                                 "x-reset: -9223372036854775808", "retry-after: 9999999999999999999"}) {
    SCOPED_TRACE(field);
    ProxyWorld world(resetting(true));
    auto client = world.connect();
    client->send(kGet);
    world.settle();
    world.upstream(0).accept()->send(busy(field));
    world.settle();
    world.advance(251ms);
    EXPECT_TRUE(world.upstream(1).has_connection());
    EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry_backoff_exponential"), 1);
  }
}

}  // namespace
}  // namespace weir::proxy
