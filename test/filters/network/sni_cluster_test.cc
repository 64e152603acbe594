#include <gtest/gtest.h>

#include "envoy/extensions/filters/network/sni_cluster/v3/sni_cluster.pb.h"
#include "test/support/fake_connection.h"

namespace weir::test {
namespace {

// The cluster that tcp_proxy would be told; empty: none.
std::string cluster_for(const std::string& server_name) {
  PluginScope plugins;
  TestLane lane;
  FakeConnection connection(lane);
  connection.facts.server_name = server_name;
  const envoy::extensions::filters::network::sni_cluster::v3::SniCluster proto;
  const auto* descriptor = PluginScope::registry().network_filter(proto.GetTypeName());
  const auto config = make_config(plugins, descriptor->make_config, proto);
  EXPECT_EQ(descriptor->make(config, lane)->on_new_connection(connection), filter::Action::kContinue);
  const stream::FilterState* state = connection.info().filter_state;
  if (state == nullptr) return "";
  const auto* entry = state->find(stream::FilterStateName("envoy.tcp_proxy.cluster"));
  return entry != nullptr ? std::string(entry->value.string()) : "";
}

TEST(SniCluster, TheServerNameIsTheCluster) {
  EXPECT_EQ(cluster_for("db.example"), "db.example");
  EXPECT_EQ(cluster_for(""), "");
}

}  // namespace
}  // namespace weir::test
