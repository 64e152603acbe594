// Every timeout of a request: when it begins, what the client gets, and what the access log says.
#include <gtest/gtest.h>

#include "test/core/proxy/proxy_world.h"

namespace weir::proxy {
namespace {

using test::Peer;
using test::ProxyWorld;
using Lines = std::vector<std::string>;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
constexpr std::string_view kPostHead = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

std::string status_of(const std::string& response) { return response.substr(0, std::min<size_t>(response.size(), 12)); }

TEST(RequestHeadersTimeout, CountsFromTheFirstByte) {
  ProxyWorld world({.manager = [](ConnectionManagerConfig& config) { config.request_headers_timeout = 10s; }});
  auto client = world.connect();
  world.advance(60s);
  EXPECT_EQ(client->receive(), "");
  EXPECT_FALSE(client->ended());  // a connection on which nothing was asked is merely idle
  client->send("GET / HT");
  world.settle();
  world.advance(9s);
  client->send("TP/1.1\r\n");
  world.settle();
  EXPECT_EQ(client->receive(), "");
  world.advance(2s);
  EXPECT_EQ(status_of(client->receive()), "HTTP/1.1 408");
  world.settle();
  client->receive();
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{"408 - request_header_timeout"});
  EXPECT_EQ(world.stat("http.m.downstream_rq_header_timeout"), 1);
  EXPECT_EQ(world.stat("http.m.downstream_rq_total"), 1);
  EXPECT_EQ(world.stat("http.m.downstream_rq_active"), 0);
}

TEST(RequestHeadersTimeout, ACompleteHeadIsInTimeAndTheNextCountsAnew) {
  ProxyWorld world({.manager = [](ConnectionManagerConfig& config) { config.request_headers_timeout = 10s; }});
  auto client = world.connect();
  client->send(kGet.substr(0, 10));
  world.settle();
  world.advance(9s);
  client->send(kGet.substr(10));
  world.settle();
  world.advance(9s);
  auto server = world.upstream().accept();
  server->send(kOk);
  world.settle();
  EXPECT_EQ(status_of(client->receive()), "HTTP/1.1 200");
  client->send(kGet.substr(0, 10));
  world.settle();
  world.advance(9s);
  EXPECT_EQ(client->receive(), "");
  world.advance(2s);
  EXPECT_EQ(status_of(client->receive()), "HTTP/1.1 408");
  EXPECT_EQ(world.log(), (Lines{"200 - via_upstream", "408 - request_header_timeout"}));
}

// Without a timeout of its own an incomplete head is a stream that stands still, not an idle connection.
TEST(StreamIdleTimeout, OfAnIncompleteHead) {
  ProxyWorld world({.manager = [](ConnectionManagerConfig& config) {
    config.idle_timeout = 5s;
    config.stream_idle_timeout = 30s;
  }});
  auto client = world.connect();
  client->send("GET /");
  world.settle();
  world.advance(20s);
  EXPECT_EQ(client->receive(), "");
  EXPECT_FALSE(client->ended());
  world.advance(11s);
  EXPECT_EQ(status_of(client->receive()), "HTTP/1.1 408");
  EXPECT_EQ(world.log(), Lines{"408 SI stream_idle_timeout"});
}

TEST(StreamIdleTimeout, BeforeAndAfterTheRequestIsComplete) {
  ProxyWorld world({.manager = [](ConnectionManagerConfig& config) { config.stream_idle_timeout = 10s; }});
  auto half = world.connect();
  half->send(kPostHead);
  world.settle();
  world.advance(11s);
  EXPECT_EQ(status_of(half->receive()), "HTTP/1.1 408");
  auto whole = world.connect();
  whole->send(kGet);
  world.settle();
  world.advance(9s);
  EXPECT_EQ(whole->receive(), "");
  world.advance(2s);
  EXPECT_EQ(status_of(whole->receive()), "HTTP/1.1 504");
  EXPECT_EQ(world.log(), (Lines{"408 SI stream_idle_timeout", "504 SI stream_idle_timeout"}));
  EXPECT_EQ(world.stat("http.m.downstream_rq_idle_timeout"), 2);
}

// 250 bytes a second, over the 10 s that it may be idle.
TEST(StreamIdleTimeout, OfABodyThatTrickles) {
  ProxyWorld world({.manager = [](ConnectionManagerConfig& config) { config.stream_idle_timeout = 10s; }});
  const auto post = [&](const std::string& length) {
    auto client = world.connect();
    client->send("POST / HTTP/1.1\r\nhost: x\r\n" + length + "\r\n\r\n");
    world.settle();
    return client;
  };
  // Whether it may go on for so long.
  const auto goes_on = [&](Peer& client, const std::string& piece) {
    for (int i = 0; i < 6; ++i) {
      world.advance(4s);
      if (client.receive(); client.ended()) return false;
      client.send(piece);
      world.settle();
    }
    return true;
  };
  EXPECT_FALSE(goes_on(*post("content-length: 100000"), "x"));
  EXPECT_EQ(world.log(), Lines{"408 SI stream_idle_timeout"});
  EXPECT_TRUE(goes_on(*post("content-length: 100000"), std::string(2500, 'x')));
  // A stream may be silent, and then say little.
  EXPECT_TRUE(goes_on(*post("transfer-encoding: chunked"), "1\r\nx\r\n"));
  EXPECT_EQ(world.stat("http.m.downstream_rq_idle_timeout"), 1);
}

TEST(RequestTimeout, CountsFromTheFirstByteToTheLast) {
  ProxyWorld world({.manager = [](ConnectionManagerConfig& config) { config.request_timeout = 10s; }});
  auto slow_head = world.connect();
  slow_head->send("POST ");
  world.settle();
  world.advance(8s);
  slow_head->send(kPostHead.substr(5));
  world.settle();
  world.advance(3s);
  EXPECT_EQ(status_of(slow_head->receive()), "HTTP/1.1 408");
  auto no_head = world.connect();
  no_head->send("POST ");
  world.settle();
  world.advance(11s);
  EXPECT_EQ(status_of(no_head->receive()), "HTTP/1.1 408");
  auto complete = world.connect();
  complete->send(kPostHead);
  complete->send("body");
  world.settle();
  world.advance(12s);
  EXPECT_EQ(complete->receive(), "");  // it waits for its response
  EXPECT_EQ(world.log(), (Lines{"408 - request_overall_timeout", "408 - request_overall_timeout"}));
  EXPECT_EQ(world.stat("http.m.downstream_rq_timeout"), 2);
}

TEST(MaxStreamDuration, IsNotTheFlagOfConnections) {
  ProxyWorld world({.manager = [](ConnectionManagerConfig& config) { config.max_stream_duration = 4s; }});
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  world.advance(5s);
  EXPECT_EQ(status_of(client->receive()), "HTTP/1.1 504");
  EXPECT_EQ(world.log(), Lines{"504 - max_duration_timeout"});
}

TEST(ConnectionIdleTimeout, IsNoRequest) {
  ProxyWorld world({.manager = [](ConnectionManagerConfig& config) { config.idle_timeout = 5s; }});
  auto client = world.connect();
  world.advance(6s);
  world.advance(2s);
  EXPECT_EQ(client->receive(), "");
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{});
  EXPECT_EQ(world.stat("http.m.downstream_cx_idle_timeout"), 1);
}

TEST(RouteTimeout, CountsFromTheEndOfTheRequest) {
  ProxyWorld world({.virtual_host = [](route::VirtualHostSpec& host) { host.routes[0].forward.timeout = 3s; }});
  auto client = world.connect();
  client->send(kPostHead);
  world.settle();
  world.advance(60s);
  EXPECT_EQ(client->receive(), "");
  client->send("body");
  world.settle();
  world.advance(2s);
  EXPECT_EQ(client->receive(), "");
  world.advance(2s);
  EXPECT_EQ(status_of(client->receive()), "HTTP/1.1 504");
  EXPECT_EQ(world.log(), Lines{"504 UT upstream_response_timeout"});
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_timeout"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_504"), 1);
}

route::RetryPolicySpec& retry(route::VirtualHostSpec& host, std::string on, uint32_t retries) {
  route::RetryPolicySpec& policy = host.routes[0].forward.retry.emplace();
  policy.retry_on = std::move(on);
  policy.num_retries = retries;
  return policy;
}

TEST(PerTryTimeout, CountsFromTheEndOfTheRequest) {
  ProxyWorld world({.virtual_host = [](route::VirtualHostSpec& host) { retry(host, "", 0).per_try_timeout = 2s; }});
  auto client = world.connect();
  client->send(kPostHead);
  world.settle();
  auto server = world.upstream().accept();
  world.advance(10s);
  client->send("bo");
  world.settle();
  world.advance(10s);
  EXPECT_EQ(client->receive(), "");
  client->send("dy");
  world.settle();
  world.advance(1s);
  EXPECT_EQ(client->receive(), "");
  world.advance(2s);
  EXPECT_EQ(status_of(client->receive()), "HTTP/1.1 504");
  EXPECT_EQ(world.log(), Lines{"504 UT upstream_per_try_timeout"});
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_per_try_timeout"), 1);
}

// A server that answers before it has all of the request has answered in time.
TEST(PerTryTimeout, IsOverOnceTheResponseHasBegun) {
  ProxyWorld world({.virtual_host = [](route::VirtualHostSpec& host) { retry(host, "", 0).per_try_timeout = 2s; }});
  auto client = world.connect();
  client->send(kPostHead);
  world.settle();
  auto server = world.upstream().accept();
  server->send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha");
  world.settle();
  client->send("body");
  world.settle();
  world.advance(5s);
  server->send("lf");
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("half"));
  EXPECT_EQ(world.log(), Lines{"200 - via_upstream"});
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_per_try_timeout"), 0);
}

// "reset" means a server that does not respond at all, for whatever reason.
TEST(PerTryTimeout, IsRetriedOnReset) {
  ProxyWorld world({.virtual_host =
                        [](route::VirtualHostSpec& host) {
                          retry(host, "reset", 1).per_try_timeout = 2s;
                          host.include_request_attempt_count = true;
                          host.include_attempt_count_in_response = true;
                          host.include_is_timeout_retry_header = true;
                        },
                    .upstreams = 2});
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  auto first = world.upstream(0).accept();
  std::string request = first->receive();
  EXPECT_NE(request.find("x-envoy-attempt-count: 1\r\n"), std::string::npos) << request;
  EXPECT_EQ(request.find("x-envoy-is-timeout-retry"), std::string::npos) << request;
  world.advance(3s);
  world.advance(1s);  // the back-off
  auto second = world.upstream(1).accept();
  request = second->receive();
  EXPECT_NE(request.find("x-envoy-attempt-count: 2\r\n"), std::string::npos) << request;
  EXPECT_NE(request.find("x-envoy-is-timeout-retry: true\r\n"), std::string::npos) << request;
  second->send(kOk);
  world.settle();
  std::string response = client->receive();
  EXPECT_EQ(status_of(response), "HTTP/1.1 200");
  EXPECT_NE(response.find("x-envoy-attempt-count: 2\r\n"), std::string::npos) << response;
}

TEST(PerTryTimeout, OnlyTimeoutsAreMarkedAsSuch) {
  ProxyWorld world({.virtual_host =
                        [](route::VirtualHostSpec& host) {
                          retry(host, "5xx", 2).per_try_timeout = 2s;
                          host.include_is_timeout_retry_header = true;
                        },
                    .upstreams = 3});
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  world.advance(3s);
  world.advance(1s);
  auto second = world.upstream(1).accept();
  EXPECT_NE(second->receive().find("x-envoy-is-timeout-retry: true"), std::string::npos);
  second->send("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
  world.settle();
  world.advance(1s);
  auto third = world.upstream(2).accept();
  EXPECT_NE(third->receive().find("x-envoy-is-timeout-retry: false"), std::string::npos);
}

TEST(PerTryIdleTimeout, BeforeTheResponse) {
  ProxyWorld world(
      {.virtual_host = [](route::VirtualHostSpec& host) { retry(host, "", 0).per_try_idle_timeout = 2s; }});
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  world.advance(3s);
  EXPECT_EQ(status_of(client->receive()), "HTTP/1.1 504");
  EXPECT_EQ(world.log(), Lines{"504 UT upstream_per_try_idle_timeout"});
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_per_try_idle_timeout"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_per_try_timeout"), 0);
}

TEST(PerTryIdleTimeout, GoesOnWithinTheResponse) {
  ProxyWorld world(
      {.virtual_host = [](route::VirtualHostSpec& host) { retry(host, "", 0).per_try_idle_timeout = 2s; }});
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  auto server = world.upstream().accept();
  server->send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n");
  for (int i = 0; i < 5; ++i) {
    world.settle();
    world.advance(1500ms);
    server->send("x");  // slow, but moving
  }
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("xxxxx"));
  EXPECT_FALSE(client->ended());
  world.advance(3s);
  client->receive();
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{"200 UT upstream_per_try_idle_timeout"});
}

}  // namespace
}  // namespace weir::proxy
