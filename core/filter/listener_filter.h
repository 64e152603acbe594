// What the author of a listener filter reads: it looks at a new connection, and at its first bytes without consuming
// them, and says what it learnt, before the filter chain is chosen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/net/address.h"

namespace weir::filter {

class ConnectionHost;

// What listener filters find out; filter-chain matching reads it. Lives as long as the connection.
struct ConnectionFacts {
  net::Address remote;
  net::Address local;
  net::Address direct_remote;
  bool local_restored = false;                     // `local` is not the socket's own
  std::string server_name;                         // in lower case
  std::string transport_protocol;                  // "tls"; empty: raw_buffer
  std::vector<std::string> application_protocols;  // "h2", "http/1.1": as the client prefers
};

class ListenerFilter {
 public:
  enum class Verdict : uint8_t { kDone, kNeedMore, kReject };
  virtual ~ListenerFilter() = default;
  // Once, first, before any byte has come. kNeedMore: bytes are wanted. `connection` outlives the filter. [worker]
  virtual Verdict on_accept(ConnectionHost& connection, ConnectionFacts& facts) {
    static_cast<void>(connection), static_cast<void>(facts);
    return Verdict::kNeedMore;
  }
  // After kNeedMore: not to be asked again before there are so many bytes, or the end.
  virtual size_t wanted() const { return 1; }
  // `peeked`: all bytes received so far. kDone with `consume` > 0 takes that many off the front. [worker]
  virtual Verdict inspect(std::string_view peeked, bool end, ConnectionFacts& facts, size_t& consume) = 0;
};

}  // namespace weir::filter
