#include "core/http/h1/head_scanner.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "test/core/http/h1/transcript.h"

namespace weir::http::h1::test {
namespace {

// The plain definition: behind the first LF that the previous LF, or only CR since then, stands before.
size_t expected_end(std::string_view text, HeadScanner::From from) {
  size_t line_begin = from == HeadScanner::From::kTrailers ? 0 : std::string_view::npos;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\n') continue;
    if (line_begin != std::string_view::npos && (i == line_begin || (i == line_begin + 1 && text[line_begin] == '\r')))
      return i + 1;
    line_begin = i + 1;
  }
  return 0;
}

TEST(HeadScanner, AgreesWithThePlainDefinition) {
  uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  BlockPool blocks;
  for (int round = 0; round < 30000; ++round) {
    std::string text;
    size_t size = random() % 90;
    unsigned rarity = 2 + random() % 40;
    for (size_t i = 0; i < size; ++i) text.push_back(random() % rarity != 0 ? 'x' : "\r\n\n"[random() % 3]);
    if (random() % 2 == 0) text += "\r\n\r\n";
    text += std::string(random() % 20, 'y');
    auto from = random() % 2 == 0 ? HeadScanner::From::kStartLine : HeadScanner::From::kTrailers;
    size_t expected = expected_end(text, from);

    HeadScanner scanner;
    scanner.reset(from);
    Slices in;
    size_t begin = 0;
    size_t found = 0;
    std::vector<size_t> cuts = random_cuts(text, random);
    cuts.push_back(text.size());
    for (size_t cut : cuts) {
      append_alone(in, std::string_view(text).substr(begin, cut - begin), blocks);
      begin = cut;
      found = scanner.find_end(in, 10000);
      if (found != 0) break;
    }
    ASSERT_EQ(found, expected) << testing::PrintToString(text);
    if (found != 0) {
      ASSERT_EQ(scanner.find_end(in, 10000), found);
    }
  }
}

TEST(HeadScanner, StopsAtTheLimit) {
  BlockPool blocks;
  std::string text(100, 'x');
  text += "\r\n\r\n";
  Slices in;
  append_alone(in, text, blocks);
  HeadScanner scanner;
  EXPECT_EQ(scanner.find_end(in, 103), 0u);
  EXPECT_EQ(scanner.scanned(), 103u);
  HeadScanner enough;
  EXPECT_EQ(enough.find_end(in, 104), 104u);
}

}  // namespace
}  // namespace weir::http::h1::test
