#include "filters/http/common/messages/messages.h"

#include "envoy/config/core/v3/base.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"
#include "envoy/type/v3/percent.pb.h"

namespace weir::filters::common {

std::optional<match::StringMatcher> read_string_matcher(const envoy::type::matcher::v3::StringMatcher& proto,
                                                        filter::FactoryScope& scope, std::string_view field) {
  using Kind = match::StringMatcherSpec::Kind;
  match::StringMatcherSpec spec;
  spec.ignore_case = proto.ignore_case();
  switch (proto.match_pattern_case()) {
    case envoy::type::matcher::v3::StringMatcher::kExact:
      spec.kind = Kind::kExact;
      spec.text = proto.exact();
      break;
    case envoy::type::matcher::v3::StringMatcher::kPrefix:
      spec.kind = Kind::kPrefix;
      spec.text = proto.prefix();
      break;
    case envoy::type::matcher::v3::StringMatcher::kSuffix:
      spec.kind = Kind::kSuffix;
      spec.text = proto.suffix();
      break;
    case envoy::type::matcher::v3::StringMatcher::kContains:
      spec.kind = Kind::kContains;
      spec.text = proto.contains();
      break;
    case envoy::type::matcher::v3::StringMatcher::kSafeRegex:
      spec.kind = Kind::kRegex;
      spec.text = proto.safe_regex().regex();
      break;
    default:
      scope.error(field, "one of exact, prefix, suffix, contains, safe_regex must be set");
      return std::nullopt;
  }
  auto matcher = match::StringMatcher::build(std::move(spec));
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
