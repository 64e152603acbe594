// How often and why one request may be tried again: the route's policy, what a trusted client asks for instead, and
// what has been used up. Knows nothing of upstreams; the limits that requests share are the attempt's business.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/random.h"
#include "core/base/time.h"
#include "core/http/header_map.h"
#include "core/route/retry_policy.h"

namespace weir::proxy {

class RetryState {
 public:
  // The route's policy, nullptr if it has none. It applies if the request is one that it covers.
  void set_policy(const route::RetryPolicy* policy, const http::HeaderMap& request);
  // The x-envoy-* request headers that change this, or `timeout`, the route's; none of them goes further.
  void read_overrides(http::HeaderMap& request, Duration& timeout);

  const route::RetryPolicy* policy() const { return policy_; }  // nullptr: the route has none
  bool enabled() const { return on_ != 0; }
  // Any of these conditions (route::retry_on) is one to try again for.
  bool covers(uint32_t conditions) const { return (on_ & conditions) != 0; }
  // The conditions that a response meets.
  uint32_t conditions_of(const http::HeaderMap& response, int status) const;
  uint32_t left() const { return left_; }
  void use_one() { --left_; }
  // How long to wait after so many attempts: exponential, and random up to that.
  Duration back_off(uint32_t attempts, Random& random) const;
  // The same after a response that says it by itself, and up to half as long again; zero: it does not.
  Duration back_off_of(const http::HeaderMap& response, WallTime now, Random& random) const;
  // A try that has timed out goes on beside the one that follows it, and the first good answer counts.
  bool hedges() const { return hedges_; }
  void set_hedges(bool hedges) { hedges_ = hedges; }

  // What a request says that lets no time-out be an error: 204 instead of 504.
  int timeout_status() const { return timeout_is_no_error_ ? 204 : 504; }
  // What a request wants to be counted under, too, below its cluster; empty: nothing.
  std::string_view stat_name() const { return stat_name_; }
  // Its answer counts under another name, too: that one, or one for its host's sake.
  bool counts_apart() const { return counts_apart_; }
  void count_apart() { counts_apart_ = true; }
  // What a request says instead of the cluster, of an attempt; nullopt: nothing. Zero: no limit.
  const std::optional<Duration>& max_stream_duration() const { return max_stream_duration_; }

  // Zero: none.
  Duration per_try_timeout() const { return per_try_timeout_; }
  Duration per_try_idle_timeout() const { return per_try_idle_timeout_; }

 private:
  const route::RetryPolicy* policy_ = nullptr;
  uint32_t on_ = 0;
  uint32_t left_ = 0;
  Duration per_try_timeout_{};
  Duration per_try_idle_timeout_{};
  bool hedges_ = false;
  bool barred_ = false;
  bool timeout_is_no_error_ = false;
  bool counts_apart_ = false;
  std::optional<Duration> max_stream_duration_;
  // Of the request, whose bytes the stream keeps; empty: it has none.
  std::string_view stat_name_;
  std::string_view statuses_;
  std::string_view header_names_;
};

}  // namespace weir::proxy
