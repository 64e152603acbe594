// envoy.filters.http.local_ratelimit: refuses requests for which a token bucket of this process, or of the connection,
// has no token.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/filter/http_filter.h"
#include "core/match/rate_limits.h"
#include "core/runtime/runtime.h"
#include "core/stats/handles.h"
#include "core/stream/header_value.h"
#include "filters/http/local_ratelimit/connection_buckets.h"
#include "filters/http/local_ratelimit/limiter.h"

namespace weir::filters::local_ratelimit {

struct Stats {
  stats::Counter enabled, ok, rate_limited, enforced, shadow_mode;
};

// Whose rate_limits make the descriptors.
enum class VirtualHostLimits : uint8_t {
  kOverride,  // the route's, or if it has none the virtual host's
  kInclude,   // both
  kIgnore,    // the route's
};

// Of the filter, or of a route instead. [immutable] but for the buckets, which all lanes take from.
struct Settings {
  Stats stats;
  runtime::RuntimeFraction enabled{{0, 100}};
  runtime::RuntimeFraction enforced{{0, 100}};
  Limiter limiter;
  std::unique_ptr<TokenBucket[]> fixed;  // nullptr: each connection has its own buckets,
  std::unique_ptr<ValueBucket[]> by_value;
  std::unique_ptr<const ConnectionBuckets> of_connection;  // which are found here
  uint32_t stage = 0;
  VirtualHostLimits virtual_host_limits = VirtualHostLimits::kOverride;
  std::vector<match::RateLimit> rate_limits;  // if there are any, instead of the route's
  std::string local_cluster;                  // of this process
  int status = 429;
  bool resource_exhausted = false;  // what gRPC clients are told
  bool headers = false;             // x-ratelimit-limit and its kin
  std::vector<stream::HeaderValue> request_headers;
  std::vector<stream::HeaderValue> response_headers;
};

// One per stream. [worker]
class Filter : public filter::HttpFilter {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  void on_complete(filter::Stream& stream) override;

 private:
  // Those that count now, or those that count when the stream is over.
  enum class When : uint8_t { kNow, kDone };
  Limiter::Answer ask(filter::Stream& stream, const http::HeaderMap& headers);
  void collect(filter::Stream& stream, const stream::LogSubject& subject, When when, Limiter::Request& request);
  void tell(http::HeaderMap& headers, Arena& arena) const;
  filter::Action refuse(filter::Stream& stream);

  const Settings& settings_;
  const Settings* active_ = nullptr;
  Buckets buckets_;
  bool counts_when_done_ = false;
  bool told_ = false;  // tokens, to be told in the response
  uint32_t limit_ = 0;
  uint32_t remaining_ = 0;
  uint64_t reset_seconds_ = 0;
};

}  // namespace weir::filters::local_ratelimit
