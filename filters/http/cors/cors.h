// envoy.filters.http.cors: answers preflights and marks responses for pages of other origins, by the policy of the
// route (the Fetch standard, "CORS protocol"). Without a policy it does nothing. It protects no server: requests of
// origins that are not allowed pass, it is the browser that keeps the answer from the page.
#pragma once

#include <string>
#include <vector>

#include "core/filter/http_filter.h"
#include "core/match/string_matcher.h"
#include "core/runtime/runtime.h"
#include "core/stats/handles.h"

namespace weir::filters::cors {

// [immutable]
struct Settings {
  // Where the deprecated `cors` of virtual hosts and routes is kept, whatever the filter is called.
  filter::RouteKey usual_name;
  stats::Counter origin_valid, origin_invalid;
};

// The policy of a route. [immutable]
struct RouteSettings {
  std::vector<match::StringMatcher> origins;
  bool any_origin = false;
  std::string allow_methods;
  std::string allow_headers;
  std::string expose_headers;
  std::string max_age;
  bool allow_credentials = false;
  bool allow_private_network = false;
  bool forward_unmatched_preflights = true;
  runtime::RuntimeFraction enabled;
  runtime::RuntimeFraction shadow;
};

// One per stream. [worker]
class Filter : public filter::HttpFilter {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;

 private:
  filter::Action answer_preflight(filter::Stream& stream);

  const Settings& settings_;
  const RouteSettings* policy_ = nullptr;  // only if it is enforced
  std::string_view origin_;                // that of the request, if it is allowed
};

}  // namespace weir::filters::cors
