#include <gtest/gtest.h>

#include <map>

#include "core/runtime/runtime.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "test/support/filter_harness.h"
#include "test/support/parsed.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

using HTTPFault = envoy::extensions::filters::http::fault::v3::HTTPFault;

HTTPFault fault_of(const std::string& text) { return parsed<HTTPFault>(text); }

const std::string kAlways = " percentage { numerator: 100 } ";
const std::string kDelay = "delay { fixed_delay { nanos: 300000000 }" + kAlways + "} ";
const std::string kAbort = "abort { http_status: 503" + kAlways + "} ";
const std::string kByHeader = "delay { header_delay {}" + kAlways + "} abort { header_abort {}" + kAlways + "} ";

struct Fault {
  PluginScope plugins{};
  std::string config;
  std::string route{};
  std::string route_cluster{};
  std::map<std::string, runtime::Value> values{};  // at run time
  std::vector<std::unique_ptr<runtime::Snapshot>> snapshots{};

  std::unique_ptr<FilterHarness> start(const Headers& more = {}) {
    auto harness = std::make_unique<FilterHarness>(
        std::vector<filter::HttpFilterEntry>{plugins.http_filter(fault_of(config), "fault")});
    if (!route.empty()) harness->set_route_config("fault", plugins.route_config(fault_of(route)));
    harness->set_route_cluster(route_cluster);
    if (!values.empty()) publish(harness->lane());
    Headers request = {{":method", "GET"}, {":path", "/"}};
    request.insert(request.end(), more.begin(), more.end());
    harness->send_headers(request, true);
    return harness;
  }
  // How long the request took to the upstream, in ms; -1: it never came.
  int delay(const Headers& more = {}) {
    auto harness = start(more);
    for (int ms = 0; ms < 2000; ++ms) {
      harness->run(Duration::zero());
      if (harness->request().has_headers) return ms;
      if (harness->response().has_headers) return -1;
    }
    return -1;
  }
  // The status that the client gets, with the gRPC status if there is one; "passed" if the upstream was asked.
  std::string status(const Headers& more = {}) {
    auto harness = start(more);
    harness->run(400ms);
    if (harness->request().has_headers) return "passed";
    EXPECT_EQ(harness->details(), "fault_filter_abort");
    const Message& response = harness->response();
    if (response.header("grpc-status") == "(none)") {
      EXPECT_EQ(response.body, "fault filter abort");
      return response.header(":status");
    }
    EXPECT_EQ(response.header("content-type"), "application/grpc");
    EXPECT_EQ(response.header("grpc-message"), "fault filter abort");
    return response.header(":status") + "/" + response.header("grpc-status");
  }
  // Seconds (rounded) that a response of 3 KiB takes.
  int64_t seconds(const Headers& more = {}) {
    auto harness = start(more);
    harness->run(5ms);
    harness->respond_headers({{":status", "200"}});
    harness->respond_data(std::string(3072, 'x'), true);
    MonoTime start = harness->lane().lane().now();
    harness->run(20s);
    EXPECT_EQ(harness->response().body.size(), 3072u);
    return (harness->lane().lane().now() - start + 500ms) / 1s;
  }
  int64_t count(const std::string& name) {
    return static_cast<int64_t>(plugins.store().counter("test.fault." + name).value());
  }
  void publish(event::Lane& lane) {
    std::vector<runtime::Value> all(runtime::Key::count() + values.size());
    for (const auto& [name, value] : values) all[runtime::Key(name).id()] = value;
    snapshots.push_back(std::make_unique<runtime::Snapshot>(std::move(all)));
    lane.slots().apply({{runtime::kSlot, snapshots.back().get()}});
  }
};

// field: HTTPFault.delay, FaultDelay.fixed_delay, FaultDelay.percentage
TEST(Fault, Delays) {
  Fault fault{.config = kDelay};
  EXPECT_NEAR(fault.delay(), 300, 2);
  EXPECT_EQ(fault.count("delays_injected"), 1);
  fault.config = "delay { fixed_delay { nanos: 300000000 } percentage { numerator: 0 } }";
  EXPECT_EQ(fault.delay(), 0);
  fault.config = "delay { fixed_delay { nanos: 300000000 } }";
  EXPECT_EQ(fault.delay(), 0);
  EXPECT_EQ(fault.count("delays_injected"), 1);
}

// field: FaultDelay.header_delay
TEST(Fault, DelaysThatTheRequestAsksFor) {
  Fault fault{.config = kByHeader};
  EXPECT_EQ(fault.delay(), 0);
  EXPECT_NEAR(fault.delay({{"x-envoy-fault-delay-request", "70"}}), 70, 2);
  EXPECT_EQ(fault.delay({{"x-envoy-fault-delay-request", "long"}}), 0);
  EXPECT_EQ(fault.delay({{"x-envoy-fault-delay-request", "0"}}), 0);
  EXPECT_EQ(fault.delay({{"x-envoy-fault-delay-request", "70"}, {"x-envoy-fault-delay-request-percentage", "0"}}), 0);
  fault.config = kDelay;
  EXPECT_NEAR(fault.delay({{"x-envoy-fault-delay-request", "70"}}), 300, 2);
  fault.config = "delay { header_delay {} percentage { numerator: 0 } }";
  EXPECT_EQ(fault.delay({{"x-envoy-fault-delay-request", "70"}, {"x-envoy-fault-delay-request-percentage", "100"}}), 0);
}

// field: HTTPFault.abort, FaultAbort.http_status, FaultAbort.grpc_status, FaultAbort.percentage
TEST(Fault, Aborts) {
  Fault fault{.config = kAbort};
  EXPECT_EQ(fault.status(), "503");
  EXPECT_EQ(fault.count("aborts_injected"), 1);
  fault.config = "abort { grpc_status: 14" + kAlways + "}";
  EXPECT_EQ(fault.status(), "200/14");
  fault.config = "abort { http_status: 503 }";
  EXPECT_EQ(fault.status(), "passed");
  EXPECT_EQ(fault.count("aborts_injected"), 2);
}

// field: FaultAbort.header_abort
TEST(Fault, AbortsThatTheRequestAsksFor) {
  Fault fault{.config = kByHeader};
  EXPECT_EQ(fault.status(), "passed");
  EXPECT_EQ(fault.status({{"x-envoy-fault-abort-request", "418"}}), "418");
  EXPECT_EQ(fault.status({{"x-envoy-fault-abort-grpc-request", "7"}}), "200/7");
  EXPECT_EQ(fault.status({{"x-envoy-fault-abort-request", "199"}}), "passed");
  EXPECT_EQ(fault.status({{"x-envoy-fault-abort-request", "600"}}), "passed");
  EXPECT_EQ(fault.status({{"x-envoy-fault-abort-request", "418"}, {"x-envoy-fault-abort-request-percentage", "0"}}),
            "passed");
}

TEST(Fault, DelayThenAbort) {
  Fault fault{.config = kDelay + kAbort};
  auto harness = fault.start();
  harness->run(290ms);
  EXPECT_FALSE(harness->response().has_headers);
  EXPECT_EQ(fault.plugins.store().gauge("test.fault.active_faults").value(), 1);
  EXPECT_TRUE(harness->stream().info().flags.has(stream::ResponseFlag::kDelayInjected));
  harness->run(20ms);
  EXPECT_EQ(harness->response().header(":status"), "503");
  EXPECT_FALSE(harness->request().has_headers);
  EXPECT_EQ(fault.plugins.store().gauge("test.fault.active_faults").value(), 0);
}

TEST(Fault, TheClientLeavesMeanwhile) {
  Fault fault{.config = kDelay};
  auto harness = fault.start();
  harness->run(100ms);
  harness->disconnect();
  harness->run(500ms);
  EXPECT_FALSE(harness->request().has_headers);
  EXPECT_EQ(fault.plugins.store().gauge("test.fault.active_faults").value(), 0);
}

// A deadline answers while the request is delayed.
TEST(Fault, AnAnswerEndsTheDelay) {
  Fault fault{.config = kDelay};
  auto harness = fault.start();
  harness->run(100ms);
  (void)harness->stream().reply_local(504, "late");
  harness->run(500ms);
  EXPECT_EQ(harness->response().header(":status"), "504");
  EXPECT_FALSE(harness->request().has_headers);
}

// field: HTTPFault.headers, HTTPFault.downstream_nodes
TEST(Fault, OnlyRequestsThatMatch) {
  Fault fault{.config =
                  kAbort + "headers { name: \"x-test\" string_match { exact: \"on\" } } headers { name: \"x-also\" }"};
  EXPECT_EQ(fault.status({{"x-test", "on"}, {"x-also", ""}}), "503");
  EXPECT_EQ(fault.status({{"x-test", "on"}}), "passed");
  EXPECT_EQ(fault.status({{"x-test", "off"}, {"x-also", ""}}), "passed");
  fault.config = kAbort + "downstream_nodes: \"a\" downstream_nodes: \"b\"";
  EXPECT_EQ(fault.status({{"x-envoy-downstream-service-node", "b"}}), "503");
  EXPECT_EQ(fault.status({{"x-envoy-downstream-service-node", "c"}}), "passed");
  EXPECT_EQ(fault.status(), "passed");
}

// field: HTTPFault.upstream_cluster
TEST(Fault, OnlyRequestsForItsCluster) {
  Fault fault{.config = kAbort + "upstream_cluster: \"cart\""};
  EXPECT_EQ(fault.status(), "passed");  // a route that leads to none
  fault.route_cluster = "carts";
  EXPECT_EQ(fault.status(), "passed");
  fault.route_cluster = "cart";
  EXPECT_EQ(fault.status(), "503");
  fault.route = kAbort + "upstream_cluster: \"other\"";
  EXPECT_EQ(fault.status(), "passed");
}

// field: HTTPFault.max_active_faults
TEST(Fault, NotTooManyAtOnce) {
  PluginScope plugins;
  auto entry = plugins.http_filter(fault_of(kDelay + "max_active_faults { value: 1 }"));
  FilterHarness first({entry});
  first.send_headers({{":method", "GET"}}, true);
  first.run(10ms);
  EXPECT_FALSE(first.request().has_headers);
  {
    FilterHarness second({entry});
    second.send_headers({{":method", "GET"}}, true);
    second.run(10ms);
    EXPECT_TRUE(second.request().has_headers);
  }
  EXPECT_EQ(plugins.store().counter("test.fault.faults_overflow").value(), 1u);
}

// field: HTTPFault.response_rate_limit, FaultRateLimit.fixed_limit, FixedLimit.limit_kbps, FaultRateLimit.percentage
TEST(Fault, SlowResponses) {
  Fault fault{.config = "response_rate_limit { fixed_limit { limit_kbps: 1 }" + kAlways + "}"};
  EXPECT_EQ(fault.seconds(), 2);  // the first second's worth goes at once
  EXPECT_EQ(fault.count("response_rl_injected"), 1);
  fault.config = "response_rate_limit { fixed_limit { limit_kbps: 2 }" + kAlways + "}";
  EXPECT_EQ(fault.seconds(), 1);
  fault.config = "response_rate_limit { fixed_limit { limit_kbps: 1 } percentage { numerator: 0 } }";
  EXPECT_EQ(fault.seconds(), 0);
}

// field: FaultRateLimit.header_limit
TEST(Fault, SlowResponsesThatTheRequestAsksFor) {
  Fault fault{.config = "response_rate_limit { header_limit {}" + kAlways + "}"};
  EXPECT_EQ(fault.seconds(), 0);
  EXPECT_EQ(fault.seconds({{"x-envoy-fault-throughput-response", "1"}}), 2);
  EXPECT_EQ(fault.seconds({{"x-envoy-fault-throughput-response", "0"}}), 0);
  EXPECT_EQ(fault.seconds({{"x-envoy-fault-throughput-response", "9999999999999999999"}}), 0);
  EXPECT_EQ(fault.seconds(
                {{"x-envoy-fault-throughput-response", "1"}, {"x-envoy-fault-throughput-response-percentage", "0"}}),
            0);
}

// It goes on bit by bit, and its trailers come last.
TEST(Fault, SlowResponsesTrickle) {
  PluginScope plugins;
  auto entry = plugins.http_filter(fault_of("response_rate_limit { fixed_limit { limit_kbps: 10 }" + kAlways + "}"));
  FilterHarness harness({entry});
  harness.send_headers({{":method", "GET"}}, true);
  harness.run(5ms);
  harness.respond_headers({{":status", "200"}});
  harness.respond_data(std::string(20'000, 'x'));
  harness.respond_data(std::string(10'000, 'y'));
  harness.respond_trailers({{"x-end", "1"}});
  size_t before = 0;
  for (int i = 0; i < 15; ++i) {
    harness.run(100ms);
    EXPECT_LE(harness.response().body.size(), 10'240u + 10'240u * static_cast<size_t>(i + 1) / 9);
    EXPECT_GT(harness.response().body.size(), before) << i;
    before = harness.response().body.size();
  }
  EXPECT_FALSE(harness.response().ended);
  harness.run(2s);
  EXPECT_EQ(harness.response().body, std::string(20'000, 'x') + std::string(10'000, 'y'));
  EXPECT_EQ(harness.response().trailer("x-end"), "1");
  run_under_chaos({entry}, [](FilterHarness& chaotic) {
    chaotic.send_headers({{":method", "GET"}}, true);
    chaotic.run(50ms);
    chaotic.respond_headers({{":status", "200"}});
    chaotic.respond_data(std::string(15'000, 'x'));
    chaotic.respond_data(std::string(10'000, 'y'), true);
    chaotic.run(10s);
    EXPECT_TRUE(chaotic.response().ended);
    EXPECT_EQ(chaotic.response().body, std::string(15'000, 'x') + std::string(10'000, 'y'));
  });
}

TEST(Fault, TheRoutesFaults) {
  Fault fault{.config = kAbort, .route = kDelay};
  EXPECT_NEAR(fault.delay(), 300, 2);
  EXPECT_EQ(fault.status(), "passed");
}

// field: HTTPFault.delay_percent_runtime, HTTPFault.delay_duration_runtime, HTTPFault.abort_percent_runtime
// field: HTTPFault.abort_http_status_runtime, HTTPFault.abort_grpc_status_runtime
// field: HTTPFault.response_rate_limit_percent_runtime, HTTPFault.max_active_faults_runtime
TEST(Fault, RunTime) {
  auto number = runtime::Value::of_number;
  Fault fault{.config = kDelay, .values = {{"fault.http.delay.fixed_duration_ms", number(70)}}};
  EXPECT_NEAR(fault.delay(), 70, 2);
  fault.config += "delay_duration_runtime: \"own.ms\" delay_percent_runtime: \"own.delay\"";
  EXPECT_NEAR(fault.delay(), 300, 2);
  fault.values = {{"own.ms", number(40)}};
  EXPECT_NEAR(fault.delay(), 40, 2);
  fault.values["own.delay"] = number(0);
  EXPECT_EQ(fault.delay(), 0);

  fault.config = kAbort;
  fault.values = {{"fault.http.abort.http_status", number(429)}};
  EXPECT_EQ(fault.status(), "429");
  fault.values["fault.http.abort.http_status"] = number(42);  // no status
  EXPECT_EQ(fault.status(), "passed");
  fault.values = {{"fault.http.abort.abort_percent", number(0)}};
  EXPECT_EQ(fault.status(), "passed");
  fault.config += "abort_http_status_runtime: \"own.status\" abort_percent_runtime: \"own.abort\"";
  fault.values["own.status"] = number(404);
  EXPECT_EQ(fault.status(), "404");
  fault.values["own.abort"] = number(0);
  EXPECT_EQ(fault.status(), "passed");
  fault.config = "abort { grpc_status: 14" + kAlways + "} abort_grpc_status_runtime: \"own.grpc\"";
  fault.values = {{"own.grpc", number(8)}};
  EXPECT_EQ(fault.status(), "200/8");

  fault.config = "response_rate_limit { fixed_limit { limit_kbps: 1 }" + kAlways + "} " +
                 "response_rate_limit_percent_runtime: \"own.slow\"";
  fault.values = {{"own.slow", number(0)}};
  EXPECT_EQ(fault.seconds(), 0);
  fault.config = kAbort + "max_active_faults_runtime: \"own.most\"";
  fault.values = {{"own.most", number(0)}};
  EXPECT_EQ(fault.status(), "passed");
  EXPECT_EQ(fault.count("faults_overflow"), 1);
}

TEST(Fault, AResponseThatIsNotSlowedMayGoUnseen) {
  for (bool slow : {false, true}) {
    Fault fault{.config = slow ? "response_rate_limit { fixed_limit { limit_kbps: 1 } percentage { numerator: 100 } }"
                               : kAbort + "headers { name: \"x-test\" }"};
    auto harness = fault.start();
    harness->respond_headers({{":status", "200"}});
    harness->run(5ms);
    EXPECT_EQ(harness->stream().takes_unseen_response(), !slow);
  }
}

TEST(Fault, FaultsOfConfiguration) {
  PluginScope plugins;
  plugins.http_filter(fault_of("headers { name: \"x\" string_match {} } disable_downstream_cluster_stats: true"));
  ASSERT_EQ(plugins.error_texts().size(), 1u);
  EXPECT_EQ(plugins.error_texts()[0],
            "headers[0].string_match: needs one of exact, prefix, suffix, contains and safe_regex");
  ASSERT_EQ(plugins.warning_texts().size(), 1u);
  EXPECT_NE(plugins.warning_texts()[0].find("disable_downstream_cluster_stats"), std::string::npos);
}

}  // namespace
}  // namespace weir::test
