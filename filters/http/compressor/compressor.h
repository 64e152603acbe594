// envoy.filters.http.compressor: compresses bodies on their way to clients that accept it (and to upstreams, if told)
// with a coding of extensions/compression. Several of them in a chain agree on one coding per response.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/filter/http_filter.h"
#include "core/http/content_coding.h"
#include "core/runtime/runtime.h"
#include "core/stats/handles.h"
#include "filters/http/compressor/accept_encoding.h"

namespace weir::filters::compressor {

struct DirectionStats {
  stats::Counter compressed, not_compressed, uncompressed_bytes, compressed_bytes, content_length_too_small,
      not_compressed_memory;
};
struct ResponseStats {
  stats::Counter no_accept_header, header_identity, header_compressor_used, header_compressor_overshadowed,
      header_wildcard, header_not_valid, not_compressed_etag;
};

// What one direction compresses. [immutable]
struct DirectionSettings {
  runtime::RuntimeFlag enabled;
  uint32_t min_content_length = 30;
  std::vector<std::string> content_types;
  DirectionStats stats;
};

// [immutable]
struct Settings {
  std::shared_ptr<const http::CoderPool> coders;
  bool choose_first = false;
  DirectionSettings request;
  DirectionSettings response;
  ResponseStats response_stats;
  bool disable_on_etag = false;
  bool weaken_etag = false;
  bool remove_accept_encoding = false;
  bool status_header = false;
  std::vector<uint32_t> uncompressible_codes;  // sorted
};

// [immutable]
struct RouteSettings {
  bool disabled = false;
  bool response_enabled = false;  // even if the filter's configuration has it off
  std::optional<bool> remove_accept_encoding;
  std::shared_ptr<const http::CoderPool> coders;  // instead of the filter's
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
  struct Shared;
  // One direction's body in progress.
  struct Body {
    http::CoderPool::Lent coder;  // from the first bytes that it is given on
    Slices gathered;              // what it is not given yet
    uint64_t coded_bytes = 0;     // it was given
    uint64_t held = 0;            // bytes that the host knows of
    uint32_t gathers = 0;         // as much: the whole body
    http::Flush each = http::Flush::kNone;
    bool coded = false;
  };
  // Whether there is memory for coding this body.
  bool reserve(Body& body, const DirectionSettings& direction, filter::Stream& stream, const http::HeaderMap& headers);
  void hold(Body& body, filter::Stream& stream, uint64_t bytes);
  void compress(Body& body, const DirectionStats& stats, filter::Stream& stream, Slices& data, http::Flush flush);
  void mark_coded(http::HeaderMap& headers) const;
  void begin(Body& body, const DirectionSettings& direction, http::HeaderMap& headers);
  // Whether this direction's body is to be coded; the headers say so then.
  void decide_request(filter::Stream& stream, http::HeaderMap& headers, bool end);
  void decide_response(filter::Stream& stream, http::HeaderMap& headers, bool end);
  void offer(filter::Stream& stream, const http::HeaderMap& headers);
  void change_etag(filter::Stream& stream, http::HeaderMap& headers) const;
  std::string_view refusal(const http::HeaderMap& headers) const;
  bool accepted();
  void add_status(filter::Stream& stream, http::HeaderMap& headers, std::string_view what) const;

  const Settings& settings_;
  const http::CoderPool* coders_ = nullptr;
  Shared* shared_ = nullptr;
  uint8_t offer_ = 0;  // this filter's, in shared_
  bool head_ = false;
  Body request_;
  Body response_;
};

}  // namespace weir::filters::compressor
