#include "core/proxy/deadlines.h"

#include <algorithm>

namespace weir::proxy {

ScaledTimeout Deadlines::scaled_kind(DeadlineKind kind) {
  switch (kind) {
    case DeadlineKind::kConnectionIdle:
      return ScaledTimeout::kConnectionIdle;
    case DeadlineKind::kConnectionMax:
      return ScaledTimeout::kConnectionMax;
    case DeadlineKind::kStreamIdle:
      return ScaledTimeout::kStreamIdle;
    default:
      return ScaledTimeout::kCount;
  }
}

void Deadlines::forget(DeadlineKind kind) {
  const ScaledTimeout scaled = scaled_kind(kind);
  if (scaled != ScaledTimeout::kCount) scaled_->ones[static_cast<size_t>(scaled)].full = Duration::zero();
}

void Deadlines::set_scaled(DeadlineKind kind, Duration after) {
  const ScaledTimeout scaled = scaled_kind(kind);
  if (scaled == ScaledTimeout::kCount) return set_plain(kind, lane_.now() + after);
  scaled_->ones[static_cast<size_t>(scaled)] = {lane_.now(), after};
  set_plain(kind, lane_.now() + scaled_->overload.reduced(scaled, after));
}

void Deadlines::rescale() {
  if (scaled_ == nullptr) return;
  for (DeadlineKind kind : {DeadlineKind::kConnectionIdle, DeadlineKind::kConnectionMax, DeadlineKind::kStreamIdle}) {
    const ScaledTimeout scaled = scaled_kind(kind);
    const Scaled::One& one = scaled_->ones[static_cast<size_t>(scaled)];
    if (is_set(kind) && one.full > Duration::zero())
      set_plain(kind, one.begun + scaled_->overload.reduced(scaled, one.full));
  }
}

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
