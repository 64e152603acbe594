#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "envoy/extensions/filters/listener/local_ratelimit/v3/local_ratelimit.pb.h"
#include "test/support/fake_connection.h"

namespace weir::test {
namespace {

using Proto = envoy::extensions::filters::listener::local_ratelimit::v3::LocalRateLimit;
using Verdict = filter::ListenerFilter::Verdict;

std::string accepted(PluginScope& plugins, TestLane& lane, const std::string& more = "",
                     const std::string& interval = "seconds: 1") {
  Proto proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "stat_prefix: 'in' token_bucket { max_tokens: 2 fill_interval { " + interval + " } } " + more, &proto));
  const auto* descriptor = PluginScope::registry().listener_filter(proto.GetTypeName());
  const auto config = make_config(plugins, descriptor->make_config, proto);
  std::string out;
  for (int i = 0; i < 5; ++i) {
    if (i == 4) lane.advance(1s);
    FakeConnection connection(lane);
    out += descriptor->make(config)->on_accept(connection, connection.facts) == Verdict::kDone ? '+' : '-';
  }
  return out;
}

// field: listener.local_ratelimit.v3.LocalRateLimit.stat_prefix
// field: listener.local_ratelimit.v3.LocalRateLimit.token_bucket
// field: listener.local_ratelimit.v3.LocalRateLimit.runtime_enabled
TEST(ListenerLocalRatelimit, ConnectionsTakeTokens) {
  PluginScope plugins;
  TestLane lane;
  EXPECT_EQ(accepted(plugins, lane), "++--+");
  EXPECT_EQ(plugins.store().counter("listener_local_ratelimit.in.rate_limited").value(), 2u);
  EXPECT_EQ(accepted(plugins, lane, "runtime_enabled { default_value { value: false } runtime_key: 'a' }"), "+++++");
  EXPECT_TRUE(plugins.error_texts().empty());
  accepted(plugins, lane, "", "nanos: 1000");
  EXPECT_EQ(plugins.error_texts().size(), 1u);
}

}  // namespace
}  // namespace weir::test
