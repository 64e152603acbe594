#include "core/match/query_parameter_matcher.h"

#include "core/http/query.h"

namespace weir::match {

using Kind = QueryParameterMatcherSpec::Kind;

std::string_view find_query_parameter(std::string_view query, std::string_view name) noexcept {
  while (!query.empty()) {
    size_t end = query.find('&');
    std::string_view one = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    if (one.size() < name.size() || !one.starts_with(name)) continue;
    if (one.size() == name.size()) return "";
    if (one[name.size()] == '=') return one.substr(name.size() + 1);
  }
  return {};
}

Result<QueryParameterMatcher> QueryParameterMatcher::build(QueryParameterMatcherSpec spec) {
  constexpr size_t kMaxName = 1024;
  QueryParameterMatcher matcher;
  if (spec.name.empty()) return invalid("name: must not be empty");
  if (spec.name.size() > kMaxName) {
    return invalid("name: " + std::to_string(spec.name.size()) + " bytes; at most 1024 are allowed");
  }
  matcher.name_ = std::move(spec.name);
  matcher.kind_ = spec.kind;
  if (spec.kind == Kind::kString) {
    Result<StringMatcher> string = StringMatcher::build(std::move(spec.string));
    if (!string.ok()) return string.status();
    matcher.string_ = std::move(*string);
  }
  return matcher;
}

bool QueryParameterMatcher::matches(std::string_view query) const noexcept {
  return value_matches(find_query_parameter(query, name_));
}

bool QueryParameterMatcher::matches_decoded(std::string_view query) const noexcept {
  return value_matches(http::find_decoded_parameter(query, name_));
}

bool QueryParameterMatcher::value_matches(std::string_view value) const noexcept {
  if (value.data() == nullptr) return kind_ == Kind::kAbsent;
  if (kind_ == Kind::kString) return string_->matches(value);
  return kind_ == Kind::kPresent;
}

}  // namespace weir::match
