// Finding the first byte that does not belong, 16 bytes at a time with SSE2 (every x86-64 has it), byte by byte
// elsewhere. Nothing reads beyond `end`, or in front of `floor`, where the text begins.
#pragma once

#include <bit>
#include <cstdint>

#include "core/http/chars.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#define WEIR_H1_SSE2 1
#else
#define WEIR_H1_SSE2 0
#endif

namespace weir::http::h1::simd {

#if WEIR_H1_SSE2
inline __m128i load(const char* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }
inline unsigned mask_of(__m128i lanes) { return static_cast<unsigned>(_mm_movemask_epi8(lanes)); }
inline unsigned equal_mask(const char* at, char wanted) {
  return mask_of(_mm_cmpeq_epi8(load(at), _mm_set1_epi8(wanted)));
}
#endif

#if WEIR_H1_SSE2
// `at` moves to the first byte for which mask(bytes) has a bit, or to `end`. The last bytes are looked at through a
// window that ends at `end` and begins, where that is readable (not before `floor`), in front of `at`. Otherwise they
// are left to the caller, byte by byte: false.
template <class Mask>
inline bool find_first(const char*& at, const char* end, const char* floor, Mask mask_of_bytes) {
  for (; end - at >= 16; at += 16) {
    unsigned mask = mask_of_bytes(load(at));
    if (mask != 0) {
      at += std::countr_zero(mask);
      return true;
    }
  }
  if (end - floor < 16) return false;
  unsigned mask = mask_of_bytes(load(end - 16)) >> (16 - (end - at));
  at = mask != 0 ? at + std::countr_zero(mask) : end;
  return true;
}
#endif

// The first control character other than HTAB, DEL included: where a field value ends, or breaks the rules.
inline const char* find_field_end(const char* at, const char* end, const char* floor) {
#if WEIR_H1_SSE2
  const __m128i last_control = _mm_set1_epi8(0x1f);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7f);
  if (find_first(at, end, floor, [&](__m128i bytes) {
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
        control = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), control);
        return mask_of(_mm_or_si128(control, _mm_cmpeq_epi8(bytes, del)));
      })) {
    return at;
  }
#endif
  while (at < end && is_char(*at, kFieldChar)) ++at;
  return at;
}

// The first byte that is not visible ASCII, or is '#': where a request-target ends, or breaks the rules (RFC 9112 3.2).
inline const char* find_target_end(const char* at, const char* end, const char* floor) {
#if WEIR_H1_SSE2
  const __m128i space = _mm_set1_epi8(0x20);
  const __m128i hash = _mm_set1_epi8('#');
  const __m128i del = _mm_set1_epi8(0x7f);
  if (find_first(at, end, floor, [&](__m128i bytes) {
        // Signed: bytes of 0x80 and more are below zero.
        __m128i visible = _mm_cmpgt_epi8(bytes, space);
        __m128i never = _mm_or_si128(_mm_cmpeq_epi8(bytes, hash), _mm_cmpeq_epi8(bytes, del));
        return mask_of(_mm_andnot_si128(never, visible)) ^ 0xffffu;
      })) {
    return at;
  }
#endif
  while (at < end && is_char(*at, kTargetChar)) ++at;
  return at;
}

// The first ':'; `end` if there is none.
inline const char* find_colon(const char* at, const char* end, const char* floor) {
#if WEIR_H1_SSE2
  const __m128i colon = _mm_set1_epi8(':');
  if (find_first(at, end, floor, [&](__m128i bytes) { return mask_of(_mm_cmpeq_epi8(bytes, colon)); })) return at;
#endif
  while (at < end && *at != ':') ++at;
  return at;
}

// True if the `size` bytes at `at` are a-z, 0-9 and '-' only, as most names on the wire are. `readable` bytes may be
// looked at; fewer than a whole number of 16 gives the answer "perhaps not".
inline bool is_plain_lower([[maybe_unused]] const char* at, [[maybe_unused]] size_t size,
                           [[maybe_unused]] size_t readable) {
#if WEIR_H1_SSE2
  if (((size + 15) & ~size_t{15}) > readable) return false;
  for (size_t i = 0; i < size; i += 16) {
    __m128i bytes = load(at + i);
    __m128i letters =
        _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8('a' - 1)), _mm_cmpgt_epi8(_mm_set1_epi8('z' + 1), bytes));
    __m128i digits =
        _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8('0' - 1)), _mm_cmpgt_epi8(_mm_set1_epi8('9' + 1), bytes));
    __m128i dashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-'));
    unsigned plain = mask_of(_mm_or_si128(_mm_or_si128(letters, digits), dashes));
    unsigned wanted = size - i >= 16 ? 0xffffu : (1u << (size - i)) - 1;
    if ((plain & wanted) != wanted) return false;
  }
  return true;
#else
  return false;
#endif
}

}  // namespace weir::http::h1::simd
