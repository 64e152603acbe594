// The decoder of the chunked coding (RFC 9112 7.1) up to, and not with, the trailer section. Consumes every byte it is
// given and keeps none: data leaves as sub-slices, chunk lines go through a state machine byte by byte.
#pragma once

#include <cstdint>

#include "core/base/block.h"
#include "core/http/h1/error.h"

namespace weir::http::h1 {

class ChunkDecoder {
 public:
  void reset() { *this = ChunkDecoder(); }
  // Moves the data of `in` to the end of `data`, until `in` is empty or the last chunk's line has been read.
  [[nodiscard]] ParseError decode(Slices& in, Slices& data, uint32_t max_extension_bytes);
  // The line of the last chunk has been read: the trailer section follows.
  bool at_trailers() const { return state_ == State::kTrailers; }

 private:
  enum class State : uint8_t {
    kSize,             // digits
    kBeforeExtension,  // white space that must end in ';'
    kName,             // behind ';'
    kInName,
    kAfterName,  // white space that must end in '=' or ';'
    kValue,      // behind '='
    kInValue,
    kQuoted,
    kQuotedPair,  // behind a backslash
    kAfterQuoted,
    kLineEnd,  // LF of the chunk line
    kData,
    kDataCr,
    kDataLf,
    kTrailers,
  };

  ParseError step(char c);
  ParseError step_extension(char c);

  uint64_t size_ = 0;  // of the chunk; while in kData: bytes left
  uint32_t extension_bytes_ = 0;
  uint8_t digits_ = 0;
  State state_ = State::kSize;
};

}  // namespace weir::http::h1
