#include "core/http/h1/message_reader.h"

#include <algorithm>
#include <cstring>

#include "core/http/h1/parser.h"

namespace weir::http::h1 {
namespace {

void copy_front(const Slices& in, size_t bytes, char* to) {
  for (size_t i = 0; bytes > 0; ++i) {
    const Slice& slice = in.at(i);
    size_t part = std::min<size_t>(slice.size, bytes);
    std::memcpy(to, slice.data, part);
    to += part;
    bytes -= part;
  }
}

}  // namespace

HeadBytes contiguous_front(const Slices& in, size_t bytes, BlockPool& pool) {
  const Slice& front = in.front();
  if (front.size >= bytes) [[likely]]
    return {front.block, {front.data, bytes}};
  BlockRef block = pool.take(bytes);
  copy_front(in, bytes, block->data());
  block->set_used(bytes);
  std::string_view text(block->data(), bytes);
  return {std::move(block), text};
}

std::string_view peek_front(const Slices& in, char* room, size_t room_bytes) {
  size_t bytes = std::min(in.size(), room_bytes);
  if (bytes == 0) return {};
  if (in.front().size >= bytes) return in.front().view().substr(0, bytes);
  copy_front(in, bytes, room);
  return {room, bytes};
}

ParseError too_large(const Slices& in, size_t limit) {
  size_t at = 0;
  for (size_t i = 0; i < in.slice_count() && at < limit; ++i) {
    std::string_view text = in.at(i).view().substr(0, limit - at);
    // An empty line in front of the request does not end the request line.
    for (size_t k = 0; k < text.size(); ++k, ++at) {
      if (text[k] == '\n' && at > 1) return ParseError::kHeadTooLarge;
    }
  }
  return ParseError::kTargetTooLong;
}

ParseError BodyReader::read(Slices& in, Slices& data, HeadScanner& scanner, const Limits& limits, Found& found,
                            size_t& trailer_bytes) {
  found = Found::kData;
  switch (kind_) {
    case BodyKind::kNone:
      found = Found::kEnd;
      return ParseError::kNone;
    case BodyKind::kLength: {
      auto bytes = static_cast<size_t>(std::min<uint64_t>(remaining_, in.size()));
      in.move_front(bytes, data);
      remaining_ -= bytes;
      if (remaining_ == 0) found = Found::kEnd;
      return ParseError::kNone;
    }
    case BodyKind::kUntilClose:
    case BodyKind::kTunnel:
      in.move_front(in.size(), data);
      return ParseError::kNone;
    case BodyKind::kChunked:
      break;
  }
  if (!chunks_.at_trailers()) {
    ParseError error = chunks_.decode(in, data, limits.max_chunk_extension_bytes);
    if (error != ParseError::kNone) return error;
    if (!chunks_.at_trailers()) return ParseError::kNone;
    scanner.reset(HeadScanner::From::kTrailers);
  }
  size_t end = scanner.find_end(in, limits.max_trailer_bytes);
  if (end == 0) {
    found = Found::kNeedMore;
    return scanner.scanned() >= limits.max_trailer_bytes ? ParseError::kTrailersTooLarge : ParseError::kNone;
  }
  if (end <= 2) {
    // "\r\n"; a lone LF ends a section for the scanner, but not for RFC 9112 2.2.
    if (end == 1) return ParseError::kBareLf;
    in.drop_front(end);
    found = Found::kEnd;
    return ParseError::kNone;
  }
  found = Found::kTrailers;
  trailer_bytes = end;
  return ParseError::kNone;
}

ParseError take_trailers(Slices& in, size_t bytes, const Settings& settings, HeaderMap& map) {
  char* text = map.arena().allocate_bytes(bytes);
  copy_front(in, bytes, text);
  ParseError error = parse_trailers({text, bytes}, settings, map);
  if (error == ParseError::kNone) in.drop_front(bytes);
  return error;
}

}  // namespace weir::http::h1
