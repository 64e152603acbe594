// Conditions on one query parameter.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/match/string_matcher.h"

namespace weir::match {

struct QueryParameterMatcherSpec {
  enum class Kind : uint8_t { kPresent, kAbsent, kString };
  std::string name;
  Kind kind = Kind::kPresent;
  StringMatcherSpec string;  // kString
};

// [immutable]
class QueryParameterMatcher {
 public:
  static Result<QueryParameterMatcher> build(QueryParameterMatcherSpec spec);
  // `query` is what follows the "?", without it. The first parameter of the name counts. Routes compare names and
  // values as they were sent, rate limits decoded, as published.
  bool matches(std::string_view query) const noexcept;
  bool matches_decoded(std::string_view query) const noexcept;

 private:
  QueryParameterMatcher() = default;
  bool value_matches(std::string_view value) const noexcept;  // data() is nullptr: there is none

  std::string name_;
  QueryParameterMatcherSpec::Kind kind_ = QueryParameterMatcherSpec::Kind::kPresent;
  std::optional<StringMatcher> string_;
};

// The first value of `name` in `query`, as they were sent; data() is nullptr if there is none. A name without "=" has
// the value "".
std::string_view find_query_parameter(std::string_view query, std::string_view name) noexcept;

}  // namespace weir::match
