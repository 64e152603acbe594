#include "core/match/value_matcher.h"

#include <gtest/gtest.h>

#include "core/match/stream_matchers.h"
#include "core/stream/metadata.h"

namespace weir::match {
namespace {

using stream::Value;
using StringKind = StringMatcherSpec::Kind;

StringMatcher text(StringKind kind, std::string value) {
  return *StringMatcher::build({kind, std::move(value), false});
}

class ValueMatcherTest : public testing::Test {
 protected:
  Value list(std::vector<Value> items) {
    Value* to = static_cast<Value*>(arena_.allocate(items.size() * sizeof(Value), alignof(Value)));
    std::copy(items.begin(), items.end(), to);
    return Value::of_list({to, items.size()});
  }
  // Which of these values a matcher takes: nothing, null, true, 5, "pro", [1, "pro"], {}.
  std::string taken(const ValueMatcher& matcher) {
    const Value values[] = {Value(),
                            Value::of_bool(true),
                            Value::of_number(5),
                            Value::of_string("pro"),
                            list({Value::of_number(1), Value::of_string("pro")}),
                            Value::of_struct({})};
    const char* names[] = {"null", "true", "5", "pro", "list", "struct"};
    std::string out = matcher.matches(nullptr) ? "nothing " : "";
    for (size_t i = 0; i < std::size(values); ++i) {
      if (matcher.matches(&values[i])) (out += names[i]) += ' ';
    }
    return out;
  }

  ArenaPool pool_;
  Arena arena_{pool_};
};

TEST_F(ValueMatcherTest, EachKindTakesItsOwn) {
  EXPECT_EQ(taken(ValueMatcher::null()), "null ");
  EXPECT_EQ(taken(ValueMatcher::number_is(5)), "5 ");
  EXPECT_EQ(taken(ValueMatcher::number_is(4)), "");
  EXPECT_EQ(taken(ValueMatcher::number_in(5, 6)), "5 ");
  EXPECT_EQ(taken(ValueMatcher::number_in(4, 5)), "");
  EXPECT_EQ(taken(ValueMatcher::string(text(StringKind::kPrefix, "pr"))), "pro ");
  EXPECT_EQ(taken(ValueMatcher::boolean(true)), "true ");
  EXPECT_EQ(taken(ValueMatcher::boolean(false)), "");
  EXPECT_EQ(taken(ValueMatcher::present(true)), "null true 5 pro list struct ");
  EXPECT_EQ(taken(ValueMatcher::present(false)), "");
  EXPECT_EQ(taken(ValueMatcher::list_with(ValueMatcher::string(text(StringKind::kExact, "pro")))), "list ");
  EXPECT_EQ(taken(ValueMatcher::list_with(ValueMatcher::null())), "");
  std::vector<ValueMatcher> either;
  either.push_back(ValueMatcher::null());
  either.push_back(ValueMatcher::number_is(5));
  EXPECT_EQ(taken(ValueMatcher::any_of(std::move(either))), "null 5 ");
}

TEST_F(ValueMatcherTest, MetadataIsFoundByPath) {
  stream::Metadata metadata(arena_);
  metadata.set("ns", "a", stream::make_struct({{"b", Value::of_string("pro")}}, arena_));
  auto matches = [&](std::vector<std::string> path, ValueMatcher value, bool invert) {
    return MetadataMatcher(std::move(path), std::move(value), invert).matches(&metadata.root());
  };
  EXPECT_TRUE(matches({"ns", "a", "b"}, ValueMatcher::string(text(StringKind::kExact, "pro")), false));
  EXPECT_FALSE(matches({"ns", "a", "b"}, ValueMatcher::string(text(StringKind::kExact, "pro")), true));
  EXPECT_FALSE(matches({"ns", "a", "c"}, ValueMatcher::present(true), false));
  EXPECT_TRUE(matches({"ns", "a", "c"}, ValueMatcher::present(true), true));
  EXPECT_FALSE(matches({"other", "a"}, ValueMatcher::present(true), false));
  EXPECT_FALSE(MetadataMatcher({"ns", "a"}, ValueMatcher::present(true), false).matches(nullptr));
  EXPECT_TRUE(MetadataMatcher({"ns", "a"}, ValueMatcher::present(true), true).matches(nullptr));
}

TEST_F(ValueMatcherTest, FilterState) {
  stream::FilterState state(arena_, nullptr);
  stream::StreamInfo info;
  const stream::FilterStateName word("match.word"), number("match.number"), address("match.address"),
      none("match.none");
  auto matches = [&](stream::FilterStateName name, FilterStateMatcher::Condition condition) {
    return FilterStateMatcher(name, std::move(condition)).matches(info);
  };
  EXPECT_FALSE(matches(word, text(StringKind::kExact, "pro")));
  info.filter_state = &state;
  state.set(word, stream::FilterStateValue::of_string("pro"), {});
  state.set(number, stream::FilterStateValue::of_unsigned(42), {});
  net::Address at = *net::Address::from_ip("10.1.2.3", 80);
  state.set(address, stream::FilterStateValue::of_address(at), {});
  AddressRanges ten({*make_range("10.0.0.0", 8)});
  EXPECT_TRUE(matches(word, text(StringKind::kExact, "pro")));
  EXPECT_FALSE(matches(word, text(StringKind::kExact, "con")));
  EXPECT_TRUE(matches(number, text(StringKind::kPrefix, "4")));
  EXPECT_TRUE(matches(address, text(StringKind::kExact, "10.1.2.3:80")));
  EXPECT_TRUE(matches(address, ten));
  EXPECT_FALSE(matches(address, AddressRanges({*make_range("11.0.0.0", 8)})));
  EXPECT_FALSE(matches(word, ten));
  EXPECT_FALSE(matches(none, text(StringKind::kPrefix, "a")));
  // An object that has no plain form.
  static constexpr stream::FilterStateType kOpaque{.name = "match.opaque"};
  state.set(none, stream::FilterStateValue::of_object(&state, kOpaque), {});
  EXPECT_FALSE(matches(none, text(StringKind::kExact, "")));
}

TEST_F(ValueMatcherTest, Cookies) {
  http::HeaderMap request(arena_);
  request.add_copy("cookie", "a=1; session=\"x y\";b=; a=2;c = 3;noequals");
  request.add_copy("cookie", "late=5");
  EXPECT_EQ(find_cookie(request, "a"), "1");
  EXPECT_EQ(find_cookie(request, "session"), "x y");
  EXPECT_EQ(find_cookie(request, "late"), "5");
  EXPECT_NE(find_cookie(request, "b").data(), nullptr);
  EXPECT_EQ(find_cookie(request, "b"), "");
  for (const char* missing : {"sess", "session1", "noequals", "", "A"}) {
    EXPECT_EQ(find_cookie(request, missing).data(), nullptr) << missing;
  }
  auto matches = [&](const char* name, std::string value, bool invert) {
    return CookieMatcher(name, text(StringKind::kExact, std::move(value)), invert).matches(request);
  };
  EXPECT_TRUE(matches("a", "1", false));
  EXPECT_FALSE(matches("a", "1", true));
  EXPECT_FALSE(matches("a", "2", false));
  EXPECT_TRUE(matches("b", "", false));
  EXPECT_FALSE(matches("none", "", false));
  EXPECT_TRUE(matches("none", "", true));
}

TEST_F(ValueMatcherTest, PathsWithoutQuery) {
  PathMatcher matcher(text(StringKind::kExact, "/a"));
  EXPECT_TRUE(matcher.matches("/a"));
  EXPECT_TRUE(matcher.matches("/a?q=1"));
  EXPECT_TRUE(matcher.matches("/a#f"));
  EXPECT_FALSE(matcher.matches("/a/"));
  EXPECT_FALSE(PathMatcher(text(StringKind::kExact, "")).matches({}));
}

}  // namespace
}  // namespace weir::match
