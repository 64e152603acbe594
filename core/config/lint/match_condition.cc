#include "core/config/lint/match_condition.h"

#include <absl/strings/ascii.h>
#include <google/protobuf/message.h>

#include <algorithm>

#include "core/config/lint/regex_shape.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"

namespace weir::config::lint {
namespace {

using Says = Condition::Says;
namespace route_v3 = envoy::config::route::v3;
using envoy::type::matcher::v3::StringMatcher;

Condition condition(const std::string& kind, const google::protobuf::Message& message) {
  Condition out;
  out.whole = kind + " " + message.SerializeAsString();
  return out;
}

void say(Condition& out, Says says, const std::string& text) {
  out.says = says;
  out.text = text;
}

void say_regex(Condition& out, const std::string& regex) {
  const RegexShape shape = shape_of(regex);
  out.of_text = shape.shape != Shape::kExact;  // "." is a character
  switch (shape.shape) {
    case Shape::kExact:
      return say(out, Says::kExact, shape.text);
    case Shape::kPrefix:
      return say(out, Says::kPrefix, shape.text);
    case Shape::kSuffix:
      return say(out, Says::kSuffix, shape.text);
    case Shape::kContains:
      return say(out, Says::kContains, shape.text);
    case Shape::kAnything:
      return say(out, Says::kPresent, {});
    case Shape::kSegments:
    case Shape::kOther:
      return;
  }
}

void say_text(Condition& out, const StringMatcher& matcher) {
  out.case_sensitive = !matcher.ignore_case() || matcher.has_safe_regex();
  switch (matcher.match_pattern_case()) {
    case StringMatcher::kExact:
      return say(out, Says::kExact, matcher.exact());
    case StringMatcher::kPrefix:
      return say(out, Says::kPrefix, matcher.prefix());
    case StringMatcher::kSuffix:
      return say(out, Says::kSuffix, matcher.suffix());
    case StringMatcher::kContains:
      return say(out, Says::kContains, matcher.contains());
    case StringMatcher::kSafeRegex:
      return say_regex(out, matcher.safe_regex().regex());
    default:
      return;
  }
}

Condition presence(Condition out, std::string about, bool present) {
  out.about = std::move(about);
  out.says = present ? Says::kPresent : Says::kAbsent;
  out.needs_value = present;
  return out;
}

Condition header(const route_v3::HeaderMatcher& matcher) {
  using Matcher = route_v3::HeaderMatcher;
  Condition out = condition("header", matcher);
  const auto kind = matcher.header_match_specifier_case();
  if (kind == Matcher::kPresentMatch || kind == Matcher::HEADER_MATCH_SPECIFIER_NOT_SET) {
    if (matcher.treat_missing_header_as_empty()) return out;
    const bool wanted = kind != Matcher::kPresentMatch || matcher.present_match();
    return presence(std::move(out), "header " + lower(matcher.name()), wanted != matcher.invert_match());
  }
  if (matcher.invert_match()) return out;
  out.about = "header " + lower(matcher.name());
  switch (kind) {
    case Matcher::kStringMatch:
      say_text(out, matcher.string_match());
      break;
    case Matcher::kExactMatch:
      say(out, Says::kExact, matcher.exact_match());
      break;
    case Matcher::kPrefixMatch:
      say(out, Says::kPrefix, matcher.prefix_match());
      break;
    case Matcher::kSuffixMatch:
      say(out, Says::kSuffix, matcher.suffix_match());
      break;
    case Matcher::kContainsMatch:
      say(out, Says::kContains, matcher.contains_match());
      break;
    case Matcher::kSafeRegexMatch:
      say_regex(out, matcher.safe_regex_match().regex());
      break;
    default:
      break;
  }
  // With treat_missing_header_as_empty a header that is missing is "", which no text but "" is equal to or within.
  out.needs_value = !matcher.treat_missing_header_as_empty() || !out.text.empty();
  return out;
}

Condition parameter(const route_v3::QueryParameterMatcher& matcher) {
  using Matcher = route_v3::QueryParameterMatcher;
  const auto kind = matcher.query_parameter_match_specifier_case();
  Condition out = presence(condition("query", matcher), "query " + matcher.name(),
                           kind != Matcher::kPresentMatch || matcher.present_match());
  if (kind == Matcher::kStringMatch) {
    out.says = Says::kOther;
    say_text(out, matcher.string_match());
  }
  return out;
}

bool follows_from(const Condition& what, const Condition& one) {
  if (what.whole == one.whole) return true;
  if (what.about.empty() || what.about != one.about || (what.needs_value && !one.needs_value)) return false;
  if (what.of_text) return false;
  if (what.says == Says::kAbsent || one.says == Says::kAbsent) return what.says == one.says;
  if (what.says == Says::kPresent) return true;
  if (what.case_sensitive && !one.case_sensitive && has_letters(what.text)) return false;
  const std::string wanted = what.case_sensitive ? what.text : lower(what.text);
  const std::string text = what.case_sensitive ? one.text : lower(one.text);
  const bool exact = one.says == Says::kExact;
  switch (what.says) {
    case Says::kExact:
      return exact && text == wanted;
    case Says::kPrefix:
      return (exact || one.says == Says::kPrefix) && text.starts_with(wanted);
    case Says::kSuffix:
      return (exact || one.says == Says::kSuffix) && text.ends_with(wanted);
    case Says::kContains:
      return one.says != Says::kOther && one.says != Says::kPresent && text.find(wanted) != std::string::npos;
    default:
      return false;
  }
}

}  // namespace

std::string lower(std::string_view text) { return absl::AsciiStrToLower(std::string(text)); }

bool has_letters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return absl::ascii_isalpha(c); });
}

std::vector<Condition> conditions_of(const route_v3::RouteMatch& match) {
  std::vector<Condition> all;
  for (const auto& one : match.headers()) all.push_back(header(one));
  for (const auto& one : match.query_parameters()) all.push_back(parameter(one));
  for (const auto& one : match.cookies()) all.push_back(condition("cookie", one));
  for (const auto& one : match.dynamic_metadata()) all.push_back(condition("metadata", one));
  for (const auto& one : match.filter_state()) all.push_back(condition("state", one));
  if (match.has_grpc()) all.push_back(condition("grpc", match.grpc()));
  if (match.has_tls_context()) all.push_back(condition("tls", match.tls_context()));
  return all;
}

bool either_holds(const Condition& a, const Condition& b) {
  if (a.about.empty() || a.about != b.about || a.of_text || b.of_text) return false;
  return (a.says == Says::kPresent && b.says == Says::kAbsent) || (a.says == Says::kAbsent && b.says == Says::kPresent);
}

bool follows(const Condition& what, const std::vector<Condition>& all) {
  return std::any_of(all.begin(), all.end(), [&](const Condition& one) { return follows_from(what, one); });
}

}  // namespace weir::config::lint
