#include "core/http/h1/head_scanner.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/http/h1/simd.h"

namespace weir::http::h1 {

// Skips the text of lines, 16 bytes at a time, and empty lines within those. Returns the byte behind the end of the
// section if it is met, else nullptr with `at` where the caller goes on: behind a line end, or near `end`.
const char* HeadScanner::scan_bulk(const char*& at, const char* end) {
#if WEIR_H1_SSE2
  for (; end - at >= 16; at += 16) {
    for (unsigned mask = simd::equal_mask(at, '\n'); mask != 0; mask &= mask - 1) {
      const char* next = at + std::countr_zero(mask) + 1;
      if (end - next < 2) {
        at = next;
        line_ = Line::kEmpty;
        return nullptr;
      }
      if (next[0] == '\n') return next + 1;
      if (next[0] == '\r' && next[1] == '\n') return next + 2;
    }
  }
#endif
  auto* line_end = static_cast<const char*>(std::memchr(at, '\n', static_cast<size_t>(end - at)));
  at = line_end != nullptr ? line_end + 1 : end;
  if (line_end != nullptr) line_ = Line::kEmpty;
  return nullptr;
}

// Returns the byte behind the end of the section, or nullptr.
const char* HeadScanner::scan(const char* at, const char* end) {
  while (at < end) {
    if (line_ == Line::kText) {
      const char* found = scan_bulk(at, end);
      if (found != nullptr) return found;
      continue;
    }
    char c = *at++;
    if (c == '\n') return at;
    line_ = c == '\r' && line_ == Line::kEmpty ? Line::kCr : Line::kText;
  }
  return nullptr;
}

size_t HeadScanner::find_end(const Slices& in, size_t limit) {
  size_t before = 0;  // bytes of the slices in front of the current one
  for (size_t i = 0; i < in.slice_count() && before < limit; ++i) {
    const Slice& slice = in.at(i);
    size_t usable = std::min<size_t>(slice.size, limit - before);
    if (before + usable > scanned_) {
      Line line = line_;
      const char* found = scan(slice.data + (scanned_ - before), slice.data + usable);
      if (found != nullptr) {
        line_ = line;  // so that asking again gives the same answer
        return before + static_cast<size_t>(found - slice.data);
      }
      scanned_ = static_cast<uint32_t>(before + usable);
    }
    before += slice.size;
  }
  return 0;
}

}  // namespace weir::http::h1
