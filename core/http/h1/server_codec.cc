#include "core/http/h1/server_codec.h"

#include <utility>

#include "core/base/assert.h"
#include "core/http/chars.h"
#include "core/http/h1/parser.h"
#include "core/http/status.h"

namespace weir::http::h1 {
namespace {
constexpr size_t kStartBytes = 80;  // enough of a request to see that it is none
}

void ServerCodec::receive(Slices& in) {
  while (!paused_ && !in.empty()) {
    switch (state_) {
      case State::kHead:
        if (!receive_head(in)) return;
        break;
      case State::kBody:
      case State::kTunnel:
        if (!receive_body(in)) return;
        break;
      case State::kComplete:
      case State::kStopped:
        return;
    }
  }
}

// False: more input is needed, or the request was refused.
bool ServerCodec::receive_head(Slices& in) {
  const size_t limit = settings_.limits.max_head_bytes;
  size_t end = ends_with_head(in, limit) ? in.size() : scanner_.find_end(in, limit);
  if (end == 0) [[unlikely]] {
    char room[kStartBytes];
    size_t begin_of_method;
    size_t end_of_method;
    ParseError error = check_request_start(peek_front(in, room, sizeof(room)), begin_of_method, end_of_method);
    if (error == ParseError::kNone && scanner_.scanned() >= limit) error = too_large(in, limit);
    if (error != ParseError::kNone) fail(error);
    return false;
  }
  HeadBytes head = contiguous_front(in, end, pool_);
  RequestHead info;
  ParseError error = parse_request_head(head.text, settings_, events_.begin_request(), info);
  if (error != ParseError::kNone && !may_go_on(info)) [[unlikely]] {
    fail(error);
    return false;
  }
  in.drop_front(info.head_bytes);
  scanner_.reset(HeadScanner::From::kStartLine);
  wire_bytes_ = 0;
  version_ = info.version;
  keep_alive_ = info.keep_alive;
  is_head_ = info.is_head;
  is_connect_ = info.is_connect;
  is_upgrade_ = info.upgrade;
  body_.start(info.body, info.content_length);
  state_ = info.end_stream ? State::kComplete : State::kBody;
  events_.on_request_head(info, std::move(head.owner));
  return true;
}

// After an error in a head. Of a tunnel that is asked for nobody knows what the client has sent ahead.
bool ServerCodec::may_go_on(const RequestHead& head) const {
  return settings_.options.keep_open_after_invalid && head.invalid != ParseError::kNone && !head.is_connect &&
         !head.upgrade;
}

bool ServerCodec::receive_body(Slices& in) {
  Slices data;
  BodyReader::Found found;
  size_t trailer_bytes = 0;
  const size_t before = in.size();
  ParseError error = body_.read(in, data, scanner_, settings_.limits, found, trailer_bytes);
  wire_bytes_ += before - in.size();
  // What came before an error is passed on first: how the bytes were cut must make no difference.
  const bool complete = error == ParseError::kNone && found == BodyReader::Found::kEnd;
  if (complete) {
    scanner_.reset(HeadScanner::From::kStartLine);
    state_ = State::kComplete;
  }
  if (complete || !data.empty()) events_.on_request_data(data, complete);
  if (state_ == State::kStopped) return false;
  if (error != ParseError::kNone) {
    fail(error);
    return false;
  }
  if (found != BodyReader::Found::kTrailers || paused_) return found != BodyReader::Found::kNeedMore;

  HeaderMap& trailers = events_.begin_trailers();
  error = take_trailers(in, trailer_bytes, settings_, trailers);
  wire_bytes_ += trailer_bytes;
  if (error != ParseError::kNone) {
    fail(error);
    return false;
  }
  scanner_.reset(HeadScanner::From::kStartLine);
  state_ = State::kComplete;
  events_.on_request_trailers(trailers);
  return true;
}

void ServerCodec::on_eof() {
  if (state_ == State::kTunnel) {
    state_ = State::kComplete;
    Slices nothing;
    events_.on_request_data(nothing, true);
  } else if (state_ == State::kBody || (state_ == State::kHead && scanner_.scanned() > 0)) {
    fail(ParseError::kPrematureEof);
  }
}

void ServerCodec::fail(ParseError error) {
  keep_alive_ = false;
  state_ = State::kStopped;
  events_.on_parse_error(error, suggested_status(error));
}

void ServerCodec::next_message() {
  if (state_ == State::kStopped) return;
  WEIR_ASSERT(state_ == State::kComplete);
  state_ = State::kHead;
  response_.reset();
}

void ServerCodec::enter_tunnel() {
  if (state_ != State::kComplete) return;
  state_ = State::kTunnel;
  keep_alive_ = false;
  body_.start(BodyKind::kTunnel, 0);
  response_.enter_tunnel();
}

EncodeError ServerCodec::encode_response_head(const HeaderMap& map, bool end_stream, Slices& out) {
  if (!response_.idle()) return EncodeError::kWrongState;
  const int status = map.status_code();
  bool has_length = false;
  Framing framing;
  EncodeError error = read_content_length(map, has_length, framing.length);
  if (error != EncodeError::kNone) return error;
  if (is_informational(status) && status != 101) return EncodeError::kWrongState;
  if (status == 101 && !is_upgrade_) return EncodeError::kWrongState;

  bool close = close_;
  const bool tunnel = status == 101 || (is_connect_ && is_success(status));
  if (tunnel) {
    // RFC 9110 9.3.6 and 15.2.2: no framing, whatever the fields say.
    framing.body = BodyKind::kTunnel;
    framing.skip_length = true;
  } else if (is_head_ || forbids_content(status)) {
    framing.skip_length = status == 204;  // RFC 9110 8.6
  } else if (has_length) {
    framing.body = BodyKind::kLength;
    if (end_stream && framing.length > 0) return EncodeError::kBodyTooShort;
  } else if (end_stream) {
    framing.add_zero_length = true;
  } else if (version_ == Version::kHttp11) {
    framing.body = BodyKind::kChunked;
  } else {
    framing.body = BodyKind::kUntilClose;
    close = true;
  }

  std::string_view connection = map.get(HeaderId::kConnection);
  const bool says_close = !connection.empty() && list_contains(connection, "close");
  close = close || says_close;
  if (!tunnel) {
    if (close || !keep_alive_) {
      if (!says_close) framing.connection = Framing::Connection::kClose;
    } else if (version_ == Version::kHttp10 && !list_contains(connection, "keep-alive")) {
      // RFC 9112 9.3: an HTTP/1.0 client needs to be told.
      framing.connection = Framing::Connection::kKeepAlive;
    }
  }
  framing.proper_case = settings_.options.proper_case;
  error = h1::encode_response_head(map, framing, out, pool_);
  if (error != EncodeError::kNone) return error;
  close_ = close;
  response_.start(framing, end_stream && !tunnel);
  if (tunnel) enter_tunnel();
  return EncodeError::kNone;
}

EncodeError ServerCodec::encode_informational(const HeaderMap& map, Slices& out) {
  const int status = map.status_code();
  if (!is_informational(status) || status == 101 || !response_.idle()) return EncodeError::kWrongState;
  if (version_ == Version::kHttp10) return EncodeError::kNone;
  Framing framing;
  framing.skip_length = true;
  framing.proper_case = settings_.options.proper_case;
  return h1::encode_response_head(map, framing, out, pool_);
}

void ServerCodec::encode_continue(Slices& out) {
  if (version_ == Version::kHttp11 && response_.idle()) out.append_copy("HTTP/1.1 100 Continue\r\n\r\n", pool_);
}

}  // namespace weir::http::h1
