// UUIDs of version 4 (RFC 9562 section 5.4), as text. Unique, not secret: they are as random as their source.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/random.h"

namespace weir {

inline constexpr size_t kUuidSize = 36;

// Writes kUuidSize characters.
inline void write_uuid(char* to, Random& random) {
  constexpr char kHex[] = "0123456789abcdef";
  const uint64_t high = (random.next() & ~uint64_t{0xf000}) | 0x4000;                 // version 4
  const uint64_t low = (random.next() & ~(uint64_t{3} << 62)) | (uint64_t{2} << 62);  // variant of the RFC
  const auto write = [&](uint64_t value, int digits) {
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) *to++ = kHex[(value >> shift) & 15];
  };
  write(high >> 32, 8);
  *to++ = '-';
  write(high >> 16, 4);
  *to++ = '-';
  write(high, 4);
  *to++ = '-';
  write(low >> 48, 4);
  *to++ = '-';
  write(low, 12);
}

}  // namespace weir
