// Conditions on one header of a request or response. Of a header that appears several times each value is looked at by
// itself, and one that fits is enough: joined by "," (RFC 9110 5.3) a value that is forbidden could hide behind another
// (CVE-2026-26308), and servers do not agree on which of them counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/http/header_map.h"
#include "core/match/string_matcher.h"

namespace weir::match {

struct HeaderMatcherSpec {
  enum class Kind : uint8_t { kPresent, kAbsent, kString, kRange };
  std::string name;  // any case; "host" means ":authority"
  Kind kind = Kind::kPresent;
  StringMatcherSpec string;  // kString
  int64_t range_start = 0;   // kRange: a whole decimal number in [start, end)
  int64_t range_end = 0;
  bool invert_match = false;
  bool treat_missing_header_as_empty = false;
};

// All values of a header, joined by ","; data() is nullptr if it is absent. Good until the next call on this thread.
std::string_view joined_value(const http::HeaderMap& headers, const http::HeaderName& name) noexcept;

// [immutable]
class HeaderMatcher {
 public:
  static Result<HeaderMatcher> build(HeaderMatcherSpec spec);
  enum class Values : uint8_t { kSome, kEvery };  // of those of a header that comes several times
  // A missing header fails every kind but kPresent and kAbsent, inverted or not, unless it is treated as empty.
  bool matches(const http::HeaderMap& headers, Values needed = Values::kSome) const noexcept;
  const http::HeaderName& name() const { return name_; }

 private:
  HeaderMatcher() = default;
  bool value_matches(std::string_view value) const noexcept;

  http::HeaderName name_;
  HeaderMatcherSpec::Kind kind_ = HeaderMatcherSpec::Kind::kPresent;
  bool invert_ = false;
  bool missing_is_empty_ = false;
  bool single_ = false;  // a pseudo-header: never several entries
  int64_t range_start_ = 0;
  int64_t range_end_ = 0;
  std::optional<StringMatcher> string_;
};

}  // namespace weir::match
