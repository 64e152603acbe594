#include "core/match/value_matcher.h"

#include <algorithm>

namespace weir::match {

using stream::Value;

ValueMatcher ValueMatcher::null() { return ValueMatcher(Kind::kNull); }

ValueMatcher ValueMatcher::number_is(double number) {
  ValueMatcher matcher(Kind::kNumber);
  matcher.exact_ = true;
  matcher.start_ = number;
  return matcher;
}

ValueMatcher ValueMatcher::number_in(double start, double end) {
  ValueMatcher matcher(Kind::kNumber);
  matcher.start_ = start;
  matcher.end_ = end;
  return matcher;
}

ValueMatcher ValueMatcher::string(StringMatcher string) {
  ValueMatcher matcher(Kind::kString);
  matcher.string_ = std::make_shared<const StringMatcher>(std::move(string));
  return matcher;
}

ValueMatcher ValueMatcher::boolean(bool value) {
  ValueMatcher matcher(Kind::kBool);
  matcher.boolean_ = value;
  return matcher;
}

ValueMatcher ValueMatcher::present(bool wanted) {
  ValueMatcher matcher(Kind::kPresent);
  matcher.boolean_ = wanted;
  return matcher;
}

ValueMatcher ValueMatcher::list_with(ValueMatcher item) {
  ValueMatcher matcher(Kind::kList);
  matcher.children_.push_back(std::move(item));
  return matcher;
}

ValueMatcher ValueMatcher::any_of(std::vector<ValueMatcher> alternatives) {
  ValueMatcher matcher(Kind::kAny);
  matcher.children_ = std::move(alternatives);
  return matcher;
}

bool ValueMatcher::matches(const Value* value) const noexcept {
  if (value == nullptr) return false;
  switch (kind_) {
    case Kind::kNull:
      return value->kind() == Value::Kind::kNull;
    case Kind::kNumber:
      if (value->kind() != Value::Kind::kNumber) return false;
      return exact_ ? value->number() == start_ : value->number() >= start_ && value->number() < end_;
    case Kind::kString:
      return value->kind() == Value::Kind::kString && string_->matches(value->string());
    case Kind::kBool:
      return value->kind() == Value::Kind::kBool && value->boolean() == boolean_;
    case Kind::kPresent:
      return boolean_;
    case Kind::kList:
      return value->kind() == Value::Kind::kList &&
             std::any_of(value->items().begin(), value->items().end(),
                         [&](const Value& item) { return children_[0].matches(&item); });
    case Kind::kAny:
      return std::any_of(children_.begin(), children_.end(),
                         [&](const ValueMatcher& child) { return child.matches(value); });
  }
  return false;
}

}  // namespace weir::match
