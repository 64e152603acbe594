// The client's side of one HTTP/2 connection: requests out, responses in, many at a time. [worker]
#pragma once

#include "core/http/h2/session.h"

namespace weir::http::h2 {

struct ResponseHead {
  uint64_t content_length = 0;  // with has_length
  uint16_t status = 0;
  bool has_length = false;
  bool end = false;     // no data follows
  bool tunnel = false;  // 2xx to CONNECT: what follows are opaque bytes, both ways
};

class ClientCodec final : public Session {
 public:
  // Called only from within receive() and flush(). Per request, in this order: any number of (begin_response,
  // on_informational), then begin_response, on_response_head, on_response_data*, then begin_trailers with
  // on_response_trailers if there are trailers; on_stream_closed at any time, last. The response is complete with the
  // one event whose `end` is true, or with on_response_trailers.
  class Events {
   public:
    // Where the fields of a head of this status go: a 1xx head is not the response. It must be empty, and live until
    // the head is complete.
    virtual HeaderMap& begin_response(Stream& stream, int status) = 0;
    // 1xx other than 101.
    virtual void on_informational(Stream& stream, const ResponseHead& head) = 0;
    virtual void on_response_head(Stream& stream, const ResponseHead& head) = 0;
    // What the handler leaves in `data` is lost. `data` is empty only with `end`.
    virtual void on_response_data(Stream& stream, Slices& data, bool end) = 0;
    virtual HeaderMap& begin_trailers(Stream& stream) = 0;
    virtual void on_response_trailers(Stream& stream, HeaderMap& trailers) = 0;
    // The codec has let go of the stream. With StreamEnd::Cause::kUnprocessed the request may be sent elsewhere.
    // With kComplete both messages are complete; a response that ends before its request does, and makes that moot, is
    // followed by kPeerReset(NO_ERROR).
    virtual void on_stream_closed(Stream& stream, const StreamEnd& end) = 0;
    // Stream::unsent() grew beyond Options::high_watermark, or fell below half of it.
    virtual void on_stream_flow(Stream& stream, bool above) = 0;
    virtual void on_ping_answered() = 0;
    // No request is to be sent any more on this connection. Streams above `last_stream` end with kUnprocessed.
    virtual void on_goaway(int32_t last_stream, ErrorCode code) = 0;
    // The first SETTINGS, or others, have come: peer_max_streams() and peer_allows_connect() may have changed.
    virtual void on_settings() = 0;
    // The connection is to end: see Session::failed(). Its streams hear nothing more.
    virtual void on_connection_error(Error error) = 0;
    // Something is to be sent: flush() at the end of the turn. Also outside of receive() and flush(); often.
    virtual void want_flush() = 0;

   protected:
    ~Events() = default;
  };

  // All three outlive the codec. The connection's preface waits for flush().
  ClientCodec(Events& events, BlockPool& pool, const Options& options);
  ~ClientCodec() = default;

  // Begins a stream. From :method, :scheme, :authority, :path and the fields; `host` and fields of a connection of
  // HTTP/1 are left out. An upgrade (`upgrade` with `connection: upgrade`) becomes extended CONNECT: only if
  // peer_allows_connect(); a response that agrees is 101 then, as of HTTP/1. False: the head cannot be encoded, no
  // stream can be begun any more, or the upgrade is not possible; nothing was queued, and `stream` is as it was. More
  // than peer_max_streams() wait inside until there is room: the owner does not let it come to that.
  [[nodiscard]] bool send_request_head(Stream& stream, const HeaderMap& map, bool end);
  // Another stream may be begun: no GOAWAY came, and there is an id for it.
  bool accepts_requests() const;

 private:
  void begin_section(int32_t id, Stream* stream) override;
  HeaderMap* begin_response_fields(Stream& stream, std::string_view status) override;
  void end_section(Stream& stream, bool end_stream) override;
  void on_data(Stream& stream, Slices& data, bool end) override { events_.on_response_data(stream, data, end); }
  void on_closed(Stream& stream, const StreamEnd& end) override { events_.on_stream_closed(stream, end); }
  void on_flow(Stream& stream, bool above) override { events_.on_stream_flow(stream, above); }
  void on_pong() override { events_.on_ping_answered(); }
  void on_peer_goaway(int32_t last_stream, ErrorCode code) override { events_.on_goaway(last_stream, code); }
  void on_peer_settings() override { events_.on_settings(); }
  void on_failed(Error error) override { events_.on_connection_error(error); }
  void on_want_flush() override { events_.want_flush(); }

  Events& events_;
  int status_ = 0;  // of the head that is being received
};

}  // namespace weir::http::h2
