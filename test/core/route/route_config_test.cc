// From messages to tables: every implemented field arrives, everything else is reported.
#include "core/config/route_config.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <map>

#include "core/config/report.h"
#include "core/event/slot.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "test/core/route/test_request.h"

namespace weir::config {
namespace {

using envoy::config::route::v3::RouteConfiguration;

class FakeEnv final : public RouteConfigEnv {
 public:
  bool validate_clusters_by_default() const override { return validate; }
  bool has_cluster(std::string_view name, std::string& hint) override {
    hint = "nearest: \"api_v2\"";
    return name.starts_with("c");
  }
  event::SlotId cluster_slot(std::string_view name) override {
    return {event::SlotKind::kCluster, static_cast<uint32_t>(name.size())};
  }
  uint32_t filter_id(std::string_view name) override { return static_cast<uint32_t>(name.size()); }
  bool parse_filter_config(std::string_view name, const google::protobuf::Any& message, bool optional,
                           std::string_view path, route::FilterConfigSpec& spec, Diagnostics& diagnostics) override {
    parsed.push_back(std::string(path) + " " + std::string(name));
    if (message.type_url() == "bad") {
      if (optional) return true;
      Diagnostic diagnostic;
      diagnostic.path = std::string(path);
      diagnostic.message = "unknown type";
      diagnostics.add(std::move(diagnostic));
      return false;
    }
    spec.config = std::make_shared<std::string>(message.type_url());
    spec.kind = 5;
    return true;
  }

  bool validate = true;
  std::vector<std::string> parsed;
};

RouteConfiguration parse(const std::string& text) {
  RouteConfiguration message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

// A table of one host "h" for "*" with these routes.
std::string host_with(const std::string& routes) { return "virtual_hosts { name: 'h' domains: '*' " + routes + " }"; }
std::string route_with(const std::string& fields) {
  return host_with("routes { match { prefix: '/' } route { cluster: 'c' " + fields + " } }");
}

std::unique_ptr<route::RouteTable> build(const std::string& text) {
  FakeEnv env;
  Diagnostics diagnostics;
  auto table = build_route_table(parse(text), "rc", env, diagnostics);
  EXPECT_EQ(diagnostics.nack_text(), "");
  return table;
}
std::string errors(const std::string& text) {
  FakeEnv env;
  Diagnostics diagnostics;
  RouteConfiguration message = parse(text);
  Report(env.positions(), diagnostics).check(message, "rc");
  build_route_table(message, "rc", env, diagnostics);
  EXPECT_TRUE(diagnostics.has_errors());
  return diagnostics.nack_text();
}
const route::Route& first_route(const route::RouteTable& table) { return table.virtual_hosts()[0].routes()[0]; }

// field: RouteConfiguration.ignore_port_in_host_matching, VirtualHost.retry_policy
TEST(RouteConfig, TableAndHosts) {
  auto table = build(R"(
    name: 'local' ignore_port_in_host_matching: true ignore_path_parameters_in_path_matching: true
    most_specific_header_mutations_wins: true
    request_headers_to_add { header { key: 'x-a' value: '1' } }
    virtual_hosts { name: 'h' domains: 'a.example' domains: '*.b.example' require_tls: ALL
      retry_policy { retry_on: '5xx' num_retries { value: 3 } }
      response_headers_to_remove: 'server'
      routes { name: 'r' match { prefix: '/' } route { cluster: 'c1' } } }
    virtual_hosts { name: 'i' domains: '*' })");
  ASSERT_NE(table, nullptr);
  EXPECT_EQ(table->name(), "local");
  EXPECT_TRUE(table->most_specific_header_mutations_wins());
  EXPECT_TRUE(table->ignore_path_parameters());
  EXPECT_FALSE(table->mutations()->request.empty());
  ASSERT_EQ(table->virtual_hosts().size(), 2u);
  const route::VirtualHost& host = table->virtual_hosts()[0];
  EXPECT_EQ(host.require_tls(), route::TlsRequirement::kAll);
  EXPECT_FALSE(host.mutations()->response.empty());
  const route::Route& route = first_route(*table);
  EXPECT_EQ(route.name(), "r");
  EXPECT_EQ(route.forward().retry()->num_retries, 3u);
  EXPECT_EQ(route.forward().retry()->on, route::retry_on::k5xx);
  route::TestRequest request("/", "x.B.example:80");
  EXPECT_EQ(table->select(request.headers(), {.is_tls = true}).virtual_host, &host);
}

TEST(RouteConfig, AttemptHeaders) {
  auto table = build(R"(
    virtual_hosts { name: 'h' domains: '*' include_request_attempt_count: true include_attempt_count_in_response: true
      include_is_timeout_retry_header: true }
    virtual_hosts { name: 'i' domains: 'i' })");
  ASSERT_NE(table, nullptr);
  const route::VirtualHost& all = table->virtual_hosts()[0];
  EXPECT_TRUE(all.include_request_attempt_count());
  EXPECT_TRUE(all.include_attempt_count_in_response());
  EXPECT_TRUE(all.include_is_timeout_retry_header());
  const route::VirtualHost& none = table->virtual_hosts()[1];
  EXPECT_FALSE(none.include_request_attempt_count());
  EXPECT_FALSE(none.include_attempt_count_in_response());
  EXPECT_FALSE(none.include_is_timeout_retry_header());
}

// field: RouteConfiguration.vhost_header
TEST(RouteConfig, VhostHeader) {
  auto table = build(
      "vhost_header: 'x-tenant' virtual_hosts { name: 'h' domains: 't1' "
      "routes { match { prefix: '/' } route { cluster: 'c' } } }");
  route::TestRequest request("/", "any", {{"x-tenant", "t1"}});
  EXPECT_NE(table->select(request.headers(), {}).route, nullptr);
}

// field: RouteMatch.connect_matcher, RouteMatch.grpc, RouteMatch.tls_context, TlsContextMatchOptions.presented
// field: RouteMatch.runtime_fraction, RuntimeFractionalPercent.default_value, FractionalPercent.numerator
// field: FractionalPercent.denominator, HeaderMatcher.exact_match, HeaderMatcher.prefix_match
// field: HeaderMatcher.contains_match, HeaderMatcher.safe_regex_match, envoy.type.matcher.v3.StringMatcher.ignore_case
// field: envoy.type.matcher.v3.RegexMatcher.google_re2, QueryParameterMatcher.present_match
// field: HeaderMatcher.suffix_match, HeaderMatcher.treat_missing_header_as_empty, TlsContextMatchOptions.validated
TEST(RouteConfig, Matches) {
  auto table = build(host_with(R"(
    routes { match { path: '/exact' } route { cluster: 'c0' } }
    routes { match { path_separated_prefix: '/seg' } route { cluster: 'c1' } }
    routes { match { safe_regex { google_re2 {} regex: '/re[0-9]' } } route { cluster: 'c2' } }
    routes { match { connect_matcher {} } route { cluster: 'c3' } }
    routes { match { prefix: '/CASE' case_sensitive { value: false } } route { cluster: 'c4' } }
    routes { match { prefix: '/' headers { name: 'x-a' string_match { suffix: 'Z' ignore_case: true } } }
             route { cluster: 'c5' } }
    routes { match { prefix: '/' headers { name: 'x-b' present_match: false } query_parameters { name: 'q' } }
             route { cluster: 'c6' } }
    routes { match { prefix: '/' query_parameters { name: 'v' string_match { exact: '2' } } } route { cluster: 'c7' } }
    routes { match { prefix: '/' grpc {} } route { cluster: 'c8' } }
    routes { match { prefix: '/' tls_context { presented { value: true } } } route { cluster: 'c9' } }
    routes { match { prefix: '/' runtime_fraction { default_value { numerator: 5 denominator: TEN_THOUSAND } } }
             route { cluster: 'c10' } }
    routes { match { prefix: '/' headers { name: 'x-n' range_match { start: 1 end: 3 } invert_match: true } }
             route { cluster: 'c11' } }
    routes { match { prefix: '/' headers { name: 'x-c' contains_match: 'mid' } } route { cluster: 'c12' } }
    routes { match { prefix: '/' headers { name: 'x-d' safe_regex_match { regex: 'a+' } } } route { cluster: 'c13' } }
    routes { match { prefix: '/' headers { name: 'x-e' exact_match: 'e' } } route { cluster: 'c14' } }
    routes { match { prefix: '/' headers { name: 'x-f' prefix_match: 'f' treat_missing_header_as_empty: true } }
             route { cluster: 'c15' } }
    routes { match { prefix: '/' headers { name: 'x-g' suffix_match: 'gg' } } route { cluster: 'c16' } }
    routes { match { prefix: '/' tls_context { validated { value: true } } } route { cluster: 'c17' } }
    routes { match { prefix: '/empty' headers { name: 'x-h' string_match { safe_regex { regex: 'h?' } }
                                                treat_missing_header_as_empty: true } } route { cluster: 'c18' } })"));
  ASSERT_NE(table, nullptr);
  auto cluster = [&](const route::TestRequest& request, route::SelectInput input = {.random = 999'999}) {
    const route::Route* route = table->select(request.headers(), input).route;
    return route == nullptr ? "none" : std::string(route->forward().cluster_name());
  };
  using route::TestRequest;
  const std::pair<std::string, std::string> b = {"x-b", ""};
  EXPECT_EQ(cluster(TestRequest("/exact")), "c0");
  EXPECT_EQ(cluster(TestRequest("/seg/x")), "c1");
  EXPECT_EQ(cluster(TestRequest("/re7")), "c2");
  EXPECT_EQ(cluster(TestRequest("", "h", {}, "CONNECT")), "c3");
  EXPECT_EQ(cluster(TestRequest("/caSe/x")), "c4");
  EXPECT_EQ(cluster(TestRequest("/", "h", {{"x-a", "xyz"}})), "c5");
  EXPECT_EQ(cluster(TestRequest("/?q=1")), "c6");
  EXPECT_EQ(cluster(TestRequest("/?q=1&v=2", "h", {b})), "c7");
  EXPECT_EQ(cluster(TestRequest("/", "h", {{"content-type", "application/grpc"}})), "c8");
  EXPECT_EQ(cluster(TestRequest("/"), {.random = 999'999, .client_certificate_presented = true}), "c9");
  EXPECT_EQ(cluster(TestRequest("/"), {.random = 10'004}), "c10");
  EXPECT_EQ(cluster(TestRequest("/", "h", {{"x-n", "3"}})), "c11");
  EXPECT_EQ(cluster(TestRequest("/", "h", {{"x-n", "1"}, {"x-c", "amidst"}})), "c12");
  EXPECT_EQ(cluster(TestRequest("/", "h", {{"x-d", "aaa"}})), "c13");
  EXPECT_EQ(cluster(TestRequest("/", "h", {{"x-e", "e"}})), "c14");
  EXPECT_EQ(cluster(TestRequest("/", "h", {{"x-f", "fg"}})), "c15");
  EXPECT_EQ(cluster(TestRequest("/", "h", {{"x-g", "egg"}})), "c16");
  EXPECT_EQ(cluster(TestRequest("/"), {.random = 999'999, .client_certificate_validated = true}), "c17");
  EXPECT_EQ(cluster(TestRequest("/empty")), "c18");
  EXPECT_EQ(cluster(TestRequest("/")), "none");
}

TEST(RouteConfig, Forward) {
  auto table = build(route_with(R"(
    timeout { seconds: 3 nanos: 500000000 } idle_timeout { } max_stream_duration { max_stream_duration { seconds: 9 } }
    prefix_rewrite: '/v2/' host_rewrite_literal: 'up.example' append_x_forwarded_host: true
    cluster_not_found_response_code: NOT_FOUND
    retry_policy { retry_on: 'connect-failure,retriable-status-codes' num_retries { value: 0 }
      per_try_timeout { seconds: 1 } per_try_idle_timeout { seconds: 2 } retriable_status_codes: 409
      retry_host_predicate { name: 'envoy.retry_host_predicates.previous_hosts' }
      retry_host_predicate { name: 'x' typed_config {
        [type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate] {} } }
      host_selection_retry_max_attempts: 5
      retry_back_off { base_interval { nanos: 10000000 } max_interval { seconds: 1 } }
      retriable_headers { name: 'x-retry' } retriable_request_headers { name: 'x-may' } })"));
  ASSERT_NE(table, nullptr);
  const route::ForwardAction& action = first_route(*table).forward();
  EXPECT_EQ(action.timeout(), 3500ms);
  EXPECT_EQ(action.idle_timeout(), Duration(0));
  EXPECT_EQ(action.max_stream_duration(), Duration(9s));
  EXPECT_EQ(action.cluster_not_found_status(), 404);
  EXPECT_TRUE(action.append_x_forwarded_host());
  const route::RetryPolicy& retry = *action.retry();
  EXPECT_EQ(retry.on, route::retry_on::kConnectFailure | route::retry_on::kRetriableStatusCodes);
  EXPECT_EQ(retry.num_retries, 0u);
  EXPECT_EQ(retry.per_try_timeout, 1s);
  EXPECT_EQ(retry.per_try_idle_timeout, 2s);
  EXPECT_TRUE(retry.status_is_retriable(409));
  EXPECT_TRUE(retry.avoid_previous_hosts);
  EXPECT_EQ(retry.host_selection_max_attempts, 5u);
  EXPECT_EQ(retry.back_off_base, 10ms);
  EXPECT_EQ(retry.back_off_max, 1s);
  EXPECT_EQ(retry.retriable_headers.size(), 1u);
  EXPECT_EQ(retry.retriable_request_headers.size(), 1u);
  route::TestRequest request("/a?b");
  route::Selection selection = table->select(request.headers(), {});
  EXPECT_EQ(selection.route->rewrite_path(request.subject(), request.arena()), "/v2/a?b");
  EXPECT_EQ(action.rewrite_host(request.subject(), nullptr, request.arena()), "up.example");
  EXPECT_EQ(selection.cluster(request.headers()).slot.index, 1u);
}

// field: RouteAction.host_rewrite_header, RouteAction.host_rewrite_path_regex
TEST(RouteConfig, Rewrites) {
  auto rewritten_host = [&](const std::string& fields) {
    auto table = build(route_with(fields));
    route::TestRequest request("/host-x", "h", {{"x-h", "from-header"}});
    const route::ForwardAction& action = first_route(*table).forward();
    return action.auto_host_rewrite() ? "auto"
                                      : std::string(action.rewrite_host(request.subject(), nullptr, request.arena()));
  };
  EXPECT_EQ(rewritten_host("auto_host_rewrite { value: true }"), "auto");
  EXPECT_EQ(rewritten_host("auto_host_rewrite { value: false }"), "");
  EXPECT_EQ(rewritten_host("host_rewrite_header: 'x-h'"), "from-header");
  EXPECT_EQ(
      rewritten_host("host_rewrite_path_regex { pattern { regex: '^/host-(.*)$' } substitution: '\\\\1.example' }"),
      "x.example");
  auto table = build(route_with("regex_rewrite { pattern { regex: 'b+' } substitution: 'c' }"));
  route::TestRequest request("/abba?b");
  EXPECT_EQ(first_route(*table).rewrite_path(request.subject(), request.arena()), "/aca?b");
}

// field: RouteAction.cluster_header, WeightedCluster.header_name, ClusterWeight.cluster_header
// field: ClusterWeight.host_rewrite_literal
TEST(RouteConfig, WeightedClustersAndClusterHeader) {
  auto table = build(host_with(R"(
    routes { match { prefix: '/h' } route { cluster_header: 'x-cluster' } }
    routes { match { prefix: '/' } route { weighted_clusters { header_name: 'x-w' total_weight { value: 10 }
      clusters { name: 'ca' weight { value: 4 } host_rewrite_literal: 'w.example'
        request_headers_to_add { header { key: 'x' value: 'y' } append_action: OVERWRITE_IF_EXISTS } }
      clusters { cluster_header: 'x-c' weight { value: 6 } } } } })"));
  ASSERT_NE(table, nullptr);
  route::TestRequest first("/", "h", {{"x-w", "3"}});
  route::Selection selection = table->select(first.headers(), {});
  EXPECT_EQ(selection.cluster(first.headers()).name, "ca");
  EXPECT_EQ(selection.weighted->host_rewrite_literal, "w.example");
  EXPECT_FALSE(selection.weighted->mutations->request.empty());
  route::TestRequest second("/", "h", {{"x-w", "4"}, {"x-c", "by-header"}});
  EXPECT_EQ(table->select(second.headers(), {}).cluster(second.headers()).name, "by-header");
  route::TestRequest third("/h", "h", {{"x-cluster", "z"}});
  EXPECT_EQ(table->select(third.headers(), {}).cluster(third.headers()).name, "z");
}

// field: WeightedCluster.runtime_key_prefix
TEST(RouteConfig, WeightsAtRunTime) {
  auto table = build(host_with(R"(
    routes { match { prefix: '/' } route { weighted_clusters { runtime_key_prefix: 'rc.weights'
      clusters { name: 'ca' weight { value: 1 } } clusters { name: 'cb' weight { value: 1 } } } } })"));
  ASSERT_NE(table, nullptr);
  route::TestRequest request("/");
  event::SlotTable slots;
  auto share_of_b = [&] {
    int count = 0;
    for (uint64_t random = 0; random < 1000; ++random) {
      route::Selection selection = table->select(request.headers(), {.random = random, .slots = &slots});
      count += selection.cluster(request.headers()).name == "cb" ? 1 : 0;
    }
    return count;
  };
  EXPECT_NEAR(share_of_b(), 500, 100);
  std::vector<std::unique_ptr<runtime::Snapshot>> snapshots;
  auto weights = [&](double a, double b) {
    const runtime::Key key_a("rc.weights.ca"), key_b("rc.weights.cb");
    std::vector<runtime::Value> values(runtime::Key::count());
    values[key_a.id()] = runtime::Value::of_number(a);
    values[key_b.id()] = runtime::Value::of_number(b);
    snapshots.push_back(std::make_unique<runtime::Snapshot>(std::move(values)));
    slots.apply({{runtime::kSlot, snapshots.back().get()}});
  };
  weights(0, 7);
  EXPECT_EQ(share_of_b(), 1000);
  weights(9, 1);
  EXPECT_NEAR(share_of_b(), 100, 50);
  weights(0, 0);  // as if nothing had been said
  EXPECT_NEAR(share_of_b(), 500, 100);
}

// field: RedirectAction.scheme_redirect, RedirectAction.port_redirect, RedirectAction.regex_rewrite
// field: DataSource.inline_bytes, Route.non_forwarding_action
TEST(RouteConfig, RedirectsAndDirectResponses) {
  auto location = [](const std::string& fields, int status) {
    auto table = build(host_with("routes { match { prefix: '/a' } redirect { " + fields + " } }"));
    route::TestRequest request("/a/b?c", "a.example");
    EXPECT_EQ(first_route(*table).redirect().status(), status);
    return std::string(first_route(*table).redirect_location(request.subject(), request.arena()));
  };
  EXPECT_EQ(location("https_redirect: true host_redirect: 'b.example' port_redirect: 8443", 301),
            "https://b.example:8443/a/b?c");
  EXPECT_EQ(location("scheme_redirect: 'ftp' path_redirect: '/x' strip_query: true response_code: FOUND", 302),
            "ftp://a.example/x");
  EXPECT_EQ(location("prefix_rewrite: '/x' response_code: SEE_OTHER", 303), "http://a.example/x/b?c");
  EXPECT_EQ(
      location("regex_rewrite { pattern { regex: 'b' } substitution: 'z' } response_code: TEMPORARY_REDIRECT", 307),
      "http://a.example/a/z?c");
  EXPECT_EQ(location("response_code: PERMANENT_REDIRECT", 308), "http://a.example/a/b?c");

  auto table = build(host_with(R"(
    routes { match { prefix: '/' } direct_response { status: 403 body { inline_string: 'no\n' } } }
    routes { match { prefix: '/' } direct_response { status: 200 body { inline_bytes: 'bytes' } } }
    routes { match { prefix: '/' } non_forwarding_action {} })"));
  const auto& routes = table->virtual_hosts()[0].routes();
  EXPECT_EQ(routes[0].direct_response().status, 403);
  EXPECT_EQ(routes[0].direct_response().body, "no\n");
  EXPECT_EQ(routes[1].direct_response().body, "bytes");
  EXPECT_EQ(routes[2].action(), route::ActionKind::kNonForwarding);
}

// field: HeaderValueOption.append, HeaderValue.raw_value, HeaderValueOption.keep_empty_value
TEST(RouteConfig, HeaderOptions) {
  auto table = build(
      "request_headers_to_add { header { key: 'x-a' value: 'new' } append { value: false } } "
      "request_headers_to_add { header { key: 'x-b' raw_value: 'raw' } append_action: ADD_IF_ABSENT } "
      "request_headers_to_add { header { key: 'x-c' } keep_empty_value: true } "
      "request_headers_to_remove: 'x-d'" +
      host_with(""));
  route::TestRequest request("/", "", {{"x-a", "old"}, {"x-d", "1"}});
  stream::StreamInfo info;
  table->mutations()->request.apply(request.headers(), {.info = info}, request.arena());
  EXPECT_EQ(request.headers().to_string(), ":method: GET\n:path: /\n:scheme: http\nx-a: new\nx-b: raw\nx-c: \n");
}

// field: Route.typed_per_filter_config, FilterConfig.config, FilterConfig.is_optional, FilterConfig.disabled
TEST(RouteConfig, PerFilterConfiguration) {
  FakeEnv env;
  Diagnostics diagnostics;
  RouteConfiguration message = parse(host_with("routes { match { prefix: '/' } route { cluster: 'c' } }"));
  auto& filters = *message.mutable_virtual_hosts(0)->mutable_routes(0)->mutable_typed_per_filter_config();
  filters["b.filter"].set_type_url("native");
  envoy::config::route::v3::FilterConfig off;
  off.set_disabled(true);
  filters["aa"].PackFrom(off);
  envoy::config::route::v3::FilterConfig optional;
  optional.set_is_optional(true);
  optional.mutable_config()->set_type_url("bad");
  filters["a"].PackFrom(optional);
  auto table = build_route_table(message, "rc", env, diagnostics);
  ASSERT_NE(table, nullptr) << diagnostics.text();
  const route::FilterConfigs& configs = first_route(*table).filter_configs();
  ASSERT_NE(configs.find(8), nullptr);
  EXPECT_EQ(*static_cast<const std::string*>(configs.find(8)->config.get()), "native");
  EXPECT_NE(configs.most_specific({8, 5}), nullptr);
  EXPECT_EQ(configs.most_specific({8, 6}), nullptr);
  EXPECT_TRUE(configs.find(2)->disabled);
  EXPECT_EQ(configs.find(1)->config, nullptr);
  const std::string base = "rc.virtual_hosts[0].routes[0].typed_per_filter_config";
  EXPECT_EQ(env.parsed, (std::vector<std::string>{base + ".a.config a", base + "[\"b.filter\"] b.filter"}));

  filters["z"].set_type_url("bad");
  EXPECT_EQ(build_route_table(message, "rc", env, diagnostics), nullptr);
  EXPECT_EQ(diagnostics.nack_text(), base + ".z: unknown type");
}

// As published: what is disabled has no configuration that a level below could bring back to life.
TEST(RouteConfig, WhatAWrapperDisablesItDoesNotConfigure) {
  FakeEnv env;
  Diagnostics diagnostics;
  RouteConfiguration message = parse(host_with("routes { match { prefix: '/' } route { cluster: 'c' } }"));
  auto& filters = *message.mutable_virtual_hosts(0)->mutable_routes(0)->mutable_typed_per_filter_config();
  envoy::config::route::v3::FilterConfig off;
  off.set_disabled(true);
  off.mutable_config()->set_type_url("native");
  filters["a"].PackFrom(off);
  auto table = build_route_table(message, "rc", env, diagnostics);
  ASSERT_NE(table, nullptr) << diagnostics.text();
  const auto* entry = first_route(*table).filter_configs().find(1);
  ASSERT_NE(entry, nullptr);
  EXPECT_TRUE(entry->disabled);
  EXPECT_EQ(entry->config, nullptr);
  // And one that says neither says nothing.
  filters["a"].PackFrom(envoy::config::route::v3::FilterConfig());
  EXPECT_EQ(build_route_table(message, "rc", env, diagnostics), nullptr);
  EXPECT_EQ(diagnostics.nack_text(),
            "rc.virtual_hosts[0].routes[0].typed_per_filter_config.a: needs config or disabled: "
            "true; config: {} switches the filter on and configures nothing");
}

// field: RouteMatch.cookies, RouteMatch.dynamic_metadata, RouteMatch.filter_state
TEST(RouteConfig, ConditionsOnTheStream) {
  auto table = build(host_with(R"(
    routes { match { prefix: '/' cookies { name: 'c' string_match { exact: '1' } } } route { cluster: 'c1' } }
    routes { match { prefix: '/' dynamic_metadata { filter: 'ns' path { key: 'k' } value { string_match { exact: 'v' } } } }
             route { cluster: 'c2' } }
    routes { match { prefix: '/' filter_state { key: 'rc.state' string_match { prefix: 'on' } } } route { cluster: 'c3' } }
    routes { match { prefix: '/' runtime_fraction { runtime_key: 'rc.fraction' default_value { numerator: 10 } } }
             route { cluster: 'c4' } }
    routes { match { prefix: '/' tls_context { validated { value: true } } } route { cluster: 'c5' } })"));
  ASSERT_NE(table, nullptr);
  stream::StreamInfo info;
  event::SlotTable slots;
  route::SelectInput input{.random = 50, .info = &info, .slots = &slots};
  auto cluster = [&](const route::TestRequest& request) {
    const route::Route* route = table->select(request.headers(), input).route;
    return route == nullptr ? "none" : std::string(route->forward().cluster_name());
  };
  using route::TestRequest;
  EXPECT_EQ(cluster(TestRequest("/")), "none");
  EXPECT_EQ(cluster(TestRequest("/", "h", {{"cookie", "a=2; c=1"}})), "c1");
  ArenaPool pool;
  Arena arena(pool);
  stream::Metadata metadata(arena);
  metadata.set("ns", "k", stream::Value::of_string("v"));
  info.metadata = &metadata;
  EXPECT_EQ(cluster(TestRequest("/")), "c2");
  info.metadata = nullptr;
  stream::FilterState state(arena, nullptr);
  state.set(stream::FilterStateName("rc.state"), stream::FilterStateValue::of_string("on-call"), {});
  info.filter_state = &state;
  EXPECT_EQ(cluster(TestRequest("/")), "c3");
  info.filter_state = nullptr;
  std::vector<runtime::Value> values(runtime::Key::count());
  values[runtime::Key("rc.fraction").id()] = runtime::Value::of_number(60);
  runtime::Snapshot snapshot(std::move(values));
  slots.apply({{runtime::kSlot, &snapshot}});
  EXPECT_EQ(cluster(TestRequest("/")), "c4");
  input.random = 60;
  EXPECT_EQ(cluster(TestRequest("/")), "none");
  input.client_certificate_validated = true;
  EXPECT_EQ(cluster(TestRequest("/")), "c5");
  // Without a stream or slots, defaults count and nothing is there.
  input = {.random = 5};
  EXPECT_EQ(cluster(TestRequest("/")), "c4");
}

constexpr const char* kTemplate =
    "path_match_policy { name: 't' typed_config { "
    "[type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig] { path_template: ";
constexpr const char* kTemplateRewrite =
    "path_rewrite_policy { name: 't' typed_config { "
    "[type.googleapis.com/envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig] { "
    "path_template_rewrite: ";

TEST(RouteConfig, PathTemplates) {
  auto with = [](const std::string& match, const std::string& rewrite) {
    return host_with("routes { match { " + std::string(kTemplate) + "'" + match + "' } } } } route { cluster: 'c' " +
                     (rewrite.empty() ? "" : kTemplateRewrite + ("'" + rewrite + "' } } }")) + " } }");
  };
  auto table = build(with("/videos/{language=lang/*}/{file}", "/{file}/{language}"));
  ASSERT_NE(table, nullptr);
  route::TestRequest request("/videos/lang/en/x.m4s?q=1");
  route::Selection selection = table->select(request.headers(), {});
  ASSERT_NE(selection.route, nullptr);
  EXPECT_EQ(selection.route->rewrite_path(request.subject(), request.arena()), "/x.m4s/lang/en?q=1");
  EXPECT_EQ(table->select(route::TestRequest("/videos/lang/en").headers(), {}).route, nullptr);

  const std::string at = "rc.virtual_hosts[0].routes[0].";
  EXPECT_EQ(
      errors(with("/a/{b", "")),
      at + "match.path_match_policy.typed_config.path_template: \"/a/{b\": the variable has no } (at character 4)");
  EXPECT_EQ(errors(with("/{a}", "/{b}")),
            at + "route.path_rewrite_policy.typed_config.path_template_rewrite: \"/{b}\": the path template has no "
                 "variable \"b\" (at character 2)");
  EXPECT_EQ(errors(host_with("routes { match { prefix: '/' } route { cluster: 'c' " + std::string(kTemplateRewrite) +
                             "'/x' } } } } }")),
            at + "route.path_rewrite_policy: needs a path_match_policy, whose variables it uses");
  EXPECT_EQ(errors(host_with("routes { match { " + std::string(kTemplate) + "'/x' } } } } route { cluster: 'c' " +
                             "prefix_rewrite: '/y' " + kTemplateRewrite + "'/x' } } } } }")),
            at + "route: prefix_rewrite, regex_rewrite, path_rewrite and path_rewrite_policy exclude each other");
  EXPECT_EQ(errors(host_with("routes { match { path_match_policy { name: 't' typed_config { "
                             "[type.googleapis.com/envoy.config.core.v3.Node] { } } } } route { cluster: 'c' } }")),
            at + "match.path_match_policy.typed_config: envoy.config.core.v3.Node is not supported by weir yet; "
                 "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig is");
}

TEST(RouteConfig, Metadata) {
  auto table = build(host_with(R"(
    metadata { filter_metadata { key: 'ns' value { fields { key: 'k' value { string_value: 'host' } } } } }
    routes { match { prefix: '/' } route { cluster: 'c' }
      metadata { filter_metadata { key: 'ns' value {
        fields { key: 'list' value { list_value { values { number_value: 1 } values { bool_value: true } values { null_value: NULL_VALUE } } } }
        fields { key: 'in' value { struct_value { fields { key: 'x' value { number_value: 1.5 } } } } } } } } })"));
  ASSERT_NE(table, nullptr);
  auto json = [](const stream::Value* value) {
    std::string out;
    if (value != nullptr) stream::append_json(*value, out);
    return out;
  };
  EXPECT_EQ(json(table->virtual_hosts()[0].metadata()), R"({"ns":{"k":"host"}})");
  EXPECT_EQ(json(first_route(*table).metadata()), R"({"ns":{"in":{"x":1.5},"list":[1,true,null]}})");
  EXPECT_EQ(first_route(*build(route_with(""))).metadata(), nullptr);
}

// A tree that sends /a... to a list of routes and /b... to one route.
std::string with_matcher(const std::string& list, const std::string& one) {
  return "virtual_hosts { name: 'h' domains: '*' matcher { matcher_tree { "
         "input { name: 'path' typed_config { [type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput] "
         "{ "
         "header_name: ':path' } } } prefix_match_map { "
         "map { key: '/a' value { action { name: 'a' typed_config { "
         "[type.googleapis.com/envoy.config.route.v3.RouteList] { " +
         list +
         " } } } } } "
         "map { key: '/b' value { action { name: 'b' typed_config { "
         "[type.googleapis.com/envoy.config.route.v3.Route] { " +
         one + " } } } } } } } } }";
}

// field: RouteList.routes
TEST(RouteConfig, MatcherTree) {
  auto table =
      build(with_matcher("routes { match { prefix: '/a/x' } route { cluster: 'c1' } } "
                         "routes { match { prefix: '/a' } route { cluster: 'c2' } }",
                         "name: 'only' match { path: '/b' } route { cluster: 'c3' }"));
  ASSERT_NE(table, nullptr);
  const route::VirtualHost& host = table->virtual_hosts()[0];
  EXPECT_TRUE(host.has_matcher());
  EXPECT_EQ(host.routes().size(), 3u);
  auto cluster = [&](std::string_view path) {
    route::TestRequest request(path);
    const route::Route* route = table->select(request.headers(), {}).route;
    return route == nullptr ? "none" : std::string(route->forward().cluster_name());
  };
  EXPECT_EQ(cluster("/a/x/y"), "c1");
  EXPECT_EQ(cluster("/a"), "c2");
  EXPECT_EQ(cluster("/b"), "c3");
  EXPECT_EQ(cluster("/bb"), "none");  // the tree says yes, the route's own condition no
  EXPECT_EQ(cluster("/c"), "none");
}

// As of routes in the list of the host: what the host says in the new way is what counts.
TEST(RouteConfig, OldCorsInAMatcherTree) {
  const std::string tree = with_matcher("routes { match { prefix: '/a' } route { cluster: 'c' cors {} } }",
                                        "match { path: '/b' } route { cluster: 'c' cors {} }");
  for (const bool typed : {false, true}) {
    RouteConfiguration message = parse(tree);
    if (typed) {
      auto& configs = *message.mutable_virtual_hosts(0)->mutable_typed_per_filter_config();
      configs["envoy.filters.http.cors"].set_type_url(
          "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy");
    }
    FakeEnv env;
    Diagnostics diagnostics;
    route::RouteTableSpec spec;
    EXPECT_TRUE(translate_route_config(message, "rc", env, spec, diagnostics)) << diagnostics.nack_text();
    ASSERT_EQ(spec.virtual_hosts[0].matcher_actions.size(), 2u);
    for (const route::MatcherActionSpec& action : spec.virtual_hosts[0].matcher_actions)
      EXPECT_EQ(action.routes[0].filter_configs.empty(), typed) << action.path;
  }
}

TEST(RouteConfig, FaultsInAMatcherTree) {
  const std::string tree = "rc.virtual_hosts[0].matcher.matcher_tree.prefix_match_map.map";
  EXPECT_EQ(errors(with_matcher("routes { match { prefix: '/a' } route { cluster: 'x' } } "
                                "routes { match { safe_regex { regex: '[' } } route { cluster: 'c' } }",
                                "match { path: '/b' } route { cluster: 'c' early_data_policy { name: 'e' } }")),
            tree +
                "[\"/a\"].action.typed_config.routes[0].route.cluster: \"x\" is not a cluster of this configuration; "
                "nearest: \"api_v2\"; " +
                tree + "[\"/b\"].action.typed_config.route.early_data_policy: not supported by weir yet; " + tree +
                "[\"/a\"].action.typed_config.routes[1].match.safe_regex: missing ] at character 1 (\"[\")");
  EXPECT_EQ(
      errors("virtual_hosts { name: 'h' domains: '*' "
             "matcher { matcher_list { matchers { predicate { single_predicate { input { name: 'i' typed_config { "
             "[type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput] { header_name: 'a' } } } "
             "value_match { exact: 'x' } } } on_match { action { name: 'a' typed_config { "
             "[type.googleapis.com/envoy.config.core.v3.Node] { } } } keep_matching: true } } } } }"),
      "rc.virtual_hosts[0].matcher.matcher_list.matchers[0].on_match.keep_matching: is not supported here: the first "
      "match decides; "
      "rc.virtual_hosts[0].matcher.matcher_list.matchers[0].on_match.action.typed_config: the action of a virtual "
      "host's matcher is an envoy.config.route.v3.Route or RouteList");
  EXPECT_EQ(
      errors("virtual_hosts { name: 'h' domains: '*' routes { match { prefix: '/' } route { cluster: 'c' } } "
             "matcher { matcher_tree { input { name: 'i' typed_config { "
             "[type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput] { header_name: 'a' } } } "
             "exact_match_map { map { key: 'k' value { action { name: 'a' typed_config { "
             "[type.googleapis.com/envoy.config.route.v3.Route] { match { prefix: '/' } route { cluster: 'c' } } } } } "
             "} } } } }"),
      "rc.virtual_hosts[0].matcher: matcher and routes exclude each other");
}

TEST(RouteConfig, UnknownClusters) {
  const std::string unknown = host_with("routes { match { prefix: '/' } route { cluster: 'api-v2' } }");
  EXPECT_EQ(errors(unknown),
            "rc.virtual_hosts[0].routes[0].route.cluster: \"api-v2\" is not a cluster of this "
            "configuration; nearest: \"api_v2\"");
  EXPECT_NE(build(unknown + "validate_clusters { value: false }"), nullptr);
  FakeEnv env;
  env.validate = false;
  Diagnostics diagnostics;
  EXPECT_NE(build_route_table(parse(unknown), "rc", env, diagnostics), nullptr);
  EXPECT_EQ(build_route_table(parse(unknown + "validate_clusters { value: true }"), "rc", env, diagnostics), nullptr);
}

TEST(RouteConfig, EveryFieldThatIsNotImplementedIsReported) {
  EXPECT_EQ(errors(host_with("routes { match { prefix: '/' "
                             "                 headers { name: 'x' string_match { custom { name: 'c' } } } "
                             "                 cookies { name: 'c' string_match { custom { name: 'c' } } } } "
                             "         route { cluster: 'c' early_data_policy { name: 'e' } } }")),
            "rc.virtual_hosts[0].routes[0].match.headers[0].string_match.custom: not supported by weir yet; "
            "rc.virtual_hosts[0].routes[0].match.cookies[0].string_match.custom: not supported by weir yet; "
            "rc.virtual_hosts[0].routes[0].route.early_data_policy: not supported by weir yet");
}

// field: RouteConfiguration.max_direct_response_body_size_bytes, WeightedCluster.total_weight
// field: route.v3.RetryPolicy.retry_host_predicate, RetryHostPredicate.name, RetryHostPredicate.typed_config
TEST(RouteConfig, FaultsOfValues) {
  const std::string at = "rc.virtual_hosts[0].routes[0]";
  EXPECT_EQ(errors(host_with("routes { match { prefix: '/' } }")),
            at + ".route: is required, or else redirect, direct_response or non_forwarding_action");
  EXPECT_EQ(errors(host_with("routes { match { } route { cluster: 'c' } }")),
            at + ".match.prefix: is required, or else path, path_separated_prefix, safe_regex, path_match_policy or "
                 "connect_matcher");
  EXPECT_EQ(errors(host_with("routes { match { prefix: '/' } direct_response { status: 199 } }")),
            at + ".direct_response.status: 199 is out of range; 200 to 599 are allowed");
  EXPECT_EQ(errors("max_direct_response_body_size_bytes { value: 3 }" +
                   host_with("routes { match { prefix: '/' } direct_response { status: 200 "
                             "body { inline_string: 'abcd' } } }")),
            at + ".direct_response.body.inline_string: 4 bytes; at most 3 are allowed "
                 "(max_direct_response_body_size_bytes of the "
                 "route configuration)");
  EXPECT_EQ(errors(host_with("routes { match { prefix: '/' } redirect { port_redirect: 70000 } }")),
            at + ".redirect.port_redirect: 70000 is no port; 1 to 65535 are");
  EXPECT_EQ(errors(host_with("routes { match { safe_regex { regex: '[' } } route { cluster: 'c' } }")),
            at + ".match.safe_regex.regex: missing ] at character 1 (\"[\")");
  EXPECT_EQ(errors(host_with("routes { match { prefix: '/' } route { weighted_clusters { total_weight { value: 3 } "
                             "clusters { name: 'c' weight { value: 2 } } } } }")),
            at + ".route.weighted_clusters.total_weight: is 3, but the weights add up to 2; leave it out");
  const std::string known =
      "is no predicate of hosts that weir knows; envoy.retry_host_predicates.previous_hosts, omit_canary_hosts and "
      "omit_host_metadata are";
  EXPECT_EQ(errors(route_with("retry_policy { retry_host_predicate { name: 'other' } }")),
            at + ".route.retry_policy.retry_host_predicate[0]: " + known);
  EXPECT_EQ(errors(route_with("retry_policy { retry_host_predicate { name: 'p' typed_config { "
                              "[type.googleapis.com/envoy.config.route.v3.NonForwardingAction] {} } } }")),
            at +
                ".route.retry_policy.retry_host_predicate[0].typed_config: "
                "envoy.config.route.v3.NonForwardingAction " +
                known);
  EXPECT_EQ(errors(route_with("retry_policy { retry_host_predicate { name: 'p' typed_config { "
                              "[type.googleapis.com/envoy.extensions.retry.host.omit_host_metadata.v3."
                              "OmitHostMetadataConfig] {} } } }")),
            at + ".route.retry_policy.retry_host_predicate[0].typed_config.metadata_match: must have fields in "
                 "filter_metadata: envoy.lb, which hosts are told apart by");
  EXPECT_EQ(errors("request_headers_to_add { header { key: 'a' value: 'b' } append { value: true } "
                   "append_action: ADD_IF_ABSENT }" +
                   host_with("")),
            "rc.request_headers_to_add[0].append: append and append_action exclude each other; append_action is the "
            "newer one");
}

}  // namespace
}  // namespace weir::config
