// What an HTTP/2 connection allows its peer; part of the listener's or cluster's configuration. Codecs keep a
// reference.
#pragma once

#include <cstdint>

#include "core/base/random.h"
#include "core/base/time.h"

namespace weir::http::h2 {

struct Options {
  uint32_t hpack_table_size = 4096;  // of our decoder, and the most that our encoder uses of the peer's
  uint32_t max_concurrent_streams = 1024;
  uint32_t stream_window = 16 * 1024 * 1024;
  uint32_t connection_window = 24 * 1024 * 1024;
  bool allow_connect = false;  // extended CONNECT (RFC 8441)
  // A malformed message ends its stream, not the connection.
  bool stream_errors = false;

  // Limits. Whoever exceeds one loses the connection.
  uint32_t max_outbound_frames = 10000;
  uint32_t max_outbound_control_frames = 1000;
  uint32_t max_empty_frames = 1;  // in a row
  uint32_t max_priority_frames_per_stream = 100;
  uint32_t max_window_updates_per_data_frame = 10;

  // Of one head or trailer section, as of HTTP/1: whoever exceeds these gets an answer that says so.
  uint32_t max_head_bytes = 60 * 1024;
  uint32_t max_header_count = 100;

  // Of a stream's bytes that wait for the peer's window or for the socket: above it the writer is to stop; and far
  // below it where the streams of the connection have many times as much waiting.
  uint32_t high_watermark = 256 * 1024;

  // Of the connection. Heads and trailers of a client's streams may hold 24 times as much: beyond that streams are
  // refused, and trailers end theirs; trailers of answers that it does not read eight times.
  uint32_t buffer_limit = 1024 * 1024;

  struct Keepalive {
    Duration interval{};  // between PINGs; zero: none
    Duration timeout{};   // for the answer
    uint32_t jitter_percent = 15;
    Duration idle_interval{};  // before a request on a connection that was idle for as long; zero: none
    bool operator==(const Keepalive&) const = default;
    // Until the next PING of a connection of which something was just heard.
    Duration wait(Random& random) const {
      const auto spread = static_cast<uint64_t>(interval.count() / 100 * jitter_percent);
      return spread == 0 ? interval : interval + Duration(static_cast<int64_t>(random.next() % spread));
    }
  };
  Keepalive keepalive{};

  bool operator==(const Options&) const = default;
};

}  // namespace weir::http::h2
