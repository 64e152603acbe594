// envoy.filters.http.header_to_metadata: copies headers and cookies of requests, and headers of responses, into the
// dynamic metadata, or notes there that they are missing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/filter/http_filter.h"
#include "core/match/regex.h"
#include "core/stats/handles.h"
#include "core/stream/metadata.h"

namespace weir::filters::header_to_metadata {

// What is written when a rule applies.
struct Entry {
  enum class Type : uint8_t { kString, kNumber, kMessage };  // kMessage: the bytes of a google.protobuf.Value
  std::string name_space;
  std::string key;
  std::unique_ptr<const stream::StaticMetadata> constant;  // decoded; without one the value of the header or cookie,
  std::optional<match::RegexRewrite> rewrite;              // rewritten if this is set,
  bool base64 = false;                                     // decoded,
  Type type = Type::kString;                               // as this
};

struct Rule {
  http::HeaderName header;  // of a header
  std::string cookie;       // or of a cookie
  std::optional<Entry> present, missing;
  bool remove = false;  // the header
};

struct Stats {
  stats::Counter request_rules_processed, request_metadata_added, request_header_not_found;
  stats::Counter response_rules_processed, response_metadata_added, response_header_not_found;
  stats::Counter base64_decode_failed, header_value_too_long, regex_substitution_failed;
};

// Of the filter, or of a route instead. [immutable]
struct Settings {
  std::vector<Rule> request, response;
  Stats stats;  // count into nowhere without a stat_prefix
};

// One per stream. [worker]
class Filter : public filter::HttpFilter {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;

 private:
  const Settings& active(filter::Stream& stream) const;

  const Settings& settings_;
};

}  // namespace weir::filters::header_to_metadata
