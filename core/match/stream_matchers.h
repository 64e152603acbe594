// Conditions on single facts of a stream: an object of its filter state, a cookie, its path. Built on main;
// [immutable].
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "core/http/header_map.h"
#include "core/match/address_ranges.h"
#include "core/match/string_matcher.h"
#include "core/stream/filter_state.h"
#include "core/stream/stream_info.h"

namespace weir::match {

class FilterStateMatcher {
 public:
  // On the plain form of the object, or on the address that it is.
  using Condition = std::variant<StringMatcher, AddressRanges>;
  FilterStateMatcher(stream::FilterStateName name, Condition condition)
      : name_(name), condition_(std::move(condition)) {}
  bool matches(const stream::StreamInfo& info) const noexcept;

 private:
  stream::FilterStateName name_;
  Condition condition_;
};

class CookieMatcher {
 public:
  CookieMatcher(std::string name, StringMatcher value, bool invert)
      : name_(std::move(name)), value_(std::move(value)), invert_(invert) {}
  // A cookie that is not there matches only inverted. Of several with one name the first counts.
  bool matches(const http::HeaderMap& request) const noexcept;

 private:
  std::string name_;
  StringMatcher value_;
  bool invert_;
};

// The value of a cookie, quotes around it left out; data() is nullptr if the request has no such cookie.
std::string_view find_cookie(const http::HeaderMap& request, std::string_view name) noexcept;

class PathMatcher {
 public:
  explicit PathMatcher(StringMatcher path) : path_(std::move(path)) {}
  // `path` as in :path; query and fragment do not count. data() is nullptr: no match.
  bool matches(std::string_view path) const noexcept {
    return path.data() != nullptr && path_.matches(path.substr(0, path.find_first_of("?#")));
  }

 private:
  StringMatcher path_;
};

}  // namespace weir::match
