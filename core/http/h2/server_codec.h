// The server's side of one HTTP/2 connection: requests in, responses out, many at a time. [worker]
#pragma once

#include "core/http/h2/session.h"
#include "core/http/request_head.h"

namespace weir::http::h2 {

// Why a request is to be answered with an error, although its frames were in order. name, text, status, reason
#define WEIR_H2_REFUSALS(X)                                                                                   \
  X(TooLarge, request_headers_too_large, 431, "the head exceeds the limits")                                  \
  X(InvalidAuthority, invalid_authority, 400, "8.3.1, 8.5: not uri-host [ : port ]; of CONNECT without port") \
  X(HostMismatch, host_mismatch, 400, "8.3.1: host differs from :authority")                                  \
  X(InvalidPath, invalid_path, 400, "8.3.1: a character or a form that no path may have")                     \
  X(InvalidScheme, invalid_scheme, 400, "8.3.1: neither http nor https")

enum class Refusal : uint8_t {
  kNone,
#define WEIR_X(name, text, status, reason) k##name,
  WEIR_H2_REFUSALS(WEIR_X)
#undef WEIR_X
      kCount
};
// "http2.invalid_path"; empty for kNone.
std::string_view refusal_name(Refusal refusal);
int refusal_status(Refusal refusal);

struct RequestHead : http::RequestHead {
  Refusal refusal = Refusal::kNone;
};

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
    // error. :authority is set from host if it was not there, and host is gone; `cookie` is one field. Extended CONNECT
    // is an upgrade as of HTTP/1: GET, `connection: upgrade` and `upgrade` instead of :protocol. Of tunnels `end` is
    // true here, and comes again with their data.
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
  ~ServerCodec() = default;

  // --- Responses ---
  // False: the head cannot be encoded, and nothing was queued.

  // From :status and the fields; those of a connection of HTTP/1 are left out. 101 is 200 here; to an extended CONNECT
  // no other 2xx can be said, for it would be taken for 101.
  [[nodiscard]] bool send_response_head(Stream& stream, const HeaderMap& map, bool end);
  // Any 1xx but 101. One that has fields is dropped, and counted, where the heads of answers wait: whoever made it does
  // not.
  [[nodiscard]] bool send_informational(Stream& stream, const HeaderMap& map);

 private:
  void begin_section(int32_t id, Stream* stream) override;
  bool take_field(HeaderId id, std::string_view value) override;
  void end_section(Stream& stream, bool end_stream) override;
  void on_data(Stream& stream, Slices& data, bool end) override { events_.on_request_data(stream, data, end); }
  void on_closed(Stream& stream, const StreamEnd& end) override { events_.on_stream_closed(stream, end); }
  void on_flow(Stream& stream, bool above) override { events_.on_stream_flow(stream, above); }
  void on_pong() override { events_.on_ping_answered(); }
  void on_peer_goaway(int32_t, ErrorCode code) override { events_.on_goaway(code); }
  void on_peer_settings() override {}
  void on_failed(Error error) override { events_.on_connection_error(error); }
  void on_want_flush() override { events_.want_flush(); }

  Refusal check_head(Stream& stream, HeaderMap& map, RequestHead& head);
  Refusal settle_authority(HeaderMap& map, bool connect);

  Events& events_;
  std::string_view host_;  // of the head that is being received
};

}  // namespace weir::http::h2
