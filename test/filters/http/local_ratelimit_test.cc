#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "filters/http/local_ratelimit/limiter.h"
#include "test/support/filter_harness.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

using LocalRateLimit = envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit;
using filters::local_ratelimit::BucketSpec;
using filters::local_ratelimit::TokenBucket;

MonoTime at(Duration since) { return MonoTime(std::chrono::hours(1) + since); }

TEST(TokenBucket, FillsAtTheEndOfEachInterval) {
  const BucketSpec spec{3, 2, 100ms};
  TokenBucket bucket;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(spec, at(0ms)));
  EXPECT_FALSE(bucket.take(spec, at(0ms)));
  EXPECT_FALSE(bucket.take(spec, at(99ms)));
  EXPECT_EQ(bucket.until_fill(spec, at(99ms)), 1ms);
  EXPECT_EQ(bucket.tokens(spec, at(100ms)), 2u);
  EXPECT_TRUE(bucket.take(spec, at(100ms)));
  EXPECT_TRUE(bucket.take(spec, at(150ms)));
  EXPECT_FALSE(bucket.take(spec, at(199ms)));
  EXPECT_EQ(bucket.tokens(spec, at(10s)), 3u);  // no more than fit
  // A lane whose turn began a little earlier neither gets tokens twice nor takes them from the future.
  EXPECT_TRUE(bucket.take(spec, at(10s)));
  EXPECT_TRUE(bucket.take(spec, at(9900ms)));
  EXPECT_TRUE(bucket.take(spec, at(10s)));
  EXPECT_FALSE(bucket.take(spec, at(10s)));
}

TEST(TokenBucket, LanesNeverGetOneTokenTwice) {
  const BucketSpec spec{10'000, 10'000, 1h};
  TokenBucket bucket;
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      int mine = 0;
      for (int j = 0; j < 5'000; ++j) mine += bucket.take(spec, at(0ms));
      taken += mine;
    });
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(taken, 10'000);
}

template <class Proto>
Proto parsed(const std::string& text) {
  Proto proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto)) << text;
  return proto;
}

const std::string kOn =
    "filter_enabled { default_value { numerator: 100 } } filter_enforced { default_value { numerator: 100 } } ";
std::string bucket(int tokens) {
  return "token_bucket { max_tokens: " + std::to_string(tokens) + " fill_interval { seconds: 3600 } } ";
}
std::string descriptor(const std::string& entries, int tokens) {
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
      envoy::config::route::v3::VirtualHost host;
      EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &host)) << text;
      level->limits = plugins.scope().translator().rate_limits(host.rate_limits(), "rate_limits");
      harness.set_route_rate_limits(std::move(level));
    }
    harness.set_route_cluster(cluster);
    harness.stream().info().downstream_remote = *net::Address::from_ip(remote, 1);
    if (before) before(harness);
    Headers request = {{":method", "GET"}, {":authority", "a.example"}, {":path", path}};
    request.insert(request.end(), more.begin(), more.end());
    harness.send_headers(request, true);
    harness.respond_headers({{":status", "200"}}, true);
    harness.run(20ms);
    const bool passed = harness.request().has_headers;
    if (!passed) {
      EXPECT_EQ(harness.details(), "local_rate_limited");
      EXPECT_EQ(harness.response().body, "local_rate_limited");
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

// field: LocalRateLimit.stat_prefix, LocalRateLimit.token_bucket, TokenBucket.max_tokens, LocalRateLimit.filter_enabled
// field: LocalRateLimit.filter_enforced
TEST(LocalRateLimit, RefusesWhatHasNoToken) {
  Limit limit{.config = kOn + bucket(3)};
  limit.after = [](FilterHarness& harness) {
    if (harness.request().has_headers) return;
    EXPECT_EQ(harness.response().header(":status"), "429");
    EXPECT_TRUE(harness.flags().has(stream::ResponseFlag::kRateLimited));
  };
  EXPECT_EQ(limit.of_ten(), 3);
  EXPECT_EQ(limit.count("rl.http_local_rate_limit.enabled"), 10u);
  EXPECT_EQ(limit.count("rl.http_local_rate_limit.ok"), 3u);
  EXPECT_EQ(limit.count("rl.http_local_rate_limit.rate_limited"), 7u);
  EXPECT_EQ(limit.count("rl.http_local_rate_limit.enforced"), 7u);

  Limit off{.config = bucket(3)};  // enabled by nobody
  EXPECT_EQ(off.of_ten(), 10);
  EXPECT_EQ(off.count("rl.http_local_rate_limit.enabled"), 0u);
  Limit without{.config = kOn};
  EXPECT_EQ(without.of_ten(), 10);
  EXPECT_EQ(without.count("rl.http_local_rate_limit.ok"), 10u);
}

// field: TokenBucket.tokens_per_fill, TokenBucket.fill_interval
TEST(LocalRateLimit, TokensComeBack) {
  Limit limit{.config =
                  kOn + "token_bucket { max_tokens: 5 tokens_per_fill { value: 2 } fill_interval { seconds: 10 } }"};
  EXPECT_EQ(limit.of_ten(), 5);
  limit.before = [](FilterHarness& harness) { harness.lane().advance(10'001ms); };
  EXPECT_EQ(limit.of_ten(), 2);
}

// field: LocalRateLimit.request_headers_to_add_when_not_enforced
TEST(LocalRateLimit, OnlyCounts) {
  Limit limit{.config = "filter_enabled { default_value { numerator: 100 } } " + bucket(1) +
                        "request_headers_to_add_when_not_enforced { header { key: 'x-over' value: 'path %PATH%' } }"};
  std::string over;
  limit.after = [&](FilterHarness& harness) { over = harness.request().header("x-over"); };
  EXPECT_TRUE(limit.passes("/a"));
  EXPECT_EQ(over, "(none)");
  EXPECT_TRUE(limit.passes("/a"));
  EXPECT_EQ(over, "path /a");
  EXPECT_EQ(limit.count("rl.http_local_rate_limit.rate_limited"), 1u);
  EXPECT_EQ(limit.count("rl.http_local_rate_limit.enforced"), 0u);
}

// field: LocalRateLimit.status, HttpStatus.code, LocalRateLimit.response_headers_to_add
// field: LocalRateLimit.enable_x_ratelimit_headers
TEST(LocalRateLimit, WhatResponsesSay) {
  Limit limit{.config = kOn + bucket(2) +
                        "status { code: ServiceUnavailable } enable_x_ratelimit_headers: DRAFT_VERSION_03 "
                        "response_headers_to_add { header { key: 'x-limited' value: 'by %PATH%' } }"};
  std::string said;
  limit.after = [&](FilterHarness& harness) {
    const Message& response = harness.response();
    said = response.header(":status") + " " + response.header("x-limited") + " " +
           response.header("x-ratelimit-limit") + " " + response.header("x-ratelimit-remaining") + " " +
           response.header("x-ratelimit-reset");
  };
  limit.passes();
  EXPECT_EQ(said, "200 (none) 2 1 3600");
  limit.passes();
  EXPECT_EQ(said, "200 (none) 2 0 3600");
  limit.passes("/p");
  EXPECT_EQ(said, "503 by /p 2 0 3600");

  Limit other{.config = kOn + bucket(1) + "status { code: OK }"};  // says nothing is wrong
  other.after = limit.after;
  other.of_ten();
  EXPECT_EQ(said, "429 (none) (none) (none) (none)");
}

const std::string kByUser =
    "rate_limits { actions { request_headers { header_name: 'x-user' descriptor_key: 'user' } } } ";
std::string entry(const std::string& key, const std::string& value) {
  return "entries { key: '" + key + "' value: '" + value + "' } ";
}

// field: LocalRateLimit.descriptors, LocalRateLimit.rate_limits, LocalRateLimit.always_consume_default_token_bucket
// field: LocalRateLimitDescriptor.entries, LocalRateLimitDescriptor.token_bucket, RateLimitDescriptor.Entry.key
// field: RateLimitDescriptor.Entry.value, RateLimit.actions, Action.request_headers, RequestHeaders.header_name
// field: RequestHeaders.descriptor_key
TEST(LocalRateLimit, DescriptorsHaveBucketsOfTheirOwn) {
  const std::string two = descriptor(entry("user", "a"), 2) + descriptor(entry("user", "b"), 4);
  Limit limit{.config = kOn + bucket(5) + kByUser + two + "always_consume_default_token_bucket { value: false }"};
  EXPECT_EQ(limit.of_ten("/", {{"x-user", "a"}}), 2);
  EXPECT_EQ(limit.of_ten("/", {{"x-user", "b"}}), 4);
  EXPECT_EQ(limit.of_ten("/", {{"x-user", "c"}}), 5);  // who has none takes from the default
  EXPECT_EQ(limit.of_ten(), 0);
  Limit both{.config = kOn + bucket(5) + kByUser + two};
  EXPECT_EQ(both.of_ten("/", {{"x-user", "a"}}), 2);  // what a descriptor refuses costs the default nothing
  EXPECT_EQ(both.of_ten("/", {{"x-user", "b"}}), 3);
  EXPECT_EQ(both.of_ten(), 0);
  Limit alone{.config = kOn + kByUser + two};
  EXPECT_EQ(alone.of_ten("/", {{"x-user", "a"}}), 2);
  EXPECT_EQ(alone.of_ten(), 10);
}

// A descriptor that each kind of action makes. Its bucket is empty after one request.
struct Kind {
  const char* actions;
  std::string entries;
  std::string path = "/";
  Headers headers{};
  bool counted = true;
};

// field: Action.generic_key, GenericKey.descriptor_value, GenericKey.descriptor_key, Action.remote_address
// field: Action.masked_remote_address, MaskedRemoteAddress.v4_prefix_mask_len, MaskedRemoteAddress.v6_prefix_mask_len
// field: Action.destination_cluster, Action.header_value_match, HeaderValueMatch.descriptor_value
// field: HeaderValueMatch.descriptor_key, HeaderValueMatch.expect_match, HeaderValueMatch.headers
// field: Action.query_parameters, QueryParameters.query_parameter_name, QueryParameters.descriptor_key
// field: QueryParameters.skip_if_absent, RequestHeaders.skip_if_absent, Action.query_parameter_value_match
// field: QueryParameterValueMatch.descriptor_value, QueryParameterValueMatch.descriptor_key
// field: QueryParameterValueMatch.expect_match, QueryParameterValueMatch.query_parameters
TEST(LocalRateLimit, ActionsMakeDescriptors) {
  const char* by_header = "actions { request_headers { header_name: 'x-a' descriptor_key: 'a' } }";
  const char* perhaps_header =
      "actions { generic_key { descriptor_value: 'v' } } actions { request_headers { header_name: 'x-a' "
      "descriptor_key: "
      "'a' skip_if_absent: true } }";
  const char* by_query = "actions { query_parameters { query_parameter_name: 'q' descriptor_key: 'a' } }";
  const char* perhaps_query =
      "actions { generic_key { descriptor_value: 'v' } } actions { query_parameters { query_parameter_name: 'q' "
      "descriptor_key: 'a' skip_if_absent: true } }";
  const char* has_a =
      "actions { header_value_match { descriptor_value: 'v' headers { name: 'x-a' present_match: true } } }";
  const char* has_no_a =
      "actions { header_value_match { descriptor_key: 'k' descriptor_value: 'v' expect_match { value: false } headers "
      "{ "
      "name: 'x-a' present_match: true } } }";
  const char* has_q =
      "actions { query_parameter_value_match { descriptor_value: 'v' query_parameters { name: 'q' string_match { "
      "exact: "
      "'1' } } } }";
  const char* has_no_q =
      "actions { query_parameter_value_match { descriptor_key: 'k' descriptor_value: 'v' expect_match { value: false } "
      "query_parameters { name: 'q' string_match { exact: '1' } } } }";
  const Kind kinds[] = {
      {"actions { generic_key { descriptor_value: 'v' } }", entry("generic_key", "v")},
      {"actions { generic_key { descriptor_value: 'v' descriptor_key: 'k' } }", entry("k", "v")},
      {"actions { generic_key { descriptor_value: 'v' } }", entry("generic_key", "w"), "/", {}, false},
      {"actions { remote_address {} }", entry("remote_address", "10.1.2.3")},
      {"actions { masked_remote_address {} }", entry("masked_remote_address", "10.1.2.3/32")},
      {"actions { masked_remote_address { v4_prefix_mask_len { value: 8 } } }",
       entry("masked_remote_address", "10.0.0.0/8")},
      {"actions { destination_cluster {} }", entry("destination_cluster", "shop")},
      {by_header, entry("a", "1"), "/", {{"x-a", "1"}}},
      {by_header, entry("a", "1,2"), "/", {{"x-a", "1"}, {"x-a", "2"}}},
      {by_header, entry("a", "1"), "/", {}, false},
      {perhaps_header, entry("generic_key", "v") + entry("a", "1"), "/", {{"x-a", "1"}}},
      {perhaps_header, entry("generic_key", "v")},
      {perhaps_header, entry("a", "1") + entry("generic_key", "v"), "/", {{"x-a", "1"}}, false},  // the order counts
      {by_query, entry("a", "1"), "/?q=1"},
      {by_query, entry("a", "1"), "/?p=1", {}, false},
      {perhaps_query, entry("generic_key", "v"), "/?p=1"},
      {has_a, entry("header_match", "v"), "/", {{"x-a", "1"}}},
      {has_a, entry("header_match", "v"), "/", {}, false},
      {has_no_a, entry("k", "v")},
      {has_no_a, entry("k", "v"), "/", {{"x-a", "1"}}, false},
      {has_q, entry("query_match", "v"), "/?q=1"},
      {has_q, entry("query_match", "v"), "/?q=2", {}, false},
      {has_no_q, entry("k", "v"), "/?q=2"},
      {has_no_q, entry("k", "v"), "/?q=1", {}, false},
  };
  for (const Kind& kind : kinds) {
    Limit limit{.config = kOn + descriptor(kind.entries, 1) + "rate_limits { " + kind.actions + " }"};
    limit.cluster = "shop";
    EXPECT_EQ(limit.of_ten(kind.path, kind.headers), kind.counted ? 1 : 10)
        << kind.actions << kind.entries << kind.path;
  }
  Limit six{.config = kOn + descriptor(entry("masked_remote_address", "2001:db8::/32"), 1) +
                      "rate_limits { actions { masked_remote_address { v6_prefix_mask_len { value: 32 } } } }"};
  six.remote = "2001:db8:1::7";
  EXPECT_EQ(six.of_ten(), 1);
}

// field: LocalRateLimit.stage, RateLimit.stage, LocalRateLimit.vh_rate_limits
TEST(LocalRateLimit, RoutesAndVirtualHostsSayWhatCounts) {
  const auto makes = [](const std::string& value, const std::string& stage = "") {
    return "rate_limits { " + stage + " actions { generic_key { descriptor_value: '" + value + "' } } }";
  };
  const std::string two =
      kOn + descriptor(entry("generic_key", "host"), 1) + descriptor(entry("generic_key", "route"), 2);
  Limit host{.config = two, .rate_limits = {{true, makes("host")}}};
  EXPECT_EQ(host.of_ten(), 1);
  Limit override{.config = two, .rate_limits = {{true, makes("host")}, {false, makes("route")}}};
  EXPECT_EQ(override.of_ten(), 2);
  Limit include{.config = two + "vh_rate_limits: INCLUDE",
                .rate_limits = {{true, makes("host")}, {false, makes("route")}}};
  EXPECT_EQ(include.of_ten(), 1);
  Limit ignore{.config = two + "vh_rate_limits: IGNORE", .rate_limits = {{true, makes("host")}}};
  EXPECT_EQ(ignore.of_ten(), 10);
  // field: RouteAction.include_vh_rate_limits
  Limit included{.config = two + "vh_rate_limits: IGNORE",
                 .rate_limits = {{true, makes("host")}, {false, ""}},
                 .include_virtual_host = true};
  EXPECT_EQ(included.of_ten(), 1);
  // The filter's own take the place of both.
  Limit own{.config = two + makes("route"), .rate_limits = {{true, makes("host")}}};
  EXPECT_EQ(own.of_ten(), 2);
  // Each stage is counted by the filters of that stage.
  const std::string staged = makes("host", "stage { value: 1 }") + makes("route", "stage { value: 2 }");
  Limit zero{.config = two, .rate_limits = {{true, staged}}};
  EXPECT_EQ(zero.of_ten(), 10);
  Limit first{.config = two + "stage: 1", .rate_limits = {{true, staged}}};
  EXPECT_EQ(first.of_ten(), 1);
}

// field: RateLimit.disable_key
TEST(LocalRateLimit, ALimitIsSwitchedOffAtRunTime) {
  runtime::Key key("ratelimit.switch.http_filter_enabled");
  std::vector<runtime::Value> values(runtime::Key::count());
  values[key.id()] = runtime::Value::of_number(0);
  runtime::Snapshot snapshot(values);
  Limit limit{.config = kOn + descriptor(entry("generic_key", "v"), 1) +
                        "rate_limits { disable_key: 'switch' actions { generic_key { descriptor_value: 'v' } } }"};
  limit.before = [&](FilterHarness& harness) { harness.lane().lane().slots().apply({{runtime::kSlot, &snapshot}}); };
  EXPECT_EQ(limit.of_ten(), 10);
  limit.before = nullptr;
  EXPECT_EQ(limit.of_ten(), 1);
}

// field: LocalRateLimit.local_rate_limit_per_downstream_connection
TEST(LocalRateLimit, EachConnectionItsOwn) {
  ArenaPool arenas;
  stream::ConnectionInfo one(arenas), other(arenas);
  stream::ConnectionInfo* connection = &one;
  Limit limit{.config = kOn + bucket(2) + "local_rate_limit_per_downstream_connection: true"};
  limit.before = [&](FilterHarness& harness) { harness.set_connection(connection); };
  EXPECT_EQ(limit.of_ten(), 2);
  connection = &other;
  EXPECT_EQ(limit.of_ten(), 2);
  connection = &one;
  EXPECT_EQ(limit.of_ten(), 0);
  limit.entry = {};  // configured anew: other buckets
  EXPECT_EQ(limit.of_ten(), 2);
}

TEST(LocalRateLimit, AConnectionDoesNotGrowWithTheConfigurationsThatItMeets) {
  ArenaPool arenas;
  stream::ConnectionInfo connection(arenas);
  Limit limit{.config = kOn + bucket(2) + "local_rate_limit_per_downstream_connection: true"};
  limit.before = [&](FilterHarness& harness) { harness.set_connection(&connection); };
  filter::HttpFilterEntry previous;
  const auto configure_anew = [&] {
    previous = std::exchange(limit.entry, {});  // dies when the one after it is there
    return limit.passes();
  };
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(configure_anew());
  const size_t before = connection.make_filter_state().arena_for(stream::LifeSpan::kConnection).overflow_bytes();
  EXPECT_GT(before, 0u);
  for (int i = 0; i < 500; ++i) EXPECT_TRUE(configure_anew());
  EXPECT_EQ(connection.make_filter_state().arena_for(stream::LifeSpan::kConnection).overflow_bytes(), before);
  // Settings that are there at the same time never share buckets.
  Limit other{.config = limit.config, .before = limit.before};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(limit.passes(), i < 1);
    EXPECT_EQ(other.passes(), i < 2);
  }
  other.config += " " + descriptor(entry("a", "1"), 1) + descriptor(entry("a", "2"), 1);  // needs more room
  other.entry = {};
  EXPECT_EQ(other.of_ten(), 2);
}

TEST(LocalRateLimit, ARouteHasALimitInsteadOfTheFilters) {
  Limit limit{.config = kOn + bucket(1), .route = kOn + bucket(3)};
  EXPECT_EQ(limit.of_ten(), 3);
  EXPECT_EQ(limit.count("route.http_local_rate_limit.enforced"), 7u);
  EXPECT_EQ(limit.count("rl.http_local_rate_limit.enabled"), 0u);
}

TEST(LocalRateLimit, WarnsOfRateLimitsThatMeanNothing) {
  PluginScope plugins;
  plugins.http_filter(parsed<LocalRateLimit>("stat_prefix: 'x' " + bucket(1) + kByUser));
  plugins.http_filter(parsed<LocalRateLimit>("stat_prefix: 'x' " + kByUser + descriptor(entry("user", "a"), 2)));
  EXPECT_EQ(plugins.warning_texts(),
            std::vector<std::string>{
                "rate_limits: mean nothing without descriptors, which have the buckets; add some, or remove these"});
}

TEST(LocalRateLimit, WhatIsRefused) {
  const auto errors = [](const std::string& config) {
    PluginScope plugins;
    plugins.http_filter(parsed<LocalRateLimit>("stat_prefix: 'x' " + config));
    return plugins.error_texts();
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(errors("token_bucket { max_tokens: 1 fill_interval { nanos: 49999999 } }"),
            Texts{"token_bucket.fill_interval: must be 50ms at least; more tokens_per_fill give the same rate"});
  EXPECT_EQ(
      errors(descriptor(entry("a", ""), 1)),
      Texts{"descriptors[0].entries[0].value: must not be empty: weir has no buckets for each value of a key yet"});
  EXPECT_EQ(errors(descriptor(entry("a", "b"), 1) + descriptor(entry("a", "b"), 2)),
            Texts{"descriptors[1].entries: are those of descriptors[0]; one descriptor has one bucket"});
  EXPECT_EQ(
      errors("rate_limits { actions { generic_key { descriptor_value: '%REQ(X)%' } } }"),
      Texts{"rate_limits[0].actions[0].generic_key.descriptor_value: \"%REQ(X)%\" has a %; formats are not supported "
            "by weir yet"});
  EXPECT_EQ(errors("response_headers_to_add { header { key: ':status' value: '1' } }"),
            Texts{"response_headers_to_add[0].header.key: \":status\" may not be added, changed or removed here"});
}

}  // namespace
}  // namespace weir::test
