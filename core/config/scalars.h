// Texts of a configuration file as values: numbers, durations, base64. No message type is known here.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::config {

// Why a text is not the whole number that was asked for.
enum class NumberFault { kNone, kNotANumber, kFraction, kNegative, kTooSmall, kTooLarge };

struct IntegerResult {
  NumberFault fault = NumberFault::kNone;
  bool negative = false;
  uint64_t magnitude = 0;
  bool was_octal = false;  // written with a leading zero: 0644
};

// Decimal, 0x1f, 0o17, 1e3, 5.0; 0644 is octal when `leading_zero_is_octal` (plain YAML), as the published loader has
// it. The value must lie in [-min_magnitude, max].
IntegerResult parse_integer(std::string_view text, uint64_t min_magnitude, uint64_t max, bool leading_zero_is_octal);

// "1.5", "-3", "1e9", "Infinity", "-Infinity" and YAML's .inf. Not NaN: no setting means anything with it.
std::optional<double> parse_double(std::string_view text);

// true and false in the spellings of plain YAML (yes, on, y, ...) when `yaml_words`.
std::optional<bool> parse_bool(std::string_view text, bool yaml_words);

bool is_null(std::string_view plain_text);

struct Seconds {
  int64_t seconds = 0;
  int32_t nanos = 0;
};
// "5s", "0.25s", "-1.5s". At most nine digits after the point.
std::optional<Seconds> parse_duration(std::string_view text);
// What someone who wrote "5 seconds", "500ms", "1m" or "10" should have written; empty if that is not clear.
std::string duration_hint(std::string_view text);
std::string format_duration(Seconds duration);
// What google.protobuf.Duration allows: both parts of one sign, less than a second in the nanoseconds.
bool is_duration(Seconds duration);

// RFC 3339: 2026-11-22T14:00:00Z, fractions and offsets allowed.
std::optional<Seconds> parse_timestamp(std::string_view text);

// Both alphabets, padded or not.
std::optional<std::string> parse_base64(std::string_view text);

}  // namespace weir::config
