#include "core/stats/render.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "core/stats/code_counters.h"

namespace weir::stats {
namespace {

constexpr Definition kClusterDefinitions[] = {
    {"upstream_cx_total", Type::kCounter},
    {"upstream_cx_active", Type::kGauge},
    {"upstream_rq_time", Type::kHistogram, Unit::kMilliseconds},
};
constexpr GroupKind kCluster{"cluster", "envoy_cluster_name", kClusterDefinitions};
constexpr Definition kListenerHttpDefinitions[] = {{"downstream_rq_2xx", Type::kCounter},
                                                   {"downstream_rq_completed", Type::kCounter}};
constexpr GroupKind kListenerHttp{"listener", "envoy_listener_address", kListenerHttpDefinitions};

TEST(RenderText, SortedWithHistogramsLast) {
  Store store;
  auto group = store.group(kCluster, "x");
  group->counter(0).add(3);
  group->gauge(1).add(-2);
  for (uint64_t i = 1; i <= 100; ++i) group->histogram(2).record(i / 2);
  store.histogram("a_histogram");
  EXPECT_EQ(
      render_text(store, {}),
      "cluster.x.upstream_cx_active: -2\n"
      "cluster.x.upstream_cx_total: 3\n"
      "stats.overflow: 0\n"
      "a_histogram: No recorded values\n"
      "cluster.x.upstream_rq_time: P0(nan,0) P25(nan,12) P50(nan,25) P75(nan,37) P90(nan,45) P95(nan,47) P99(nan,49) "
      "P99.5(nan,50) P99.9(nan,50) P100(nan,50)\n");
  store.flush_histograms();
  RenderOptions used{.used_only = true};
  EXPECT_EQ(render_text(store, used),
            "cluster.x.upstream_cx_active: -2\n"
            "cluster.x.upstream_cx_total: 3\n"
            "cluster.x.upstream_rq_time: P0(0,0) P25(12,12) P50(25,25) P75(37,37) P90(45,45) P95(47,47) P99(49,49) "
            "P99.5(50,50) P99.9(50,50) P100(50,50)\n");
  RenderOptions filtered{.filter = [](std::string_view name) { return name.ends_with("_total"); }};
  EXPECT_EQ(render_text(store, filtered), "cluster.x.upstream_cx_total: 3\n");
}

TEST(RenderJson, PublishedShape) {
  Store store;
  EXPECT_EQ(render_json(store, {}), R"({"stats":[{"name":"stats.overflow","value":0}]})");
  auto group = store.group(kCluster, "q\"\\");
  group->histogram(2).record(7);
  RenderOptions used{.used_only = true};
  std::string values;
  for (int i = 0; i < 10; ++i) values += std::string(i > 0 ? "," : "") + R"({"cumulative":7,"interval":null})";
  EXPECT_EQ(
      render_json(store, used),
      R"({"stats":[{"histograms":{"supported_quantiles":[0,25,50,75,90,95,99,99.5,99.9,100],"computed_quantiles":[)"
      R"({"name":"cluster.q\"\\.upstream_rq_time","values":[)" +
          values + "]}]}}]}");
}

TEST(RenderDetailed, BucketsAndQuantiles) {
  Store store;
  auto group = store.group(kCluster, "x");
  for (uint64_t value : {7, 7, 100}) group->histogram(2).record(value);
  store.flush_histograms();
  group->histogram(2).record(7);
  RenderOptions options{.used_only = true, .buckets = RenderOptions::Buckets::kDetailed};
  EXPECT_EQ(render_text(store, options),
            "cluster.x.upstream_rq_time:\n"
            "  totals=7,1:3, 100,2:1\n"
            "  intervals=7,1:2, 100,2:1\n"
            "  summary=P0(7,7) P25(7,7) P50(7,7) P75(100,7) P90(100,100) P95(100,100) P99(100,100) P99.5(100,100) "
            "P99.9(100,100) P100(100,100)\n");
  const std::string json = render_json(store, options);
  EXPECT_TRUE(json.starts_with(
      R"({"stats":[{"histograms":{"supported_percentiles":[0,25,50,75,90,95,99,99.5,99.9,100],"details":[)"
      R"({"name":"cluster.x.upstream_rq_time","totals":[{"lower_bound":7,"width":1,"count":3},)"
      R"({"lower_bound":100,"width":2,"count":1}],"intervals":[{"lower_bound":7,"width":1,"count":2},)"
      R"({"lower_bound":100,"width":2,"count":1}],"percentiles":[{"cumulative":7,"interval":7},)"))
      << json;
  EXPECT_TRUE(json.ends_with(R"({"cumulative":100,"interval":100}]}]}}]})")) << json;
}

TEST(RenderPrometheus, FamiliesAndLabels) {
  Store store;
  auto x = store.group(kCluster, "x");
  auto y = store.group(kCluster, "a.b\"\n");
  auto http = store.group(kListenerHttp, "0.0.0.0:80.http.web");
  x->counter(0).add(3);
  y->counter(0).add(4);
  x->gauge(1).add(-1);
  CodeCounters(*x, "upstream_rq").inc(200);
  http->counter(0).inc();
  store.counter("control_plane.rate-limit").inc();
  RenderOptions used{.used_only = true};
  EXPECT_EQ(
      render_prometheus(store, used).to_string(),
      "# TYPE envoy_cluster_upstream_cx_active gauge\n"
      "envoy_cluster_upstream_cx_active{envoy_cluster_name=\"x\"} -1\n"
      "# TYPE envoy_cluster_upstream_cx_total counter\n"
      "envoy_cluster_upstream_cx_total{envoy_cluster_name=\"a.b\\\"_\"} 4\n"
      "envoy_cluster_upstream_cx_total{envoy_cluster_name=\"x\"} 3\n"
      "# TYPE envoy_cluster_upstream_rq counter\n"
      "envoy_cluster_upstream_rq{envoy_response_code=\"200\",envoy_cluster_name=\"x\"} 1\n"
      "# TYPE envoy_cluster_upstream_rq_completed counter\n"
      "envoy_cluster_upstream_rq_completed{envoy_cluster_name=\"x\"} 1\n"
      "# TYPE envoy_cluster_upstream_rq_xx counter\n"
      "envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"2\",envoy_cluster_name=\"x\"} 1\n"
      "# TYPE envoy_control_plane_rate_limit counter\n"
      "envoy_control_plane_rate_limit{} 1\n"
      "# TYPE envoy_listener_http_downstream_rq_xx counter\n"
      "envoy_listener_http_downstream_rq_xx{envoy_response_code_class=\"2\",envoy_http_conn_manager_prefix=\"web\","
      "envoy_listener_address=\"0.0.0.0_80\"} 1\n");
}

TEST(RenderPrometheus, Histogram) {
  Store store;
  auto x = store.group(kCluster, "x");
  for (uint64_t value : {0, 1, 7, 7, 400, 5000000}) x->histogram(2).record(value);
  RenderOptions used{.used_only = true};
  std::string text = render_prometheus(store, used).to_string();
  auto has = [&](std::string_view line) {
    EXPECT_NE(text.find(std::string(line) + "\n"), text.npos) << line << "\n" << text;
  };
  has("# TYPE envoy_cluster_upstream_rq_time histogram");
  has("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"x\",le=\"0.5\"} 1");
  has("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"x\",le=\"1\"} 2");
  has("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"x\",le=\"10\"} 4");
  has("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"x\",le=\"500\"} 5");
  has("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"x\",le=\"3600000\"} 5");
  has("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"x\",le=\"+Inf\"} 6");
  has("envoy_cluster_upstream_rq_time_sum{envoy_cluster_name=\"x\"} 5000415");
  has("envoy_cluster_upstream_rq_time_count{envoy_cluster_name=\"x\"} 6");
}

// As published, quantiles, sum and count are those of the last interval.
TEST(RenderPrometheus, Summary) {
  Store store;
  auto x = store.group(kCluster, "x");
  x->histogram(2).record(5);
  const RenderOptions options{.type = Type::kHistogram,
                              .filter = [](std::string_view name) { return name.ends_with("upstream_rq_time"); },
                              .buckets = RenderOptions::Buckets::kQuantiles};
  EXPECT_TRUE(render_prometheus(store, options)
                  .to_string()
                  .ends_with("quantile=\"1\"} NaN\n"
                             "envoy_cluster_upstream_rq_time_sum{envoy_cluster_name=\"x\"} 0\n"
                             "envoy_cluster_upstream_rq_time_count{envoy_cluster_name=\"x\"} 0\n"))
      << "there was no interval yet";
  store.flush_histograms();
  for (uint64_t value : {1, 7, 7, 40}) x->histogram(2).record(value);
  store.flush_histograms();
  std::string expected = "# TYPE envoy_cluster_upstream_rq_time summary\n";
  for (const auto& [quantile, value] : {std::pair("0", "1"),
                                        {"0.25", "1"},
                                        {"0.5", "7"},
                                        {"0.75", "7"},
                                        {"0.9", "40"},
                                        {"0.95", "40"},
                                        {"0.99", "40"},
                                        {"0.995", "40"},
                                        {"0.999", "40"},
                                        {"1", "40"}})
    expected += std::string("envoy_cluster_upstream_rq_time{envoy_cluster_name=\"x\",quantile=\"") + quantile + "\"} " +
                value + "\n";
  expected +=
      "envoy_cluster_upstream_rq_time_sum{envoy_cluster_name=\"x\"} 55\n"
      "envoy_cluster_upstream_rq_time_count{envoy_cluster_name=\"x\"} 4\n";
  EXPECT_EQ(render_prometheus(store, options).to_string(), expected);
}

TEST(RenderPrometheus, NamesThatBecomeOne) {
  Store store;
  store.counter("a.b").add(1);
  store.counter("a-b").add(2);
  store.gauge("a_b").set(3);
  RenderOptions used{.used_only = true};
  EXPECT_EQ(render_prometheus(store, used).to_string(),
            "# TYPE envoy_a_b counter\n"
            "envoy_a_b{} 2\n"
            "# TYPE envoy_a_b_gauge gauge\n"
            "envoy_a_b_gauge{} 3\n");
}

TEST(RenderPrometheus, AnIndependentReaderAccepts) {
  if (std::system("python3 -c 0 2>/dev/null") != 0) GTEST_SKIP() << "no python3";
  Store store;
  std::vector<std::shared_ptr<Group>> groups;
  for (std::string_view name : {"plain", "with.dots", "q\"uote", "back\\slash", "ünïcode", "new\nline", "colon:80"}) {
    groups.push_back(store.group(kCluster, name));
    groups.back()->counter(0).inc();
    for (uint64_t i = 0; i < 200; ++i) groups.back()->histogram(2).record(i * i * i);
    CodeCounters codes(*groups.back(), "upstream_rq");
    for (int code = 100; code < 600; code += 7) codes.inc(code);
  }
  groups.push_back(store.group(kListenerHttp, "[::]:443.http.web"));
  store.counter("a.b");
  store.counter("a-b");
  store.gauge("a_b");
  store.histogram("a:b");
  store.gauge("negative").add(-5);
  store.counter("9lives", {{"odd-label:name", "va\\lue"}}, "9lives");
  std::string path = testing::TempDir() + "/weir_prometheus_test.txt";
  std::FILE* file = std::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::string text = render_prometheus(store, {}).to_string();
  std::fwrite(text.data(), 1, text.size(), file);
  std::fclose(file);
  EXPECT_EQ(std::system(("python3 " WEIR_CHECK_PROMETHEUS " < " + path).c_str()), 0);
  std::remove(path.c_str());
}

// As a decoder that is not weir's prints them, a line for each family.
std::string decode_messages(const std::string& messages) {
  const std::string path = testing::TempDir() + "/weir_prometheus_messages." + std::to_string(getpid());
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return "cannot be written";
  std::fwrite(messages.data(), 1, messages.size(), file);
  std::fclose(file);
  std::string text;
  std::FILE* decoder = popen(("/usr/bin/python3 " WEIR_DECODE_PROMETHEUS " < " + path + " 2>&1").c_str(), "r");
  if (decoder == nullptr) return "no decoder";
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, decoder)) > 0;) text.append(buffer, n);
  EXPECT_EQ(pclose(decoder), 0);
  std::remove(path.c_str());
  return text;
}

TEST(PrometheusMessages, FamiliesAsADecoderReadsThem) {
  Store store;
  store.counter("requests").add(300);
  store.gauge("level").add(-2);
  store.counter("named", {{"odd:label-name", "caf\xc3\xa9 \xff"}}, "named").inc();
  const Histogram histogram = store.histogram("time");
  for (uint64_t value : {0, 1, 1, 700}) histogram.record(value);
  const double bounds[] = {0.5, 1000};
  RenderOptions options{.used_only = true, .bounds = bounds};
  EXPECT_EQ(decode_messages(render_prometheus_protobuf(store.freeze(), options).to_string()),
            R"(name: "envoy_level" type: 1 metric { gauge { value: -2.0 } }
name: "envoy_named" type: 0 metric { label { name: "odd_label_name" value: "caf\303\251 \\xff" } counter { value: 1.0 } }
name: "envoy_requests" type: 0 metric { counter { value: 300.0 } }
name: "envoy_time" type: 4 metric { histogram { sample_count: 4 sample_sum: 702.0 bucket { cumulative_count: 1 upper_bound: 0.5 } bucket { cumulative_count: 4 upper_bound: 1000.0 } } }
)");
  options.type = Type::kHistogram;
  options.buckets = RenderOptions::Buckets::kQuantiles;
  store.flush_histograms();
  const std::string summary = decode_messages(render_prometheus_protobuf(store.freeze(), options).to_string());
  EXPECT_TRUE(summary.starts_with(
      R"(name: "envoy_time" type: 2 metric { summary { sample_count: 4 sample_sum: 702.0 quantile { quantile: 0.0 value: 0.0 } )"))
      << summary;
  EXPECT_TRUE(summary.ends_with("quantile { quantile: 1.0 value: 700.0 } } }\n")) << summary;
  options.buckets = RenderOptions::Buckets::kNative;
  EXPECT_EQ(
      decode_messages(render_prometheus_protobuf(store.freeze(), options).to_string()),
      R"(name: "envoy_time" type: 4 metric { histogram { sample_count: 4 sample_sum: 702.0 schema: 4 zero_threshold: 2.938735877055719e-39 zero_count: 1 positive_span { offset: 0 length: 1 } positive_span { offset: 151 length: 1 } positive_delta: 2 positive_delta: -1 } }
)");
}

TEST(PrometheusMessages, NamesThatAreBadAreWrittenAsNamesThatAreNot) {
  Store store;
  std::vector<std::shared_ptr<Group>> groups;
  for (std::string_view name : {"plain", "q\"uote", "back\\slash",
                                "\xc3\xbcnic\xc3\xb6"
                                "de",
                                "new\nline", "other", "\xfe\xff"}) {
    groups.push_back(store.group(kCluster, name));
    groups.back()->counter(0).inc();
    for (uint64_t i = 0; i < 200; ++i) groups.back()->histogram(2).record(i * i * i * i * i);
  }
  // One family of several names, in which no series may come twice.
  store.counter("a.b");
  store.counter("a-b");
  store.gauge("a_b");
  store.histogram("a:b");
  store.counter("x.y", {{"l", "1"}}, "x.y");
  store.counter("x-y1", {{"l", "1"}}, "x-y");
  store.counter("x-y2", {{"l", "1"}, {"m", "2"}}, "x-y");
  for (auto buckets : {RenderOptions::Buckets::kSummary, RenderOptions::Buckets::kNative}) {
    RenderOptions options{.buckets = buckets, .series_limit = 4};
    const std::string text = decode_messages(render_prometheus_protobuf(store.freeze(), options).to_string());
    EXPECT_NE(text.find("name: \"envoy_a_b\" type: 0 metric { counter { value: 0.0 } }\n"), std::string::npos) << text;
    EXPECT_NE(text.find("name: \"envoy_a_b_gauge\" type: 1 metric { gauge { value: 0.0 } }\n"), std::string::npos);
    EXPECT_NE(
        text.find("name: \"envoy_x_y\" type: 0 metric { label { name: \"l\" value: \"1\" } counter { value: 0.0 } } "
                  "metric { label { name: \"l\" value: \"1\" } label { name: \"m\" value: \"2\" } counter { value: "
                  "0.0 } }\n"),
        std::string::npos)
        << text;
    // One that is called so itself is among them, wherever it comes.
    EXPECT_NE(text.find("value: \"other\" } counter { value: 3.0 }"), std::string::npos) << text;
    EXPECT_EQ(text.find("value: \"other\" } counter { value: 1.0 }"), std::string::npos) << text;
    EXPECT_NE(text.find("value: \"other\" } histogram { sample_count: 600 "), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace weir::stats
