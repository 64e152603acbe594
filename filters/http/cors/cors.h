// envoy.filters.http.cors: answers preflights and marks responses for pages of other origins, by the policy of the
// route (the Fetch standard, "CORS protocol"). Without a policy it does nothing. It protects no server: requests of
// origins that are not allowed pass, it is the browser that keeps the answer from the page.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/filter/http_filter.h"
#include "core/filter/route_configs.h"
#include "core/match/string_matcher.h"
#include "core/runtime/runtime.h"
#include "core/stats/handles.h"

namespace weir::filters::cors {

// [immutable]
struct Settings {
  stats::Counter origin_valid, origin_invalid;
};

// The policy of one level. What it does not say is said by the level above it, but for the two fractions. [immutable]
struct RouteSettings {
  std::vector<match::StringMatcher> origins;
  bool any_origin = false;
  std::string allow_methods;
  std::string allow_headers;
  std::string expose_headers;
  std::string max_age;
  std::optional<bool> allow_credentials;
  std::optional<bool> allow_private_network;
  std::optional<bool> forward_unmatched_preflights;
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
  bool allowed(std::string_view origin) const;
  void allow_origin(http::HeaderMap& headers) const;
  // Of the most specific level that says something.
  std::string_view text(std::string RouteSettings::*field) const;
  bool flag(std::optional<bool> RouteSettings::*field, bool otherwise) const;

  const Settings& settings_;
  filter::RouteConfigs<RouteSettings> policies_{{}};
  bool enforced_ = false;
  std::string_view origin_;  // that of the request, if it is allowed
};

}  // namespace weir::filters::cors
