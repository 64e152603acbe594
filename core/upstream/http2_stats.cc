#include "core/upstream/http2_stats.h"

namespace weir::upstream {

void Http2Stats::count(http::h2::Error error) const {
  using http::h2::Error;
  switch (error) {
    case Error::kEmptyFrames:
      return inbound_empty_frames_flood.inc();
    case Error::kPriorityFrames:
      return inbound_priority_frames_flood.inc();
    case Error::kWindowUpdates:
      return inbound_window_update_frames_flood.inc();
    case Error::kControlFrames:
      return outbound_control_flood.inc();
    case Error::kFrames:
      return outbound_flood.inc();
    case Error::kSettingsTimeout:
      return settings_timeout.inc();
    default:
      return;
  }
}

void Http2Stats::count(const http::h2::Counts& now, http::h2::Counts& before) const {
  if (now == before) return;
  rx_reset.add(now.rx_resets - before.rx_resets);
  tx_reset.add(now.tx_resets - before.tx_resets);
  rx_messaging_error.add(now.messaging_errors - before.messaging_errors);
  header_overflow.add(now.header_overflows - before.header_overflows);
  trailers.add(now.trailers - before.trailers);
  goaway_sent.add(now.goaways_sent - before.goaways_sent);
  stream_refused_errors.add(now.refused - before.refused);
  windows_narrowed.add(now.narrowed - before.narrowed);
  before = now;
}

}  // namespace weir::upstream
