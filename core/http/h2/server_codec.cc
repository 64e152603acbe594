#include "core/http/h2/server_codec.h"

#include <nghttp2/nghttp2.h>

#include <cstring>
#include <iterator>

#include "core/http/chars.h"
#include "core/http/h2/field_list.h"
#include "core/http/status.h"
#include "core/http/url.h"

namespace weir::http::h2 {
namespace {

struct Row {
  std::string_view name;
  int status;
};
constexpr Row kRows[] = {{"", 200},
#define WEIR_X(name, text, status, reason) {"http2." #text, status},
                         WEIR_H2_REFUSALS(WEIR_X)
#undef WEIR_X
};
static_assert(std::size(kRows) == static_cast<size_t>(Refusal::kCount));

// RFC 9113 8.2.3: the crumbs are one field for everybody else.
void join_cookies(HeaderMap& map) {
  if (!map.contains(HeaderId::kCookie)) return;
  size_t count = 0;
  size_t bytes = 0;
  map.for_each([&](const HeaderEntry& entry) {
    if (entry.id != HeaderId::kCookie) return;
    ++count;
    bytes += entry.value_size + 2;
  });
  if (count < 2) return;
  char* const text = map.arena().allocate_bytes(bytes);
  char* to = text;
  map.for_each([&](const HeaderEntry& entry) {
    if (entry.id != HeaderId::kCookie) return;
    if (to != text) {
      *to++ = ';';
      *to++ = ' ';
    }
    std::memcpy(to, entry.value_data, entry.value_size);
    to += entry.value_size;
  });
  map.set(HeaderId::kCookie, {text, static_cast<size_t>(to - text)});
}

bool is_valid_path(std::string_view path, std::string_view method) {
  if (path == "*") return method == "OPTIONS";
  return !path.empty() && path.front() == '/' && all_chars(path, kTargetChar);
}

// RFC 3986 6.2.3: "a:" is "a".
std::string_view without_empty_port(std::string_view authority) {
  if (authority.ends_with(':')) authority.remove_suffix(1);
  return authority;
}

}  // namespace

std::string_view refusal_name(Refusal refusal) { return kRows[static_cast<size_t>(refusal)].name; }
int refusal_status(Refusal refusal) { return kRows[static_cast<size_t>(refusal)].status; }

ServerCodec::ServerCodec(Events& events, BlockPool& pool, const Options& options)
    : Session(Role::kServer, pool, options), events_(events) {}

void ServerCodec::begin_section(int32_t id, Stream* stream) {
  host_ = {};
  if (stream != nullptr) {
    if (fields_hold_too_much()) {
      ++counts_.header_overflows;
      give_up(*stream, Error::kTooManyHeaders, true);
    } else {
      stream->fields_ = &events_.begin_trailers(*stream);
    }
    return;
  }
  HeaderMap* fields = nullptr;
  if (open_streams() < options_.max_concurrent_streams) {
    if (!fields_hold_too_much())
      stream = events_.begin_request(fields);
    else
      ++counts_.header_overflows;
  }
  if (stream == nullptr) {
    refuse(id);
    return;
  }
  attach(*stream, id);
  stream->fields_ = fields;
  nghttp2_session_set_stream_user_data(session_, id, stream);
  // Responses take turns, unless the client has an opinion (RFC 9218).
  nghttp2_extpri priority;
  priority.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY;
  priority.inc = 1;
  nghttp2_session_change_extpri_stream_priority(session_, id, &priority, 0);
}

bool ServerCodec::take_field(HeaderId id, std::string_view value) {
  if (id != HeaderId::kHost) return true;
  host_ = value;
  return false;
}

void ServerCodec::end_section(Stream& stream, bool end_stream) {
  HeaderMap& map = *stream.fields_;
  stream.fields_ = nullptr;
  if (stream.head_received_) {
    ++counts_.trailers;
    if (section_too_large()) return give_up(stream, Error::kTooManyHeaders);
    events_.on_request_trailers(stream, map);
    return;
  }
  stream.head_received_ = true;
  RequestHead head;
  head.version = Version::kHttp2;
  head.end_stream = end_stream;
  head.refusal = check_head(stream, map, head);
  const bool ended_tunnel = end_stream && (head.is_connect || head.upgrade);
  if (head.is_connect || head.upgrade) head.end_stream = true;
  events_.on_request_head(stream, head);
  if (!ended_tunnel || !stream.attached_) return;
  Slices nothing;
  events_.on_request_data(stream, nothing, true);
}

// What the library has not looked at, or not strictly enough for what may come behind: a server of HTTP/1.
Refusal ServerCodec::check_head(Stream& stream, HeaderMap& map, RequestHead& head) {
  const std::string_view method = map.method();
  stream.is_head_ = head.is_head = method == "HEAD";
  const std::string_view protocol = map.get(HeaderId::kProtocol);
  head.is_connect = method == "CONNECT" && protocol.data() == nullptr;
  stream.is_connect_ = head.is_connect;
  join_cookies(map);  // logs of refused requests show one as well
  if (section_too_large()) return Refusal::kTooLarge;
  if (Refusal refusal = settle_authority(map, head.is_connect); refusal != Refusal::kNone) return refusal;
  if (head.is_connect) return Refusal::kNone;
  if (!is_valid_path(map.path(), method)) return Refusal::kInvalidPath;
  const std::string_view scheme = map.scheme();
  if (scheme != "http" && scheme != "https") {
    if (equals_ignoring_case(scheme, "http"))
      map.set(HeaderId::kScheme, "http");
    else if (equals_ignoring_case(scheme, "https"))
      map.set(HeaderId::kScheme, "https");
    else
      return Refusal::kInvalidScheme;
  }
  if (protocol.data() != nullptr) {
    stream.is_upgrade_ = head.upgrade = true;
    map.set(HeaderId::kMethod, "GET");
    map.remove(HeaderId::kProtocol);
    map.remove(HeaderId::kContentLength);
    map.add(HeaderId::kConnection, "upgrade");
    map.add(HeaderId::kUpgrade, protocol);
    return Refusal::kNone;
  }
  const std::string_view length = map.get(HeaderId::kContentLength);
  if (length.data() != nullptr) head.has_length = parse_decimal(length, head.content_length);
  head.expect_continue = !head.end_stream && equals_ignoring_case(map.get(HeaderId::kExpect), "100-continue");
  return Refusal::kNone;
}

Refusal ServerCodec::settle_authority(HeaderMap& map, bool connect) {
  const std::string_view authority = map.authority();
  if (authority.data() == nullptr) {
    if (!is_valid_authority(host_)) return Refusal::kInvalidAuthority;
    map.add(HeaderId::kAuthority, without_empty_port(host_));
    return Refusal::kNone;
  }
  if (!is_valid_authority(authority)) return Refusal::kInvalidAuthority;
  if (connect) {
    HostPort parts;
    if (!split_host_port(authority, parts) || parts.port.empty()) return Refusal::kInvalidAuthority;
    return Refusal::kNone;
  }
  const std::string_view settled = without_empty_port(authority);
  if (settled.size() != authority.size()) map.replace_first(HeaderId::kAuthority, settled);
  if (host_.data() == nullptr) return Refusal::kNone;
  if (!is_valid_authority(host_)) return Refusal::kInvalidAuthority;
  const uint16_t port = map.scheme() == "https" ? 443 : 80;
  const std::string_view host = without_empty_port(host_);
  if (equals_ignoring_case(host, settled) ||
      equals_ignoring_case(strip_matching_port(host, port), strip_matching_port(settled, port)))
    return Refusal::kNone;
  return Refusal::kHostMismatch;
}

bool ServerCodec::send_response_head(Stream& stream, const HeaderMap& map, bool end) {
  if (!stream.attached_) return true;
  if (stream.head_given_) return false;
  const int status = map.status_code();
  if (status < 100 || (is_informational(status) && status != 101)) return false;
  if (status == 101 && !stream.is_upgrade_) return false;
  if (stream.is_upgrade_ && is_success(status)) return false;
  const bool tunnel = status == 101 || (stream.is_connect_ && is_success(status));
  stream.bodiless_ = !tunnel && (stream.is_head_ || status == 204 || status == 304);
  if (!tunnel) {
    if (!read_length(stream, map)) return false;
    if (end && !stream.bodiless_ && stream.length_left_ > 0) return false;
  }
  const bool without_length = tunnel || status == 204;  // RFC 9110 8.6
  FieldList fields(map.size());
  fields.add(HeaderId::kStatus, status == 101 ? "200" : map.status());
  bool valid = true;
  map.for_each([&](const HeaderEntry& entry) {
    if (is_left_out(entry.id)) return;
    if (without_length && entry.id == HeaderId::kContentLength) return;
    valid = fields.add(entry) && valid;
  });
  return valid && submit_head(stream, fields, end || stream.bodiless_);
}

bool ServerCodec::send_informational(Stream& stream, const HeaderMap& map) {
  if (!stream.attached_) return true;
  const int status = map.status_code();
  if (stream.head_given_ || !is_informational(status) || status == 101) return false;
  if (heads_wait() && map.size() > 1) {
    ++counts_.header_overflows;
    events_.want_flush();
    return true;
  }
  FieldList fields(map.size());
  fields.add(HeaderId::kStatus, map.status());
  bool valid = true;
  map.for_each([&](const HeaderEntry& entry) {
    if (is_left_out(entry.id) || entry.id == HeaderId::kContentLength) return;
    valid = fields.add(entry) && valid;
  });
  return valid && submit_informational(stream, fields);
}

}  // namespace weir::http::h2
