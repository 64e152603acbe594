#include "filters/listener/original_dst/original_dst.h"

#include <gtest/gtest.h>

#include "envoy/extensions/filters/listener/original_dst/v3/original_dst.pb.h"
#include "test/support/fake_connection.h"

namespace weir::test {
namespace {

using filters::original_dst::Filter;
using Verdict = filter::ListenerFilter::Verdict;

TEST(OriginalDst, ItIsTheLocalAddress) {
  TestLane lane;
  FakeConnection connection(lane);
  Filter filter([](int, const net::Address&) { return *net::Address::from_ip("198.51.100.9", 8443); });
  EXPECT_EQ(filter.on_accept(connection, connection.facts), Verdict::kDone);
  EXPECT_EQ(connection.facts.local.to_string(), "198.51.100.9:8443");
  EXPECT_TRUE(connection.facts.local_restored);
}

TEST(OriginalDst, NothingChangesWithoutRedirection) {
  TestLane lane;
  for (auto reader :
       {+[](int, const net::Address&) { return net::Address(); }, +[](int, const net::Address& own) { return own; }}) {
    FakeConnection connection(lane);
    Filter filter(reader);
    EXPECT_EQ(filter.on_accept(connection, connection.facts), Verdict::kDone);
    EXPECT_EQ(connection.facts.local.to_string(), "10.0.0.1:443");
    EXPECT_FALSE(connection.facts.local_restored);
  }
}

// The kernel has nothing to say about a Unix socket, whatever it is asked.
TEST(OriginalDst, TheRealReader) {
  TestLane lane;
  FakeConnection connection(lane);
  const envoy::extensions::filters::listener::original_dst::v3::OriginalDst proto;
  const auto* descriptor = PluginScope::registry().listener_filter(proto.GetTypeName());
  ASSERT_NE(descriptor, nullptr);
  PluginScope plugins;
  auto filter = descriptor->make(make_config(plugins, descriptor->make_config, proto));
  EXPECT_EQ(filter->on_accept(connection, connection.facts), Verdict::kDone);
  EXPECT_FALSE(connection.facts.local_restored);
  EXPECT_TRUE(filters::original_dst::read_original_destination(-1, *net::Address::from_unix("@a")).empty());
}

}  // namespace
}  // namespace weir::test
