#include "test/filters/http/local_ratelimit_fixture.h"

namespace weir::test {
namespace {

// field: http.local_ratelimit.v3.LocalRateLimit.stat_prefix, http.local_ratelimit.v3.LocalRateLimit.token_bucket
// field: TokenBucket.max_tokens, LocalRateLimit.filter_enabled, LocalRateLimit.filter_enforced
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

// field: RateLimit.x_ratelimit_option
TEST(LocalRateLimit, ADescriptorSaysWhetherItIsTold) {
  const auto limits = [](const std::string& option) {
    return kOn + bucket(3) + descriptor(entry("generic_key", "v"), 2) +
           "rate_limits { actions { generic_key { descriptor_value: 'v' } } x_ratelimit_option: " + option + " }";
  };
  std::string told;
  const auto tell = [&](const std::string& config) {
    Limit limit{.config = config};
    limit.after = [&](FilterHarness& harness) { told += harness.response().header("x-ratelimit-limit") + " "; };
    told.clear();
    limit.of_ten();
    return told.substr(0, told.find(' ', told.find(' ') + 1));
  };
  const std::string on = " enable_x_ratelimit_headers: DRAFT_VERSION_03";
  EXPECT_EQ(tell(limits("UNSPECIFIED")), "(none) (none)");
  EXPECT_EQ(tell(limits("UNSPECIFIED") + on), "2 2");
  EXPECT_EQ(tell(limits("DRAFT_VERSION_03")), "2 2");
  EXPECT_EQ(tell(limits("OFF") + on), "(none) (none)");
}

// field: LocalRateLimitDescriptor.shadow_mode
TEST(LocalRateLimit, AShadowOnlyCounts) {
  const std::string shadow = "descriptors { " + entry("generic_key", "v") + bucket(2) + "shadow_mode: true } " +
                             "rate_limits { actions { generic_key { descriptor_value: 'v' } } }";
  Limit alone{.config = kOn + shadow};
  EXPECT_EQ(alone.of_ten(), 10);
  EXPECT_EQ(alone.count("rl.http_local_rate_limit.ok"), 2u);
  EXPECT_EQ(alone.count("rl.http_local_rate_limit.rate_limited"), 8u);
  EXPECT_EQ(alone.count("rl.http_local_rate_limit.shadow_mode"), 8u);
  EXPECT_EQ(alone.count("rl.http_local_rate_limit.enforced"), 0u);
  // It does not keep other buckets from refusing.
  Limit with{.config = kOn + bucket(5) + shadow};
  EXPECT_EQ(with.of_ten(), 5);
  EXPECT_EQ(with.count("rl.http_local_rate_limit.shadow_mode"), 3u);
  EXPECT_EQ(with.count("rl.http_local_rate_limit.enforced"), 5u);
}

// field: LocalRateLimit.rate_limited_as_resource_exhausted
TEST(LocalRateLimit, GrpcIsAnsweredInItsShape) {
  std::string said;
  const auto answer = [&](const std::string& config, const std::string& type) {
    Limit limit{.config = kOn + bucket(0) + config};
    limit.after = [&](FilterHarness& harness) {
      const Message& response = harness.response();
      said = response.header(":status") + " " + response.header("content-type") + " " + response.header("grpc-status") +
             " " + response.header("grpc-message") + " " + response.header("x-limited");
    };
    EXPECT_FALSE(limit.passes("/", {{"content-type", type}}));
    return said;
  };
  const std::string header = "response_headers_to_add { header { key: 'x-limited' value: 'yes' } } ";
  EXPECT_EQ(answer("", "application/grpc"), "200 application/grpc 14 local_rate_limited (none)");
  EXPECT_EQ(answer(header + "rate_limited_as_resource_exhausted: true", "application/grpc+proto"),
            "200 application/grpc 8 local_rate_limited yes");
  EXPECT_EQ(answer("status { code: Forbidden }", "application/grpc"),
            "200 application/grpc 7 local_rate_limited (none)");
  EXPECT_EQ(answer("rate_limited_as_resource_exhausted: true", "application/grpc-web"),
            "429 text/plain (none) (none) (none)");
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

TEST(LocalRateLimit, WarnsOfAValueThatIsNeverUsed) {
  PluginScope plugins;
  plugins.http_filter(
      parsed<LocalRateLimit>("stat_prefix: 'x' " + descriptor(entry("a", "b"), 1) +
                             "rate_limits { actions { generic_key { descriptor_value: 'v' default_value: 'w' } } }"));
  EXPECT_EQ(
      plugins.warning_texts(),
      std::vector<std::string>{"rate_limits[0].actions[0].generic_key.default_value: is never used: descriptor_value "
                               "has no %OPERATORS%, and is never empty"});
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
  EXPECT_EQ(errors(descriptor(entry("a", "b"), 1) + descriptor(entry("a", "b"), 2)),
            Texts{"descriptors[1].entries: are those of descriptors[0]; one descriptor has one bucket"});
  EXPECT_EQ(
      errors("rate_limits { actions { generic_key { descriptor_value: '50%' } } }"),
      Texts{"rate_limits[0].actions[0].generic_key.descriptor_value: \"%\": the name of an operator must follow %, "
            "as in %PROTOCOL%; %% prints a percent sign (at character 3)"});
  const auto hits = [&](const std::string& text) {
    return errors("rate_limits { actions { remote_address {} } hits_addend { " + text + " } }");
  };
  EXPECT_EQ(hits(""), Texts{"rate_limits[0].hits_addend: needs either number or format"});
  EXPECT_EQ(hits("number { value: 1 } format: '%REQ(x)%'"),
            Texts{"rate_limits[0].hits_addend: needs either number or format"});
  EXPECT_EQ(hits("format: '1%REQ(x)%'"),
            Texts{"rate_limits[0].hits_addend.format: \"1%REQ(x)%\" must be one operator, as "
                  "in %REQ(x-cost)%, and nothing else"});
  const std::string open = descriptor("entries { key: 'a' } ", 1) + descriptor("entries { key: 'b' } ", 1);
  EXPECT_EQ(
      errors(open + "max_dynamic_descriptors { value: 500001 }"),
      Texts{"max_dynamic_descriptors: 500001 for each of the 2 descriptors with an empty value are too many; together "
            "at most 1000000"});
  EXPECT_EQ(
      errors(open + "max_dynamic_descriptors { value: 501 } local_rate_limit_per_downstream_connection: true"),
      Texts{"max_dynamic_descriptors: 501 for each of the 2 descriptors with an empty value are too many; together at "
            "most 1000, for every connection keeps as many"});
  EXPECT_EQ(errors("max_dynamic_descriptors { value: 4000000000 }"), Texts{});  // no descriptor has any
  EXPECT_EQ(errors("response_headers_to_add { header { key: ':status' value: '1' } }"),
            Texts{"response_headers_to_add[0].header.key: \":status\" may not be added, changed or removed here"});
}

}  // namespace
}  // namespace weir::test
