// envoy.filters.http.header_mutation: adds, replaces and removes headers and trailers of requests and responses, and
// query parameters, in the order given, wherever in the chain it stands.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/filter/http_filter.h"
#include "core/match/string_matcher.h"
#include "core/stream/header_value.h"
#include "filters/http/header_mutation/query_mutations.h"

namespace weir::filters::header_mutation {

// One step. [immutable]
struct Mutation {
  enum class Kind : uint8_t { kRemove, kRemoveMatching, kAppend };
  Kind kind = Kind::kRemove;
  http::HeaderName name = {};                                // kRemove
  std::unique_ptr<const match::StringMatcher> matcher = {};  // kRemoveMatching: of names
  stream::HeaderValue value = {};                            // kAppend
};

// Of the filter, or of a level of the route configuration. [immutable]
struct Settings {
  std::vector<Mutation> request;
  std::vector<QueryMutation> query;
  std::vector<Mutation> request_trailers;
  std::vector<Mutation> response;
  std::vector<Mutation> response_trailers;
  // Of the filter alone: levels come in the order from the least to the most specific, rather than the other way.
  bool most_specific_wins = false;
};

// One per stream. [worker]
class Filter : public filter::HttpFilter {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_request_trailers(filter::Stream& stream, http::HeaderMap& trailers) override;
  filter::Action on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_response_trailers(filter::Stream& stream, http::HeaderMap& trailers) override;

 private:
  // The filter's own settings, then those of each level of the route, in the order that is wanted.
  template <class Apply>
  void for_each_level(filter::Stream& stream, Apply apply) const;

  const Settings& settings_;
};

}  // namespace weir::filters::header_mutation
