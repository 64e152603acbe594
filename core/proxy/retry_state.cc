#include "core/proxy/retry_state.h"

#include <algorithm>

#include "core/http/chars.h"

namespace weir::proxy {

using http::HeaderId;
namespace retry_on = route::retry_on;

namespace {

constexpr uint64_t kMostRetries = 100;
constexpr uint64_t kLongestTimeoutMs = 86'400'000;
constexpr size_t kLongestStatName = 128;

// Of the response's headers: an answer without a body has it there. Trailers come too late for another try.
uint32_t grpc_condition(std::string_view grpc_status) {
  uint64_t code;
  if (!http::parse_decimal(grpc_status, code)) return 0;
  switch (code) {
    case 1:
      return retry_on::kGrpcCancelled;
    case 4:
      return retry_on::kGrpcDeadlineExceeded;
    case 8:
      return retry_on::kGrpcResourceExhausted;
    case 13:
      return retry_on::kGrpcInternal;
    case 14:
      return retry_on::kGrpcUnavailable;
    default:
      return 0;
  }
}

bool has_number(std::string_view list, int wanted) {
  bool found = false;
  http::for_each_member(list, [&](std::string_view member) {
    uint64_t number;
    found |= http::parse_decimal(member, number) && number == static_cast<uint64_t>(wanted);
  });
  return found;
}

bool has_one_of(std::string_view names, const http::HeaderMap& headers) {
  bool found = false;
  http::for_each_member(names, [&](std::string_view name) { found |= headers.contains(http::HeaderName(name)); });
  return found;
}

constexpr HeaderId kOverrides[] = {
    HeaderId::kXEnvoyRetryOn,
    HeaderId::kXEnvoyRetryGrpcOn,
    HeaderId::kXEnvoyMaxRetries,
    HeaderId::kXEnvoyUpstreamRqTimeoutMs,
    HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs,
    HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse,
    HeaderId::kXEnvoyUpstreamAltStatName,
    HeaderId::kXEnvoyUpstreamStreamDurationMs,
    HeaderId::kXEnvoyRetriableStatusCodes,
    HeaderId::kXEnvoyRetriableHeaderNames,
    HeaderId::kXEnvoyHedgeOnPerTryTimeout,
};

}  // namespace

void RetryState::set_policy(const route::RetryPolicy* policy, const http::HeaderMap& request) {
  policy_ = policy;
  if (policy == nullptr) return;
  per_try_timeout_ = policy->per_try_timeout;
  per_try_idle_timeout_ = policy->per_try_idle_timeout;
  barred_ = !policy->request_may_retry(request);
  if (barred_) return;
  on_ = policy->on;
  left_ = policy->num_retries;
}

void RetryState::read_overrides(http::HeaderMap& request, Duration& timeout) {
  uint64_t number;
  for (HeaderId id : kOverrides) {
    if (!request.contains(id)) continue;
    std::string_view value = request.get(id);
    switch (id) {
      case HeaderId::kXEnvoyRetryOn:
      case HeaderId::kXEnvoyRetryGrpcOn:
        on_ |= route::parse_retry_on(value);
        if (left_ == 0) left_ = 1;
        break;
      case HeaderId::kXEnvoyMaxRetries:
        if (http::parse_decimal(value, number)) left_ = static_cast<uint32_t>(std::min(number, kMostRetries));
        break;
      case HeaderId::kXEnvoyUpstreamRqTimeoutMs:
        if (http::parse_decimal(value, number))
          timeout = std::chrono::milliseconds(std::min(number, kLongestTimeoutMs));
        break;
      case HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs:
        if (http::parse_decimal(value, number))
          per_try_timeout_ = std::chrono::milliseconds(std::min(number, kLongestTimeoutMs));
        break;
      case HeaderId::kXEnvoyHedgeOnPerTryTimeout:
        if (value == "true" || value == "false") hedges_ = value == "true";
        break;
      case HeaderId::kXEnvoyUpstreamStreamDurationMs:
        if (http::parse_decimal(value, number))
          max_stream_duration_ = std::chrono::milliseconds(std::min(number, kLongestTimeoutMs));
        break;
      case HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse:
        timeout_is_no_error_ = true;
        break;
      case HeaderId::kXEnvoyRetriableStatusCodes:
        statuses_ = value;
        break;
      case HeaderId::kXEnvoyRetriableHeaderNames:
        header_names_ = value;
        break;
      case HeaderId::kXEnvoyUpstreamAltStatName:
        if (value.size() <= kLongestStatName) stat_name_ = value;
        counts_apart_ |= !stat_name_.empty();
        break;
      default:
        break;
    }
    request.remove(id);
  }
  // Whatever the request itself wants: it is none of those that the policy is about.
  if (barred_) on_ = left_ = 0;
  // A try that may last as long as the whole is no limit.
  if (timeout > Duration::zero() && per_try_timeout_ >= timeout) per_try_timeout_ = Duration::zero();
}

uint32_t RetryState::conditions_of(const http::HeaderMap& response, int status) const {
  // A server that has had enough is asked again only by who wants just that.
  if (response.contains(HeaderId::kXEnvoyRatelimited)) return retry_on::kEnvoyRatelimited;
  uint32_t on = 0;
  if (status >= 500) on |= retry_on::k5xx;
  if (status == 502 || status == 503 || status == 504) on |= retry_on::kGatewayError;
  if (status == 409) on |= retry_on::kRetriable4xx;
  if (on_ & retry_on::kGrpc) on |= grpc_condition(response.get(HeaderId::kGrpcStatus));
  if ((on_ & retry_on::kRetriableStatusCodes) && has_number(statuses_, status)) on |= retry_on::kRetriableStatusCodes;
  if ((on_ & retry_on::kRetriableHeaders) && has_one_of(header_names_, response)) on |= retry_on::kRetriableHeaders;
  if (policy_ == nullptr) return on;
  if (policy_->status_is_retriable(status)) on |= retry_on::kRetriableStatusCodes;
  if ((on_ & retry_on::kRetriableHeaders) && policy_->response_is_retriable(response))
    on |= retry_on::kRetriableHeaders;
  return on;
}

Duration RetryState::back_off_of(const http::HeaderMap& response, WallTime now, Random& random) const {
  if (policy_ == nullptr) return Duration::zero();
  const Duration wait = policy_->wait_for_reset(response, now);
  if (wait == Duration::zero()) return wait;
  return wait + Duration(static_cast<int64_t>(random.next() % static_cast<uint64_t>(wait.count() / 2 + 1)));
}

Duration RetryState::back_off(uint32_t attempts, Random& random) const {
  Duration base = policy_ != nullptr ? policy_->back_off_base : Duration(25ms);
  Duration most = policy_ != nullptr ? policy_->back_off_max : Duration(250ms);
  return route::back_off_before(attempts, base, most, random);
}

}  // namespace weir::proxy
