// Request heads: RFC 9112 section 3, and what its fields must say.
#include <algorithm>
#include <cstring>

#include "core/http/chars.h"
#include "core/http/h1/head_parts.h"
#include "core/http/h1/parser.h"
#include "core/http/h1/simd.h"
#include "core/http/url.h"

namespace weir::http::h1 {
namespace {

using enum HeaderId;

// No registered method has more than 17 characters. A limit of its own, so that the start of a head which arrives byte
// by byte is not looked at again and again for long.
constexpr size_t kMaxMethodBytes = 64;

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

// RFC 3986 6.2.3: "a:" is "a". Routes, filters and upstreams see one form of it.
std::string_view without_empty_port(std::string_view authority) {
  if (authority.back() == ':') [[unlikely]]
    authority.remove_suffix(1);
  return authority;
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
  authority = without_empty_port(authority);
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
ParseError settle_authority(const Facts& facts, std::string_view from_target, const RequestHead& head,
                            const Options& options, HeaderMap& map) {
  if (!facts.has_host) {
    if (head.version != Version::kHttp10) return ParseError::kMissingHost;
    if (!from_target.empty()) return ParseError::kNone;
    if (options.default_host.empty())
      map.remove(kAuthority);
    else
      map.replace_first(kAuthority, options.default_host);
    return ParseError::kNone;
  }
  if (!is_valid_authority(facts.host)) return ParseError::kInvalidHost;
  const std::string_view host = without_empty_port(facts.host);
  if (from_target.empty()) {
    map.replace_first(kAuthority, host);
    return ParseError::kNone;
  }
  if (equals_ignoring_case(host, from_target)) return ParseError::kNone;
  // The port of the scheme may be said or not (RFC 9110 4.2.3).
  const uint16_t default_port = map.get(kScheme) == "https" ? 443 : 80;
  if (!head.is_connect &&
      equals_ignoring_case(strip_matching_port(host, default_port), strip_matching_port(from_target, default_port)))
    return ParseError::kNone;
  if (head.is_connect && equals_ignoring_case(host, strip_port(from_target))) return ParseError::kNone;
  return ParseError::kHostMismatch;
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
  keep_spelling(head.substr(0, out.head_bytes), settings.options, map);
  error = check_framing(facts, out.version, settings.options);
  if (error != ParseError::kNone) return error;
  if (out.is_connect && (facts.has_length || facts.has_encoding)) return ParseError::kConnectWithBody;

  if (facts.has_encoding) {
    out.body = BodyKind::kChunked;
    if (facts.has_length) [[unlikely]]
      drop_length(map, facts);
  } else if (facts.has_length) {
    out.body = BodyKind::kLength;
    out.has_length = true;
    out.content_length = facts.content_length;
  }
  out.end_stream = out.body == BodyKind::kNone || (out.body == BodyKind::kLength && out.content_length == 0);
  out.keep_alive = allows_keep_alive(facts, out.version);
  // RFC 9110 10.1.1: HTTP/1.0 cannot expect; without content there is nothing to wait for.
  out.expect_continue = facts.expect_continue && out.version != Version::kHttp10 && !out.end_stream;
  out.upgrade =
      facts.has_upgrade && facts.upgrade_option && out.version != Version::kHttp10 && out.end_stream && !out.is_connect;
  out.invalid = settle_authority(facts, authority, out, settings.options, map);
  return out.invalid;
}

}  // namespace weir::http::h1
