// What has come to pass on one HTTP/2 connection so far, for its owner's statistics.
#pragma once

#include <cstdint>

namespace weir::http::h2 {

struct Counts {
  uint32_t streams = 0;  // begun
  uint32_t rx_resets = 0;
  uint32_t tx_resets = 0;
  uint32_t messaging_errors = 0;  // malformed messages
  uint32_t header_overflows = 0;  // heads or trailers beyond the limits
  uint32_t trailers = 0;          // sections received
  uint32_t goaways_sent = 0;
  uint32_t refused = 0;   // streams beyond what SETTINGS said
  uint32_t narrowed = 0;  // so often windows became small, for streams that nobody reads
  bool operator==(const Counts&) const = default;
};

}  // namespace weir::http::h2
