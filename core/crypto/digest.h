// Digests and message authentication (FIPS 180-4, RFC 2104), and comparison that takes the same time whatever differs.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::crypto {

using Md5Digest = std::array<uint8_t, 16>;
using Sha1Digest = std::array<uint8_t, 20>;
using Sha256Digest = std::array<uint8_t, 32>;

// [any] All of these need open_library() to have succeeded.
Md5Digest md5(std::string_view bytes);  // of fingerprints that are published so; protects nothing
Sha1Digest sha1(std::string_view bytes);
Sha256Digest sha256(std::string_view bytes);
Sha256Digest hmac_sha256(std::string_view key, std::string_view bytes);

// Whether the texts are equal. The time tells their sizes, and nothing of their contents.
bool equal_in_constant_time(std::string_view a, std::string_view b);

// Lower-case hexadecimal digits, two for each byte.
std::string to_hex(const uint8_t* bytes, size_t size);
template <size_t N>
std::string to_hex(const std::array<uint8_t, N>& digest) {
  return to_hex(digest.data(), N);
}
// RFC 4648 section 4, padded.
std::string to_base64(const uint8_t* bytes, size_t size);
template <size_t N>
std::string to_base64(const std::array<uint8_t, N>& bytes) {
  return to_base64(bytes.data(), N);
}

}  // namespace weir::crypto
