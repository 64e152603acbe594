#include "core/http/h1/parser.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/http/chars.h"
#include "core/http/h1/simd.h"
#include "core/http/status.h"
#include "core/http/url.h"

namespace weir::http::h1 {
namespace {

// No registered method has more than 17 characters. A limit of its own, so that the start of a head which arrives byte
// by byte is not looked at again and again for long.
constexpr size_t kMaxMethodBytes = 64;
constexpr size_t kMaxNameBytes = 0xffff;  // HeaderEntry::name_size

constexpr std::string_view kRegisteredMethods[] = {"ACL",
                                                   "BASELINE-CONTROL",
                                                   "BIND",
                                                   "CHECKIN",
                                                   "CHECKOUT",
                                                   "CONNECT",
                                                   "COPY",
                                                   "DELETE",
                                                   "GET",
                                                   "HEAD",
                                                   "LABEL",
                                                   "LINK",
                                                   "LOCK",
                                                   "MERGE",
                                                   "MKACTIVITY",
                                                   "MKCALENDAR",
                                                   "MKCOL",
                                                   "MKREDIRECTREF",
                                                   "MKWORKSPACE",
                                                   "MOVE",
                                                   "OPTIONS",
                                                   "ORDERPATCH",
                                                   "PATCH",
                                                   "POST",
                                                   "PROPFIND",
                                                   "PROPPATCH",
                                                   "PUT",
                                                   "REBIND",
                                                   "REPORT",
                                                   "SEARCH",
                                                   "TRACE",
                                                   "UNBIND",
                                                   "UNCHECKOUT",
                                                   "UNLINK",
                                                   "UNLOCK",
                                                   "UPDATE",
                                                   "UPDATEREDIRECTREF",
                                                   "VERSION-CONTROL"};

bool is_registered(std::string_view method) {
  return std::binary_search(std::begin(kRegisteredMethods), std::end(kRegisteredMethods), method);
}

// What is wrong where a line should have ended with CRLF; kNone if it does.
ParseError check_line_end(const char* at, const char* end, ParseError otherwise) {
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

// RFC 9112 6.1. Recipients must understand chunked; anything more is 501, anything that hides where chunked stands 400.
ParseError check_transfer_encoding(std::string_view value) {
  if (equals_ignoring_case(value, "chunked")) return ParseError::kNone;
  size_t comma = value.rfind(',');
  std::string_view last = trim_spaces(comma == std::string_view::npos ? value : value.substr(comma + 1));
  bool sound = is_token(last);
  if (comma != std::string_view::npos) {
    sound = sound && equals_ignoring_case(last, "chunked");
    std::string_view others = value.substr(0, comma);
    for (size_t at = 0; at <= others.size();) {
      size_t next = std::min(others.find(',', at), others.size());
      std::string_view coding = trim_spaces(others.substr(at, next - at));
      sound = sound && is_token(coding) && !equals_ignoring_case(coding, "chunked");
      at = next + 1;
    }
  }
  return sound ? ParseError::kUnsupportedTransferEncoding : ParseError::kInvalidTransferEncoding;
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

using enum HeaderId;

constexpr auto kNoted = detail::make_id_set({kHost, kContentLength, kTransferEncoding, kConnection, kUpgrade, kExpect});

void note_connection(std::string_view value, Facts& facts) {
  for_each_member(value, [&](std::string_view option) {
    if (equals_ignoring_case(option, "close"))
      facts.close = true;
    else if (equals_ignoring_case(option, "keep-alive"))
      facts.keep_alive = true;
    else if (equals_ignoring_case(option, "upgrade"))
      facts.upgrade_option = true;
  });
}

ParseError note_field(HeaderId id, std::string_view value, Facts& facts) {
  switch (id) {
    case kHost:
      if (facts.has_host) return ParseError::kDuplicateHost;
      facts.has_host = true;
      facts.host = value;
      break;
    case kContentLength:
      if (facts.has_length) return ParseError::kDuplicateContentLength;
      if (!parse_decimal(value, facts.content_length)) {
        return value.find(',') != std::string_view::npos ? ParseError::kDuplicateContentLength
                                                         : ParseError::kInvalidContentLength;
      }
      facts.has_length = true;
      break;
    case kTransferEncoding:
      if (facts.has_encoding) return ParseError::kInvalidTransferEncoding;
      facts.has_encoding = true;
      return check_transfer_encoding(value);
    case kConnection:
      if (value == "keep-alive")
        facts.keep_alive = true;
      else
        note_connection(value, facts);
      break;
    case kUpgrade:
      facts.has_upgrade = true;
      break;
    case kExpect:
      facts.expect_continue = equals_ignoring_case(value, "100-continue");
      break;
    default:
      break;
  }
  return ParseError::kNone;
}

bool is_space(char c) { return c == ' ' || c == '\t'; }

// Names a line whose name, up to its colon, is not a token. Cold.
[[gnu::noinline]] ParseError bad_name(const char* begin, const char* end) {
  const char* at = begin;
  while (at < end && is_char(*at, kTokenChar)) ++at;
  if (at == end) return ParseError::kMissingColon;
  switch (*at) {
    case ':':
      return at == begin ? ParseError::kEmptyName : ParseError::kInvalidName;
    case '\r':
      return end - at >= 2 && at[1] == '\n' ? ParseError::kMissingColon : ParseError::kBareCr;
    case '\n':
      return ParseError::kBareLf;
    case '\0':
      return ParseError::kNulByte;
    case ' ':
    case '\t':
      while (at < end && (*at == ' ' || *at == '\t')) ++at;
      return at < end && *at == ':' ? ParseError::kSpaceBeforeColon : ParseError::kInvalidName;
    default:
      return ParseError::kInvalidName;
  }
}

[[gnu::noinline]] ParseError bad_value(const char* at, const char* end) {
  if (at < end && *at == '\0') return ParseError::kNulByte;
  return check_line_end(at, end, ParseError::kInvalidValue);
}

// A name that is not well known: checked here, because a well-known one is a token by being found.
ParseError own_name(const char* begin, const char* colon, const char* end, Arena& arena, std::string_view& name) {
  if (colon - begin <= 64 && colon != begin && colon != end &&
      simd::is_plain_lower(begin, static_cast<size_t>(colon - begin), static_cast<size_t>(end - begin))) [[likely]] {
    name = {begin, static_cast<size_t>(colon - begin)};
    return ParseError::kNone;
  }
  uint8_t all = 0xff;
  uint8_t any = 0;
  for (const char* at = begin; at < colon; ++at) {
    uint8_t bits = kCharClasses[static_cast<unsigned char>(*at)];
    all &= bits;
    any |= bits;
  }
  size_t size = static_cast<size_t>(colon - begin);
  if ((all & kTokenChar) == 0 || size == 0 || colon == end) return bad_name(begin, end);
  if (size > kMaxNameBytes) return ParseError::kHeadTooLarge;
  name = {begin, size};
  if ((any & kUpperChar) != 0) {
    char* lower = arena.allocate_bytes(size);
    std::transform(begin, colon, lower, to_lower);
    name = {lower, size};
  }
  return ParseError::kNone;
}

// The field lines from `at` up to the empty line; `at` is behind that then.
template <Section kSection>
ParseError parse_fields(const char*& at, const char* const end, const char* const floor, const Limits& limits,
                        HeaderMap& map, Facts& facts) {
  // A text that ends with LF stops every search below in front of its end.
  if (at == end || end[-1] != '\n') return ParseError::kMissingColon;
  for (uint32_t left = limits.max_header_count;; --left) {
    if (at == end) [[unlikely]]
      return ParseError::kMissingColon;
    if (static_cast<unsigned char>(*at) <= ' ') [[unlikely]] {
      if (*at == '\r') {
        if (at[1] != '\n') return ParseError::kBareCr;
        at += 2;
        return ParseError::kNone;
      }
      if (is_space(*at)) return ParseError::kObsFold;
    }
    if (left == 0) [[unlikely]]
      return ParseError::kTooManyHeaders;

    // If the line has no colon this finds that of a later one, and what is in front of it is not a name.
    const char* colon = simd::find_colon(at, end, floor);
    std::string_view name(at, static_cast<size_t>(colon - at));
    HeaderId id = find_header_id_folded(name);
    if (id != kNone) [[likely]] {
      if (colon == end) [[unlikely]]
        return ParseError::kMissingColon;
      name = name_of(id);
      if constexpr (kSection == Section::kTrailers) {
        if (is_forbidden_trailer(id)) return ParseError::kForbiddenTrailer;
      }
    } else {
      ParseError error = own_name(at, colon, end, map.arena(), name);
      if (error != ParseError::kNone) [[unlikely]]
        return error;
    }

    const char* begin = colon + 1;
    if (*begin == ' ') ++begin;
    while (is_space(*begin)) [[unlikely]]++ begin;
    const char* line_end = simd::find_field_end(begin, end, floor);
    if (line_end[0] != '\r' || line_end[1] != '\n') [[unlikely]]
      return bad_value(line_end, end);
    // In front of the value stands at least the colon, which is no space.
    const char* value_end = line_end;
    while (is_space(value_end[-1])) [[unlikely]]-- value_end;
    // An empty value: the spaces in front of it were skipped from both sides.
    if (value_end < begin) [[unlikely]]
      value_end = begin;
    std::string_view value(begin, static_cast<size_t>(value_end - begin));
    at = line_end + 2;

    if constexpr (kSection != Section::kTrailers) {
      if (id != kNone && kNoted[static_cast<size_t>(id)] && (kSection == Section::kRequest || id != kHost)) {
        // A continuation would change the value.
        if (at < end && is_space(*at)) return ParseError::kObsFold;
        ParseError error = note_field(id, value, facts);
        if (error != ParseError::kNone) [[unlikely]]
          return error;
        if (id == kHost) continue;
      }
    }
    map.add(id, name, value);
  }
}

// "HTTP/1.1" at `at`, where at least 8 bytes are.
ParseError read_version(const char* at, Version& version) {
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

// What follows the target and its space. `end_of_line` is behind the CRLF.
ParseError parse_version(const char* at, const char* end, Version& version, const char*& end_of_line) {
  if (end - at >= 10 && std::memcmp(at, "HTTP/1.1\r\n", 10) == 0) [[likely]] {
    version = Version::kHttp11;
    end_of_line = at + 10;
    return ParseError::kNone;
  }
  const char* line_end = at;
  bool spaces = false;
  for (; line_end < end && *line_end != '\r' && *line_end != '\n'; ++line_end) {
    spaces = spaces || *line_end == ' ' || *line_end == '\t';
  }
  if (spaces) return ParseError::kInvalidRequestLine;
  if (line_end == at) return ParseError::kMissingVersion;
  if (line_end - at != 8) return ParseError::kInvalidVersion;
  ParseError error = read_version(at, version);
  if (error != ParseError::kNone) return error;
  error = check_line_end(line_end, end, ParseError::kInvalidVersion);
  end_of_line = line_end + 2;
  return error;
}

// The four forms of RFC 9112 3.2. Adds :path, :scheme; `authority` is set by the forms that carry one.
ParseError add_target(std::string_view method, std::string_view target, const Options& options, HeaderMap& map,
                      RequestHead& out, std::string_view& authority) {
  if (out.is_connect) {
    HostPort parts;
    if (!is_valid_authority(target) || !split_host_port(target, parts) || parts.port.empty()) {
      return ParseError::kInvalidTarget;
    }
    authority = target;
    return ParseError::kNone;
  }
  if (target.front() == '/') [[likely]] {
    map.add(kPath, target);
    return ParseError::kNone;
  }
  if (target == "*") {
    if (method != "OPTIONS") return ParseError::kInvalidTarget;
    map.add(kPath, target);
    return ParseError::kNone;
  }
  size_t colon = target.find("://");
  if (colon == std::string_view::npos || colon == 0 || target.find_first_of("/?") < colon)
    return ParseError::kInvalidTarget;
  std::string_view scheme = target.substr(0, colon);
  if (equals_ignoring_case(scheme, "http"))
    scheme = "http";
  else if (equals_ignoring_case(scheme, "https"))
    scheme = "https";
  else
    return ParseError::kInvalidScheme;
  if (!options.allow_absolute_url) return ParseError::kAbsoluteFormRefused;
  std::string_view rest = target.substr(colon + 3);
  size_t slash = std::min(rest.find_first_of("/?"), rest.size());
  authority = rest.substr(0, slash);
  if (!is_valid_authority(authority)) return ParseError::kInvalidTarget;
  std::string_view path = rest.substr(slash);
  if (path.empty()) {
    // RFC 9112 3.2.4: OPTIONS without a path is meant for the server as a whole.
    path = method == "OPTIONS" ? "*" : "/";
  } else if (path.front() == '?') {
    path = map.arena().concat("/", path);
  }
  map.add(kPath, path);
  map.add(kScheme, scheme);
  out.absolute_form = true;
  return ParseError::kNone;
}

// RFC 9112 3.2: exactly one valid Host, and no two opinions about the authority. RFC 9112 3.2.3 shows CONNECT with a
// Host that leaves the port out.
ParseError settle_authority(const Facts& facts, std::string_view from_target, const RequestHead& head, HeaderMap& map) {
  if (!facts.has_host) {
    if (head.version != Version::kHttp10) return ParseError::kMissingHost;
    if (from_target.empty()) map.remove(kAuthority);
    return ParseError::kNone;
  }
  if (!is_valid_authority(facts.host)) return ParseError::kInvalidHost;
  if (from_target.empty()) {
    map.replace_first(kAuthority, facts.host);
    return ParseError::kNone;
  }
  if (equals_ignoring_case(facts.host, from_target)) return ParseError::kNone;
  if (head.is_connect && equals_ignoring_case(facts.host, strip_port(from_target))) return ParseError::kNone;
  return ParseError::kHostMismatch;
}

// RFC 9112 6.1 and 6.3, what requests and responses have in common.
ParseError check_framing(const Facts& facts, Version version) {
  if (!facts.has_encoding) return ParseError::kNone;
  if (facts.has_length) return ParseError::kLengthAndEncoding;
  if (version == Version::kHttp10) return ParseError::kEncodingInHttp10;
  return ParseError::kNone;
}

bool allows_keep_alive(const Facts& facts, Version version) {
  return !facts.close && (version != Version::kHttp10 || facts.keep_alive);
}

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

}  // namespace

ParseError check_request_start(std::string_view bytes, size_t& method_begin, size_t& method_end) {
  method_end = 0;
  size_t at = 0;
  if (bytes.empty()) return ParseError::kNone;
  if (bytes[0] == '\x16') return ParseError::kTlsRecord;
  if (bytes[0] == '\n') return ParseError::kBareLf;
  // RFC 9112 2.2: one empty line in front of a request is tolerated.
  if (bytes[0] == '\r') {
    if (bytes.size() == 1) return ParseError::kNone;
    if (bytes[1] != '\n') return ParseError::kBareCr;
    at = 2;
  }
  method_begin = at;
  while (at < bytes.size() && is_char(bytes[at], kTokenChar)) ++at;
  size_t size = at - method_begin;
  if (size > kMaxMethodBytes) return ParseError::kInvalidMethod;
  if (at == bytes.size()) return ParseError::kNone;
  if (bytes[at] == '\r' || bytes[at] == '\n' || (size > 0 && bytes[at] == '\t')) return ParseError::kInvalidRequestLine;
  if (size == 0 || bytes[at] != ' ') return ParseError::kInvalidMethod;
  method_end = at;
  return ParseError::kNone;
}

ParseError parse_request_head(std::string_view head, const Settings& settings, HeaderMap& map, RequestHead& out) {
  size_t method_begin = 0;
  size_t method_end = 3;
  ParseError error = ParseError::kNone;
  const bool is_get = head.starts_with("GET ");
  if (!is_get) {
    error = check_request_start(head, method_begin, method_end);
    if (error != ParseError::kNone) return error;
    if (method_end == 0) return ParseError::kInvalidRequestLine;
  }
  const char* const end = head.data() + head.size();
  std::string_view method = head.substr(method_begin, method_end - method_begin);
  const char* target_begin = head.data() + method_end + 1;
  const char* target_end = simd::find_target_end(target_begin, end, head.data());
  std::string_view target(target_begin, static_cast<size_t>(target_end - target_begin));
  if (target_end == end || *target_end != ' ' || target.empty()) [[unlikely]] {
    const char stop = target_end < end ? *target_end : '\0';
    if (stop == '\t' || (target.empty() && (stop == ' ' || stop == '\r' || stop == '\n')))
      return ParseError::kInvalidRequestLine;
    error = check_line_end(target_end, end, ParseError::kInvalidTarget);
    return error == ParseError::kNone ? ParseError::kMissingVersion : error;
  }
  const char* fields = nullptr;
  error = parse_version(target_end + 1, end, out.version, fields);
  if (error != ParseError::kNone) return error;
  if (out.version == Version::kHttp10 && !settings.options.accept_http_10) return ParseError::kHttp10Refused;
  if (!is_get) {
    if (!settings.options.allow_custom_methods && !is_registered(method)) return ParseError::kUnsupportedMethod;
    out.is_head = method == "HEAD";
    out.is_connect = method == "CONNECT";
  }
  map.add(kMethod, method);
  std::string_view authority;
  error = add_target(method, target, settings.options, map, out, authority);
  if (error != ParseError::kNone) return error;
  // Its place among the pseudo-headers; Host fills it in.
  map.add(kAuthority, authority);

  Facts facts;
  error = parse_fields<Section::kRequest>(fields, end, head.data(), settings.limits, map, facts);
  if (error != ParseError::kNone) return error;
  out.head_bytes = static_cast<uint32_t>(fields - head.data());
  error = settle_authority(facts, authority, out, map);
  if (error != ParseError::kNone) return error;
  error = check_framing(facts, out.version);
  if (error != ParseError::kNone) return error;
  if (out.is_connect && (facts.has_length || facts.has_encoding)) return ParseError::kConnectWithBody;

  if (facts.has_encoding) {
    out.body = BodyKind::kChunked;
  } else if (facts.has_length) {
    out.body = BodyKind::kLength;
    out.content_length = facts.content_length;
  }
  out.end_stream = out.body == BodyKind::kNone || (out.body == BodyKind::kLength && out.content_length == 0);
  out.keep_alive = allows_keep_alive(facts, out.version);
  // RFC 9110 10.1.1: HTTP/1.0 cannot expect; without content there is nothing to wait for.
  out.expect_continue = facts.expect_continue && out.version != Version::kHttp10 && !out.end_stream;
  out.upgrade =
      facts.has_upgrade && facts.upgrade_option && out.version != Version::kHttp10 && out.end_stream && !out.is_connect;
  return ParseError::kNone;
}

int peek_status(std::string_view head) {
  StatusLine line;
  return parse_status_line(head, line) == ParseError::kNone ? line.code : 0;
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
  error = check_framing(facts, out.version);
  if (error != ParseError::kNone) return error;
  if (facts.has_encoding && (is_informational(line.code) || line.code == 204)) return ParseError::kEncodingWithoutBody;
  if (line.code == 101 && !request.is_upgrade) return ParseError::kUnexpectedUpgrade;

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

ParseError parse_trailers(std::string_view section, const Settings& settings, HeaderMap& map) {
  Facts facts;
  const char* at = section.data();
  return parse_fields<Section::kTrailers>(at, at + section.size(), at, settings.limits, map, facts);
}

}  // namespace weir::http::h1
