// What is counted of the requests that were forwarded by one route, or of one virtual cluster of a virtual host:
// `vhost.<host>.route.<stat_prefix>.*` and `vhost.<host>.vcluster.<name>.*`. [any]
#pragma once

#include <memory>
#include <string>

#include "core/stats/code_counters.h"
#include "core/stats/store.h"
#include "core/stream/stream_info.h"

namespace weir::route {

class RouteStats {
 public:
  enum class Kind : uint8_t { kRoute, kVirtualCluster };
  RouteStats(stats::Store& store, const std::string& virtual_host, Kind kind, const std::string& name);

  // A stream that went to an upstream is over.
  void count(const stream::StreamInfo& info) const;
  // Limits have forbidden a retry.
  void count_retry_overflow() const { rq_retry_overflow_.inc(); }

 private:
  std::shared_ptr<stats::Group> group_;
  stats::Counter rq_total_, rq_timeout_, rq_retry_, rq_retry_success_, rq_retry_limit_exceeded_, rq_retry_overflow_;
  stats::Histogram rq_time_;
  stats::CodeCounters codes_;
};

}  // namespace weir::route
