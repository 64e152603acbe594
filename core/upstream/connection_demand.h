// Who is without a connection while max_connections is reached: pools of this lane, and other lanes. Their requests
// wait in the queue; a connection that comes free here is given up for the first of them. Idle ones go at once. Busy
// lanes with requests of their own go on using theirs for kPatience, then a connection is given up after its request.
// Nothing of this runs while the limit is not reached.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/event/lane.h"
#include "core/upstream/limits.h"
#include "core/upstream/recall.h"

namespace weir::upstream {

class ClusterLocal;

// Of one priority of one cluster on one lane. [worker]
class ConnectionDemand final : private event::Timer {
 public:
  // What was asked is asked again this often, should an answer have gone to somebody who did not need it any more.
  static constexpr Duration kAskAgain = 100ms;
  // How long others wait while this lane has requests of its own. Bounds both starvation and reconnecting.
  static constexpr Duration kPatience = 100ms;

  ConnectionDemand(ClusterLocal& local, event::Lane& lane, ClusterPart part)
      : local_(local), lane_(lane), part_(part) {}

  // A pool of this lane has waiters and no connection: asks for one here and on the other lanes, and goes on asking
  // while that is so.
  void start();
  bool empty() const { return lanes_.empty(); }
  // Somebody has been waiting for so long that a busy connection is to be given up.
  bool overdue() { return !lanes_.empty() && is_overdue(); }
  // Gives the caller's share of the limit to the first of those that wait; without one it goes back.
  void give_share();
  // Gives what is to be had without waiting: shares that nobody has taken, and idle connections.
  void give_what_is_free();
  // Lane `index` asks.
  void note(uint32_t index);
  // Another lane gave a share.
  void take(const std::shared_ptr<SharedLimit>& limit);

 private:
  struct Entry {
    uint32_t lane;
    MonoTime since;
  };
  void on_timer() override;
  void ask();
  void distribute();
  bool is_overdue();
  // This lane's own entry, if it has got what it wanted.
  void forget_if_fed();

  ClusterLocal& local_;
  event::Lane& lane_;
  const ClusterPart part_;
  std::vector<Entry> lanes_;  // each once, in the order of asking; this one too
};

}  // namespace weir::upstream
