#include "core/http/h1/client_codec.h"

#include <algorithm>
#include <utility>

#include "core/base/assert.h"
#include "core/http/chars.h"
#include "core/http/h1/parser.h"
#include "core/http/status.h"
#include "core/http/upgrade.h"

namespace weir::http::h1 {
namespace {

// RFC 9110 8.6: a user agent says "no content" for methods that are expected to have some.
bool usually_has_content(std::string_view method) { return method == "POST" || method == "PUT" || method == "PATCH"; }

// Bytes that can never become a status line are refused before their end is there.
ParseError check_response_start(std::string_view bytes) {
  constexpr std::string_view kStart = "HTTP/";
  size_t size = std::min(bytes.size(), kStart.size());
  return bytes.substr(0, size) == kStart.substr(0, size) ? ParseError::kNone : ParseError::kInvalidStatusLine;
}

}  // namespace

EncodeError ClientCodec::encode_request_head(const HeaderMap& map, bool end_stream, Slices& out) {
  if (state_ != State::kIdle || surplus_) return EncodeError::kWrongState;
  std::string_view method = map.method();
  bool has_length = false;
  Framing framing;
  EncodeError error = read_content_length(map, has_length, framing.length);
  if (error != EncodeError::kNone) return error;

  RequestKind kind;
  kind.is_head = method == "HEAD";
  kind.is_connect = method == "CONNECT";
  kind.is_upgrade = !has_length && !kind.is_connect && is_upgrade(map);
  if (kind.is_upgrade) [[unlikely]]
    kind.protocol = upgrade_protocol(map.get(HeaderId::kUpgrade));
  const bool no_body = kind.is_connect || kind.is_upgrade;
  if (kind.is_connect) {
    framing.skip_length = true;
  } else if (has_length) {
    framing.body = BodyKind::kLength;
    if (end_stream && framing.length > 0) return EncodeError::kBodyTooShort;
  } else if (end_stream) {
    framing.add_zero_length = usually_has_content(method);
  } else if (!no_body) {
    framing.body = BodyKind::kChunked;
  }
  if (close_ || map.contains_either<HeaderId::kConnection, HeaderId::kTe>()) [[unlikely]]
    framing.connection = choose_connection(map);
  framing.proper_case = settings_.options.proper_case;
  framing.absolute_form = settings_.options.absolute_form;
  error = h1::encode_request_head(map, framing, out, pool_);
  if (error != EncodeError::kNone) return error;
  request_.start(framing, end_stream || no_body);
  expect_response(kind);
  return EncodeError::kNone;
}

// What has to be said of the connection beside what the map says of it: its end, and TE, which is about this connection
// alone (RFC 9110 10.1.4).
Framing::Connection ClientCodec::choose_connection(const HeaderMap& map) {
  using Connection = Framing::Connection;
  bool says_close = false;
  bool says_te = false;
  map.for_each([&](const HeaderEntry& entry) {
    if (entry.id != HeaderId::kConnection) return;
    says_close |= list_contains(entry.value(), "close");
    says_te |= list_contains(entry.value(), "te");
  });
  const bool add_close = close_ && !says_close;
  const bool add_te = map.contains(HeaderId::kTe) && !says_te;
  close_ |= says_close;
  if (add_close) return add_te ? Connection::kCloseAndTe : Connection::kClose;
  return add_te ? Connection::kTe : Connection::kAsIs;
}

void ClientCodec::expect_response(RequestKind kind) {
  WEIR_ASSERT(state_ == State::kIdle);
  kind_ = kind;
  state_ = State::kHead;
  started_ = false;
  until_close_ = false;
  informational_ = 0;
}

void ClientCodec::enter_tunnel() {
  WEIR_ASSERT(state_ == State::kIdle);
  state_ = State::kTunnel;
  keep_alive_ = false;
  started_ = true;
  body_.start(BodyKind::kTunnel, 0);
  request_.enter_tunnel();
}

void ClientCodec::receive(Slices& in) {
  while (!paused_ && !in.empty()) {
    switch (state_) {
      case State::kHead:
        if (surplus_) return fail(ParseError::kUnexpectedData);
        if (!receive_head(in)) return;
        break;
      case State::kBody:
      case State::kTunnel:
        if (!receive_body(in)) return;
        break;
      case State::kIdle:
        // RFC 9112 9.2: no request asked for this. Taking it for the answer to a later one would poison that.
        return fail(ParseError::kUnexpectedData);
      case State::kStopped:
        return;
    }
  }
}

// False: more input is needed, or the response was refused.
bool ClientCodec::receive_head(Slices& in) {
  const size_t limit = settings_.limits.max_head_bytes;
  size_t end = ends_with_head(in, limit) ? in.size() : scanner_.find_end(in, limit);
  if (end == 0) [[unlikely]] {
    char room[8];
    ParseError error = check_response_start(peek_front(in, room, sizeof(room)));
    if (error == ParseError::kNone && scanner_.scanned() >= limit) error = ParseError::kHeadTooLarge;
    if (error != ParseError::kNone) fail(error);
    return false;
  }
  HeadBytes bytes = contiguous_front(in, end, pool_);
  ResponseHead head;
  HeaderMap& map = events_.begin_response(peek_status(bytes.text));
  ParseError error = parse_response_head(bytes.text, settings_, kind_, map, head);
  const bool informational = is_informational(head.status) && head.status != 101;
  if (error == ParseError::kNone && informational && !may_inform(head, map)) {
    error = ParseError::kTooManyInformational;
  }
  if (error != ParseError::kNone) [[unlikely]] {
    fail(error);
    return false;
  }
  in.drop_front(head.head_bytes);
  scanner_.reset(HeadScanner::From::kStartLine);
  wire_bytes_ = 0;
  started_ = true;
  if (informational) {
    events_.on_informational(map, head, std::move(bytes.owner));
    return true;
  }
  keep_alive_ = head.keep_alive;
  body_.start(head.body, head.content_length);
  if (head.body == BodyKind::kTunnel) {
    state_ = State::kTunnel;
    request_.enter_tunnel();
  } else if (head.end_stream) {
    complete(in);
  } else {
    state_ = State::kBody;
    until_close_ = head.body == BodyKind::kUntilClose;
  }
  events_.on_response_head(head, std::move(bytes.owner));
  return true;
}

// Names in capitals, and long lists, take memory that lives as long as the map: of all before a response as much as one
// head may have.
bool ClientCodec::may_inform(const ResponseHead& head, const HeaderMap& map) {
  if (informational_++ == 0) informational_bytes_ = 0;
  informational_bytes_ += head.head_bytes + map.size() * sizeof(HeaderEntry);
  return informational_ <= kMaxInformational &&
         (informational_ == 1 || informational_bytes_ <= settings_.limits.max_head_bytes);
}

bool ClientCodec::receive_body(Slices& in) {
  Slices data;
  BodyReader::Found found;
  size_t trailer_bytes = 0;
  const size_t before = in.size();
  ParseError error = body_.read(in, data, scanner_, settings_.limits, found, trailer_bytes);
  wire_bytes_ += before - in.size();
  // What came before an error is passed on first: how the bytes were cut must make no difference.
  const bool ended = error == ParseError::kNone && found == BodyReader::Found::kEnd;
  if (ended) complete(in);
  if (ended || !data.empty()) events_.on_response_data(data, ended);
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
  complete(in);
  events_.on_response_trailers(trailers);
  return true;
}

void ClientCodec::complete(const Slices& in) {
  state_ = State::kIdle;
  surplus_ = !in.empty();
  scanner_.reset(HeadScanner::From::kStartLine);
}

void ClientCodec::on_eof(bool cut_off) {
  keep_alive_ = false;
  if (state_ == State::kTunnel || (state_ == State::kBody && until_close_ && !cut_off)) {
    state_ = State::kIdle;
    Slices nothing;
    events_.on_response_data(nothing, true);
  } else if (state_ == State::kHead || state_ == State::kBody) {
    fail(ParseError::kPrematureEof);
  }
}

void ClientCodec::fail(ParseError error) {
  keep_alive_ = false;
  state_ = State::kStopped;
  events_.on_parse_error(error);
}

}  // namespace weir::http::h1
