// What both codecs do with the bytes of one message: find its head, and cut its body into data and trailers.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/base/block.h"
#include "core/http/h1/chunked.h"
#include "core/http/h1/error.h"
#include "core/http/h1/head_scanner.h"
#include "core/http/h1/message.h"
#include "core/http/header_map.h"

namespace weir::http::h1 {

// A complete head as contiguous bytes, and what keeps them alive.
struct HeadBytes {
  BlockRef owner;
  std::string_view text;
};

// The first `bytes` bytes of `in`: where they are if one slice holds them all, else copied once into a new block.
HeadBytes contiguous_front(const Slices& in, size_t bytes, BlockPool& pool);
// True if `in` is one slice of at most `limit` bytes that ends with an empty line: the usual delivery of a message
// without a body. Some head is complete then, and the parser finds its end as well as a scan would.
inline bool ends_with_head(const Slices& in, size_t limit) {
  const Slice& front = in.front();
  return front.size == in.size() && front.size <= limit && front.size >= 4 &&
         std::memcmp(front.data + front.size - 4, "\r\n\r\n", 4) == 0;
}
// The first bytes of `in`, for a look at an incomplete head: a view of the front slice or a copy in `room`.
std::string_view peek_front(const Slices& in, char* room, size_t room_bytes);
// Why a head of more than `limit` bytes is refused: its first line alone (414), or all of it (431).
ParseError too_large(const Slices& in, size_t limit);

// The body of one message.
class BodyReader {
 public:
  void start(BodyKind kind, uint64_t length) {
    kind_ = kind;
    remaining_ = length;
    if (kind == BodyKind::kChunked) chunks_.reset();
  }

  enum class Found : uint8_t {
    kData,      // all of `in` has been taken
    kNeedMore,  // `data`, and an incomplete trailer section stays in `in`
    kEnd,       // the message is complete with `data`
    kTrailers,  // `data`, then a complete trailer section of trailer_bytes at the front of `in`
  };
  // Bytes still to come of a body whose length is known; 0 of others.
  uint64_t left() const { return kind_ == BodyKind::kLength ? remaining_ : 0; }
  // Moves body bytes from `in` to `data`. `scanner` is free for use between heads.
  [[nodiscard]] ParseError read(Slices& in, Slices& data, HeadScanner& scanner, const Limits& limits, Found& found,
                                size_t& trailer_bytes);

 private:
  uint64_t remaining_ = 0;
  ChunkDecoder chunks_;
  BodyKind kind_ = BodyKind::kNone;
};

// Copies a trailer section out of `in` into the arena of `map` and parses it there.
[[nodiscard]] ParseError take_trailers(Slices& in, size_t bytes, const Settings& settings, HeaderMap& map);

}  // namespace weir::http::h1
