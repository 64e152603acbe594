// How much of a turn handshakes may take. A signature with RSA costs half a millisecond: of many that come at once each
// turn sees one (or a few with elliptic curves, which cost less), and what else the lane has to do comes between. The
// others wait in the order in which they came, and cost nothing until they are called. Inside core/tls only.
#pragma once

#include <cstdint>

#include "core/base/intrusive_list.h"
#include "core/event/lane.h"

namespace weir::tls {

// One for each thread, that is, for each lane. [worker]
class HandshakeShare final : private event::EndOfTurn {
 public:
  static constexpr uint32_t kRsa = 4;
  static constexpr uint32_t kCurve = 1;
  // What fits into a turn, with whatever is the first of it: four, unless run-time values say something else.
  static uint32_t of_turn(event::Lane& lane);

  // Whoever has to wait; one that is destroyed leaves the order.
  class Waiter {
   protected:
    ~Waiter() = default;
    bool waits() const { return share_node_.linked(); }

   private:
    friend class HandshakeShare;
    // It has got its share, of this turn.
    virtual void go_on() = 0;
    ListNode share_node_;
    event::Lane* share_lane_ = nullptr;
    uint32_t share_cost_ = 0;
  };

  static HandshakeShare& of_thread() {
    thread_local HandshakeShare share;
    return share;
  }

  // True: it may go on now. False: it is called when it may.
  [[nodiscard]] bool take(event::Lane& lane, uint32_t cost, Waiter& waiter) {
    if (waiting_.empty() && fits(lane, cost)) return true;
    waiter.share_lane_ = &lane;
    waiter.share_cost_ = cost;
    waiting_.push_back(waiter);
    lane.at_next_turn(*this);
    return false;
  }

 private:
  bool fits(event::Lane& lane, uint32_t cost) {
    if (lane_ != &lane || turn_ != lane.turns()) {
      lane_ = &lane;
      turn_ = lane.turns();
      used_ = 0;
    }
    if (used_ > 0 && used_ + cost > of_turn(lane)) return false;
    used_ += cost;
    return true;
  }
  void on_end_of_turn() override {
    Waiter* next = waiting_.front();
    while (next != nullptr && fits(*next->share_lane_, next->share_cost_)) {
      next->share_node_.unlink();
      next->go_on();
      next = waiting_.front();
    }
    if (next != nullptr) next->share_lane_->at_next_turn(*this);
  }

  const event::Lane* lane_ = nullptr;
  uint64_t turn_ = 0;
  uint32_t used_ = 0;
  IntrusiveList<Waiter, &Waiter::share_node_> waiting_;
};

}  // namespace weir::tls
