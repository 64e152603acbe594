// Hosts of weir's own locality first, by where weir's own instances are.
#include "core/lb/zones.h"

#include <gtest/gtest.h>

#include <map>

#include "core/lb/host_set.h"
#include "test/core/lb/any_host.h"

namespace weir::lb {
namespace {

struct In {
  std::string zone;
  size_t healthy = 0, unhealthy = 0;
  uint32_t weight = 1;
  uint32_t priority = 0;
  size_t degraded = 0;
};

std::vector<HostEntry> hosts(std::initializer_list<In> places) {
  static uint16_t port = 1;
  std::vector<HostEntry> all;
  for (const In& in : places) {
    const auto where = std::make_shared<const Locality>(Locality{"r", in.zone, "", 0});
    const auto add = [&](size_t count, Health health) {
      for (size_t i = 0; i < count; ++i) {
        HostEntry entry;
        ++port;
        entry.host =
            std::make_shared<Host>(*net::Address::from_ip("10.0.0.1", port), "host" + std::to_string(port), "", 2);
        entry.place = where;
        entry.weight = in.weight;
        entry.priority = in.priority;
        entry.health = health;
        all.push_back(std::move(entry));
      }
    };
    add(in.healthy, Health::kHealthy);
    add(in.unhealthy, Health::kUnhealthy);
    add(in.degraded, Health::kDegraded);
  }
  return all;
}

class Zones : public testing::Test {
 protected:
  // `local`: weir's own instances; this one is in "a".
  HostSet make(std::initializer_list<In> upstream, std::initializer_list<In> local, const ZonePolicy& policy = {},
               bool local_panics = false) {
    BalanceOptions options;
    options.zones = policy;
    options.local_cluster = std::make_shared<const LocalCluster>(std::span<const HostEntry>(hosts(local)), local_panics,
                                                                 Locality{"r", "a", "", 0});
    options.zone_stats = stats_;
    return HostSet(hosts(upstream), any_host(), nullptr, options);
  }
  // Percent of picks by zone; "-": no host.
  static std::map<std::string, int> shares(const HostSet& set, std::span<const Host* const> excluded = {}) {
    Random random(1);
    std::vector<LaneView::PerHost> per_host(set.hosts().size());
    LaneView view(1, set.hosts(), per_host, 0, random);
    std::vector<LaneState> states(set.lane_states());
    PickInput input;
    input.excluded = excluded;
    std::map<std::string, int> counts;
    for (int i = 0; i < 20'000; ++i) {
      const HostIndex index = set.pick(input, view, states.data());
      ++counts[index == kNoHost ? "-" : set.host(index).locality().zone];
    }
    for (auto& [zone, count] : counts) count = (count + 100) / 200;
    return counts;
  }
  using Shares = std::map<std::string, int>;

  stats::Store store_;
  std::shared_ptr<const ZoneStats> stats_ = std::make_shared<const ZoneStats>(store_, "c");
};

TEST_F(Zones, TheOwnOneTakesEverythingIfItIsLargeEnough) {
  const HostSet set = make({{"a", 3}, {"b", 3}, {"c", 2}}, {{"a", 1}, {"b", 1}, {"c", 1}});
  EXPECT_EQ(shares(set), (Shares{{"a", 100}}));
  EXPECT_EQ(stats_->all_directly.value(), 20'000u);
  EXPECT_EQ(stats_->recalculated.value(), 1u);
}

// Half of weir is in "a", and a quarter of the hosts: half of what comes here stays; the rest goes where there is room.
TEST_F(Zones, ASmallOneTakesWhatItCan) {
  const HostSet set = make({{"a", 2}, {"b", 2}, {"c", 4}}, {{"a", 4}, {"b", 2}, {"c", 2}});
  const Shares got = shares(set);
  EXPECT_NEAR(got.at("a"), 50, 1);
  EXPECT_NEAR(got.at("c"), 50, 1);
  EXPECT_FALSE(got.contains("b"));  // it is as large as its own instances need
  EXPECT_NEAR(static_cast<double>(stats_->sampled.value()), 10'000, 300);
  EXPECT_EQ(stats_->sampled.value() + stats_->cross_zone.value(), 20'000u);
}

TEST_F(Zones, OfSeveralWithRoomEachGetsItsPart) {
  // Room: b 0.3 - 0.1, c 0.6 - 0.2.
  const Shares got = shares(make({{"a", 1}, {"b", 3}, {"c", 6}}, {{"a", 7}, {"b", 1}, {"c", 2}}));
  EXPECT_NEAR(got.at("a"), 14, 1);
  EXPECT_NEAR(got.at("b"), 29, 2);
  EXPECT_NEAR(got.at("c"), 57, 2);
}

TEST_F(Zones, WithoutHostsOfItsOwnTheOthersTakeAll) {
  EXPECT_EQ(shares(make({{"b", 4}, {"c", 4}}, {{"a", 1}, {"b", 1}})), (Shares{{"c", 100}}));
  EXPECT_EQ(shares(make({{"a", 0, 2}, {"b", 4}, {"c", 4}}, {{"a", 1}, {"b", 1}})), (Shares{{"c", 100}}));
}

// field: LocalityLbConfig.ZoneAwareLbConfig.min_cluster_size
TEST_F(Zones, DoNotCountInASmallCluster) {
  EXPECT_NEAR(shares(make({{"a", 2}, {"b", 3}}, {{"a", 1}})).at("b"), 60, 2);
  EXPECT_EQ(stats_->too_small.value(), 1u);
  EXPECT_EQ(shares(make({{"a", 2}, {"b", 3}}, {{"a", 1}, {"b", 2}}, {.min_cluster_size = 5})), (Shares{{"a", 100}}));
}

TEST_F(Zones, OneLocalityIsNone) {
  const HostSet set = make({{"b", 8}}, {{"a", 1}});
  EXPECT_EQ(shares(set), (Shares{{"b", 100}}));
  EXPECT_EQ(stats_->cross_zone.value(), 0u);
}

// field: LocalityLbConfig.ZoneAwareLbConfig.routing_enabled
TEST_F(Zones, ForAPartOfTheRequests) {
  const Shares got = shares(make({{"a", 4}, {"b", 4}}, {{"a", 1}, {"b", 1}}, {.enabled = ZonePolicy::kAlways / 5}));
  EXPECT_NEAR(got.at("a"), 60, 2);
  EXPECT_NEAR(got.at("b"), 40, 2);
  EXPECT_NEAR(shares(make({{"a", 4}, {"b", 4}}, {{"a", 1}, {"b", 1}}, {.enabled = 0})).at("b"), 50, 2);
}

// field: LocalityLbConfig.ZoneAwareLbConfig.force_local_zone, ZoneAwareLbConfig.ForceLocalZone.min_size
// field: LocalityLbConfig.ZoneAwareLbConfig.force_locality_direct_routing
TEST_F(Zones, TheOwnOneMayTakeMoreThanItsPart) {
  EXPECT_EQ(shares(make({{"a", 2}, {"b", 6}}, {{"a", 1}}, {.direct_from = 2})), (Shares{{"a", 100}}));
  EXPECT_NEAR(shares(make({{"a", 2}, {"b", 6}}, {{"a", 1}}, {.direct_from = 3})).at("a"), 25, 2);
}

// field: LocalityLbConfig.ZoneAwareLbConfig.locality_basis
TEST_F(Zones, ByWeight) {
  const std::initializer_list<In> upstream = {{"a", 2, 0, 3}, {"b", 6, 0, 1}};
  EXPECT_EQ(shares(make(upstream, {{"a", 1}, {"b", 1}}, {.by_weight = true})), (Shares{{"a", 100}}));
  EXPECT_NEAR(shares(make(upstream, {{"a", 1}, {"b", 1}})).at("a"), 50, 2);
  EXPECT_NEAR(shares(make(upstream, {{"a", 1, 0, 3}, {"b", 1}}, {.by_weight = true})).at("a"), 67, 2);
}

// field: LocalityLbConfig.ZoneAwareLbConfig.fail_traffic_on_panic
TEST_F(Zones, InAPanicAnyHostOrNone) {
  const std::initializer_list<In> upstream = {{"a", 1, 4}, {"b", 1, 4}};
  EXPECT_NEAR(shares(make(upstream, {{"a", 1}, {"b", 1}})).at("b"), 50, 2);
  EXPECT_EQ(shares(make(upstream, {{"a", 1}, {"b", 1}}, {.fail_on_panic = true})), (Shares{{"-", 100}}));
  // Without a local cluster, too.
  BalanceOptions options;
  options.zones = ZonePolicy{.fail_on_panic = true};
  EXPECT_EQ(shares(HostSet(hosts(upstream), any_host(), nullptr, options)), (Shares{{"-", 100}}));
}

TEST_F(Zones, APanicOfTheLocalClusterTellsNothing) {
  const std::initializer_list<In> upstream = {{"a", 4}, {"b", 4}};
  EXPECT_NEAR(shares(make(upstream, {{"a", 1}, {"b", 1}}, {}, true)).at("b"), 50, 2);
  EXPECT_EQ(stats_->local_not_ok.value(), 20'000u);
  EXPECT_EQ(shares(make(upstream, {{"a", 1}, {"b", 1}}, {.fail_on_panic = true}, true)), (Shares{{"-", 100}}));
}

TEST_F(Zones, OfTheFirstPriorityAlone) {
  const HostSet set = make({{"a", 0, 4}, {"a", 4, 0, 1, 1}, {"b", 4, 0, 1, 1}}, {{"a", 1}, {"b", 1}});
  EXPECT_NEAR(shares(set).at("b"), 50, 2);
}

TEST_F(Zones, ATriedHostIsFollowedByOneOfAnotherLocality) {
  const HostSet set = make({{"a", 1}, {"b", 6}}, {{"b", 1}}, {.direct_from = 1});
  const Host* tried[] = {set.hosts()[0].host.get()};
  EXPECT_EQ(shares(set), (Shares{{"a", 100}}));
  EXPECT_GT(shares(set, tried).at("b"), 80);
}

}  // namespace
}  // namespace weir::lb
