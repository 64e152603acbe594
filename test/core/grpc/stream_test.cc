// Calls with many messages both ways.
#include "core/grpc/stream.h"

#include "test/core/grpc/grpc_world.h"

namespace weir::grpc {
namespace {

class Talk final : public Stream {
 public:
  explicit Talk(event::Lane& lane) : lane_(lane) {}
  // The status if it is known at once.
  std::string begin(const Service& service, const Options& options = {}) {
    OnLane on(lane_);
    const Status status = start(lane_, service, "/test.Echo/Talk", options);
    return std::string(code_name(status.code)) + (status.ok() ? "" : " " + status.message);
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

void expect_cancelled(Server& server) {
  server.read();
  EXPECT_NE(server.log().find("peer_reset CANCEL"), std::string::npos) << server.log();
}

TEST(GrpcStream, MessagesGoBothWaysAtAnyTime) {
  ProxyWorld world(with_http2());
  Service service = service_c();
  service.timeout = 3s;
  Talk talk(world.lane());
  EXPECT_EQ(talk.begin(service), "OK");
  talk.say("early");
  world.settle();
  Server server(world);
  EXPECT_EQ(server.request(),
            ":method: POST\n:scheme: http\n:path: /test.Echo/Talk\n:authority: c\nte: trailers\n"
            "content-type: application/grpc\ngrpc-timeout: 3000m\nx-envoy-internal: true\n");
  EXPECT_EQ(server.body(), framed("early"));
  server.head(1, wire::field("x-told", "yes"));
  EXPECT_EQ(talk.heard, "(yes) ");
  server.data(1, framed("a") + framed("") + framed("bc").substr(0, 6));
  EXPECT_EQ(talk.heard, "(yes) a  ");
  server.data(1, "c");
  EXPECT_EQ(talk.heard, "(yes) a  bc ");
  talk.say("late");
  talk.say("");
  server.read();
  EXPECT_EQ(server.body(), framed("early") + framed("late") + framed(""));
  talk.finish();
  server.read();
  EXPECT_NE(server.log().find("data 0 end"), std::string::npos) << server.log();
  server.data(1, framed("last"));
  server.trailers(1, "0", wire::field("x-why", "done"));
  EXPECT_EQ(talk.heard, "(yes) a  bc last OK why=done");
  talk.say("nobody");  // is not there any more
  expect_at_rest(world);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_200"), 1);
}

TEST(GrpcStream, MainHasThemToo) {
  ProxyWorld world(with_http2());
  const Service service = service_c();
  Talk talk(world.main_lane());
  EXPECT_EQ(talk.begin(service), "OK");
  world.settle();
  Server server(world);
  server.head(1);
  server.data(1, framed("hello"));
  server.trailers(1, "5", wire::field("grpc-message", "no%21"));
  EXPECT_EQ(talk.heard, "() hello NOT_FOUND: no!");
  expect_at_rest(world);
}

TEST(GrpcStream, TheServerMayEndBeforeTheCaller) {
  ProxyWorld world(with_http2());
  const Service service = service_c();
  Talk talk(world.lane());
  EXPECT_EQ(talk.begin(service), "OK");
  world.settle();
  Server server(world);
  server.head(1, wire::field("grpc-status", "7") + wire::field("x-why", "closed"), true);  // trailers alone
  EXPECT_EQ(talk.heard, "PERMISSION_DENIED why=closed");
  expect_cancelled(server);
  expect_at_rest(world);
}

TEST(GrpcStream, ADeadlineEndsItHoweverMuchIsSaid) {
  ProxyWorld world(with_http2());
  Service service = service_c();
  service.timeout = 10s;
  Talk talk(world.lane());
  EXPECT_EQ(talk.begin(service, {.timeout = 100ms}), "OK");
  world.settle();
  Server server(world);
  EXPECT_NE(server.request().find("grpc-timeout: 100m\n"), std::string::npos);
  server.head(1);
  world.advance(60ms);
  server.data(1, framed("a"));
  world.advance(45ms);
  EXPECT_EQ(talk.heard, "() a DEADLINE_EXCEEDED: timeout");
  expect_cancelled(server);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_timeout"), 1);
  expect_at_rest(world);
}

TEST(GrpcStream, CancelledFromWithinAMessage) {
  ProxyWorld world(with_http2());
  const Service service = service_c();
  Talk talk(world.lane());
  talk.when_heard = [&talk] { talk.cancel(); };
  EXPECT_EQ(talk.begin(service), "OK");
  world.settle();
  Server server(world);
  server.head(1);
  server.data(1, framed("a") + framed("b"));
  EXPECT_EQ(talk.heard, "() a ");
  expect_cancelled(server);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_cancelled"), 1);
  expect_at_rest(world);
}

TEST(GrpcStream, BegunAnewFromWithinAMessage) {
  ProxyWorld world(with_http2());
  const Service service = service_c();
  Talk talk(world.lane());
  talk.when_heard = [&] {
    talk.when_heard = [] {};
    EXPECT_EQ(talk.begin(service), "OK");
  };
  EXPECT_EQ(talk.begin(service), "OK");
  world.settle();
  Server server(world);
  server.head(1);
  server.data(1, framed("a") + framed("lost"));
  server.read();
  EXPECT_EQ(server.requests(), 2u);
  server.head(3);
  server.data(3, framed("b"));
  server.trailers(3);
  EXPECT_EQ(talk.heard, "() a () b OK");
  expect_at_rest(world);
}

TEST(GrpcStream, MayBeLeftBeforeThereIsAConnection) {
  ProxyWorld world(with_http2());
  const Service service = service_c();
  {
    Talk talk(world.lane());
    EXPECT_EQ(talk.begin(service), "OK");
    talk.say("x");
    talk.leave();
    EXPECT_FALSE(talk.active());
  }
  expect_at_rest(world);
}

TEST(GrpcStream, PausedItTellsNothingAndTheServerHasToWait) {
  ProxyWorld world(with_http2());
  const Service service = service_c();
  Talk talk(world.lane());
  EXPECT_EQ(talk.begin(service), "OK");
  world.settle();
  Server server(world);
  server.head(1);
  talk.hold(true);
  server.data(1, framed("a"));
  server.trailers(1);
  EXPECT_EQ(talk.heard, "() ");
  talk.hold(false);
  world.settle();
  EXPECT_EQ(talk.heard, "() a OK");
  expect_at_rest(world);
}

TEST(GrpcStream, PausedBeforeThereIsAConnectionItTellsNothingEither) {
  ProxyWorld world(with_http2());
  const Service service = service_c();
  Talk talk(world.lane());
  EXPECT_EQ(talk.begin(service), "OK");
  talk.hold(true);
  world.settle();
  Server server(world);
  server.head(1);
  server.data(1, framed("a"));
  server.trailers(1);
  EXPECT_EQ(talk.heard, "");
  talk.hold(false);
  world.settle();
  EXPECT_EQ(talk.heard, "() a OK");
  expect_at_rest(world);
}

TEST(GrpcStream, WhatCannotBeSentIsBounded) {
  ProxyWorld world(with_http2());
  const Service service = service_c();
  Talk talk(world.lane());
  EXPECT_EQ(talk.begin(service, {.buffer_limit = 64 * 1024}), "OK");
  for (int i = 0; i < 20 && talk.active(); ++i) talk.say(std::string(10000, 'x'));
  EXPECT_EQ(talk.heard, "RESOURCE_EXHAUSTED: request_too_large");
  expect_at_rest(world);
}

TEST(GrpcStream, ASlowServerBlocks) {
  ProxyWorld world(with_http2());
  const Service service = service_c();
  Talk talk(world.lane());
  EXPECT_EQ(talk.begin(service), "OK");
  world.settle();
  auto peer = world.upstream().accept();
  peer->send(wire::settings());
  world.settle();
  for (int i = 0; i < 100 && talk.blocked == 0; ++i) talk.say(std::string(10000, 'x'));
  EXPECT_EQ(talk.blocked, 1);
  EXPECT_TRUE(talk.active());
  talk.leave();
  expect_at_rest(world);
}

TEST(GrpcStream, NobodyToAsk) {
  ProxyWorld world(with_http2());
  Service service = service_c();
  service.cluster = {event::SlotKind::kCluster, 0};
  Talk talk(world.lane());
  EXPECT_EQ(talk.begin(service), "UNAVAILABLE no_cluster");
  EXPECT_FALSE(talk.active());
}

TEST(GrpcStream, AClusterOfHttp1) {
  ProxyWorld world(with_http2(upstream::HttpProtocol::kHttp1));
  const Service service = service_c();
  Talk talk(world.lane());
  EXPECT_EQ(talk.begin(service), "INTERNAL cluster c speaks HTTP/1.1; gRPC needs HTTP/2");
  EXPECT_FALSE(talk.active());
  expect_at_rest(world);
  EXPECT_FALSE(world.upstream().has_connection());
}

// A cluster that speaks as its clients do speaks HTTP/2.
TEST(GrpcStream, AsTheClientSpeaks) {
  ProxyWorld world(with_http2(upstream::HttpProtocol::kDownstream));
  const Service service = service_c();
  Talk talk(world.lane());
  EXPECT_EQ(talk.begin(service), "OK");
  world.settle();
  Server server(world);
  EXPECT_EQ(server.requests(), 1u);
  talk.leave();
  expect_at_rest(world);
}

}  // namespace
}  // namespace weir::grpc
