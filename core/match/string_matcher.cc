#include "core/match/string_matcher.h"

#include "core/http/chars.h"

namespace weir::match {
namespace {

using Kind = StringMatcherSpec::Kind;

bool contains_folded(std::string_view text, std::string_view lower) {
  if (lower.size() > text.size()) return false;
  for (size_t i = 0; i + lower.size() <= text.size(); ++i) {
    if (http::equals_ignoring_case(text.substr(i, lower.size()), lower)) return true;
  }
  return false;
}

}  // namespace

Result<StringMatcher> StringMatcher::build(StringMatcherSpec spec) {
  StringMatcher matcher;
  matcher.kind_ = spec.kind;
  if (spec.text.empty() && spec.kind != Kind::kExact) return invalid("must not be empty");
  if (spec.kind == Kind::kRegex) {
    Result<Regex> regex = Regex::compile(spec.text);
    if (!regex.ok()) return regex.status();
    matcher.regex_ = std::make_shared<const Regex>(std::move(*regex));
    matcher.text_ = std::move(spec.text);
    return matcher;
  }
  matcher.ignore_case_ = spec.ignore_case;
  matcher.text_ = std::move(spec.text);
  if (spec.ignore_case) {
    for (char& c : matcher.text_) c = http::to_lower(c);
  }
  return matcher;
}

bool StringMatcher::matches(std::string_view value) const noexcept {
  const size_t size = text_.size();
  if (kind_ == Kind::kRegex) return regex_->full_match(value);
  if (value.size() < size) return false;
  if (!ignore_case_) {
    switch (kind_) {
      case Kind::kExact:
        return value == text_;
      case Kind::kPrefix:
        return value.starts_with(text_);
      case Kind::kSuffix:
        return value.ends_with(text_);
      default:
        return value.find(text_) != std::string_view::npos;
    }
  }
  switch (kind_) {
    case Kind::kExact:
      return http::equals_ignoring_case(value, text_);
    case Kind::kPrefix:
      return http::equals_ignoring_case(value.substr(0, size), text_);
    case Kind::kSuffix:
      return http::equals_ignoring_case(value.substr(value.size() - size), text_);
    default:
      return contains_folded(value, text_);
  }
}

}  // namespace weir::match
