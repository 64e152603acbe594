#include "core/route/retry_policy.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "core/http/chars.h"

namespace weir::route {
namespace {

struct NamedBit {
  std::string_view name;
  uint32_t bit;
};
constexpr NamedBit kRetryOnNames[] = {
    {"5xx", retry_on::k5xx},
    {"gateway-error", retry_on::kGatewayError},
    {"reset", retry_on::kReset},
    {"reset-before-request", retry_on::kResetBeforeRequest},
    {"connect-failure", retry_on::kConnectFailure},
    {"envoy-ratelimited", retry_on::kEnvoyRatelimited},
    {"retriable-4xx", retry_on::kRetriable4xx},
    {"refused-stream", retry_on::kRefusedStream},
    {"retriable-status-codes", retry_on::kRetriableStatusCodes},
    {"retriable-headers", retry_on::kRetriableHeaders},
    {"http3-post-connect-failure", retry_on::kHttp3PostConnectFailure},
    {"cancelled", retry_on::kGrpcCancelled},
    {"deadline-exceeded", retry_on::kGrpcDeadlineExceeded},
    {"resource-exhausted", retry_on::kGrpcResourceExhausted},
    {"unavailable", retry_on::kGrpcUnavailable},
    {"internal", retry_on::kGrpcInternal},
};

std::vector<match::HeaderMatcher> build_matchers(std::vector<match::HeaderMatcherSpec> specs, std::string_view field,
                                                 ErrorSink& errors) {
  std::vector<match::HeaderMatcher> matchers;
  matchers.reserve(specs.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    ErrorSink::At at(errors, field, static_cast<int64_t>(i));
    Result<match::HeaderMatcher> matcher = match::HeaderMatcher::build(std::move(specs[i]));
    if (!errors.add_if_error(matcher.status())) matchers.push_back(std::move(*matcher));
  }
  return matchers;
}

bool any_matches(const std::vector<match::HeaderMatcher>& matchers, const http::HeaderMap& headers) noexcept {
  return std::any_of(matchers.begin(), matchers.end(),
                     [&](const match::HeaderMatcher& matcher) { return matcher.matches(headers); });
}

}  // namespace

uint32_t parse_retry_on(std::string_view list, std::string_view* unknown) noexcept {
  uint32_t bits = 0;
  http::for_each_member(list, [&](std::string_view name) {
    auto at = std::find_if(std::begin(kRetryOnNames), std::end(kRetryOnNames),
                           [&](const NamedBit& known) { return known.name == name; });
    if (at != std::end(kRetryOnNames)) {
      bits |= at->bit;
    } else if (unknown != nullptr && unknown->data() == nullptr) {
      *unknown = name;
    }
  });
  return bits;
}

std::vector<std::string_view> unknown_retry_conditions(std::string_view list) {
  std::vector<std::string_view> unknown;
  http::for_each_member(list, [&](std::string_view name) {
    if (!name.empty() && parse_retry_on(name) == 0) unknown.push_back(name);
  });
  return unknown;
}

std::vector<std::string_view> retry_on_names() {
  std::vector<std::string_view> names;
  for (const NamedBit& known : kRetryOnNames) names.push_back(known.name);
  return names;
}

bool RetryPolicy::status_is_retriable(int status) const noexcept {
  return std::binary_search(retriable_status_codes.begin(), retriable_status_codes.end(), status);
}

bool RetryPolicy::response_is_retriable(const http::HeaderMap& response) const noexcept {
  return any_matches(retriable_headers, response);
}

bool RetryPolicy::request_may_retry(const http::HeaderMap& request) const noexcept {
  return retriable_request_headers.empty() || any_matches(retriable_request_headers, request);
}

bool RetryPolicy::omits(const stream::StaticMetadata* host) const noexcept {
  const stream::Value* own = host != nullptr ? host->root().find(kHostLabels) : nullptr;
  if (own == nullptr) return false;
  // As published, a host that has a list has each item of it.
  const auto has = [own](const stream::Field& label) {
    const stream::Value* value = own->find(label.key);
    if (value == nullptr) return false;
    if (value->kind() != stream::Value::Kind::kList) return *value == label.value;
    return std::find(value->items().begin(), value->items().end(), label.value) != value->items().end();
  };
  for (const auto& omitted : omitted_hosts) {
    const std::span<const stream::Field> labels = omitted->root().find(kHostLabels)->fields();
    if (std::all_of(labels.begin(), labels.end(), has)) return true;
  }
  return false;
}

Duration RetryPolicy::wait_for_reset(const http::HeaderMap& response, WallTime now) const noexcept {
  for (const ResetHeader& header : reset_headers) {
    const std::string_view text = response.get(header.name);
    int64_t seconds = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size()) continue;
    if (seconds <= 0) continue;
    if (header.unix_time) seconds -= std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
    if (seconds > 0 && seconds <= std::chrono::duration_cast<std::chrono::seconds>(reset_max).count())
      return std::chrono::seconds(seconds);
  }
  return Duration::zero();
}

Duration back_off_before(uint32_t retry, Duration base, Duration most, Random& random) noexcept {
  const int64_t factor = (1 << std::clamp<uint32_t>(retry, 1, 16)) - 1;
  const int64_t ceiling = base.count() > most.count() / factor ? most.count() : base.count() * factor;
  return Duration(static_cast<int64_t>(random.next() % static_cast<uint64_t>(std::max<int64_t>(1, ceiling))));
}

std::unique_ptr<const RetryPolicy> RetryPolicy::build(RetryPolicySpec spec, ErrorSink& errors) {
  auto policy = std::make_unique<RetryPolicy>();
  policy->on = parse_retry_on(spec.retry_on);
  policy->num_retries = spec.num_retries;
  policy->per_try_timeout = spec.per_try_timeout;
  policy->per_try_idle_timeout = spec.per_try_idle_timeout;
  policy->avoid_previous_hosts = spec.avoid_previous_hosts;
  policy->omitted_hosts = std::move(spec.omitted_hosts);
  policy->host_selection_max_attempts = std::max(1u, spec.host_selection_max_attempts);
  policy->priority_update_frequency = spec.priority_update_frequency;
  {
    ErrorSink::At at(errors, "retry_back_off");
    // As published: below a millisecond is a millisecond.
    policy->back_off_base = std::max<Duration>(spec.back_off_base, 1ms);
    policy->back_off_max = spec.back_off_max.value_or(policy->back_off_base * 10);
    if (spec.back_off_base <= Duration::zero()) {
      ErrorSink::At at_base(errors, "base_interval");
      errors.add("must be greater than zero");
    }
    if (policy->back_off_max < spec.back_off_base) errors.add("max_interval must not be less than base_interval");
  }
  if (!spec.reset_headers.empty()) {
    ErrorSink::At at(errors, "rate_limited_retry_back_off");
    policy->reset_max = spec.reset_max;
    for (size_t i = 0; i < spec.reset_headers.size(); ++i) {
      ErrorSink::At item(errors, "reset_headers", static_cast<int64_t>(i));
      ErrorSink::At name(errors, "name");
      if (!http::is_token(spec.reset_headers[i].name)) {
        errors.add("\"" + spec.reset_headers[i].name + "\" is no name of a header");
        continue;
      }
      policy->reset_headers.push_back({http::HeaderName(spec.reset_headers[i].name), spec.reset_headers[i].unix_time});
    }
  }
  for (size_t i = 0; i < spec.retriable_status_codes.size(); ++i) {
    uint32_t code = spec.retriable_status_codes[i];
    if (code < 100 || code > 599) {
      ErrorSink::At at(errors, "retriable_status_codes", static_cast<int64_t>(i));
      errors.add(std::to_string(code) + " is no HTTP status; 100 to 599 are");
      continue;
    }
    policy->retriable_status_codes.push_back(static_cast<uint16_t>(code));
  }
  std::sort(policy->retriable_status_codes.begin(), policy->retriable_status_codes.end());
  policy->retriable_headers = build_matchers(std::move(spec.retriable_headers), "retriable_headers", errors);
  policy->retriable_request_headers =
      build_matchers(std::move(spec.retriable_request_headers), "retriable_request_headers", errors);
  return policy;
}

}  // namespace weir::route
