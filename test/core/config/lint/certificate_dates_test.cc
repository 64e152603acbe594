#include "core/config/lint/certificate_dates.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::config::lint {
namespace {

using namespace std::chrono_literals;

std::string element(char tag, const std::string& content) {
  std::string out(1, tag);
  if (content.size() < 128) {
    out += static_cast<char>(content.size());
  } else {
    out += '\x82';
    out += static_cast<char>(content.size() >> 8);
    out += static_cast<char>(content.size() & 0xFF);
  }
  return out + content;
}
// Nothing but what stands in front of the dates, and the dates.
std::string certificate(const std::string& not_before, const std::string& not_after, bool version = true) {
  std::string content = version ? element('\xA0', element('\x02', "\x02")) : "";
  content += element('\x02', "\x01") + element('\x30', "") + element('\x30', std::string(200, 'x'));
  return element('\x30', element('\x30', content + element('\x30', not_before + not_after)));
}
std::string utc(const std::string& time) { return element('\x17', time); }
std::string generalized(const std::string& time) { return element('\x18', time); }

std::chrono::sys_seconds at(int year, unsigned month, unsigned day, std::chrono::seconds time = 0s) {
  return std::chrono::sys_days(std::chrono::year(year) / month / day) + time;
}

TEST(CertificateDates, BothFormsOfTime) {
  auto dates = dates_in_der(certificate(utc("231231235959Z"), generalized("20501112010203Z")));
  ASSERT_TRUE(dates.has_value());
  EXPECT_EQ(dates->not_before, at(2023, 12, 31, 23h + 59min + 59s));
  EXPECT_EQ(dates->not_after, at(2050, 11, 12, 1h + 2min + 3s));
  // RFC 5280: 50 to 99 are of the last century. Certificates of version 1 do not say their version.
  dates = dates_in_der(certificate(utc("500101000000Z"), utc("491231000000Z"), false));
  ASSERT_TRUE(dates.has_value());
  EXPECT_EQ(dates->not_before, at(1950, 1, 1));
  EXPECT_EQ(dates->not_after, at(2049, 12, 31));
  // "No end", RFC 5280 section 4.1.2.5; more than a 64-bit count of nanoseconds holds.
  dates = dates_in_der(certificate(utc("230101000000Z"), generalized("99991231235959Z")));
  ASSERT_TRUE(dates.has_value());
  EXPECT_EQ(dates->not_after, at(9999, 12, 31, 23h + 59min + 59s));
}

TEST(CertificateDates, WhatIsNoCertificate) {
  const std::string good = certificate(utc("230101000000Z"), utc("240101000000Z"));
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_FALSE(dates_in_der(good.substr(0, length)).has_value());
  for (const std::string time : {"230101000000", "2301010000Z", "230101000000+0100", "23x101000000Z", "231301000000Z",
                                 "230230000000Z", "230101240000Z", "230101006000Z", ""}) {
    EXPECT_FALSE(dates_in_der(certificate(utc(time), utc("240101000000Z"))).has_value()) << time;
  }
  EXPECT_FALSE(dates_in_der(certificate(element('\x13', "230101000000Z"), utc("240101000000Z"))).has_value());
  EXPECT_FALSE(dates_in_der(std::string("\x30\x80\x00\x00", 4)).has_value());              // indefinite length
  EXPECT_FALSE(dates_in_der(std::string("\x30\x85\x01\x00\x00\x00\x00", 7)).has_value());  // length of five bytes
  EXPECT_FALSE(dates_in_der(std::string("\x30\x84\xFF\xFF\xFF\xFF", 6)).has_value());
  EXPECT_FALSE(dates_in_der(std::string("\x3F\x21\x00", 3)).has_value());  // a long tag
}

// Made by openssl req -x509 -days 36500; its key was thrown away.
constexpr const char* kReal =
    "some text in front\n"
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBbzCCARWgAwIBAgIUFeLrefHku++AWHSeSRq36wYF0rYwCgYIKoZIzj0EAwIw\r\n"
    "DDEKMAgGA1UEAwwBYjAgFw0yNjExMjYwNTE3NDZaGA8yMTI2MTEwMjA1MTc0Nlow\n"
    "DDEKMAgGA1UEAwwBYjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABApqLuls452C\n"
    "6jwYPR52LVZyM9883kVWJCMxOvgV7gQd9+6uqwtqaNp66S5m0tP332uGV1SkzsfC\n"
    "2bqFEVAv0oyjUzBRMB0GA1UdDgQWBBS4eZDZS9QZ/l87CL8vzwCZJ46mVzAfBgNV\n"
    "HSMEGDAWgBS4eZDZS9QZ/l87CL8vzwCZJ46mVzAPBgNVHRMBAf8EBTADAQH/MAoG\n"
    "CCqGSM49BAMCA0gAMEUCIHtyU7zdipAmQidY6mEiyuuele5thA85EuBKc8KriLgG\n"
    "AiEAw/Hkkip5F6PTsSj92vxDbco5IIzH9yj7zpwF2PU72t8=\n"
    "-----END CERTIFICATE-----\n";

TEST(CertificateDates, Pem) {
  const std::string broken = "-----BEGIN CERTIFICATE-----\n****\n-----END CERTIFICATE-----\n";
  const std::string key = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
  auto all = dates_in_pem(kReal + key + broken + kReal + "-----BEGIN CERTIFICATE-----\nMII");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1].not_before, at(2026, 11, 26, 5h + 17min + 46s));
  EXPECT_EQ(all[1].not_after, at(2126, 11, 2, 5h + 17min + 46s));
  EXPECT_TRUE(dates_in_pem("").empty());
  std::string many;
  for (size_t i = 0; i < kMaxInPem + 5; ++i) many += kReal;
  EXPECT_EQ(dates_in_pem(many).size(), kMaxInPem);
}

}  // namespace
}  // namespace weir::config::lint
