// What waits for the first answers of name servers, over reloads; simulated time, a resolver that says what the test
// says, and a listener on a port of the kernel's choice.
#include "core/server/live_configuration.h"

#include <gtest/gtest.h>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "test/core/dns/fake_resolver.h"
#include "test/support/test_lane.h"

namespace weir::server {
namespace {

const std::string kType = "\"@type\": type.googleapis.com/envoy.extensions.filters.";

std::string dns_cluster(const std::string& name) {
  return "{name: " + name + ", type: STRICT_DNS, dns_lookup_family: V4_ONLY, load_assignment: {cluster_name: " + name +
         ", endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: " + name +
         ".example, port_value: 80}}}}]}]}}";
}

std::string static_cluster(const std::string& name, int port) {
  return "{name: " + name + ", load_assignment: {cluster_name: " + name +
         ", endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: " +
         std::to_string(port) + "}}}}]}]}}";
}

class LiveConfigurationTest : public testing::Test {
 protected:
  LiveConfigurationTest() {
    filter::RegistryBuilder builder;
    register_built_in_plugins(builder);
    registry_ = builder.build();
  }
  ~LiveConfigurationTest() override {
    clusters_.stop();
    settle();
  }

  // One listener, whose requests all go to `route`.
  void load(const std::string& clusters, const std::string& route) { load_all(clusters, {{"l", route}}); }
  // `routes`: by listener; a name that begins with x- is that of a header that has the cluster's.
  void load_all(const std::string& clusters, const std::map<std::string, std::string>& routes) {
    std::string listeners;
    for (const auto& [name, route] : routes) {
      listeners += "{name: " + name +
                   ", address: {socket_address: {address: 127.0.0.1, port_value: 0}}, filter_chains: [{filters: "
                   "[{name: hcm, typed_config: {" +
                   kType + "network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: s, route_config: {" +
                   "virtual_hosts: [{name: v, domains: [\"*\"], routes: [{match: {prefix: /}, route: {" +
                   (route.starts_with("x-") ? "cluster_header: " : "cluster: ") + route +
                   "}}]}]}, http_filters: [{name: router, typed_config: {" + kType + "http.router.v3.Router}}]}}]}]}, ";
    }
    options_.config_yaml = "static_resources: {clusters: [" + clusters + "], listeners: [" + listeners + "]}";
    const Update update =
        live_.load(LiveConfiguration::Apply::kYes, LiveConfiguration::Report::kNone, [this] { ++applied_; });
    ASSERT_TRUE(update.ok()) << update.faults();
    settle();
  }
  void answer(const std::string& question, const std::string& ip) {
    resolvers_->answer(question, {ip});
    settle();
  }
  void settle() {
    for (int i = 0; i < 4; ++i) lane_.advance(1ms);
  }
  const event::Versioned* newest(event::SlotKind kind, const std::string& name) {
    return publisher_.newest(publisher_.intern(kind, name));
  }
  bool listening(const std::string& name = "l") { return newest(event::SlotKind::kListener, name) != nullptr; }
  // There is one.
  const event::Versioned* routes() { return publisher_.newest(event::SlotId{event::SlotKind::kRouteTable, 0}); }

  test::TestLane lane_{0};
  stats::Store store_;
  filter::Registry registry_;
  Options options_;
  event::Publisher publisher_{{&lane_.lane()}};
  test::FakeResolvers resolvers_{lane_, store_};
  ClusterManager clusters_{lane_, publisher_, store_, resolvers_, 1};
  InheritedSockets inherited_;
  ListenerManager listeners_{publisher_, store_, 1, inherited_};
  RuntimeManager runtime_{publisher_, store_};
  LiveConfiguration live_{lane_, options_, registry_, store_, publisher_, clusters_, listeners_, runtime_};
  int applied_ = 0;
};

TEST_F(LiveConfigurationTest, ListenersWaitForTheFirstAnswers) {
  load(dns_cluster("a"), "a");
  EXPECT_FALSE(listening());
  answer("a.example/4", "10.0.0.1");
  EXPECT_TRUE(listening());
  EXPECT_EQ(applied_, 1);
}

TEST_F(LiveConfigurationTest, AReloadThatChangesNothingLeavesThemWaiting) {
  load(dns_cluster("a"), "a");
  load(dns_cluster("a"), "a");
  EXPECT_TRUE(live_.read_files_again().ok());
  settle();
  EXPECT_FALSE(listening());
  answer("a.example/4", "10.0.0.1");
  EXPECT_TRUE(listening());
}

TEST_F(LiveConfigurationTest, AReloadMeanwhileWaitsBehindThem) {
  load(dns_cluster("a"), "a");
  load(dns_cluster("a") + ", " + dns_cluster("b"), "b");
  answer("a.example/4", "10.0.0.1");
  EXPECT_FALSE(listening());
  answer("b.example/4", "10.0.0.1");
  EXPECT_TRUE(listening());
  EXPECT_NE(routes(), nullptr);
  EXPECT_EQ(applied_, 2);
}

TEST_F(LiveConfigurationTest, AClusterThatComesBackMeanwhileIsNotRemoved) {
  load(dns_cluster("a"), "a");
  answer("a.example/4", "10.0.0.1");
  load(dns_cluster("b"), "b");  // without a, once b is known
  load(dns_cluster("a") + ", " + dns_cluster("b"), "b");
  answer("b.example/4", "10.0.0.2");
  answer("a.example/4", "10.0.0.3");
  EXPECT_NE(newest(event::SlotKind::kCluster, "a"), nullptr);
  ASSERT_NE(newest(event::SlotKind::kHostSet, "a"), nullptr);
  EXPECT_EQ(clusters_.hosts(clusters_.clusters().at("a"))[0].address().to_string(), "10.0.0.3:80");
}

TEST_F(LiveConfigurationTest, WhatLeadsElsewhereDoesNotWaitForAClusterOfAnEarlierReload) {
  const std::string known = dns_cluster("a") + ", " + dns_cluster("b");
  load(known, "a");
  answer("a.example/4", "10.0.0.1");
  answer("b.example/4", "10.0.0.1");
  load(known + ", " + dns_cluster("slow"), "a");  // no route leads to it yet
  const event::Versioned* before = routes();
  load(known + ", " + dns_cluster("slow"), "b");
  EXPECT_NE(routes(), before);
}

TEST_F(LiveConfigurationTest, AfterTheLimitNobodyWaits) {
  load(dns_cluster("a"), "a");
  lane_.advance(ClusterManager::kLongestWarmingAtStart - 10ms);
  EXPECT_FALSE(listening());
  lane_.advance(10ms);
  settle();
  EXPECT_TRUE(listening());
  // What serves goes on, and longer.
  const event::Versioned* before = routes();
  load(dns_cluster("b"), "b");
  lane_.advance(ClusterManager::kLongestWarming - 10ms);
  EXPECT_EQ(routes(), before);
  lane_.advance(10ms);
  settle();
  EXPECT_NE(routes(), before);
}

// Nor by reloads that come all the time, each with a new cluster that nobody can find.
TEST_F(LiveConfigurationTest, ReloadsDoNotMakeAListenerWaitForLonger) {
  const std::string known = static_cluster("known", 80) + ", ";
  load(known + static_cluster("other", 81), "known");
  const event::Versioned* before = routes();
  load(known + dns_cluster("a"), "a");
  lane_.advance(4s);
  load(known + dns_cluster("b"), "b");
  EXPECT_EQ(routes(), before);
  lane_.advance(ClusterManager::kLongestWarming - 4s);
  load(known + dns_cluster("c"), "c");
  const event::Versioned* after = routes();
  EXPECT_NE(after, before);
  // It waits anew from there.
  load(known + dns_cluster("d"), "d");
  EXPECT_EQ(routes(), after);
}

TEST_F(LiveConfigurationTest, ListenersThatLeadElsewhereDoNotWait) {
  const std::string known = static_cluster("known", 80);
  load_all(known + ", " + dns_cluster("slow"), {{"l", "known"}, {"m", "slow"}});
  EXPECT_TRUE(listening("l"));
  EXPECT_FALSE(listening("m"));
  EXPECT_EQ(applied_, 0);
  // Nor does what a reload adds and changes meanwhile.
  const event::Versioned* before = routes();
  load_all(known + ", " + static_cluster("other", 81) + ", " + dns_cluster("slow"),
           {{"l", "other"}, {"m", "slow"}, {"n", "known"}});
  EXPECT_NE(routes(), before);
  EXPECT_TRUE(listening("n"));
  EXPECT_FALSE(listening("m"));
  answer("slow.example/4", "10.0.0.1");
  EXPECT_TRUE(listening("m"));
  EXPECT_EQ(applied_, 2);
}

TEST_F(LiveConfigurationTest, EachWaitsForItsOwnClusters) {
  load_all(dns_cluster("a") + ", " + dns_cluster("b"), {{"l", "a"}, {"m", "b"}});
  answer("b.example/4", "10.0.0.1");
  EXPECT_FALSE(listening("l"));
  EXPECT_TRUE(listening("m"));
  load_all(static_cluster("b", 80) + ", " + dns_cluster("a"),
           {{"l", "b"}, {"m", "b"}});  // it does not lead there any more
  EXPECT_TRUE(listening("l"));
  EXPECT_EQ(applied_, 2);
}

TEST_F(LiveConfigurationTest, WhoseRequestsNameClustersWaitsForAll) {
  load_all(static_cluster("known", 80) + ", " + dns_cluster("slow"), {{"l", "x-cluster"}, {"m", "known"}});
  EXPECT_FALSE(listening("l"));
  EXPECT_TRUE(listening("m"));
  answer("slow.example/4", "10.0.0.1");
  EXPECT_TRUE(listening("l"));
}

TEST_F(LiveConfigurationTest, WhatStandsForOthersWaitsForThem) {
  const std::string both =
      "{name: both, lb_policy: CLUSTER_PROVIDED, cluster_type: {name: aggregate, typed_config: {\"@type\": "
      "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [known, slow]}}}";
  load(static_cluster("known", 80) + ", " + dns_cluster("slow") + ", " + both, "both");
  EXPECT_FALSE(listening());
  answer("slow.example/4", "10.0.0.1");
  EXPECT_TRUE(listening());
}

TEST_F(LiveConfigurationTest, WhatServesThroughAnotherClusterUntilNamesAreKnownKeepsIt) {
  using enum event::SlotKind;
  const auto group = [](const std::string& member) {
    return "{name: group, lb_policy: CLUSTER_PROVIDED, cluster_type: {name: aggregate, typed_config: {\"@type\": "
           "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [" +
           member + "]}}}";
  };
  load(static_cluster("first", 80) + ", " + group("first"), "group");
  const event::Versioned* before = newest(kCluster, "group");
  load(dns_cluster("second") + ", " + group("second"), "group");
  lane_.advance(3s);
  settle();
  EXPECT_EQ(newest(kCluster, "group"), before);
  EXPECT_NE(newest(kHostSet, "first"), nullptr);
  answer("second.example/4", "10.0.0.1");
  EXPECT_NE(newest(kCluster, "group"), before);
  lane_.advance(1s);
  settle();
  EXPECT_EQ(newest(kHostSet, "first"), nullptr);
  EXPECT_EQ(newest(kCluster, "first"), nullptr);
  // Also if it is to have hosts of its own.
  load(dns_cluster("group"), "group");
  lane_.advance(3s);
  settle();
  EXPECT_NE(newest(kHostSet, "second"), nullptr);
  answer("group.example/4", "10.0.0.2");
  lane_.advance(1s);
  settle();
  EXPECT_EQ(newest(kHostSet, "second"), nullptr);
}

TEST_F(LiveConfigurationTest, AListenerThatGoesAndComesMeanwhileIsThereInTheEnd) {
  const std::string clusters = static_cluster("known", 80) + ", " + dns_cluster("slow");
  load_all(clusters, {{"l", "known"}, {"m", "slow"}});
  load_all(clusters, {{"m", "slow"}});
  EXPECT_FALSE(listening("l"));  // at once: nobody takes its address over
  load_all(clusters, {{"l", "known"}, {"m", "slow"}});
  EXPECT_TRUE(listening("l"));
  EXPECT_FALSE(listening("m"));
  load_all(clusters, {{"l", "known"}, {"m", "known"}});
  EXPECT_TRUE(listening("l"));
  EXPECT_TRUE(listening("m"));
  load_all(clusters, {{"l", "known"}});
  EXPECT_FALSE(listening("m"));
}

TEST_F(LiveConfigurationTest, AListenerThatWaitsAndGoesNeverComes) {
  const std::string clusters = static_cluster("known", 80) + ", " + dns_cluster("slow");
  load_all(clusters, {{"l", "known"}, {"m", "slow"}});
  load_all(clusters, {{"l", "known"}});
  settle();
  EXPECT_FALSE(listening("m"));
  answer("slow.example/4", "10.0.0.1");
  EXPECT_FALSE(listening("m"));
  EXPECT_TRUE(listening("l"));
  EXPECT_EQ(applied_, 2);
}

TEST_F(LiveConfigurationTest, NobodyGoesAheadWhileAnotherProcessServes) {
  live_.set_taking_over();
  load_all(static_cluster("known", 80) + ", " + dns_cluster("slow"), {{"l", "known"}, {"m", "slow"}});
  lane_.advance(ClusterManager::kLongestWarmingAtStart);
  EXPECT_FALSE(listening("l"));
  EXPECT_FALSE(listening("m"));
  answer("slow.example/4", "10.0.0.1");
  EXPECT_TRUE(listening("l"));
  EXPECT_TRUE(listening("m"));
  // It alone does now.
  load_all(static_cluster("known", 80) + ", " + dns_cluster("slow") + ", " + dns_cluster("new"),
           {{"l", "known"}, {"m", "new"}, {"n", "known"}});
  EXPECT_TRUE(listening("n"));
}

TEST_F(LiveConfigurationTest, WhatIsDiscardedNeverComes) {
  load(dns_cluster("a"), "a");
  live_.discard();
  answer("a.example/4", "10.0.0.1");
  lane_.advance(1h);
  settle();
  EXPECT_FALSE(listening());
  EXPECT_EQ(applied_, 0);
}

TEST_F(LiveConfigurationTest, WhatStaysAsItIsKeepsItsVersions) {
  using enum event::SlotKind;
  const std::string a = static_cluster("a", 80);
  load(a + ", " + static_cluster("b", 81) + ", " + static_cluster("c", 82), "a");
  const auto all = [&](const std::string& name) {
    return std::vector<const event::Versioned*>{newest(kCluster, name), newest(kHostSet, name)};
  };
  const auto port_of = [&](const std::string& name) {
    return clusters_.hosts(clusters_.clusters().at(name))[0].address().port();
  };
  const auto of_a = all("a"), of_b = all("b"), of_c = all("c");
  const event::Versioned* table = routes();
  const event::Versioned* listener = newest(kListener, "l");
  const std::string version = live_.version();

  // One endpoint, and another order.
  load(static_cluster("c", 82) + ", " + a + ", " + static_cluster("b", 91), "a");
  EXPECT_EQ(all("a"), of_a);
  EXPECT_EQ(all("c"), of_c);
  EXPECT_EQ(newest(kCluster, "b"), of_b[0]);
  EXPECT_NE(newest(kHostSet, "b"), of_b[1]);
  EXPECT_EQ(port_of("b"), 91);
  EXPECT_EQ(routes(), table);
  EXPECT_EQ(newest(kListener, "l"), listener);
  EXPECT_NE(live_.version(), version);

  // One goes, one comes.
  load(a + ", " + static_cluster("d", 84) + ", " + static_cluster("c", 82), "a");
  EXPECT_EQ(all("a"), of_a);
  EXPECT_EQ(all("c"), of_c);
  EXPECT_EQ(newest(kCluster, "b"), nullptr);
  EXPECT_EQ(newest(kHostSet, "b"), nullptr);
  EXPECT_FALSE(clusters_.clusters().contains("b"));
  EXPECT_EQ(port_of("d"), 84);

  // Back again.
  load(a + ", " + static_cluster("b", 81) + ", " + static_cluster("c", 82), "a");
  EXPECT_EQ(all("a"), of_a);
  EXPECT_EQ(port_of("b"), 81);
  EXPECT_EQ(live_.version(), version);
  EXPECT_EQ(clusters_.clusters().size(), 3u);
}

}  // namespace
}  // namespace weir::server
