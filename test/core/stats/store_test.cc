#include "core/stats/store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "core/stats/code_counters.h"
#include "core/stats/dynamic.h"
#include "core/stats/lease.h"
#include "core/stats/reading.h"

namespace weir::stats {
namespace {

constexpr Definition kClusterDefinitions[] = {
    {"upstream_cx_total", Type::kCounter},
    {"upstream_cx_active", Type::kGauge},
    {"upstream_rq_time", Type::kHistogram, Unit::kMilliseconds},
    {"circuit_breakers.default.cx_open", Type::kGauge},
    {"upstream_rq_completed", Type::kCounter},
};
constexpr GroupKind kCluster{"cluster", "envoy_cluster_name", kClusterDefinitions};
constexpr Definition kListenerDefinitions[] = {{"downstream_cx_total", Type::kCounter},
                                               {"no_filter_chain_match", Type::kCounter}};
constexpr GroupKind kListener{"listener", "envoy_listener_address", kListenerDefinitions};
constexpr Definition kHttpDefinitions[] = {{"downstream_rq_total", Type::kCounter}};
constexpr GroupKind kListenerHttp{"listener", "envoy_listener_address", kHttpDefinitions};

std::vector<std::string> names_of(const Store& store) {
  std::vector<std::string> names;
  store.visit([&](const Sample& sample) { names.emplace_back(sample.name); });
  return names;
}

std::map<std::string, uint64_t> values_of(const Store& store) {
  std::map<std::string, uint64_t> values;
  store.visit([&](const Sample& sample) { values[std::string(sample.name)] = sample.value; });
  return values;
}

TEST(Store, SameThingSameGroupWhileHeld) {
  Store store;
  auto one = store.group(kCluster, "a");
  auto two = store.group(kCluster, "a");
  EXPECT_EQ(one, two);
  EXPECT_NE(store.group(kCluster, "b"), one);
  one->counter(0).inc();
  one.reset();
  EXPECT_EQ(two->counter(0).value(), 1u);
  two.reset();
  EXPECT_EQ(store.group(kCluster, "a")->counter(0).value(), 0u);
  EXPECT_EQ(names_of(store), (std::vector<std::string>{"stats.overflow"}));
}

TEST(Store, IsReadInSlicesWhileGroupsComeAndGo) {
  Store store;
  std::vector<std::shared_ptr<Group>> groups;
  for (int i = 0; i < 2500; ++i) {
    groups.push_back(store.group(kListenerHttp, "l" + std::to_string(i)));
    groups.back()->counter(0).add(static_cast<uint64_t>(i));
  }
  int refreshed = 0;
  Reading reading(store, [&] { return ++refreshed < 3; });
  int steps = 0;
  while (reading.step()) {
    if (++steps != 4) continue;  // the first slice of groups is through
    groups[1000].reset();        // "l1000" is in it: it is shown, and goes with what was read
    groups[999].reset();         // the last name of all
    groups.push_back(store.group(kListenerHttp, "z"));
  }
  EXPECT_EQ(refreshed, 3);
  EXPECT_GT(steps, 4);
  std::map<std::string, uint64_t> values;
  const auto read = std::make_unique<Frozen>(reading.take());
  read->visit([&](const Sample& sample) { values[std::string(sample.name)] = sample.value; });
  for (int i = 0; i < 2500; ++i) {
    const auto at = values.find("listener.l" + std::to_string(i) + ".downstream_rq_total");
    if (i == 999) {
      EXPECT_EQ(at, values.end());
    } else {
      ASSERT_NE(at, values.end()) << i;
      EXPECT_EQ(at->second, static_cast<uint64_t>(i));
    }
  }
  EXPECT_TRUE(values.contains("listener.z.downstream_rq_total"));
  EXPECT_TRUE(values.contains("stats.overflow"));
}

TEST(Store, ColonsBecomeUnderscores) {
  Store store;
  auto group = store.group(kListener, "[::1]:80");
  EXPECT_EQ(group->thing(), "[__1]_80");
  EXPECT_EQ(store.group(kListener, "[::1]:80"), group);
}

TEST(Store, SinglesAreKeptByNameAndType) {
  Store store;
  EXPECT_EQ(store.counter("x").cell_index(), store.counter("x").cell_index());
  EXPECT_NE(store.counter("x").cell_index(), store.gauge("x").cell_index());
}

TEST(Lease, SinglesGoWithTheLastLeaseOfTheirName) {
  Store store;
  const auto ask = [&](Lease* lease) {
    const Noting noting(store, lease);
    return store.counter("f.v1.ok");
  };
  Lease before, after;
  ask(&before).add(2);
  // As a reload does it: the new configuration asks before the old one goes.
  ask(&after).inc();
  before = {};
  EXPECT_EQ(values_of(store)["f.v1.ok"], 3u);
  after = {};
  EXPECT_EQ(names_of(store), (std::vector<std::string>{"stats.overflow"}));
  ask(&before);
  EXPECT_EQ(values_of(store).at("f.v1.ok"), 0u) << "a name that comes back begins anew";
  store.reset_counters();
  before = {};
  ask(&before).inc();
  EXPECT_EQ(values_of(store)["f.v1.ok"], 1u);
}

TEST(Lease, TheInnermostCountsAndWithoutOneASingleStays) {
  Store store;
  Lease outer, inner;
  {
    const Noting noting(store, &outer);
    store.gauge("outer").set(1);
    {
      const Noting below(store, &inner);
      store.counter("inner");
    }
    {
      const Noting for_ever(store, nullptr);
      store.counter("of the process");
    }
    store.counter("outer too");
    store.counter("asked for outside of it");
  }
  store.counter("asked for outside of it");
  inner = {};
  EXPECT_EQ(names_of(store), (std::vector<std::string>{"asked for outside of it", "of the process", "outer",
                                                       "outer too", "stats.overflow"}));
  outer = {};
  EXPECT_EQ(names_of(store), (std::vector<std::string>{"asked for outside of it", "of the process", "stats.overflow"}));
}

TEST(Lease, GoesBehindWhatIsBuiltWithIt) {
  Store store;
  struct Config {
    Counter at_end;
    uint64_t& last;
    ~Config() {
      at_end.inc();
      last = at_end.value();
    }
  };
  uint64_t last = 0;
  std::shared_ptr<const Config> config;
  {
    Lease lease;
    {
      const Noting noting(store, &lease);
      config = std::make_shared<const Config>(store.counter("ends"), last);
    }
    config = with_lease(std::move(config), std::move(lease));
  }
  config->at_end.inc();
  EXPECT_EQ(values_of(store)["ends"], 1u);
  config.reset();
  EXPECT_EQ(last, 2u);
  EXPECT_FALSE(values_of(store).contains("ends"));
}

TEST(Lease, WhoReadsKeepsTheSingle) {
  Store store;
  Lease lease;
  {
    const Noting noting(store, &lease);
    store.counter("read").add(5);
    store.histogram("time").record(7);
  }
  store.flush_histograms();
  auto frozen = std::make_unique<const Frozen>(store.freeze());
  lease = {};
  std::map<std::string, uint64_t> values;
  uint32_t cell = 0;
  frozen->visit([&](const Sample& sample) {
    values[std::string(sample.name)] = sample.value;
    if (sample.type == Type::kHistogram) cell = sample.cell;
  });
  EXPECT_EQ(values["read"], 5u);
  EXPECT_EQ(values["time"], 1u);
  ASSERT_NE(store.interval(cell), nullptr);
  frozen.reset();
  EXPECT_EQ(names_of(store), (std::vector<std::string>{"stats.overflow"}));
  EXPECT_EQ(store.interval(cell), nullptr);
  EXPECT_EQ(read_histogram(cell).count, 0u);
}

TEST(Store, VisitsInNameOrderAcrossGroupsAndSingles) {
  Store store;
  auto a = store.group(kCluster, "a");
  auto a_b = store.group(kCluster, "a-b");             // '-' sorts before '.'
  auto a_dot = store.group(kCluster, "a.upstream_d");  // its names fall between those of "a"
  auto listener = store.group(kListener, "l");
  auto http = store.group(kListenerHttp, "l.http.web");  // so do these
  store.counter("cluster.a.cc");
  store.counter("aaa");
  store.counter("zzz");
  store.dynamic_counter(*a, "upstream_rq_200").inc();
  store.dynamic_counter(*a, "aardvark").inc();
  std::vector<std::string> names = names_of(store);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(names.size(), 3 * std::size(kClusterDefinitions) + 2 + 1 + 3 + 2 + 1);
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TEST(Store, ResetLeavesGaugesAlone) {
  Store store;
  auto group = store.group(kCluster, "a");
  Counter dynamic = store.dynamic_counter(*group, "upstream_rq_200");
  Counter single = store.counter("single");
  group->counter(0).add(3);
  group->gauge(1).add(4);
  dynamic.add(5);
  single.add(6);
  store.reset_counters();
  auto values = values_of(store);
  EXPECT_EQ(values["cluster.a.upstream_cx_total"], 0u);
  EXPECT_EQ(values["cluster.a.upstream_cx_active"], 4u);
  EXPECT_EQ(values["cluster.a.upstream_rq_200"], 0u);
  EXPECT_EQ(values["single"], 0u);
  group->counter(0).inc();
  dynamic.inc();
  EXPECT_EQ(values_of(store)["cluster.a.upstream_cx_total"], 1u);
  EXPECT_EQ(values_of(store)["cluster.a.upstream_rq_200"], 1u);
}

TEST(Store, DynamicCountersAreBounded) {
  Store store;
  auto group = store.group(kCluster, "a");
  for (size_t i = 0; i < Store::kMaxDynamic + 7; ++i) store.dynamic_counter(*group, "n" + std::to_string(i)).inc();
  store.dynamic_counter(*group, "n0").inc();
  auto values = values_of(store);
  EXPECT_EQ(values["stats.overflow"], 7u);
  EXPECT_EQ(values["cluster.a.n0"], 2u);
  EXPECT_EQ(store.dynamic_counter(*group, "upstream_cx_total").cell_index(), group->counter(0).cell_index());
}

TEST(Store, FamiliesOfDynamicNames) {
  Store store;
  auto group = store.group(kCluster, "a");
  for (size_t i = 0; i < kMaxOfPeers + 3; ++i)
    dynamic_counter(*group, Family::kOfPeers, "grpc.peer" + std::to_string(i)).inc();
  dynamic_counter(*group, Family::kOfPeers, "grpc.peer0").add(2);
  EXPECT_EQ(values_of(store)["stats.overflow"], 3u);
  // Nobody else has lost room by that.
  for (size_t i = 0; i < kMaxOfPeers + 3; ++i)
    dynamic_counter(*group, Family::kConfigured, "grpc.ours" + std::to_string(i)).inc();
  for (size_t i = 0; i < Store::kMaxDynamic; ++i) store.dynamic_counter(*group, "n" + std::to_string(i)).inc();
  auto values = values_of(store);
  EXPECT_EQ(values["stats.overflow"], 3u);
  EXPECT_EQ(values["cluster.a.grpc.peer0"], 3u);
  EXPECT_EQ(values["cluster.a.grpc.ours" + std::to_string(kMaxOfPeers + 2)], 1u);
  EXPECT_EQ(values["cluster.a.n1023"], 1u);
  std::vector<std::string> names = names_of(store);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
}

// What is shown is not quite the name that was asked for; it is the same statistic all the same.
TEST(Store, DynamicNamesWithColons) {
  Store store;
  auto group = store.group(kCluster, "a");
  const Counter one = dynamic_counter(*group, Family::kOfPeers, "grpc.a:b");
  EXPECT_EQ(dynamic_counter(*group, Family::kOfPeers, "grpc.a:b").cell_index(), one.cell_index());
  const Counter other = store.dynamic_counter(*group, "c:d");
  EXPECT_EQ(store.dynamic_counter(*group, "c:d").cell_index(), other.cell_index());
  EXPECT_TRUE(values_of(store).contains("cluster.a.c_d"));
}

TEST(Store, DynamicHistograms) {
  Store store;
  auto group = store.group(kCluster, "a");
  Histogram histogram = dynamic_histogram(*group, Family::kConfigured, "grpc.time");
  EXPECT_EQ(dynamic_histogram(*group, Family::kConfigured, "grpc.time").cell_index(), histogram.cell_index());
  histogram.record(10);
  histogram.record(20);
  bool seen = false;
  store.visit([&](const Sample& sample) {
    if (sample.name != "cluster.a.grpc.time") return;
    seen = true;
    EXPECT_EQ(sample.type, Type::kHistogram);
    EXPECT_EQ(sample.unit, Unit::kMilliseconds);
    EXPECT_EQ(sample.value, 2u);
    EXPECT_TRUE(sample.used);
  });
  EXPECT_TRUE(seen);
  store.reset_counters();
  store.flush_histograms();
  ASSERT_NE(store.interval(histogram.cell_index()), nullptr);
  EXPECT_EQ(store.interval(histogram.cell_index())->count, 2u);
  size_t found = 0;
  store.freeze().for_each_histogram([&](uint32_t cell) { found += cell == histogram.cell_index(); });
  EXPECT_EQ(found, 1u);
  // The name is taken: nothing of another kind counts there.
  dynamic_counter(*group, Family::kConfigured, "grpc.time").inc();
  EXPECT_EQ(read_histogram(histogram.cell_index()).count, 2u);
  // Full: into nowhere.
  for (size_t i = 0; i < kMaxOfPeers; ++i) dynamic_counter(*group, Family::kOfPeers, "grpc.peer" + std::to_string(i));
  dynamic_histogram(*group, Family::kOfPeers, "grpc.more").record(1);
  EXPECT_FALSE(values_of(store).contains("cluster.a.grpc.more"));
  const uint32_t cell = histogram.cell_index();
  group.reset();
  EXPECT_EQ(store.interval(cell), nullptr);
  EXPECT_EQ(read_histogram(cell).count, 0u);
}

TEST(Store, HistogramIntervals) {
  Store store;
  auto group = store.group(kCluster, "a");
  Histogram histogram = group->histogram(2);
  EXPECT_EQ(store.interval(histogram.cell_index()), nullptr);
  histogram.record(10);
  store.flush_histograms();
  ASSERT_NE(store.interval(histogram.cell_index()), nullptr);
  EXPECT_EQ(store.interval(histogram.cell_index())->count, 1u);
  store.flush_histograms();
  EXPECT_EQ(store.interval(histogram.cell_index()), nullptr);
}

TEST(CodeCounters, CountCodesClassesAndAll) {
  Store store;
  auto group = store.group(kCluster, "a");
  CodeCounters codes(*group, "upstream_rq");
  for (int i = 0; i < 3; ++i) codes.inc(200);
  codes.inc(204);
  codes.inc(599);
  codes.inc(100);
  codes.inc(99);
  codes.inc(600);
  auto values = values_of(store);
  EXPECT_EQ(values["cluster.a.upstream_rq_200"], 3u);
  EXPECT_EQ(values["cluster.a.upstream_rq_204"], 1u);
  EXPECT_EQ(values["cluster.a.upstream_rq_2xx"], 4u);
  EXPECT_EQ(values["cluster.a.upstream_rq_599"], 1u);
  EXPECT_EQ(values["cluster.a.upstream_rq_1xx"], 1u);
  EXPECT_EQ(values["cluster.a.upstream_rq_completed"], 8u);
  EXPECT_EQ(group->counter(4).value(), 8u);  // the group defines "completed": no second one
  EXPECT_EQ(values.count("cluster.a.upstream_rq_4xx"), 0u);

  CodeCounters classes(*group, "internal.upstream_rq", CodeCounters::Detail::kClasses);
  classes.inc(503);
  values = values_of(store);
  EXPECT_EQ(values["cluster.a.internal.upstream_rq_5xx"], 1u);
  EXPECT_EQ(values.count("cluster.a.internal.upstream_rq_503"), 0u);
}

// What lanes and main do to a store at the same time; meant for ThreadSanitizer.
TEST(Store, WorkersCountWhileMainReads) {
  constexpr int kThreads = 3;
  constexpr int kEach = 3000;
  Store store;
  auto group = store.group(kCluster, "a");
  CodeCounters codes(*group, "upstream_rq");
  std::atomic<int> running{kThreads};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kEach; ++n) {
        codes.inc(200 + n % 300);
        group->counter(0).inc();
        group->histogram(2).record(static_cast<uint64_t>(n));
      }
      --running;
    });
  }
  while (running > 0) {
    store.flush_histograms();
    names_of(store);
    auto passing = store.group(kCluster, "b");  // cells that come and go
    passing->counter(0).inc();
    passing->histogram(2).record(1);
    store.dynamic_counter(*passing, "upstream_rq_200").inc();
  }
  for (std::thread& thread : threads) thread.join();
  auto values = values_of(store);
  EXPECT_EQ(values["cluster.a.upstream_rq_completed"], uint64_t{kThreads} * kEach);
  EXPECT_EQ(
      values["cluster.a.upstream_rq_2xx"] + values["cluster.a.upstream_rq_3xx"] + values["cluster.a.upstream_rq_4xx"],
      uint64_t{kThreads} * kEach);
  EXPECT_EQ(values["cluster.a.upstream_rq_200"], uint64_t{kThreads} * kEach / 300);
  EXPECT_EQ(values["cluster.a.upstream_rq_time"], uint64_t{kThreads} * kEach);
}

// What another process has counted: added where this one has the statistic, shown by itself where it has not.
TEST(Store, CarriedFromAnotherProcess) {
  Store store;
  auto group = store.group(kCluster, "a");
  group->counter(0).add(5);
  group->gauge(1).add(2);
  store.carry_counter("cluster.a.upstream_cx_total", "cluster.upstream_cx_total", {{"envoy_cluster_name", "a"}}, 10);
  store.carry_counter("cluster.a.upstream_cx_total", "cluster.upstream_cx_total", {{"envoy_cluster_name", "a"}}, 1);
  store.carry_counter("cluster.gone.upstream_cx_total", "cluster.upstream_cx_total", {{"envoy_cluster_name", "gone"}},
                      7);
  store.carry_counter("a.first", "a.first", {}, 3);
  store.carry_counter("z.last", "z.last", {}, 4);
  store.carry_gauge(1, "cluster.a.upstream_cx_active", "cluster.upstream_cx_active", {}, 3);
  store.carry_gauge(2, "cluster.a.upstream_cx_active", "cluster.upstream_cx_active", {}, 4);
  auto values = values_of(store);
  EXPECT_EQ(values["cluster.a.upstream_cx_total"], 16u);
  EXPECT_EQ(values["cluster.a.upstream_cx_active"], 9u);
  EXPECT_EQ(values["cluster.gone.upstream_cx_total"], 7u);
  EXPECT_EQ(values["a.first"], 3u);
  EXPECT_EQ(values["z.last"], 4u);
  const std::vector<std::string> names = names_of(store);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  store.drop_carried_gauges(1);
  EXPECT_EQ(values_of(store)["cluster.a.upstream_cx_active"], 6u);
  store.reset_counters();
  values = values_of(store);
  EXPECT_EQ(values["cluster.a.upstream_cx_total"], 0u);
  EXPECT_EQ(values["z.last"], 0u);
}

// What is left out is not there, whoever counts it, and costs no more than what is.
TEST(Store, WhatTheRulesLeaveOut) {
  Store store;
  const Counter early = store.counter("server.early");
  auto old = store.group(kListener, "old");
  early.inc();
  Rules rules;
  rules.leaves_out = [](std::string_view name) {
    return name == "server.early" || name.starts_with("listener.") || name.ends_with("rq_time") ||
           name.ends_with("upstream_cx_total") || name.ends_with("_404") || name.ends_with("secret");
  };
  store.set_rules(std::move(rules));
  store.set_rules({});  // too late
  auto group = store.group(kCluster, "a");
  group->counter(0).inc();
  group->gauge(1).set(3);
  group->histogram(2).record(7);
  const CodeCounters codes(*group, "upstream_rq");
  codes.inc(404);
  codes.inc(404);
  codes.inc(200);
  dynamic_counter(*group, Family::kConfigured, "x.secret").inc();
  dynamic_histogram(*group, Family::kConfigured, "y.secret").record(1);
  store.counter("my.secret").inc();
  store.histogram("its.secret").record(1);
  store.carry_counter("old.secret", "old.secret", {}, 7);
  EXPECT_EQ(names_of(store), (std::vector<std::string>{"cluster.a.circuit_breakers.default.cx_open",
                                                       "cluster.a.upstream_cx_active", "cluster.a.upstream_rq_200",
                                                       "cluster.a.upstream_rq_2xx", "cluster.a.upstream_rq_4xx",
                                                       "cluster.a.upstream_rq_completed", "stats.overflow"}));
  EXPECT_EQ(values_of(store)["cluster.a.upstream_rq_4xx"], 2u);
  EXPECT_EQ(values_of(store)["cluster.a.upstream_cx_active"], 3u);
  // Who has one keeps it, and does not come back for it.
  EXPECT_NE(store.dynamic_counter(*group, "upstream_rq_404").cell_index(), 0u);
  EXPECT_NE(dynamic_histogram(*group, Family::kConfigured, "y.secret").cell_index(), 0u);
  EXPECT_EQ(group->histogram(2).cell_index(), 0u);
  store.flush_histograms();
  store.reset_counters();
  EXPECT_EQ(values_of(store)["cluster.a.upstream_rq_4xx"], 0u);
}

TEST(Store, TagsAndBucketsByTheRules) {
  Store store;
  Rules rules;
  rules.tag = [](std::string_view name, Tagged& tagged) {
    tagged.tags.push_back({"whole", std::string(name)});
    tagged.name += "!";
  };
  static constexpr double kBounds[] = {1, 2};
  rules.bounds = [](std::string_view name) {
    return name.starts_with("cluster.a.") ? std::span<const double>(kBounds) : std::span<const double>();
  };
  store.set_rules(std::move(rules));
  auto group = store.group(kListener, "l");
  store.counter("single");
  std::vector<std::string> seen;
  store.visit([&](const Sample& sample) {
    std::string text(sample.tagged);
    for (const Tag& tag : sample.tags) text += " " + tag.name + "=" + tag.value;
    seen.push_back(text);
  });
  EXPECT_EQ(seen, (std::vector<std::string>{
                      "listener.downstream_cx_total! envoy_listener_address=l whole=listener.l.downstream_cx_total",
                      "listener.no_filter_chain_match! envoy_listener_address=l whole=listener.l.no_filter_chain_match",
                      "single! whole=single", "stats.overflow! whole=stats.overflow"}));
  constexpr double kUsual[] = {5};
  const Frozen frozen = store.freeze();
  EXPECT_EQ(frozen.bounds("cluster.a.x", kUsual).size(), 2u);
  EXPECT_EQ(frozen.bounds("cluster.b.x", kUsual).front(), 5);
}

}  // namespace
}  // namespace weir::stats
