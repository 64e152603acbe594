// Names that requests bring: what the cache of a dynamic_forward_proxy knows of them, and who waits for it.
#include "test/core/server/dns_clusters.h"

namespace weir::server {
namespace {

std::string dynamic(const std::string& name, const std::string& cache) {
  return "{name: " + name +
         ", lb_policy: CLUSTER_PROVIDED, cluster_type: {name: d, typed_config: {\"@type\": "
         "type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig, dns_cache_config: {" +
         cache + "}}}}";
}

class NamesTest : public DnsClustersTest {
 protected:
  ~NamesTest() override { clusters_.stop(); }  // while there is who hears
  // What a lane would hear, a turn later or when the answer comes.
  void find(const std::string& name, uint16_t port = 80) {
    auto* service = static_cast<upstream::NameService*>(lane_.lane().local(event::LocalKey::kNames));
    service->find("c", name, port, [this](upstream::NameOutcome outcome) { heard_.push_back(outcome); });
    settle();
  }
  const config::DnsCacheSpec& cache(const std::string& more) {
    EXPECT_EQ(read(dynamic("a", "name: c, " + more)), "");
    return configuration_.clusters.at(0).dynamic->cache;
  }
  uint64_t of_cache(const std::string& name) {
    uint64_t value = 0;
    store_.visit([&](const stats::Sample& sample) {
      if (sample.name == "dns_cache.c." + name) value = sample.value;
    });
    return value;
  }
  using Heard = std::vector<upstream::NameOutcome>;
  Heard heard_;
};

constexpr auto kKnown = upstream::NameOutcome::kKnown;
constexpr auto kFailed = upstream::NameOutcome::kFailed;

TEST_F(NamesTest, WhoAsksHearsWhenTheHostIsThere) {
  apply(dynamic("a", "name: c, " + kV4));
  find("a.example");
  find("a.example");
  EXPECT_EQ(heard_, Heard{});
  answer("a.example/4", {"10.0.0.1", "10.0.0.2"});
  EXPECT_EQ(heard_, (Heard{kKnown, kKnown}));
  ASSERT_EQ(hosts("a"), Texts{"10.0.0.1:80"});
  const lb::HostEntry& host = set("a")->hosts()[0];
  EXPECT_EQ(host.host->text(), "a.example:80");
  EXPECT_EQ(host.host->hostname(), "a.example");
  EXPECT_EQ(host.addresses->size(), 2u) << "for when the first lets nobody in";
  find("a.example", 81);
  answer("a.example/4", {"10.0.0.1"});
  EXPECT_EQ(hosts("a"), (Texts{"10.0.0.1:80", "10.0.0.1:81"}));
  EXPECT_EQ(of_cache("host_added"), 2u);
}

TEST_F(NamesTest, NamesThatRequestsBringServeUntilThoseInTheirPlaceAreKnown) {
  apply(dynamic("a", "name: c, " + kV4));
  find("a.example");
  answer("a.example/4", {"10.0.0.1"});
  apply(dns_cluster("a", named("b.example"), kV4));
  EXPECT_FALSE(newest("a")->spec.dns_cache.empty());
  find("c.example");
  answer("c.example/4", {"10.0.0.2"});
  EXPECT_EQ(heard_, (Heard{kKnown, kKnown}));
  EXPECT_EQ(hosts("a"), (Texts{"10.0.0.1:80", "10.0.0.2:80"}));
  answer("b.example/4", {"10.0.0.3"});
  EXPECT_TRUE(newest("a")->spec.dns_cache.empty());
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.3:80"});
  find("c.example");
  EXPECT_EQ(heard_.back(), upstream::NameOutcome::kNoName) << "its cache has gone";
}

TEST_F(NamesTest, TheQueryTimeoutIsThatOfWhoWaits) {
  apply(dynamic("a", "name: c, dns_query_timeout: 2s, " + kV4));
  find("a.example");
  lane_.advance(1900ms);
  EXPECT_EQ(heard_, Heard{});
  lane_.advance(200ms);
  EXPECT_EQ(heard_, Heard{kFailed});
  EXPECT_EQ(of_cache("dns_query_timeout"), 1u);
  answer("a.example/4", {"10.0.0.1"});
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"}) << "an answer that is late counts all the same";
  find("a.example");
  EXPECT_EQ(heard_, (Heard{kFailed, kKnown}));
}

TEST_F(NamesTest, WhoWaitsForACacheThatEndsHearsThatThereIsNoAnswer) {
  apply(dynamic("a", "name: c, " + kV4));
  find("a.example");
  apply("");
  EXPECT_EQ(heard_, Heard{kFailed});
  find("a.example");
  EXPECT_EQ(heard_, (Heard{kFailed, upstream::NameOutcome::kNoName}));
}

TEST_F(NamesTest, WhoWaitsIsAnsweredByTheCacheThatComesNext) {
  apply(dynamic("a", "name: c, " + kV4));
  find("a.example");
  find("a.example");
  apply(dynamic("a", "name: c, host_ttl: 40s, " + kV4));
  apply(dynamic("a", "name: c, host_ttl: 50s, dns_query_timeout: 4s, " + kV4));
  EXPECT_EQ(heard_, Heard{});
  EXPECT_EQ(resolvers_->asked_ever(), 1u) << "the question goes on";
  answer("a.example/4", {"10.0.0.1"});
  EXPECT_EQ(heard_, (Heard{kKnown, kKnown}));
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"});
  EXPECT_EQ(of_cache("num_hosts"), 1u);
  apply(dynamic("a", "name: c, host_ttl: 60s, " + kV4));
  EXPECT_EQ(of_cache("num_hosts"), 1u) << "of names that are known already";
}

TEST_F(NamesTest, WhoWaitsIsAnsweredByOtherServers) {
  apply(dynamic("a", "name: c, " + kV4));
  find("a.example");
  apply(dynamic("a", "name: c, dns_lookup_family: V6_ONLY, "));
  EXPECT_EQ(heard_, Heard{});
  answer("a.example/6", {"2001:db8::1"});
  EXPECT_EQ(heard_, Heard{kKnown});
  EXPECT_EQ(hosts("a"), Texts{"[2001:db8::1]:80"});
}

TEST_F(NamesTest, UpdatesDoNotMakeTheWaitLonger) {
  apply(dynamic("a", "name: c, dns_query_timeout: 2s, " + kV4));
  find("a.example");
  for (const char* ttl : {"40s", "50s", "60s"}) {
    lane_.advance(600ms);
    apply(dynamic("a", std::string("name: c, dns_query_timeout: 2s, host_ttl: ") + ttl + ", " + kV4));
  }
  EXPECT_EQ(heard_, Heard{});
  lane_.advance(300ms);
  EXPECT_EQ(heard_, Heard{kFailed});
  EXPECT_EQ(of_cache("circuit_breakers.rq_pending_open"), 0u);
}

TEST_F(NamesTest, WhoWaitsForANameThatTheNextCacheHasNoRoomForHearsIt) {
  apply(dynamic("a", "name: c, " + kV4));
  find("a.example");
  find("b.example");
  apply(dynamic("a", "name: c, max_hosts: 1, " + kV4));
  EXPECT_EQ(heard_, Heard{kFailed});
  answer("a.example/4", {"10.0.0.1"});
  EXPECT_EQ(heard_, (Heard{kFailed, kKnown}));
}

TEST_F(NamesTest, WhatIsNoNameIsNotAskedFor) {
  apply(dynamic("a", "name: c, " + kV4));
  for (const char* name : {"", "a..b", "-\xc3\xa4", "a b", "1.2.3", "a:b"}) find(name);
  find("a.example", 0);
  EXPECT_EQ(heard_, Heard(7, upstream::NameOutcome::kNoName));
}

// field: DnsCacheConfig.use_tcp_for_dns_lookups
TEST_F(NamesTest, SettingsOfTheCache) {
  const config::DnsCacheSpec plain = cache("");
  EXPECT_EQ(plain.refresh.rate, 60s);
  EXPECT_EQ(plain.refresh.least_ttl, 5s);
  EXPECT_TRUE(plain.refresh.respect_ttl);
  EXPECT_EQ(plain.host_ttl, 5min);
  EXPECT_EQ(plain.max_hosts, 1024u);
  EXPECT_EQ(plain.max_pending, 1024u);
  EXPECT_EQ(plain.query_timeout, 5s);
  EXPECT_FALSE(plain.resolver.tcp_only);
  EXPECT_TRUE(cache("use_tcp_for_dns_lookups: true, ").resolver.tcp_only);
  EXPECT_NE(read(dynamic("a", "name: c, dns_min_refresh_rate: 0.5s")), "");
  EXPECT_NE(read(dynamic("a",
                         "name: c, max_hosts: 1, preresolve_hostnames: [{address: a, port_value: 1}, {address: b, "
                         "port_value: 1}]")),
            "");
}

TEST_F(NamesTest, WhatAnUpdateDoesNotNameStays) {
  apply(dynamic("a", "name: c, " + kV4) + ", " + dns_cluster("b", named("b.example"), kV4));
  find("a.example");
  answer("a.example/4", {"10.0.0.1"});
  answer("b.example/4", {"10.0.0.2"});
  const uint64_t asked = of_cache("dns_query_attempt");
  ASSERT_EQ(read(dns_cluster("other", named("other.example"), kV4)), "");
  event::Publisher::Batch batch, last;
  clusters_.apply(std::move(configuration_.clusters), {}, batch, last);
  EXPECT_TRUE(last.empty());
  publisher_.publish(std::move(batch));
  settle();
  EXPECT_TRUE(clusters_.warming()) << "the other one";
  answer("other.example/4", {"10.0.0.3"});
  EXPECT_FALSE(clusters_.warming());
  EXPECT_EQ(hosts("a"), Texts{"10.0.0.1:80"});
  EXPECT_EQ(hosts("b"), Texts{"10.0.0.2:80"});
  EXPECT_EQ(hosts("other"), Texts{"10.0.0.3:80"});
  EXPECT_EQ(of_cache("dns_query_attempt"), asked) << "with the cache that it had";
  find("c.example");
  answer("c.example/4", {"10.0.0.4"});
  EXPECT_EQ(hosts("a").size(), 2u);

  // Goes with its names and its cache.
  clusters_.apply({}, {"a", "b"}, batch, last);
  batch.append(std::move(last));
  publisher_.publish(std::move(batch));
  settle();
  EXPECT_EQ(clusters_.clusters().size(), 1u);
  find("c.example");
  EXPECT_EQ(heard_.back(), upstream::NameOutcome::kNoName);
}

}  // namespace
}  // namespace weir::server
