#include "core/config/scalars.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace weir::config {
namespace {

constexpr int64_t kMaxDurationSeconds = 315576000000;  // ten thousand years, the limit of google.protobuf.Duration

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return absl::ascii_tolower(a) == b; });
}

bool all_digits(std::string_view text, int base) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    if (base == 16) {
      return absl::ascii_isxdigit(c);
    }
    return c >= '0' && c < '0' + std::min(base, 10);
  });
}

// The nanoseconds of the digits behind a decimal point.
int32_t fraction_nanos(std::string_view digits) {
  int32_t nanos = 0;
  for (size_t i = 0; i < 9; ++i) {
    nanos = nanos * 10 + (i < digits.size() ? digits[i] - '0' : 0);
  }
  return nanos;
}

// Days since 1970-01-01 of a date of the proleptic Gregorian calendar.
int64_t days_from_civil(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2 ? 1 : 0;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

}  // namespace

IntegerResult parse_integer(std::string_view text, uint64_t min_magnitude, uint64_t max, bool leading_zero_is_octal) {
  IntegerResult out;
  const auto fault = [&](NumberFault why) {
    out.fault = why;
    return out;
  };
  std::string_view digits = text;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) {
    out.negative = digits[0] == '-';
    digits.remove_prefix(1);
  }
  int base = 10;
  if (digits.size() > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')) {
    base = 16;
    digits.remove_prefix(2);
  } else if (digits.size() > 2 && digits[0] == '0' && digits[1] == 'o') {
    base = 8;
    digits.remove_prefix(2);
  } else if (leading_zero_is_octal && digits.size() > 1 && digits[0] == '0' && all_digits(digits, 8)) {
    base = 8;
    out.was_octal = true;
  }
  bool too_large = false;
  if (all_digits(digits, base)) {
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), out.magnitude, base);
    too_large = failed == std::errc::result_out_of_range;
  } else {
    // 5.0 and 1e3 are whole numbers too.
    const bool decimal = base == 10 && !digits.empty() && absl::ascii_isdigit(digits[0]);
    const std::optional<double> number = decimal ? parse_double(digits) : std::nullopt;
    if (!number) {
      return fault(NumberFault::kNotANumber);
    }
    if (std::floor(*number) != *number) {
      return fault(NumberFault::kFraction);
    }
    too_large = *number >= 18446744073709551616.0;
    out.magnitude = too_large ? 0 : static_cast<uint64_t>(*number);
  }
  if (out.negative && (too_large || out.magnitude > min_magnitude)) {
    return fault(min_magnitude == 0 ? NumberFault::kNegative : NumberFault::kTooSmall);
  }
  if (!out.negative && (too_large || out.magnitude > max)) {
    return fault(NumberFault::kTooLarge);
  }
  return out;
}

std::optional<double> parse_double(std::string_view text) {
  const bool minus = !text.empty() && text[0] == '-';
  std::string_view body = text;
  if (!body.empty() && (body[0] == '-' || body[0] == '+')) {
    body.remove_prefix(1);
  }
  if (body == "Infinity" || equals_ignoring_case(body, ".inf")) {
    return minus ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  }
  if (body.empty() || !(absl::ascii_isdigit(body[0]) || body[0] == '.')) {
    return std::nullopt;  // from_chars would take "inf" and "nan"
  }
  double value = 0;
  const auto [end, failed] = std::from_chars(body.data(), body.data() + body.size(), value);
  if (failed != std::errc() || end != body.data() + body.size()) {
    return std::nullopt;
  }
  return minus ? -value : value;
}

std::optional<bool> parse_bool(std::string_view text, bool yaml_words) {
  if (equals_ignoring_case(text, "true")) {
    return true;
  }
  if (equals_ignoring_case(text, "false")) {
    return false;
  }
  if (!yaml_words) {
    return std::nullopt;
  }
  for (const std::string_view word : {"yes", "on", "y"}) {
    if (equals_ignoring_case(text, word)) {
      return true;
    }
  }
  for (const std::string_view word : {"no", "off", "n"}) {
    if (equals_ignoring_case(text, word)) {
      return false;
    }
  }
  return std::nullopt;
}

bool is_null(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

std::optional<Seconds> parse_duration(std::string_view text) {
  if (text.size() < 2 || text.back() != 's') {
    return std::nullopt;
  }
  text.remove_suffix(1);
  const bool minus = text[0] == '-';
  if (minus) {
    text.remove_prefix(1);
  }
  const size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string_view fraction = point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
  const bool has_fraction = point != std::string_view::npos;
  if (!all_digits(whole, 10) || (has_fraction && (!all_digits(fraction, 10) || fraction.size() > 9))) {
    return std::nullopt;
  }
  Seconds out;
  const auto [end, failed] = std::from_chars(whole.data(), whole.data() + whole.size(), out.seconds);
  if (failed != std::errc() || out.seconds > kMaxDurationSeconds) {
    return std::nullopt;
  }
  out.nanos = fraction_nanos(fraction);
  if (minus) {
    out.seconds = -out.seconds;
    out.nanos = -out.nanos;
  }
  return out;
}

bool is_duration(Seconds duration) {
  const auto [seconds, nanos] = duration;
  return seconds >= -kMaxDurationSeconds && seconds <= kMaxDurationSeconds && nanos > -1000000000 &&
         nanos < 1000000000 && !(seconds < 0 && nanos > 0) && !(seconds > 0 && nanos < 0);
}

std::string format_duration(Seconds duration) {
  const bool minus = duration.seconds < 0 || duration.nanos < 0;
  std::string out = (minus ? "-" : "") + std::to_string(std::abs(duration.seconds));
  if (duration.nanos != 0) {
    std::string digits = std::to_string(std::abs(duration.nanos));
    digits.insert(0, 9 - digits.size(), '0');
    digits.erase(digits.find_last_not_of('0') + 1);
    out += "." + digits;
  }
  return out + "s";
}

std::string duration_hint(std::string_view text) {
  struct Unit {
    std::string_view name;
    double seconds;
  };
  static constexpr Unit kUnits[] = {
      {"", 1},        {"s", 1},       {"sec", 1},       {"secs", 1},           {"second", 1},          {"seconds", 1},
      {"ms", 1e-3},   {"msec", 1e-3}, {"millis", 1e-3}, {"millisecond", 1e-3}, {"milliseconds", 1e-3}, {"us", 1e-6},
      {"usec", 1e-6}, {"m", 60},      {"min", 60},      {"mins", 60},          {"minute", 60},         {"minutes", 60},
      {"h", 3600},    {"hour", 3600}, {"hours", 3600},  {"d", 86400},          {"day", 86400},         {"days", 86400}};
  std::string copy(text);
  std::replace(copy.begin(), copy.end(), ',', '.');
  double sum = 0;
  // 5 seconds, 1h30m
  for (std::string_view rest = copy; sum == 0 || !rest.empty();) {
    double number = 0;
    const auto [end, failed] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (failed != std::errc() || !std::isfinite(number) || std::abs(number) > 1e9) {
      return "";
    }
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    const std::string_view name = rest.substr(0, std::min(rest.find_first_of("0123456789 "), rest.size()));
    const auto* unit = std::find_if(std::begin(kUnits), std::end(kUnits),
                                    [&](const Unit& known) { return equals_ignoring_case(name, known.name); });
    if (unit == std::end(kUnits)) {
      return "";
    }
    rest.remove_prefix(name.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    sum += number * unit->seconds;
    if (rest.empty()) {
      break;
    }
  }
  if (std::abs(sum) > 9e9) {
    return "";
  }
  const auto nanos = static_cast<int64_t>(std::llround(sum * 1e9));
  // Nothing for less than a duration can hold.
  return nanos == 0 && text.find_first_of("123456789") != std::string_view::npos
             ? ""
             : format_duration({nanos / 1000000000, static_cast<int32_t>(nanos % 1000000000)});
}

std::optional<Seconds> parse_timestamp(std::string_view text) {
  // 0123456789012345678
  // 2026-11-22T14:00:00[.fraction](Z|+01:00)
  const auto number = [&](size_t at, size_t length) -> int64_t {
    int64_t out = -1;
    if (at + length <= text.size() && all_digits(text.substr(at, length), 10)) {
      std::from_chars(text.data() + at, text.data() + at + length, out);
    }
    return out;
  };
  const int64_t year = number(0, 4), month = number(5, 2), day = number(8, 2);
  const int64_t hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
  if (year < 1 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
      second < 0 || second > 59) {
    return std::nullopt;
  }
  if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') || text[13] != ':' || text[16] != ':') {
    return std::nullopt;
  }
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (day > kDays[month - 1] + (month == 2 && leap ? 1 : 0)) {
    return std::nullopt;
  }
  Seconds out;
  out.seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
  size_t at = 19;
  if (at < text.size() && text[at] == '.') {
    const size_t end = std::min(text.find_first_not_of("0123456789", at + 1), text.size());
    if (end - at < 2 || end - at > 10) {
      return std::nullopt;
    }
    out.nanos = fraction_nanos(text.substr(at + 1, end - at - 1));
    at = end;
  }
  if (text.substr(at) == "Z" || text.substr(at) == "z") {
    return out;
  }
  const int64_t offset_hour = number(at + 1, 2), offset_minute = number(at + 4, 2);
  if (text.size() != at + 6 || (text[at] != '+' && text[at] != '-') || text[at + 3] != ':' || offset_hour < 0 ||
      offset_hour > 23 || offset_minute < 0 || offset_minute > 59) {
    return std::nullopt;
  }
  const int64_t offset = offset_hour * 3600 + offset_minute * 60;
  out.seconds -= text[at] == '+' ? offset : -offset;
  return out;
}

std::optional<std::string> parse_base64(std::string_view text) {
  std::string joined;  // a block of YAML has line breaks
  for (const char c : text) {
    if (c != '\n' && c != '\r') {
      joined += c;
    }
  }
  size_t length = joined.size();
  while (length > 0 && joined[length - 1] == '=' && joined.size() - length < 2) {
    --length;
  }
  // Padding, where there is any, completes a group of four.
  if (length != joined.size() && joined.size() % 4 != 0) {
    return std::nullopt;
  }
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : std::string_view(joined).substr(0, length)) {
    uint32_t value = 0;
    if (c >= 'A' && c <= 'Z') {
      value = static_cast<uint32_t>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      value = static_cast<uint32_t>(c - 'a' + 26);
    } else if (absl::ascii_isdigit(c)) {
      value = static_cast<uint32_t>(c - '0' + 52);
    } else if (c == '+' || c == '-') {
      value = 62;
    } else if (c == '/' || c == '_') {
      value = 63;
    } else {
      return std::nullopt;
    }
    bits = (bits << 6) | value;
    if (++count == 4) {
      out += {static_cast<char>(bits >> 16), static_cast<char>(bits >> 8), static_cast<char>(bits)};
      bits = 0;
      count = 0;
    }
  }
  if (count == 1) {
    return std::nullopt;
  }
  if (count == 2) {
    out += static_cast<char>(bits >> 4);
  } else if (count == 3) {
    out += static_cast<char>(bits >> 10);
    out += static_cast<char>(bits >> 2);
  }
  return out;
}

}  // namespace weir::config
