// Where statistics go at every flush (Bootstrap.stats_sinks). What an extension of the kind "stats_sink" makes.
#pragma once

#include "core/stats/store.h"

namespace weir::event {
class Lane;
}

namespace weir::stats {

class Sink {
 public:
  virtual ~Sink() = default;
  // Everything as it is now, and what histograms have counted since the flush before. One thread at a time, never a
  // lane's: it may take its time, but does not wait for others.
  virtual void flush(const Frozen& stats, const Intervals& since_last) const = 0;
  // [main] After each flush, never beside one: for sinks that send on main's lane.
  virtual void deliver(event::Lane& /*lane*/) const {}
  // [main] Nothing is delivered any more; what is held of the lane goes now.
  virtual void end() const {}
};

}  // namespace weir::stats
