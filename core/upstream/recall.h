// Before a limit refuses, the other lanes are asked for what they hold of it and do not use: unused shares of their
// leases, and idle connections. Whoever was refused waits for their answers, once.
#pragma once

#include <cstdint>

#include "core/base/intrusive_list.h"
#include "core/base/time.h"
#include "core/event/lane.h"
#include "core/upstream/limits.h"

namespace weir::upstream {

// The limits of a cluster, as lanes speak of them.
enum class LimitKind : uint8_t { kConnections, kPending, kRequests, kRetries, kCount };

// Whose limits: the requests of one priority to one cluster. Means the same on every lane.
struct ClusterPart {
  uint32_t cluster;  // index of its slot
  Priority priority;
};

// Who waits for a round. [worker]
class RecallWaiter {
 public:
  // Once per wait(): the other lanes have answered, or nothing is to be expected of them. True: it got what it lacked.
  // May wait again.
  virtual bool on_recalled() = 0;
  // How many shares it lacks.
  virtual uint32_t shares_wanted() const { return 1; }
  bool in_recall() const { return recall_node_.linked(); }
  // Does not wait any more; destruction does the same.
  void leave_recall() { recall_node_.unlink(); }

 protected:
  ~RecallWaiter() = default;

 private:
  friend class Recall;
  ListNode recall_node_;
};

// The rounds of one limit on one lane: at most one is under way, and whoever comes meanwhile gets the
// next. Costs nothing until a limit is reached. [worker]
class Recall {
 public:
  // All outlive the recall.
  Recall(event::Lane& lane, ClusterPart part, LimitKind kind, const Lease& lease)
      : lane_(lane), part_(part), kind_(kind), lease_(lease) {}

  // False: no other lane can hold anything, or has just been asked in vain; refuse. True: on_recalled() follows, at a
  // later turn.
  bool wait(RecallWaiter& waiter);
  // For who is refused anyway and only wants the next one to find something.
  void ask();

 private:
  using List = IntrusiveList<RecallWaiter, &RecallWaiter::recall_node_>;
  bool start_round();
  void on_answer();

  event::Lane& lane_;
  const ClusterPart part_;
  const LimitKind kind_;
  const Lease& lease_;
  List asking_;  // those of the round under way
  List late_;    // those that came during it: what was given may have been given before they came
  uint32_t answers_due_ = 0;
  bool under_way_ = false;
  MonoTime not_before_{};  // after a round in vain
};

}  // namespace weir::upstream
