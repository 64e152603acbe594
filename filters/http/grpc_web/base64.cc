#include "filters/http/grpc_web/base64.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace weir::filters::grpc_web {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNone = 0x80;

constexpr std::array<uint8_t, 256> make_values() {
  std::array<uint8_t, 256> values{};
  for (uint8_t& value : values) value = kNone;
  for (size_t i = 0; i < kAlphabet.size(); ++i)
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<uint8_t>(i);
  return values;
}
constexpr std::array<uint8_t, 256> kValues = make_values();

uint32_t value_of(char c) { return kValues[static_cast<unsigned char>(c)]; }

void write(std::string_view bytes, http::CodedOutput& out) {
  while (!bytes.empty()) {
    size_t room = 0;
    char* to = out.room(room);
    const std::string_view part = bytes.substr(0, room);
    std::memcpy(to, part.data(), part.size());
    out.wrote(part.size());
    bytes.remove_prefix(part.size());
  }
}

// Four characters for three bytes.
void encode_group(uint32_t bits, char* to) {
  to[0] = kAlphabet[bits >> 18 & 63];
  to[1] = kAlphabet[bits >> 12 & 63];
  to[2] = kAlphabet[bits >> 6 & 63];
  to[3] = kAlphabet[bits & 63];
}

}  // namespace

bool TextDecoder::take(char c, http::CodedOutput& out) {
  if (c == '=') {
    if (have_ < 2) return false;
    ++padding_;
    bits_ <<= 6;
  } else {
    const uint32_t value = value_of(c);
    if (value == kNone || padding_ > 0) return false;
    bits_ = bits_ << 6 | value;
  }
  if (++have_ < 4) return true;
  // What padding leaves unused must be zero: there is one text for the same bytes, and not several.
  if ((bits_ & ((1U << 8 * padding_) - 1)) != 0) return false;
  const char bytes[3] = {static_cast<char>(bits_ >> 16), static_cast<char>(bits_ >> 8), static_cast<char>(bits_)};
  write({bytes, 3U - padding_}, out);
  bits_ = 0;
  have_ = padding_ = 0;
  return true;
}

bool TextDecoder::decode(std::string_view text, http::CodedOutput& out) {
  while (!text.empty()) {
    if (have_ == 0 && text.size() >= 4) {
      size_t room = 0;
      char* to = out.room(room);
      size_t groups = std::min(text.size() / 4, room / 3);
      const char* from = text.data();
      size_t done = 0;
      for (; done < groups; ++done, from += 4, to += 3) {
        const uint32_t a = value_of(from[0]), b = value_of(from[1]), c = value_of(from[2]), d = value_of(from[3]);
        if (((a | b | c | d) & kNone) != 0) break;  // padding, or an error: character by character
        const uint32_t bits = a << 18 | b << 12 | c << 6 | d;
        to[0] = static_cast<char>(bits >> 16);
        to[1] = static_cast<char>(bits >> 8);
        to[2] = static_cast<char>(bits);
      }
      out.wrote(done * 3);
      text.remove_prefix(done * 4);
      if (text.empty()) return true;
    }
    if (!take(text.front(), out)) return false;
    text.remove_prefix(1);
  }
  return true;
}

void TextEncoder::encode(std::string_view bytes, http::CodedOutput& out) {
  const auto byte = [&bytes](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])); };
  while (have_ > 0 && have_ < 3 && !bytes.empty()) {
    if (have_ < 2) {
      kept_[have_++] = static_cast<unsigned char>(bytes[0]);
    } else {
      char group[4];
      encode_group(uint32_t{kept_[0]} << 16 | uint32_t{kept_[1]} << 8 | byte(0), group);
      write({group, 4}, out);
      have_ = 0;
    }
    bytes.remove_prefix(1);
  }
  while (bytes.size() >= 3) {
    size_t room = 0;
    char* to = out.room(room);
    const size_t groups = std::min(bytes.size() / 3, room / 4);
    if (groups == 0) {  // across the end of a block
      char group[4];
      encode_group(byte(0) << 16 | byte(1) << 8 | byte(2), group);
      write({group, 4}, out);
      bytes.remove_prefix(3);
      continue;
    }
    for (size_t i = 0; i < groups; ++i, to += 4)
      encode_group(byte(3 * i) << 16 | byte(3 * i + 1) << 8 | byte(3 * i + 2), to);
    out.wrote(groups * 4);
    bytes.remove_prefix(groups * 3);
  }
  for (const char c : bytes) kept_[have_++] = static_cast<unsigned char>(c);
}

void TextEncoder::end(http::CodedOutput& out) {
  if (have_ == 0) return;
  char group[4];
  encode_group(uint32_t{kept_[0]} << 16 | (have_ > 1 ? uint32_t{kept_[1]} << 8 : 0), group);
  if (have_ < 2) group[2] = '=';
  group[3] = '=';
  write({group, 4}, out);
  have_ = 0;
}

}  // namespace weir::filters::grpc_web
