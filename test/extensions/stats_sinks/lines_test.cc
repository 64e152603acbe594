#include "extensions/stats_sinks/statsd/lines.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace weir::extensions::statsd {
namespace {

class LinesTest : public testing::Test {
 protected:
  // A flush: its datagrams.
  std::vector<std::string> flush(Lines& lines) {
    store_.flush_histograms();
    stats::Intervals since;
    const stats::Frozen frozen = store_.freeze();
    frozen.for_each_histogram([&](uint32_t cell) {
      if (const stats::HistogramSnapshot* interval = frozen.interval(cell)) since.emplace(cell, *interval);
    });
    std::vector<std::string> out;
    lines.write(frozen, since, [&](std::string_view datagram) { out.emplace_back(datagram); });
    return out;
  }
  stats::Store store_;
};

using Datagrams = std::vector<std::string>;

TEST_F(LinesTest, CountersAsWhatHasCome) {
  Lines lines({.prefix = "p"});
  const stats::Counter counter = store_.counter("cluster.a.upstream_rq_total");
  EXPECT_EQ(flush(lines), Datagrams{});
  counter.add(3);
  EXPECT_EQ(flush(lines), Datagrams{"p.cluster.a.upstream_rq_total:3|c"});
  EXPECT_EQ(flush(lines), Datagrams{});
  counter.add(2);
  EXPECT_EQ(flush(lines), Datagrams{"p.cluster.a.upstream_rq_total:2|c"});
  store_.reset_counters();
  EXPECT_EQ(flush(lines), Datagrams{});
  counter.inc();
  EXPECT_EQ(flush(lines), Datagrams{"p.cluster.a.upstream_rq_total:1|c"});
}

TEST_F(LinesTest, GaugesAsTheyAre) {
  Lines lines({.prefix = "p"});
  const stats::Gauge gauge = store_.gauge("server.open");
  gauge.add(-2);
  EXPECT_EQ(flush(lines), Datagrams{"p.server.open:-2|g"});
  EXPECT_EQ(flush(lines), Datagrams{"p.server.open:-2|g"});
  // Zero is news to whoever has heard something else, and said again: datagrams are lost.
  gauge.add(2);
  EXPECT_EQ(flush(lines), Datagrams{"p.server.open:0|g"});
  EXPECT_EQ(flush(lines), Datagrams{"p.server.open:0|g"});
}

TEST_F(LinesTest, WhatOtherProcessesCountTheySay) {
  Lines lines({.prefix = "p"});
  const stats::Counter counter = store_.counter("cluster.a.upstream_rq_total");
  const stats::Gauge gauge = store_.gauge("cluster.a.upstream_cx_active");
  store_.carry_counter("cluster.a.upstream_rq_total", "", {}, 1'000'000);
  store_.carry_counter("cluster.gone.upstream_rq_total", "", {}, 5);
  store_.carry_gauge(1, "cluster.a.upstream_cx_active", "", {}, 3);
  counter.add(2);
  gauge.add(1);
  EXPECT_EQ(flush(lines), (Datagrams{"p.cluster.a.upstream_cx_active:4|g", "p.cluster.a.upstream_rq_total:2|c"}));
  store_.carry_counter("cluster.a.upstream_rq_total", "", {}, 10);
  EXPECT_EQ(flush(lines), Datagrams{"p.cluster.a.upstream_cx_active:4|g"});
  store_.drop_carried_gauges(1);
  gauge.add(-1);
  EXPECT_EQ(flush(lines), Datagrams{"p.cluster.a.upstream_cx_active:0|g"});
  // The process that does not serve any more.
  stats::Frozen frozen = store_.freeze();
  frozen.leave_out_gauges();
  counter.inc();
  std::vector<std::string> said;
  lines.write(frozen, {}, [&](std::string_view datagram) { said.emplace_back(datagram); });
  EXPECT_EQ(said, Datagrams{"p.cluster.a.upstream_rq_total:1|c"});
}

TEST_F(LinesTest, HistogramsAsTheirBuckets) {
  Lines lines({.prefix = "p"});
  const stats::Histogram time = store_.histogram("time"), size = store_.histogram("size", stats::Unit::kBytes);
  for (int i = 0; i < 4; ++i) time.record(12);
  time.record(20);
  size.record(7);
  EXPECT_EQ(flush(lines), (Datagrams{"p.size:7|h", "p.time:12|ms|@0.25", "p.time:20|ms"}));
  EXPECT_EQ(flush(lines), Datagrams{});
}

TEST_F(LinesTest, TagsForThoseWhoKnowThem) {
  Lines lines({.prefix = "envoy", .tags = true});
  store_.counter("cluster.a.upstream_rq_503").inc();
  EXPECT_EQ(flush(lines), Datagrams{"envoy.cluster.upstream_rq:1|c|#envoy_response_code:503,envoy_cluster_name:a"});
}

TEST_F(LinesTest, NamesCannotForgeLines) {
  Lines lines({.prefix = "p"});
  store_.counter("a|b@c#d,e f").inc();
  EXPECT_EQ(flush(lines), Datagrams{"p.a_b_c_d_e_f:1|c"});
}

TEST_F(LinesTest, SeveralInADatagram) {
  Lines lines({.prefix = "p", .datagram_bytes = 20});
  for (const char* name : {"a", "b", "c", "d", "a.name.that.is.longer.than.that"}) store_.counter(name).inc();
  EXPECT_EQ(flush(lines),
            (Datagrams{"p.a:1|c", "p.a.name.that.is.longer.than.that:1|c", "p.b:1|c\np.c:1|c", "p.d:1|c"}));
}

TEST_F(LinesTest, TagsOfAllStatistics) {
  stats::Rules rules;
  rules.of_all = {{"team", "core"}};
  store_.set_rules(std::move(rules));
  Lines tagged({.prefix = "p", .tags = true}), plain({.prefix = "p"});
  store_.counter("a.total").inc();
  store_.counter("b.one.total", {{"name", "one"}}, "b.total").inc();
  EXPECT_EQ(flush(tagged), (Datagrams{"p.a.total:1|c|#team:core", "p.b.total:1|c|#name:one,team:core"}));
  EXPECT_EQ(flush(plain), (Datagrams{"p.a.total:1|c", "p.b.one.total:1|c"}));
}

}  // namespace
}  // namespace weir::extensions::statsd
