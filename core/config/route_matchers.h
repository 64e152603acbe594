// The small messages that many others hold, as the plain specs of core/match and core/route: matchers, rewrites,
// header options, retry policies. What the API's own rules refuse (rules.h) is not refused again here.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "core/config/field_path.h"
#include "core/match/header_matcher.h"
#include "core/match/query_parameter_matcher.h"
#include "core/match/regex.h"
#include "core/route/spec.h"

namespace google::protobuf {
class Duration;
}
namespace envoy::config::core::v3 {
class HeaderValueOption;
}
namespace envoy::config::route::v3 {
class HeaderMatcher;
class QueryParameterMatcher;
class RetryPolicy;
}  // namespace envoy::config::route::v3
namespace envoy::type::matcher::v3 {
class RegexMatchAndSubstitute;
class StringMatcher;
}  // namespace envoy::type::matcher::v3

namespace weir::config {

match::StringMatcherSpec to_spec(const envoy::type::matcher::v3::StringMatcher& message);
match::HeaderMatcherSpec to_spec(const envoy::config::route::v3::HeaderMatcher& message);
match::QueryParameterMatcherSpec to_spec(const envoy::config::route::v3::QueryParameterMatcher& message);
match::RegexRewriteSpec to_spec(const envoy::type::matcher::v3::RegexMatchAndSubstitute& message);
// `error` hears of what contradicts itself, at a field of the message.
using FieldError = std::function<void(std::string_view field, std::string_view message)>;
stream::HeaderValueSpec to_spec(const envoy::config::core::v3::HeaderValueOption& message, const FieldError& error);
route::RetryPolicySpec to_spec(const envoy::config::route::v3::RetryPolicy& message, FieldPath& path);

template <class Messages>
auto to_specs(const Messages& messages) {
  std::vector<decltype(to_spec(messages.Get(0)))> specs;
  specs.reserve(static_cast<size_t>(messages.size()));
  for (const auto& message : messages) specs.push_back(to_spec(message));
  return specs;
}

}  // namespace weir::config
