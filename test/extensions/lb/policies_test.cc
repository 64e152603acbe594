// The tables of the balancing policies: pure data, tested without a proxy.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "extensions/lb/least_request/least_request.h"
#include "extensions/lb/round_robin/round_robin.h"
#include "test/extensions/lb/balancing.h"
#include "test/support/seed.h"

namespace weir::lb {
namespace {

// --- Round robin

TEST(RoundRobin, EveryHostInTurn) {
  Balancing b({1, 1, 1, 1, 1});
  auto table = extensions::round_robin::build(b.input());
  HostIndex first = b.pick(*table);
  for (uint32_t i = 1; i <= 50; ++i) EXPECT_EQ(b.pick(*table), (first + i) % 5);
}

TEST(RoundRobin, SharesAreExactAndSmooth) {
  test::for_each_seed(50, [](uint64_t seed) {
    Random random(seed);
    std::vector<uint32_t> weights;
    uint32_t total = 0;
    for (uint32_t i = 0, count = 1 + random.below(8); i < count; ++i) {
      weights.push_back(1 + random.below(12));
      total += weights.back();
    }
    Balancing b(weights, seed);
    auto table = extensions::round_robin::build(b.input());
    std::vector<uint32_t> counts(weights.size());
    std::vector<HostIndex> order;
    for (uint32_t i = 0; i < total; ++i) {
      order.push_back(b.pick(*table));
      ++counts[order.back()];
    }
    EXPECT_EQ(counts, weights);  // one rotation from wherever it began
    // Smooth: in any stretch of a rotation a host gets its share, give or take less than two.
    std::vector<double> seen(weights.size());
    for (uint32_t i = 0; i < total; ++i) {
      ++seen[order[i]];
      for (size_t h = 0; h < weights.size(); ++h) {
        EXPECT_NEAR(seen[h], static_cast<double>(weights[h]) * (i + 1) / total, 2.0);
      }
    }
  });
}

// Credit for everyone, the richest is next and pays: what the table must equal, from wherever a lane begins.
std::vector<HostIndex> smooth_order(const std::vector<uint32_t>& weights) {
  std::vector<int64_t> credit(weights.size());
  int64_t total = 0;
  for (uint32_t weight : weights) total += weight;
  std::vector<HostIndex> order;
  for (int64_t i = 0; i < total; ++i) {
    for (size_t h = 0; h < weights.size(); ++h) credit[h] += weights[h];
    auto next = std::max_element(credit.begin(), credit.end());
    *next -= total;
    order.push_back(static_cast<HostIndex>(next - credit.begin()));
  }
  return order;
}

bool is_rotation(const std::vector<HostIndex>& of, const std::vector<HostIndex>& order) {
  if (of.size() != order.size()) return false;
  std::vector<HostIndex> twice = of;
  twice.insert(twice.end(), of.begin(), of.end());
  return std::search(twice.begin(), twice.end(), order.begin(), order.end()) != twice.end();
}

TEST(RoundRobin, TheHeavyOneIsSpreadBetweenTheOthers) {
  EXPECT_EQ(smooth_order({5, 1, 1}), (std::vector<HostIndex>{0, 0, 1, 0, 2, 0, 0}));
  Balancing b({5, 1, 1});
  auto table = extensions::round_robin::build(b.input());
  std::vector<HostIndex> order;
  for (int i = 0; i < 7; ++i) order.push_back(b.pick(*table));
  EXPECT_TRUE(is_rotation({0, 0, 1, 0, 2, 0, 0}, order)) << ::testing::PrintToString(order);
}

TEST(RoundRobin, OrderIsThatOfCredits) {
  test::for_each_seed(50, [](uint64_t seed) {
    Random random(seed);
    std::vector<uint32_t> weights = {1};  // so that no common divisor shortens the rotation
    for (uint32_t i = 0, count = 1 + random.below(12); i < count; ++i) weights.push_back(1 + random.below(9));
    Balancing b(weights, seed);
    auto table = extensions::round_robin::build(b.input());
    std::vector<HostIndex> expected = smooth_order(weights), order;
    for (size_t i = 0; i < expected.size(); ++i) order.push_back(b.pick(*table));
    EXPECT_TRUE(is_rotation(expected, order)) << ::testing::PrintToString(order);
  });
}

// The rotation of 500,000 places that this would take is shortened: shares are right to half a place, or at least one.
TEST(RoundRobin, ManyHostsOfManyWeightsShareAShortRotation) {
  Random random(7);
  std::vector<uint32_t> weights;
  uint64_t total = 0;
  for (int i = 0; i < 1000; ++i) {
    weights.push_back(1 + random.below(1000));
    total += weights.back();
  }
  Balancing b(weights);
  auto table = extensions::round_robin::build(b.input());
  // After one rotation everything comes again: it is not longer than it may be.
  std::vector<HostIndex> order;
  for (int i = 0; i < 2 * 67'000; ++i) order.push_back(b.pick(*table));
  size_t length = 65'000;
  while (length < 67'000 && !std::equal(order.begin(), order.begin() + 2000, order.begin() + length)) ++length;
  ASSERT_LT(length, 67'000u);
  std::vector<double> counts(weights.size());
  for (size_t i = 0; i < length; ++i) ++counts[order[i]];
  for (size_t h = 0; h < weights.size(); ++h) {
    double share = static_cast<double>(weights[h]) * 65'536 / static_cast<double>(total);
    EXPECT_NEAR(counts[h], std::max(1.0, share), 0.51) << weights[h];
  }
}

TEST(RoundRobin, LanesBeginAtDifferentPlaces) {
  Balancing b(std::vector<uint32_t>(100, 1));
  auto table = extensions::round_robin::build(b.input());
  std::map<HostIndex, int> firsts;
  for (int i = 0; i < 2000; ++i) {
    b.forget_position();
    ++firsts[b.pick(*table)];
  }
  EXPECT_GT(firsts.size(), 90u);
}

TEST(RoundRobin, AvoidsTriedHostsWhileThereAreOthers) {
  Balancing b({1, 5, 1});
  auto table = extensions::round_robin::build(b.input());
  const Host* tried[] = {b.host(1), b.host(2)};
  for (int i = 0; i < 50; ++i) EXPECT_EQ(b.pick(*table, tried), 0u);
  const Host* all[] = {b.host(0), b.host(1), b.host(2)};
  EXPECT_NE(b.pick(*table, all), kNoHost);
}

TEST(RoundRobin, HugeWeightsKeepTheirProportionAndEverybodyAPlace) {
  Balancing b({4'000'000'000u, 2'000'000'000u, 1});
  auto table = extensions::round_robin::build(b.input());
  std::map<HostIndex, int> counts;
  for (int i = 0; i < 200'000; ++i) ++counts[b.pick(*table)];
  EXPECT_NEAR(static_cast<double>(counts[0]) / counts[1], 2.0, 0.05);
  EXPECT_GT(counts[2], 0);
}

TEST(RoundRobin, OnlyUsableHosts) {
  Balancing b({1, 1, 1, 1});
  b.use_only({1, 3});
  auto table = extensions::round_robin::build(b.input());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(b.pick(*table) % 2, 1u);
}

// --- Least request

TEST(LeastRequest, FullScanFindsTheIdleOne) {
  Balancing b({1, 1, 1, 1, 1, 1});
  auto table = extensions::least_request::build(b.input(), {.choice_count = 2, .full_scan = true});
  for (HostIndex i = 0; i < 6; ++i) b.set_in_flight(i, 5);
  b.set_in_flight(4, 1);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(b.pick(*table), 4u);
}

TEST(LeastRequest, EqualHostsGetEqualShares) {
  for (bool full_scan : {false, true}) {
    Balancing b(std::vector<uint32_t>(10, 1));
    auto table = extensions::least_request::build(b.input(), {.choice_count = 2, .full_scan = full_scan});
    std::map<HostIndex, int> counts;
    for (int i = 0; i < 20'000; ++i) ++counts[b.pick(*table)];
    for (HostIndex i = 0; i < 10; ++i) EXPECT_NEAR(counts[i], 2000, 300);
  }
}

// Two choices keep the load level: the fullest of 50 hosts stays near the mean.
TEST(LeastRequest, KeepsQueuesLevel) {
  Balancing b(std::vector<uint32_t>(50, 1));
  auto table = extensions::least_request::build(b.input(), {});
  for (int i = 0; i < 5000; ++i) {
    HostIndex index = b.pick(*table);
    b.set_in_flight(index, b.in_flight(index) + 1);
  }
  for (HostIndex i = 0; i < 50; ++i) EXPECT_NEAR(b.in_flight(i), 100, 6);
}

TEST(LeastRequest, WeightsCount) {
  Balancing b({1, 3});
  auto table = extensions::least_request::build(b.input(), {.choice_count = 2, .full_scan = true});
  for (int i = 0; i < 400; ++i) {
    HostIndex index = b.pick(*table);
    b.set_in_flight(index, b.in_flight(index) + 1);
  }
  EXPECT_NEAR(b.in_flight(1), 300, 5);
}

// Hosts that have nothing to do share requests by weight: with one request at a time the heaviest is not the only one.
TEST(LeastRequest, IdleHostsShareByWeight) {
  for (const uint32_t choices : {2u, 5u}) {
    Balancing b({1, 2, 5});
    auto table = extensions::least_request::build(b.input(), {.choice_count = choices});
    std::map<HostIndex, int> counts;
    for (int i = 0; i < 8000; ++i) ++counts[b.pick(*table)];
    EXPECT_NEAR(counts[0], 1000, 150) << choices;
    EXPECT_NEAR(counts[1], 2000, 200) << choices;
    EXPECT_NEAR(counts[2], 5000, 300) << choices;
  }
}

// Few clients and hosts that take the same time: shares by weight, neither those of the heaviest alone nor an even
// split.
TEST(LeastRequest, FewRequestsAtATimeShareByWeight) {
  for (const uint32_t weight : {4u, 99u}) {
    for (const size_t clients : {1u, 2u, 4u, 8u}) {
      Balancing b({1, weight});
      auto table = extensions::least_request::build(b.input(), {});
      int light = 0;
      std::deque<HostIndex> under_way;
      constexpr int kRequests = 20'000;
      for (int i = 0; i < kRequests; ++i) {
        if (under_way.size() == clients) {
          b.set_in_flight(under_way.front(), b.in_flight(under_way.front()) - 1);
          under_way.pop_front();
        }
        under_way.push_back(b.pick(*table));
        light += under_way.back() == 0 ? 1 : 0;
        b.set_in_flight(under_way.back(), b.in_flight(under_way.back()) + 1);
      }
      const double share = static_cast<double>(kRequests) / (1 + weight);
      EXPECT_GT(light, share * 0.5) << weight << " " << clients;
      EXPECT_LT(light, share * 1.5) << weight << " " << clients;
    }
  }
}

TEST(LeastRequest, AvoidsTriedHostsWhileThereAreOthers) {
  for (size_t count : {2, 3, 20}) {
    Balancing b(std::vector<uint32_t>(count, 1));
    auto table = extensions::least_request::build(b.input(), {});
    std::vector<const Host*> tried;
    for (HostIndex i = 0; i + 1 < count; ++i) tried.push_back(b.host(i));
    for (int i = 0; i < 50; ++i) EXPECT_EQ(b.pick(*table, tried), count - 1);
    tried.push_back(b.host(static_cast<HostIndex>(count - 1)));
    EXPECT_NE(b.pick(*table, tried), kNoHost);
  }
}

}  // namespace
}  // namespace weir::lb
