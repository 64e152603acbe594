#include "core/http/path.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::http {
namespace {

struct Row {
  const char* in;
  const char* out;  // nullptr: refused
};

std::string sanitized(std::string_view in, const PathOptions& options, PathVerdict& verdict) {
  ArenaPool pool;
  Arena arena(pool);
  std::string_view out;
  std::string exact(in);  // so that ASan sees reads beyond the end
  verdict = sanitize_path(exact, options, arena, out);
  if (verdict == PathVerdict::kUnchanged) {
    EXPECT_EQ(arena.overflow_bytes() == 0 || out.data() == exact.data(), true);
    EXPECT_EQ(out, in);
  }
  return std::string(out);
}

void check(const Row& row, const PathOptions& options) {
  PathVerdict verdict;
  std::string out = sanitized(row.in, options, verdict);
  if (row.out == nullptr) {
    EXPECT_EQ(verdict, PathVerdict::kReject) << row.in;
    return;
  }
  EXPECT_EQ(out, row.out) << row.in;
  EXPECT_EQ(verdict, out == row.in ? PathVerdict::kUnchanged : PathVerdict::kChanged) << row.in;
}

TEST(Path, Splits) {
  PathParts parts = split_path("/a/b?c=d?e");
  EXPECT_EQ(parts.path, "/a/b");
  EXPECT_EQ(parts.query, "c=d?e");
  EXPECT_TRUE(parts.has_query);
  EXPECT_TRUE(split_path("/a?").has_query);
  EXPECT_FALSE(split_path("/a").has_query);
  EXPECT_EQ(path_of("/x?y"), "/x");
}

TEST(Path, Normalizes) {
  for (Row row : {Row{"/", "/"},
                  {"/a/b", "/a/b"},
                  {"/a/./b", "/a/b"},
                  {"/a/../b", "/b"},
                  {"/a/b/..", "/a/"},
                  {"/a/b/.", "/a/b/"},
                  {"/..", "/"},
                  {"/../../a", "/a"},
                  {"/.", "/"},
                  {"/a//../b", "/a/b"},
                  {"//", "//"},
                  {"/a//b", "/a//b"},
                  {"/...", "/..."},
                  {"/.a/..b", "/.a/..b"},
                  {"/a/%2e%2E/b", "/b"},
                  {"/a/.%2e/b", "/b"},
                  {"/%61%7E%2d", "/a~-"},
                  {"/%2f%5c%20%C3", "/%2f%5c%20%C3"},
                  {"/a\\..\\b", "/b"},
                  {"/%", "/%"},
                  {"/%4", "/%4"},
                  {"/%zz", "/%zz"},
                  {"/%2561", "/%2561"},
                  {"/%2%66", "/%2%66"},
                  {"/%%32%65", "/%%32e"},
                  {"/x%zz%61", "/x%zza"},
                  {"/a%00b", nullptr},
                  {"/a/../b?x=../%61//", "/b?x=../%61//"},
                  {"/a?b/../c", "/a?b/../c"},
                  {"*", "*"}}) {
    check(row, {.normalize = true});
    check({row.in, row.in}, {});
  }
}

TEST(Path, MergesSlashes) {
  for (Row row : {Row{"//a///b//", "/a/b/"}, {"/a/b", "/a/b"}, {"/a//b?c//d", "/a/b?c//d"}, {"/a/..//b", "/a/../b"}}) {
    check(row, {.merge_slashes = true});
  }
  check({"/a//../b", "/a/b"}, {.normalize = true, .merge_slashes = true});
  check({"/a/..//b", "/b"}, {.normalize = true, .merge_slashes = true});
}

TEST(Path, EscapedSlashes) {
  PathOptions options{.escaped_slashes = EscapedSlashes::kUnescapeAndForward};
  check({"/a%2Fb%5cc", "/a/b\\c"}, options);
  check({"/a?%2F", "/a?%2F"}, options);
  check({"/a%2", "/a%2"}, options);
  options.normalize = true;
  check({"/a%2F..%5cb", "/b"}, options);
  options.merge_slashes = true;
  check({"/a/%2Fb", "/a/b"}, options);
  check({"/a%2Fb", nullptr}, {.escaped_slashes = EscapedSlashes::kReject});
  check({"/a%5Cb", nullptr}, {.escaped_slashes = EscapedSlashes::kReject});
  check({"/a%2eb?%2F", "/a%2eb?%2F"}, {.escaped_slashes = EscapedSlashes::kReject});
  check({"/a%2Fb", "/a%2Fb"}, {.normalize = true, .escaped_slashes = EscapedSlashes::kDefault});

  PathVerdict verdict;
  PathOptions redirect{.normalize = true, .escaped_slashes = EscapedSlashes::kUnescapeAndRedirect};
  EXPECT_EQ(sanitized("/a%2F../b?c", redirect, verdict), "/b?c");
  EXPECT_EQ(verdict, PathVerdict::kRedirect);
  EXPECT_EQ(sanitized("/a/../b", redirect, verdict), "/b");
  EXPECT_EQ(verdict, PathVerdict::kChanged);
}

// Every short path over a telling alphabet: the result is stable, starts with '/', and has no dot segment left.
TEST(Path, IsIdempotent) {
  const std::string alphabet = "/.%2eEf\\";
  PathOptions options{.normalize = true, .merge_slashes = true, .escaped_slashes = EscapedSlashes::kUnescapeAndForward};
  for (size_t length = 1; length <= 6; ++length) {
    size_t total = 1;
    for (size_t i = 0; i < length; ++i) total *= alphabet.size();
    for (size_t number = 0; number < total; ++number) {
      std::string path = "/";
      for (size_t i = 0, rest = number; i < length; ++i, rest /= alphabet.size())
        path += alphabet[rest % alphabet.size()];
      PathVerdict verdict;
      std::string once = sanitized(path, options, verdict);
      if (verdict == PathVerdict::kReject) continue;
      ASSERT_EQ(once[0], '/') << path;
      ASSERT_EQ(sanitized(once, options, verdict), once) << path;
      ASSERT_EQ((once + "/").find("/../"), std::string::npos) << path << " gave " << once;
      ASSERT_EQ((once + "/").find("/./"), std::string::npos) << path << " gave " << once;
      ASSERT_EQ(once.find("//"), std::string::npos) << path << " gave " << once;
      ASSERT_EQ(once.find('\\'), std::string::npos) << path << " gave " << once;
    }
  }
}

}  // namespace
}  // namespace weir::http
