#include "core/dns/tracked_name.h"

#include <algorithm>
#include <iterator>

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
  was_none_ = other.was_none_;
}

Answer TrackedName::completed(Answer answer) const {
  if (!answer.unanswered.has_value()) return answer;
  const auto lost = [&](const net::Address& one) { return one.family() == answer.unanswered->family; };
  if (policy_ == FamilyPolicy::kAll) {
    const auto end =
        answer.unanswered->family == net::Family::kIpv6 ? answer.addresses.begin() : answer.addresses.end();
    std::vector<net::Address> stay;
    std::copy_if(in_order_.begin(), in_order_.end(), std::back_inserter(stay), lost);
    answer.addresses.insert(end, stay.begin(), stay.end());
  } else if (!in_order_.empty() && lost(in_order_.front())) {
    answer.addresses = in_order_;  // the preferred family goes on being served
  } else {
    answer.unanswered.reset();  // the other one is what there is
  }
  return answer;
}

void TrackedName::on_timer() {
  observer_.on_asking(*this);
  resolver_->resolve(name_, policy_, *this);
}

void TrackedName::on_answer(const Answer& given) {
  const Answer answer = completed(given);
  lane_.arm_in(*this, refresh_.after(answer, lane_.random()));
  settled_ = true;
  failures_ = answer.complete() ? 0 : failures_ + 1;
  bool changed = false;
  if (answer.outcome == Outcome::kFound || (answer.outcome == Outcome::kNone && on_none_ == OnNone::kReplace)) {
    std::vector<net::Address> sorted = answer.addresses;
    std::sort(sorted.begin(), sorted.end(), before);
    changed = sorted != addresses_;
    addresses_ = std::move(sorted);
    in_order_ = answer.addresses;
  }
  observer_.on_answer(*this, answer, changed);
  was_none_ = answer.outcome == Outcome::kNone;
}

}  // namespace weir::dns
