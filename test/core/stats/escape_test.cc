#include "core/stats/escape.h"

#include <gtest/gtest.h>

namespace weir::stats {
namespace {

std::string escaped(std::string_view text, Escape how) {
  std::string out = "<\n";  // what stood there before stays
  append_escaped(out, text, how);
  EXPECT_TRUE(out.starts_with("<\n"));
  return out.substr(2);
}

TEST(Escape, LogLines) {
  EXPECT_EQ(escaped("plain \"text\" \\ ü", Escape::kLog), "plain \"text\" \\ ü");
  EXPECT_EQ(escaped(std::string_view("a\r\nb\0c\t\x7f\x1b[31m", 13), Escape::kLog),
            "a\\x0d\\x0ab\\x00c\\x09\\x7f\\x1b[31m");
  EXPECT_EQ(escaped("\n", Escape::kLog), "\\x0a");
  EXPECT_EQ(escaped("", Escape::kLog), "");
}

TEST(Escape, HeaderValues) {
  EXPECT_EQ(escaped("a\tb ü", Escape::kField), "a\tb ü");
  EXPECT_EQ(escaped(std::string_view("\r\n\0\x7f\t", 5), Escape::kField), "\\x0d\\x0a\\x00\\x7f\t");
}

TEST(Escape, Json) {
  EXPECT_EQ(escaped("a\"b\\c\nd\re\tf\x01g", Escape::kJson), "a\\\"b\\\\c\\nd\\re\\tf\\u0001g");
  EXPECT_EQ(escaped("ü€𝄞", Escape::kJson), "ü€𝄞");
  // Not UTF-8: a lone continuation byte, an overlong slash, a surrogate, above the last code point, cut off.
  EXPECT_EQ(escaped("\x80", Escape::kJson), "\\u0080");
  EXPECT_EQ(escaped("\xc0\xaf", Escape::kJson), "\\u00c0\\u00af");
  EXPECT_EQ(escaped("\xed\xa0\x80", Escape::kJson), "\\u00ed\\u00a0\\u0080");
  EXPECT_EQ(escaped("\xf4\x90\x80\x80", Escape::kJson), "\\u00f4\\u0090\\u0080\\u0080");
  EXPECT_EQ(escaped("x\xe2\x82", Escape::kJson), "x\\u00e2\\u0082");
}

TEST(Escape, PrometheusLabels) { EXPECT_EQ(escaped("a\"b\\c\nd\te", Escape::kPrometheus), "a\\\"b\\\\c\\nd\te"); }

TEST(Escape, Utf8StaysUtf8) {
  std::string out = "before ";
  append_escaped(out, "caf\xc3\xa9 \"\n\\ \xff\xc3", Escape::kUtf8);
  EXPECT_EQ(out, "before caf\xc3\xa9 \"\n\\ \\xff\\xc3");
}

}  // namespace
}  // namespace weir::stats
