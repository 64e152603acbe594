// Response heads: RFC 9112 section 4, and how their fields frame the message.
#include "core/http/h1/head_parts.h"
#include "core/http/h1/parser.h"
#include "core/http/h1/simd.h"
#include "core/http/status.h"

namespace weir::http::h1 {
namespace {

using enum HeaderId;

struct StatusLine {
  const char* status = nullptr;
  const char* end = nullptr;  // behind CRLF
  int code = 0;
  Version version = Version::kHttp11;
};

// Stops at the first byte that does not fit, never behind a line end: what follows the head makes no difference.
ParseError parse_status_line(std::string_view head, StatusLine& line) {
  const char* at = head.data();
  const char* const end = at + head.size();
  if (head.size() < 9) return ParseError::kInvalidStatusLine;
  ParseError error = read_version(at, line.version);
  if (error == ParseError::kUnsupportedVersion) return error;
  if (error != ParseError::kNone || at[8] != ' ') return ParseError::kInvalidStatusLine;
  at += 9;
  line.status = at;
  for (const char* const digits_end = at + 3; at < digits_end; ++at) {
    if (at >= end || *at < '0' || *at > '9') return ParseError::kInvalidStatus;
    line.code = line.code * 10 + (*at - '0');
  }
  if (line.code < 100 || at == end) return ParseError::kInvalidStatus;
  // Section 4 wants a space even in front of an empty reason; its absence is common and cannot be misread.
  if (*at == ' ') {
    at = simd::find_field_end(at, end, head.data());
  } else if (*at != '\r' && *at != '\n') {
    return *at >= '0' && *at <= '9' ? ParseError::kInvalidStatus : ParseError::kInvalidStatusLine;
  }
  error = check_line_end(at, end, ParseError::kInvalidStatusLine);
  line.end = at + 2;
  return error;
}

// RFC 9110 7.8: a server must not switch to a protocol that the client did not indicate, and must say to which.
bool asked_for(const RequestKind& request, const HeaderMap& response) {
  if (!request.is_upgrade || !response.contains(HeaderId::kUpgrade)) return false;
  if (request.protocol == 0) return true;
  return upgrade_protocol(response.get(HeaderId::kUpgrade)) == request.protocol;
}

}  // namespace

int peek_status(std::string_view head) {
  StatusLine line;
  return parse_status_line(head, line) == ParseError::kNone ? line.code : 0;
}

uint32_t upgrade_protocol(std::string_view upgrade) {
  if (upgrade.empty() || upgrade.find(',') != std::string_view::npos) return 0;
  uint32_t hash = 2166136261;  // FNV-1a
  for (char c : upgrade) hash = (hash ^ static_cast<unsigned char>(to_lower(c))) * 16777619;
  return hash != 0 ? hash : 1;
}

ParseError parse_response_head(std::string_view head, const Settings& settings, RequestKind request, HeaderMap& map,
                               ResponseHead& out) {
  StatusLine line;
  ParseError error = parse_status_line(head, line);
  if (error != ParseError::kNone) return error;
  out.status = static_cast<uint16_t>(line.code);
  out.version = line.version;
  map.add(kStatus, std::string_view(line.status, 3));
  Facts facts;
  error =
      parse_fields<Section::kResponse>(line.end, head.data() + head.size(), head.data(), settings.limits, map, facts);
  if (error != ParseError::kNone) return error;
  out.head_bytes = static_cast<uint32_t>(line.end - head.data());
  keep_spelling(head.substr(0, out.head_bytes), settings.options, map);
  error = check_framing(facts, out.version, settings.options);
  if (error != ParseError::kNone) return error;
  if (facts.has_encoding && (is_informational(line.code) || line.code == 204)) return ParseError::kEncodingWithoutBody;
  if (line.code == 101 && !asked_for(request, map)) [[unlikely]]
    return ParseError::kUnexpectedUpgrade;
  if (facts.has_encoding && facts.has_length) [[unlikely]]
    drop_length(map, facts);

  out.keep_alive = allows_keep_alive(facts, out.version);
  // RFC 9112 6.3, in its order.
  if (line.code == 101 || (request.is_connect && is_success(line.code))) {
    out.body = BodyKind::kTunnel;
    out.keep_alive = false;
  } else if (request.is_head || forbids_content(line.code)) {
    out.body = BodyKind::kNone;
  } else if (facts.has_encoding) {
    out.body = BodyKind::kChunked;
  } else if (facts.has_length) {
    out.body = BodyKind::kLength;
    out.content_length = facts.content_length;
  } else {
    out.body = BodyKind::kUntilClose;
    out.keep_alive = false;
  }
  out.end_stream = (out.body == BodyKind::kNone && !is_informational(line.code)) ||
                   (out.body == BodyKind::kLength && out.content_length == 0);
  return ParseError::kNone;
}

}  // namespace weir::http::h1
