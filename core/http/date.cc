#include "core/http/date.h"

#include <cstring>

namespace weir::http {
namespace {

constexpr char kDays[] = "ThuFriSatSunMonTueWed";  // 1 January 1970 was a Thursday
constexpr char kMonths[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr int64_t kDaySeconds = 86400;

struct Civil {
  int64_t year;
  int month;  // 1 to 12
  int day;
};

// Years are counted from March on, so that the leap day is the last of its year; an era has 400 years.
constexpr int64_t kEraDays = 146097;
constexpr int64_t kEpochFromEra = 719468;  // 1 March 0000 to 1 January 1970

Civil civil_of(int64_t days) {
  int64_t z = days + kEpochFromEra;
  int64_t era = z / kEraDays;
  int64_t day_of_era = z - era * kEraDays;
  int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t march_month = (5 * day_of_year + 2) / 153;
  int month = static_cast<int>(march_month < 10 ? march_month + 3 : march_month - 9);
  int day = static_cast<int>(day_of_year - (153 * march_month + 2) / 5 + 1);
  return {era * 400 + year_of_era + (month <= 2 ? 1 : 0), month, day};
}

int64_t days_of(const Civil& date) {
  int64_t year = date.year - (date.month <= 2 ? 1 : 0);
  int64_t era = year / 400;
  int64_t year_of_era = year - era * 400;
  int64_t march_month = date.month > 2 ? date.month - 3 : date.month + 9;
  int64_t day_of_year = (153 * march_month + 2) / 5 + date.day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * kEraDays + day_of_era - kEpochFromEra;
}

void put_digits(char* to, int64_t number, int count) {
  for (int i = count - 1; i >= 0; --i, number /= 10) to[i] = static_cast<char>('0' + number % 10);
}

bool take_digits(std::string_view text, size_t at, size_t count, int64_t& number) {
  number = 0;
  for (char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return false;
    number = number * 10 + (c - '0');
  }
  return true;
}

}  // namespace

void format_date(int64_t unix_seconds, char* to) {
  int64_t days = unix_seconds / kDaySeconds;
  int64_t second = unix_seconds % kDaySeconds;
  Civil date = civil_of(days);
  std::memcpy(to, "Thu, 01 Jan 1970 00:00:00 GMT", kDateBytes);
  std::memcpy(to, kDays + 3 * (days % 7), 3);
  put_digits(to + 5, date.day, 2);
  std::memcpy(to + 8, kMonths + 3 * (date.month - 1), 3);
  put_digits(to + 12, date.year, 4);
  put_digits(to + 17, second / 3600, 2);
  put_digits(to + 20, second / 60 % 60, 2);
  put_digits(to + 23, second % 60, 2);
}

bool parse_date(std::string_view text, int64_t& unix_seconds) {
  if (text.size() != kDateBytes) return false;
  int64_t day, year, hour, minute, second;
  if (!take_digits(text, 5, 2, day) || !take_digits(text, 12, 4, year) || !take_digits(text, 17, 2, hour) ||
      !take_digits(text, 20, 2, minute) || !take_digits(text, 23, 2, second)) {
    return false;
  }
  int month = 0;
  for (int i = 0; i < 12; ++i) {
    if (text.substr(8, 3) == std::string_view(kMonths + 3 * i, 3)) month = i + 1;
  }
  if (month == 0 || year < 1970 || hour > 23 || minute > 59 || second > 59) return false;
  unix_seconds = days_of({year, month, static_cast<int>(day)}) * kDaySeconds + hour * 3600 + minute * 60 + second;
  // Everything that was not looked at (week day, separators, the length of the month) must come out the same.
  char again[kDateBytes];
  format_date(unix_seconds, again);
  return text == std::string_view(again, kDateBytes);
}

}  // namespace weir::http
