// Calls with one message each way, to servers that answer well, badly, late and again.
#include "core/grpc/call.h"

#include "core/route/spec.h"
#include "test/core/grpc/grpc_world.h"

namespace weir::grpc {
namespace {

class TestCall final : public Call {
 public:
  explicit TestCall(event::Lane& lane) : lane_(lane) {}
  std::string ask(const Service& service, std::string_view text = "question") {
    OnLane on(lane_);
    Slices request = slices(text, lane_);
    const Status status = start(lane_, service, "/test.Echo/Unary", request);
    EXPECT_TRUE(request.empty());
    return std::string(code_name(status.code)) + (status.ok() ? "" : " " + status.message);
  }
  void leave() {
    OnLane on(lane_);
    cancel();
  }
  std::string told;
  std::function<void()> when_told = [] {};

 private:
  void on_response(const Status& status, const Slices& response) override {
    EXPECT_FALSE(active());
    told += std::string(code_name(status.code)) + " " + (status.ok() ? response.to_string() : status.message) + ";";
    const std::function<void()> then = when_told;
    then();  // may be the end of this
  }
  event::Lane& lane_;
};

TEST(GrpcCall, QuestionAndAnswer) {
  ProxyWorld world(with_http2());
  const Service service = service_c();
  TestCall call(world.lane());
  EXPECT_EQ(call.ask(service), "OK");
  EXPECT_TRUE(call.active());
  world.settle();
  Server server(world);
  EXPECT_EQ(server.body(), framed("question"));
  EXPECT_EQ(server.request().find("grpc-timeout"), std::string::npos);
  server.head(1);
  server.data(1, framed("answer"));
  EXPECT_EQ(call.told, "");
  server.trailers(1);
  EXPECT_EQ(call.told, "OK answer;");
  // And again, on the same connection.
  EXPECT_EQ(call.ask(service), "OK");
  server.read();
  server.head(3);
  server.data(3, framed(""));
  server.trailers(3);
  EXPECT_EQ(call.told, "OK answer;OK ;");
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_total"), 1);
  expect_at_rest(world);
}

TEST(GrpcCall, MayBeDestroyedByItsAnswer) {
  ProxyWorld world(with_http2());
  const Service service = service_c();
  auto call = std::make_unique<TestCall>(world.lane());
  call->when_told = [&call] { call.reset(); };
  EXPECT_EQ(call->ask(service), "OK");
  world.settle();
  Server server(world);
  server.head(1);
  server.data(1, framed("answer"));
  server.trailers(1);
  EXPECT_EQ(call, nullptr);
  expect_at_rest(world);
}

// --- Servers that answer badly ---------------------------------------------------------------------------------------

using Script = std::function<void(Server&)>;

std::string outcome(const Script& script, uint32_t limit = 1000) {
  ProxyWorld world(with_http2());
  Service service = service_c();
  service.max_message = limit;
  TestCall call(world.lane());
  EXPECT_EQ(call.ask(service), "OK");
  world.settle();
  Server server(world);
  script(server);
  world.settle();
  expect_at_rest(world);
  return call.told;
}

TEST(GrpcHostile, Messages) {
  const auto answer = [](const std::string& bytes, uint32_t limit = 1000) {
    return outcome(
        [&](Server& server) {
          server.head(1);
          server.data(1, bytes);
          server.trailers(1);
        },
        limit);
  };
  EXPECT_EQ(answer(framed("12345"), 5), "OK 12345;");
  EXPECT_EQ(answer(framed("123456"), 5), "RESOURCE_EXHAUSTED a message is longer than max_receive_message_length;");
  EXPECT_EQ(answer(std::string("\0\xff\xff\xff\xff", 5)),
            "RESOURCE_EXHAUSTED a message is longer than max_receive_message_length;");
  EXPECT_EQ(answer(framed("x", 1)), "INTERNAL a message is compressed, which was not offered;");
  EXPECT_EQ(answer(framed("x", 4)), "INTERNAL a message has a flag that is none;");
  EXPECT_EQ(answer(framed("abc").substr(0, 7)), "INTERNAL the response ends within a message;");
  EXPECT_EQ(answer(framed("a") + framed("b")), "INTERNAL the server has answered with more than one message;");
  EXPECT_EQ(answer(""), "INTERNAL the server has answered without a message;");
}

TEST(GrpcHostile, Ends) {
  const auto after = [](const Script& script) {
    return outcome([&](Server& server) {
      server.head(1);
      server.data(1, framed("answer"));
      script(server);
    });
  };
  EXPECT_EQ(after([](Server& server) { server.data(1, "", true); }),
            "UNKNOWN the server has ended the call without a status;");
  EXPECT_EQ(after([](Server& server) { server.data(1, "x", true); }), "INTERNAL the response ends within a message;");
  EXPECT_EQ(after([](Server& server) {
              server.send(wire::frame(wire::kHeaders, wire::kEndHeaders | wire::kEndStream, 1, wire::field("x", "1")));
            }),
            "UNKNOWN the server has ended the call without a status;");
  EXPECT_EQ(after([](Server& server) { server.trailers(1, "13", wire::field("grpc-message", "a%0Ab")); }),
            "INTERNAL a\nb;");
  EXPECT_EQ(after([](Server& server) { server.trailers(1, "-5"); }),
            "UNKNOWN the server has ended the call with a status that is none;");
  EXPECT_EQ(after([](Server& server) { server.reset(1, 8); }), "UNAVAILABLE broken;");
  EXPECT_EQ(after([](Server& server) { server.reset(1, 0); }), "UNAVAILABLE broken;");
  EXPECT_EQ(after([](Server& server) { server.peer().close(); }), "UNAVAILABLE broken;");
  // The answer stands, whatever comes behind its end.
  EXPECT_EQ(after([](Server& server) {
              server.trailers(1);
              server.data(1, framed("more"));
            }),
            "OK answer;");
  EXPECT_EQ(after([](Server& server) {
              server.trailers(1);
              server.trailers(1, "2");
            }),
            "OK answer;");
}

TEST(GrpcHostile, Heads) {
  const auto head = [](const std::string& block, bool end) {
    return outcome([&](Server& server) {
      server.send(wire::frame(wire::kHeaders, static_cast<uint8_t>(wire::kEndHeaders | (end ? wire::kEndStream : 0)), 1,
                              block));
    });
  };
  EXPECT_EQ(head("\x88" + wire::field("content-type", "text/html"), false),
            "UNKNOWN the server has answered with the content-type \"text/html\" instead of application/grpc;");
  EXPECT_EQ(head("\x88", false),
            "UNKNOWN the server has answered with the content-type \"\" instead of application/grpc;");
  EXPECT_EQ(head("\x88", true), "UNKNOWN the server has ended the call without a status;");
  EXPECT_EQ(head("\x8d", false), "UNIMPLEMENTED the server has answered with HTTP status 404;");  // 404
  EXPECT_EQ(head("\x8d", true), "UNIMPLEMENTED the server has answered with HTTP status 404;");
  EXPECT_EQ(head(wire::field(":status", "503"), false), "UNAVAILABLE the server has answered with HTTP status 503;");
  EXPECT_EQ(head("\x88" + wire::field("grpc-status", "12") + wire::field("grpc-message", "what"), true),
            "UNIMPLEMENTED what;");
  EXPECT_EQ(head(wire::field("x", "no status"), true).substr(0, 9), "INTERNAL ");
  EXPECT_EQ(outcome([](Server& server) { server.data(1, framed("no head")); }).substr(0, 9), "INTERNAL ");
}

// --- Time
// --------------------------------------------------------------------------------------------------------------

TEST(GrpcCall, ADeadlineCountsFromTheStart) {
  ProxyWorld world(with_http2());
  Service service = service_c();
  service.timeout = 100ms;
  TestCall call(world.lane());
  EXPECT_EQ(call.ask(service), "OK");
  world.settle();
  Server server(world);
  EXPECT_NE(server.request().find("grpc-timeout: 100m\n"), std::string::npos);
  world.advance(99ms);
  EXPECT_EQ(call.told, "");
  world.advance(2ms);
  EXPECT_EQ(call.told, "DEADLINE_EXCEEDED timeout;");
  server.read();
  EXPECT_NE(server.log().find("peer_reset CANCEL"), std::string::npos) << server.log();
  expect_at_rest(world);
}

TEST(GrpcCall, MayBeCancelledAtAnyMoment) {
  for (int moment = 0; moment < 4; ++moment) {
    SCOPED_TRACE(moment);
    ProxyWorld world(with_http2());
    const Service service = service_c();
    TestCall call(world.lane());
    EXPECT_EQ(call.ask(service), "OK");
    if (moment == 0) {
      call.leave();
      expect_at_rest(world);
      continue;
    }
    world.settle();
    Server server(world);
    if (moment > 1) server.head(1);
    if (moment > 2) server.data(1, framed("answer"));
    call.leave();
    EXPECT_FALSE(call.active());
    server.read();
    EXPECT_NE(server.log().find("peer_reset CANCEL"), std::string::npos) << server.log();
    server.trailers(1);
    EXPECT_EQ(call.told, "");
    expect_at_rest(world);
  }
}

// --- Retries
// -----------------------------------------------------------------------------------------------------------

Service retrying(uint32_t on, uint32_t most = 1) {
  Service service = service_c();
  service.retries = {.on = on, .most = most, .back_off_base = 10ms, .back_off_max = 100ms};
  return service;
}

TEST(GrpcRetries, AfterAStatusThatIsCovered) {
  ProxyWorld world(with_http2());
  const Service service = retrying(route::retry_on::kGrpcUnavailable, 2);
  TestCall call(world.lane());
  EXPECT_EQ(call.ask(service), "OK");
  world.settle();
  Server server(world);
  for (uint32_t id : {1u, 3u, 5u}) {
    EXPECT_TRUE(call.active());
    server.head(id, wire::field("grpc-status", "14") + wire::field("grpc-message", "try " + std::to_string(id)), true);
    world.advance(100ms);
    server.read();
  }
  EXPECT_EQ(call.told, "UNAVAILABLE try 5;");
  EXPECT_EQ(server.requests(), 3u);
  EXPECT_EQ(server.body(), framed("question") + framed("question") + framed("question"));
  expect_at_rest(world);
}

TEST(GrpcRetries, EndWithAnAnswer) {
  ProxyWorld world(with_http2());
  const Service service = retrying(route::retry_on::kGrpcUnavailable, 5);
  TestCall call(world.lane());
  EXPECT_EQ(call.ask(service), "OK");
  world.settle();
  Server server(world);
  server.head(1);
  server.data(1, framed("half"));
  server.trailers(1, "14");
  world.advance(100ms);
  server.read();
  server.head(3);
  server.data(3, framed("answer"));
  server.trailers(3);
  EXPECT_EQ(call.told, "OK answer;");
  world.advance(1s);
  server.read();
  EXPECT_EQ(server.requests(), 2u);
  expect_at_rest(world);
}

TEST(GrpcRetries, OnlyForWhatIsCovered) {
  ProxyWorld world(with_http2());
  const Service service = retrying(route::retry_on::kGrpcUnavailable | route::retry_on::kConnectFailure);
  TestCall call(world.lane());
  EXPECT_EQ(call.ask(service), "OK");
  world.settle();
  Server server(world);
  server.head(1, wire::field("grpc-status", "7"), true);
  EXPECT_EQ(call.told, "PERMISSION_DENIED ;");
  EXPECT_FALSE(call.active());
  expect_at_rest(world);
}

TEST(GrpcRetries, AfterARefusedStream) {
  ProxyWorld world(with_http2());
  const Service service = retrying(route::retry_on::kRefusedStream);
  TestCall call(world.lane());
  EXPECT_EQ(call.ask(service), "OK");
  world.settle();
  Server server(world);
  server.reset(1, 7);
  EXPECT_EQ(call.told, "");
  world.advance(100ms);
  server.read();
  EXPECT_EQ(server.requests(), 2u);
  server.reset(3, 8);  // which is another reason
  EXPECT_EQ(call.told, "UNAVAILABLE broken;");
  expect_at_rest(world);
}

TEST(GrpcRetries, WhenNobodyIsThere) {
  ProxyWorld world(with_http2());
  world.upstream().stop();
  const Service service = retrying(route::retry_on::kConnectFailure, 3);
  TestCall call(world.lane());
  EXPECT_EQ(call.ask(service), "OK");
  for (int i = 0; i < 10; ++i) world.advance(100ms);
  EXPECT_EQ(call.told.substr(0, 25), "UNAVAILABLE no_connection");
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_connect_fail"), 4);
  expect_at_rest(world);
}

TEST(GrpcRetries, KeepToTheDeadline) {
  ProxyWorld world(with_http2());
  Service service = retrying(route::retry_on::kGrpcUnavailable, 1000);
  service.timeout = 150ms;
  service.retries.back_off_max = 30ms;
  TestCall call(world.lane());
  EXPECT_EQ(call.ask(service), "OK");
  world.settle();
  Server server(world);
  for (uint32_t id = 1; call.told.empty() && id < 2000; id += 2) {
    server.head(id, wire::field("grpc-status", "14"), true);
    world.advance(40ms);
    server.read();
  }
  EXPECT_TRUE(call.told == "UNAVAILABLE ;" || call.told == "DEADLINE_EXCEEDED timeout;") << call.told;
  EXPECT_LE(server.requests(), 5u);
  EXPECT_GE(server.requests(), 2u);
  // What is left of the time is told.
  EXPECT_EQ(server.request(1).find("grpc-timeout: 150m\n"), std::string::npos) << server.request(1);
  expect_at_rest(world);
}

TEST(GrpcRetries, ACancelledOneIsNotMadeAgain) {
  ProxyWorld world(with_http2());
  const Service service = retrying(route::retry_on::kGrpcUnavailable, 3);
  TestCall call(world.lane());
  EXPECT_EQ(call.ask(service), "OK");
  world.settle();
  Server server(world);
  server.head(1, wire::field("grpc-status", "14"), true);
  call.leave();
  world.advance(1s);
  server.read();
  EXPECT_EQ(server.requests(), 1u);
  EXPECT_EQ(call.told, "");
  expect_at_rest(world);
}

}  // namespace
}  // namespace weir::grpc
