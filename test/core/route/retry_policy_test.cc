#include "core/route/retry_policy.h"

#include <gtest/gtest.h>

#include "test/core/route/test_request.h"

namespace weir::route {
namespace {

TEST(RetryPolicy, ParsesRetryOn) {
  EXPECT_EQ(parse_retry_on(""), 0u);
  EXPECT_EQ(parse_retry_on("5xx"), retry_on::k5xx);
  EXPECT_EQ(parse_retry_on("connect-failure,refused-stream , reset"),
            retry_on::kConnectFailure | retry_on::kRefusedStream | retry_on::kReset);
  EXPECT_EQ(parse_retry_on("unavailable,cancelled"), retry_on::kGrpcUnavailable | retry_on::kGrpcCancelled);
  std::string_view unknown;
  EXPECT_EQ(parse_retry_on("5xx,,nope,5XX,reset", &unknown), retry_on::k5xx | retry_on::kReset);
  EXPECT_EQ(unknown, "nope");
  EXPECT_EQ(unknown_retry_conditions("5xx,,nope,5XX,reset"), (std::vector<std::string_view>{"nope", "5XX"}));
  // What is no condition does nothing, as published; whoever translates files warns of it.
  ErrorSink errors;
  RetryPolicySpec spec;
  spec.retry_on = "nope,reset";
  EXPECT_EQ(RetryPolicy::build(spec, errors)->on, retry_on::kReset);
  EXPECT_TRUE(errors.errors().empty());
}

TEST(RetryPolicy, Defaults) {
  ErrorSink errors;
  auto policy = RetryPolicy::build({}, errors);
  EXPECT_TRUE(errors.errors().empty());
  EXPECT_EQ(policy->num_retries, 1u);
  EXPECT_EQ(policy->back_off_base, 25ms);
  EXPECT_EQ(policy->back_off_max, 250ms);
  EXPECT_EQ(policy->per_try_timeout, 0s);
  EXPECT_EQ(policy->host_selection_max_attempts, 1u);
}

TEST(RetryPolicy, BackOff) {
  ErrorSink errors;
  RetryPolicySpec spec;
  spec.back_off_base = 10us;
  EXPECT_EQ(RetryPolicy::build(spec, errors)->back_off_base, 1ms);
  EXPECT_TRUE(errors.errors().empty());
  spec.back_off_base = 0s;
  RetryPolicy::build(spec, errors);
  spec.back_off_base = 20ms;
  spec.back_off_max = 10ms;
  RetryPolicy::build(spec, errors);
  ASSERT_EQ(errors.errors().size(), 2u);
  EXPECT_EQ(errors.errors()[1].path, "retry_back_off");
}

// The longest that the configuration can say: nothing overflows.
TEST(RetryPolicy, WaitsStayBelowTheLimit) {
  Random random(1);
  constexpr Duration kLong = 24h * 365 * 100;
  for (const uint32_t retry : {0u, 1u, 2u, 16u, 17u, UINT32_MAX}) {
    for (const Duration most : {Duration(1ns), Duration(250ms), kLong}) {
      for (const Duration base : {Duration(1ns), Duration(25ms), kLong}) {
        const Duration wait = back_off_before(retry, base, most, random);
        EXPECT_GE(wait, Duration::zero());
        EXPECT_LT(wait, most);
      }
    }
  }
}

TEST(RetryPolicy, StatusesAndHeaders) {
  ErrorSink errors;
  RetryPolicySpec spec;
  spec.retriable_status_codes = {503, 404};
  spec.retriable_headers = {header_is("x-retry", "1")};
  spec.retriable_request_headers = {header_is("x-idempotent", "1")};
  auto policy = RetryPolicy::build(std::move(spec), errors);
  EXPECT_TRUE(policy->status_is_retriable(404));
  EXPECT_TRUE(policy->status_is_retriable(503));
  EXPECT_FALSE(policy->status_is_retriable(500));
  TestRequest with("/", "h", {{"x-retry", "1"}, {"x-idempotent", "1"}});
  TestRequest without("/");
  EXPECT_TRUE(policy->response_is_retriable(with.headers()));
  EXPECT_FALSE(policy->response_is_retriable(without.headers()));
  EXPECT_TRUE(policy->request_may_retry(with.headers()));
  EXPECT_FALSE(policy->request_may_retry(without.headers()));
  EXPECT_TRUE(RetryPolicy{}.request_may_retry(without.headers()));
}

TEST(RetryPolicy, OmitsHostsByTheirLabels) {
  ArenaPool pool;
  Arena arena(pool);
  using stream::Value;
  auto host = [&arena](std::vector<stream::Field> labels) {
    const Value own = stream::make_struct(std::move(labels), arena);
    return std::make_shared<const stream::StaticMetadata>(stream::make_struct({{"envoy.lb", own}}, arena));
  };
  RetryPolicy policy;
  policy.omitted_hosts = {host({{"canary", Value::of_bool(true)}}),
                          host({{"stage", Value::of_string("old")}, {"zone", Value::of_string("a")}})};
  EXPECT_FALSE(policy.omits(nullptr));
  EXPECT_FALSE(policy.omits(host({}).get()));
  EXPECT_TRUE(policy.omits(host({{"canary", Value::of_bool(true)}, {"more", Value::of_number(1)}}).get()));
  EXPECT_FALSE(policy.omits(host({{"canary", Value::of_bool(false)}}).get()));
  EXPECT_FALSE(policy.omits(host({{"stage", Value::of_string("old")}}).get()));  // all of them are needed
  const Value stages[] = {Value::of_string("new"), Value::of_string("old")};
  EXPECT_TRUE(policy.omits(host({{"stage", Value::of_list(stages)}, {"zone", Value::of_string("a")}}).get()));
  EXPECT_FALSE(policy.omits(host({{"stage", Value::of_list({stages, 1})}, {"zone", Value::of_string("a")}}).get()));
}

TEST(RetryPolicy, OfTheVirtualHostUnlessTheRouteHasOne) {
  RouteSpec own = prefix_route("/own");
  own.forward.retry = RetryPolicySpec{};
  own.forward.retry->num_retries = 7;
  RouteTableSpec spec = one_host(std::move(own), prefix_route("/"));
  spec.virtual_hosts[0].retry = RetryPolicySpec{};
  spec.virtual_hosts[0].retry->num_retries = 3;
  auto table = RouteTable::build(std::move(spec));
  ASSERT_TRUE(table.ok());
  const auto& routes = (*table)->virtual_hosts()[0].routes();
  EXPECT_EQ(routes[0].forward().retry()->num_retries, 7u);
  EXPECT_EQ(routes[1].forward().retry()->num_retries, 3u);
}

}  // namespace
}  // namespace weir::route
