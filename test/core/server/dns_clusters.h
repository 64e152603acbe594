// Clusters whose members come from name servers: from the configuration to published host sets, in simulated time, with
// a resolver that says what the test says.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "core/server/cluster_manager.h"
#include "core/server/configuration.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "test/core/dns/fake_resolver.h"
#include "test/support/test_lane.h"

namespace weir::server {

using Texts = std::vector<std::string>;

inline std::string named(const std::string& name, int port = 80, const std::string& more = "") {
  return "{endpoint: {" + more + "address: {socket_address: {address: " + name +
         ", port_value: " + std::to_string(port) + "}}}}";
}
inline std::string dns_cluster(const std::string& name, const std::string& endpoints, const std::string& more = "",
                               const std::string& type = "type: STRICT_DNS") {
  return "{name: " + name + ", " + type + ", " + more + "load_assignment: {cluster_name: " + name +
         ", endpoints: [{lb_endpoints: [" + endpoints + "]}]}}";
}
inline std::string fixed(const std::string& name, const std::string& ip) {
  return dns_cluster(name, named(ip), "", "type: STATIC");
}
inline std::string aggregate(const std::string& name, const std::string& members) {
  return "{name: " + name +
         ", lb_policy: CLUSTER_PROVIDED, cluster_type: {name: a, typed_config: {\"@type\": "
         "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [" +
         members + "]}}}";
}

class DnsClustersTest : public testing::Test {
 protected:
  DnsClustersTest() {
    filter::RegistryBuilder builder;
    register_built_in_plugins(builder);
    registry_ = builder.build();
  }
  ~DnsClustersTest() override {
    clusters_.stop();
    lane_.turns(2);  // what was replaced comes back
  }

  // What is said about clusters, a line each; what was said of them before goes on.
  std::string read(const std::string& clusters) {
    Options options;
    options.config_yaml = "static_resources: {clusters: [" + clusters + "]}";
    config::Diagnostics diagnostics;
    envoy::config::bootstrap::v3::Bootstrap bootstrap;
    RouteSlots routes(publisher_);
    PublisherSlots slots(publisher_, routes);
    configuration_ = load_configuration(options, registry_, store_, slots, bootstrap, diagnostics);
    std::string said;
    for (const auto& item : diagnostics.items()) {
      said += item.severity == config::Severity::kError ? "error: " : "warning: ";
      said += item.path + ": " + item.message + "\n";
    }
    return said;
  }
  void apply(const std::string& clusters) {
    ASSERT_EQ(read(clusters), "");
    std::vector<std::string> gone;
    for (const auto& [name, entry] : clusters_.clusters()) {
      size_t near = 0;
      if (configuration_.cluster_facts->find(name, near) == ClusterTable::kNone) gone.push_back(name);
    }
    event::Publisher::Batch batch, last;
    clusters_.apply(std::move(configuration_.clusters), gone, batch, last);
    batch.append(std::move(last));
    publisher_.publish(std::move(batch));
    lane_.turn();
  }
  const config::DnsSpec& spec(const std::string& more, const std::string& type = "type: STRICT_DNS") {
    EXPECT_EQ(read(dns_cluster("a", named("a.example"), more, type)), "");
    return *configuration_.clusters.at(0).dns;
  }
  const lb::HostSet* set(const std::string& cluster) {
    return static_cast<const lb::HostSet*>(
        publisher_.newest(event::SlotId{event::SlotKind::kHostSet, clusters_.clusters().at(cluster).slot.index}));
  }
  const upstream::Cluster* newest(const std::string& cluster) {
    return static_cast<const upstream::Cluster*>(publisher_.newest(clusters_.clusters().at(cluster).slot));
  }
  // Those that it stands for, as published.
  Texts members(const std::string& cluster) {
    Texts out;
    for (const event::SlotId member : newest(cluster)->spec.members) out.emplace_back(publisher_.name_of(member));
    return out;
  }
  // Where connections go, in order.
  Texts hosts(const std::string& cluster) {
    Texts out;
    for (const lb::HostEntry& entry : set(cluster)->hosts()) out.push_back(entry.address().to_string());
    return out;
  }
  void answer(const std::string& question, const Texts& ips, std::optional<Duration> ttl = {}) {
    resolvers_->answer(question, ips, ttl);
    settle();
  }
  void fail(const std::string& question) {
    resolvers_->fail(question);
    settle();
  }
  void settle() {
    for (int i = 0; i < 3; ++i) lane_.advance(1ms);
  }
  uint64_t stat(const std::string& name) { return store_.counter("cluster." + name).value(); }
  upstream::ClusterStats& stats(const std::string& cluster) { return *clusters_.clusters().at(cluster).stats; }

  test::TestLane lane_{0};
  stats::Store store_;
  filter::Registry registry_;
  event::Publisher publisher_{{&lane_.lane()}};
  test::FakeResolvers resolvers_{lane_, store_};
  ClusterManager clusters_{lane_, publisher_, store_, resolvers_, 1, 7};
  Configuration configuration_;
};

inline const std::string kV4 = "dns_lookup_family: V4_ONLY, ";

}  // namespace weir::server
