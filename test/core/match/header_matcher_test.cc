#include "core/match/header_matcher.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace weir::match {
namespace {

using Kind = HeaderMatcherSpec::Kind;
using StringKind = StringMatcherSpec::Kind;
using Headers = std::vector<std::pair<const char*, const char*>>;

bool matches(HeaderMatcherSpec spec, const Headers& headers) {
  ArenaPool pool;
  Arena arena(pool);
  http::HeaderMap map(arena);
  for (auto [name, value] : headers) map.add_copy(name, value);
  auto matcher = HeaderMatcher::build(std::move(spec));
  EXPECT_TRUE(matcher.ok()) << matcher.status();
  return matcher->matches(map);
}

HeaderMatcherSpec text(StringKind kind, std::string value, std::string name = "x-a") {
  HeaderMatcherSpec spec;
  spec.name = std::move(name);
  spec.kind = Kind::kString;
  spec.string = {kind, std::move(value), false};
  return spec;
}
HeaderMatcherSpec range(int64_t start, int64_t end) {
  HeaderMatcherSpec spec;
  spec.name = "x-a";
  spec.kind = Kind::kRange;
  spec.range_start = start;
  spec.range_end = end;
  return spec;
}
HeaderMatcherSpec presence(Kind kind) {
  HeaderMatcherSpec spec;
  spec.name = "X-A";
  spec.kind = kind;
  return spec;
}
HeaderMatcherSpec inverted(HeaderMatcherSpec spec) {
  spec.invert_match = true;
  return spec;
}
HeaderMatcherSpec missing_as_empty(HeaderMatcherSpec spec) {
  spec.treat_missing_header_as_empty = true;
  return spec;
}

TEST(HeaderMatcher, Strings) {
  EXPECT_TRUE(matches(text(StringKind::kExact, "v"), {{"x-a", "v"}}));
  EXPECT_FALSE(matches(text(StringKind::kExact, "v"), {{"x-a", "w"}}));
  EXPECT_FALSE(matches(text(StringKind::kExact, "v"), {{"x-b", "v"}}));
  EXPECT_TRUE(matches(text(StringKind::kPrefix, "v"), {{"x-a", "vw"}}));
  EXPECT_TRUE(matches(text(StringKind::kSuffix, "w"), {{"x-a", "vw"}}));
  EXPECT_TRUE(matches(text(StringKind::kContains, "w"), {{"x-a", "vwx"}}));
  EXPECT_TRUE(matches(text(StringKind::kRegex, "v+"), {{"x-a", "vvv"}}));
  EXPECT_TRUE(matches(text(StringKind::kExact, "GET", ":method"), {{":method", "GET"}}));
  EXPECT_TRUE(matches(text(StringKind::kExact, "a.example", "Host"), {{":authority", "a.example"}}));
}

// What is forbidden does not hide behind another value, nor what is wanted.
TEST(HeaderMatcher, EachValueCounts) {
  Headers twice = {{"x-a", "1"}, {"x-b", "-"}, {"x-a", "22"}};
  for (const char* value : {"1", "22"}) EXPECT_TRUE(matches(text(StringKind::kExact, value), twice)) << value;
  EXPECT_FALSE(matches(text(StringKind::kExact, "1,22"), twice));
  EXPECT_FALSE(matches(text(StringKind::kExact, "-"), twice));
  EXPECT_TRUE(matches(text(StringKind::kRegex, "2+"), twice));
  EXPECT_TRUE(matches(range(20, 30), twice));
  EXPECT_TRUE(matches(text(StringKind::kExact, "b", "accept"), {{"accept", "a"}, {"accept", "b"}}));
  // "Anything else than 1" is there.
  EXPECT_TRUE(matches(inverted(text(StringKind::kExact, "1")), twice));
  EXPECT_FALSE(matches(inverted(text(StringKind::kExact, "1")), {{"x-a", "1"}, {"x-a", "1"}}));
}

TEST(HeaderMatcher, Ranges) {
  EXPECT_TRUE(matches(range(-10, 0), {{"x-a", "-1"}}));
  EXPECT_TRUE(matches(range(-10, 0), {{"x-a", "-10"}}));
  EXPECT_FALSE(matches(range(-10, 0), {{"x-a", "0"}}));
  EXPECT_FALSE(matches(range(-10, 0), {{"x-a", "-11"}}));
  EXPECT_TRUE(matches(range(0, 10), {{"x-a", "+9"}}));
  for (const char* bad : {"", "1x", "x", "1.0", " 1", "--1", "+-1", "99999999999999999999"}) {
    EXPECT_FALSE(matches(range(-100, 100), {{"x-a", bad}})) << bad;
  }
}

TEST(HeaderMatcher, Presence) {
  EXPECT_TRUE(matches(presence(Kind::kPresent), {{"x-a", ""}}));
  EXPECT_FALSE(matches(presence(Kind::kPresent), {}));
  EXPECT_TRUE(matches(presence(Kind::kAbsent), {}));
  EXPECT_FALSE(matches(presence(Kind::kAbsent), {{"x-a", ""}}));
  EXPECT_FALSE(matches(inverted(presence(Kind::kPresent)), {{"x-a", ""}}));
  EXPECT_TRUE(matches(inverted(presence(Kind::kPresent)), {}));
  EXPECT_FALSE(matches(inverted(presence(Kind::kAbsent)), {}));
  EXPECT_TRUE(matches(inverted(presence(Kind::kAbsent)), {{"x-a", ""}}));
}

TEST(HeaderMatcher, InversionAndMissingHeaders) {
  auto v = text(StringKind::kExact, "v");
  EXPECT_FALSE(matches(inverted(v), {{"x-a", "v"}}));
  EXPECT_TRUE(matches(inverted(v), {{"x-a", "w"}}));
  // A missing header matches neither a condition on its value nor the opposite of one.
  EXPECT_FALSE(matches(inverted(v), {}));
  EXPECT_FALSE(matches(inverted(range(0, 10)), {}));
  EXPECT_TRUE(matches(inverted(missing_as_empty(v)), {}));
  EXPECT_TRUE(matches(inverted(missing_as_empty(range(0, 10))), {}));
  EXPECT_FALSE(matches(missing_as_empty(v), {}));
  EXPECT_TRUE(matches(missing_as_empty(text(StringKind::kExact, "")), {}));
  EXPECT_TRUE(matches(missing_as_empty(presence(Kind::kPresent)), {}));
}

// Files that have one load elsewhere, and here; the rules warn of it.
TEST(HeaderMatcher, ARangeThatHoldsNothing) {
  for (const auto& [start, end] : {std::pair(5, 5), std::pair(5, 2)}) {
    for (const char* value : {"1", "2", "3", "5", "6"}) {
      EXPECT_FALSE(matches(range(start, end), {{"x-a", value}})) << value;
      EXPECT_TRUE(matches(inverted(range(start, end)), {{"x-a", value}})) << value;
    }
  }
}

TEST(HeaderMatcher, Errors) {
  auto error = [](HeaderMatcherSpec spec) { return message_of(HeaderMatcher::build(std::move(spec)).status()); };
  EXPECT_EQ(error({}), "name: must not be empty");
  EXPECT_EQ(error(text(StringKind::kExact, "v", "a b")), "name: \"a b\" is not a header name");
  EXPECT_NE(error(text(StringKind::kRegex, "(")), "");
}

}  // namespace
}  // namespace weir::match
