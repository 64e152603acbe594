// envoy.filters.http.buffer: waits for the whole request body before anything further sees the request.
#pragma once

#include <cstdint>

#include "core/filter/http_filter.h"

namespace weir::filters::buffer {

// [immutable]
struct Settings {
  uint32_t max_request_bytes = 0;
  bool disabled = false;  // on a route
};

// One per stream. [worker]
class Filter : public filter::HttpFilter {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_request_data(filter::Stream& stream, Slices& data, bool end) override;

 private:
  const Settings& settings_;
};

}  // namespace weir::filters::buffer
