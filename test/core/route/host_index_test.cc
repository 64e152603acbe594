#include "core/route/host_index.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::route {
namespace {

TEST(HostIndex, WithoutPort) {
  EXPECT_EQ(without_port("a"), "a");
  EXPECT_EQ(without_port("a:80"), "a");
  EXPECT_EQ(without_port("a:"), "a");
  EXPECT_EQ(without_port("a:8x"), "a:8x");
  EXPECT_EQ(without_port("[::1]"), "[::1]");
  EXPECT_EQ(without_port("[::1]:443"), "[::1]");
  EXPECT_EQ(without_port("::1"), "::1");
  EXPECT_EQ(without_port(""), "");
}

TEST(HostIndex, ManyNames) {
  HostIndex index;
  uint32_t other = 0;
  for (uint32_t i = 0; i < 5000; ++i) {
    EXPECT_EQ(index.add("h" + std::to_string(i) + ".example", i, other), HostIndex::Added::kYes);
    EXPECT_EQ(index.add("*.h" + std::to_string(i) + ".example", 10'000 + i, other), HostIndex::Added::kYes);
    EXPECT_EQ(index.add("h" + std::to_string(i) + ".*", 20'000 + i, other), HostIndex::Added::kYes);
  }
  for (uint32_t i = 0; i < 5000; ++i) {
    EXPECT_EQ(index.find("H" + std::to_string(i) + ".Example"), i);
    EXPECT_EQ(index.find("x.y.h" + std::to_string(i) + ".example"), 10'000 + i);
    EXPECT_EQ(index.find("h" + std::to_string(i) + ".org"), 20'000 + i);
  }
  EXPECT_EQ(index.find("h5000.example"), HostIndex::kNone);
  EXPECT_EQ(index.find(std::string(100'000, 'a')), HostIndex::kNone);
  EXPECT_EQ(index.add("H17.example", 1, other), HostIndex::Added::kDuplicate);
  EXPECT_EQ(other, 17u);
}

TEST(HostIndex, HashesIgnoreTheCaseOfLettersAlone) {
  for (int c = 0; c < 256; ++c) {
    for (size_t size = 1; size < 20; ++size) {
      std::string text(size, 'q');
      text[size / 2] = static_cast<char>(c);
      std::string lower = text;
      for (char& each : lower) each = http::to_lower(each);
      EXPECT_EQ(hash_text<true>(text), hash_text(lower)) << c << " of " << size;
      std::string other = text;
      other[size / 2] = static_cast<char>(c ^ 0x20);
      for (char& each : other) each = http::to_lower(each);
      EXPECT_EQ(hash_text<true>(text) == hash_text<true>(other), lower == other) << c << " of " << size;
    }
  }
}

TEST(HostIndex, TheExactNameBeatsLongerWildcards) {
  HostIndex index;
  uint32_t other = 0;
  index.add("*", 0, other);
  index.add("a.b", 1, other);
  index.add("*.b", 2, other);
  index.add("a.*", 3, other);
  EXPECT_EQ(index.find("a.b"), 1u);
  EXPECT_EQ(index.find("c.b"), 2u);
  EXPECT_EQ(index.find("a.c"), 3u);
  EXPECT_EQ(index.find(""), 0u);
  EXPECT_EQ(index.add("*", 9, other), HostIndex::Added::kDuplicate);
  EXPECT_EQ(other, 0u);
}

}  // namespace
}  // namespace weir::route
