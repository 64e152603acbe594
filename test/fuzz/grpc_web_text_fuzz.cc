// The text of gRPC-web. Anybody's text gives the same bytes, or the same refusal, whatever pieces it comes in, and what
// is accepted is what coding those bytes gives; bytes come back from the text they were coded to, wherever groups were
// ended.
#include <algorithm>
#include <cstdint>
#include <string>

#include "filters/http/grpc_web/base64.h"
#include "test/fuzz/input.h"

namespace {

using weir::filters::grpc_web::TextDecoder;
using weir::filters::grpc_web::TextEncoder;

weir::BlockPool& pool() {
  static weir::BlockPool kPool;
  return kPool;
}

struct Decoded {
  bool good = true;
  bool whole = true;
  std::string bytes;
  bool operator==(const Decoded&) const = default;
};

Decoded decode(std::string_view text, size_t piece) {
  Decoded decoded;
  weir::Slices bytes;
  TextDecoder decoder;
  {
    weir::http::CodedOutput out(bytes, pool());
    for (size_t at = 0; decoded.good && at < text.size(); at += piece)
      decoded.good = decoder.decode(text.substr(at, piece), out);
  }
  decoded.bytes = bytes.to_string();
  decoded.whole = decoded.good && decoder.between_groups();
  return decoded;
}

// Ends a group behind every `piece` bytes.
std::string encode(std::string_view bytes, size_t piece, size_t end_every) {
  weir::Slices text;
  {
    weir::http::CodedOutput out(text, pool());
    TextEncoder encoder;
    size_t pieces = 0;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      encoder.encode(bytes.substr(at, piece), out);
      if (end_every > 0 && ++pieces % end_every == 0) encoder.end(out);
    }
    encoder.end(out);
  }
  return text.to_string();
}

// The same text without what padding says: bytes of each group, coded group by group.
std::string canonical(std::string_view text) {
  std::string out;
  for (size_t at = 0; at + 4 <= text.size(); at += 4) out += encode(decode(text.substr(at, 4), 4).bytes, 3, 0);
  return out;
}

}  // namespace

// The first two bytes are the sizes of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::fuzz::require;
  if (size < 2) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t piece = data[0] + 1u;
  const Decoded whole = decode(rest, std::max<size_t>(rest.size(), 1));
  require(decode(rest, piece) == whole, "pieces give something else", rest, whole.bytes);
  require(decode(rest, 1) == whole, "single characters give something else", rest, whole.bytes);
  if (whole.whole) require(canonical(rest) == rest, "two texts for the same bytes", rest, whole.bytes);
  const std::string text = encode(rest, piece, data[1] % 5);
  const Decoded back = decode(text, data[1] + 1u);
  require(back.whole && back.bytes == rest, "bytes do not come back", rest, text);
  require(encode(rest, 1, 0) == encode(rest, piece, 0), "pieces are coded differently", rest);
  return 0;
}
