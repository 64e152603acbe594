// envoy.filters.http.decompressor: hands on bodies as they were before their content coding, with a coding of
// extensions/compression.
#pragma once

#include <memory>
#include <string>

#include "core/filter/http_filter.h"
#include "core/http/content_coding.h"
#include "core/runtime/runtime.h"
#include "core/stats/handles.h"

namespace weir::filters::decompressor {

// [immutable]
struct DirectionSettings {
  runtime::RuntimeFlag enabled;
  bool ignore_no_transform = false;
  stats::Counter decompressed, not_decompressed, uncompressed_bytes, compressed_bytes, failed, failed_memory;
};

// [immutable]
struct Settings {
  std::shared_ptr<const http::CoderPool> coders;
  DirectionSettings request;
  DirectionSettings response;
  bool advertise = true;  // that the upstream may use this coding
};

// One per stream. [worker]
class Filter : public filter::HttpFilter {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_request_data(filter::Stream& stream, Slices& data, bool end) override;
  filter::Action on_request_trailers(filter::Stream& stream, http::HeaderMap& trailers) override;
  filter::Action on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_response_data(filter::Stream& stream, Slices& data, bool end) override;
  filter::Action on_response_trailers(filter::Stream& stream, http::HeaderMap& trailers) override;

 private:
  struct Body {
    explicit operator bool() const { return static_cast<bool>(coder); }
    http::CoderPool::Lent coder;  // none: it is left alone, or over
    uint64_t plain_bytes = 0;     // have come of it
    uint64_t held = 0;            // bytes that the host knows of
    bool empty = true;            // up to now
  };
  enum class Outcome : uint8_t { kOk, kInvalid, kNoMemory };
  // Takes our coding off the headers; false if it is not there or may not be.
  bool unmark(const DirectionSettings& direction, filter::Stream& stream, http::HeaderMap& headers) const;
  void end(Body& body, filter::Stream& stream) const;
  void begin(Body& body, const DirectionSettings& direction, filter::Stream& stream, http::HeaderMap& headers);
  static filter::Action refuse_request(filter::Stream& stream, Outcome outcome);
  static filter::Action refuse_response(filter::Stream& stream, Outcome outcome);
  Outcome decompress(Body& body, const DirectionSettings& direction, filter::Stream& stream, Slices& data, bool end);

  const Settings& settings_;
  Body request_;
  Body response_;
};

}  // namespace weir::filters::decompressor
