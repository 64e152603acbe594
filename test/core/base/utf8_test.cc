#include "core/base/utf8.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Utf8, FirstAndLastOfEachLength) {
  EXPECT_EQ(utf8_length(std::string_view("\0", 1)), 1u);
  EXPECT_EQ(utf8_length("\x7f"), 1u);
  EXPECT_EQ(utf8_length("\xc2\x80 "), 2u);
  EXPECT_EQ(utf8_length("\xdf\xbf"), 2u);
  EXPECT_EQ(utf8_length("\xe0\xa0\x80"), 3u);
  EXPECT_EQ(utf8_length("\xef\xbf\xbf"), 3u);
  EXPECT_EQ(utf8_length("\xf0\x90\x80\x80"), 4u);
  EXPECT_EQ(utf8_length("\xf4\x8f\xbf\xbf"), 4u);
}

TEST(Utf8, WhatIsNoCharacter) {
  for (const char* bytes : {"", "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xf5\x80\x80\x80", "\xff",  // none begins so
                            "\xc2", "\xe0\xa0", "\xf0\x90\x80", "\xc2 ", "\xe0\xa0 ", "\xf0\x90\x80 ",  // cut off
                            "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",                                         // overlong
                            "\xed\xa0\x80", "\xed\xbf\xbf",                                             // surrogates
                            "\xf4\x90\x80\x80"}) {                                                      // too large
    EXPECT_EQ(utf8_length(bytes), 0u) << testing::PrintToString(bytes);
  }
  EXPECT_EQ(utf8_length("\xed\x9f\xbf"), 3u);  // the last before the surrogates
  EXPECT_EQ(utf8_length("\xee\x80\x80"), 3u);  // the first behind them
}

}  // namespace
}  // namespace weir
