// Priorities, panic and degraded hosts, with a policy that only records what it was given.
#include "core/lb/host_set.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

namespace weir::lb {
namespace {

class First final : public Table {
 public:
  explicit First(const BuildInput& input) : usable_(input.usable.begin(), input.usable.end()) {}
  HostIndex pick(const PickInput&, LaneView& view, LaneState&) const noexcept override {
    return usable_[view.random.below(static_cast<uint32_t>(usable_.size()))];
  }

 private:
  std::vector<HostIndex> usable_;
};

PolicyDescriptor any_host() {
  PolicyDescriptor policy;
  policy.build = [](const BuildInput& input, const void*) { return std::make_unique<First>(input); };
  return policy;
}

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
  LaneState state;
  std::map<std::pair<int, Health>, int> counts;
  for (int i = 0; i < 20'000; ++i) {
    HostIndex index = set.pick(input, view, state);
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
  EXPECT_EQ((picks(set)[{0, Health::kUnhealthy}]), 100);
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
  EXPECT_EQ((picks(none, {0})[{0, Health::kUnhealthy}]), 100);
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
