// Texts of UUIDs against the digits that the C library writes.
#include "core/base/uuid.h"

#include <gtest/gtest.h>

#include <cinttypes>
#include <cstdio>
#include <string>

#include "test/support/seed.h"

namespace weir {
namespace {

TEST(Uuid, HexadecimalDigits) {
  test::for_each_seed(50, [](uint64_t seed) {
    Random random(seed);
    for (int i = 0; i < 100; ++i) {
      const auto value = static_cast<uint32_t>(random.next()) >> random.below(32);
      char text[8], expected[9];
      write_hex(text, value);
      snprintf(expected, sizeof(expected), "%08" PRIx32, value);
      ASSERT_EQ(std::string(text, 8), expected);
    }
  });
}

TEST(Uuid, VersionFour) {
  test::for_each_seed(50, [](uint64_t seed) {
    Random random(seed), same(seed);
    char text[kUuidSize];
    write_uuid(text, random);
    const uint64_t high = same.next(), low = same.next();
    char expected[kUuidSize + 1];
    snprintf(expected, sizeof(expected), "%08" PRIx64 "-%04" PRIx64 "-4%03" PRIx64 "-%04" PRIx64 "-%012" PRIx64,
             high >> 32, (high >> 16) & 0xffff, high & 0xfff, ((low >> 48) & 0x3fff) | 0x8000, low & 0xffff'ffff'ffff);
    ASSERT_EQ(std::string(text, kUuidSize), expected);
  });
}

}  // namespace
}  // namespace weir
