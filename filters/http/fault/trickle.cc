#include "filters/http/fault/trickle.h"

#include <algorithm>

#include "core/filter/stream.h"

namespace weir::filters::fault {

void Trickle::start(event::Lane& lane, uint64_t bytes_per_second) {
  lane_ = &lane;
  rate_ = bytes_per_second;
  ready_ = rate_;
  counted_ = lane.now();
}

uint64_t Trickle::allowed() {
  auto elapsed = std::min<Duration>(lane_->now() - counted_, std::chrono::seconds(1));
  auto more = static_cast<uint64_t>(elapsed / std::chrono::milliseconds(1)) * rate_ / 1000;
  if (more > 0) {
    ready_ = std::min(ready_ + more, rate_);
    counted_ = lane_->now();
  }
  return ready_;
}

filter::Action Trickle::pass(filter::Stream& stream, Slices& data) {
  if (data.size() <= allowed()) {
    ready_ -= data.size();
    return filter::Action::kContinue;
  }
  waiting_.append_all(data);
  resume_ = stream.resume_handle();
  lane_->arm_in(*this, kTick);
  return filter::Action::kPause;
}

void Trickle::on_timer() {
  Slices part;
  waiting_.move_front(std::min<uint64_t>(allowed(), waiting_.size()), part);
  ready_ -= part.size();
  if (waiting_.empty()) {
    resume_.inject_data(part);
    resume_.resume();
    return;
  }
  lane_->arm_in(*this, kTick);
  resume_.pass_on(part);
}

}  // namespace weir::filters::fault
