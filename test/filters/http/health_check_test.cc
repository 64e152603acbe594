#include "filters/http/health_check/health_check.h"

#include <gtest/gtest.h>

#include "core/filter/server_health.h"
#include "core/lb/host_set.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb.h"
#include "test/support/filter_harness.h"
#include "test/support/parsed.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

using Proto = envoy::extensions::filters::http::health_check::v3::HealthCheck;
using filter::ServerHealth;

class NoTable final : public lb::Table {
 public:
  lb::HostIndex pick(const lb::PickInput&, lb::LaneView&, lb::LaneState&) const noexcept override {
    return lb::kNoHost;
  }
};

std::unique_ptr<lb::HostSet> hosts(size_t healthy, size_t degraded, size_t unhealthy) {
  lb::PolicyDescriptor policy;
  policy.build = [](const lb::BuildInput&, const void*) { return std::make_unique<NoTable>(); };
  std::vector<lb::HostEntry> all(healthy + degraded + unhealthy);
  for (size_t i = 0; i < all.size(); ++i) {
    all[i].host =
        std::make_shared<lb::Host>(*net::Address::from_ip("10.0.0.1", static_cast<uint16_t>(i + 1)), "h", "", 2);
    all[i].health = i < healthy              ? lb::Health::kHealthy
                    : i < healthy + degraded ? lb::Health::kDegraded
                                             : lb::Health::kUnhealthy;
  }
  return std::make_unique<lb::HostSet>(std::move(all), policy, nullptr, lb::HostSet::Options{});
}

class HealthCheck : public ::testing::Test {
 protected:
  ~HealthCheck() override { ServerHealth::set_failing(false); }

  // "STATUS details" of the answer of the filter, "upstream" if the upstream was asked. `elapsed`: time since the
  // first.
  std::string ask(const std::string& config, const std::string& path = "/healthz", Duration elapsed = {},
                  const std::string& status = "200", bool degraded = false) {
    if (text_ != config) entry_ = plugins_.http_filter(parsed<Proto>(config));
    text_ = config;
    EXPECT_TRUE(plugins_.error_texts().empty()) << plugins_.error_texts().front();
    FilterHarness harness({entry_});
    uint32_t slot = 0;
    for (const auto& set : clusters_) {
      harness.lane().lane().slots().apply({{{event::SlotKind::kHostSet, slot++}, set.get()}});
    }
    if (elapsed > Duration::zero()) harness.lane().advance(elapsed);
    harness.send_headers({{":method", "GET"}, {":path", path}}, true);
    Headers answer = {{":status", status}};
    if (degraded) answer.emplace_back("x-envoy-degraded", "");
    harness.respond_headers(answer, true);
    harness.run(10ms);
    EXPECT_TRUE(harness.response().ended);
    failed_ = harness.response().header("x-envoy-immediate-health-check-fail");
    cluster_ = harness.response().header("x-envoy-upstream-healthchecked-cluster");
    degraded_ = harness.response().header("x-envoy-degraded");
    flagged_ = harness.flags().has(stream::ResponseFlag::kFailedLocalHealthCheck);
    if (harness.request().has_headers) return "upstream";
    EXPECT_EQ(harness.response().body, "");
    return harness.response().header(":status") + " " + std::string(harness.details());
  }

  PluginScope plugins_;
  filter::HttpFilterEntry entry_;
  std::string text_ = "none";
  std::vector<std::unique_ptr<lb::HostSet>> clusters_;
  std::string failed_, cluster_, degraded_;
  bool flagged_ = false;
};

const std::string kHere =
    "pass_through_mode { value: false } headers { name: ':path' string_match { exact: '/healthz' } } ";
const std::string kThrough =
    "pass_through_mode { value: true } headers { name: ':path' string_match { exact: '/healthz' } } ";

// field: http.health_check.v3.HealthCheck.pass_through_mode, http.health_check.v3.HealthCheck.headers
TEST_F(HealthCheck, AnswersForItself) {
  EXPECT_EQ(ask(kHere), "200 health_check_ok");
  EXPECT_EQ(cluster_, "the-edge");
  EXPECT_FALSE(flagged_);
  EXPECT_EQ(ask(kHere, "/other"), "upstream");
  EXPECT_EQ(cluster_, "(none)");
  EXPECT_EQ(failed_, "(none)");
  const std::string two = kHere + "headers { name: 'x' present_match: true }";  // all must match
  EXPECT_EQ(ask(two), "upstream");
  EXPECT_EQ(ask("pass_through_mode {}", "/other"), "200 health_check_ok");  // without headers, everything is a check
}

TEST_F(HealthCheck, FailsWhileTheProcessDoes) {
  ServerHealth::set_failing(true);
  for (const std::string& config : {kHere, kThrough, kThrough + "cache_time { seconds: 1 }"}) {
    EXPECT_EQ(ask(config), "503 health_check_failed");
    EXPECT_TRUE(flagged_);
    EXPECT_EQ(failed_, "true");
    EXPECT_EQ(cluster_, "the-edge");
    EXPECT_EQ(ask(config, "/other"), "upstream");
    EXPECT_EQ(failed_, "true");
  }
  ServerHealth::set_failing(false);
  EXPECT_EQ(ask(kHere), "200 health_check_ok");
  EXPECT_EQ(failed_, "(none)");
}

// field: http.health_check.v3.HealthCheck.cluster_min_healthy_percentages
TEST_F(HealthCheck, AnswersForClusters) {
  const std::string two = kHere +
                          "cluster_min_healthy_percentages { key: 'a' value { value: 50 } } "
                          "cluster_min_healthy_percentages { key: 'b' value { value: 0 } } ";
  EXPECT_EQ(ask(two), "503 health_check_failed_no_cluster_found");
  clusters_.push_back(hosts(1, 1, 2));
  EXPECT_EQ(ask(two), "503 health_check_failed_no_cluster_found");
  clusters_.push_back(hosts(0, 0, 0));
  EXPECT_EQ(ask(two), "200 health_check_ok_cluster_healthy");
  clusters_[0] = hosts(1, 0, 2);
  EXPECT_EQ(ask(two), "503 health_check_failed_cluster_unhealthy");
  EXPECT_TRUE(flagged_);
  clusters_[0] = hosts(0, 0, 0);
  EXPECT_EQ(ask(two), "503 health_check_failed_cluster_empty");
}

// field: http.health_check.v3.HealthCheck.cache_time
TEST_F(HealthCheck, WhatTheUpstreamSaidCountsForAWhile) {
  EXPECT_EQ(ask(kThrough, "/healthz", {}, "503"), "upstream");
  EXPECT_EQ(cluster_, "the-edge");
  EXPECT_FALSE(flagged_);
  EXPECT_EQ(ask(kThrough), "upstream");
  const std::string cached = kThrough + "cache_time { seconds: 2 }";
  EXPECT_EQ(ask(cached, "/other", {}, "500"), "upstream");  // no check
  EXPECT_EQ(ask(cached, "/healthz", {}, "503"), "upstream");
  EXPECT_EQ(ask(cached, "/healthz", 1900ms), "503 health_check_cached");
  EXPECT_TRUE(flagged_);
  EXPECT_EQ(ask(cached, "/healthz", 2001ms, "204"), "upstream");
  EXPECT_EQ(ask(cached, "/healthz", 4s), "204 health_check_cached");
  EXPECT_FALSE(flagged_);
  EXPECT_EQ(ask(cached, "/healthz", 5s, "404"), "upstream");
  EXPECT_EQ(ask(cached, "/healthz", 6s), "404 health_check_cached");
  EXPECT_TRUE(flagged_);
  EXPECT_EQ(ask(cached, "/healthz", 8s, "101"), "upstream");  // an upgrade is no answer to anybody else
  EXPECT_EQ(ask(cached, "/healthz", 8s, "200"), "upstream");
}

TEST_F(HealthCheck, AnUpstreamThatIsDegradedIsSoForAWhile) {
  const std::string cached = kThrough + "cache_time { seconds: 2 }";
  EXPECT_EQ(ask(cached, "/healthz", {}, "200", true), "upstream");
  EXPECT_EQ(degraded_, "");
  EXPECT_EQ(ask(cached, "/healthz", 1s), "200 health_check_cached");
  EXPECT_EQ(degraded_, "");
  EXPECT_FALSE(flagged_);
  EXPECT_EQ(ask(cached, "/healthz", 3s), "upstream");
  EXPECT_EQ(ask(cached, "/healthz", 4s), "200 health_check_cached");
  EXPECT_EQ(degraded_, "(none)");
}

TEST_F(HealthCheck, WhatIsRefused) {
  const auto errors = [](const std::string& config) {
    PluginScope plugins;
    plugins.http_filter(parsed<Proto>(config));
    return plugins.error_texts();
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(errors("pass_through_mode {} cache_time { seconds: 1 }"),
            Texts{"cache_time: needs pass_through_mode: there is no answer of an upstream to keep"});
  EXPECT_EQ(errors(kThrough + "cluster_min_healthy_percentages { key: 'a' value { value: 50 } }"),
            Texts{"cluster_min_healthy_percentages: excludes pass_through_mode: the upstream answers"});
  EXPECT_EQ(errors("pass_through_mode {} headers { name: 'a b' }").size(), 1u);
}

}  // namespace
}  // namespace weir::test
