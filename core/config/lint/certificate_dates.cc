#include "core/config/lint/certificate_dates.h"

#include <cstdint>

#include "core/config/scalars.h"

namespace weir::config::lint {
namespace {

constexpr uint8_t kInteger = 0x02;
constexpr uint8_t kUtcTime = 0x17;
constexpr uint8_t kGeneralizedTime = 0x18;
constexpr uint8_t kSequence = 0x30;
constexpr uint8_t kVersion = 0xA0;  // [0], constructed

struct Element {
  uint8_t tag;
  std::string_view content;
};

// Takes the element at the front. X.690: short and long lengths; what DER does not have (indefinite lengths, tags of
// more than a byte, contents longer than what is there) is refused.
std::optional<Element> take(std::string_view& from) {
  if (from.size() < 2) return std::nullopt;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(from[i]); };
  const uint8_t tag = byte(0);
  size_t head = 2;
  size_t length = byte(1);
  if ((tag & 0x1F) == 0x1F) return std::nullopt;
  if (length >= 0x80) {
    const size_t bytes = length & 0x7F;
    if (bytes == 0 || bytes > 4 || from.size() < head + bytes) return std::nullopt;
    length = 0;
    for (size_t i = 0; i < bytes; ++i) length = length << 8 | byte(head + i);
    head += bytes;
  }
  if (length > from.size() - head) return std::nullopt;
  Element element{tag, from.substr(head, length)};
  from.remove_prefix(head + length);
  return element;
}

std::optional<std::string_view> take(std::string_view& from, uint8_t tag) {
  auto element = take(from);
  return element.has_value() && element->tag == tag ? std::optional(element->content) : std::nullopt;
}

// RFC 5280 section 4.1.2.5: both forms end with Z and have seconds.
std::optional<std::chrono::sys_seconds> time_of(const Element& element) {
  std::string_view text = element.content;
  const size_t year_digits = element.tag == kUtcTime ? 2 : 4;
  if ((element.tag != kUtcTime && element.tag != kGeneralizedTime) || text.size() != year_digits + 11 ||
      text.back() != 'Z')
    return std::nullopt;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
  }
  auto number = [&](size_t digits) {
    int value = 0;
    for (size_t i = 0; i < digits; ++i) value = value * 10 + (text[i] - '0');
    text.remove_prefix(digits);
    return value;
  };
  int year = number(year_digits);
  if (element.tag == kUtcTime) year += year < 50 ? 2000 : 1900;
  const auto month = static_cast<unsigned>(number(2));
  const auto day = static_cast<unsigned>(number(2));
  const int hour = number(2), minute = number(2), second = number(2);
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         std::chrono::seconds(second);
}

}  // namespace

std::optional<CertificateDates> dates_in_der(std::string_view der) {
  auto certificate = take(der, kSequence);
  if (!certificate.has_value()) return std::nullopt;
  auto signed_part = take(*certificate, kSequence);
  if (!signed_part.has_value()) return std::nullopt;
  std::string_view rest = *signed_part;
  if (!rest.empty() && static_cast<uint8_t>(rest[0]) == kVersion && !take(rest).has_value()) return std::nullopt;
  // serialNumber, signature, issuer, validity
  if (!take(rest, kInteger) || !take(rest, kSequence) || !take(rest, kSequence)) return std::nullopt;
  auto validity = take(rest, kSequence);
  if (!validity.has_value()) return std::nullopt;
  auto from = take(*validity);
  auto until = take(*validity);
  if (!from.has_value() || !until.has_value()) return std::nullopt;
  auto not_before = time_of(*from);
  auto not_after = time_of(*until);
  if (!not_before.has_value() || !not_after.has_value()) return std::nullopt;
  return CertificateDates{*not_before, *not_after};
}

std::vector<CertificateDates> dates_in_pem(std::string_view pem) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  std::vector<CertificateDates> all;
  for (size_t begin = pem.find(kBegin); begin != std::string_view::npos && all.size() < kMaxInPem;
       begin = pem.find(kBegin)) {
    pem.remove_prefix(begin + kBegin.size());
    const size_t end = pem.find(kEnd);
    if (end == std::string_view::npos) break;
    std::string base64;
    for (const char c : pem.substr(0, end)) {
      if (c != '\n' && c != '\r' && c != ' ' && c != '\t') base64 += c;
    }
    pem.remove_prefix(end + kEnd.size());
    const auto der = parse_base64(base64);
    if (!der.has_value()) continue;
    if (auto dates = dates_in_der(*der)) all.push_back(*dates);
  }
  return all;
}

}  // namespace weir::config::lint
