// The decisions of a retry policy without an upstream in sight.
#include "core/proxy/retry_state.h"

#include <gtest/gtest.h>

#include "core/base/arena.h"
#include "core/route/errors.h"

namespace weir::proxy {
namespace {

using http::HeaderId;
namespace retry_on = route::retry_on;

class RetryStateTest : public ::testing::Test {
 protected:
  template <class Fill>
  std::unique_ptr<const route::RetryPolicy> policy(Fill&& fill) {
    route::RetryPolicySpec spec;
    fill(spec);
    route::ErrorSink errors;
    auto built = route::RetryPolicy::build(std::move(spec), errors);
    EXPECT_TRUE(errors.errors().empty());
    return built;
  }
  ArenaPool arenas_;
  Arena arena_{arenas_};
  http::HeaderMap request_{arena_};
  http::HeaderMap response_{arena_};
};

TEST_F(RetryStateTest, WithoutPolicyAndHeadersThereIsNone) {
  RetryState state;
  Duration timeout = 15s;
  state.set_policy(nullptr, request_);
  state.read_overrides(request_, timeout);
  EXPECT_FALSE(state.enabled());
  EXPECT_EQ(state.left(), 0u);
  EXPECT_FALSE(state.covers(~0u));
  EXPECT_EQ(timeout, 15s);
}

TEST_F(RetryStateTest, ThePolicyOfTheRoute) {
  auto built = policy([](route::RetryPolicySpec& spec) {
    spec.retry_on = "5xx,connect-failure";
    spec.num_retries = 3;
    spec.per_try_timeout = 2s;
  });
  RetryState state;
  state.set_policy(built.get(), request_);
  EXPECT_TRUE(state.covers(retry_on::k5xx));
  EXPECT_TRUE(state.covers(retry_on::kConnectFailure | retry_on::kReset));
  EXPECT_FALSE(state.covers(retry_on::kReset));
  EXPECT_EQ(state.left(), 3u);
  EXPECT_EQ(state.per_try_timeout(), 2s);
  state.use_one();
  EXPECT_EQ(state.left(), 2u);
}

TEST_F(RetryStateTest, HeadersOfTrustedClientsAreObeyedAndRemoved) {
  auto built = policy([](route::RetryPolicySpec& spec) {
    spec.retry_on = "5xx";
    spec.per_try_timeout = 2s;
  });
  request_.add(HeaderId::kXEnvoyRetryOn, "reset");
  request_.add(HeaderId::kXEnvoyMaxRetries, "7");
  request_.add(HeaderId::kXEnvoyUpstreamRqTimeoutMs, "9000");
  request_.add(HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs, "500");
  request_.add(HeaderId::kXEnvoyUpstreamAltStatName, "x");
  RetryState state;
  Duration timeout = 15s;
  state.set_policy(built.get(), request_);
  state.read_overrides(request_, timeout);
  EXPECT_TRUE(state.covers(retry_on::kReset));
  EXPECT_TRUE(state.covers(retry_on::k5xx));
  EXPECT_EQ(state.left(), 7u);
  EXPECT_EQ(timeout, 9s);
  EXPECT_EQ(state.per_try_timeout(), 500ms);
  size_t fields = 0;
  request_.for_each([&](const http::HeaderEntry&) { ++fields; });
  EXPECT_EQ(fields, 0u);
}

TEST_F(RetryStateTest, HeadersSayWhatElseIsRetriable) {
  request_.add(HeaderId::kXEnvoyRetryOn, "retriable-status-codes,retriable-headers");
  request_.add(HeaderId::kXEnvoyRetriableStatusCodes, "x, 418 ,429");
  request_.add(HeaderId::kXEnvoyRetriableHeaderNames, "x-again, X-Later");
  request_.add(HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse, "1");
  request_.add(HeaderId::kXEnvoyUpstreamStreamDurationMs, "250");
  RetryState state;
  EXPECT_EQ(state.timeout_status(), 504);
  Duration timeout = 15s;
  state.read_overrides(request_, timeout);
  EXPECT_EQ(state.conditions_of(response_, 418), retry_on::kRetriableStatusCodes);
  EXPECT_EQ(state.conditions_of(response_, 429), retry_on::kRetriableStatusCodes);
  EXPECT_EQ(state.conditions_of(response_, 430), 0u);
  EXPECT_EQ(state.timeout_status(), 204);
  EXPECT_EQ(state.max_stream_duration(), 250ms);
  const http::HeaderName later("x-later");  // the map refers to it
  response_.add(later, "now");
  EXPECT_EQ(state.conditions_of(response_, 200), retry_on::kRetriableHeaders);
  size_t fields = 0;
  request_.for_each([&](const http::HeaderEntry&) { ++fields; });
  EXPECT_EQ(fields, 0u);
}

TEST_F(RetryStateTest, NonsenseInHeadersChangesNothing) {
  for (const char* nonsense : {"", "-1", "1x", "99999999999999999999999"}) {
    request_.clear();
    request_.add(HeaderId::kXEnvoyMaxRetries, nonsense);
    request_.add(HeaderId::kXEnvoyUpstreamRqTimeoutMs, nonsense);
    RetryState state;
    Duration timeout = 15s;
    state.read_overrides(request_, timeout);
    EXPECT_EQ(state.left(), 0u);
    EXPECT_EQ(timeout, 15s);
  }
}

TEST_F(RetryStateTest, ATryThatMayLastAsLongAsTheWholeIsNoLimit) {
  auto built = policy([](route::RetryPolicySpec& spec) { spec.per_try_timeout = 20s; });
  RetryState state;
  Duration timeout = 15s;
  state.set_policy(built.get(), request_);
  state.read_overrides(request_, timeout);
  EXPECT_EQ(state.per_try_timeout(), 0s);
}

// retriable_request_headers is about retries alone.
TEST_F(RetryStateTest, RequestsThatMayNotBeRetriedHaveTimeoutsToo) {
  auto built = policy([](route::RetryPolicySpec& spec) {
    spec.per_try_timeout = 2s;
    spec.per_try_idle_timeout = 1s;
    spec.retriable_request_headers.emplace_back().name = "x-may";
  });
  RetryState state;
  state.set_policy(built.get(), request_);
  EXPECT_FALSE(state.enabled());
  EXPECT_EQ(state.per_try_timeout(), 2s);
  EXPECT_EQ(state.per_try_idle_timeout(), 1s);
}

TEST_F(RetryStateTest, ConditionsOfResponses) {
  auto built = policy([](route::RetryPolicySpec& spec) {
    spec.retry_on = "retriable-status-codes";
    spec.retriable_status_codes = {418};
  });
  RetryState state;
  state.set_policy(built.get(), request_);
  EXPECT_EQ(state.conditions_of(response_, 200), 0u);
  EXPECT_EQ(state.conditions_of(response_, 500), retry_on::k5xx);
  EXPECT_EQ(state.conditions_of(response_, 503), retry_on::k5xx | retry_on::kGatewayError);
  EXPECT_EQ(state.conditions_of(response_, 409), retry_on::kRetriable4xx);
  EXPECT_EQ(state.conditions_of(response_, 418), retry_on::kRetriableStatusCodes);
  response_.add(HeaderId::kXEnvoyRatelimited, "true");
  EXPECT_EQ(state.conditions_of(response_, 503), retry_on::kEnvoyRatelimited);
  EXPECT_EQ(state.conditions_of(response_, 418), retry_on::kEnvoyRatelimited);
}

TEST_F(RetryStateTest, ConditionsOfGrpcAnswers) {
  auto built = policy([](route::RetryPolicySpec& spec) { spec.retry_on = "unavailable"; });
  RetryState state;
  state.set_policy(built.get(), request_);
  const auto condition = [&](std::string_view grpc_status) {
    response_.set(HeaderId::kGrpcStatus, grpc_status);
    return state.conditions_of(response_, 200);
  };
  EXPECT_EQ(condition("1"), retry_on::kGrpcCancelled);
  EXPECT_EQ(condition("4"), retry_on::kGrpcDeadlineExceeded);
  EXPECT_EQ(condition("8"), retry_on::kGrpcResourceExhausted);
  EXPECT_EQ(condition("13"), retry_on::kGrpcInternal);
  EXPECT_EQ(condition("14"), retry_on::kGrpcUnavailable);
  for (const char* other : {"0", "2", "16", "", "14 ", "x"}) EXPECT_EQ(condition(other), 0u) << other;
  EXPECT_EQ(state.covers(retry_on::kGrpcUnavailable), true);
  EXPECT_EQ(state.covers(retry_on::kGrpcInternal), false);
}

TEST_F(RetryStateTest, BackOffGrowsUpToItsLimit) {
  auto built = policy([](route::RetryPolicySpec& spec) {
    spec.retry_on = "5xx";
    spec.back_off_base = 10ms;
    spec.back_off_max = 50ms;
  });
  RetryState state;
  state.set_policy(built.get(), request_);
  Random random(1);
  for (auto [attempts, ceiling] : {std::pair<uint32_t, Duration>{1, 10ms}, {2, 30ms}, {3, 50ms}, {40, 50ms}}) {
    Duration longest{};
    for (int i = 0; i < 1000; ++i) {
      Duration wait = state.back_off(attempts, random);
      EXPECT_GE(wait, Duration::zero());
      EXPECT_LT(wait, ceiling);
      longest = std::max(longest, wait);
    }
    EXPECT_GT(longest, ceiling / 2);
  }
}

}  // namespace
}  // namespace weir::proxy
