// The server's side of one HTTP/2 connection: requests in, responses out, many at a time. [worker]
#pragma once

#include "core/http/h2/session.h"
#include "core/http/request_head.h"

namespace weir::http::h2 {

class ServerCodec final : public Session {
 public:
  // Called only from within receive() and flush(). Per request, in this order: begin_request, on_request_head,
  // on_request_data*, then begin_trailers with on_request_trailers if there are trailers; on_stream_closed at any time
  // after begin_request, last. The request is complete with the one event whose `end` is true, or with
  // on_request_trailers. Events of different streams come in any order.
  class Events {
   public:
    // A stream of the owner's for the next request, and where its fields go: that map is empty, and lives as long as
    // the stream is attached. Null: the stream is refused.
    virtual Stream* begin_request(HeaderMap*& fields) = 0;
    // The head is complete and follows the rules (RFC 9113 8.3), or head.refusal says why it is to be answered with an
    // error. :authority is set from host if it was not there, and host is gone; `cookie` is one field.
    virtual void on_request_head(Stream& stream, const RequestHead& head) = 0;
    // What the handler leaves in `data` is lost. `data` is empty only with `end`.
    virtual void on_request_data(Stream& stream, Slices& data, bool end) = 0;
    virtual HeaderMap& begin_trailers(Stream& stream) = 0;
    virtual void on_request_trailers(Stream& stream, HeaderMap& trailers) = 0;
    // The codec has let go of the stream.
    virtual void on_stream_closed(Stream& stream, const StreamEnd& end) = 0;
    // Stream::unsent() grew beyond Options::high_watermark, or fell below half of it.
    virtual void on_stream_flow(Stream& stream, bool above) = 0;
    virtual void on_ping_answered() = 0;
    // The client says that it begins no further stream.
    virtual void on_goaway(ErrorCode code) = 0;
    // The connection is to end: see Session::failed().
    virtual void on_connection_error(Error error) = 0;
    // Something is to be sent: flush() at the end of the turn. Also outside of receive() and flush(); often.
    virtual void want_flush() = 0;

   protected:
    ~Events() = default;
  };

  // All three outlive the codec. The connection's preface (SETTINGS) waits for flush().
  ServerCodec(Events& events, BlockPool& pool, const Options& options);
  ~ServerCodec();

  // --- Responses ---
  // False: the head cannot be encoded, and nothing was queued.

  // From :status and the fields. 101 becomes 200 for extended CONNECT. Fields of a connection of HTTP/1 are left out.
  [[nodiscard]] bool send_response_head(Stream& stream, const HeaderMap& map, bool end);
  // Any 1xx but 101.
  [[nodiscard]] bool send_informational(Stream& stream, const HeaderMap& map);

 private:
  Events& events_;
};

}  // namespace weir::http::h2
