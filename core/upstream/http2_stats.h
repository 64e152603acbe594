// Statistics of connections of HTTP/2, to a cluster or from clients.
#pragma once

#include "core/http/h2/counts.h"
#include "core/http/h2/error.h"
#include "core/stats/store.h"

namespace weir::upstream {

struct Http2Stats {
  stats::Counter goaway_sent, header_overflow, inbound_empty_frames_flood, inbound_priority_frames_flood,
      inbound_window_update_frames_flood, keepalive_timeout, outbound_control_flood, outbound_flood, rx_messaging_error,
      rx_reset, settings_timeout, stream_refused_errors, trailers, tx_reset, windows_narrowed;
  stats::Gauge streams_active;

  // What a connection has ended for, where that has a name in both directions.
  void count(http::h2::Error error) const;
  // What a connection has counted since it was at `before`, which becomes `now`.
  void count(const http::h2::Counts& now, http::h2::Counts& before) const;
};

}  // namespace weir::upstream
