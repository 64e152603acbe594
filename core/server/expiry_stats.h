// How long the certificates in use are good for, as gauges: server.days_until_first_cert_expiring, and
// server.seconds_until_first_ocsp_response_expiring of the responses that are stapled.
#pragma once

#include <vector>

#include "core/base/time.h"
#include "core/event/publisher.h"
#include "core/stats/store.h"

namespace weir::server {

// [main]
class ExpiryStats {
 public:
  ExpiryStats(stats::Store& store, const event::Publisher& publisher);
  void refresh(MonoTime now, WallTime wall);

 private:
  struct Ends {
    const event::Versioned* version = nullptr;
    WallTime certificate = WallTime::max();
    WallTime response = WallTime::max();
  };
  const event::Publisher& publisher_;
  std::vector<Ends> known_;  // by slot; looked at when its version has changed, and all of them now and then
  MonoTime all_seen_{};
  stats::Gauge days_, seconds_;
};

}  // namespace weir::server
