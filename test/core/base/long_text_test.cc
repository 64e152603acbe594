#include "core/base/long_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace weir {
namespace {

bool is_in_one_chunk(const LongText& text, std::string_view piece) {
  return std::ranges::any_of(text.chunks(), [&](const std::string& chunk) { return chunk.ends_with(piece); });
}

TEST(LongText, IsWhatWasWrittenInPiecesThatStayWhole) {
  std::mt19937 random(20261129);
  LongText text;
  std::string expected;
  for (int i = 0; i < 5000; ++i) {
    // Now and then one that is longer than a chunk.
    const size_t length = i % 1000 == 999 ? 200'000 : random() % 300;
    const std::string piece(length, static_cast<char>('a' + i % 26));
    text.append(piece);
    expected += piece;
    ASSERT_TRUE(is_in_one_chunk(text, piece)) << i;
  }
  EXPECT_EQ(text.size(), expected.size());
  EXPECT_TRUE(text.to_string() == expected);
  size_t visited = 0;
  for (const std::string& chunk : text.chunks()) {
    EXPECT_FALSE(chunk.empty());
    visited += chunk.size();
  }
  EXPECT_EQ(visited, text.size());
  // What is left unused is little, and there are few of them.
  EXPECT_LT(text.chunks().size(), 60u);
}

TEST(LongText, WhatIsLongIsNotCopied) {
  LongText text, more;
  text.append("head\n");
  more.append(std::string(100'000, 'x'));
  const char* const bytes = more.chunks().front().data();
  text.take(std::move(more));
  EXPECT_TRUE(more.empty());
  EXPECT_TRUE(more.chunks().empty());
  ASSERT_EQ(text.chunks().size(), 2u);
  EXPECT_EQ(text.chunks().back().data(), bytes);

  LongText brief;
  brief.append("tail\n");
  text.take(std::move(brief));
  EXPECT_TRUE(brief.empty());
  std::string whole(20'000, 'y');
  const char* const its_bytes = whole.data();
  text.take(std::move(whole));
  EXPECT_TRUE(whole.empty());
  EXPECT_EQ(text.chunks().back().data(), its_bytes);
  text.take(std::string("end"));
  EXPECT_TRUE(text.to_string() == "head\n" + std::string(100'000, 'x') + "tail\n" + std::string(20'000, 'y') + "end");
}

TEST(LongText, NothingIsNothing) {
  LongText text, nothing;
  text.append("");
  text.take(std::string());
  text.take(std::move(nothing));
  EXPECT_TRUE(text.empty());
  EXPECT_TRUE(text.chunks().empty());
  EXPECT_EQ(text.to_string(), "");
  text.append("x");
  text = {};
  EXPECT_EQ(text.size(), 0u);
  EXPECT_TRUE(text.chunks().empty());
}

}  // namespace
}  // namespace weir
