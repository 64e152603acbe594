#include <gtest/gtest.h>

#include "envoy/extensions/filters/http/buffer/v3/buffer.pb.h"
#include "test/support/filter_harness.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

namespace pb = envoy::extensions::filters::http::buffer::v3;

pb::Buffer buffer_of(uint32_t bytes) {
  pb::Buffer proto;
  proto.mutable_max_request_bytes()->set_value(bytes);
  return proto;
}

TEST(Buffer, WaitsForTheWholeBodyAndTellsItsLength) {
  PluginScope plugins;
  run_under_chaos({plugins.http_filter(buffer_of(100))}, [](FilterHarness& harness) {
    harness.send_headers({{":method", "POST"}});
    harness.send_data("abc");
    harness.send_data("def");
    harness.run(30ms);
    EXPECT_FALSE(harness.request().has_headers);
    harness.send_data("g", true);
    harness.run(50ms);
    EXPECT_EQ(harness.request().body, "abcdefg");
    EXPECT_EQ(harness.request().header("content-length"), "7");
    harness.respond_headers({{":status", "200"}}, true);
    harness.run();
    EXPECT_EQ(harness.response().header(":status"), "200");
  });
}

TEST(Buffer, LeavesAGivenLengthAlone) {
  PluginScope plugins;
  run_under_chaos({plugins.http_filter(buffer_of(100))}, [](FilterHarness& harness) {
    harness.send_headers({{":method", "POST"}, {"content-length", "3"}});
    harness.send_data("abc", true);
    harness.run(50ms);
    EXPECT_EQ(harness.request().header("content-length"), "3");
  });
}

TEST(Buffer, BodyWithTrailersGetsNoLength) {
  PluginScope plugins;
  run_under_chaos({plugins.http_filter(buffer_of(100))}, [](FilterHarness& harness) {
    harness.send_headers({{":method", "POST"}});
    harness.send_data("abc");
    harness.send_trailers({{"x-end", "1"}});
    harness.run(50ms);
    EXPECT_EQ(harness.request().header("content-length"), "(none)");
    EXPECT_EQ(harness.request().body, "abc");
    EXPECT_EQ(harness.request().trailer("x-end"), "1");
  });
}

TEST(Buffer, RequestWithoutBodyPassesAtOnce) {
  PluginScope plugins;
  run_under_chaos({plugins.http_filter(buffer_of(100))}, [](FilterHarness& harness) {
    harness.send_headers({{":method", "GET"}}, true);
    harness.run(30ms);
    EXPECT_TRUE(harness.request().ended);
    EXPECT_EQ(harness.request().header("content-length"), "(none)");
  });
}

// field: Buffer.max_request_bytes
TEST(Buffer, TooLargeIs413) {
  PluginScope plugins;
  run_under_chaos({plugins.http_filter(buffer_of(10))}, [](FilterHarness& harness) {
    harness.send_headers({{":method", "POST"}});
    harness.send_data("12345678");
    harness.send_data("9012", true);
    harness.run();
    EXPECT_EQ(harness.response().header(":status"), "413");
    EXPECT_FALSE(harness.request().has_headers);
    EXPECT_EQ(harness.details(), "request_payload_too_large");
  });
}

TEST(Buffer, LargerThanTheConnectionsBuffer) {
  PluginScope plugins;
  run_under_chaos({plugins.http_filter(buffer_of(1'000'000))},
                  [](FilterHarness& harness) {
                    harness.send_headers({{":method", "POST"}});
                    for (int i = 0; i < 100; ++i) harness.send_data(std::string(1000, 'x'), i == 99);
                    harness.run();
                    EXPECT_EQ(harness.request().body.size(), 100'000u);
                    EXPECT_EQ(harness.request().header("content-length"), "100000");
                  },
                  20, {.buffer_limit = 5000});
}

// field: BufferPerRoute.disabled, BufferPerRoute.buffer
TEST(Buffer, RoutesMayTurnItOffOrChangeTheLimit) {
  PluginScope plugins;
  pb::BufferPerRoute off;
  off.set_disabled(true);
  pb::BufferPerRoute smaller;
  *smaller.mutable_buffer() = buffer_of(2);
  {
    FilterHarness harness({plugins.http_filter(buffer_of(10), "buffer")});
    harness.set_route_config("buffer", plugins.route_config(off));
    harness.send_headers({{":method", "POST"}});
    harness.send_data("more than ten bytes");
    harness.run(10ms);
    EXPECT_EQ(harness.request().body, "more than ten bytes");
    harness.stream().leave_request_unseen();
    EXPECT_TRUE(harness.request_left_unseen());
  }
  FilterHarness harness({plugins.http_filter(buffer_of(10), "buffer")});
  harness.set_route_config("buffer", plugins.route_config(smaller));
  harness.send_headers({{":method", "POST"}});
  harness.send_data("abc", true);
  harness.run(10ms);
  EXPECT_EQ(harness.response().header(":status"), "413");
  EXPECT_EQ(plugins.error_texts(), std::vector<std::string>{});
}

TEST(Buffer, RefusesALimitOfZero) {
  PluginScope plugins;
  plugins.http_filter(pb::Buffer());
  ASSERT_EQ(plugins.error_texts().size(), 1u);
  EXPECT_TRUE(plugins.error_texts()[0].starts_with("max_request_bytes: must be set"));
  plugins.route_config(pb::BufferPerRoute());
  EXPECT_EQ(plugins.error_texts().size(), 2u);
}

}  // namespace
}  // namespace weir::test
