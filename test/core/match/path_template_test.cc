#include "core/match/path_template.h"

#include <gtest/gtest.h>

#include "core/match/regex.h"
#include "test/support/choices.h"
#include "test/support/seed.h"

namespace weir::match {
namespace {

PathTemplate parse(std::string_view text) {
  auto made = PathTemplate::parse(text);
  EXPECT_TRUE(made.ok()) << made.status();
  return std::move(*made);
}
bool matches(std::string_view text, std::string_view path) { return parse(text).matches(path); }
std::string error(std::string_view text) {
  auto made = PathTemplate::parse(text);
  return made.ok() ? "(none)" : message_of(made.status());
}

TEST(PathTemplate, PublishedExamples) {
  EXPECT_TRUE(matches("/videos/*/*/*.m4s", "/videos/123414/hls/1080p5000_00001.m4s"));
  EXPECT_TRUE(matches("/videos/{file}", "/videos/1080p5000_00001.m4s"));
  EXPECT_TRUE(matches("/**.mpd", "/content/123/india/dash/55/manifest.mpd"));
}

TEST(PathTemplate, OneSegmentIsNeverEmptyAndNeverTwo) {
  EXPECT_TRUE(matches("/a/*", "/a/b"));
  EXPECT_FALSE(matches("/a/*", "/a/"));
  EXPECT_FALSE(matches("/a/*", "/a"));
  EXPECT_FALSE(matches("/a/*", "/a/b/"));
  EXPECT_FALSE(matches("/a/*", "/a/b/c"));
  EXPECT_FALSE(matches("/a/*", "/A/b"));
  EXPECT_FALSE(matches("/*.x", "/.x"));
  EXPECT_TRUE(matches("/*.x", "/a.x.x"));
  EXPECT_TRUE(matches("/*/", "/a/"));
  EXPECT_TRUE(matches("/a", "/a"));
  EXPECT_FALSE(matches("/a", "/ab"));
  EXPECT_FALSE(matches("/a", ""));
}

TEST(PathTemplate, AnythingMayBeEmptyAndMayHaveAnEnd) {
  EXPECT_TRUE(matches("/a/**", "/a/"));
  EXPECT_FALSE(matches("/a/**", "/a"));
  EXPECT_TRUE(matches("/a/**", "/a/b//c/"));
  EXPECT_TRUE(matches("/a/**/z", "/a//z"));
  EXPECT_TRUE(matches("/a/**/z", "/a/b/c/z"));
  EXPECT_FALSE(matches("/a/**/z", "/a/z"));
  EXPECT_FALSE(matches("/a/**/z", "/a/b/zz"));
  EXPECT_TRUE(matches("/{a=x/**}/y.z", "/x//y.z"));
}

TEST(PathTemplate, CharactersThatNoSegmentHasAreNotTaken) {
  EXPECT_FALSE(matches("/*", "/a=b"));
  EXPECT_FALSE(matches("/**", "/a/b*c"));
  EXPECT_FALSE(matches("/*", "/a b"));
  EXPECT_TRUE(matches("/*", "/%41-._~!$&'()+,;:@"));
}

TEST(PathTemplate, RequiredPrefix) {
  EXPECT_EQ(parse("/a/b/*").required_prefix(), "/a/b/");
  EXPECT_EQ(parse("/{x}/b").required_prefix(), "/");
  EXPECT_EQ(parse("/a/b").required_prefix(), "/a/b");
}

TEST(PathTemplate, Errors) {
  EXPECT_EQ(error("a"), "\"a\": a path template begins with / (at character 1)");
  EXPECT_EQ(error(""), "\"\": a path template begins with / (at character 1)");
  EXPECT_EQ(error("/a//b"), "\"/a//b\": a segment is empty (at character 4)");
  EXPECT_EQ(error("/a b"), "\"/a b\": this character cannot be part of a path (at character 3)");
  EXPECT_EQ(error("/a*"), "\"/a*\": this character cannot be part of a path (at character 3)");
  EXPECT_EQ(error("/**/*"), "\"/**/*\": ** must be the last * or variable (at character 5)");
  EXPECT_EQ(error("/**/{a}"), "\"/**/{a}\": ** must be the last * or variable (at character 5)");
  EXPECT_EQ(error("/{a=**}/**"), "\"/{a=**}/**\": ** must be the last * or variable (at character 9)");
  EXPECT_EQ(error("/*.a/b"), "\"/*.a/b\": nothing may follow the segment that has a * and a text (at character 5)");
  EXPECT_EQ(error("/***"), "\"/***\": this character cannot be part of a path (at character 4)");
  EXPECT_EQ(error("/{a"), "\"/{a\": the variable has no } (at character 2)");
  EXPECT_EQ(error("/{}"),
            "\"/{}\": the name of a variable has 1 to 16 letters, digits and underscores and begins with a letter "
            "(at character 3)");
  EXPECT_NE(error("/{1a}"), "(none)");
  EXPECT_NE(error("/{a12345678901234567}"), "(none)");
  EXPECT_EQ(error("/{a=}"), "\"/{a=}\": the variable's template is empty (at character 5)");
  EXPECT_EQ(error("/{a=b/}"), "\"/{a=b/}\": a / and more must follow (at character 6)");
  EXPECT_EQ(error("/{a=*b}"), "\"/{a=*b}\": a / and more must follow (at character 6)");
  EXPECT_EQ(error("/{a}/{a}"), "\"/{a}/{a}\": two variables have this name (at character 6)");
  EXPECT_EQ(error("/{a}{b}"), "\"/{a}{b}\": this character cannot be part of a path (at character 5)");
  EXPECT_EQ(error("/{a}/{b}/{c}/{d}/{e}/{f}"),
            "\"/{a}/{b}/{c}/{d}/{e}/{f}\": at most 5 variables are allowed (at character 22)");
  EXPECT_EQ(error("/" + std::string(256, 'a')), "257 bytes; at most 256 are allowed");
}

std::string rewritten(std::string_view pattern, std::string_view rewrite, std::string_view path) {
  PathTemplate from = parse(pattern);
  auto made = PathTemplateRewrite::parse(rewrite, from);
  if (!made.ok()) return message_of(made.status());
  ArenaPool pool;
  Arena arena(pool);
  return std::string(made->rewrite(from, path, arena));
}

TEST(PathTemplateRewrite, PublishedExamples) {
  EXPECT_EQ(rewritten("/{one}/{two}", "/{two}/{one}", "/cat/dog"), "/dog/cat");
  EXPECT_EQ(rewritten("/videos/{language=lang/*}/*", "/{language}", "/videos/lang/en/video.m4s"), "/lang/en");
  EXPECT_EQ(rewritten("/content/{format}/{lang}/{id}/{file}.vtt", "/{lang}/{format}/{file}.vtt",
                      "/content/hls/en-us/12345/en_193913.vtt"),
            "/en-us/hls/en_193913.vtt");
}

TEST(PathTemplateRewrite, Others) {
  EXPECT_EQ(rewritten("/a/{rest=**}", "/b/{rest}/{rest}", "/a/"), "/b//");
  EXPECT_EQ(rewritten("/a/*", "/fixed", "/a/b"), "/fixed");
  EXPECT_EQ(rewritten("/a/*", "/fixed", "/other"), "/other");
  EXPECT_EQ(rewritten("/{a}", "/{b}", "/x"), "\"/{b}\": the path template has no variable \"b\" (at character 2)");
  EXPECT_EQ(rewritten("/{a}", "/{a", "/x"), "\"/{a\": the variable has no } (at character 2)");
  EXPECT_EQ(rewritten("/{a}", "{a}", "/x"), "\"{a}\": the new path begins with / (at character 1)");
  EXPECT_EQ(rewritten("/{a}", "/a?b", "/x"), "\"/a?b\": this character cannot be part of a path (at character 3)");
  EXPECT_EQ(rewritten("/{a}", "", "/x"), "0 bytes; 1 to 256 are allowed");
}

// --- Against regular expressions made by the published rules.

struct Generated {
  std::string pattern;
  std::string regex;    // with a group for each variable
  std::string rewrite;  // "/{a}/{b}"
  std::string groups;   // the same as a substitution
};

Generated random_template(test::Choices& choices) {
  constexpr const char* kSegment = "[a-zA-Z0-9._~%!$&'()+,;:@-]+";
  constexpr const char* kAnything = "[a-zA-Z0-9._~%!$&'()+,;:@/-]*";
  Generated out;
  out.rewrite = "/";
  out.groups = "/";
  bool anything = false;
  int variables = 0;
  auto part = [&](bool in_variable, std::string& pattern, std::string& regex) {
    switch (choices.below(in_variable ? 3 : 4)) {
      case 0:
        if (!anything) {
          pattern += "*";
          regex += kSegment;
          return;
        }
        [[fallthrough]];
      case 1:
        if (!anything && choices.one_in(2)) {
          pattern += "**";
          regex += kAnything;
          anything = true;
          return;
        }
        [[fallthrough]];
      default: {
        std::string text = "a" + test::random_text(choices, 1, "ab");
        pattern += text;
        regex += text;
      }
    }
  };
  const uint32_t segments = 1 + choices.below(4);
  for (uint32_t i = 0; i < segments; ++i) {
    out.pattern += "/";
    out.regex += "/";
    if (!choices.one_in(3) || variables == 5) {
      part(false, out.pattern, out.regex);
      continue;
    }
    std::string pattern, regex;
    if (!anything && choices.one_in(2)) {
      regex = kSegment;
    } else {
      pattern = "=";
      for (uint32_t k = choices.below(2);; --k) {
        part(true, pattern, regex);
        if (k == 0) break;
        pattern += "/";
        regex += "/";
      }
    }
    const std::string name(1, static_cast<char>('a' + variables++));
    out.pattern += "{" + name + pattern + "}";
    out.regex += "(" + regex + ")";
    out.rewrite += "{" + name + "}:";
    out.groups += "\\" + std::to_string(variables) + ":";
  }
  if (choices.one_in(3) && (out.pattern.ends_with('*') || out.pattern.ends_with('}'))) {
    out.pattern += ".b";
    out.regex += "\\.b";
  } else if (choices.one_in(5)) {
    out.pattern += "/";
    out.regex += "/";
  }
  return out;
}

TEST(PathTemplate, AgreesWithTheRegexOfThePublishedRules) {
  int matched = 0;
  test::for_each_seed(400, [&](uint64_t seed) {
    test::RandomChoices choices(seed);
    Generated generated = random_template(choices);
    SCOPED_TRACE(generated.pattern + " " + generated.regex);
    PathTemplate from = parse(generated.pattern);
    auto rewrite = PathTemplateRewrite::parse(generated.rewrite, from);
    ASSERT_TRUE(rewrite.ok()) << rewrite.status();
    auto regex = Regex::compile(generated.regex);
    auto groups = RegexRewrite::build({"^" + generated.regex + "$", generated.groups});
    ASSERT_TRUE(regex.ok() && groups.ok());
    ArenaPool pool;
    Arena arena(pool);
    for (int i = 0; i < 300; ++i) {
      std::string path = "/" + test::random_text(choices, 9, "aab//.b=");
      const bool expected = regex->full_match(path);
      ASSERT_EQ(from.matches(path), expected) << path;
      if (!expected) continue;
      ++matched;
      ASSERT_TRUE(path.starts_with(from.required_prefix())) << path;
      ASSERT_EQ(rewrite->rewrite(from, path, arena), groups->rewrite(path, arena)) << path;
    }
  });
  EXPECT_TRUE(matched > 1000 || test::seed_from_environment() != 0) << matched;
}

}  // namespace
}  // namespace weir::match
