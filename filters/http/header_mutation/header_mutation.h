// envoy.filters.http.header_mutation: adds, replaces and removes headers of requests and responses, in the order given,
// wherever in the chain it stands.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/filter/http_filter.h"
#include "core/match/string_matcher.h"
#include "core/stream/formatter.h"

namespace weir::filters::header_mutation {

// One step. [immutable]
struct Mutation {
  enum class Kind : uint8_t {
    kRemove,
    kRemoveMatching,
    kAppendIfExistsOrAdd,
    kAddIfAbsent,
    kOverwriteIfExistsOrAdd,
    kOverwriteIfExists
  };
  Kind kind = Kind::kRemove;
  http::HeaderName name;
  bool keep_empty_value = false;
  std::string constant;  // if there is no format
  std::unique_ptr<const stream::Format> format;
  std::unique_ptr<const match::StringMatcher> matcher;  // kRemoveMatching: of names
};

// [immutable]
struct Settings {
  std::vector<Mutation> request;
  std::vector<Mutation> response;
};

// One per stream. [worker]
class Filter : public filter::HttpFilter {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;

 private:
  const Settings& settings_;
};

}  // namespace weir::filters::header_mutation
