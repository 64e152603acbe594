#include "core/upstream/connection_demand.h"

#include <algorithm>

#include "core/upstream/lane_clusters.h"

namespace weir::upstream {

void ConnectionDemand::start() {
  note(lane_.index());
  if (armed()) return;
  ask();
  lane_.arm_in(*this, kAskAgain);
}

void ConnectionDemand::ask() {
  local_.connections.announce();  // those who ask next ask this lane, too: it may get what it does not need any more
  const uint32_t self = lane_.index();
  note(self);
  for (event::Lane* other : lane_.siblings()) {
    if (other == &lane_ || !local_.connections.may_be_held_by(other->index())) continue;
    other->post([other, self, part = part_] {
      if (ClusterLocal* there = LaneClusters::find_part(*other, part)) {
        there->demand.note(self);
        there->demand.give_what_is_free();
      }
    });
  }
}

void ConnectionDemand::note(uint32_t index) {
  auto at = std::find_if(lanes_.begin(), lanes_.end(), [&](const Entry& entry) { return entry.lane == index; });
  if (at == lanes_.end()) lanes_.push_back({index, lane_.now()});
}

void ConnectionDemand::forget_if_fed() {
  if (local_.hungry()) return;
  std::erase_if(lanes_, [&](const Entry& entry) { return entry.lane == lane_.index(); });
}

bool ConnectionDemand::is_overdue() {
  forget_if_fed();
  return !lanes_.empty() && lane_.now() - lanes_.front().since >= kPatience;
}

void ConnectionDemand::give_share() {
  if (lanes_.empty()) {
    local_.connections.release();
    return;
  }
  const uint32_t to = lanes_.front().lane;
  lanes_.erase(lanes_.begin());
  if (to == lane_.index()) {
    local_.connections.put_back();
    distribute();
    return;
  }
  for (event::Lane* other : lane_.siblings()) {
    if (other->index() != to) continue;
    other->post([other, part = part_, limit = local_.connections.pass_on()] {
      if (ClusterLocal* there = LaneClusters::find_part(*other, part)) {
        there->demand.take(limit);
      } else {
        limit->give_back_one();
      }
    });
    return;
  }
  local_.connections.release();  // that lane is no more
}

void ConnectionDemand::give_what_is_free() {
  if (lanes_.empty() || local_.connections.limit() == nullptr) return;
  forget_if_fed();
  while (!lanes_.empty() && (local_.connections.acquire() || local_.shed_one())) give_share();
}

void ConnectionDemand::take(const std::shared_ptr<SharedLimit>& limit) {
  if (local_.connections.limit() != limit.get()) {
    limit->give_back_one();  // the cluster was made anew meanwhile
    return;
  }
  local_.connections.accept();
  distribute();
}

// An unused share has come.
void ConnectionDemand::distribute() {
  local_.feed_starving();
  if (local_.hungry() && !local_.hopeless()) ask();  // one was for one pool; what is hopeless the timer refuses
  give_what_is_free();
  local_.connections.recall();
}

void ConnectionDemand::on_timer() {
  local_.feed_starving();
  forget_if_fed();
  if (!local_.hungry()) return;
  if (local_.refuse_hopeless()) return;
  ask();
  give_what_is_free();
  lane_.arm_in(*this, kAskAgain);
}

}  // namespace weir::upstream
