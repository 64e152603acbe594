// The client's side of one HTTP/1 connection: a request out, its response in, one at a time. [worker]
#pragma once

#include <cstdint>
#include <utility>

#include "core/base/block.h"
#include "core/http/h1/encoder.h"
#include "core/http/h1/error.h"
#include "core/http/h1/message.h"
#include "core/http/h1/message_reader.h"
#include "core/http/header_map.h"

namespace weir::http::h1 {

class ClientCodec {
 public:
  // Called only from within receive() and on_eof(). Per request: any number of (begin_response, on_informational), then
  // begin_response, on_response_head, on_response_data*, then begin_trailers with on_response_trailers if there are
  // trailers. The response is complete with the one event whose end_stream is true, or with on_response_trailers.
  // on_parse_error may take the place of any of them; nothing follows it and the connection is unusable. Events may
  // call anything here except receive() and on_eof(), and must not destroy the codec before those return.
  class Events {
   public:
    // Where the fields of a head of this status go: a 1xx head is not the response. It must be empty.
    virtual HeaderMap& begin_response(int status) = 0;
    // 1xx other than 101. `owner` keeps the bytes alive that the map views: the one of begin_response().
    virtual void on_informational(HeaderMap& map, const ResponseHead& head, BlockRef owner) = 0;
    // head.body is kTunnel after 101 and after 2xx to CONNECT: what follows are opaque bytes, both ways.
    virtual void on_response_head(const ResponseHead& head, BlockRef owner) = 0;
    // What the handler leaves in `data` is lost. `data` is empty only with end_stream.
    virtual void on_response_data(Slices& data, bool end_stream) = 0;
    virtual HeaderMap& begin_trailers() = 0;
    virtual void on_response_trailers(HeaderMap& trailers) = 0;
    virtual void on_parse_error(ParseError error) = 0;

   protected:
    ~Events() = default;
  };

  // All three outlive the codec.
  ClientCodec(Events& events, BlockPool& pool, const Settings& settings)
      : events_(events), pool_(pool), settings_(settings) {}
  ClientCodec(const ClientCodec&) = delete;
  ClientCodec& operator=(const ClientCodec&) = delete;

  // --- Requests ---
  // Each appends to `out` whole or not at all.

  // From the pseudo-headers and the fields. Framing: content-length as it is; without one and without end_stream
  // chunked; `content-length: 0` with end_stream for methods that usually have content. CONNECT, and requests with
  // `upgrade` and no content-length, have no body: their data waits until the tunnel is open. Calls expect_response().
  [[nodiscard]] EncodeError encode_request_head(const HeaderMap& map, bool end_stream, Slices& out);
  [[nodiscard]] EncodeError encode_data(Slices& data, bool end_stream, Slices& out) {
    return request_.encode_data(data, end_stream, out, pool_);
  }
  [[nodiscard]] EncodeError encode_trailers(const HeaderMap& trailers, Slices& out) {
    return request_.encode_trailers(trailers, settings_.options.proper_case, out, pool_);
  }
  bool request_complete() const { return request_.done(); }
  // Before encode_request_head(): this request is the connection's last, and says so.
  void close_after_response() { close_ = true; }

  // --- Responses ---

  // Only for owners that write requests themselves.
  void expect_response(RequestKind kind);
  // Instead of a request, on a connection that has carried none: from now on bytes pass as they are, both ways.
  void enter_tunnel();

  // Consumes from the front of `in`; what stays there (an incomplete head or trailer section, everything while paused
  // or stopped) must be there again, in front, at the next call. After unpause() the owner calls receive() again.
  void receive(Slices& in);
  // The peer will send nothing more: the end of a body that lasts until close, or a premature one, as it is of such a
  // body if the connection was cut off (RFC 9112 9.8). To be called when receive() has taken all it could, and not
  // while paused.
  void on_eof(bool cut_off = false);

  // Bytes of the response's body that receive() has still to be given, if its head has told how many.
  uint64_t body_left() const { return state_ == State::kBody ? body_.left() : 0; }

  // Bytes taken from the input since the last call or head: what an event of data or trailers was made of, chunk lines
  // and the like included. Of a head its head_bytes say it.
  size_t take_wire_bytes() { return std::exchange(wire_bytes_, 0); }

  void pause() { paused_ = true; }
  void unpause() { paused_ = false; }
  bool paused() const { return paused_; }
  // No further event, for good.
  void stop() { state_ = State::kStopped; }
  bool stopped() const { return state_ == State::kStopped; }

  // Bytes of a response to the current request have come. A request that died before that may be sent again.
  bool response_started() const { return started_ || scanner_.scanned() > 0; }
  bool response_complete() const { return state_ == State::kIdle; }
  bool in_tunnel() const { return state_ == State::kTunnel; }
  // Both messages are complete and the peer keeps the connection open: it may take another request.
  bool reusable() const { return state_ == State::kIdle && request_.done() && keep_alive_ && !close_ && !surplus_; }

 private:
  enum class State : uint8_t { kIdle, kHead, kBody, kTunnel, kStopped };

  Framing::Connection choose_connection(const HeaderMap& map);
  bool receive_head(Slices& in);
  bool may_inform(const ResponseHead& head, const HeaderMap& map);
  bool receive_body(Slices& in);
  void complete(const Slices& in);
  void fail(ParseError error);

  Events& events_;
  BlockPool& pool_;
  const Settings& settings_;
  BodyReader body_;
  BodyEncoder request_;
  HeadScanner scanner_;
  size_t wire_bytes_ = 0;
  size_t informational_bytes_ = 0;  // with informational_
  RequestKind kind_;
  State state_ = State::kIdle;
  uint8_t informational_ = 0;
  bool paused_ = false;
  bool keep_alive_ = true;
  bool close_ = false;
  bool started_ = false;
  bool until_close_ = false;
  bool surplus_ = false;  // bytes behind a complete response
};
static_assert(sizeof(ClientCodec) <= 120, "one per idle connection");

}  // namespace weir::http::h1
