#include "core/dns/tracked_name.h"

#include <algorithm>

namespace weir::dns {
namespace {

bool before(const net::Address& a, const net::Address& b) {
  if (a.family() != b.family()) return a.family() < b.family();
  return std::lexicographical_compare(a.ip_bytes(), a.ip_bytes() + a.ip_size(), b.ip_bytes(),
                                      b.ip_bytes() + b.ip_size());
}

}  // namespace

void TrackedName::adopt(const TrackedName& other) {
  addresses_ = other.addresses_;
  in_order_ = other.in_order_;
  settled_ = other.settled_;
}

void TrackedName::on_timer() {
  observer_.on_asking(*this);
  resolver_->resolve(name_, policy_, *this);
}

void TrackedName::on_answer(const Answer& answer) {
  lane_.arm_in(*this, refresh_.after(answer, lane_.random()));
  settled_ = true;
  failures_ = answer.answered() ? 0 : failures_ + 1;
  bool changed = false;
  if (answer.outcome == Outcome::kFound || (answer.outcome == Outcome::kNone && on_none_ == OnNone::kReplace)) {
    std::vector<net::Address> sorted = answer.addresses;
    std::sort(sorted.begin(), sorted.end(), before);
    changed = sorted != addresses_;
    addresses_ = std::move(sorted);
    in_order_ = answer.addresses;
  }
  observer_.on_answer(*this, answer, changed);
}

}  // namespace weir::dns
