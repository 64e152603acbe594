#include <gtest/gtest.h>

#include <ctime>
#include <random>
#include <string>

#include "core/http/date.h"
#include "core/http/status.h"
#include "core/http/url.h"

namespace weir::http {
namespace {

std::string date_of(int64_t seconds) {
  char text[kDateBytes];
  format_date(seconds, text);
  return std::string(text, kDateBytes);
}

TEST(Date, KnownValues) {
  EXPECT_EQ(date_of(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(date_of(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");  // RFC 9110 5.6.7
  EXPECT_EQ(date_of(951782400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(date_of(4107542399), "Sun, 28 Feb 2100 23:59:59 GMT");
  EXPECT_EQ(date_of(4107542400), "Mon, 01 Mar 2100 00:00:00 GMT");
}

TEST(Date, AgreesWithTheLibraryAndReadsBack) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; ++i) {
    time_t seconds = static_cast<time_t>(random() % 253402300800u);
    tm parts;
    gmtime_r(&seconds, &parts);
    char text[64];
    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    ASSERT_EQ(date_of(seconds), text) << seconds;
    int64_t back = 0;
    ASSERT_TRUE(parse_date(text, back));
    ASSERT_EQ(back, seconds);
  }
}

TEST(Date, RefusesWhatIsNoDate) {
  int64_t seconds = 0;
  for (const char* text :
       {"", "Sun, 06 Nov 1994 08:49:37 UTC", "Mon, 06 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nox 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT ",
        "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:3x GMT"}) {
    EXPECT_FALSE(parse_date(text, seconds)) << text;
  }
}

TEST(Url, Authorities) {
  for (const char* good : {"a", "a.b", "a:80", "1.2.3.4", "1.2.3.4:0", "[::1]", "[::1]:443", "[::ffff:1.2.3.4]", "a_b",
                           "a%41", "a:65535", "a:", "[::1]:", "-"}) {
    EXPECT_TRUE(is_valid_authority(good)) << good;
  }
  for (const char* bad :
       {"",     ":",    ":80",      "a:x",     "a:65536", "a:000080", "a:-1",    "a b",   "a/",           "a?",
        "a#",   "u@a",  "[",        "[]",      "[::1",    "::1",      "[::1]80", "[g::]", "[::1%25eth0]", "a%4",
        "a%g0", "a\\b", "\xc3\xa9", "a:80:80", "[::1]]"}) {
    EXPECT_FALSE(is_valid_authority(bad)) << bad;
  }
  EXPECT_FALSE(is_valid_authority(std::string_view("a\0b", 3)));
}

TEST(Url, SplitsAndStrips) {
  HostPort parts;
  ASSERT_TRUE(split_host_port("a.b:8080", parts));
  EXPECT_EQ(parts.host, "a.b");
  EXPECT_EQ(parts.port, "8080");
  ASSERT_TRUE(split_host_port("[::1]:443", parts));
  EXPECT_EQ(parts.host, "[::1]");
  EXPECT_EQ(parts.port, "443");
  ASSERT_TRUE(split_host_port("[::1]", parts));
  EXPECT_EQ(parts.port, "");
  EXPECT_FALSE(split_host_port("[::1", parts));
  EXPECT_FALSE(split_host_port("[::1]x", parts));
  EXPECT_EQ(port_number("443"), 443);
  EXPECT_EQ(port_number("65536"), 0);
  EXPECT_EQ(port_number(""), 0);
  EXPECT_EQ(strip_port("a:80"), "a");
  EXPECT_EQ(strip_port("[::1]"), "[::1]");
  EXPECT_EQ(strip_port("[::1]:1"), "[::1]");
  EXPECT_EQ(strip_matching_port("a:80", 80), "a");
  EXPECT_EQ(strip_matching_port("a:81", 80), "a:81");
  EXPECT_EQ(strip_matching_port("a", 80), "a");
  std::string_view host;
  std::string_view rest;
  ASSERT_TRUE(strip_trailing_dot("a.b.:80", host, rest));
  EXPECT_EQ(host, "a.b");
  EXPECT_EQ(rest, ":80");
  ASSERT_TRUE(strip_trailing_dot("a.", host, rest));
  EXPECT_EQ(rest, "");
  EXPECT_FALSE(strip_trailing_dot("a.b:80", host, rest));
}

TEST(StatusCodes, Phrases) {
  EXPECT_EQ(reason_phrase(200), "OK");
  EXPECT_EQ(reason_phrase(431), "Request Header Fields Too Large");
  EXPECT_EQ(reason_phrase(599), "Unknown");
  EXPECT_TRUE(forbids_content(100));
  EXPECT_TRUE(forbids_content(204));
  EXPECT_TRUE(forbids_content(304));
  EXPECT_FALSE(forbids_content(205));
}

}  // namespace
}  // namespace weir::http
