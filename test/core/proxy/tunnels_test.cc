// Upgrades and CONNECT: who may have a tunnel, what passes through it, and how it ends.
#include <gtest/gtest.h>

#include <cstdio>

#include "core/filter/factory.h"
#include "envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "test/core/proxy/proxy_world.h"

namespace weir::proxy {
namespace {

using test::Peer;
using test::ProxyWorld;
using test::WorldOptions;
using Lines = std::vector<std::string>;

constexpr std::string_view kAsk =
    "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade, x-mine\r\nupgrade: WebSocket\r\nx-mine: 1\r\n"
    "keep-alive: 5\r\nsec-websocket-key: k\r\n\r\n";
constexpr std::string_view kSwitch =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: a\r\n\r\n";
constexpr std::string_view kConnect = "CONNECT db.example:5432 HTTP/1.1\r\nhost: db.example:5432\r\n\r\n";
constexpr std::string_view kGet = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

void allow_websocket(ConnectionManagerConfig& config) { config.upgrades.push_back({.type = "websocket"}); }
void allow_connect(ConnectionManagerConfig& config) { config.upgrades.push_back({.type = "CONNECT"}); }
void match_connect(route::VirtualHostSpec& host) { host.routes[0].match.path_kind = route::PathKind::kConnect; }
// CONNECT ends here.
void end_connect(route::VirtualHostSpec& host) {
  match_connect(host);
  host.routes[0].forward.upgrades.push_back({.type = "CONNECT"});
  host.routes[0].forward.ends_connect = true;
}

// A tunnel that is open.
struct Open {
  explicit Open(WorldOptions options = {.manager = allow_websocket}) : world(std::move(options)) {
    client = world.connect();
    client->send(kAsk);
    world.settle();
    server = world.upstream().accept();
    request = server->receive();
    server->send(kSwitch);
    world.settle();
    response = client->receive();
  }
  ProxyWorld world;
  std::unique_ptr<Peer> client;
  std::unique_ptr<Peer> server;
  std::string request;
  std::string response;
};

TEST(Upgrades, PassWithTheTwoFieldsThatTheyNeed) {
  Open open;
  EXPECT_TRUE(open.request.starts_with("GET /chat HTTP/1.1\r\n")) << open.request;
  EXPECT_NE(open.request.find("\r\nconnection: upgrade\r\nupgrade: WebSocket\r\n"), std::string::npos) << open.request;
  for (std::string_view gone : {"x-mine", "keep-alive", "content-length", "transfer-encoding"})
    EXPECT_EQ(open.request.find(gone), std::string::npos) << open.request;
  EXPECT_NE(open.request.find("sec-websocket-key: k"), std::string::npos) << open.request;
  EXPECT_TRUE(open.response.starts_with("HTTP/1.1 101 Switching Protocols\r\n")) << open.response;
  EXPECT_NE(open.response.find("\r\nconnection: upgrade\r\nupgrade: websocket\r\n"), std::string::npos)
      << open.response;
  EXPECT_NE(open.response.find("sec-websocket-accept: a"), std::string::npos) << open.response;
  EXPECT_TRUE(open.response.ends_with("\r\n\r\n"));
  EXPECT_EQ(open.response.find("content-length"), std::string::npos);
}

TEST(Upgrades, BytesPassAsTheyAre) {
  Open open;
  open.client->send("GET / HTTP/1.1\nnot a request");
  open.server->send("HTTP/1.1 500 not a response\r\n\r\n");
  open.world.settle();
  EXPECT_EQ(open.server->receive(), "GET / HTTP/1.1\nnot a request");
  EXPECT_EQ(open.client->receive(), "HTTP/1.1 500 not a response\r\n\r\n");
  EXPECT_EQ(open.world.stat("http.m.downstream_cx_upgrades_active"), 1);
  EXPECT_TRUE(open.world.log().empty());
  open.client->half_close();
  open.world.settle();
  open.server->receive();
  EXPECT_TRUE(open.server->ended());
  open.server->close();
  open.world.settle();
  EXPECT_EQ(open.client->receive(), "");
  EXPECT_TRUE(open.client->ended());
  EXPECT_EQ(open.world.log(), Lines{"101 - via_upstream"});
  EXPECT_EQ(open.world.stat("http.m.downstream_cx_upgrades_total"), 1);
  EXPECT_EQ(open.world.stat("http.m.downstream_cx_upgrades_active"), 0);
  EXPECT_EQ(open.world.stat("http.m.downstream_rq_1xx"), 1);
  EXPECT_EQ(open.world.stat("cluster.c.upstream_rq_active"), 0);
  EXPECT_EQ(open.world.stat("cluster.c.upstream_cx_active"), 0);
}

TEST(Upgrades, AreCountedInBytes) {
  Open open({.manager = allow_websocket,
             .log_format = "%RESPONSE_CODE% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER% %RESPONSE_FLAGS% "
                           "%UPSTREAM_WIRE_BYTES_SENT% %UPSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT%"});
  open.client->send("12345");
  open.server->send("123");
  open.world.settle();
  EXPECT_EQ(open.server->receive() + open.client->receive(), "12345123");
  open.client->close();
  open.server->close();
  open.world.settle();
  EXPECT_EQ(open.world.log(),
            Lines{"101 5 3 c - " + std::to_string(open.request.size() + 5) + " " + std::to_string(kSwitch.size() + 3) +
                  " " + std::to_string(open.response.size() + 3)});
}

// What comes behind the request, or in one piece with the response, is the tunnel's.
TEST(Upgrades, EarlyBytesWaitForTheAnswer) {
  ProxyWorld world({.manager = allow_websocket});
  auto client = world.connect();
  client->send(std::string(kAsk) + "early");
  world.settle();
  auto server = world.upstream().accept();
  EXPECT_TRUE(server->receive().ends_with("\r\n\r\n"));
  client->send(" bird");
  world.settle();
  EXPECT_EQ(server->receive(), "");
  server->send(std::string(kSwitch) + "worm");
  world.settle();
  EXPECT_EQ(server->receive(), "early bird");
  EXPECT_TRUE(client->receive().ends_with("\r\n\r\nworm"));
}

TEST(Upgrades, AnEarlyEndWaitsToo) {
  ProxyWorld world({.manager = allow_websocket});
  auto client = world.connect();
  client->send(std::string(kAsk) + "all");
  client->half_close();
  world.settle();
  auto server = world.upstream().accept();
  server->receive();
  EXPECT_FALSE(server->ended());
  server->send(kSwitch);
  world.settle();
  EXPECT_EQ(server->receive(), "all");
  EXPECT_TRUE(server->ended());
  server->send("answer");
  server->half_close();
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("answer"));
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{"101 - via_upstream"});
}

TEST(Upgrades, AnotherAnswerIsAnOrdinaryOne) {
  ProxyWorld world({.manager = allow_websocket});
  auto client = world.connect();
  client->send(kAsk);
  world.settle();
  auto server = world.upstream().accept();
  server->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("\r\n\r\nok"));
  // Both connections go on.
  client->send(kGet);
  world.settle();
  EXPECT_NE(server->receive().find("GET / HTTP/1.1"), std::string::npos);
  server->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("ok"));
  EXPECT_EQ(world.log(), (Lines{"200 - via_upstream", "200 - via_upstream"}));
  EXPECT_EQ(world.stat("http.m.downstream_cx_upgrades_total"), 0);
}

// They would be the other protocol's, and look like a request.
TEST(Upgrades, EarlyBytesEndTheConnectionOfARefusedOne) {
  for (bool late : {false, true}) {
    ProxyWorld world({.manager = allow_websocket});
    auto client = world.connect();
    client->send(kAsk);
    if (!late) client->send(kGet);
    world.settle();
    auto server = world.upstream().accept();
    server->receive();
    server->send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhe");
    world.settle();
    std::string answer = client->receive();
    EXPECT_EQ(answer.find("connection: close") != std::string::npos, !late) << answer;
    if (late) client->send(kGet);
    world.settle();
    server->send("re");
    world.settle();
    answer += client->receive();
    EXPECT_TRUE(answer.ends_with("here")) << answer;
    EXPECT_TRUE(client->ended()) << late;
    EXPECT_EQ(server->receive(), "");
    EXPECT_EQ(world.log(), Lines{"200 - via_upstream"});
  }
}

TEST(Upgrades, NeedToBeAllowed) {
  using Change = std::function<void(ConnectionManagerConfig&, route::ForwardSpec&)>;
  struct Case {
    const char* what;
    Change change;
    bool allowed;
  };
  for (const Case& one : {
           Case{"nobody allows it", [](auto&, auto&) {}, false},
           Case{"another one", [](auto&m, auto&) { m.upgrades.push_back({.type = "chat"}); }, false},
           Case{"the listener", [](auto&m, auto&) { m.upgrades.push_back({.type = "WEBSOCKET"}); }, true},
           Case{"the listener says no",
                [](auto&m, auto&) { m.upgrades.push_back({.type = "websocket", .enabled = false}); }, false},
           Case{"the route", [](auto&, auto&r) { r.upgrades.push_back({.type = "WebSocket"}); }, true},
           Case{"the route, against the listener",
                [](auto&m, auto&r) {
                  m.upgrades.push_back({.type = "websocket", .enabled = false});
                  r.upgrades.push_back({.type = "websocket"});
                },
                true},
           Case{"the route says no",
                [](auto&m, auto&r) {
                  m.upgrades.push_back({.type = "websocket"});
                  r.upgrades.push_back({.type = "websocket", .enabled = false});
                },
                false},
       }) {
    WorldOptions options;
    options.virtual_host = [&](route::VirtualHostSpec& host) {
      ConnectionManagerConfig ignored;
      one.change(ignored, host.routes[0].forward);
    };
    options.manager = [&](ConnectionManagerConfig& config) {
      route::ForwardSpec ignored;
      one.change(config, ignored);
    };
    ProxyWorld world(std::move(options));
    auto client = world.connect();
    client->send(kAsk);
    world.settle();
    EXPECT_EQ(world.upstream().has_connection(), one.allowed) << one.what;
    if (one.allowed) continue;
    std::string answer = client->receive();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 403 ")) << one.what << answer;
    EXPECT_TRUE(client->ended()) << one.what;
    EXPECT_EQ(world.log(), Lines{"403 - upgrade_failed"});
  }
}

TEST(Upgrades, NeedARoute) {
  ProxyWorld world({.manager = allow_websocket, .virtual_host = [](auto& host) { host.routes[0].match.path = "/x"; }});
  auto client = world.connect();
  client->send(kAsk);
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 404 "));
  EXPECT_EQ(world.log(), Lines{"404 NR route_not_found"});
}

TEST(Upgrades, OfSeveralTheFirstAllowedOneIsAskedFor) {
  ProxyWorld world({.manager = allow_websocket});
  auto client = world.connect();
  client->send(
      "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: chat, websocket\r\ncontent-length: 0\r\n\r\n");
  world.settle();
  auto server = world.upstream().accept();
  std::string request = server->receive();
  EXPECT_NE(request.find("\r\nupgrade: websocket\r\n"), std::string::npos) << request;
  server->send(kSwitch);
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 101 "));
}

TEST(Upgrades, A101ThatNobodyAskedForIsAnError) {
  ProxyWorld world({.manager = allow_websocket});
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  auto server = world.upstream().accept();
  server->send(kSwitch);
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 502 "));
}

TEST(Upgrades, HaveAChainOfTheirOwn) {
  test::PluginScope plugins;
  envoy::extensions::filters::http::header_mutation::v3::HeaderMutation mutation;
  auto* header = mutation.mutable_mutations()->add_request_mutations()->mutable_append()->mutable_header();
  header->set_key("x-tunnel");
  header->set_value("yes");
  ProxyWorld world({.manager = [&](ConnectionManagerConfig& config) {
    config.upgrades.push_back({.type = "websocket"});
    config.upgrades.back().chain = *filter::HttpChainConfig::build(
        {plugins.http_filter(mutation), plugins.http_filter(envoy::extensions::filters::http::router::v3::Router())});
  }});
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  auto server = world.upstream().accept();
  EXPECT_EQ(server->receive().find("x-tunnel"), std::string::npos);
  server->send(kOk);
  world.settle();
  client->receive();
  client->send(kAsk);
  world.settle();
  EXPECT_NE(server->receive().find("x-tunnel: yes"), std::string::npos);
  server->send(kSwitch);
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 101 "));
}

// --- How they end --------------------------------------------------------------------------------------------------

TEST(Tunnels, EachDirectionEndsByItself) {
  for (bool client_first : {false, true}) {
    Open open;
    Peer& first = client_first ? *open.client : *open.server;
    Peer& second = client_first ? *open.server : *open.client;
    first.send("last words");
    first.half_close();
    open.world.settle();
    EXPECT_EQ(second.receive(), "last words");
    EXPECT_TRUE(second.ended());
    for (int i = 0; i < 3; ++i) {
      second.send("more");
      open.world.advance(1min);
      EXPECT_EQ(first.receive(), "more");
      EXPECT_FALSE(first.ended());
    }
    EXPECT_EQ(open.world.stat("http.m.downstream_cx_upgrades_active"), 1);
    second.half_close();
    open.world.settle();
    first.receive();
    EXPECT_TRUE(first.ended());
    EXPECT_FALSE(first.was_reset());
    EXPECT_EQ(open.world.log(), Lines{"101 - via_upstream"});
    EXPECT_EQ(open.world.stat("http.m.downstream_cx_active"), 0);
    EXPECT_EQ(open.world.stat("cluster.c.upstream_cx_active"), 0);
    EXPECT_EQ(open.world.stat("cluster.c.upstream_rq_active"), 0);
  }
}

TEST(Tunnels, AServerThatResetsEndsItForTheClient) {
  Open open;
  open.server->send("last words");
  open.server->reset();
  open.world.settle();
  open.client->receive();
  EXPECT_TRUE(open.client->ended());
  EXPECT_EQ(open.world.log(), Lines{"101 UC upstream_reset_after_response_started{connection_termination}"});
  EXPECT_EQ(open.world.stat("http.m.downstream_cx_upgrades_active"), 0);
}

TEST(Tunnels, AClientThatResetsEndsItForTheServer) {
  Open open;
  open.client->reset();
  open.world.settle();
  open.server->receive();
  EXPECT_TRUE(open.server->ended());
  EXPECT_EQ(open.world.log(), Lines{"101 DC downstream_remote_disconnect"});
  EXPECT_EQ(open.world.stat("cluster.c.upstream_cx_active"), 0);
}

TEST(Tunnels, ASlowReaderStopsTheOtherEnd) {
  constexpr size_t kMost = 64 << 20;
  for (bool to_client : {false, true}) {
    Open open({.manager =
                   [](ConnectionManagerConfig& config) {
                     allow_websocket(config);
                     config.buffer_limit = 64 * 1024;
                   },
               .cluster = [](upstream::ClusterSpec& cluster) { cluster.buffer_limit = 64 * 1024; }});
    Peer& writer = to_client ? *open.server : *open.client;
    Peer& reader = to_client ? *open.client : *open.server;
    const std::string piece(64 * 1024, 'x');
    size_t sent = 0;
    for (int stuck = 0; stuck < 3 && sent < kMost;) {
      ssize_t n = send(writer.fd(), piece.data(), piece.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      stuck = n < 0 ? stuck + 1 : 0;
      if (n > 0) sent += static_cast<size_t>(n);
      open.world.settle(4);
    }
    ASSERT_LT(sent, kMost) << "nothing stopped it";
    writer.half_close();
    size_t received = 0;
    for (int idle = 0; idle < 100 && !reader.ended();) {
      size_t n = reader.receive(1 << 18).size();
      received += n;
      idle = n > 0 ? 0 : idle + 1;
      open.world.settle(4);
    }
    EXPECT_EQ(received, sent);
    EXPECT_TRUE(reader.ended());
  }
}

// --- Time ----------------------------------------------------------------------------------------------------------

TEST(Tunnels, TheRouteTimeoutEndsWithTheAnswer) {
  auto options = [] {
    return WorldOptions{.manager = allow_websocket,
                        .virtual_host = [](auto& host) { host.routes[0].forward.timeout = 2s; }};
  };
  Open open(options());
  open.world.advance(1min);
  open.client->send("still");
  open.world.settle();
  EXPECT_EQ(open.server->receive(), "still");

  ProxyWorld world(options());
  auto client = world.connect();
  client->send(kAsk);
  world.settle();
  auto server = world.upstream().accept();
  world.advance(3s);
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 504 "));
  EXPECT_EQ(world.log(), Lines{"504 UT upstream_response_timeout"});
}

TEST(Tunnels, TheStreamIdleTimeoutGoverns) {
  for (bool of_route : {false, true}) {
    Open open({.manager =
                   [=](ConnectionManagerConfig& config) {
                     allow_websocket(config);
                     config.stream_idle_timeout = of_route ? 1h : 10s;
                   },
               .virtual_host =
                   [=](route::VirtualHostSpec& host) {
                     if (of_route) host.routes[0].forward.idle_timeout = 10s;
                   }});
    for (int i = 0; i < 4; ++i) {  // either direction keeps it alive
      (i % 2 == 0 ? open.client : open.server)->send("ping");
      open.world.settle();
      open.world.advance(9s);
      EXPECT_EQ((i % 2 == 0 ? open.server : open.client)->receive(), "ping");
    }
    open.world.advance(2s);
    open.client->receive();
    open.server->receive();
    EXPECT_TRUE(open.client->ended());
    EXPECT_TRUE(open.server->ended());
    EXPECT_EQ(open.world.log(), Lines{"101 SI stream_idle_timeout"});
    EXPECT_EQ(open.world.stat("http.m.downstream_rq_idle_timeout"), 1);
  }
}

TEST(Tunnels, TheLongestTimeOfAStreamHolds) {
  Open open({.manager = [](ConnectionManagerConfig& config) {
    allow_websocket(config);
    config.max_stream_duration = 30s;
  }});
  for (int i = 0; i < 3; ++i) {
    open.client->send("ping");
    open.world.advance(9s);
  }
  open.client->receive();
  EXPECT_FALSE(open.client->ended());
  open.world.advance(4s);
  open.client->receive();
  EXPECT_TRUE(open.client->ended());
  EXPECT_EQ(open.world.log(), Lines{"101 - max_duration_timeout"});
}

TEST(Tunnels, PerTryTimeoutsEndWithTheAnswer) {
  Open open({.manager = allow_websocket, .virtual_host = [](route::VirtualHostSpec& host) {
               route::RetryPolicySpec& retry = host.routes[0].forward.retry.emplace();
               retry.retry_on = "5xx";
               retry.per_try_timeout = 1s;
               retry.per_try_idle_timeout = 1s;
             }});
  open.world.advance(1min);
  open.client->send("still");
  open.world.settle();
  EXPECT_EQ(open.server->receive(), "still");
}

TEST(Tunnels, ADayOfSilenceWithoutTimeouts) {
  Open open({.manager = [](ConnectionManagerConfig& config) {
    allow_websocket(config);
    config.stream_idle_timeout = Duration::zero();
  }});
  for (int hour = 0; hour < 24; ++hour) open.world.advance(1h);
  open.client->send("awake");
  open.server->send("so am I");
  open.world.settle();
  const std::string up = open.server->receive(), down = open.client->receive();
  std::printf("a tunnel after 24 hours without a byte: %zu bytes up, %zu bytes down\n", up.size(), down.size());
  EXPECT_EQ(up, "awake");
  EXPECT_EQ(down, "so am I");
}

// --- Retries -------------------------------------------------------------------------------------------------------

TEST(Tunnels, AreRetriedBeforeTheAnswerAlone) {
  ProxyWorld world({.manager = allow_websocket, .virtual_host = [](route::VirtualHostSpec& host) {
                      route::RetryPolicySpec& retry = host.routes[0].forward.retry.emplace();
                      retry.retry_on = "5xx,reset";
                      retry.num_retries = 5;
                    }});
  auto client = world.connect();
  client->send(std::string(kAsk) + "early");
  world.settle();
  auto server = world.upstream().accept();
  server->receive();
  server->send("HTTP/1.1 503 no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  server->close();
  world.settle();
  world.advance(1s);
  server = world.upstream().accept();
  EXPECT_NE(server->receive().find("upgrade: WebSocket"), std::string::npos);
  server->send(kSwitch);
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 101 "));
  EXPECT_EQ(server->receive(), "early");
  server->reset();
  world.settle();
  world.advance(10s);
  client->receive();
  EXPECT_TRUE(client->ended());
  EXPECT_FALSE(world.upstream().has_connection());
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_retry"), 1);
}

// --- CONNECT -------------------------------------------------------------------------------------------------------

TEST(Connect, IsRefusedUnlessAllowed) {
  ProxyWorld world({.virtual_host = match_connect});
  auto client = world.connect();
  client->send(std::string(kConnect) + "early");
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 403 "));
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{"403 - upgrade_failed"});
}

// Answers to gRPC requests are 200, which would say here that the tunnel is there.
TEST(Connect, IsRefusedWithItsStatusForGrpcToo) {
  for (const char* more :
       {"content-type: application/grpc\r\n", "content-type: application/grpc\r\ncontent-length: 5\r\n"}) {
    ProxyWorld world({.virtual_host = match_connect});
    auto client = world.connect();
    std::string request(kConnect);
    request.insert(request.size() - 2, more);
    client->send(request);
    world.settle();
    EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 40")) << more;
  }
}

TEST(Connect, IsForwarded) {
  ProxyWorld world({.manager =
                        [](ConnectionManagerConfig& config) {
                          allow_connect(config);
                          config.strip_any_host_port = true;  // not of the target of a tunnel
                          config.path.normalize = true;
                        },
                    .virtual_host = match_connect});
  auto client = world.connect();
  client->send(std::string(kConnect) + "early");
  world.settle();
  auto server = world.upstream().accept();
  std::string request = server->receive();
  EXPECT_TRUE(request.starts_with("CONNECT db.example:5432 HTTP/1.1\r\nhost: db.example:5432\r\n")) << request;
  EXPECT_TRUE(request.ends_with("\r\n\r\n")) << request;
  server->send("HTTP/1.1 200 Connected\r\ncontent-length: 7\r\n\r\nhello");
  world.settle();
  std::string answer = client->receive();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_EQ(answer.find("content-length"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nhello")) << answer;
  EXPECT_EQ(server->receive(), "early");
  EXPECT_EQ(world.stat("http.m.downstream_cx_upgrades_active"), 1);
  client->close();
  server->close();
  world.settle();
  EXPECT_EQ(world.log(), Lines{"200 - via_upstream"});
}

// A client that does not wait for the answer could be made to send requests that we would serve.
TEST(Connect, ARefusalOfTheServerEndsTheConnection) {
  ProxyWorld world({.manager = allow_connect, .virtual_host = match_connect});
  auto client = world.connect();
  client->send(kConnect);
  world.settle();
  auto server = world.upstream().accept();
  server->receive();
  server->send("HTTP/1.1 407 no\r\ncontent-length: 2\r\n\r\nno");
  world.settle();
  std::string answer = client->receive();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 407 ")) << answer;
  EXPECT_TRUE(answer.ends_with("no")) << answer;
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{"407 - via_upstream"});
}

// RFC 9110 9.3.6: a 2xx would be the start of a tunnel that leads nowhere, and its body the first bytes of the target.
TEST(Connect, IsNotAnsweredWithSuccessByTheProxyItself) {
  for (int status : {200, 204, 405}) {
    ProxyWorld world({.manager = allow_connect, .virtual_host = [status](route::VirtualHostSpec& host) {
                        match_connect(host);
                        host.routes[0].action = route::ActionKind::kDirectResponse;
                        host.routes[0].direct_response = std::make_unique<route::DirectResponseSpec>();
                        host.routes[0].direct_response->status = status;
                        host.routes[0].direct_response->body = "hello";
                      }});
    auto client = world.connect();
    client->send(std::string(kConnect) + std::string(kGet));
    world.settle();
    const std::string answer = client->receive();
    const bool refused = status / 100 == 2;
    EXPECT_TRUE(answer.starts_with(refused ? "HTTP/1.1 403 " : "HTTP/1.1 405 ")) << answer;
    EXPECT_EQ(answer.ends_with("hello"), !refused) << answer;
    EXPECT_NE(answer.find("\r\nconnection: close\r\n"), std::string::npos) << answer;
    EXPECT_TRUE(client->ended());
    EXPECT_EQ(world.log(), Lines{refused ? "403 - connect_answered_locally" : "405 - direct_response"});
    EXPECT_EQ(world.stat("http.m.downstream_cx_upgrades_total"), 0);
  }
}

TEST(Tunnels, AreLoggedWhenTheyOpen) {
  for (bool asked : {false, true}) {
    Open open({.manager =
                   [asked](ConnectionManagerConfig& config) {
                     allow_websocket(config);
                     config.access_log_on_tunnel = asked;
                   },
               .log_format = "%ACCESS_LOG_TYPE% %RESPONSE_CODE%"});
    const Lines opened = {"DownstreamTunnelSuccessfullyEstablished 101"};
    EXPECT_EQ(open.world.log(), asked ? opened : Lines{});
    open.client->close();
    open.server->close();
    open.world.settle();
    EXPECT_EQ(open.world.log().size(), asked ? 2u : 1u);
    EXPECT_EQ(open.world.log().back(), "DownstreamEnd 101");
    open.world.settle();
  }
  // An answer that opens none.
  ProxyWorld world({.manager =
                        [](ConnectionManagerConfig& config) {
                          allow_websocket(config);
                          config.access_log_on_tunnel = true;
                        },
                    .log_format = "%ACCESS_LOG_TYPE% %RESPONSE_CODE%"});
  auto client = world.connect();
  client->send(kAsk);
  world.settle();
  auto server = world.upstream().accept();
  server->send(kOk);
  world.settle();
  EXPECT_EQ(world.log(), Lines{"DownstreamEnd 200"});
}

TEST(Connect, EndsHereIfItIsToldSo) {
  ProxyWorld world({.virtual_host = end_connect});
  auto client = world.connect();
  client->send(std::string(kConnect) + "early");
  world.settle();
  auto server = world.upstream().accept();
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(server->receive(), "early");
  server->send("banner");
  client->send("more");
  world.settle();
  EXPECT_EQ(client->receive(), "banner");
  EXPECT_EQ(server->receive(), "more");
  server->half_close();
  world.settle();
  client->receive();
  EXPECT_TRUE(client->ended());
  client->send("after the end");
  client->half_close();
  world.settle();
  EXPECT_EQ(server->receive(), "after the end");
  EXPECT_TRUE(server->ended());
  EXPECT_EQ(world.log(), Lines{"200 - via_upstream"});
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_active"), 0);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 0);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_200"), 1);
}

// The peer of one that has carried requests expects another.
TEST(Connect, TakesAConnectionOfItsOwn) {
  ProxyWorld world({.virtual_host = [](route::VirtualHostSpec& host) {
    end_connect(host);
    route::RouteSpec& other = host.routes.emplace_back();
    other.match.path = "/";
    other.forward.cluster = "c";
  }});
  auto first = world.connect();
  first->send(kGet);
  world.settle();
  auto server = world.upstream().accept();
  server->receive();
  server->send(kOk);
  world.settle();
  EXPECT_TRUE(first->receive().ends_with("ok"));
  auto client = world.connect();
  client->send(kConnect);
  world.settle();
  auto raw = world.upstream().accept();
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 200 OK\r\n"));
  // The idle one still serves requests.
  first->send(kGet);
  world.settle();
  EXPECT_NE(server->receive().find("GET / "), std::string::npos);
  EXPECT_EQ(raw->receive(), "");
}

// It waits for its own while one that it cannot use comes free.
TEST(Connect, TakesTheShareOfAnIdleConnection) {
  ProxyWorld world({.virtual_host =
                        [](route::VirtualHostSpec& host) {
                          end_connect(host);
                          route::RouteSpec& other = host.routes.emplace_back();
                          other.match.path = "/";
                          other.forward.cluster = "c";
                        },
                    .cluster = [](upstream::ClusterSpec& cluster) { cluster.breakers.max_connections = 1; }});
  auto first = world.connect();
  first->send(kGet);
  world.settle();
  auto server = world.upstream().accept();
  server->receive();
  auto client = world.connect();
  client->send(kConnect);
  world.settle();
  EXPECT_EQ(client->receive(), "");
  server->send(kOk);
  world.settle();
  EXPECT_TRUE(first->receive().ends_with("ok"));
  auto raw = world.upstream().accept();
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 200 OK\r\n"));
  client->send("raw");
  world.settle();
  EXPECT_EQ(raw->receive(), "raw");
}

TEST(Connect, FailsIfTheUpstreamRefuses) {
  ProxyWorld world({.virtual_host = end_connect});
  world.upstream().stop();
  auto client = world.connect();
  client->send(kConnect);
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{"503 UF upstream_reset_before_response_started{connection_failure}"});
  EXPECT_EQ(world.stat("http.m.downstream_cx_upgrades_total"), 0);
}

TEST(Connect, PostMayEndHereToo) {
  for (bool allowed : {false, true}) {
    ProxyWorld world({.virtual_host = [=](route::VirtualHostSpec& host) {
      end_connect(host);
      host.routes[0].match.path_kind = route::PathKind::kPrefix;
      host.routes[0].forward.ends_post = allowed;
    }});
    auto client = world.connect();
    client->send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nraw\r\n");
    world.settle();
    auto server = world.upstream().accept();
    world.settle();
    std::string received = server->receive();
    EXPECT_EQ(received == "raw", allowed) << received;
    if (!allowed) continue;
    EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 200 OK\r\n"));
    server->send("bytes");
    world.settle();
    EXPECT_EQ(client->receive(), "5\r\nbytes\r\n");
    client->send("0\r\nx-trailer: ignored\r\n\r\n");
    world.settle();
    EXPECT_EQ(server->receive(), "");
    EXPECT_TRUE(server->ended());
    server->close();
    world.settle();
    EXPECT_EQ(client->receive(), "0\r\n\r\n");
    EXPECT_FALSE(client->ended());
    EXPECT_EQ(world.log(), Lines{"200 - via_upstream"});
  }
}

}  // namespace
}  // namespace weir::proxy
