#include "filters/http/common/messages/messages.h"

#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"
#include "envoy/type/v3/percent.pb.h"

namespace weir::filters::common {

namespace {

using StringKind = match::StringMatcherSpec::Kind;

// No value: none of the patterns is set.
std::optional<match::StringMatcherSpec> to_spec(const envoy::type::matcher::v3::StringMatcher& proto) {
  using envoy::type::matcher::v3::StringMatcher;
  switch (proto.match_pattern_case()) {
    case StringMatcher::kExact:
      return match::StringMatcherSpec{StringKind::kExact, proto.exact(), proto.ignore_case()};
    case StringMatcher::kPrefix:
      return match::StringMatcherSpec{StringKind::kPrefix, proto.prefix(), proto.ignore_case()};
    case StringMatcher::kSuffix:
      return match::StringMatcherSpec{StringKind::kSuffix, proto.suffix(), proto.ignore_case()};
    case StringMatcher::kContains:
      return match::StringMatcherSpec{StringKind::kContains, proto.contains(), proto.ignore_case()};
    case StringMatcher::kSafeRegex:
      return match::StringMatcherSpec{StringKind::kRegex, proto.safe_regex().regex(), proto.ignore_case()};
    default:
      return std::nullopt;
  }
}

constexpr const char* kNoPattern = "one of exact, prefix, suffix, contains, safe_regex must be set";

}  // namespace

std::optional<match::StringMatcher> read_string_matcher(const envoy::type::matcher::v3::StringMatcher& proto,
                                                        filter::FactoryScope& scope, std::string_view field) {
  auto spec = to_spec(proto);
  if (!spec) {
    scope.error(field, kNoPattern);
    return std::nullopt;
  }
  auto matcher = match::StringMatcher::build(std::move(*spec));
  if (matcher.ok()) return std::move(*matcher);
  scope.error(field, message_of(matcher.status()));
  return std::nullopt;
}

std::optional<match::HeaderMatcher> read_header_matcher(const envoy::config::route::v3::HeaderMatcher& proto,
                                                        filter::FactoryScope& scope, std::string_view field) {
  using envoy::config::route::v3::HeaderMatcher;
  using Kind = match::HeaderMatcherSpec::Kind;
  match::HeaderMatcherSpec spec;
  spec.name = proto.name();
  spec.invert_match = proto.invert_match();
  spec.treat_missing_header_as_empty = proto.treat_missing_header_as_empty();
  auto text = [&](StringKind kind, const std::string& value) {
    spec.kind = Kind::kString;
    spec.string = {kind, value, false};
  };
  switch (proto.header_match_specifier_case()) {
    case HeaderMatcher::kExactMatch:
      text(StringKind::kExact, proto.exact_match());
      break;
    case HeaderMatcher::kSafeRegexMatch:
      text(StringKind::kRegex, proto.safe_regex_match().regex());
      break;
    case HeaderMatcher::kPrefixMatch:
      text(StringKind::kPrefix, proto.prefix_match());
      break;
    case HeaderMatcher::kSuffixMatch:
      text(StringKind::kSuffix, proto.suffix_match());
      break;
    case HeaderMatcher::kContainsMatch:
      text(StringKind::kContains, proto.contains_match());
      break;
    case HeaderMatcher::kStringMatch: {
      auto string = to_spec(proto.string_match());
      if (!string) {
        scope.error(std::string(field) + ".string_match", kNoPattern);
        return std::nullopt;
      }
      spec.kind = Kind::kString;
      spec.string = std::move(*string);
      break;
    }
    case HeaderMatcher::kRangeMatch:
      spec.kind = Kind::kRange;
      spec.range_start = proto.range_match().start();
      spec.range_end = proto.range_match().end();
      break;
    case HeaderMatcher::kPresentMatch:
      spec.kind = proto.present_match() ? Kind::kPresent : Kind::kAbsent;
      break;
    default:  // no condition on the value: the header must be there
      break;
  }
  auto matcher = match::HeaderMatcher::build(std::move(spec));
  if (matcher.ok()) return std::move(*matcher);
  scope.error(field, message_of(matcher.status()));
  return std::nullopt;
}

runtime::Fraction read_fraction(const envoy::type::v3::FractionalPercent& proto) {
  switch (proto.denominator()) {
    case envoy::type::v3::FractionalPercent::TEN_THOUSAND:
      return {proto.numerator(), 10'000};
    case envoy::type::v3::FractionalPercent::MILLION:
      return {proto.numerator(), 1'000'000};
    default:
      return {proto.numerator(), 100};
  }
}

runtime::RuntimeFraction read_fraction(const envoy::config::core::v3::RuntimeFractionalPercent& proto) {
  return {read_fraction(proto.default_value()), runtime::Key(proto.runtime_key())};
}

}  // namespace weir::filters::common
