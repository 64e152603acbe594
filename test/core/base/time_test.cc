#include "core/base/time.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace weir {
namespace {

TEST(Time, DurationsThatMessagesCanSay) {
  EXPECT_EQ(duration_of(0, 0), Duration::zero());
  EXPECT_EQ(duration_of(1, 500'000'000), 1500ms);
  EXPECT_EQ(duration_of(-1, -500'000'000), -1500ms);
}

// Found by the fuzz target `bootstrap`: the product overflowed, and the longest timeout became one in the past.
TEST(Time, MoreThanItCanHoldIsTheLongest) {
  constexpr int64_t kTenThousandYears = 315'576'000'000;
  Duration longest = duration_of(kTenThousandYears, 999'999'999);
  EXPECT_GT(longest, std::chrono::hours(24 * 365 * 285));
  EXPECT_EQ(duration_of(INT64_MAX, 999'999'999), longest);
  EXPECT_LT(duration_of(INT64_MIN, 0), Duration::zero());
  // A clock that has run for years can still be added.
  EXPECT_GT(MonoTime(std::chrono::hours(24 * 365 * 5)) + longest, MonoTime(longest));
}

}  // namespace
}  // namespace weir
