// What the heads of requests and of responses are both made of: lines, versions, field lines, and what these say about
// the framing of the message. Private to the parser.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/http/h1/error.h"
#include "core/http/h1/message.h"
#include "core/http/header_map.h"

namespace weir::http::h1 {

// What is wrong where a line should have ended with CRLF; kNone if it does.
inline ParseError check_line_end(const char* at, const char* end, ParseError otherwise) {
  if (at == end) return otherwise;
  switch (*at) {
    case '\r':
      return end - at >= 2 && at[1] == '\n' ? ParseError::kNone : ParseError::kBareCr;
    case '\n':
      return ParseError::kBareLf;
    default:
      return otherwise;
  }
}

// "HTTP/1.1" at `at`, where at least 8 bytes are.
inline ParseError read_version(const char* at, Version& version) {
  if (std::memcmp(at, "HTTP/1.1", 8) == 0) [[likely]] {
    version = Version::kHttp11;
    return ParseError::kNone;
  }
  auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (std::memcmp(at, "HTTP/", 5) != 0 || !digit(at[5]) || at[6] != '.' || !digit(at[7]))
    return ParseError::kInvalidVersion;
  if (at[5] != '1') return ParseError::kUnsupportedVersion;
  version = at[7] == '0' ? Version::kHttp10 : Version::kHttp11;
  return ParseError::kNone;
}

// What the fields of a head say about its framing and its connection.
struct Facts {
  uint64_t content_length = 0;
  std::string_view host;
  bool has_host = false;
  bool has_length = false;
  bool has_encoding = false;
  bool close = false;
  bool keep_alive = false;
  bool upgrade_option = false;
  bool has_upgrade = false;
  bool expect_continue = false;
};

enum class Section : uint8_t { kRequest, kResponse, kTrailers };

// The field lines from `position` up to the empty line; without an error `position` is behind that then. `floor`: where
// the text begins.
template <Section kSection>
ParseError parse_fields(const char*& position, const char* end, const char* floor, const Limits& limits, HeaderMap& map,
                        Facts& facts);
extern template ParseError parse_fields<Section::kRequest>(const char*&, const char*, const char*, const Limits&,
                                                           HeaderMap&, Facts&);
extern template ParseError parse_fields<Section::kResponse>(const char*&, const char*, const char*, const Limits&,
                                                            HeaderMap&, Facts&);

// RFC 9112 6.1 and 6.3, what requests and responses have in common.
inline ParseError check_framing(const Facts& facts, Version version, const Options& options) {
  if (!facts.has_encoding) return ParseError::kNone;
  if (facts.has_length && !options.allow_chunked_length) return ParseError::kLengthAndEncoding;
  if (version == Version::kHttp10) return ParseError::kEncodingInHttp10;
  return ParseError::kNone;
}

// RFC 9112 6.3: a message that passed although it has both. Nobody behind us may see the length, and what follows the
// message is not looked at: the sender, or somebody in front of us, may have meant something else.
[[gnu::cold]] inline void drop_length(HeaderMap& map, Facts& facts) {
  map.remove(HeaderId::kContentLength);
  facts.close = true;
}

inline void keep_spelling(std::string_view text, const Options& options, HeaderMap& map) {
  if (options.preserve_case) [[unlikely]]
    map.set_received({text, options.proper_case_of_added, options.forward_reason_phrase});
}

inline bool allows_keep_alive(const Facts& facts, Version version) {
  return !facts.close && (version != Version::kHttp10 || facts.keep_alive);
}

}  // namespace weir::http::h1
