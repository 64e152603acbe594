// Calls with one message each way, to servers that answer well, badly, late and again.
#include "core/grpc/call.h"

#include "core/route/spec.h"
#include "test/core/grpc/grpc_world.h"

namespace weir::grpc {
namespace {

class TestCall final : public Call {
 public:
  explicit TestCall(event::Lane& lane) : lane_(lane) {}
  // "OK", or why it was not even begun.
  std::string begin(const Service& service) {
    OnLane on(lane_);
    Slices request = slices("question", lane_);
    const Status status = start(lane_, service, "/test.Echo/Unary", request);
    EXPECT_TRUE(request.empty());
    return told(status);
  }
  void leave() {
    OnLane on(lane_);
    cancel();
  }
  std::string ended;
  std::function<void()> when_told = [] {};

 private:
  void on_response(const Status& status, const Slices& response) override {
    EXPECT_FALSE(active());
    ended += std::string(code_name(status.code)) + " " + (status.ok() ? response.to_string() : status.message) + ";";
    const std::function<void()> then = when_told;
    then();  // may be the end of this
  }
  event::Lane& lane_;
};

struct GrpcCall : testing::Test, Scene<TestCall> {};

TEST_F(GrpcCall, QuestionAndAnswer) {
  EXPECT_EQ(call.begin(service), "OK");
  EXPECT_TRUE(call.active());
  world.settle();
  Server server(world);
  EXPECT_EQ(server.body(), grpc_frame("question"));
  EXPECT_EQ(server.request().find("grpc-timeout"), std::string::npos);
  server.head(1);
  server.data(1, grpc_frame("answer"));
  EXPECT_EQ(call.ended, "");
  server.trailers(1);
  EXPECT_EQ(call.ended, "OK answer;");
  // And again, on the same connection.
  EXPECT_EQ(call.begin(service), "OK");
  server.read();
  server.answer(3, "");
  EXPECT_EQ(call.ended, "OK answer;OK ;");
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_total"), 1);
}

TEST_F(GrpcCall, MayBeDestroyedByItsAnswer) {
  auto brief = std::make_unique<TestCall>(world.lane());
  brief->when_told = [&brief] { brief.reset(); };
  EXPECT_EQ(brief->begin(service), "OK");
  arrive().answer(1, "answer");
  EXPECT_EQ(brief, nullptr);
}

// --- Servers that answer badly ---------------------------------------------------------------------------------------

using Script = std::function<void(Server&)>;

std::string outcome(const Script& script, uint32_t limit = 1000) {
  Scene<TestCall> scene;
  scene.service.max_message = limit;
  script(scene.begin());
  scene.expect_at_rest();
  return scene.call.ended;
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
  EXPECT_EQ(answer(grpc_frame("12345"), 5), "OK 12345;");
  EXPECT_EQ(answer(grpc_frame("123456"), 5), "RESOURCE_EXHAUSTED a message is longer than max_receive_message_length;");
  EXPECT_EQ(answer(std::string("\0\xff\xff\xff\xff", 5)),
            "RESOURCE_EXHAUSTED a message is longer than max_receive_message_length;");
  EXPECT_EQ(answer(grpc_frame("x", 1)), "INTERNAL a message is compressed, which was not offered;");
  EXPECT_EQ(answer(grpc_frame("x", 4)), "INTERNAL a message has a flag that is none;");
  EXPECT_EQ(answer(grpc_frame("abc").substr(0, 7)), "INTERNAL the response ends within a message;");
  EXPECT_EQ(answer(grpc_frame("a") + grpc_frame("b")), "INTERNAL the server has answered with more than one message;");
  EXPECT_EQ(answer(""), "INTERNAL the server has answered without a message;");
}

TEST(GrpcHostile, Ends) {
  const auto after = [](const Script& script) {
    return outcome([&](Server& server) {
      server.head(1);
      server.data(1, grpc_frame("answer"));
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
              server.data(1, grpc_frame("more"));
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
  EXPECT_EQ(outcome([](Server& server) { server.data(1, grpc_frame("no head")); }).substr(0, 9), "INTERNAL ");
}

// --- Ends from this side ---------------------------------------------------------------------------------------------

TEST_F(GrpcCall, ADeadlineCountsFromTheStart) {
  service.timeout = 100ms;
  Server& server = begin();
  EXPECT_NE(server.request().find("grpc-timeout: 100m\n"), std::string::npos);
  world.advance(99ms);
  EXPECT_EQ(call.ended, "");
  world.advance(2ms);
  EXPECT_EQ(call.ended, "DEADLINE_EXCEEDED timeout;");
  expect_cancelled(server);
}

TEST(GrpcCancelling, MayHappenBeforeThereIsAConnection) {
  Scene<TestCall> scene;
  EXPECT_EQ(scene.call.begin(scene.service), "OK");
  scene.call.leave();
  EXPECT_FALSE(scene.call.active());
  scene.expect_at_rest();
  EXPECT_EQ(scene.call.ended, "");
}

TEST(GrpcCancelling, MayHappenAtAnyMoment) {
  for (int moment = 1; moment < 4; ++moment) {
    SCOPED_TRACE(moment);
    Scene<TestCall> scene;
    Server& server = scene.begin();
    if (moment > 1) server.head(1);
    if (moment > 2) server.data(1, grpc_frame("answer"));
    scene.call.leave();
    EXPECT_FALSE(scene.call.active());
    expect_cancelled(server);
    server.trailers(1);
    EXPECT_EQ(scene.call.ended, "");
  }
}

// --- Retries ---------------------------------------------------------------------------------------------------------

struct GrpcRetries : GrpcCall {
  void retry(uint32_t on, uint32_t most = 1) {
    service.retries = {.on = on, .most = most, .back_off_base = 10ms, .back_off_max = 100ms};
  }
};

TEST_F(GrpcRetries, AfterAStatusThatIsCovered) {
  retry(route::retry_on::kGrpcUnavailable, 2);
  Server& server = begin();
  for (uint32_t id : {1u, 3u, 5u}) {
    EXPECT_TRUE(call.active());
    server.refuse(id, "14", wire::field("grpc-message", "try " + std::to_string(id)));
    world.advance(100ms);
    server.read();
  }
  EXPECT_EQ(call.ended, "UNAVAILABLE try 5;");
  EXPECT_EQ(server.requests(), 3u);
  EXPECT_EQ(server.body(), grpc_frame("question") + grpc_frame("question") + grpc_frame("question"));
}

TEST_F(GrpcRetries, EndWithAnAnswer) {
  retry(route::retry_on::kGrpcUnavailable, 5);
  Server& server = begin();
  server.head(1);
  server.data(1, grpc_frame("half"));
  server.trailers(1, "14");
  world.advance(100ms);
  server.read();
  server.answer(3, "answer");
  EXPECT_EQ(call.ended, "OK answer;");
  world.advance(1s);
  server.read();
  EXPECT_EQ(server.requests(), 2u);
}

TEST_F(GrpcRetries, OnlyForWhatIsCovered) {
  retry(route::retry_on::kGrpcUnavailable | route::retry_on::kConnectFailure);
  Server& server = begin();
  server.refuse(1, "7");
  EXPECT_EQ(call.ended, "PERMISSION_DENIED ;");
  EXPECT_FALSE(call.active());
}

TEST_F(GrpcRetries, AfterARefusedStream) {
  retry(route::retry_on::kRefusedStream);
  Server& server = begin();
  server.reset(1, 7);
  EXPECT_EQ(call.ended, "");
  world.advance(100ms);
  server.read();
  EXPECT_EQ(server.requests(), 2u);
  server.reset(3, 8);  // which is another reason
  EXPECT_EQ(call.ended, "UNAVAILABLE broken;");
}

TEST_F(GrpcRetries, WhenNobodyIsThere) {
  world.upstream().stop();
  retry(route::retry_on::kConnectFailure, 3);
  EXPECT_EQ(call.begin(service), "OK");
  for (int i = 0; i < 10; ++i) world.advance(100ms);
  EXPECT_EQ(call.ended.substr(0, 25), "UNAVAILABLE no_connection");
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_connect_fail"), 4);
}

TEST_F(GrpcRetries, KeepToTheDeadline) {
  retry(route::retry_on::kGrpcUnavailable, 1000);
  service.timeout = 150ms;
  service.retries.back_off_max = 30ms;
  Server& server = begin();
  for (uint32_t id = 1; call.ended.empty() && id < 2000; id += 2) {
    server.refuse(id, "14");
    world.advance(40ms);
    server.read();
  }
  EXPECT_TRUE(call.ended == "UNAVAILABLE ;" || call.ended == "DEADLINE_EXCEEDED timeout;") << call.ended;
  EXPECT_LE(server.requests(), 5u);
  EXPECT_GE(server.requests(), 2u);
  // What is left of the time is told.
  EXPECT_EQ(server.request(1).find("grpc-timeout: 150m\n"), std::string::npos) << server.request(1);
}

TEST_F(GrpcRetries, ACancelledOneIsNotMadeAgain) {
  retry(route::retry_on::kGrpcUnavailable, 3);
  Server& server = begin();
  server.refuse(1, "14");
  call.leave();
  world.advance(1s);
  server.read();
  EXPECT_EQ(server.requests(), 1u);
  EXPECT_EQ(call.ended, "");
}

}  // namespace
}  // namespace weir::grpc
