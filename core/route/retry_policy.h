// A retry policy, compiled: which failures, how often, how long, and never the same host twice if so configured.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/base/random.h"
#include "core/base/time.h"
#include "core/match/header_matcher.h"
#include "core/route/errors.h"
#include "core/route/spec.h"
#include "core/stream/metadata.h"

namespace weir::route {

// The part of an endpoint's metadata that hosts are told apart by.
inline constexpr std::string_view kHostLabels = "envoy.lb";

// [immutable]
struct ResetHeader {
  http::HeaderName name;
  bool unix_time;
};

// [immutable]
struct RetryPolicy {
  uint32_t on = 0;  // retry_on bits
  uint32_t num_retries = 1;
  Duration per_try_timeout{};
  Duration per_try_idle_timeout{};
  Duration back_off_base = 25ms;
  Duration back_off_max = 250ms;
  uint32_t host_selection_max_attempts = 1;
  uint32_t priority_update_frequency = 0;  // 0: priorities that were tried are tried again
  bool avoid_previous_hosts = false;
  std::vector<std::shared_ptr<const stream::StaticMetadata>> omitted_hosts;
  std::vector<uint16_t> retriable_status_codes;  // sorted
  std::vector<ResetHeader> reset_headers;
  Duration reset_max = 300s;
  std::vector<match::HeaderMatcher> retriable_headers;
  std::vector<match::HeaderMatcher> retriable_request_headers;

  bool status_is_retriable(int status) const noexcept;                // retriable_status_codes
  bool response_is_retriable(const http::HeaderMap&) const noexcept;  // any of retriable_headers
  bool request_may_retry(const http::HeaderMap&) const noexcept;  // any of retriable_request_headers, or no such list

  // A retry should go to another host than one with this metadata; null: it has none.
  bool omits(const stream::StaticMetadata* host) const noexcept;

  // How long the server wants to be left alone, by the first of reset_headers that is there, is right and is not too
  // late; zero: it does not say.
  Duration wait_for_reset(const http::HeaderMap& response, WallTime now) const noexcept;

  static std::unique_ptr<const RetryPolicy> build(RetryPolicySpec spec, ErrorSink& errors);
};

// How long to wait before retry number `retry` (the first is 1): random, below what grows exponentially up to `most`.
Duration back_off_before(uint32_t retry, Duration base, Duration most, Random& random) noexcept;

// The bits of a comma-separated list of published names, HTTP and gRPC ones. `unknown`, if given, becomes a view of the
// first name that is none (the others count). Also used for x-envoy-retry-on and x-envoy-retry-grpc-on.
uint32_t parse_retry_on(std::string_view list, std::string_view* unknown = nullptr) noexcept;
// [main] Those of the list that are none, which do nothing, as published; and all that there are.
std::vector<std::string_view> unknown_retry_conditions(std::string_view list);
std::vector<std::string_view> retry_on_names();

}  // namespace weir::route
