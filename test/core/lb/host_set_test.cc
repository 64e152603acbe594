// Priorities, panic and degraded hosts, with a policy that only records what it was given.
#include "core/lb/host_set.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "test/core/lb/any_host.h"

namespace weir::lb {
namespace {

HostEntry host(uint32_t priority, Health health) {
  static uint16_t port = 1;
  HostEntry entry;
  ++port;
  entry.host = std::make_shared<Host>(*net::Address::from_ip("10.0.0.1", port), "host" + std::to_string(port), "", 2);
  entry.priority = priority;
  entry.health = health;
  return entry;
}

std::vector<HostEntry> hosts(uint32_t priority, size_t healthy, size_t unhealthy, size_t degraded = 0) {
  std::vector<HostEntry> all;
  for (size_t i = 0; i < healthy; ++i) all.push_back(host(priority, Health::kHealthy));
  for (size_t i = 0; i < unhealthy; ++i) all.push_back(host(priority, Health::kUnhealthy));
  for (size_t i = 0; i < degraded; ++i) all.push_back(host(priority, Health::kDegraded));
  return all;
}

template <class... Lists>
HostSet make(Lists... lists) {
  std::vector<HostEntry> all;
  (all.insert(all.end(), lists.begin(), lists.end()), ...);
  return HostSet(std::move(all), any_host(), nullptr, {});
}

// Percent of 20,000 picks per priority and health; -1: no host.
std::map<std::pair<int, Health>, int> picks(const HostSet& set, std::initializer_list<size_t> passed_over = {}) {
  PrioritySet without;
  for (size_t priority : passed_over) without.set(priority);
  PickInput input;
  if (without.any()) input.passed_over = &without;
  Random random(1);
  std::vector<LaneView::PerHost> per_host(set.hosts().size());
  LaneView view(1, set.hosts(), per_host, 0, random);
  std::vector<LaneState> states(set.lane_states());
  std::map<std::pair<int, Health>, int> counts;
  for (int i = 0; i < 20'000; ++i) {
    HostIndex index = set.pick(input, view, states.data());
    if (index == kNoHost) {
      ++counts[{-1, Health::kUnhealthy}];
    } else {
      ++counts[{static_cast<int>(set.host(index).priority), set.host(index).health}];
    }
  }
  for (auto& [key, count] : counts) count = (count + 100) / 200;
  return counts;
}

TEST(HostTest, LanesCountForThemselvesFromTheirFirstRequestOn) {
  Host host(*net::Address::from_ip("10.0.0.1", 80), "host", "", 3);
  EXPECT_EQ(host.active(), 0);
  EXPECT_EQ(host.active_on(2), 0);
  std::vector<std::thread> lanes;
  for (uint32_t lane = 0; lane < 3; ++lane) {
    lanes.emplace_back([&host, lane] {
      for (int i = 0; i < 1000; ++i) host.add_active(lane, 1);
      for (int i = 0; i < 900; ++i) host.add_active(lane, -1);
    });
  }
  for (std::thread& lane : lanes) lane.join();
  EXPECT_EQ(host.active_on(2), 100);
  EXPECT_EQ(host.active(), 300);
}

TEST(HostSet, EverythingGoesToTheFirstHealthyLevel) {
  HostSet set = make(hosts(0, 3, 0), hosts(1, 3, 0));
  EXPECT_EQ(set.healthy(), 6u);
  EXPECT_EQ((picks(set)[{0, Health::kHealthy}]), 100);
  // Up to 2 of 7 hosts may fail before anything spills over (1.4 times provisioned).
  HostSet failing = make(hosts(0, 5, 2), hosts(1, 3, 0));
  EXPECT_EQ((picks(failing)[{0, Health::kHealthy}]), 100);
}

TEST(HostSet, SpillsOverByHealth) {
  // Half healthy: 50 * 1.4 = 70 percent stay.
  HostSet set = make(hosts(0, 2, 2), hosts(1, 4, 0));
  auto counts = picks(set);
  EXPECT_NEAR((counts[{0, Health::kHealthy}]), 70, 2);
  EXPECT_NEAR((counts[{1, Health::kHealthy}]), 30, 2);
  EXPECT_EQ((counts[{0, Health::kUnhealthy}]), 0);
}

TEST(HostSet, PanicsOnlyWhenAllLevelsTogetherAreTooWeak) {
  HostSet weak = make(hosts(0, 1, 3));
  EXPECT_TRUE(weak.panicking(0));
  auto counts = picks(weak);
  EXPECT_NEAR((counts[{0, Health::kUnhealthy}]), 75, 2);
  HostSet helped = make(hosts(0, 1, 3), hosts(1, 4, 0));
  EXPECT_FALSE(helped.panicking(0));
  EXPECT_EQ((picks(helped)[{0, Health::kUnhealthy}]), 0);
}

TEST(HostSet, NobodyHealthyUsesAll) {
  HostSet set = make(hosts(0, 0, 4), hosts(1, 0, 2));
  EXPECT_TRUE(set.panicking(0));
  // By the size of the levels, and what the percentages leave over is the first one's.
  EXPECT_NEAR((picks(set)[{0, Health::kUnhealthy}]), 67, 2);
  EXPECT_NEAR((picks(set)[{1, Health::kUnhealthy}]), 33, 2);
}

TEST(HostSet, LevelsThatAllPanicShareBySize) {
  HostSet set = make(hosts(0, 1, 4), hosts(1, 0, 15));
  EXPECT_TRUE(set.panicking(0));
  auto counts = picks(set);
  EXPECT_NEAR((counts[{0, Health::kHealthy}] + counts[{0, Health::kUnhealthy}]), 25, 2);
  EXPECT_NEAR((counts[{1, Health::kUnhealthy}]), 75, 2);
}

TEST(HostSet, DegradedHostsTakeWhatHealthyOnesCannot) {
  // The published table: healthy and degraded share, and what degraded hosts are given.
  struct Row {
    size_t healthy, degraded, unhealthy;
    int share;
  };
  for (const Row& row : {Row{71, 29, 0, 1}, Row{69, 31, 0, 4}, Row{50, 50, 0, 30}, Row{25, 65, 10, 65}, Row{7, 3, 0, 2},
                         Row{100, 0, 0, 0}}) {
    HostSet set = make(hosts(0, row.healthy, row.unhealthy, row.degraded));
    auto counts = picks(set);
    EXPECT_NEAR((counts[{0, Health::kDegraded}]), row.share, 2) << row.healthy << " healthy";
    EXPECT_NEAR((counts[{0, Health::kHealthy}]), 100 - row.share, 2) << row.healthy << " healthy";
  }
  // Degraded hosts of the first level only once no healthy one of the second has room.
  HostSet levels = make(hosts(0, 1, 1, 2), hosts(1, 5, 0));
  EXPECT_NEAR((picks(levels)[{0, Health::kHealthy}]), 35, 2);
  EXPECT_EQ((picks(levels)[{0, Health::kDegraded}]), 0);
  HostSet only = make(hosts(0, 0, 0, 3));
  EXPECT_EQ((picks(only)[{0, Health::kDegraded}]), 100);
  EXPECT_EQ(only.degraded(), 3u);
}

TEST(HostSet, SumsOfHealthBelowAHundredAreScaledUp) {
  HostSet set = make(hosts(0, 1, 4), hosts(1, 1, 4));  // 28 percent each
  auto counts = picks(set);
  int first = counts[{0, Health::kHealthy}] + counts[{0, Health::kUnhealthy}];
  int second = counts[{1, Health::kHealthy}] + counts[{1, Health::kUnhealthy}];
  EXPECT_NEAR(first, 50, 2);
  EXPECT_NEAR(second, 50, 2);
}

TEST(HostSet, NoHosts) {
  HostSet set = make(std::vector<HostEntry>());
  EXPECT_EQ((picks(set)[{-1, Health::kUnhealthy}]), 100);
}

TEST(HostSet, EmptyLevelsArePassedOver) {
  HostSet set = make(hosts(2, 2, 0));
  EXPECT_EQ((picks(set)[{2, Health::kHealthy}]), 100);
}

// As published: healths of 100, 50 and 50 (overprovisioned here) are loads of 100, 0, 0; without the first 0, 50, 50.
TEST(HostSet, PrioritiesThatArePassedOverLeaveTheirLoadToOthers) {
  HostSet set = make(hosts(0, 2, 0), hosts(1, 5, 9), hosts(2, 5, 9));
  EXPECT_EQ((picks(set)[{0, Health::kHealthy}]), 100);
  auto counts = picks(set, {0});
  EXPECT_NEAR((counts[{1, Health::kHealthy}]), 50, 2);
  EXPECT_NEAR((counts[{2, Health::kHealthy}]), 50, 2);
  EXPECT_EQ((picks(set, {0, 1})[{2, Health::kHealthy}]), 100);
  EXPECT_EQ((picks(set, {1})[{0, Health::kHealthy}]), 100);
}

TEST(HostSet, ThoseThatArePassedOverComeBackWhenNobodyElseIsUsable) {
  HostSet set = make(hosts(0, 2, 0), hosts(1, 0, 3));
  EXPECT_TRUE(set.usable_without({}));
  EXPECT_FALSE(set.usable_without(PrioritySet(1)));
  EXPECT_EQ((picks(set, {0})[{0, Health::kHealthy}]), 100);
  HostSet none = make(hosts(0, 0, 2), hosts(1, 0, 2));
  EXPECT_FALSE(none.usable_without({}));
  EXPECT_EQ((picks(none, {0})[{0, Health::kUnhealthy}]), 50);
  EXPECT_EQ((picks(none, {0})[{1, Health::kUnhealthy}]), 50);
}

// Degraded hosts that nobody needs while the first priority serves.
TEST(HostSet, DegradedHostsServeWhileOthersArePassedOver) {
  HostSet only = make(hosts(0, 2, 0), hosts(1, 0, 0, 3));
  EXPECT_EQ((picks(only)[{0, Health::kHealthy}]), 100);
  EXPECT_TRUE(only.usable_without(PrioritySet(1)));
  EXPECT_EQ((picks(only, {0})[{1, Health::kDegraded}]), 100);
  HostSet both = make(hosts(0, 2, 0), hosts(1, 1, 0, 3));  // 35 of 100 by the healthy one
  auto counts = picks(both, {0});
  EXPECT_NEAR((counts[{1, Health::kHealthy}]), 35, 2);
  EXPECT_NEAR((counts[{1, Health::kDegraded}]), 65, 2);
  // Enough health: degraded ones stay where they are.
  HostSet enough = make(hosts(0, 2, 0), hosts(1, 3, 0, 1));
  EXPECT_EQ((picks(enough, {0})[{1, Health::kDegraded}]), 0);
}

// --- Localities

std::shared_ptr<const Locality> locality(const std::string& zone, uint32_t weight) {
  return std::make_shared<const Locality>(Locality{"", zone, "", weight});
}

std::vector<HostEntry> hosts_in(const std::shared_ptr<const Locality>& place, size_t healthy, size_t unhealthy = 0,
                                uint32_t weight = 1) {
  std::vector<HostEntry> all = hosts(0, healthy, unhealthy);
  for (HostEntry& host : all) {
    host.place = place;
    host.weight = weight;
  }
  return all;
}

// Percent of picks by zone.
std::map<std::string, int> zones(const HostSet& set, std::span<const Host* const> excluded = {}) {
  Random random(1);
  std::vector<LaneView::PerHost> per_host(set.hosts().size());
  LaneView view(1, set.hosts(), per_host, 0, random);
  std::vector<LaneState> states(set.lane_states());
  PickInput input;
  input.excluded = excluded;
  std::map<std::string, int> counts;
  for (int i = 0; i < 20'000; ++i) ++counts[set.host(set.pick(input, view, states.data())).locality().zone];
  for (auto& [zone, count] : counts) count = (count + 100) / 200;
  return counts;
}

std::vector<HostEntry> joined(std::initializer_list<std::vector<HostEntry>> lists) {
  std::vector<HostEntry> all;
  for (const auto& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

HostSet weighted(std::vector<HostEntry> hosts) {
  return HostSet(std::move(hosts), any_host(), nullptr, {.locality_weighted = true});
}

// field: LocalityLbEndpoints.load_balancing_weight, Cluster.CommonLbConfig.locality_weighted_lb_config
TEST(Localities, ShareByTheirWeightsHoweverManyHostsTheyHave) {
  const auto two = joined({hosts_in(locality("a", 1), 8), hosts_in(locality("b", 3), 2)});
  auto counts = zones(weighted(two));
  EXPECT_NEAR(counts["a"], 25, 2);
  EXPECT_NEAR(counts["b"], 75, 2);
  EXPECT_NEAR(zones(HostSet(two, any_host(), nullptr, {}))["a"], 80, 2);  // unless nobody has said so
}

// As published: a locality loses nothing until it has less than 1/1.4 of its hosts.
TEST(Localities, LoseWhatTheyLackInHealth) {
  auto counts = zones(weighted(joined({hosts_in(locality("a", 1), 2, 2), hosts_in(locality("b", 1), 10)})));
  EXPECT_NEAR(counts["a"], 41, 2);  // 0.7 of 1.7
  EXPECT_NEAR(zones(weighted(joined({hosts_in(locality("a", 1), 3, 1), hosts_in(locality("b", 1), 4)})))["a"], 50, 2);
  EXPECT_EQ(zones(weighted(joined({hosts_in(locality("a", 1), 0, 1), hosts_in(locality("b", 1), 4)})))["b"], 100);
}

TEST(Localities, WithoutAWeightTheyGetNothingUnlessNoneHasOne) {
  auto counts = zones(weighted(joined({hosts_in(locality("a", 0), 2), hosts_in(locality("b", 1), 2)})));
  EXPECT_EQ(counts["b"], 100);
  counts = zones(weighted(joined({hosts_in(locality("a", 0), 2), hosts_in(nullptr, 2)})));
  EXPECT_NEAR(counts["a"], 50, 2);
}

TEST(Localities, ARetryLeavesALocalityThatHasNoOtherHost) {
  const HostSet set(joined({hosts_in(locality("a", 1000), 1), hosts_in(locality("b", 1), 1)}), any_host(), nullptr,
                    {.locality_weighted = true});
  const Host* tried[] = {set.host(0).host.get()};
  EXPECT_EQ(zones(set, tried)["b"], 100);
}

// What a policy that goes by shares is given.
TEST(Localities, SharesAreOfTheLocalityAndOfTheHost) {
  std::vector<double> seen;
  PolicyDescriptor policy = any_host();
  policy.by_share = true;
  policy.build = [&](const BuildInput& input, const void*) {
    seen.assign(input.shares.begin(), input.shares.end());
    return std::make_unique<AnyHost>(input);
  };
  auto some =
      joined({hosts_in(locality("a", 1), 1), hosts_in(locality("b", 3), 2, 0, 5), hosts_in(locality("c", 0), 1)});
  some[1].weight = 10;
  (void)HostSet(some, policy, nullptr, {.locality_weighted = true});
  EXPECT_EQ(seen, (std::vector<double>{0.25, 0.5, 0.25}));
  (void)HostSet(some, policy, nullptr, {});
  EXPECT_EQ(seen, (std::vector<double>{1 / 17.0, 10 / 17.0, 5 / 17.0, 1 / 17.0}));
}

// A position of its own for each table: one that the others moved would pass over hosts of a longer one.
TEST(HostSet, TablesHaveStatesOfTheirOwn) {
  class Rotation final : public Table {
   public:
    explicit Rotation(const BuildInput& input) : usable_(input.usable.begin(), input.usable.end()) {}
    HostIndex pick(const PickInput&, LaneView&, LaneState& state) const noexcept override {
      if (state.position >= usable_.size()) state.position = 0;
      return usable_[state.position++];
    }

   private:
    std::vector<HostIndex> usable_;
  };
  PolicyDescriptor policy;
  policy.build = [](const BuildInput& input, const void*) { return std::make_unique<Rotation>(input); };
  const HostSet set(joined({hosts_in(locality("a", 1), 7), hosts_in(locality("b", 1), 2)}), policy, nullptr,
                    {.locality_weighted = true});
  EXPECT_EQ(set.lane_states(), 2u);
  Random random(1);
  std::vector<LaneView::PerHost> per_host(9);
  LaneView view(1, set.hosts(), per_host, 0, random);
  std::vector<LaneState> states(set.lane_states());
  std::vector<int> counts(9);
  for (int i = 0; i < 9000; ++i) ++counts[set.pick({}, view, states.data())];
  for (size_t i = 0; i < 7; ++i) EXPECT_NEAR(counts[i], 643, 60) << i;
}

TEST(LaneView, AllInFlight) {
  Host one(*net::Address::from_ip("10.0.0.1", 1), "a", "", 3);
  Host two(*net::Address::from_ip("10.0.0.1", 2), "b", "", 3);
  std::vector<HostEntry> entries(2);
  entries[0].host = std::shared_ptr<Host>(std::shared_ptr<Host>(), &one);
  entries[1].host = std::shared_ptr<Host>(std::shared_ptr<Host>(), &two);
  std::vector<LaneView::PerHost> per_host(2);
  LaneView::InAll in_all;
  Random random(1);
  one.add_active(2, 5);
  two.add_active(0, 2);
  two.add_active(1, 1);
  per_host[1].own = 1;
  in_all.own = 1;
  int64_t now = 10'000'000;
  EXPECT_EQ(LaneView(1, entries, per_host, now, random, &in_all).in_flight_in_all(), 8);
  EXPECT_EQ(LaneView(1, entries, per_host, now, random).in_flight_in_all(), 8);
  two.add_active(0, 2);
  EXPECT_EQ(LaneView(1, entries, per_host, now + 1'000'000, random, &in_all).in_flight_in_all(), 8);
  EXPECT_EQ(LaneView(1, entries, per_host, now + 1'000'001, random, &in_all).in_flight_in_all(), 10);
}

TEST(LaneView, OwnCountsAreExactAndOthersAMillisecondOld) {
  Host one(*net::Address::from_ip("10.0.0.1", 1), "a", "", 3);
  std::vector<HostEntry> entries(1);
  entries[0].host = std::shared_ptr<Host>(std::shared_ptr<Host>(), &one);
  std::vector<LaneView::PerHost> per_host(1);
  Random random(1);
  one.add_active(2, 5);
  one.add_active(1, 1);
  per_host[0].own = 1;
  int64_t now = 10'000'000;
  EXPECT_EQ(LaneView(1, entries, per_host, now, random).in_flight(0), 6);
  one.add_active(2, 1);
  EXPECT_EQ(LaneView(1, entries, per_host, now + 1'000'000, random).in_flight(0), 6);
  EXPECT_EQ(LaneView(1, entries, per_host, now + 1'000'001, random).in_flight(0), 7);
  EXPECT_EQ(one.active(), 7);
}

}  // namespace
}  // namespace weir::lb
