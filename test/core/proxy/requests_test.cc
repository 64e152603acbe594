// Requests that end oddly: each whose first byte came is logged once, and the connection stays in step or closes.
#include <gtest/gtest.h>

#include "test/core/proxy/proxy_world.h"

namespace weir::proxy {
namespace {

using test::Peer;
using test::ProxyWorld;
using Lines = std::vector<std::string>;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

void answer_directly(route::VirtualHostSpec& host) {
  host.routes[0].action = route::ActionKind::kDirectResponse;
  host.routes[0].direct_response = std::make_unique<route::DirectResponseSpec>();
  host.routes[0].direct_response->status = 200;
  host.routes[0].direct_response->body = "direct";
}

size_t count_of(const std::string& text, std::string_view what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++count;
  return count;
}

TEST(UnreadableRequests, AreAnsweredAndLogged) {
  struct Case {
    std::string_view bytes, line;
  };
  for (Case one : {
           Case{"GET / HTTP/1.1\r\nhost: a\r\nbad header: x\r\n\r\n", "400 DPE http1.invalid_name"},
           Case{"GET / HTTP/1.1\nhost: a\n\n", "400 DPE http1.bare_lf"},
           Case{"GET / HTTP/1.1\r\n\r\n", "400 DPE http1.missing_host"},
           Case{"\x16\x03\x01 a handshake", "400 DPE http1.tls_record"},
           Case{"@@@@ nothing", "400 DPE http1.invalid_method"},
           Case{"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nz\r\n",
                "400 DPE http1.invalid_chunk_size"},
       }) {
    ProxyWorld world;
    auto client = world.connect();
    client->send(one.bytes);
    world.settle();
    EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 400 ")) << one.line;
    EXPECT_TRUE(client->ended());
    EXPECT_EQ(world.log(), Lines{std::string(one.line)});
    EXPECT_EQ(world.stat("http.m.downstream_cx_protocol_error"), 1);
    EXPECT_EQ(world.stat("http.m.downstream_rq_total"), 1);
    EXPECT_EQ(world.stat("http.m.downstream_rq_active"), 0);
    EXPECT_EQ(world.stat("http.m.downstream_rq_4xx"), 1);
  }
}

// Found wrong by the connection manager, and by the router, before any host is asked.
TEST(InvalidRequests, EndTheConnectionUnlessToldNotTo) {
  struct Case {
    std::string_view request, line;
  };
  for (Case one : {Case{"GET / HTTP/1.1\r\nhost: a\r\nx_y: 1\r\n\r\n", "400 - unexpected_underscore"},
                   Case{"GET /bad HTTP/1.1\r\nhost: a\r\n\r\n", "400 - invalid_rewrite"}}) {
    for (bool stays : {false, true}) {
      ProxyWorld world({.manager =
                            [stays](ConnectionManagerConfig& config) {
                              config.underscores = UnderscoreAction::kReject;
                              config.h1.options.keep_open_after_invalid = stays;
                            },
                        .virtual_host =
                            [](route::VirtualHostSpec& host) {
                              host.routes[0].forward.regex_rewrite = match::RegexRewriteSpec{"bad", "b c"};
                            }});
      auto client = world.connect();
      client->send(one.request);
      world.settle();
      const std::string answer = client->receive();
      EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << answer;
      EXPECT_EQ(answer.find("connection: close\r\n") == std::string::npos, stays) << answer;
      EXPECT_EQ(client->ended(), !stays);
      EXPECT_EQ(world.log(), Lines{std::string(one.line)});
      EXPECT_EQ(world.stat("cluster.c.upstream_cx_total"), 0);
      EXPECT_EQ(world.stat("cluster.c.upstream_rq_total"), 0);
      EXPECT_FALSE(world.upstream().has_connection());
      if (!stays) continue;
      client->send(kGet);
      world.settle();
      EXPECT_NE(world.upstream().accept()->receive(), "");
    }
  }
}

TEST(UnreadableRequests, OfAClientThatSendsNothingMore) {
  ProxyWorld world;
  auto client = world.connect();
  client->send("GET / HTTP/1.1\r\nbad\r\n\r\n");
  client->half_close();
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 400 "));
  EXPECT_EQ(world.log(), Lines{"400 DPE http1.missing_colon"});
}

TEST(IncompleteRequests, OfAClientThatGoesAway) {
  for (std::string_view bytes :
       {"G", "GET / HTTP/1.1\r\nhost: a\r\n", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab"}) {
    for (bool reset : {false, true}) {
      ProxyWorld world;
      auto client = world.connect();
      client->send(bytes);
      world.settle();
      reset ? client->reset() : client->close();
      world.settle();
      EXPECT_EQ(world.log(), Lines{"0 DC downstream_remote_disconnect"}) << bytes;
      EXPECT_EQ(world.stat("http.m.downstream_rq_total"), 1);
      EXPECT_EQ(world.stat("http.m.downstream_rq_active"), 0);
      EXPECT_EQ(world.stat("http.m.downstream_cx_protocol_error"), 0);
      EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 0);
    }
  }
}

TEST(IncompleteRequests, NothingAndLineBreaksAreNone) {
  for (std::string_view bytes : {"", "\r", "\r\n"}) {
    ProxyWorld world({.virtual_host = answer_directly});
    auto client = world.connect();
    client->send(bytes);
    world.settle();
    client->close();
    world.settle();
    EXPECT_EQ(world.log(), Lines{});
    EXPECT_EQ(world.stat("http.m.downstream_cx_active"), 0);
  }
}

TEST(Pipelining, IsBoundedPerTurn) {
  ProxyWorld world({.virtual_host = answer_directly});
  auto client = world.connect();
  std::string requests;
  for (int i = 0; i < 1000; ++i) requests += kGet;
  client->send(requests);
  world.settle(1);
  std::string first = client->receive();
  EXPECT_GT(count_of(first, "HTTP/1.1 200"), 0u);
  EXPECT_LT(count_of(first, "HTTP/1.1 200"), 100u);
  world.settle(100);
  EXPECT_EQ(count_of(first + client->receive(), "HTTP/1.1 200"), 1000u);
  EXPECT_EQ(world.log().size(), 1000u);
}

TEST(Pipelining, GoesOnAfterThePauseWithoutNewBytes) {
  ProxyWorld world({.virtual_host = answer_directly});
  auto client = world.connect();
  std::string requests;
  for (int i = 0; i < 32; ++i) requests += kGet;  // exactly one turn's worth
  client->send(requests);
  world.settle();
  EXPECT_EQ(count_of(client->receive(), "HTTP/1.1 200"), 32u);
  client->send(kGet);
  world.settle();
  EXPECT_EQ(count_of(client->receive(), "HTTP/1.1 200"), 1u);
  client->half_close();
  world.settle();
  client->receive();
  EXPECT_TRUE(client->ended());
}

TEST(Upgrades, ARefusedOneEndsTheConnection) {
  ProxyWorld world({.virtual_host = answer_directly});
  auto client = world.connect();
  // What follows would be the other protocol's, and looks like a request.
  client->send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
  client->send(kGet);
  world.settle();
  std::string answer = client->receive();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 403 ")) << answer;
  EXPECT_EQ(count_of(answer, "HTTP/1.1"), 1u);
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{"403 - upgrade_failed"});
}

TEST(Upgrades, AnOfferOfHttp2IsIgnored) {
  ProxyWorld world;
  auto client = world.connect();
  client->send(
      "GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: "
      "AAMAAABk\r\n\r\n");
  world.settle();
  auto server = world.upstream().accept();
  std::string request = server->receive();
  EXPECT_EQ(request.find("upgrade"), std::string::npos) << request;
  EXPECT_EQ(request.find("http2-settings"), std::string::npos) << request;
  server->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 200 "));
}

TEST(HalfClose, TheResponseIsStillDelivered) {
  ProxyWorld world;
  auto client = world.connect();
  client->send(kGet);
  client->half_close();
  world.settle();
  auto server = world.upstream().accept();
  server->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("ok"));
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{"200 - via_upstream"});
}

TEST(HalfClose, AResetBehindItEndsTheRequest) {
  ProxyWorld world;
  auto client = world.connect();
  client->send(kGet);
  client->half_close();
  world.settle();
  auto server = world.upstream().accept();
  server->receive();
  client->reset();
  world.settle();
  server->receive();
  EXPECT_TRUE(server->ended());
  EXPECT_EQ(world.log(), Lines{"0 DC downstream_remote_disconnect"});
}

TEST(HalfClose, AnEarlyAnswerIsStillDelivered) {
  ProxyWorld world({.virtual_host = answer_directly});
  auto client = world.connect();
  client->send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc");
  client->half_close();
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("direct"));
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{"200 - direct_response"});
}

// The next request breaks off while the response to the one before is still on its way.
TEST(HalfClose, WithAnIncompleteRequestBehindTheAnswer) {
  ProxyWorld world({.virtual_host = answer_directly});
  auto client = world.connect();
  client->send(std::string(kGet) + "GET /half HT");
  client->half_close();
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("direct"));
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), (Lines{"200 - direct_response", "0 DC downstream_remote_disconnect"}));
}

// A body that lasts until the end of the connection must not end in an orderly way when it was cut.
TEST(CutResponses, AreResetForHttp10) {
  ProxyWorld world({.manager = [](ConnectionManagerConfig& config) { config.h1.options.accept_http_10 = true; }});
  auto client = world.connect();
  client->send("GET / HTTP/1.0\r\nhost: a\r\n\r\n");
  world.settle();
  auto server = world.upstream().accept();
  server->send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n");
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("half"));
  server->close();
  world.settle();
  client->receive();
  EXPECT_TRUE(client->was_reset());
  EXPECT_EQ(world.log(), Lines{"200 UC upstream_reset_after_response_started{connection_termination}"});
}

TEST(EarlyResponses, AreDeliveredAlthoughTheServerClosesWithoutReading) {
  for (bool reset : {false, true}) {
    ProxyWorld world;
    auto client = world.connect();
    client->send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n");
    client->send(std::string(10'000, 'x'));
    world.settle();
    auto server = world.upstream().accept();
    server->receive(100);
    server->send("HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\nconnection: close\r\n\r\nlarge");
    reset ? server->close() : server->half_close();  // close() with unread bytes resets
    client->send(std::string(50'000, 'x'));
    world.settle();
    std::string answer = client->receive();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 ")) << answer;
    EXPECT_TRUE(answer.ends_with("large")) << answer;
    EXPECT_EQ(world.log(), Lines{"413 - via_upstream"});
  }
}

TEST(EarlyResponses, SayThatTheConnectionEndsWithThem) {
  ProxyWorld world;
  auto client = world.connect();
  client->send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n");
  world.settle();
  auto server = world.upstream().accept();
  server->send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly");
  world.settle();
  const std::string answer = client->receive();
  EXPECT_EQ(count_of(answer, "\r\nconnection: close\r\n"), 1u) << answer;
  EXPECT_TRUE(answer.ends_with("early")) << answer;
}

}  // namespace
}  // namespace weir::proxy
