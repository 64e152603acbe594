// Clusters whose endpoints are names.
#include "test/core/server/dns_clusters.h"

namespace weir::server {
namespace {

TEST_F(DnsClustersTest, EveryAddressOfEveryNameIsAHost) {
  apply(dns_cluster("a", named("a.example", 80) + ", " + named("b.example", 81, "hostname: inside.example, "), kV4));
  EXPECT_EQ(hosts("a"), Texts{});
  answer("a.example/4", {"10.0.0.2", "10.0.0.1"});
  EXPECT_EQ(hosts("a"), (Texts{"10.0.0.1:80", "10.0.0.2:80"}));
  answer("b.example/4", {"10.0.0.3"});
  EXPECT_EQ(hosts("a"), (Texts{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:81"}));
  EXPECT_EQ(set("a")->hosts()[0].host->hostname(), "a.example");
  EXPECT_EQ(set("a")->hosts()[2].host->hostname(), "inside.example");
  EXPECT_EQ(stats("a").update_attempt.value(), 2u);
  EXPECT_EQ(stats("a").update_success.value(), 2u);
  EXPECT_EQ(stats("a").membership_change.value(), 2u);
  EXPECT_EQ(stats("a").membership_total.value(), 3);
}

TEST_F(DnsClustersTest, WhatTheEndpointHasItsAddressesHave) {
  apply(
      "{name: a, type: STRICT_DNS, dns_lookup_family: V4_ONLY, load_assignment: {cluster_name: a, endpoints: ["
      "{locality: {zone: z1}, lb_endpoints: [{load_balancing_weight: 7, endpoint: {address: {socket_address: "
      "{address: a.example, port_value: 80}}}}]}, {priority: 1, lb_endpoints: [{health_status: DRAINING, endpoint: "
      "{address: {socket_address: {address: b.example, port_value: 80}}}}]}]}}");
  answer("a.example/4", {"10.0.0.1", "10.0.0.2"});
  answer("b.example/4", {"10.0.0.3"});
  const auto entries = set("a")->hosts();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[1].weight, 7u);
  EXPECT_EQ(entries[1].locality().zone, "z1");
  EXPECT_EQ(entries[2].priority, 1u);
  EXPECT_EQ(entries[2].health, lb::Health::kDraining);
}

TEST_F(DnsClustersTest, HostsThatStayAreTheSame) {
  apply(dns_cluster("a", named("a.example"), kV4));
  answer("a.example/4", {"10.0.0.1", "10.0.0.2"});
  const lb::Host* stays = set("a")->hosts()[1].host.get();
  lane_.advance(5s);
  answer("a.example/4", {"10.0.0.2", "10.0.0.3"});
  EXPECT_EQ(hosts("a"), (Texts{"10.0.0.2:80", "10.0.0.3:80"}));
  EXPECT_EQ(set("a")->hosts()[0].host.get(), stays);
  const lb::HostSet* before = set("a");
  lane_.advance(5s);
  answer("a.example/4", {"10.0.0.3", "10.0.0.2"});
  EXPECT_EQ(set("a"), before);  // nothing changed, nothing is published
  EXPECT_EQ(stats("a").update_no_rebuild.value(), 1u);
  EXPECT_EQ(stats("a").membership_change.value(), 2u);
}

TEST_F(DnsClustersTest, FailuresKeepTheHostsAndAnEmptyAnswerEmpties) {
  apply(dns_cluster("a", named("a.example"), kV4));
  answer("a.example/4", {"10.0.0.1"});
  lane_.advance(5s);
  fail("a.example/4");
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"});
  EXPECT_EQ(stats("a").update_failure.value(), 1u);
  lane_.advance(5s);
  answer("a.example/4", {});
  EXPECT_EQ(hosts("a"), Texts{});
  EXPECT_EQ(stats("a").update_empty.value(), 1u);
  EXPECT_EQ(stats("a").update_success.value(), 2u);
  lane_.advance(5s);
  answer("a.example/4", {"10.0.0.1"});
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"});
}

TEST_F(DnsClustersTest, ALogicalHostIsOneWhoseAddressMoves) {
  apply(dns_cluster("a", named("a.example"), kV4, "type: LOGICAL_DNS"));
  answer("a.example/4", {"10.0.0.2", "10.0.0.1"});
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.2:80"});
  const lb::Host* host = set("a")->hosts()[0].host.get();
  lane_.advance(5s);
  answer("a.example/4", {"10.0.0.1", "10.0.0.2"});
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"});
  EXPECT_EQ(set("a")->hosts()[0].host.get(), host);
  EXPECT_EQ(stats("a").membership_change.value(), 1u);
  lane_.advance(5s);
  answer("a.example/4", {});
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"});
  lane_.advance(5s);
  fail("a.example/4");
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"});
}

TEST_F(DnsClustersTest, AddressesOfALogicalHostInTheOrderInWhichTheyAreTried) {
  const auto in_turn = [](const Texts& ips, const net::AddressOrder& order = {}) {
    std::vector<net::Address> addresses;
    for (const std::string& ip : ips) addresses.push_back(*net::Address::from_ip(ip, 0));
    Texts out;
    for (const net::Address& address : net::in_turn(addresses, order, kLogicalAddresses))
      out.push_back(address.ip_to_string());
    return out;
  };
  EXPECT_EQ(in_turn({}), Texts{});
  EXPECT_EQ(in_turn({"10.0.0.1", "10.0.0.2"}), (Texts{"10.0.0.1", "10.0.0.2"}));
  EXPECT_EQ(in_turn({"::1", "::2", "::3", "10.0.0.1", "10.0.0.2"}),
            (Texts{"::1", "10.0.0.1", "::2", "10.0.0.2", "::3"}));
  EXPECT_EQ(in_turn({"10.0.0.1", "::1", "::2"}), (Texts{"10.0.0.1", "::1", "::2"}));
  EXPECT_EQ(in_turn(Texts(20, "10.0.0.1")).size(), kLogicalAddresses);
  const Texts mixed = {"10.0.0.1", "10.0.0.2", "::1", "10.0.0.3", "::2", "::3"};
  EXPECT_EQ(in_turn(mixed, {net::Family::kIpv6, 1}), (Texts{"::1", "10.0.0.1", "::2", "10.0.0.2", "::3", "10.0.0.3"}));
  EXPECT_EQ(in_turn(mixed, {net::Family::kIpv6, 2}), (Texts{"::1", "::2", "10.0.0.1", "::3", "10.0.0.2", "10.0.0.3"}));
  EXPECT_EQ(in_turn(mixed, {net::Family::kNone, 2}), (Texts{"10.0.0.1", "10.0.0.2", "::1", "10.0.0.3", "::2", "::3"}));
  EXPECT_EQ(in_turn({"10.0.0.1"}, {net::Family::kIpv6, UINT32_MAX}), Texts{"10.0.0.1"});

  apply(dns_cluster("a", named("a.example"), "dns_lookup_family: ALL, ", "type: LOGICAL_DNS"));
  answer("a.example/4", {"10.0.0.1", "10.0.0.2"});
  answer("a.example/6", {"2001:db8::1"});
  EXPECT_EQ(hosts("a"), Texts{"[2001:db8::1]:80"});
  ASSERT_EQ(set("a")->hosts()[0].addresses->size(), 3u);
  EXPECT_EQ((*set("a")->hosts()[0].addresses)[1].to_string(), "10.0.0.1:80");
}

// field: DnsCluster.all_addresses_in_single_endpoint, Cluster.cluster_type, CustomClusterType.typed_config
TEST_F(DnsClustersTest, DnsClusterIsStrictOrLogical) {
  const std::string type =
      "cluster_type: {name: dns, typed_config: {\"@type\": "
      "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster, "
      "dns_lookup_family: V4_ONLY";
  apply(dns_cluster("a", named("a.example"), "", type + "}}") + ", " +
        dns_cluster("b", named("b.example"), "", type + ", all_addresses_in_single_endpoint: true}}"));
  answer("a.example/4", {"10.0.0.1", "10.0.0.2"});
  answer("b.example/4", {"10.0.0.1", "10.0.0.2"});
  EXPECT_EQ(hosts("a"), (Texts{"10.0.0.1:80", "10.0.0.2:80"}));
  EXPECT_EQ(hosts("b"), Texts{"10.0.0.1:80"});
}

TEST_F(DnsClustersTest, ClustersOfOneNameShareAQuestion) {
  apply(dns_cluster("a", named("a.example"), kV4) + ", " + dns_cluster("b", named("a.example", 81), kV4));
  EXPECT_EQ(resolvers_->asked(), Texts{"a.example/4"});
  answer("a.example/4", {"10.0.0.1"});
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"});
  EXPECT_EQ(hosts("b"), Texts{"10.0.0.1:81"});
}

TEST_F(DnsClustersTest, AReloadThatChangesNothingKeepsAnswersAndTimers) {
  const std::string clusters = dns_cluster("a", named("a.example"), kV4);
  apply(clusters);
  answer("a.example/4", {"10.0.0.1"});
  lane_.advance(3s);
  const lb::HostSet* before = set("a");
  apply(clusters + ", " + dns_cluster("b", named("192.0.2.1"), kV4));
  EXPECT_EQ(set("a"), before);
  EXPECT_EQ(resolvers_->asked(), Texts{});
  lane_.advance(2s);
  EXPECT_EQ(resolvers_->asked(), Texts{"a.example/4"});  // five seconds after its answer, as if nothing had been
}

TEST_F(DnsClustersTest, AChangedClusterKeepsItsMembersUntilTheNewOnesAreKnown) {
  apply(dns_cluster("a", named("a.example"), kV4));
  answer("a.example/4", {"10.0.0.1"});
  apply(dns_cluster("a", named("a.example") + ", " + named("b.example"), kV4));
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"});
  answer("a.example/4", {"10.0.0.2"});
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"});
  answer("b.example/4", {"10.0.0.3"});
  EXPECT_EQ(hosts("a"), (Texts{"10.0.0.2:80", "10.0.0.3:80"}));
  // What is known of the same names is taken over.
  apply(dns_cluster("a", named("a.example", 8080), kV4));
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.2:8080"});
  // And of addresses, too.
  apply("{name: a, load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [" + named("192.0.2.1") + "]}]}}");
  EXPECT_EQ(hosts("a"), Texts{"192.0.2.1:80"});
  apply(dns_cluster("a", named("c.example"), kV4));
  EXPECT_EQ(hosts("a"), Texts{"192.0.2.1:80"});
  fail("c.example/4");
  EXPECT_EQ(hosts("a"), Texts{});
}

TEST_F(DnsClustersTest, NewSettingsComeWithTheNewMembers) {
  const std::string soon = "connect_timeout: 3s, ", late = "connect_timeout: 9s, ";
  const auto timeout = [&] { return newest("a")->spec.connect_timeout; };
  const auto fixed = [](const std::string& ip, const std::string& more) {
    return "{name: a, " + more + "load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [" + named(ip) +
           "]}]}}";
  };
  apply(fixed("192.0.2.1", soon));
  EXPECT_EQ(timeout(), 3s);
  EXPECT_EQ(clusters_.with_members("a"), nullptr);
  // The old members are not connected to by what is said of the new ones.
  apply(dns_cluster("a", named("a.example"), kV4 + late));
  EXPECT_EQ(timeout(), 3s);
  EXPECT_NE(clusters_.with_members("a"), nullptr);
  answer("a.example/4", {"10.0.0.1"});
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"});
  EXPECT_EQ(timeout(), 9s);
  EXPECT_EQ(clusters_.with_members("a"), nullptr);
  // Settings alone do not wait, but for members that are waited for already.
  apply(dns_cluster("a", named("a.example"), kV4 + soon));
  EXPECT_EQ(timeout(), 3s);
  apply(dns_cluster("a", named("b.example"), kV4 + soon));
  apply(dns_cluster("a", named("b.example"), kV4 + late));
  EXPECT_EQ(timeout(), 3s);
  lane_.advance(ClusterManager::kLongestWarming);
  lane_.turn();
  EXPECT_EQ(timeout(), 9s);
  // Taken back meanwhile.
  apply(fixed("192.0.2.1", soon));
  apply(dns_cluster("a", named("c.example"), kV4 + late));
  apply(fixed("192.0.2.1", soon));
  EXPECT_EQ(timeout(), 3s);
  answer("c.example/4", {"10.0.0.1"});
  EXPECT_EQ(timeout(), 3s);
  EXPECT_EQ(hosts("a"), Texts{"192.0.2.1:80"});
}

// What stands for others, and what finds its hosts when requests come, has none itself.
TEST_F(DnsClustersTest, AnAggregateServesUntilWhatTakesItsPlaceIsKnown) {
  apply(fixed("m", "192.0.2.1") + ", " + aggregate("inner", "m") + ", " + aggregate("a", "inner"));
  EXPECT_FALSE(clusters_.leads_to_others());
  apply(fixed("m", "192.0.2.1") + ", " + aggregate("inner", "m") + ", " + dns_cluster("a", named("a.example"), kV4));
  EXPECT_EQ(members("a"), Texts{"inner"});
  EXPECT_NE(clusters_.with_members("a"), nullptr);
  EXPECT_TRUE(clusters_.leads_to_others());
  EXPECT_FALSE(clusters_.warming());
  answer("a.example/4", {"10.0.0.1"});
  EXPECT_EQ(members("a"), Texts{});
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"});
  EXPECT_FALSE(clusters_.leads_to_others());
  // There is nothing to keep where nobody serves.
  apply(aggregate("a", "empty") + ", " + dns_cluster("empty", named("none.example"), kV4));
  EXPECT_EQ(members("a"), Texts{});
  fail("none.example/4");
  EXPECT_EQ(members("a"), Texts{"empty"});
  apply(dns_cluster("a", named("b.example"), kV4));
  EXPECT_EQ(members("a"), Texts{});
  EXPECT_TRUE(clusters_.warming("a"));
}

TEST_F(DnsClustersTest, AnAggregateChangesWhenItsNewMembersAreKnown) {
  const std::string one = fixed("one", "192.0.2.1"), two = dns_cluster("two", named("two.example"), kV4);
  apply(one + ", " + aggregate("a", "one"));
  EXPECT_EQ(members("a"), Texts{"one"});
  apply(one + ", " + two + ", " + aggregate("a", "two"));
  EXPECT_EQ(members("a"), Texts{"one"});
  EXPECT_TRUE(clusters_.leads_to_others());
  EXPECT_NE(clusters_.with_members("a"), nullptr);
  EXPECT_TRUE(clusters_.warming("two")) << "for a listener that begins to lead there";
  apply(one + ", " + two + ", " + aggregate("a", "two"));  // nobody waits for `two` itself then
  EXPECT_FALSE(clusters_.warming());
  settle();
  EXPECT_EQ(members("a"), Texts{"one"});
  answer("two.example/4", {"10.0.0.1"});
  EXPECT_EQ(members("a"), Texts{"two"});
  EXPECT_EQ(clusters_.with_members("a"), nullptr);
  EXPECT_FALSE(clusters_.leads_to_others());
  // Through others, and not for ever.
  const std::string slow = dns_cluster("slow", named("slow.example"), kV4 + "wait_for_warm_on_init: false, ");
  apply(aggregate("a", "two, inner") + ", " + aggregate("inner", "slow") + ", " + two + ", " + slow);
  EXPECT_EQ(members("inner"), Texts{"slow"}) << "it is new";
  lane_.advance(ClusterManager::kLongestWarming - 1ms);
  EXPECT_EQ(members("a"), Texts{"two"});
  lane_.advance(1ms);
  EXPECT_EQ(members("a"), (Texts{"two", "inner"}));
  // Nor for what it does not stand for any more.
  apply(two + ", " + aggregate("a", "two"));
  apply(two + ", " + dns_cluster("other", named("other.example"), kV4) + ", " + aggregate("a", "other"));
  EXPECT_EQ(members("a"), Texts{"two"});
  apply(one + ", " + two + ", " + aggregate("a", "one"));
  EXPECT_EQ(members("a"), Texts{"one"});
}

TEST_F(DnsClustersTest, HostsServeUntilWhatTheirClusterIsToStandForIsKnown) {
  apply(fixed("a", "192.0.2.1"));
  apply(dns_cluster("a", named("a.example"), kV4));  // which never comes
  const std::string m = dns_cluster("m", named("m.example"), kV4);
  apply(m + ", " + aggregate("a", "m"));
  EXPECT_EQ(hosts("a"), Texts{"192.0.2.1:80"});
  EXPECT_EQ(members("a"), Texts{});
  EXPECT_FALSE(clusters_.leads_to_others());
  answer("a.example/4", {"10.0.0.1"});
  EXPECT_EQ(hosts("a"), Texts{"192.0.2.1:80"});
  answer("m.example/4", {"10.0.0.2"});
  EXPECT_EQ(hosts("a"), Texts{});
  EXPECT_EQ(members("a"), Texts{"m"});
  apply(dns_cluster("a", named("b.example"), kV4) + ", " + m);
  apply(fixed("a", "192.0.2.2"));
  EXPECT_EQ(hosts("a"), Texts{"192.0.2.2:80"});
  EXPECT_EQ(members("a"), Texts{});
}

TEST_F(DnsClustersTest, AClusterThatFindsHostsServesUntilNamesAreKnown) {
  const std::string original = "{name: a, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED}";
  const auto finds = [&] { return newest("a")->spec.original != nullptr; };
  apply(original);
  EXPECT_TRUE(finds());
  apply(dns_cluster("a", named("a.example"), kV4));
  EXPECT_TRUE(finds());
  EXPECT_TRUE(clusters_.warming("a")) << "a new listener need not say where connections were going";
  answer("a.example/4", {"10.0.0.1"});
  EXPECT_FALSE(finds());
  EXPECT_FALSE(clusters_.warming("a"));
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"});
  apply(original);
  EXPECT_TRUE(finds());
  apply(dns_cluster("a", named("b.example"), kV4));
  lane_.advance(ClusterManager::kLongestWarming);
  lane_.turn();
  EXPECT_FALSE(finds());
}

TEST_F(DnsClustersTest, ARemovedClusterAsksNoMore) {
  apply(dns_cluster("a", named("a.example"), kV4));
  answer("a.example/4", {"10.0.0.1"});
  apply(dns_cluster("b", named("192.0.2.1"), kV4));
  lane_.advance(1h);
  EXPECT_EQ(resolvers_->asked(), Texts{});
}

// field: Cluster.wait_for_warm_on_init
TEST_F(DnsClustersTest, WarmingEndsWithTheFirstAnswersOrFailures) {
  int warmer = 0;
  apply(dns_cluster("a", named("a.example"), kV4) + ", " + dns_cluster("b", named("b.example"), kV4) + ", " +
        dns_cluster("c", named("c.example"), kV4 + "wait_for_warm_on_init: false, "));
  clusters_.when_warmer([&] { ++warmer; });
  settle();
  ClusterManager::StatsRound round;
  EXPECT_FALSE(clusters_.refresh_stats(round));
  EXPECT_EQ(store_.gauge("cluster_manager.warming_clusters").value(), 3);
  EXPECT_EQ(stats("a").warming_state.value(), 1);
  EXPECT_TRUE(clusters_.warming("a"));
  EXPECT_FALSE(clusters_.warming("c"));
  EXPECT_FALSE(clusters_.warming("none"));
  EXPECT_EQ(warmer, 0);
  answer("a.example/4", {"10.0.0.1"});
  EXPECT_EQ(warmer, 1);
  EXPECT_FALSE(clusters_.warming("a"));
  EXPECT_TRUE(clusters_.warming());
  fail("b.example/4");
  EXPECT_FALSE(clusters_.warming());
}

TEST_F(DnsClustersTest, WarmingIsBounded) {
  int warmer = 0;
  apply(dns_cluster("a", named("a.example"), kV4));
  clusters_.when_warmer([&] { ++warmer; });
  lane_.advance(ClusterManager::kLongestWarming - 1ms);
  EXPECT_EQ(warmer, 0);
  EXPECT_TRUE(clusters_.warming());
  lane_.advance(1ms);
  EXPECT_EQ(warmer, 1);
  EXPECT_FALSE(clusters_.warming());  // a reload meanwhile does not wait for it again
  clusters_.set_patience(1s);
  apply(dns_cluster("a", named("b.example"), kV4));
  lane_.advance(1s - 1ms);
  EXPECT_TRUE(clusters_.warming());
  lane_.advance(1ms);
  EXPECT_FALSE(clusters_.warming());
}

TEST_F(DnsClustersTest, AClusterThatHasMembersIsNotWaitedFor) {
  apply(dns_cluster("a", named("a.example"), kV4));
  answer("a.example/4", {"10.0.0.1"});
  apply(dns_cluster("a", named("b.example"), kV4));
  EXPECT_FALSE(clusters_.warming());
}

TEST_F(DnsClustersTest, AClusterThatHasNoneYetIsWaitedForAlsoWhenItChanges) {
  apply(dns_cluster("a", named("a.example"), kV4));
  apply(dns_cluster("a", named("a.example") + ", " + named("b.example"), kV4));
  EXPECT_TRUE(clusters_.warming());
  answer("a.example/4", {"10.0.0.1"});
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"});  // there is nothing to keep
}

TEST_F(DnsClustersTest, ASlowNameDoesNotKeepTheOthersForEver) {
  apply(dns_cluster("a", named("a.example"), kV4));
  answer("a.example/4", {"10.0.0.1"});
  apply(dns_cluster("a", named("a.example") + ", " + named("slow.example"), kV4));
  answer("a.example/4", {"10.0.0.2"});
  lane_.advance(ClusterManager::kLongestWarming - 10ms);
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"});
  lane_.advance(10ms);
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.2:80"});
  answer("slow.example/4", {"10.0.0.3"});
  EXPECT_EQ(hosts("a"), (Texts{"10.0.0.2:80", "10.0.0.3:80"}));
}

TEST_F(DnsClustersTest, ClustersOfAnEarlierUpdateAreNotWaitedFor) {
  const std::string slow = dns_cluster("slow", named("slow.example"), kV4);
  apply(slow);
  EXPECT_TRUE(clusters_.warming());
  apply(slow + ", " + dns_cluster("b", named("192.0.2.1"), kV4 + "wait_for_warm_on_init: false, "));
  EXPECT_FALSE(clusters_.warming());
  // Unless somebody does so already.
  apply(dns_cluster("slow", named("other.example"), kV4));
  clusters_.when_warmer([] {});
  apply(dns_cluster("slow", named("other.example"), kV4) + ", " + dns_cluster("c", named("192.0.2.1"), kV4));
  settle();
  EXPECT_TRUE(clusters_.warming());
  answer("other.example/4", {"10.0.0.1"});
  EXPECT_FALSE(clusters_.warming());
}

TEST_F(DnsClustersTest, TheTimeThatAConfigurationTakesToReadIsNotOfTheWait) {
  lane_.clock().advance(3s);  // within the turn
  ASSERT_EQ(read(dns_cluster("a", named("a.example"), kV4)), "");
  event::Publisher::Batch batch, last;
  clusters_.apply(std::move(configuration_.clusters), {}, batch, last);
  publisher_.publish(std::move(batch));
  lane_.advance(ClusterManager::kLongestWarming - 1ms);
  EXPECT_TRUE(clusters_.warming());
  lane_.advance(1ms);
  EXPECT_FALSE(clusters_.warming());
}

TEST_F(DnsClustersTest, ServersMayNotNameHostsWithoutEnd) {
  apply(dns_cluster("a", named("a.example"), kV4) + ", " + dns_cluster("b", named("b.example"), kV4));
  answer("a.example/4", {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"});
  answer("b.example/4", {"10.0.1.1", "10.0.1.2", "10.0.1.3"});  // the eighth is one too many
  EXPECT_EQ(hosts("a").size(), 4u);
  EXPECT_EQ(hosts("b").size(), 3u);
  lane_.advance(5s);
  answer("b.example/4", {"10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4"});
  EXPECT_EQ(hosts("b").size(), 3u);
  EXPECT_EQ(stats("b").update_failure.value(), 1u);
  EXPECT_EQ(stats("b").membership_total.value(), 3);
  answer("a.example/4", {"10.0.0.1"});
  lane_.advance(5s);
  answer("b.example/4", {"10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4", "10.0.1.5"});
  EXPECT_EQ(hosts("b").size(), 5u);
  apply(dns_cluster("b", named("b.example"), kV4) + ", " + dns_cluster("c", named("c.example"), kV4));
  answer("c.example/4", {"10.0.2.1", "10.0.2.2"});  // what a cluster that is gone had is free
  EXPECT_EQ(hosts("c").size(), 2u);
}

TEST_F(DnsClustersTest, AFamilyThatNobodyAnswersForKeepsItsHosts) {
  apply(dns_cluster("a", named("a.example"), "dns_lookup_family: ALL, "));
  answer("a.example/4", {"10.0.0.1"});
  answer("a.example/6", {"2001:db8::1"});
  EXPECT_EQ(hosts("a"), (Texts{"10.0.0.1:80", "[2001:db8::1]:80"}));
  lane_.advance(5s);
  answer("a.example/6", {"2001:db8::2"});
  fail("a.example/4");
  EXPECT_EQ(hosts("a"), (Texts{"10.0.0.1:80", "[2001:db8::2]:80"}));
  EXPECT_EQ(stats("a").update_failure.value(), 1u);
}

TEST_F(DnsClustersTest, WhatANameDoesNotHaveIsSaidWhenItBegins) {
  const auto warnings = [&](auto&& act) {
    testing::internal::CaptureStderr();
    act();
    const std::string said = testing::internal::GetCapturedStderr();
    size_t count = 0;
    for (size_t at = 0; (at = said.find("no such name or address", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  // While another name is not known yet, too.
  apply(dns_cluster("a", named("a.example") + ", " + named("slow.example"), kV4));
  EXPECT_EQ(warnings([&] { answer("a.example/4", {}); }), 1u);
  lane_.advance(5s);
  EXPECT_EQ(warnings([&] { answer("a.example/4", {}); }), 0u);
  apply(dns_cluster("b", named("b.example"), kV4, "type: LOGICAL_DNS"));
  answer("b.example/4", {"10.0.0.1"});
  lane_.advance(5s);
  EXPECT_EQ(warnings([&] { answer("b.example/4", {}); }), 1u);
  lane_.advance(5s);
  EXPECT_EQ(warnings([&] { answer("b.example/4", {}); }), 0u);
}

TEST_F(DnsClustersTest, LifetimesOfAnswers) {
  apply(dns_cluster("a", named("a.example"), kV4 + "respect_dns_ttl: true, dns_refresh_rate: 60s, "));
  answer("a.example/4", {"10.0.0.1"}, 9s);
  lane_.advance(8s);
  EXPECT_EQ(resolvers_->asked(), Texts{});
  lane_.advance(1s);
  EXPECT_EQ(resolvers_->asked(), Texts{"a.example/4"});
}

// What the fields of a configuration become.

// field: Cluster.dns_failure_refresh_rate, Cluster.dns_jitter
TEST_F(DnsClustersTest, ReadsWhenToAskAgain) {
  const dns::RefreshPlan plan = spec(
                                    "dns_refresh_rate: 7s, dns_jitter: 0.5s, respect_dns_ttl: true, "
                                    "dns_failure_refresh_rate: {base_interval: 2s, "
                                    "max_interval: 9s}, ")
                                    .refresh;
  EXPECT_EQ(plan, (dns::RefreshPlan{
                      .rate = 7s, .jitter = 500ms, .respect_ttl = true, .failure_base = 2s, .failure_most = 9s}));
  EXPECT_EQ(spec("").refresh, dns::RefreshPlan{});
  EXPECT_EQ(spec("dns_failure_refresh_rate: {base_interval: 2s}, ").refresh.failure_most, 20s);
}

// field: Cluster.dns_lookup_family
TEST_F(DnsClustersTest, ReadsFamilies) {
  EXPECT_EQ(spec("").family, dns::FamilyPolicy::kAuto);
  EXPECT_EQ(spec("dns_lookup_family: V6_ONLY, ").family, dns::FamilyPolicy::kV6Only);
  EXPECT_EQ(spec("dns_lookup_family: V4_PREFERRED, ").family, dns::FamilyPolicy::kV4Preferred);
  EXPECT_EQ(spec("dns_lookup_family: ALL, ").family, dns::FamilyPolicy::kAll);
}

// field: Cluster.typed_dns_resolver_config, CaresDnsResolverConfig.dns_resolver_options
// field: CaresDnsResolverConfig.query_timeout_seconds, CaresDnsResolverConfig.query_tries
TEST_F(DnsClustersTest, ReadsResolvers) {
  const std::string server = "{socket_address: {address: 127.0.0.1, port_value: 5353}}";
  const dns::ResolverOptions all =
      spec(
          "typed_dns_resolver_config: {name: c, typed_config: {\"@type\": "
          "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig, resolvers: [" +
          server +
          "], use_resolvers_as_fallback: true, filter_unroutable_families: true, query_timeout_seconds: 2, "
          "query_tries: "
          "3, rotate_nameservers: true, edns0_max_payload_size: 1232, dns_resolver_options: {use_tcp_for_dns_lookups: "
          "true, no_default_search_domain: true}}}, ")
          .resolver;
  EXPECT_EQ(all, (dns::ResolverOptions{.servers = {*net::Address::from_ip("127.0.0.1", 5353)},
                                       .servers_as_fallback = true,
                                       .tcp_only = true,
                                       .no_search_domains = true,
                                       .rotate = true,
                                       .guard = {},
                                       .filter_unroutable = true,
                                       .edns0_payload = 1232,
                                       .query_timeout = 2s,
                                       .tries = 3}));
  const dns::ResolverOptions plain = spec("dns_resolvers: [" + server + "], use_tcp_for_dns_lookups: true, ").resolver;
  EXPECT_EQ(plain, (dns::ResolverOptions{
                       .servers = {*net::Address::from_ip("127.0.0.1", 5353)}, .tcp_only = true, .guard = {}}));
  EXPECT_EQ(spec("dns_resolution_config: {resolvers: [" + server +
                 "], dns_resolver_options: {use_tcp_for_dns_lookups: true}}, ")
                .resolver,
            plain);
  EXPECT_EQ(spec("").resolver, dns::ResolverOptions{});
}

TEST_F(DnsClustersTest, WhatIsWrongIsSaid) {
  const std::string path = "static_resources.clusters[0].";
  const std::string address = path + "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address";
  EXPECT_EQ(
      read(dns_cluster("a", named("\"a b\""))),
      "error: " + address +
          ".socket_address.address: \"a b\" is no name of the DNS: labels of 1 to 63 letters, digits, - and _ with "
          "dots between them, the last no number, at most 253 characters\n");
  EXPECT_NE(read(dns_cluster("a", named("10.0.0.256"))), "");
  EXPECT_EQ(read(dns_cluster("a", named("\"a.example:80\""))),
            "error: " + address +
                ".socket_address.address: \"a.example:80\" is not a name; the port belongs in port_value\n");
  EXPECT_EQ(read(dns_cluster("a", "{endpoint: {address: {pipe: {path: /tmp/x}}}}")),
            "error: " + address + ": must be a socket_address with a name to resolve\n");
  EXPECT_EQ(
      read(dns_cluster("a", named("a.example") + ", " + named("b.example"), "", "type: LOGICAL_DNS")),
      "error: " + path +
          "load_assignment: has 2 endpoints; a cluster that is one logical host has one, with the name of all its "
          "addresses (STRICT_DNS takes several)\n");
  EXPECT_EQ(read("{name: a, dns_jitter: 1s, load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [" +
                 named("192.0.2.1") + "]}]}}"),
            "warning: " + path + "dns_jitter: has no effect: a cluster of type STATIC resolves no names\n");
  EXPECT_EQ(
      read(dns_cluster("a", named("a.example"), "dns_failure_refresh_rate: {base_interval: 2s, max_interval: 1s}, ")),
      "error: " + path + "dns_failure_refresh_rate.max_interval: must not be less than base_interval\n");
}

TEST_F(DnsClustersTest, OtherResolvers) {
  const std::string at = "static_resources.clusters[0].typed_dns_resolver_config.typed_config";
  const auto with = [&](const std::string& config) {
    return read(dns_cluster("a", named("a.example"),
                            "typed_dns_resolver_config: {name: c, typed_config: {\"@type\": "
                            "type.googleapis.com/envoy.extensions.network.dns_resolver." +
                                config + "}}, "));
  };
  EXPECT_EQ(with("getaddrinfo.v3.GetAddrInfoDnsResolverConfig"),
            "warning: " + at +
                ": weir asks the name servers of /etc/resolv.conf and reads /etc/hosts by itself; other sources of "
                "nsswitch.conf are not asked\n");
  EXPECT_EQ(
      with("apple.v3.AppleDnsResolverConfig"),
      "error: " + at +
          ": envoy.extensions.network.dns_resolver.apple.v3.AppleDnsResolverConfig is a type of the published API "
          "that weir does not have; weir --list-extensions shows what it has\n");
  EXPECT_EQ(
      with("cares.v3.CaresDnsResolverConfig, udp_max_queries: 5"),
      "error: " + at +
          ".udp_max_queries: not supported by weir; a socket to each name server, made anew when nothing waits for an "
          "answer, is\n");
}

// Host sets that prefer weir's own zone are made of its own cluster, too.
TEST_F(DnsClustersTest, WhatIsMadeByWhereWeirIsIsMadeAgainWhenThatIsKnown) {
  const auto with_zones = [](const std::string& name, const std::string& ip) {
    return dns_cluster(name, named(ip), "common_lb_config: {zone_aware_lb_config: {min_cluster_size: 1}}, ",
                       "type: STATIC");
  };
  const auto knows = [&](const std::string& name) {
    return clusters_.clusters().at(name).made.options.local_cluster != nullptr;
  };
  const std::string own = with_zones("own", "10.0.0.1"), early = with_zones("early", "10.0.0.2"),
                    late = with_zones("late", "10.0.0.3");
  apply(own + ", " + early);
  EXPECT_FALSE(knows("early"));
  clusters_.set_local("own", {"r", "z", ""});
  apply(own + ", " + early + ", " + late);
  EXPECT_FALSE(knows("own")) << "it has no regard to zones itself";
  EXPECT_TRUE(knows("early"));
  apply(own + ", " + early + ", " + late);
  EXPECT_TRUE(knows("late"));
  const lb::HostSet* before = set("early");
  apply(own + ", " + early + ", " + late);
  EXPECT_EQ(set("early"), before);
  apply(with_zones("own", "10.0.0.9") + ", " + early + ", " + late);
  EXPECT_NE(set("early"), before);
  EXPECT_EQ(hosts("early"), Texts{"10.0.0.2:80"});
  apply(early + ", " + late);
  EXPECT_FALSE(knows("early"));
  EXPECT_FALSE(knows("late"));
}

}  // namespace
}  // namespace weir::server
