// The server's side of one HTTP/1 connection: requests in, responses out, one at a time. [worker]
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

class ServerCodec {
 public:
  // Called only from within receive() and on_eof(), at most in this order per request: begin_request, on_request_head,
  // on_request_data*, then begin_trailers with on_request_trailers if there are trailers. The request is complete with
  // the one event whose end_stream is true, or with on_request_trailers. on_parse_error may take the place of any of
  // them but begin_request; nothing follows it. Events may call anything here except receive() and on_eof(), and must
  // not destroy the codec before those return.
  class Events {
   public:
    // Where the fields of the next request go; it must be empty. Its arena takes rewritten names.
    virtual HeaderMap& begin_request() = 0;
    // `owner` keeps the bytes alive that the map views; the stream holds it. It is empty if the input's slice had none.
    // With head.invalid the request is to be refused, and the connection goes on.
    virtual void on_request_head(const RequestHead& head, BlockRef owner) = 0;
    // What the handler leaves in `data` is lost. `data` is empty only with end_stream.
    virtual void on_request_data(Slices& data, bool end_stream) = 0;
    virtual HeaderMap& begin_trailers() = 0;
    virtual void on_request_trailers(HeaderMap& trailers) = 0;
    // The codec has stopped. `suggested_status` is for a local reply if no response has been started.
    virtual void on_parse_error(ParseError error, int suggested_status) = 0;

   protected:
    ~Events() = default;
  };

  // All three outlive the codec.
  ServerCodec(Events& events, BlockPool& pool, const Settings& settings)
      : events_(events), pool_(pool), settings_(settings) {}
  ServerCodec(const ServerCodec&) = delete;
  ServerCodec& operator=(const ServerCodec&) = delete;

  // --- Requests ---

  // Consumes from the front of `in`; what stays there must be there again, in front, at the next call. Stays: an
  // incomplete head or trailer section, everything while paused or stopped, and what follows a complete request until
  // next_message() or enter_tunnel(). After unpause(), next_message() and enter_tunnel() outside an event the owner
  // calls receive() again, also without new bytes.
  void receive(Slices& in);
  // The peer will send nothing more. To be called when receive() has taken what it could.
  void on_eof();

  // Bytes of the request's body that receive() has still to be given, if its head has told how many.
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

  // Between messages, and not a byte of the next one has been looked at.
  bool idle() const { return state_ == State::kHead && scanner_.scanned() == 0; }
  bool request_complete() const { return state_ == State::kComplete; }
  // Both request and response are complete: get ready for the next pair.
  void next_message();
  // From now on bytes pass as data in both directions. Done by encode_response_head() for 101 and for 2xx to CONNECT.
  void enter_tunnel();
  bool in_tunnel() const { return state_ == State::kTunnel; }

  // --- Responses ---
  // Each appends to `out` whole or not at all.

  // From :status and the fields. Framing: content-length as it is; without one and without end_stream chunked, or until
  // close for HTTP/1.0 clients; `content-length: 0` with end_stream where the status allows content. Hop-by-hop fields
  // are the caller's business, except that transfer-encoding is never copied and `connection` lines are added as
  // needed.
  [[nodiscard]] EncodeError encode_response_head(const HeaderMap& map, bool end_stream, Slices& out);
  // Any 1xx but 101. Dropped for HTTP/1.0 clients, which know none (RFC 9110 15.2).
  [[nodiscard]] EncodeError encode_informational(const HeaderMap& map, Slices& out);
  void encode_continue(Slices& out);
  // Takes all of `data`; of responses without content (HEAD, 204, 304) nothing is written.
  [[nodiscard]] EncodeError encode_data(Slices& data, bool end_stream, Slices& out) {
    return response_.encode_data(data, end_stream, out, pool_);
  }
  // Ends the response. Trailers are dropped where they cannot be sent.
  [[nodiscard]] EncodeError encode_trailers(const HeaderMap& trailers, Slices& out) {
    return response_.encode_trailers(trailers, settings_.options.proper_case, out, pool_);
  }
  bool response_started() const { return !response_.idle(); }
  bool response_complete() const { return response_.done(); }

  // The connection ends with this response; before encode_response_head() it says so.
  void close_after_response() { close_ = true; }
  // With both messages complete: another request may follow. Otherwise the owner closes, behind the response.
  bool keep_alive() const { return keep_alive_ && !close_; }
  // What the client's request allows, whatever we decided.
  bool client_keeps_alive() const { return keep_alive_; }

 private:
  enum class State : uint8_t { kHead, kBody, kComplete, kTunnel, kStopped };

  bool receive_head(Slices& in);
  bool may_go_on(const RequestHead& head) const;
  bool receive_body(Slices& in);
  void fail(ParseError error);

  Events& events_;
  BlockPool& pool_;
  const Settings& settings_;
  BodyReader body_;
  BodyEncoder response_;
  HeadScanner scanner_;
  size_t wire_bytes_ = 0;
  State state_ = State::kHead;
  Version version_ = Version::kHttp11;
  bool paused_ = false;
  bool keep_alive_ = true;
  bool close_ = false;
  bool is_head_ = false;
  bool is_connect_ = false;
  bool is_upgrade_ = false;
};
static_assert(sizeof(ServerCodec) <= 120, "one per idle connection");

}  // namespace weir::http::h1
