// envoy.filters.http.fault: delays requests, answers in place of the upstream, slows responses down; by chance, for
// requests that match, and as headers of the request ask, if they may.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/event/timer.h"
#include "core/filter/http_filter.h"
#include "core/match/header_matcher.h"
#include "core/runtime/runtime.h"
#include "core/stats/handles.h"
#include "core/stream/metadata.h"
#include "filters/http/fault/trickle.h"

namespace weir::filters::fault {

struct Stats {
  stats::Counter delays_injected, aborts_injected, response_rl_injected, faults_overflow;
  stats::Gauge active_faults;
};

// One kind of fault: how often, and whether the request's headers say how much. [immutable]
struct Chance {
  runtime::RuntimeFraction percentage;
  bool by_header = false;
};

// What faults a filter, or a route, injects. [immutable]
struct Policy {
  std::optional<Chance> delay;
  runtime::RuntimeUnsigned delay_ms;
  std::optional<Chance> abort;
  runtime::RuntimeUnsigned http_status;  // 0: not this
  runtime::RuntimeUnsigned grpc_status;  // only if is_grpc
  bool is_grpc = false;
  std::optional<Chance> rate_limit;
  uint64_t limit_kbps = 0;
  std::vector<match::HeaderMatcher> headers;  // all must match
  std::vector<std::string> downstream_nodes;  // one must be the request's; none: any
  std::string upstream_cluster;               // where the route must lead; empty: anywhere
  runtime::RuntimeUnsigned max_active{UINT32_MAX};
  std::unique_ptr<const stream::StaticMetadata> metadata;  // of requests that are delayed or aborted; null: none
};

// [immutable]
struct Settings : Policy {
  std::string name;  // the namespace of that metadata
  Stats stats;
};

// One per stream. [worker]
class Filter : public filter::HttpFilter, private event::Timer {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_response_data(filter::Stream& stream, Slices& data, bool end) override;
  void on_complete(filter::Stream& stream) override;

 private:
  bool concerns(filter::Stream& stream, const http::HeaderMap& headers) const;
  // Whether this stream is to have a fault, which is then counted as active.
  bool inject(const Chance& chance, const http::HeaderName& percentage_header, const http::HeaderMap& headers);
  std::optional<uint32_t> delay_of(const http::HeaderMap& headers);
  bool abort(const http::HeaderMap& headers);
  filter::Action answer();
  void tell();  // of the fault, in the request's metadata
  void on_timer() override;

  const Settings& settings_;
  const Policy* policy_ = nullptr;
  filter::Stream* stream_ = nullptr;
  filter::Resume delayed_;
  uint32_t http_status_ = 0;  // of the answer
  int64_t grpc_status_ = -1;
  bool active_ = false;
  Trickle trickle_;
};

}  // namespace weir::filters::fault
