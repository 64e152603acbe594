// Matches a text against one published kind of pattern. Built on main from a plain spec; [immutable] after that.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/match/regex.h"

namespace weir::match {

struct StringMatcherSpec {
  enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kContains, kRegex };
  Kind kind = Kind::kExact;
  std::string text;
  bool ignore_case = false;  // means nothing to kRegex, as published
};

class StringMatcher {
 public:
  static Result<StringMatcher> build(StringMatcherSpec spec);
  bool matches(std::string_view value) const noexcept;
  StringMatcherSpec::Kind kind() const { return kind_; }
  std::string_view text() const { return text_; }

 private:
  StringMatcher() = default;

  StringMatcherSpec::Kind kind_ = StringMatcherSpec::Kind::kExact;
  bool ignore_case_ = false;
  std::string text_;  // lower case if ignore_case_
  std::shared_ptr<const Regex> regex_;
};

}  // namespace weir::match
