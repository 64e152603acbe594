#include "core/match/string_matcher.h"

#include <gtest/gtest.h>

namespace weir::match {
namespace {

using Kind = StringMatcherSpec::Kind;

TEST(StringMatcher, Kinds) {
  struct Case {
    Kind kind;
    const char* text;
    bool ignore_case;
    const char* value;
    bool matches;
  };
  const Case cases[] = {
      {Kind::kExact, "abc", false, "abc", true},    {Kind::kExact, "abc", false, "ABC", false},
      {Kind::kExact, "abc", false, "abcd", false},  {Kind::kExact, "", false, "", true},
      {Kind::kExact, "", false, "a", false},        {Kind::kExact, "aBc", true, "AbC", true},
      {Kind::kExact, "abc", true, "abd", false},    {Kind::kPrefix, "ab", false, "abc", true},
      {Kind::kPrefix, "ab", false, "a", false},     {Kind::kPrefix, "ab", false, "xab", false},
      {Kind::kPrefix, "Ab", true, "aBc", true},     {Kind::kSuffix, "bc", false, "abc", true},
      {Kind::kSuffix, "bc", false, "bcd", false},   {Kind::kSuffix, "bC", true, "aBc", true},
      {Kind::kSuffix, "abc", true, "bc", false},    {Kind::kContains, "b", false, "abc", true},
      {Kind::kContains, "ac", false, "abc", false}, {Kind::kContains, "B", true, "abc", true},
      {Kind::kContains, "bC", true, "aaaBc", true}, {Kind::kContains, "bc", true, "b", false},
      {Kind::kRegex, "a.c", false, "abc", true},    {Kind::kRegex, "a.c", false, "xabc", false},
      {Kind::kRegex, "a.c", true, "ABC", false},  // ignore_case does not reach regexes
  };
  for (const Case& c : cases) {
    auto matcher = StringMatcher::build({c.kind, c.text, c.ignore_case});
    ASSERT_TRUE(matcher.ok()) << matcher.status();
    EXPECT_EQ(matcher->matches(c.value), c.matches) << c.text << " on " << c.value;
  }
}

TEST(StringMatcher, Errors) {
  EXPECT_FALSE(StringMatcher::build({Kind::kPrefix, "", false}).ok());
  EXPECT_FALSE(StringMatcher::build({Kind::kSuffix, "", false}).ok());
  EXPECT_FALSE(StringMatcher::build({Kind::kContains, "", false}).ok());
  EXPECT_FALSE(StringMatcher::build({Kind::kRegex, "", false}).ok());
  EXPECT_FALSE(StringMatcher::build({Kind::kRegex, "(", false}).ok());
}

}  // namespace
}  // namespace weir::match
