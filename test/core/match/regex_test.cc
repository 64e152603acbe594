#include "core/match/regex.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir::match {
namespace {

Regex compile(std::string_view pattern) {
  Result<Regex> regex = Regex::compile(pattern);
  EXPECT_TRUE(regex.ok()) << pattern << ": " << regex.status();
  return std::move(*regex);
}

TEST(Regex, MatchesTheWholeText) {
  struct Case {
    const char* pattern;
    const char* text;
    bool matches;
  };
  const Case cases[] = {
      {"/a", "/a", true},
      {"/a", "/ab", false},
      {"/a", "/", false},
      {"^/a$", "/a", true},
      {"/a.*", "/a", true},
      {"/a.*", "/abc", true},
      {"/a.*", "/b", false},
      {"/a.+", "/a", false},
      {"/a.+", "/ab", true},
      {".*", "", true},
      {".*", "/x", true},
      {".+", "", false},
      {"^/a.*$", "/abc", true},
      {"/v[0-9]+/x", "/v12/x", true},
      {"/v[0-9]+/x", "/v/x", false},
      {"/a|/b", "/b", true},
      {"/a|/b", "/bc", false},
      {R"(/a\.txt)", "/a.txt", true},
      {R"(/a\.txt)", "/aXtxt", false},
      {R"(/a\.txt.*)", "/a.txt;v", true},
      {"(?i)/abc", "/ABC", true},
      {R"(\d+)", "123", true},
      {R"(/\d)", "/d", false},
      {"/a?", "/", true},
      {"/a$b", "/a$b", false},
      {R"(/a\$)", "/a$", true},
      {"", "", true},
      {"", "a", false},
      {"/ab*", "/a", true},
      {"/x{2}", "/xx", true},
      // Where the literal ends and what may not be cut off from it.
      {"ab|c", "c", true},
      {"ab|c", "abc", false},
      {"/a(b|c)|d", "d", true},
      {"/a(b|c)d", "/acd", true},
      {"/a[|]b", "/a|b", true},
      {"/a[]|]b", "/a|b", true},
      {"/a[^]|]b", "/a|b", false},
      {"/a[[:alpha:]|]b", "/a|b", true},
      {R"(/a\|b+)", "/a|bb", true},
      {R"(/a\bb)", "/ab", false},
      {R"(/a\b/b)", "/a/b", true},
      {R"(a\Qb|c\E.*)", "ab|cd", true},
      {"/a^b", "/ab", false},
      {"/a(?i)b.", "/aBc", true},
      {"/a(?i)b.", "/ABc", false},
      {"/a{,2}", "/a{,2}", true},
      {"/\xc3\xa4*", "/", true},
      {R"(/\x61+)", "/aa", true},
      {"/a.*b", "/axxb", true},
      {"/a.*b", "/axx", false},
      {"$", "", true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(compile(c.pattern).full_match(c.text), c.matches) << c.pattern << " on " << c.text;
  }
}

// The short cuts must not take what the automaton refuses.
TEST(Regex, ADotTakesNoLineFeedAndNoBrokenUtf8) {
  EXPECT_FALSE(compile("/a.*").full_match("/a\nb"));
  EXPECT_FALSE(compile("/a.+").full_match("/a\n"));
  EXPECT_FALSE(compile("/a.*").full_match("/a\xff"));
  EXPECT_TRUE(compile("/a.*").full_match("/a\xc3\xa4"));
}

TEST(Regex, RequiredPrefixIsAPrefixOfEverythingThatMatches) {
  EXPECT_EQ(compile("/a/b").required_prefix(), "/a/b");
  EXPECT_EQ(compile("/a/.*").required_prefix(), "/a/");
  EXPECT_EQ(compile("/a/[0-9]+/x").required_prefix(), "/a/");
  EXPECT_EQ(compile("^/a/(b|c)").required_prefix(), "/a/");
  EXPECT_EQ(compile("/abc?").required_prefix(), "/ab");
  EXPECT_EQ(compile("/ab*").required_prefix(), "/a");
  EXPECT_EQ(compile(".*/a").required_prefix(), "");
  EXPECT_EQ(compile("/a|b").required_prefix(), "");
  EXPECT_EQ(compile("(?i)/a").required_prefix(), "/");
  EXPECT_EQ(compile("(a|b)").required_prefix(), "");
  EXPECT_EQ(compile("").required_prefix(), "");
  EXPECT_TRUE(compile("/a/b").is_literal());
  EXPECT_FALSE(compile("/a/b.*").is_literal());
  std::string longer(500, 'a');
  EXPECT_TRUE(compile(longer + "[bc]").full_match(longer + "b"));
  EXPECT_FALSE(compile(longer + "[bc]").full_match(longer));
}

TEST(Regex, NamedGroupsInEitherSpelling) {
  for (const char* pattern : {"/(?P<id>[0-9]+)", "/(?<id>[0-9]+)", "(?<all>/(?<id>[0-9]+))"}) {
    const auto regex = Regex::compile(pattern);
    ASSERT_TRUE(regex.ok()) << pattern << regex.status();
    EXPECT_TRUE(regex->full_match("/12")) << pattern;
    EXPECT_FALSE(regex->full_match("/a")) << pattern;
  }
  // Where it is no group, nothing is changed.
  EXPECT_TRUE(Regex::compile(R"(x[(?<a]\(?<)")->full_match("x<(<"));
  EXPECT_FALSE(Regex::compile(R"(x[(?<a]\(?<)")->full_match("xP(<"));
}

TEST(Regex, ErrorsNameThePlace) {
  auto error = [](std::string_view pattern) { return message_of(Regex::compile(pattern).status()); };
  EXPECT_EQ(error("/a/[bc"), R"(missing ] at character 4 ("[bc") of "/a/[bc")");
  EXPECT_EQ(error("/a/(b"), R"(missing ) at character 1 ("/a/(b"))");
  EXPECT_EQ(error("/a**"), R"(bad repetition operator at character 3 ("**") of "/a**")");
  EXPECT_NE(error(R"(/a\)"), "");
  EXPECT_NE(error("(?P<n"), "");
  EXPECT_NE(error("(?<n"), "");
  EXPECT_NE(error("(?<=a)b"), "");  // nor look-behind
  EXPECT_NE(error("(?=a)b"), "");   // no look-ahead: RE2 is linear
}

TEST(Regex, PatternsShareWhatFollowsTheirLiteral) {
  RegexPool pool;
  Regex::Options options{.pool = &pool};
  Result<Regex> a = Regex::compile("/a/[0-9]+", options);
  Result<Regex> b = Regex::compile("/b/[0-9]+", options);
  EXPECT_TRUE(a->full_match("/a/1"));
  EXPECT_FALSE(a->full_match("/b/1"));
  EXPECT_TRUE(b->full_match("/b/1"));
  // A fault stays one, however often it is met.
  EXPECT_EQ(message_of(Regex::compile("/a/[", options).status()), message_of(Regex::compile("/a/[", options).status()));
}

TEST(Regex, LimitsThePatternsSize) {
  EXPECT_EQ(message_of(Regex::compile("abcdefghij[kl]{10}", {.max_program_size = 10, .pool = nullptr}).status())
                .substr(0, 17),
            "the pattern needs");
  EXPECT_FALSE(Regex::compile("((a{100}){100}){100}").ok());
}

class RegexRewriteTest : public testing::Test {
 protected:
  std::string rewrite(const std::string& pattern, const std::string& substitution, std::string_view text) {
    Result<RegexRewrite> rule = RegexRewrite::build({pattern, substitution});
    EXPECT_TRUE(rule.ok()) << rule.status();
    return std::string(rule->rewrite(text, arena_));
  }
  std::string error(const std::string& pattern, const std::string& substitution) {
    return message_of(RegexRewrite::build({pattern, substitution}).status());
  }
  ArenaPool pool_;
  Arena arena_{pool_};
};

TEST_F(RegexRewriteTest, ReplacesEveryMatch) {
  EXPECT_EQ(rewrite("^/service/([^/]+)(/.*)$", R"(\2/instance/\1)", "/service/foo/v1/api"), "/v1/api/instance/foo");
  EXPECT_EQ(rewrite("one", "two", "/xxx/one/yyy/one/zzz"), "/xxx/two/yyy/two/zzz");
  EXPECT_EQ(rewrite("^(.*?)one(.*)$", R"(\1two\2)", "/xxx/one/yyy/one/zzz"), "/xxx/two/yyy/one/zzz");
  EXPECT_EQ(rewrite("(?i)/xxx/", "/yyy/", "/aaa/XxX/bbb"), "/aaa/yyy/bbb");
  EXPECT_EQ(rewrite("b*", "-", "abc"), "-a-c-");
  EXPECT_EQ(rewrite("x*", "-", ""), "-");
  EXPECT_EQ(rewrite("a", R"([\0]\\)", "aa"), R"([a]\[a]\)");
  EXPECT_EQ(rewrite("a(x)?", R"(<\1>)", "a"), "<>");
  EXPECT_EQ(rewrite("/", "", "/a/b"), "ab");
}

TEST_F(RegexRewriteTest, ReturnsTheTextItselfIfNothingMatches) {
  Result<RegexRewrite> rule = RegexRewrite::build({"x", "y"});
  ASSERT_TRUE(rule.ok());
  std::string_view text = "/abc";
  EXPECT_EQ(rule->rewrite(text, arena_).data(), text.data());
}

TEST_F(RegexRewriteTest, GrowsAsNeeded) {
  std::string text(5000, 'a');
  EXPECT_EQ(rewrite("a", "0123456789", text).size(), 50'000u);
}

TEST_F(RegexRewriteTest, Errors) {
  EXPECT_EQ(error("", "x"), "pattern.regex: must not be empty");
  EXPECT_EQ(error("(a)", R"(\2)"), R"(substitution: \2 names a group that the pattern does not have; it has 1)");
  EXPECT_EQ(error("(a)", R"(x\y)"), R"(substitution: after \ only a digit or another \ may stand (character 2))");
  EXPECT_EQ(error("(a)", "x\\").substr(0, 13), "substitution:");
  EXPECT_EQ(error("(a", "x").substr(0, 25), "pattern.regex: missing ) ");
}

// The groups of the first match, "- " for one that takes no part.
std::string found(std::string_view pattern, std::string_view text) {
  auto regex = RegexGroups::compile(pattern);
  if (!regex.ok()) return message_of(regex.status());
  std::string_view groups[RegexGroups::kMost];
  if (!regex->find(text, groups)) return "none";
  std::string out;
  for (const std::string_view group : groups) out += group.data() == nullptr ? "- " : "<" + std::string(group) + "> ";
  return out;
}

TEST(RegexGroups, FindsPiecesOfTheText) {
  EXPECT_EQ(found("^cluster\\.(([^.]+)\\.)", "cluster.api.x"), "<api.> <api> ");
  EXPECT_EQ(found("(b+)", "aabbc"), "<bb> - ");
  EXPECT_EQ(found("(x)|(b)(c)", "abc"), "- <b> ");
  EXPECT_EQ(found("(b)$", "abc"), "none");
  EXPECT_EQ(found("b", "b"), "the pattern has no group, as (...)");
}

// RE2 cannot, and control planes do.
TEST(RegexGroups, LooksAhead) {
  const std::string listener = R"(^listener(?=\.).*?\.http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.))";
  EXPECT_EQ(found(listener, "listener.0.0.0.0_80.http.10_0.downstream_rq"), "<10_0.> <10_0> ");
  EXPECT_EQ(found(listener, "listeners.http.1.x"), "none");
  EXPECT_EQ(found("^(a(?!b))", "acb"), "<a> - ");
  EXPECT_EQ(found("^(a(?!b))", "abc"), "none");
  EXPECT_EQ(found("((?=a)a|b)+$", std::string(1024, 'a')), "<a> - ");  // what the stack must have room for
  EXPECT_EQ(found("((?=a)a|b)+$", std::string(1025, 'a')), "none");
  EXPECT_EQ(found("(?=b)", "b"), "the pattern has no group, as (...)");
  EXPECT_NE(found("(a(?=b)", "b").find(" in \"(a(?=b)\""), std::string::npos);
}

}  // namespace
}  // namespace weir::match
