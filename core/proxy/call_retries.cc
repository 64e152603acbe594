#include "core/proxy/call_retries.h"

#include "core/route/retry_policy.h"
#include "core/route/spec.h"

namespace weir::proxy {

std::optional<Duration> CallRetries::wait(uint32_t conditions, uint32_t made, Duration left, Random& random) const {
  if ((conditions & on) == 0 || made >= most) return std::nullopt;
  const Duration back_off = route::back_off_before(made + 1, back_off_base, back_off_max, random);
  if (left <= back_off) return std::nullopt;
  return back_off;
}

uint32_t retry_conditions(const http::HeaderMap& response) {
  namespace on = route::retry_on;
  // A server that has had enough is asked again only by who wants just that.
  if (response.contains(http::HeaderId::kXEnvoyRatelimited)) return on::kEnvoyRatelimited;
  const int status = response.status_code();
  uint32_t conditions = 0;
  if (status >= 500) conditions |= on::k5xx;
  if (status >= 502 && status <= 504) conditions |= on::kGatewayError;
  if (status == 409) conditions |= on::kRetriable4xx;
  return conditions;
}

uint32_t retry_conditions(HeadlessFailure failure) {
  namespace on = route::retry_on;
  constexpr uint32_t kNoResponse = on::kReset | on::k5xx | on::kGatewayError;
  switch (failure) {
    case HeadlessFailure::kNoConnection:
      return kNoResponse | on::kConnectFailure | on::kResetBeforeRequest;
    case HeadlessFailure::kRefused:
      return kNoResponse | on::kRefusedStream | on::kResetBeforeRequest;
    case HeadlessFailure::kBroken:
    case HeadlessFailure::kProtocolError:
      return kNoResponse;
    default:  // another time would be no better, or there is none
      return 0;
  }
}

}  // namespace weir::proxy
