// envoy.filters.http.csrf: refuses requests that change something and were made by a page of another origin, which
// browsers tell in Origin and Referer.
#pragma once

#include <string_view>
#include <vector>

#include "core/filter/http_filter.h"
#include "core/match/string_matcher.h"
#include "core/runtime/runtime.h"
#include "core/stats/handles.h"

namespace weir::filters::csrf {

// "https://user@a.example:8443/x" -> "a.example:8443"; as it is if it is no URL.
std::string_view host_and_port(std::string_view url);

// [immutable]
struct Policy {
  runtime::RuntimeFraction enabled;
  runtime::RuntimeFraction shadow;
  std::vector<match::StringMatcher> additional_origins;
};

// [immutable]
struct Settings : Policy {
  stats::Counter missing_source_origin, request_invalid, request_valid;
};

// One per stream. [worker]
class Filter : public filter::HttpFilter {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;

 private:
  const Settings& settings_;
};

}  // namespace weir::filters::csrf
