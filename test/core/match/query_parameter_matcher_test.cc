#include "core/match/query_parameter_matcher.h"

#include <gtest/gtest.h>

namespace weir::match {
namespace {

using Kind = QueryParameterMatcherSpec::Kind;

TEST(QueryParameter, Find) {
  EXPECT_EQ(find_query_parameter("a=1&b=2", "a"), "1");
  EXPECT_EQ(find_query_parameter("a=1&b=2", "b"), "2");
  EXPECT_EQ(find_query_parameter("a=1&a=2", "a"), "1");
  EXPECT_EQ(find_query_parameter("ab=1&a=2", "a"), "2");
  EXPECT_EQ(find_query_parameter("a=x=y", "a"), "x=y");
  EXPECT_EQ(find_query_parameter("&&a=1&", "a"), "1");
  EXPECT_EQ(find_query_parameter("a", "a"), "");
  EXPECT_NE(find_query_parameter("a", "a").data(), nullptr);
  EXPECT_NE(find_query_parameter("a=", "a").data(), nullptr);
  EXPECT_EQ(find_query_parameter("", "a").data(), nullptr);
  EXPECT_EQ(find_query_parameter("b=a", "a").data(), nullptr);
  EXPECT_EQ(find_query_parameter("A=1", "a").data(), nullptr);
}

TEST(QueryParameter, Matcher) {
  auto matches = [](QueryParameterMatcherSpec spec, std::string_view query) {
    auto matcher = QueryParameterMatcher::build(std::move(spec));
    EXPECT_TRUE(matcher.ok());
    return matcher->matches(query);
  };
  EXPECT_TRUE(matches({"a", Kind::kPresent, {}}, "a"));
  EXPECT_FALSE(matches({"a", Kind::kPresent, {}}, "b"));
  EXPECT_TRUE(matches({"a", Kind::kAbsent, {}}, "b"));
  EXPECT_FALSE(matches({"a", Kind::kAbsent, {}}, "a"));
  EXPECT_TRUE(matches({"a", Kind::kString, {StringMatcherSpec::Kind::kExact, "1", false}}, "a=1"));
  EXPECT_FALSE(matches({"a", Kind::kString, {StringMatcherSpec::Kind::kExact, "1", false}}, "a=2"));
  EXPECT_FALSE(matches({"a", Kind::kString, {StringMatcherSpec::Kind::kExact, "", false}}, "b=2"));
}

TEST(QueryParameter, SentAndDecoded) {
  auto matcher = QueryParameterMatcher::build({"a", Kind::kString, {StringMatcherSpec::Kind::kExact, "1", false}});
  ASSERT_TRUE(matcher.ok());
  EXPECT_TRUE(matcher->matches_decoded("a=1"));
  for (std::string_view query : {"a=%31", "%61=1"}) {
    EXPECT_FALSE(matcher->matches(query)) << query;
    EXPECT_TRUE(matcher->matches_decoded(query)) << query;
  }
  EXPECT_FALSE(matcher->matches_decoded("b=1"));
}

TEST(QueryParameter, Errors) {
  EXPECT_FALSE(QueryParameterMatcher::build({}).ok());
  EXPECT_FALSE(QueryParameterMatcher::build({std::string(1025, 'a'), Kind::kPresent, {}}).ok());
}

}  // namespace
}  // namespace weir::match
