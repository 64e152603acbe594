#include "core/base/xxhash.h"

#include <gtest/gtest.h>

#include <string>

namespace weir {
namespace {

TEST(XxHash, KnownTexts) {
  EXPECT_EQ(xxhash64(""), 0xef46db3751d8e999u);
  EXPECT_EQ(xxhash64("a"), 0xd24ec4f1a98c6e5bu);
  EXPECT_EQ(xxhash64("abc"), 0x44bc2cf5ad770999u);
  EXPECT_EQ(xxhash64("Nobody inspects the spammish repetition"), 0xfbcea83c8a378bf1u);
  EXPECT_EQ(xxhash64("Nobody inspects the spammish repetition", 1), 0x43f425448d954db6u);
}

// The buffer and the figures with which the published implementation checks itself, and what it (0.8.1) says of the
// lengths around its blocks.
TEST(XxHash, VectorsOfThePublishedImplementation) {
  constexpr uint32_t kPrime = 2654435761;
  std::string buffer;
  uint32_t generator = kPrime;
  for (int i = 0; i < 222; ++i) {
    buffer.push_back(static_cast<char>(generator >> 24));
    generator *= generator;
  }
  const struct {
    size_t size;
    uint64_t plain, seeded;
  } kVectors[] = {
      {0, 0xef46db3751d8e999, 0xac75fda2929b17ef},   {1, 0x4fce394cc88952d8, 0x739840cb819fa723},
      {4, 0x9256e58aa397aef1, 0x09d5ffdfb928ab4b},   {8, 0xf74cb1451b32b8cf, 0x9c44b77fbcc302c5},
      {14, 0xcffa8db881bc3a3d, 0x5b9611585efcc9cb},  {31, 0xad09d9a6941dd847, 0x9c90d9d9c2e3d340},
      {32, 0xaf5753d39159edee, 0xdcab9233b8ca7b0f},  {33, 0x6711cbdd8543baa8, 0x66e9cecf2f1de71c},
      {101, 0x0eab543384f878ad, 0xcaa65939306f1e21}, {222, 0x9dd507880debb03d, 0xdc515172b8ee0600},
  };
  for (const auto& [size, plain, seeded] : kVectors) {
    EXPECT_EQ(xxhash64(std::string_view(buffer).substr(0, size)), plain) << size;
    EXPECT_EQ(xxhash64(std::string_view(buffer).substr(0, size), kPrime), seeded) << size;
  }
}

}  // namespace
}  // namespace weir
