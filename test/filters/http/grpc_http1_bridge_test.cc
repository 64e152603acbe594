#include <gtest/gtest.h>

#include "envoy/extensions/filters/http/grpc_http1_bridge/v3/config.pb.h"
#include "test/support/filter_harness.h"
#include "test/support/grpc_messages.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

using BridgeConfig = envoy::extensions::filters::http::grpc_http1_bridge::v3::Config;

struct Bridge {
  PluginScope plugins;
  BridgeConfig config;
  std::vector<filter::HttpFilterEntry> chain() { return {plugins.http_filter(config)}; }
  void run(const std::function<void(FilterHarness&)>& test, const FilterHarness::Options& options = {}) {
    run_under_chaos(
        chain(),
        [&](FilterHarness& harness) {
          harness.stream().info().protocol = stream::Protocol::kHttp11;
          test(harness);
        },
        50, options);
    EXPECT_TRUE(plugins.error_texts().empty());
  }
};

Headers call(const std::string& type = "application/grpc", const std::string& path = "/shop.Cart/Add") {
  return {{":method", "POST"}, {":authority", "a"}, {":path", path}, {"content-type", type}};
}
const Headers kGood = {{":status", "200"}, {"content-type", "application/grpc"}};

TEST(GrpcHttp1Bridge, TheAnswerIsHeldUntilItsStatusIsKnown) {
  Bridge bridge;
  bridge.run([](FilterHarness& harness) {
    harness.send_headers(call("application/grpc+proto"));
    harness.send_data(grpc_frame("hello"), true);
    harness.respond_headers(kGood);
    harness.respond_data(grpc_frame("an").substr(0, 4));
    harness.respond_data(grpc_frame("an").substr(4));
    harness.run(200ms);
    EXPECT_EQ(harness.request().header("content-type"), "application/grpc+proto");
    EXPECT_EQ(harness.request().header("te"), "trailers");
    EXPECT_EQ(harness.request().body, grpc_frame("hello"));
    EXPECT_FALSE(harness.response().has_headers);
    harness.respond_trailers({{"grpc-status", "0"}, {"grpc-message", "fine"}});
    harness.run();
    const Message& answer = harness.response();
    EXPECT_EQ(answer.header(":status"), "200");
    EXPECT_EQ(answer.header("content-type"), "application/grpc");
    EXPECT_EQ(answer.header("grpc-status"), "0");
    EXPECT_EQ(answer.header("grpc-message"), "fine");
    EXPECT_EQ(answer.header("content-length"), "7");
    EXPECT_EQ(answer.body, grpc_frame("an"));
    EXPECT_TRUE(answer.trailers.empty());
  });
}

TEST(GrpcHttp1Bridge, ErrorsAreErrorsOfHttp) {
  Bridge bridge;
  const Headers status = {{"grpc-status", "9"}, {"grpc-message", "not%20now"}};
  for (int where = 0; where < 3; ++where) {
    bridge.run([&](FilterHarness& harness) {
      harness.send_headers(call(), true);
      Headers headers = kGood;
      if (where == 0) headers.insert(headers.end(), status.begin(), status.end());
      harness.respond_headers(headers, where == 0);
      if (where == 2) harness.respond_data(grpc_frame("half"));
      if (where > 0) harness.respond_trailers(status);
      harness.run();
      const Message& answer = harness.response();
      EXPECT_EQ(answer.header(":status"), "503");
      EXPECT_EQ(answer.header("grpc-status"), "9");
      EXPECT_EQ(answer.header("grpc-message"), "not%20now");
      EXPECT_EQ(answer.body, where == 2 ? grpc_frame("half") : "");
      EXPECT_TRUE(answer.ended);
    });
  }
}

TEST(GrpcHttp1Bridge, OtherAnswersAndRequestsPass) {
  Bridge bridge;
  bridge.run([](FilterHarness& harness) {  // a server that speaks no gRPC
    harness.send_headers(call(), true);
    harness.respond_headers({{":status", "502"}, {"content-type", "text/html"}});
    harness.respond_data("<p>", true);
    harness.run();
    EXPECT_EQ(harness.response().header(":status"), "502");
    EXPECT_EQ(harness.response().body, "<p>");
  });
  {  // a call of HTTP/2
    FilterHarness harness(bridge.chain());
    harness.stream().info().protocol = stream::Protocol::kHttp2;
    harness.send_headers(call(), true);
    harness.respond_headers(kGood);
    harness.respond_data(grpc_frame("x"));
    harness.run(5ms);
    EXPECT_EQ(harness.response().body, grpc_frame("x"));  // not held
    harness.respond_trailers({{"grpc-status", "5"}});
    harness.run();
    EXPECT_EQ(harness.response().header(":status"), "200");
    EXPECT_EQ(harness.response().trailer("grpc-status"), "5");
  }
  bridge.run([](FilterHarness& harness) {  // no call
    harness.send_headers(call("application/x-protobuf", "/a?b"));
    harness.send_data("abc", true);
    harness.respond_headers(kGood);
    harness.respond_trailers({{"grpc-status", "5"}});
    harness.run();
    EXPECT_EQ(harness.request().headers, call("application/x-protobuf", "/a?b"));
    EXPECT_EQ(harness.request().body, "abc");
    EXPECT_EQ(harness.response().header(":status"), "200");
    EXPECT_EQ(harness.response().trailer("grpc-status"), "5");
  });
}

TEST(GrpcHttp1Bridge, AnAnswerThatIsTooLongIsAnError) {
  Bridge bridge;
  bridge.run(
      [](FilterHarness& harness) {
        harness.send_headers(call(), true);
        harness.respond_headers(kGood);
        harness.respond_data(grpc_frame(std::string(2000, 'x')));
        harness.respond_trailers({{"grpc-status", "0"}});
        harness.run();
        EXPECT_EQ(harness.response().header("grpc-status"), "2");
        EXPECT_EQ(harness.response().header("grpc-message"), "response body too large%0A");
      },
      {.buffer_limit = 1000});
}

// field: grpc_http1_bridge.v3.Config.ignore_query_parameters
TEST(GrpcHttp1Bridge, QueriesAreLeftOut) {
  Bridge bridge;
  for (const bool ignore : {false, true}) {
    bridge.config.set_ignore_query_parameters(ignore);
    bridge.run([&](FilterHarness& harness) {
      harness.send_headers(call("application/grpc", "/shop.Cart/Add?x=1&y"), true);
      harness.respond_headers(kGood, true);
      harness.run();
      EXPECT_EQ(harness.request().header(":path"), ignore ? "/shop.Cart/Add" : "/shop.Cart/Add?x=1&y");
    });
  }
}

// field: grpc_http1_bridge.v3.Config.upgrade_protobuf_to_grpc
TEST(GrpcHttp1Bridge, ProtobufBecomesACall) {
  Bridge bridge;
  bridge.config.set_upgrade_protobuf_to_grpc(true);
  for (const char* length : {"", "5"}) {
    for (const stream::Protocol protocol : {stream::Protocol::kHttp11, stream::Protocol::kHttp2}) {
      bridge.run([&](FilterHarness& harness) {
        harness.stream().info().protocol = protocol;
        Headers request = call("application/x-protobuf");
        if (*length != '\0') request.emplace_back("content-length", length);
        harness.send_headers(request);
        harness.send_data("he");
        harness.send_data("llo", true);
        harness.respond_headers(kGood);
        harness.respond_data(grpc_frame("answer").substr(0, 3));
        harness.respond_data(grpc_frame("answer").substr(3));
        harness.respond_trailers({{"grpc-status", "0"}});
        harness.run();
        EXPECT_EQ(harness.request().header("content-type"), "application/grpc");
        EXPECT_EQ(harness.request().header("content-length"), "(none)");
        EXPECT_EQ(harness.request().body, grpc_frame("hello"));
        const Message& answer = harness.response();
        EXPECT_EQ(answer.header(":status"), "200");
        EXPECT_EQ(answer.header("content-type"), "application/x-protobuf");
        EXPECT_EQ(answer.header("content-length"), "6");
        EXPECT_EQ(answer.header("grpc-status"), "0");
        EXPECT_EQ(answer.body, "answer");
        EXPECT_TRUE(answer.trailers.empty());
      });
    }
  }
}

TEST(GrpcHttp1Bridge, EmptyProtobufIsAMessage) {
  Bridge bridge;
  bridge.config.set_upgrade_protobuf_to_grpc(true);
  bridge.run([](FilterHarness& harness) {
    Headers request = call("application/x-protobuf; x=y");
    request.emplace_back("content-length", "0");
    harness.send_headers(request, true);
    harness.respond_headers(kGood);
    harness.respond_data(grpc_frame(""));
    harness.respond_trailers({{"grpc-status", "0"}});
    harness.run();
    EXPECT_EQ(harness.request().body, grpc_frame(""));
    EXPECT_TRUE(harness.request().ended);
    EXPECT_EQ(harness.response().body, "");
    EXPECT_EQ(harness.response().header("content-length"), "0");
  });
}

TEST(GrpcHttp1Bridge, ProtobufGetsOneMessageOrAnError) {
  Bridge bridge;
  bridge.config.set_upgrade_protobuf_to_grpc(true);
  struct Case {
    std::string body;
    Headers trailers;
    std::string status;
  };
  const Headers good = {{"grpc-status", "0"}};
  const Case cases[] = {{grpc_frame("one") + grpc_frame("two"), good, "13"},
                        {grpc_frame("one").substr(0, 7), good, "13"},
                        {grpc_frame("one", 1), good, "13"},
                        {std::string(2, '\0'), good, "13"},
                        {"", good, "13"},
                        {grpc_frame("one"), {{"grpc-status", "3"}}, "3"},
                        {grpc_frame("one"), {{"x-end", "1"}}, "2"}};
  for (const Case& one : cases) {
    bridge.run([&](FilterHarness& harness) {
      harness.send_headers(call("application/x-protobuf"));
      harness.send_data("x", true);
      harness.respond_headers(kGood);
      if (!one.body.empty()) harness.respond_data(one.body);
      harness.respond_trailers(one.trailers);
      harness.run();
      const Message& answer = harness.response();
      EXPECT_EQ(answer.header(":status"), "503");
      EXPECT_EQ(answer.header("grpc-status"), one.status);
      EXPECT_EQ(answer.header("content-length"), "0");
      EXPECT_EQ(answer.body, "");
    });
  }
}

TEST(GrpcHttp1Bridge, RequestsOfUnknownLengthAreBounded) {
  Bridge bridge;
  bridge.config.set_upgrade_protobuf_to_grpc(true);
  bridge.run(
      [](FilterHarness& harness) {
        harness.send_headers(call("application/x-protobuf"));
        harness.send_data(std::string(2000, 'x'), true);
        harness.run(100ms);
        EXPECT_FALSE(harness.request().has_headers);
        EXPECT_TRUE(harness.response().ended);
        EXPECT_EQ(harness.response().header(":status"), "413");
        EXPECT_EQ(harness.response().header("content-type"), "text/plain");
        EXPECT_EQ(harness.response().body, "request body too large\n");
      },
      {.buffer_limit = 1000});
}

TEST(GrpcHttp1Bridge, ProtobufGetsNoEmptyMessageForOneThatIsTooLong) {
  Bridge bridge;
  bridge.config.set_upgrade_protobuf_to_grpc(true);
  bridge.run(
      [](FilterHarness& harness) {
        harness.send_headers(call("application/x-protobuf"));
        harness.send_data("x", true);
        harness.respond_headers(kGood);
        harness.respond_data(grpc_frame(std::string(2000, 'x')));
        harness.respond_trailers({{"grpc-status", "0"}});
        harness.run();
        EXPECT_EQ(harness.response().header(":status"), "500");
        EXPECT_EQ(harness.response().header("content-type"), "text/plain");
        EXPECT_EQ(harness.response().body, "response body too large\n");
      },
      {.buffer_limit = 1000});
}

}  // namespace
}  // namespace weir::test
