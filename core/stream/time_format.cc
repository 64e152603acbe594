#include "core/stream/time_format.h"

#include <absl/strings/ascii.h>

#include <charconv>
#include <chrono>
#include <ctime>
#include <utility>

namespace weir::stream {

// A point in time as a calendar shows it.
struct Broken {
  int64_t seconds;  // since 1970, UTC
  uint32_t nanoseconds;
  int year;
  unsigned month;  // 1..12
  unsigned day;    // 1..31
  unsigned hour, minute, second;
  unsigned weekday;      // 0: Sunday
  unsigned day_of_year;  // 0..365
  int32_t offset;        // seconds east of UTC
  const char* zone;
};

namespace {

constexpr const char* kDays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr const char* kMonths[] = {"January", "February", "March",     "April",   "May",      "June",
                                   "July",    "August",   "September", "October", "November", "December"};
// What append_piece knows by itself, and what it leaves to strftime.
constexpr std::string_view kOwn = "aAbBdDeFhHIjmMnpRsStTuwyYzZ%";
constexpr std::string_view kLeft = "cCgGklPrUVWxX";

struct LocalOffset {
  int64_t quarter_hour = INT64_MIN;
  int32_t offset = 0;
  const char* zone = "";
};
// Zones change their offset on quarter hours only, so one look-up (which takes a lock) serves until the next.
thread_local LocalOffset local_offset;

const LocalOffset& local_offset_at(int64_t seconds) {
  int64_t quarter_hour = seconds >= 0 ? seconds / 900 : (seconds - 899) / 900;
  if (local_offset.quarter_hour != quarter_hour) {
    auto when = static_cast<time_t>(seconds);
    struct tm tm;
    if (localtime_r(&when, &tm) != nullptr) {
      local_offset.offset = static_cast<int32_t>(tm.tm_gmtoff);
      local_offset.zone = tm.tm_zone;  // static storage of the C library
    }
    local_offset.quarter_hour = quarter_hour;
  }
  return local_offset;
}

Broken break_down(WallTime time, Zone zone) {
  using std::chrono::floor;
  auto second = floor<std::chrono::seconds>(time);
  Broken broken{};
  broken.seconds = second.time_since_epoch().count();
  broken.nanoseconds = static_cast<uint32_t>((time - second).count());
  broken.zone = "UTC";
  if (zone == Zone::kLocal) {
    const LocalOffset& local = local_offset_at(broken.seconds);
    broken.offset = local.offset;
    broken.zone = local.zone;
  }
  auto shown = second + std::chrono::seconds(broken.offset);
  auto day = floor<std::chrono::days>(shown);
  std::chrono::year_month_day date(day);
  broken.year = static_cast<int>(date.year());
  broken.month = static_cast<unsigned>(date.month());
  broken.day = static_cast<unsigned>(date.day());
  auto of_day = static_cast<unsigned>((shown - day).count());
  broken.hour = of_day / 3600;
  broken.minute = of_day / 60 % 60;
  broken.second = of_day % 60;
  broken.weekday = std::chrono::weekday(day).c_encoding();
  broken.day_of_year = static_cast<unsigned>((day - std::chrono::sys_days(date.year() / 1 / 1)).count());
  return broken;
}

void append_padded(std::string& out, int64_t number, int width, char pad = '0') {
  char digits[20];
  char* end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  for (auto size = end - digits; size < width; ++size) out += pad;
  out.append(digits, end);
}

void append_fraction(std::string& out, uint32_t nanoseconds, int digits) {
  char text[9];
  for (int i = 8; i >= 0; --i) {
    text[i] = static_cast<char>('0' + nanoseconds % 10);
    nanoseconds /= 10;
  }
  out.append(text, static_cast<size_t>(digits));
}

void append_date(std::string& out, const Broken& at) {
  append_padded(out, at.year, 4);
  out += '-';
  append_padded(out, at.month, 2);
  out += '-';
  append_padded(out, at.day, 2);
}

void append_clock(std::string& out, const Broken& at) {
  append_padded(out, at.hour, 2);
  out += ':';
  append_padded(out, at.minute, 2);
  out += ':';
  append_padded(out, at.second, 2);
}

void append_offset(std::string& out, int32_t offset, bool colon) {
  out += offset < 0 ? '-' : '+';
  uint32_t minutes = static_cast<uint32_t>(offset < 0 ? -offset : offset) / 60;
  append_padded(out, minutes / 60, 2);
  if (colon) out += ':';
  append_padded(out, minutes % 60, 2);
}

void append_strftime(std::string& out, const Broken& at, char specifier) {
  struct tm tm {};
  tm.tm_year = at.year - 1900;
  tm.tm_mon = static_cast<int>(at.month) - 1;
  tm.tm_mday = static_cast<int>(at.day);
  tm.tm_hour = static_cast<int>(at.hour);
  tm.tm_min = static_cast<int>(at.minute);
  tm.tm_sec = static_cast<int>(at.second);
  tm.tm_wday = static_cast<int>(at.weekday);
  tm.tm_yday = static_cast<int>(at.day_of_year);
  tm.tm_gmtoff = at.offset;
  tm.tm_zone = at.zone;
  const char format[] = {'%', specifier, '\0'};
  char text[64];
  out.append(text, strftime(text, sizeof text, format, &tm));
}

}  // namespace

Result<TimeFormat> TimeFormat::compile(std::string_view format, Zone zone) {
  TimeFormat compiled;
  compiled.zone_ = zone;
  std::string literal;
  auto flush = [&] {
    if (!literal.empty()) compiled.pieces_.push_back({0, 0, std::exchange(literal, {})});
  };
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      literal += format[i];
      continue;
    }
    std::string_view rest = format.substr(i + 1);
    Piece piece;
    size_t used = 1;
    if (rest.size() >= 3 && rest[0] == 'E' && rest[1] >= '1' && rest[1] <= '9' && rest[2] == 'S') {
      flush();
      compiled.pieces_.push_back({'S', 0, {}});
      compiled.pieces_.push_back({0, 0, "."});
      piece = {'f', static_cast<uint8_t>(rest[1] - '0'), {}};
      used = 3;
    } else if (rest.starts_with("Ez")) {
      piece.specifier = ':';
      used = 2;
    } else if (rest.size() >= 2 && absl::ascii_isdigit(rest[0]) && rest[0] != '0' && rest[1] == 'f') {
      piece = {'f', static_cast<uint8_t>(rest[0] - '0'), {}};
      used = 2;
    } else if (!rest.empty() && rest[0] == 'f') {
      piece = {'f', 9, {}};
    } else if (!rest.empty() && (kOwn.find(rest[0]) != kOwn.npos || kLeft.find(rest[0]) != kLeft.npos)) {
      piece.specifier = rest[0];
    } else {
      return invalid("\"%" + std::string(rest.substr(0, 1)) +
                     "\" is not a time specifier (those of strftime, %s, %f, %1f to %9f)");
    }
    flush();
    compiled.pieces_.push_back(std::move(piece));
    i += used;
  }
  flush();
  return compiled;
}

void TimeFormat::append(WallTime time, std::string& out) const {
  Broken at = break_down(time, zone_);
  if (pieces_.empty()) {
    append_date(out, at);
    out += 'T';
    append_clock(out, at);
    out += '.';
    append_fraction(out, at.nanoseconds, 3);
    if (zone_ == Zone::kUtc) {
      out += 'Z';
    } else {
      append_offset(out, at.offset, false);
    }
    return;
  }
  for (const Piece& piece : pieces_) append_piece(piece, at, out);
}

void TimeFormat::append_piece(const Piece& piece, const Broken& at, std::string& out) const {
  switch (piece.specifier) {
    case 0:
      out += piece.literal;
      return;
    case 'a':
      out.append(kDays[at.weekday], 3);
      return;
    case 'A':
      out += kDays[at.weekday];
      return;
    case 'b':
    case 'h':
      out.append(kMonths[at.month - 1], 3);
      return;
    case 'B':
      out += kMonths[at.month - 1];
      return;
    case 'd':
      return append_padded(out, at.day, 2);
    case 'D':
      append_padded(out, at.month, 2);
      out += '/';
      append_padded(out, at.day, 2);
      out += '/';
      return append_padded(out, at.year % 100, 2);
    case 'e':
      return append_padded(out, at.day, 2, ' ');
    case 'f':
      return append_fraction(out, at.nanoseconds, piece.digits);
    case 'F':
      return append_date(out, at);
    case 'H':
      return append_padded(out, at.hour, 2);
    case 'I':
      return append_padded(out, (at.hour + 11) % 12 + 1, 2);
    case 'j':
      return append_padded(out, at.day_of_year + 1, 3);
    case 'm':
      return append_padded(out, at.month, 2);
    case 'M':
      return append_padded(out, at.minute, 2);
    case 'n':
      out += '\n';
      return;
    case 'p':
      out += at.hour < 12 ? "AM" : "PM";
      return;
    case 'R':
      append_padded(out, at.hour, 2);
      out += ':';
      return append_padded(out, at.minute, 2);
    case 's':
      return append_padded(out, at.seconds, 1);
    case 'S':
      return append_padded(out, at.second, 2);
    case 't':
      out += '\t';
      return;
    case 'T':
      return append_clock(out, at);
    case 'u':
      return append_padded(out, (at.weekday + 6) % 7 + 1, 1);
    case 'w':
      return append_padded(out, at.weekday, 1);
    case 'y':
      return append_padded(out, at.year % 100, 2);
    case 'Y':
      return append_padded(out, at.year, 4);
    case 'z':
      return append_offset(out, at.offset, false);
    case ':':
      return append_offset(out, at.offset, true);
    case 'Z':
      out += at.zone;
      return;
    case '%':
      out += '%';
      return;
    default:
      return append_strftime(out, at, piece.specifier);
  }
}

}  // namespace weir::stream
