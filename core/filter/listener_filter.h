// What the author of a listener filter reads: it looks at a new connection's first bytes without consuming them, and
// says what it learnt, before the filter chain is chosen.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/net/address.h"

namespace weir::filter {

// What listener filters find out; filter-chain matching reads it.
struct ConnectionFacts {
  net::Address remote;
  net::Address local;
  net::Address direct_remote;
  std::string_view server_name;
  std::string_view transport_protocol;     // "tls", "raw_buffer"
  std::string_view application_protocols;  // comma separated
};

class ListenerFilter {
 public:
  enum class Verdict : uint8_t { kDone, kNeedMore, kReject };
  virtual ~ListenerFilter() = default;
  // `peeked`: all bytes received so far. kDone with `consume` > 0 takes that many off the front. [worker]
  virtual Verdict inspect(std::string_view peeked, bool end, ConnectionFacts& facts, size_t& consume) = 0;
};

}  // namespace weir::filter
