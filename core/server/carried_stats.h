// What a process that ends has counted, on its way to the one that takes over from it: counters by what came since the
// last time, and the gauges of what is going on (connections, requests) as they are.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/server/link.h"
#include "core/stats/store.h"

namespace weir::server {

// Gauges that add up over processes: downstream_cx_active and its like.
bool adds_up(std::string_view name);

// [main] The side that ends.
class StatsSender {
 public:
  explicit StatsSender(stats::Store& store) : store_(store) {}
  // Sends what has changed since the last time. False: the other side does not read now; the rest goes with the next.
  bool send(Link& link, Duration wait);
  // Another process listens from now on; what has been counted it has been told.
  void resend_gauges() { gauges_.clear(); }

 private:
  stats::Store& store_;
  std::map<std::string, uint64_t> counters_, gauges_;  // as they were sent
};

// [main] The side that goes on. False: it was no message of that kind.
bool receive_stats(const LinkMessage& message, uint64_t source, stats::Store& store);

}  // namespace weir::server
