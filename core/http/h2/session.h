// What both ends of an HTTP/2 connection have in common: nghttp2 without I/O, windows, limits, and the queues of
// streams that wait for the peer. [worker]
//
// Bytes come in through receive(), whatever they cause is told as events, and bytes go out through flush() and nowhere
// else. Anything here but receive(), on_eof(), flush() and the destructor may be called inside an event.
#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstdint>

#include "core/base/block.h"
#include "core/http/h2/error.h"
#include "core/http/h2/options.h"
#include "core/http/h2/stream.h"
#include "core/http/header_map.h"

namespace weir::http::h2 {

class Session {
 public:
  // What is counted of a connection's frames, for the owner's statistics.
  struct Counts {
    uint64_t streams = 0;         // begun by either side
    uint64_t rx_resets = 0;       // RST_STREAM received
    uint64_t tx_resets = 0;       // and sent
    uint64_t rx_errors = 0;       // malformed messages
    uint64_t header_overflows = 0;
    uint64_t trailers = 0;        // received
    uint64_t goaways_sent = 0;
    uint64_t data_frames_sent = 0;
  };

  // How much flush() writes at a time: what waits longer stays where it can be counted and reordered.
  static constexpr size_t kFlushBytes = 64 * 1024;

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // --- Bytes ---

  // Takes all of `in`. Data is passed on as slices of it.
  void receive(Slices& in);
  // Appends what is to be sent until `out` has about `most` bytes. True: there is more. The owner flushes at the end of
  // a turn in which it was asked to (Events::want_flush()), and again when the socket has taken what it was given.
  bool flush(Slices& out, size_t most = kFlushBytes);

  // The peer broke the protocol of the connection, or a limit: on_connection_error() was called. What flush() still
  // writes tells the peer why; then the owner closes.
  bool failed() const { return failed_ != Error::kNone; }
  Error failure() const { return failed_; }
  // Nothing is to be sent or expected any more, in order: the owner closes.
  bool finished() const;
  // No further event, for good.
  void stop() { stopped_ = true; }
  bool stopped() const { return stopped_; }

  // --- Streams ---

  uint32_t open_streams() const { return open_streams_; }
  // While paused, the peer gets no more room to send on this stream. What it has room for still comes.
  void pause(Stream& stream) { stream.paused_ = true; }
  void unpause(Stream& stream);
  // Queues all of `data`. False: it is more or less than content-length said, or the stream's end was given before; the
  // stream is to be reset. Data for a stream that is not attached any more is dropped.
  [[nodiscard]] bool send_data(Stream& stream, Slices& data, bool end);
  // Ends what is sent on the stream. They are written behind its data, and must live as long as it is attached.
  [[nodiscard]] bool send_trailers(Stream& stream, const HeaderMap& trailers);
  // RST_STREAM; what is queued is dropped, and the stream is detached: no event of it follows.
  void reset(Stream& stream, ErrorCode code);
  // When all that was given is sent, the peer need not finish its message: RST_STREAM(NO_ERROR) follows the end, and
  // what still comes is dropped (RFC 9113 8.1). At once if the end is sent already.
  void reset_after_end(Stream& stream);
  // No event of this stream follows; what is queued of it is still sent. Data that comes is dropped.
  void detach(Stream& stream);

  // --- The connection ---

  void ping();
  // The first of two steps: the peer is told that the end is near, and every stream that it has begun until it knows is
  // served.
  void announce_shutdown();
  // The second: streams above those that were received until now are not served. After it, with no stream left, the
  // connection is finished().
  void shut_down(ErrorCode code = ErrorCode::kNoError);
  // An error of the connection, found by the owner.
  void fail(Error error);

  // What the peer allows at a time.
  uint32_t peer_max_streams() const;
  bool peer_allows_connect() const;  // extended CONNECT (RFC 8441)
  const Counts& counts() const { return counts_; }
  // Frames that wait to be sent, DATA apart.
  size_t queued_frames() const;

 protected:
  enum class Role : uint8_t { kServer, kClient };
  Session(Role role, BlockPool& pool, const Options& options);
  ~Session();

  struct Sent {
    bool ok = false;
  };
  // Of a complete head or trailer section.
  struct Section {
    size_t bytes = 0;
    uint32_t count = 0;
    bool too_large = false;
  };

  // --- For the codec of a role ---
  virtual void on_head_begins(const nghttp2_frame& frame) = 0;
  // `name` and `value` are good until the section is complete; `value` for ever if `lasting`.
  virtual void on_field(Stream& stream, HeaderId id, std::string_view name, std::string_view value) = 0;
  virtual void on_head_ends(Stream& stream, const nghttp2_frame& frame) = 0;
  virtual void on_data(Stream& stream, Slices& data, bool end) = 0;
  virtual void on_closed(Stream& stream, const StreamEnd& end) = 0;
  virtual void on_flow(Stream& stream, bool above) = 0;
  virtual void on_ping_answered() = 0;
  virtual void on_goaway_received(int32_t last_stream, ErrorCode code) = 0;
  virtual void on_settings_received() = 0;
  virtual void on_failed(Error error) = 0;
  virtual void on_wants_flush() = 0;

 private:
  nghttp2_session* session_ = nullptr;
};

}  // namespace weir::http::h2
