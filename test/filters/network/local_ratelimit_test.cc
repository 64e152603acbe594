#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit.pb.h"
#include "test/support/fake_connection.h"

namespace weir::test {
namespace {

using Proto = envoy::extensions::filters::network::local_ratelimit::v3::LocalRateLimit;
using filter::Action;

class NetworkLocalRatelimitTest : public testing::Test {
 protected:
  filter::ConfigPtr config(const std::string& more = "", int tokens = 2) {
    Proto proto;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        "stat_prefix: 'in' token_bucket { max_tokens: " + std::to_string(tokens) + " fill_interval { seconds: 1 } } " +
            more,
        &proto));
    descriptor_ = PluginScope::registry().network_filter(proto.GetTypeName());
    return make_config(plugins_, descriptor_->make_config, proto);
  }
  std::string come(const filter::ConfigPtr& config, int count) {
    std::string out;
    while (count-- > 0) {
      FakeConnection connection(lane_);
      auto filter = descriptor_->make(config, lane_);
      const bool served = filter->on_new_connection(connection) == Action::kContinue;
      EXPECT_EQ(connection.closed(), !served);
      out += served ? '+' : '-';
    }
    return out;
  }

  PluginScope plugins_;
  TestLane lane_;
  const filter::NetworkFilterDescriptor* descriptor_ = nullptr;
};

// field: network.local_ratelimit.v3.LocalRateLimit.stat_prefix, network.local_ratelimit.v3.LocalRateLimit.token_bucket
TEST_F(NetworkLocalRatelimitTest, ConnectionsTakeTokens) {
  const auto limit = config();
  EXPECT_EQ(come(limit, 4), "++--");
  lane_.advance(1s);
  EXPECT_EQ(come(limit, 2), "+-");
  EXPECT_EQ(plugins_.store().counter("local_rate_limit.in.rate_limited").value(), 3u);
}

// field: network.local_ratelimit.v3.LocalRateLimit.runtime_enabled
TEST_F(NetworkLocalRatelimitTest, SwitchedOff) {
  EXPECT_EQ(come(config("runtime_enabled { default_value { value: false } runtime_key: 'a' }"), 4), "++++");
}

// field: network.local_ratelimit.v3.LocalRateLimit.share_key
TEST_F(NetworkLocalRatelimitTest, BucketsAreSharedByKeyAndNumbers) {
  const auto one = config("share_key: 'k'");
  const auto same = config("share_key: 'k'");
  EXPECT_EQ(come(one, 1), "+");
  EXPECT_EQ(come(same, 2), "+-");
  EXPECT_EQ(come(config("share_key: 'k'", 3), 1), "+");
  EXPECT_EQ(come(config("share_key: 'l'"), 1), "+");
  EXPECT_EQ(come(config(), 1), "+");
}

}  // namespace
}  // namespace weir::test
