// How long 10,000 clusters take, and how much memory; printed, for a person to read. Fails only if loading does.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>

#include "core/config/rules.h"
#include "test/core/config/load_helper.h"

namespace weir::config {
namespace {

std::string clusters(int count) {
  std::string out = "static_resources:\n  clusters:\n";
  for (int i = 0; i < count; ++i) {
    const std::string number = std::to_string(i);
    out += "  - name: cluster-" + number +
           "-with-the-long-name-of-a-namespace-and-a-service\n"
           "    connect_timeout: 0.25s\n    type: STRICT_DNS\n    lb_policy: LEAST_REQUEST\n"
           "    metadata:\n      filter_metadata:\n        com.example.teams:\n          team: payments\n          "
           "tier: 3\n"
           "    circuit_breakers:\n      thresholds:\n      - priority: DEFAULT\n        max_connections: 1024\n       "
           " max_pending_requests: 1024\n"
           "    outlier_detection:\n      consecutive_5xx: 5\n      interval: 10s\n      base_ejection_time: 30s\n"
           "    typed_extension_protocol_options:\n      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"
           "        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n"
           "        explicit_http_config:\n          http2_protocol_options:\n            max_concurrent_streams: 100\n"
           "    load_assignment:\n      cluster_name: cluster-" +
           number +
           "-with-the-long-name-of-a-namespace-and-a-service\n      endpoints:\n"
           "      - locality: {region: eu, zone: eu-1a}\n        lb_endpoints:\n";
    for (const char* host : {"a", "b", "c"}) {
      out += std::string(
                 "        - endpoint:\n            address:\n              socket_address:\n                address: "
                 "backend-") +
             number + host + ".example.svc.cluster.local\n                port_value: 8080\n";
    }
  }
  return out;
}

TEST(BigFile, TenThousandClusters) {
  const std::string text = clusters(10000);
  const auto rss_mib = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
  };
  const auto seconds_since = [](std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const long before = rss_mib();
  const auto start = std::chrono::steady_clock::now();
  Loaded<> loaded(text);
  const double load = seconds_since(start);
  EXPECT_TRUE(loaded.ok) << loaded.said();
  EXPECT_EQ(loaded.message.static_resources().clusters_size(), 10000);
  const auto checking = std::chrono::steady_clock::now();
  EXPECT_TRUE(validate(loaded.message, loaded.index, loaded.diagnostics)) << loaded.said();
  std::printf(
      "%.1f MB: loaded in %.2f s, rules checked in %.2f s, %zu places in %.1f MiB, peak memory grew from %ld to %ld "
      "MiB\n",
      static_cast<double>(text.size()) / 1e6, load, seconds_since(checking), loaded.index.size(),
      static_cast<double>(loaded.index.memory_bytes()) / (1 << 20), before, rss_mib());
}

// Looking up where an item stands must not walk past those in front of it: this took minutes.
TEST(BigFile, EveryItemIsWrong) {
  std::string text = "static_resources:\n  clusters:\n";
  constexpr int kItems = 50'000;
  for (int i = 0; i < kItems; ++i) text += "  - {nam: x, connect_timeout: 5}\n";
  Loaded<> loaded(text);
  validate(loaded.message, loaded.index, loaded.diagnostics);
  EXPECT_GE(loaded.diagnostics.errors(), size_t{2 * kItems});
  for (int i : {0, 1, kItems / 2, kItems - 1}) {
    EXPECT_EQ(loaded.index.find("static_resources.clusters[" + std::to_string(i) + "].connect_timeout").line, i + 3);
  }
  EXPECT_FALSE(loaded.index.find("static_resources.clusters[" + std::to_string(kItems) + "]").exact);
}

// Every level of merges is kept once more, so a chain of them costs the cube of its length.
TEST(BigFile, ChainOfMergesIsRefused) {
  std::string text = "node:\n  metadata:\n    a0: &a0 {x: 1}\n";
  for (int i = 1; i < 3000; ++i) {
    const std::string number = std::to_string(i);
    text += "    a" + number + ": &a" + number + " {<<: *a" + std::to_string(i - 1) + ", y" + number + ": 1}\n";
  }
  Loaded<> loaded(text);
  EXPECT_NE(loaded.said().find("the aliases of this file stand for too much"), std::string::npos) << loaded.said();
}

}  // namespace
}  // namespace weir::config
