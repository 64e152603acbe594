#include "core/match/header_matcher.h"

#include <charconv>

#include "core/http/chars.h"

namespace weir::match {
namespace {

using Kind = HeaderMatcherSpec::Kind;

// Joins repeated headers without touching the request's arena: a condition may be looked at once per candidate route,
// and a request must not be able to make the arena grow with their number. Keeps its room; one per thread.
thread_local std::string joined_values;

bool is_called(const http::HeaderEntry& entry, const http::HeaderName& name) {
  return name.id() != http::HeaderId::kNone ? entry.id == name.id()
                                            : entry.id == http::HeaderId::kNone && entry.name() == name.text();
}

bool is_pseudo(http::HeaderId id) {
  using enum http::HeaderId;
  return id == kMethod || id == kPath || id == kAuthority || id == kScheme || id == kStatus || id == kProtocol;
}

}  // namespace

std::string_view joined_value(const http::HeaderMap& headers, const http::HeaderName& name) noexcept {
  std::string_view first;
  size_t count = 0;
  headers.for_each([&](const http::HeaderEntry& entry) {
    if (!is_called(entry, name)) return;
    if (++count == 1) {
      first = entry.value();
      return;
    }
    if (count == 2) joined_values.assign(first);
    joined_values += ',';
    joined_values += entry.value();
  });
  return count > 1 ? std::string_view(joined_values) : first;
}

Result<HeaderMatcher> HeaderMatcher::build(HeaderMatcherSpec spec) {
  HeaderMatcher matcher;
  if (spec.name.empty()) return invalid("name: must not be empty");
  std::string_view token = spec.name;
  if (token.starts_with(':')) token.remove_prefix(1);
  if (!http::is_token(token)) return invalid("name: \"" + spec.name + "\" is not a header name");
  matcher.name_ = http::HeaderName(spec.name);
  if (matcher.name_.id() == http::HeaderId::kHost) matcher.name_ = http::HeaderName(http::HeaderId::kAuthority);
  matcher.kind_ = spec.kind;
  matcher.invert_ = spec.invert_match;
  matcher.missing_is_empty_ = spec.treat_missing_header_as_empty;
  matcher.single_ = is_pseudo(matcher.name_.id());
  if (spec.kind == Kind::kRange) {
    // No number is in a range whose end is not behind its start: as published, it matches nothing.
    matcher.range_start_ = spec.range_start;
    matcher.range_end_ = spec.range_end;
  }
  if (spec.kind == Kind::kString) {
    Result<StringMatcher> string = StringMatcher::build(std::move(spec.string));
    if (!string.ok()) return string.status();
    matcher.string_ = std::move(*string);
  }
  return matcher;
}

bool HeaderMatcher::value_matches(std::string_view value) const noexcept {
  switch (kind_) {
    case Kind::kPresent:
      return true;
    case Kind::kAbsent:
      return false;
    case Kind::kString:
      return string_->matches(value);
    case Kind::kRange: {
      if (value.size() > 1 && value[0] == '+' && value[1] != '-') value.remove_prefix(1);
      int64_t number = 0;
      auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      return error == std::errc() && end == value.data() + value.size() && number >= range_start_ &&
             number < range_end_;
    }
  }
  return false;
}

bool HeaderMatcher::matches(const http::HeaderMap& headers, Values needed) const noexcept {
  // Presence alone needs no value; and most conditions fail because the header is not there.
  std::string_view value = headers.get(name_);
  if (value.data() == nullptr) {
    if (!missing_is_empty_) {
      if (kind_ == Kind::kPresent) return invert_;
      return kind_ == Kind::kAbsent && !invert_;
    }
    return value_matches("") != invert_;
  }
  if (single_ || kind_ == Kind::kPresent || kind_ == Kind::kAbsent) return value_matches(value) != invert_;
  const bool every = needed == Values::kEvery;
  bool result = every;
  headers.for_each([&](const http::HeaderEntry& entry) {
    if (result == every && is_called(entry, name_)) result = value_matches(entry.value()) != invert_;
  });
  return result;
}

}  // namespace weir::match
