// Calls with many messages both ways.
#include "core/grpc/stream.h"

#include "test/core/grpc/grpc_world.h"

namespace weir::grpc {
namespace {

class Talk final : public Stream {
 public:
  explicit Talk(event::Lane& lane) : lane_(lane) {}
  // "OK", or why it was not even begun.
  std::string begin(const Service& service, const Options& options = {}) {
    OnLane on(lane_);
    return told(start(lane_, service, "/test.Echo/Talk", options));
  }
  void say(std::string_view text) {
    OnLane on(lane_);
    Slices message = slices(text, lane_);
    send(message);
    EXPECT_TRUE(message.empty());
  }
  void finish() {
    OnLane on(lane_);
    close();
  }
  void leave() {
    OnLane on(lane_);
    cancel();
  }
  void hold(bool held) {
    OnLane on(lane_);
    pause(held);
  }
  std::string heard;
  std::function<void()> when_heard = [] {};
  int blocked = 0;

 private:
  void on_metadata(const http::HeaderMap& headers) override {
    const std::string_view told = headers.get(http::HeaderName("x-told"));
    heard += "(" + std::string(told) + ") ";
  }
  void on_message(Slices& message) override {
    heard += message.to_string() + " ";
    const std::function<void()> then = when_heard;
    then();  // may change it
  }
  void on_flow(bool on) override { blocked += on ? 1 : 0; }
  void on_end(const Status& status, const http::HeaderMap* trailers) override {
    EXPECT_FALSE(active());
    heard += std::string(code_name(status.code));
    if (!status.message.empty()) heard += ": " + status.message;
    if (trailers == nullptr) return;
    if (const auto why = trailers->get(http::HeaderName("x-why")); !why.empty()) heard += " why=" + std::string(why);
  }
  event::Lane& lane_;
};

struct GrpcStream : testing::Test, Scene<Talk> {};

TEST_F(GrpcStream, MessagesGoBothWaysAtAnyTime) {
  service.timeout = 3s;
  EXPECT_EQ(call.begin(service), "OK");
  call.say("early");
  Server& server = arrive();
  EXPECT_EQ(server.request(),
            ":method: POST\n:scheme: http\n:path: /test.Echo/Talk\n:authority: c\nte: trailers\n"
            "content-type: application/grpc\ngrpc-timeout: 3000m\nx-envoy-internal: true\n");
  EXPECT_EQ(server.body(), grpc_frame("early"));
  server.head(1, wire::field("x-told", "yes"));
  EXPECT_EQ(call.heard, "(yes) ");
  server.data(1, grpc_frame("a") + grpc_frame("") + grpc_frame("bc").substr(0, 6));
  EXPECT_EQ(call.heard, "(yes) a  ");
  server.data(1, "c");
  EXPECT_EQ(call.heard, "(yes) a  bc ");
  call.say("late");
  call.say("");
  server.read();
  EXPECT_EQ(server.body(), grpc_frame("early") + grpc_frame("late") + grpc_frame(""));
  call.finish();
  server.read();
  EXPECT_NE(server.log().find("data 0 end"), std::string::npos) << server.log();
  server.data(1, grpc_frame("last"));
  server.trailers(1, "0", wire::field("x-why", "done"));
  EXPECT_EQ(call.heard, "(yes) a  bc last OK why=done");
  call.say("nobody");  // is not there any more
  expect_at_rest();
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_200"), 1);
}

TEST_F(GrpcStream, MainHasThemToo) {
  Talk talk(world.main_lane());
  EXPECT_EQ(talk.begin(service), "OK");
  Server& server = arrive();
  server.head(1);
  server.data(1, grpc_frame("hello"));
  server.trailers(1, "5", wire::field("grpc-message", "no%21"));
  EXPECT_EQ(talk.heard, "() hello NOT_FOUND: no!");
  expect_at_rest();
}

TEST_F(GrpcStream, TheServerMayEndBeforeTheCaller) {
  Server& server = begin();
  server.refuse(1, "7", wire::field("x-why", "closed"));
  EXPECT_EQ(call.heard, "PERMISSION_DENIED why=closed");
  expect_cancelled(server);
}

TEST_F(GrpcStream, ADeadlineEndsItHoweverMuchIsSaid) {
  service.timeout = 10s;
  Server& server = begin(Stream::Options{.timeout = 100ms});
  EXPECT_NE(server.request().find("grpc-timeout: 100m\n"), std::string::npos);
  server.head(1);
  world.advance(60ms);
  server.data(1, grpc_frame("a"));
  world.advance(45ms);
  EXPECT_EQ(call.heard, "() a DEADLINE_EXCEEDED: timeout");
  expect_cancelled(server);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_timeout"), 1);
}

TEST_F(GrpcStream, CancelledFromWithinAMessage) {
  call.when_heard = [this] { call.cancel(); };
  Server& server = begin();
  server.head(1);
  server.data(1, grpc_frame("a") + grpc_frame("b"));
  EXPECT_EQ(call.heard, "() a ");
  expect_cancelled(server);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_tx_reset"), 1);
}

TEST_F(GrpcStream, BegunAnewFromWithinAMessage) {
  call.when_heard = [this] {
    call.when_heard = [] {};
    EXPECT_EQ(call.begin(service), "OK");
  };
  Server& server = begin();
  server.head(1);
  server.data(1, grpc_frame("a") + grpc_frame("lost"));
  server.read();
  EXPECT_EQ(server.requests(), 2u);
  server.answer(3, "b");
  EXPECT_EQ(call.heard, "() a () b OK");
}

TEST_F(GrpcStream, MayBeLeftBeforeThereIsAConnection) {
  EXPECT_EQ(call.begin(service), "OK");
  call.say("x");
  call.leave();
  EXPECT_FALSE(call.active());
}

TEST_F(GrpcStream, PausedItTellsNothingAndTheServerHasToWait) {
  Server& server = begin();
  server.head(1);
  call.hold(true);
  server.data(1, grpc_frame("a"));
  server.trailers(1);
  EXPECT_EQ(call.heard, "() ");
  call.hold(false);
  world.settle();
  EXPECT_EQ(call.heard, "() a OK");
}

TEST_F(GrpcStream, PausedBeforeThereIsAConnectionItTellsNothingEither) {
  EXPECT_EQ(call.begin(service), "OK");
  call.hold(true);
  Server& server = arrive();
  server.head(1);
  server.data(1, grpc_frame("a"));
  server.trailers(1);
  EXPECT_EQ(call.heard, "");
  call.hold(false);
  world.settle();
  EXPECT_EQ(call.heard, "() a OK");
}

TEST_F(GrpcStream, WhatCannotBeSentIsBounded) {
  EXPECT_EQ(call.begin(service, {.buffer_limit = 64 * 1024}), "OK");
  for (int i = 0; i < 20 && call.active(); ++i) call.say(std::string(10000, 'x'));
  EXPECT_EQ(call.heard, "RESOURCE_EXHAUSTED: request_too_large");
}

TEST_F(GrpcStream, ASlowServerBlocks) {
  EXPECT_EQ(call.begin(service), "OK");
  world.settle();
  auto peer = world.upstream().accept();
  peer->send(wire::settings());
  world.settle();
  for (int i = 0; i < 100 && call.blocked == 0; ++i) call.say(std::string(10000, 'x'));
  EXPECT_EQ(call.blocked, 1);
  EXPECT_TRUE(call.active());
  call.leave();
  expect_at_rest();
}

TEST_F(GrpcStream, NobodyToAsk) {
  service.cluster = {event::SlotKind::kCluster, 0};
  EXPECT_EQ(call.begin(service), "UNAVAILABLE no_cluster");
  EXPECT_FALSE(call.active());
}

TEST(GrpcProtocols, AClusterOfHttp1) {
  Scene<Talk> scene(upstream::HttpProtocol::kHttp1);
  EXPECT_EQ(scene.call.begin(scene.service), "INTERNAL cluster c speaks HTTP/1.1; gRPC needs HTTP/2");
  EXPECT_FALSE(scene.call.active());
  scene.expect_at_rest();
  EXPECT_FALSE(scene.world.upstream().has_connection());
}

// A cluster that speaks as its clients do speaks HTTP/2.
TEST(GrpcProtocols, AsTheClientSpeaks) {
  Scene<Talk> scene(upstream::HttpProtocol::kDownstream);
  EXPECT_EQ(scene.begin().requests(), 1u);
  scene.call.leave();
}

}  // namespace
}  // namespace weir::grpc
