// Character classes of RFC 9110 section 5.6 and RFC 3986, as one table: a bit per class.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace weir::http {

enum CharClass : uint8_t {
  kTokenChar = 1,        // RFC 9110 5.6.2 tchar
  kUpperChar = 2,        // A-Z
  kTargetChar = 4,       // visible ASCII other than '#'
  kHostChar = 8,         // RFC 3986 3.2.2 reg-name: unreserved, sub-delims, '%'
  kUnreservedChar = 16,  // RFC 3986 2.3
  kFieldChar = 32,       // RFC 9110 5.5: VCHAR, obs-text, SP, HTAB
  kHexChar = 64,
  kPlainHostChar = 128,  // what most registered names consist of: letters, digits, '-', '.'
};

namespace detail {
constexpr bool is_in(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }
constexpr auto make_char_classes() {
  std::array<uint8_t, 256> table{};
  for (int i = 0; i < 256; ++i) {
    char c = static_cast<char>(i);
    bool upper = i >= 'A' && i <= 'Z';
    bool alpha = upper || (i >= 'a' && i <= 'z');
    bool digit = i >= '0' && i <= '9';
    bool ascii = i < 128;
    uint8_t bits = 0;
    if (alpha || digit || (ascii && i > 0 && is_in(c, "!#$%&'*+-.^_`|~"))) bits |= kTokenChar;
    if (upper) bits |= kUpperChar;
    if (i > 0x20 && i < 0x7f && i != '#') bits |= kTargetChar;
    if (alpha || digit || (ascii && i > 0 && is_in(c, "-._~!$&'()*+,;=%"))) bits |= kHostChar;
    if (alpha || digit || (ascii && i > 0 && is_in(c, "-._~"))) bits |= kUnreservedChar;
    if ((i >= 0x20 && i != 0x7f) || i == '\t') bits |= kFieldChar;
    if (digit || (i >= 'a' && i <= 'f') || (i >= 'A' && i <= 'F')) bits |= kHexChar;
    if (alpha || digit || c == '-' || c == '.') bits |= kPlainHostChar;
    table[static_cast<size_t>(i)] = bits;
  }
  return table;
}
}  // namespace detail

inline constexpr std::array<uint8_t, 256> kCharClasses = detail::make_char_classes();

constexpr bool is_char(char c, CharClass wanted) { return (kCharClasses[static_cast<unsigned char>(c)] & wanted) != 0; }
constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

constexpr bool all_chars(std::string_view text, CharClass wanted) {
  for (char c : text) {
    if (!is_char(c, wanted)) return false;
  }
  return true;
}
constexpr bool is_token(std::string_view text) { return !text.empty() && all_chars(text, kTokenChar); }

constexpr bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

// -1 if `c` is no hexadecimal digit.
constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Optional whitespace of RFC 9110 5.6.3.
constexpr std::string_view trim_spaces(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// visit(member) for each non-empty member of a comma-separated list (RFC 9110 5.6.1).
template <class Visit>
constexpr void for_each_member(std::string_view list, Visit&& visit) {
  while (!list.empty()) {
    size_t comma = list.find(',');
    std::string_view member = trim_spaces(list.substr(0, comma));
    if (!member.empty()) visit(member);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

constexpr bool list_contains(std::string_view list, std::string_view wanted) {
  bool found = false;
  for_each_member(list, [&](std::string_view member) { found = found || equals_ignoring_case(member, wanted); });
  return found;
}

// Decimal digits only, no sign, at most 19 digits (so that it fits): RFC 9110 8.6.
constexpr bool parse_decimal(std::string_view text, uint64_t& value) {
  if (text.empty() || text.size() > 19) return false;
  uint64_t number = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    number = number * 10 + static_cast<uint64_t>(c - '0');
  }
  value = number;
  return true;
}

}  // namespace weir::http
