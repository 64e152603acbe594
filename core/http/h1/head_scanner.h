// Finds the empty line that ends a head or a trailer section, over any number of slices and deliveries, looking at each
// byte once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/block.h"

namespace weir::http::h1 {

class HeadScanner {
 public:
  // A trailer section may be empty: its first line may be the last.
  enum class From : uint8_t { kStartLine, kTrailers };

  void reset(From from) {
    scanned_ = 0;
    line_ = from == From::kTrailers ? Line::kEmpty : Line::kText;
  }
  // Looks at the bytes of `in` behind those seen before. Returns the number of bytes up to and with the empty line, or
  // 0 if it is not there yet. LF LF ends a section too: the parser then names the error. Stops at `limit` bytes.
  size_t find_end(const Slices& in, size_t limit);
  // Bytes seen of a section that has not ended.
  size_t scanned() const { return scanned_; }

 private:
  enum class Line : uint8_t { kText, kEmpty, kCr };  // what the current line consists of so far

  const char* scan_bulk(const char*& at, const char* end);
  const char* scan(const char* at, const char* end);

  uint32_t scanned_ = 0;
  Line line_ = Line::kText;
};

}  // namespace weir::http::h1
