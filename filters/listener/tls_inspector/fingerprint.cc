#include "filters/listener/tls_inspector/fingerprint.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/crypto/digest.h"

namespace weir::filters::tls_inspector {
namespace {

// RFC 8701: values that mean nothing, which clients draw at random.
bool is_grease(uint32_t value) { return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff); }

std::vector<uint16_t> values_of(std::string_view list) {
  std::vector<uint16_t> values;
  for (Reader reader(list); !reader.done();) {
    const uint32_t value = reader.number(2);
    if (!is_grease(value)) values.push_back(static_cast<uint16_t>(value));
  }
  return values;
}

std::vector<uint16_t> extension_types(const ClientHello& hello) {
  std::vector<uint16_t> types;
  for (Reader reader(hello.extensions); !reader.done();) {
    const uint32_t type = reader.number(2);
    reader.sized(2);
    if (!is_grease(type)) types.push_back(static_cast<uint16_t>(type));
  }
  return types;
}

void append_decimal(std::string& text, const std::vector<uint16_t>& values) {
  text += ',';
  for (size_t i = 0; i < values.size(); ++i) text += (i > 0 ? "-" : "") + std::to_string(values[i]);
}

void append_hex(std::string& text, const std::vector<uint16_t>& values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const uint8_t bytes[] = {static_cast<uint8_t>(values[i] >> 8), static_cast<uint8_t>(values[i])};
    text += (i > 0 ? "," : "") + crypto::to_hex(bytes, 2);
  }
}

// The highest version that the client speaks.
std::string_view version_text(const ClientHello& hello) {
  std::vector<uint16_t> versions = values_of(hello.versions);
  switch (versions.empty() ? hello.version : *std::ranges::max_element(versions)) {
    case 0x0304:
      return "13";
    case 0x0303:
      return "12";
    case 0x0302:
      return "11";
    case 0x0301:
      return "10";
    case 0x0300:
      return "s3";
    default:
      return "00";
  }
}

std::string two_digits(size_t count) {
  const size_t shown = std::min<size_t>(count, 99);
  return {static_cast<char>('0' + shown / 10), static_cast<char>('0' + shown % 10)};
}

// First and last character of the first protocol, or of its hexadecimal digits.
std::string protocol_text(const ClientHello& hello) {
  const std::string_view first = Reader(hello.protocols).sized(1);
  if (first.empty()) return "00";
  if (absl::ascii_isalnum(first.front()) && absl::ascii_isalnum(first.back())) return {first.front(), first.back()};
  const std::string digits = crypto::to_hex(reinterpret_cast<const uint8_t*>(first.data()), first.size());
  return {digits.front(), digits.back()};
}

std::string short_digest(const std::string& text) {
  return text.empty() ? "000000000000" : crypto::to_hex(crypto::sha256(text)).substr(0, 12);
}

}  // namespace

std::string ja3_text(const ClientHello& hello) {
  std::string text = std::to_string(hello.version);
  append_decimal(text, values_of(hello.ciphers));
  append_decimal(text, extension_types(hello));
  append_decimal(text, values_of(hello.groups));
  append_decimal(text, {hello.point_formats.begin(), hello.point_formats.end()});
  return text;
}

std::string ja3(const ClientHello& hello) { return crypto::to_hex(crypto::md5(ja3_text(hello))); }

std::string ja4(const ClientHello& hello) {
  std::vector<uint16_t> ciphers = values_of(hello.ciphers);
  std::vector<uint16_t> extensions = extension_types(hello);
  std::string text = "t";
  text += version_text(hello);
  text += hello.names_server ? 'd' : 'i';
  text += two_digits(ciphers.size()) + two_digits(extensions.size()) + protocol_text(hello);

  std::ranges::sort(ciphers);
  std::string sorted;
  append_hex(sorted, ciphers);
  text += "_" + short_digest(sorted);

  // The two that are told by the first part are left out.
  std::erase_if(extensions, [](uint16_t type) { return type == 0 || type == 16; });
  std::ranges::sort(extensions);
  sorted.clear();
  append_hex(sorted, extensions);
  const std::vector<uint16_t> algorithms = values_of(hello.signature_algorithms);
  if (!sorted.empty() && !algorithms.empty()) {
    sorted += '_';
    append_hex(sorted, algorithms);
  }
  return text + "_" + short_digest(sorted);
}

}  // namespace weir::filters::tls_inspector
