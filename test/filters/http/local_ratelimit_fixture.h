// A configured local_ratelimit that one request after another runs through.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "test/support/filter_harness.h"
#include "test/support/parsed.h"
#include "test/support/plugin_scope.h"

namespace weir::test {

using LocalRateLimit = envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit;

inline const std::string kOn =
    "filter_enabled { default_value { numerator: 100 } } filter_enforced { default_value { numerator: 100 } } ";
inline std::string bucket(int tokens) {
  return "token_bucket { max_tokens: " + std::to_string(tokens) + " fill_interval { seconds: 3600 } } ";
}
inline std::string descriptor(const std::string& entries, int tokens) {
  return "descriptors { " + entries + bucket(tokens) + "} ";
}

// One configuration, whose buckets many requests share. Each is a stream of its own, at the same time.
struct Limit {
  PluginScope plugins{};
  std::string config{};
  std::string route{};
  std::vector<std::pair<bool, std::string>> rate_limits{};  // (of the virtual host, RateLimit messages), by level
  bool include_virtual_host = false;                        // say the levels of routes
  std::string remote = "10.1.2.3";
  std::string cluster{};
  Headers response{{":status", "200"}};
  std::function<void(FilterHarness&)> before{};
  std::function<void(FilterHarness&)> after{};

  filter::HttpFilterEntry entry{};
  std::shared_ptr<const void> route_entry{};

  bool passes(const std::string& path = "/", const Headers& more = {}) {
    if (entry.config == nullptr) {
      entry = plugins.http_filter(parsed<LocalRateLimit>("stat_prefix: 'rl' " + config), "limit");
      if (!route.empty()) route_entry = plugins.route_config(parsed<LocalRateLimit>("stat_prefix: 'route' " + route));
    }
    FilterHarness harness({entry});
    if (route_entry != nullptr) harness.set_route_config("limit", route_entry);
    for (const auto& [of_virtual_host, text] : rate_limits) {
      auto level = std::make_shared<match::RouteRateLimits>();
      level->of_virtual_host = of_virtual_host;
      level->include_virtual_host = include_virtual_host && !of_virtual_host;
      const auto host = parsed<envoy::config::route::v3::VirtualHost>(text);
      level->limits = plugins.scope().translator().rate_limits(host.rate_limits(), "rate_limits");
      harness.set_route_rate_limits(std::move(level));
    }
    harness.set_route_cluster(cluster);
    harness.stream().info().downstream_remote = *net::Address::from_ip(remote, 1);
    if (before) before(harness);
    Headers request = {{":method", "GET"}, {":authority", "a.example"}, {":path", path}};
    request.insert(request.end(), more.begin(), more.end());
    harness.send_headers(request, true);
    harness.respond_headers(response, true);
    harness.run(20ms);
    const bool passed = harness.request().has_headers;
    if (!passed) {
      EXPECT_EQ(harness.details(), "local_rate_limited");
      const bool grpc = harness.response().header("grpc-status") != "(none)";
      EXPECT_EQ(harness.response().body, grpc ? "" : "local_rate_limited");
      EXPECT_EQ(harness.response().header("x-envoy-ratelimited"), "true");
    }
    if (after) after(harness);
    EXPECT_TRUE(plugins.error_texts().empty()) << plugins.error_texts().front();
    return passed;
  }
  // How many requests of that kind pass, of ten.
  int of_ten(const std::string& path = "/", const Headers& more = {}) {
    int passed = 0;
    for (int i = 0; i < 10; ++i) passed += passes(path, more);
    return passed;
  }
  uint64_t count(const std::string& name) { return plugins.store().counter(name).value(); }
};

inline const std::string kByUser =
    "rate_limits { actions { request_headers { header_name: 'x-user' descriptor_key: 'user' } } } ";
inline std::string entry(const std::string& key, const std::string& value) {
  return "entries { key: '" + key + "' value: '" + value + "' } ";
}

}  // namespace weir::test
