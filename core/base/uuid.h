// UUIDs of version 4 (RFC 9562 section 5.4), as text. Unique, not secret: they are as random as their source.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/base/random.h"

namespace weir {

inline constexpr size_t kUuidSize = 36;

// Eight lowercase hexadecimal digits, all at once: a byte for each four bits, and 39 more from '0' on where the letters
// begin.
inline void write_hex(char* to, uint32_t value) {
  uint64_t x = value;
  x = (x << 16 | x) & 0x0000ffff'0000ffff;
  x = (x << 8 | x) & 0x00ff00ff'00ff00ff;
  x = (x << 4 | x) & 0x0f0f0f0f'0f0f0f0f;
  const uint64_t letters = (x + 0x06060606'06060606) >> 4 & 0x01010101'01010101;
  x += 0x30303030'30303030 + letters * ('a' - '0' - 10);
  if constexpr (std::endian::native == std::endian::little) x = __builtin_bswap64(x);
  std::memcpy(to, &x, sizeof(x));
}

// Writes kUuidSize characters, of two numbers that are random, or made of what is.
inline void write_uuid(char* to, uint64_t first, uint64_t second) {
  const uint64_t high = (first & ~uint64_t{0xf000}) | 0x4000;                  // version 4
  const uint64_t low = (second & ~(uint64_t{3} << 62)) | (uint64_t{2} << 62);  // variant of the RFC
  char middle[16];
  write_hex(to, static_cast<uint32_t>(high >> 32));
  write_hex(middle, static_cast<uint32_t>(high));
  write_hex(middle + 8, static_cast<uint32_t>(low >> 32));
  write_hex(to + 28, static_cast<uint32_t>(low));
  for (int i = 0; i < 4; ++i) {
    to[8 + 5 * i] = '-';
    std::memcpy(to + 9 + 5 * i, middle + 4 * i, 4);
  }
}

inline void write_uuid(char* to, Random& random) {
  const uint64_t first = random.next();
  write_uuid(to, first, random.next());
}

}  // namespace weir
