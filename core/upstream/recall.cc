#include "core/upstream/recall.h"

#include "core/upstream/lane_clusters.h"

namespace weir::upstream {

// An overloaded cluster is refused things all the time: how soon after a round in vain the next may be tried. Meanwhile
// refusals are immediate and cost nothing.
constexpr Duration kPauseAfterNothing = 1ms;

bool Recall::wait(RecallWaiter& waiter) {
  if (under_way_) {
    late_.push_back(waiter);
    return true;
  }
  if (lane_.now() < not_before_) return false;
  asking_.push_back(waiter);
  if (start_round()) return true;
  waiter.leave_recall();
  return false;
}

void Recall::ask() {
  if (!under_way_ && lane_.now() >= not_before_) start_round();
}

// False: nobody to ask.
bool Recall::start_round() {
  uint32_t wanted = 0;
  asking_.for_each([&](RecallWaiter& waiter) { wanted += waiter.shares_wanted(); });
  event::Lane* self = &lane_;
  for (event::Lane* other : lane_.siblings()) {
    if (other == self || !lease_.may_be_held_by(other->index())) continue;
    ++answers_due_;
    other->post([self, other, part = part_, kind = kind_, wanted] {
      if (LaneClusters* there = LaneClusters::find_on(*other)) there->give_back(part, kind, wanted);
      self->post([self, part, kind] {
        if (LaneClusters* here = LaneClusters::find_on(*self)) here->recall_of(part, kind).on_answer();
      });
    });
  }
  under_way_ = answers_due_ > 0;
  return under_way_;
}

void Recall::on_answer() {
  if (--answers_due_ > 0) return;
  bool in_vain = asking_.empty();
  while (RecallWaiter* waiter = asking_.pop_front()) in_vain |= !waiter->on_recalled();
  under_way_ = false;
  if (in_vain) not_before_ = lane_.now() + kPauseAfterNothing;
  while (RecallWaiter* waiter = late_.pop_front()) asking_.push_back(*waiter);
  if (asking_.empty() || (!in_vain && start_round())) return;
  while (RecallWaiter* waiter = asking_.pop_front()) waiter->on_recalled();
}

}  // namespace weir::upstream
