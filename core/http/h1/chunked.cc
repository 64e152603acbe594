#include "core/http/h1/chunked.h"

#include <algorithm>

#include "core/http/chars.h"

namespace weir::http::h1 {
namespace {
constexpr uint8_t kMaxDigits = 16;
bool is_space(char c) { return c == ' ' || c == '\t'; }

// Names the byte that stands where none of its kind may.
ParseError refuse(char c, ParseError otherwise) { return c == '\n' ? ParseError::kBareLf : otherwise; }
}  // namespace

ParseError ChunkDecoder::decode(Slices& in, Slices& data, uint32_t max_extension_bytes) {
  while (!in.empty() && state_ != State::kTrailers) {
    if (state_ == State::kData) {
      auto bytes = static_cast<size_t>(std::min<uint64_t>(size_, in.size()));
      in.move_front(bytes, data);
      size_ -= bytes;
      if (size_ == 0) state_ = State::kDataCr;
      continue;
    }
    std::string_view text = in.front().view();
    size_t used = 0;
    while (used < text.size() && state_ != State::kData && state_ != State::kTrailers) {
      ParseError error = step(text[used++]);
      if (error == ParseError::kNone && extension_bytes_ > max_extension_bytes)
        error = ParseError::kChunkExtensionsTooLarge;
      if (error != ParseError::kNone) return error;
    }
    in.drop_front(used);
  }
  return ParseError::kNone;
}

ParseError ChunkDecoder::step(char c) {
  switch (state_) {
    case State::kSize: {
      int digit = hex_value(c);
      if (digit >= 0) {
        // 16 digits can say more than any message has; the top bit stays free for arithmetic.
        if (++digits_ > kMaxDigits) return ParseError::kInvalidChunkSize;
        size_ = size_ << 4 | static_cast<uint64_t>(digit);
        return size_ >> 63 != 0 ? ParseError::kChunkTooLarge : ParseError::kNone;
      }
      if (digits_ == 0) return refuse(c, ParseError::kInvalidChunkSize);
      if (c == '\r')
        state_ = State::kLineEnd;
      else if (c == ';' || is_space(c))
        return step_extension(c);
      else
        return refuse(c, ParseError::kInvalidChunkSize);
      return ParseError::kNone;
    }
    case State::kLineEnd:
      if (c != '\n') return ParseError::kBareCr;
      state_ = size_ == 0 ? State::kTrailers : State::kData;
      return ParseError::kNone;
    case State::kDataCr:
      if (c != '\r') return refuse(c, ParseError::kMissingChunkEnd);
      state_ = State::kDataLf;
      return ParseError::kNone;
    case State::kDataLf:
      if (c != '\n') return ParseError::kMissingChunkEnd;
      state_ = State::kSize;
      digits_ = 0;
      return ParseError::kNone;
    default:
      return step_extension(c);
  }
}

// RFC 9112 7.1.1: *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ). Read strictly and thrown away: what
// one recipient takes for an extension, another must not take for a chunk.
ParseError ChunkDecoder::step_extension(char c) {
  ++extension_bytes_;
  auto go = [this](State next) {
    state_ = next;
    return ParseError::kNone;
  };
  const bool token = is_char(c, kTokenChar);
  switch (state_) {
    case State::kSize:
    case State::kBeforeExtension:
      if (c == ';') return go(State::kName);
      if (is_space(c)) return go(State::kBeforeExtension);
      break;
    case State::kName:
      if (is_space(c)) return ParseError::kNone;
      if (token) return go(State::kInName);
      break;
    case State::kInName:
      if (token) return ParseError::kNone;
      if (is_space(c)) return go(State::kAfterName);
      [[fallthrough]];
    case State::kAfterName:
      if (c == '=') return go(State::kValue);
      if (c == ';') return go(State::kName);
      if (is_space(c)) return ParseError::kNone;
      if (c == '\r' && state_ == State::kInName) return go(State::kLineEnd);
      break;
    case State::kValue:
      if (is_space(c)) return ParseError::kNone;
      if (c == '"') return go(State::kQuoted);
      if (token) return go(State::kInValue);
      break;
    case State::kInValue:
      if (token) return ParseError::kNone;
      [[fallthrough]];
    case State::kAfterQuoted:
      if (c == ';') return go(State::kName);
      if (is_space(c)) return go(State::kBeforeExtension);
      if (c == '\r') return go(State::kLineEnd);
      break;
    case State::kQuoted:
      if (c == '"') return go(State::kAfterQuoted);
      if (c == '\\') return go(State::kQuotedPair);
      if (is_char(c, kFieldChar)) return ParseError::kNone;
      break;
    case State::kQuotedPair:
      if (is_char(c, kFieldChar)) return go(State::kQuoted);
      break;
    default:
      break;
  }
  return refuse(c, ParseError::kInvalidChunkExtension);
}

}  // namespace weir::http::h1
