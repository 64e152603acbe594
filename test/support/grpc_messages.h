// Bodies of gRPC and gRPC-web, made and read in the plainest way, for tests of what does it in pieces.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::test {

inline std::string grpc_frame(std::string_view payload, uint8_t flags = 0) {
  std::string frame(1, static_cast<char>(flags));
  for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>(payload.size() >> shift & 0xff);
  return frame.append(payload);
}

inline constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

inline std::string base64(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t j = i; j < i + 3; ++j) bits = bits << 8 | (j < bytes.size() ? static_cast<unsigned char>(bytes[j]) : 0);
    for (size_t j = 0; j < 4; ++j) text += i + j <= bytes.size() ? kBase64[bits >> (18 - 6 * j) & 63] : '=';
  }
  return text;
}

// Of groups of four, each of which may have padding.
inline std::string from_base64(std::string_view text) {
  EXPECT_EQ(text.size() % 4, 0u) << text;
  std::string bytes;
  for (size_t i = 0; i + 4 <= text.size(); i += 4) {
    uint32_t bits = 0;
    size_t padding = 0;
    for (size_t j = i; j < i + 4; ++j) {
      const size_t value = kBase64.find(text[j]);
      if (value == std::string_view::npos) {
        EXPECT_EQ(text[j], '=') << text;
        ++padding;
      }
      bits = bits << 6 | (value == std::string_view::npos ? 0 : static_cast<uint32_t>(value));
    }
    for (size_t j = 0; j + padding < 3; ++j) bytes += static_cast<char>(bits >> (16 - 8 * j) & 0xff);
  }
  return bytes;
}

}  // namespace weir::test
