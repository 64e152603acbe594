#include "core/config/scalars.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>

#include "core/config/suggest.h"

namespace weir::config {
namespace {

TEST(Scalars, Integers) {
  const auto fault = [](std::string_view text) { return parse_integer(text, 128, 127, true).fault; };
  EXPECT_EQ(fault("127"), NumberFault::kNone);
  EXPECT_EQ(fault("-128"), NumberFault::kNone);
  EXPECT_EQ(fault("128"), NumberFault::kTooLarge);
  EXPECT_EQ(fault("-129"), NumberFault::kTooSmall);
  EXPECT_EQ(fault("99999999999999999999999"), NumberFault::kTooLarge);
  EXPECT_EQ(fault("1e30"), NumberFault::kTooLarge);
  EXPECT_EQ(fault("0.5"), NumberFault::kFraction);
  for (const char* text :
       {"", "-", "+", "x", "1x", "0x", "0xg", "0o9", "1 2", " 1", "--1", ".5e", "1_000", "inf", "nan", "Infinity"}) {
    EXPECT_EQ(fault(text), NumberFault::kNotANumber) << text;
  }
  EXPECT_EQ(parse_integer("-1", 0, 10, false).fault, NumberFault::kNegative);
  EXPECT_EQ(parse_integer("-0", 0, 10, false).fault, NumberFault::kNone);
  EXPECT_EQ(parse_integer("010", 0, 10, true).magnitude, 8U);
  EXPECT_EQ(parse_integer("010", 0, 10, false).magnitude, 10U);
  EXPECT_EQ(parse_integer("09", 0, 10, true).magnitude, 9U);
  EXPECT_EQ(parse_integer("18446744073709551615", 0, std::numeric_limits<uint64_t>::max(), true).magnitude,
            18446744073709551615U);
  EXPECT_EQ(parse_integer("-9223372036854775808", uint64_t{1} << 63, 1, true).fault, NumberFault::kNone);
}

TEST(Scalars, Durations) {
  for (const char* text :
       {"", "s", "5", "-s", ".5s", "5.s", "5 s", "5S", "1e3s", "+5s", "1.0000000001s", "315576000001s", "0x5s"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
  for (const char* text : {"0s", "5s", "0.25s", "-0.25s", "315576000000s", "1.000000001s"}) {
    ASSERT_TRUE(parse_duration(text)) << text;
    EXPECT_EQ(format_duration(*parse_duration(text)), text);
  }
  EXPECT_EQ(duration_hint("5 seconds"), "5s");
  EXPECT_EQ(duration_hint("1.5m"), "90s");
  EXPECT_EQ(duration_hint("1h"), "3600s");
  EXPECT_EQ(duration_hint("250ms"), "0.25s");
  EXPECT_EQ(duration_hint("0.5"), "0.5s");
  EXPECT_EQ(duration_hint("a while"), "");
  EXPECT_EQ(duration_hint("5 apples"), "");
  EXPECT_EQ(duration_hint("1h30m"), "5400s");
  EXPECT_EQ(duration_hint("1 min 30 sec"), "90s");
  EXPECT_EQ(duration_hint("5S"), "5s");
  EXPECT_EQ(duration_hint("0,5s"), "0.5s");
  EXPECT_EQ(duration_hint("0"), "0s");
  EXPECT_EQ(duration_hint("999999999d"), "");
  EXPECT_EQ(duration_hint(""), "");
}

TEST(Scalars, Timestamps) {
  EXPECT_EQ(parse_timestamp("1970-01-01T00:00:00Z")->seconds, 0);
  EXPECT_EQ(parse_timestamp("2026-11-22T14:00:00Z")->seconds, 1795356000);
  EXPECT_EQ(parse_timestamp("2026-11-22T15:00:00+01:00")->seconds, 1795356000);
  EXPECT_EQ(parse_timestamp("1969-12-31T23:59:59.25Z")->nanos, 250000000);
  EXPECT_EQ(parse_timestamp("2024-02-29T00:00:00Z")->seconds, 1709164800);
  for (const char* text :
       {"", "2026-11-22", "2026-13-01T00:00:00Z", "2023-02-29T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T00:00:00",
        "2026-11-22T00:00:00.Z", "2026-11-22T00:00:00+0100", "2026-11-22 00:00:00Z", "2026-11-22T00:00:00Zx"}) {
    EXPECT_FALSE(parse_timestamp(text)) << text;
  }
}

TEST(Scalars, Base64) {
  for (const char* text : {"a", "a===", "a=", "aGk=x", "a b", "!", "aGk=="}) {
    EXPECT_FALSE(parse_base64(text)) << text;
  }
  EXPECT_EQ(parse_base64(""), "");
  EXPECT_EQ(parse_base64("aGk="), "hi");
  EXPECT_EQ(parse_base64("aGk"), "hi");
}

TEST(Suggest, Distance) {
  EXPECT_EQ(edit_distance("abc", "ABC", 3), 0U);
  EXPECT_EQ(edit_distance("ruoter", "router", 3), 1U);  // a swap
  EXPECT_EQ(edit_distance("kitten", "sitting", 5), 3U);
  EXPECT_EQ(edit_distance("abc", "xyz", 1), 2U);
  EXPECT_EQ(edit_distance("", "abc", 9), 3U);
  EXPECT_EQ(listed({"a", "b"}), "a, b");
  EXPECT_EQ(listed(std::vector<std::string>(14, "a")), "a, a, a, a, a, a, a, a, a, a, a, a and 2 more");
  NearestName nearest("stat_prefx");
  nearest.offer("route_config");
  EXPECT_EQ(nearest.best(), "");
  nearest.offer("stat_prefix");
  EXPECT_EQ(nearest.best(), "stat_prefix");
}

}  // namespace
}  // namespace weir::config
