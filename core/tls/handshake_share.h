// How much of a turn handshakes may take. A signature with RSA costs half a millisecond: of many that come at once each
// turn sees one (or a few with elliptic curves, which cost less), and what else the lane has to do comes between. The
// others wait in the order in which they came. Inside core/tls only.
#pragma once

#include <cstdint>

#include "core/event/lane.h"

namespace weir::tls {

// One for each thread, that is, for each lane. [worker]
class HandshakeShare {
 public:
  static constexpr uint32_t kOfTurn = 4;
  static constexpr uint32_t kRsa = 4;
  static constexpr uint32_t kCurve = 1;

  static HandshakeShare& of_thread() {
    thread_local HandshakeShare share;
    return share;
  }

  // Whether it may go on now. `waits`: it was refused before, and is in the order.
  bool take(const event::Lane& lane, uint32_t cost, bool waits) {
    begin_turn(lane);
    if (!waits && waiting_ > 0) return false;
    if (used_ > 0 && used_ + cost > kOfTurn) return false;
    used_ += cost;
    return true;
  }
  void enter() { ++waiting_; }
  void leave() { --waiting_; }

 private:
  void begin_turn(const event::Lane& lane) {
    if (lane_ == &lane && turn_ == lane.turns()) return;
    lane_ = &lane;
    turn_ = lane.turns();
    used_ = 0;
  }

  const event::Lane* lane_ = nullptr;
  uint64_t turn_ = 0;
  uint32_t used_ = 0;
  uint32_t waiting_ = 0;
};

}  // namespace weir::tls
