// Requests of weir's own: what they ask for, what is told of the response, and every way in which there is none.
#include "core/proxy/headless_stream.h"

#include <gtest/gtest.h>

#include <memory>

#include "test/core/proxy/proxy_world.h"

namespace weir::proxy {
namespace {

using http::HeaderId;
using test::OnLane;
using test::ProxyWorld;
using test::WorldOptions;
using Lines = std::vector<std::string>;

upstream::ClusterLocal* cluster_of(event::Lane& lane) { return upstream::LaneClusters::of(lane).find_by_name("c"); }

void write_head(HeadlessStream& stream, std::string_view method, std::string_view length) {
  http::HeaderMap& head = stream.request_headers();
  head.add(HeaderId::kMethod, method);
  head.add(HeaderId::kPath, "/check");
  head.add(HeaderId::kAuthority, "a.example");
  if (!length.empty()) head.add_copy(HeaderId::kContentLength, length);
}

class Call final : public HeadlessCall {
 public:
  // What has come of it, if that is known at once.
  std::string ask(event::Lane& lane, std::string_view body = {}, Duration timeout = {}) {
    OnLane on(lane);
    HeadlessFailure failure;
    HeadlessStream* stream = open(lane, cluster_of(lane), {.timeout = timeout}, 1000, failure);
    if (stream == nullptr) return std::string(failure_text(failure));
    write_head(*stream, body.empty() ? "GET" : "POST", body.empty() ? "" : std::to_string(body.size()));
    Slices bytes;
    bytes.append_copy(body, lane.blocks());
    stream->request_headers().add_copy("x-n", std::to_string(++number_));
    return std::string(failure_text(send(bytes)));
  }
  Lines told;
  std::function<void()> when_told = [] {};

 private:
  void on_response(const Response& response) override {
    std::string line(response.headers.status());
    line += " " + response.body.to_string();
    if (response.trailers != nullptr) line += " " + response.trailers->to_string();
    tell(line);
  }
  void on_failure(HeadlessFailure failure) override { tell(std::string(failure_text(failure))); }
  void tell(const std::string& line) {
    told.push_back(line);
    EXPECT_FALSE(active());
    const std::function<void()> then = when_told;
    then();  // may be the end of this
  }
  int number_ = 0;
};

void leave(ProxyWorld& world, std::unique_ptr<Call>& call) {
  OnLane on(world.lane());
  call.reset();
}

void expect_at_rest(ProxyWorld& world) {
  world.settle();
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 0);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_pending_active"), 0);
}

TEST(HeadlessCall, AResponseComesAsOneCall) {
  ProxyWorld world;
  Call call;
  EXPECT_EQ(call.ask(world.lane()), "none");
  world.settle();
  auto server = world.upstream().accept();
  EXPECT_EQ(server->receive(), "GET /check HTTP/1.1\r\nhost: a.example\r\nx-n: 1\r\n\r\n");
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 1);
  server->send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\ncontent-length: 6\r\n\r\nabc");
  world.advance(20ms);
  EXPECT_EQ(call.told, Lines{});
  server->send("def");
  world.settle();
  EXPECT_EQ(call.told, Lines{"403 abcdef"});
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_total"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_403"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_time"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_active"), 1);
  expect_at_rest(world);
  // And the next one has the same connection.
  EXPECT_EQ(call.ask(world.lane(), "body"), "none");
  world.settle();
  EXPECT_EQ(server->receive(), "POST /check HTTP/1.1\r\nhost: a.example\r\ncontent-length: 4\r\nx-n: 2\r\n\r\nbody");
  server->send("HTTP/1.1 204 Fine\r\n\r\n");
  world.settle();
  EXPECT_EQ(call.told, (Lines{"403 abcdef", "204 "}));
  expect_at_rest(world);
}

TEST(HeadlessCall, MainHasThemToo) {
  ProxyWorld world;
  Call call;
  EXPECT_EQ(call.ask(world.main_lane()), "none");
  world.settle();
  auto server = world.upstream().accept();
  server->send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  world.settle();
  EXPECT_EQ(call.told, Lines{"200 ok"});
  expect_at_rest(world);
}

TEST(HeadlessCall, WhatTakesTooLongEnds) {
  ProxyWorld world;
  Call call;
  EXPECT_EQ(call.ask(world.lane(), {}, 50ms), "none");
  world.settle();
  auto server = world.upstream().accept();
  server->receive();
  server->send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no");
  world.advance(49ms);
  EXPECT_EQ(call.told, Lines{});
  world.advance(2ms);
  EXPECT_EQ(call.told, Lines{"timeout"});
  server->receive();
  EXPECT_TRUE(server->ended());
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_timeout"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_200"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_504"), 0);
  expect_at_rest(world);
}

TEST(HeadlessCall, ARefusedConnection) {
  ProxyWorld world;
  world.upstream().stop();
  Call call;
  const std::string at_once = call.ask(world.lane());
  world.settle();
  EXPECT_EQ(at_once == "none" ? call.told : Lines{at_once}, Lines{"no_connection"});
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_503"), 1);
  expect_at_rest(world);
}

TEST(HeadlessCall, AResponseThatBreaksOff) {
  ProxyWorld world;
  Call call;
  EXPECT_EQ(call.ask(world.lane()), "none");
  world.settle();
  auto server = world.upstream().accept();
  server->send("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf");
  world.settle();
  server->close();
  world.settle();
  EXPECT_EQ(call.told, Lines{"broken"});
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_200"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_503"), 0);
  expect_at_rest(world);
}

TEST(HeadlessCall, WhatIsNoResponse) {
  ProxyWorld world;
  Call call;
  EXPECT_EQ(call.ask(world.lane()), "none");
  world.settle();
  world.upstream().accept()->send("SSH-2.0-x\r\n\r\n");
  world.settle();
  EXPECT_EQ(call.told, Lines{"protocol_error"});
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_503"), 1);
  expect_at_rest(world);
}

TEST(HeadlessCall, ABodyBeyondTheLimit) {
  for (const size_t size : {1000u, 1001u}) {
    ProxyWorld world;
    Call call;
    EXPECT_EQ(call.ask(world.lane()), "none");
    world.settle();
    auto server = world.upstream().accept();
    server->receive();
    server->send("HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n" + std::string(size, 'x'));
    world.settle();
    EXPECT_EQ(call.told, size == 1000 ? Lines{} : Lines{"response_too_large"});
    server->receive();
    EXPECT_EQ(server->ended(), size != 1000);
    {
      OnLane on(world.lane());
      call.cancel();
    }
    expect_at_rest(world);
  }
}

TEST(HeadlessCall, MayBeCancelledAtAnyMoment) {
  for (int moment = 0; moment < 4; ++moment) {
    SCOPED_TRACE(moment);
    ProxyWorld world;
    auto call = std::make_unique<Call>();
    EXPECT_EQ(call->ask(world.lane()), "none");
    if (moment == 0) leave(world, call);  // nothing has been connected yet
    world.settle();
    if (moment == 0) {
      expect_at_rest(world);
      continue;
    }
    auto server = world.upstream().accept();
    server->receive();
    if (moment == 1) {
      OnLane on(world.lane());
      call->cancel();
    }
    if (moment == 1) {
      world.settle();
      server->receive();
      EXPECT_TRUE(server->ended());
      EXPECT_EQ(call->told, Lines{});
      EXPECT_EQ(world.stat("cluster.c.upstream_rq_tx_reset"), 1);
      expect_at_rest(world);
      continue;
    }
    server->send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no");
    world.settle();
    if (moment == 2) leave(world, call);
    if (moment == 3) call->when_told = [&call] { call.reset(); };  // from within
    if (moment == 3) server->send("k");
    world.settle();
    EXPECT_EQ(call, nullptr);
    EXPECT_EQ(world.stat("cluster.c.upstream_rq_tx_reset"), moment == 3 ? 0 : 1);
    expect_at_rest(world);
  }
}

TEST(HeadlessCall, MayAskAgainFromWithin) {
  ProxyWorld world;
  Call call;
  call.when_told = [&] {
    call.when_told = [] {};
    EXPECT_EQ(call.ask(world.lane()), "none");
  };
  EXPECT_EQ(call.ask(world.lane()), "none");
  world.settle();
  auto server = world.upstream().accept();
  server->send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1");
  world.settle();
  // On that connection if it has come free before another one was there.
  const bool reused = server->receive().find("x-n: 2") != std::string::npos;
  auto again = reused ? std::move(server) : world.upstream().accept();
  again->send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2");
  world.settle();
  EXPECT_EQ(call.told, (Lines{"200 1", "200 2"}));
  expect_at_rest(world);
}

TEST(HeadlessCall, KeepsToTheLimitsOfTheCluster) {
  WorldOptions options;
  options.cluster = [](upstream::ClusterSpec& spec) { spec.breakers.max_requests = 1; };
  ProxyWorld world(std::move(options));
  Call first, second;
  EXPECT_EQ(first.ask(world.lane()), "none");
  const std::string at_once = second.ask(world.lane());
  world.settle();
  EXPECT_EQ(at_once == "none" ? second.told : Lines{at_once}, Lines{"overflow"});
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_pending_overflow"), 1);
  world.upstream().accept()->send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  world.settle();
  EXPECT_EQ(first.told, Lines{"200 ok"});
  expect_at_rest(world);
}

TEST(HeadlessCall, NoCluster) {
  ProxyWorld world;
  Call call;
  HeadlessFailure failure;
  OnLane on(world.lane());
  EXPECT_EQ(call.open(world.lane(), upstream::LaneClusters::of(world.lane()).find_by_name("nobody"), {}, 1, failure),
            nullptr);
  EXPECT_EQ(failure, HeadlessFailure::kNoCluster);
}

// Piece by piece, both ways at once.
class Listener final : public HeadlessStream::Reader {
 public:
  std::string heard;

 private:
  void on_headers(HeadlessStream&, const http::HeaderMap& headers, bool end) override {
    heard += std::string(headers.status()) + (end ? "." : " ");
  }
  void on_data(HeadlessStream&, Slices& data, bool end) override { heard += data.to_string() + (end ? "." : " "); }
  void on_trailers(HeadlessStream&, const http::HeaderMap& trailers) override { heard += trailers.to_string() + "."; }
  void on_failed(HeadlessFailure failure, std::string_view) override { heard += failure_text(failure); }
};

void send(HeadlessStream& stream, std::string_view text, bool end = false) {
  OnLane on(stream.lane());
  Slices data;
  data.append_copy(text, stream.lane().blocks());
  stream.send_data(data, end);
}

HeadlessStream* open(ProxyWorld& world, Listener& listener, std::string_view length,
                     const HeadlessStream::Options& options) {
  OnLane on(world.lane());
  HeadlessFailure failure;
  HeadlessStream* stream = HeadlessStream::open(world.lane(), cluster_of(world.lane()), options, failure);
  EXPECT_NE(stream, nullptr);
  write_head(*stream, "POST", length);
  EXPECT_EQ(stream->start(&listener, false), HeadlessFailure::kNone);
  return stream;
}

TEST(HeadlessStream, PiecesGoBothWays) {
  ProxyWorld world;
  Listener listener;
  HeadlessStream* stream = open(world, listener, "", {});
  send(*stream, "one");
  world.settle();
  auto server = world.upstream().accept();
  EXPECT_TRUE(server->receive().ends_with("\r\n\r\n3\r\none\r\n"));
  server->send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n");
  world.settle();
  EXPECT_EQ(listener.heard, "200 a ");
  send(*stream, "two");
  world.settle();
  EXPECT_EQ(server->receive(), "3\r\ntwo\r\n");
  {
    OnLane on(world.lane());
    http::HeaderMap trailers(stream->arena());
    trailers.add_copy("x-sum", "6");
    stream->send_trailers(trailers);
  }
  world.settle();
  EXPECT_EQ(server->receive(), "0\r\nx-sum: 6\r\n\r\n");
  server->send("1\r\nb\r\n0\r\n\r\n");
  world.settle();
  EXPECT_TRUE(listener.heard == "200 a b ." || listener.heard == "200 a b.") << listener.heard;
  expect_at_rest(world);
}

TEST(HeadlessStream, WhatCannotBeKeptEndsIt) {
  ProxyWorld world;
  Listener listener;
  HeadlessStream* stream = open(world, listener, "1000000", {.buffer_limit = 64 * 1024});
  for (int i = 0; i < 20 && listener.heard.empty(); ++i) send(*stream, std::string(10000, 'x'));
  EXPECT_EQ(listener.heard, "request_too_large");
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_cancelled"), 1);
  expect_at_rest(world);
}

}  // namespace
}  // namespace weir::proxy
