#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "envoy/extensions/filters/network/connection_limit/v3/connection_limit.pb.h"
#include "test/support/fake_connection.h"

namespace weir::test {
namespace {

using Proto = envoy::extensions::filters::network::connection_limit::v3::ConnectionLimit;
using filter::Action;

class ConnectionLimitTest : public testing::Test {
 protected:
  void use(const std::string& more) {
    Proto proto;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString("stat_prefix: 'in' " + more, &proto));
    descriptor_ = PluginScope::registry().network_filter(proto.GetTypeName());
    ASSERT_NE(descriptor_, nullptr);
    config_ = make_config(plugins_, descriptor_->make_config, proto);
  }
  struct Served {
    std::unique_ptr<FakeConnection> connection;
    std::unique_ptr<filter::NetworkFilter> filter;
    Action action;
  };
  Served come() {
    Served one{std::make_unique<FakeConnection>(lane_), descriptor_->make(config_, lane_), Action::kContinue};
    one.action = one.filter->on_new_connection(*one.connection);
    return one;
  }
  void go(Served& one) { one.filter->on_closed(*one.connection, net::CloseReason::kRemote); }
  uint64_t limited() { return plugins_.store().counter("connection_limit.in.limited_connections").value(); }

  PluginScope plugins_;
  TestLane lane_;
  const filter::NetworkFilterDescriptor* descriptor_ = nullptr;
  filter::ConfigPtr config_;
};

// field: ConnectionLimit.stat_prefix, ConnectionLimit.max_connections
TEST_F(ConnectionLimitTest, SoManyAtTheSameTime) {
  use("max_connections { value: 2 }");
  Served a = come(), b = come(), c = come();
  EXPECT_EQ(a.action, Action::kContinue);
  EXPECT_EQ(b.action, Action::kContinue);
  EXPECT_EQ(c.action, Action::kDone);
  EXPECT_TRUE(c.connection->closed());
  EXPECT_EQ(limited(), 1u);
  go(c);  // was never counted
  EXPECT_EQ(come().action, Action::kDone);
  go(a);
  Served d = come();
  EXPECT_EQ(d.action, Action::kContinue);
  Slices none;
  EXPECT_EQ(d.filter->on_data(*d.connection, none, false), Action::kContinue);
  go(b);
  go(d);
}

// field: ConnectionLimit.delay
TEST_F(ConnectionLimitTest, RefusedOnesWait) {
  use("max_connections { value: 1 } delay { seconds: 3 }");
  Served a = come(), b = come(), c = come();
  EXPECT_EQ(b.action, Action::kDone);
  Slices none;
  EXPECT_EQ(b.filter->on_data(*b.connection, none, false), Action::kDone);
  lane_.advance(2999ms);
  EXPECT_FALSE(b.connection->closed());
  go(c);  // has gone by itself: its timer is over
  lane_.advance(1ms);
  EXPECT_TRUE(b.connection->closed());
  EXPECT_FALSE(c.connection->closed());
  Served d = come();
  d.filter->on_drain(*d.connection);
  EXPECT_TRUE(d.connection->closed());
  go(b), go(d), go(a);
}

// field: ConnectionLimit.runtime_enabled
TEST_F(ConnectionLimitTest, SwitchedOff) {
  use("max_connections { value: 1 } runtime_enabled { default_value { value: false } runtime_key: 'a' }");
  Served a = come(), b = come();
  EXPECT_EQ(b.action, Action::kContinue);
  go(a), go(b);
  EXPECT_EQ(limited(), 0u);
}

}  // namespace
}  // namespace weir::test
