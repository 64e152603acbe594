#include "core/proxy/deadlines.h"

#include <algorithm>

namespace weir::proxy {

void Deadlines::on_timer() {
  armed_for_ = kNever;
  MonoTime now = lane_.now();
  for (size_t kind = 0; kind < at_.size(); ++kind) {
    if (at_[kind] > now) continue;
    at_[kind] = kNever;
    owner_.on_deadline(static_cast<DeadlineKind>(kind));
  }
  MonoTime next = *std::min_element(at_.begin(), at_.end());
  if (next != kNever && next < armed_for_) arm_for(next);
}

}  // namespace weir::proxy
