#include "core/http/h2/client_codec.h"

#include <nghttp2/nghttp2.h>

#include "core/http/chars.h"
#include "core/http/h2/field_list.h"
#include "core/http/status.h"
#include "core/http/upgrade.h"

namespace weir::http::h2 {

ClientCodec::ClientCodec(Events& events, BlockPool& pool, const Options& options)
    : Session(Role::kClient, pool, options), events_(events) {}

bool ClientCodec::accepts_requests() const {
  return !goaway_received_ && !failed() && nghttp2_session_check_request_allowed(session_) != 0;
}

bool ClientCodec::send_request_head(Stream& stream, const HeaderMap& map, bool end) {
  if (!accepts_requests()) return false;
  const std::string_view method = map.method();
  const std::string_view protocol = map.get(HeaderId::kUpgrade);
  const bool upgrade = is_upgrade(map);
  const bool connect = method == "CONNECT";
  if (upgrade && !peer_allows_connect()) return false;
  if (!is_token(method)) return false;
  FieldList fields(map.size() + 6);
  fields.add(HeaderId::kMethod, upgrade ? "CONNECT" : method);
  if (upgrade) {
    if (!is_token(protocol)) return false;
    fields.add(HeaderId::kProtocol, protocol);
  }
  if (!connect) {
    const std::string_view path = map.path();
    if (path.empty() || !all_chars(path, kTargetChar)) return false;
    const std::string_view scheme = map.scheme();
    fields.add(HeaderId::kScheme, scheme.empty() ? "http" : scheme);
    fields.add(HeaderId::kPath, path);
  }
  const std::string_view authority = map.authority();
  if (authority.data() != nullptr) {
    if (!all_chars(authority, kTargetChar)) return false;
    fields.add(HeaderId::kAuthority, authority);
  } else if (connect) {
    return false;
  }
  bool valid = true;
  map.for_each([&](const HeaderEntry& entry) {
    if (is_pseudo(entry.id) || is_of_http1_connection(entry.id) || entry.id == HeaderId::kHost) return;
    // RFC 9113 8.2.2: nothing else may be said with it.
    if (entry.id == HeaderId::kTe && !equals_ignoring_case(entry.value(), "trailers")) return;
    if ((upgrade || connect) && entry.id == HeaderId::kContentLength) return;
    valid = fields.add(entry) && valid;
  });
  if (!valid) return false;
  if (!upgrade && !connect) {
    if (!read_length(stream, map) || (end && stream.length_left_ > 0)) {
      stream.counts_length_ = false;
      return false;
    }
  }
  stream.is_connect_ = connect;
  stream.is_upgrade_ = upgrade;
  if (upgrade) stream.protocol_ = protocol;
  return submit_head(stream, fields, end && !upgrade && !connect);
}

void ClientCodec::begin_section(int32_t, Stream* stream) {
  status_ = 0;
  if (stream == nullptr) return;
  stream->fields_ = stream->head_received_ ? &events_.begin_trailers(*stream) : nullptr;
}

HeaderMap* ClientCodec::begin_response_fields(Stream& stream, std::string_view status) {
  uint64_t value = 0;
  if (parse_decimal(status, value) && status.size() == 3) status_ = static_cast<int>(value);
  if (stream.is_upgrade_ && is_success(status_)) status_ = 101;
  return &events_.begin_response(stream, status_);
}

void ClientCodec::end_section(Stream& stream, bool end_stream) {
  // The library sees to it that there are three digits.
  if (stream.fields_ == nullptr || (!stream.head_received_ && status_ < 100)) {
    stream.fields_ = nullptr;
    return give_up(stream, Error::kInvalidMessage);
  }
  HeaderMap& map = *stream.fields_;
  stream.fields_ = nullptr;
  if (stream.head_received_) {
    ++counts_.trailers;
    // Without them the answer would count as a good one: the status of gRPC is among them.
    if (section_too_large()) return give_up(stream, Error::kTooManyHeaders);
    events_.on_response_trailers(stream, map);
    return;
  }
  if (section_too_large()) return give_up(stream, Error::kTooManyHeaders);
  ResponseHead head;
  head.status = static_cast<uint16_t>(status_);
  head.end = end_stream;
  if (is_informational(status_) && status_ != 101) {
    if (++stream.informational_ > kMaxInformational) return give_up(stream, Error::kTooManyInformational);
    events_.on_informational(stream, head);
    return;
  }
  stream.head_received_ = true;
  if (status_ == 101) {
    map.set(HeaderId::kStatus, "101");
    map.add(HeaderId::kConnection, "upgrade");
    map.add(HeaderId::kUpgrade, map.arena().copy(stream.protocol_));
  }
  head.tunnel = status_ == 101 || (stream.is_connect_ && is_success(status_));
  if (head.tunnel) map.remove(HeaderId::kContentLength);
  const std::string_view length = map.get(HeaderId::kContentLength);
  if (length.data() != nullptr) head.has_length = parse_decimal(length, head.content_length);
  events_.on_response_head(stream, head);
}

}  // namespace weir::http::h2
