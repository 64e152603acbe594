#include "core/stream/time_format.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "core/base/random.h"

namespace weir::stream {
namespace {

std::string print(std::string_view format, int64_t seconds, int64_t nanoseconds = 0, Zone zone = Zone::kUtc) {
  auto compiled = TimeFormat::compile(format, zone);
  EXPECT_TRUE(compiled.ok()) << compiled.status().ToString();
  std::string out;
  if (compiled.ok()) compiled->append(WallTime(std::chrono::seconds(seconds) + Duration(nanoseconds)), out);
  return out;
}

TEST(TimeFormat, AgreesWithStrftime) {
  Random random(1);
  for (int i = 0; i < 300; ++i) {
    auto when = static_cast<time_t>(random.next() % 4'102'444'800);  // until 2100
    struct tm tm;
    gmtime_r(&when, &tm);
    for (std::string_view format : {"%a %A %b %B %h", "%d %e %j %m %y %Y %C", "%H %I %M %S %p %r", "%D %F %T %R",
                                    "%u %w %U %V %W %G %g", "%s", "%z %Z %n%t%%", "%c %x %X"}) {
      char expected[256];
      size_t size = strftime(expected, sizeof expected, std::string(format).c_str(), &tm);
      std::string text(expected, size);
      if (format == "%s") text = std::to_string(when);  // the C library reads tm as local time
      if (size_t at = text.find("GMT"); at != text.npos) text.replace(at, 3, "UTC");
      EXPECT_EQ(print(format, when), text) << format << " at " << when;
    }
  }
}

TEST(TimeFormat, Fractions) {
  EXPECT_EQ(print("", 0, 999'999'999), "1970-01-01T00:00:00.999Z");  // cut, not rounded
  EXPECT_EQ(print("%f %1f %2f %9f", 0, 12'345'678), "012345678 0 01 012345678");
  EXPECT_EQ(print("%E3S|%E6S%Ez", 61, 5'000'000), "01.005|01.005000+00:00");
  EXPECT_EQ(print("%s.%3f", -1, 250'000'000), "-1.250");
  EXPECT_EQ(print("", -1), "1969-12-31T23:59:59.000Z");
}

TEST(TimeFormat, Literals) { EXPECT_EQ(print("[%%] at%Y!", 0), "[%] at1970!"); }

TEST(TimeFormat, Errors) {
  for (std::string_view format : {"%", "a%", "%Q", "%0f", "%3", "%3x", "%E", "%E0S", "%EY"}) {
    EXPECT_FALSE(TimeFormat::compile(format, Zone::kUtc).ok()) << format;
  }
}

TEST(TimeFormat, LocalTime) {
  setenv("TZ", "Europe/Berlin", 1);
  tzset();
  if (tzname[0] != std::string("CET")) GTEST_SKIP() << "no time zone data";
  // On both sides of a change to summer time, so that a kept offset would show.
  EXPECT_EQ(print("", 1711846799, 0, Zone::kLocal), "2024-03-31T01:59:59.000+0100");
  EXPECT_EQ(print("", 1711846800, 0, Zone::kLocal), "2024-03-31T03:00:00.000+0200");
  EXPECT_EQ(print("%H:%M %Z", 1711846799, 0, Zone::kLocal), "01:59 CET");
  EXPECT_EQ(print("%H:%M %Z", 1711846800, 0, Zone::kLocal), "03:00 CEST");
  unsetenv("TZ");
  tzset();
}

}  // namespace
}  // namespace weir::stream
