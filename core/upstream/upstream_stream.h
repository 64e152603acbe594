// The upstream side of one request attempt, whatever the protocol: what a caller may send, and what it is told.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/block.h"
#include "core/base/time.h"
#include "core/http/header_map.h"
#include "core/stream/stream_info.h"

namespace weir::lb {
class Host;
}
namespace weir::net {
class Connection;
}

namespace weir::upstream {

enum class ResetReason : uint8_t {
  kNone,
  kConnectFailure,  // refused, unreachable
  kConnectTimeout,
  kConnectionTermination,  // the peer closed before the response was complete
  kProtocolError,          // the response could not be parsed
  kOverflow,               // a circuit breaker
  kLocalReset,
  kResponseCut,    // the peer closed within a response of HTTP/1
  kRemoteReset,    // the peer reset the stream (HTTP/2)
  kRemoteRefused,  // the same, and it has not looked at the request
};
// As details show it, and bodies of answers in words.
std::string_view reason_text(ResetReason reason);

// How often a request that its peer has refused goes out again without a retry policy.
enum class FreeRepeats : uint8_t {
  kNone,  // the connection refuses as much as it answers: whoever repeats that only adds to its load
  kOne,
  kAny,  // answers of the connection have paid for it, or it was refused beside others
};

// What logs say of a connection.
struct ConnectionFacts {
  uint64_t id = 0;  // unique in the process
  MonoTime connect_begin{};
  MonoTime connect_end{};
};

// A request on a connection. Valid from on_ready until the last event or reset(). [worker]
class UpstreamStream {
 public:
  // False: the head cannot be written (the error is the caller's bug or a hostile value); nothing was sent.
  [[nodiscard]] virtual bool send_headers(const http::HeaderMap& headers, bool end) = 0;
  // Instead of headers, on a connection asked for as a new one: what send_data() is given and on_upstream_data() brings
  // are the connection's bytes, without a head before them.
  virtual void open_raw() = 0;
  virtual void send_data(Slices& data, bool end) = 0;
  virtual void send_trailers(const http::HeaderMap& trailers) = 0;
  // No further events. The connection is closed (HTTP/1) or the stream reset.
  virtual void reset() = 0;
  // The same, but (HTTP/1) what send_data() was given in a tunnel still goes out, and then the connection is reset: its
  // peer is not to take it for an end that was meant. One that takes nothing for `stall` is given up on.
  virtual void reset_after_data(Duration /*stall*/) { reset(); }
  // Nobody looks at the response's data: it may come as unseen slices, which the caller passes on to a connection.
  // send_data() takes such slices too.
  virtual void leave_response_unseen() = 0;
  // Stops and continues the response's reading.
  virtual void pause_response(bool paused) = 0;
  virtual bool above_high_watermark() const = 0;
  // Bytes of the request that the upstream has not taken, and of the response that nobody has.
  virtual size_t held_bytes() const = 0;
  virtual net::Connection& connection() = 0;
  virtual ConnectionFacts facts() const = 0;
  // The connection has carried a request before this one: its death may be staleness.
  virtual bool reused() const = 0;
  // A byte of the response has come, if only of its status line.
  virtual bool response_started() const = 0;
  // No byte of the request has left this process.
  virtual bool request_unsent() const = 0;
  // Of one that was refused.
  virtual FreeRepeats free_repeats() const { return FreeRepeats::kOne; }
  stream::Protocol protocol() const { return protocol_; }

 protected:
  explicit UpstreamStream(stream::Protocol protocol) : protocol_(protocol) {}
  ~UpstreamStream() = default;

 private:
  const stream::Protocol protocol_;
};

// What the caller is told. [worker] Order: on_ready or on_failed; then informational responses, headers, data,
// trailers; on_reset at any time after on_ready, last. Nothing follows the event that ends the response, but in a
// tunnel (after 101, after 2xx to CONNECT, or opened raw): each direction ends by itself, and on_reset may come until
// both have.
class UpstreamEvents {
 public:
  // Where what passes is counted: asked for once a connection is there, good until the last event or reset().
  virtual stream::WireBytes& wire_bytes() = 0;
  virtual void on_ready(UpstreamStream& stream) = 0;
  // `detail`: what the transport says (TLS); else empty.
  virtual void on_failed(ResetReason reason, std::string_view detail) = 0;
  // Where a response head of this status goes; empty when asked for.
  virtual http::HeaderMap& begin_response(int status) = 0;
  // 1xx other than 101. Its fields are gone afterwards, also from the map that begin_response() has given for them.
  virtual void on_informational(http::HeaderMap& headers) = 0;
  virtual void on_upstream_headers(BlockRef owner, bool end) = 0;
  virtual void on_upstream_data(Slices& data, bool end) = 0;
  virtual http::HeaderMap& begin_response_trailers() = 0;
  // Trailers have come, and on_upstream_trailers() follows when the response is not paused any more.
  virtual void on_upstream_trailers_held() {}
  virtual void on_upstream_trailers() = 0;
  // `detail`: of a protocol error ("http1.bare_lf"), or of the transport; else empty.
  virtual void on_reset(ResetReason reason, std::string_view detail) = 0;
  virtual void on_request_flow(bool blocked) = 0;

 protected:
  ~UpstreamEvents() = default;
};

}  // namespace weir::upstream
