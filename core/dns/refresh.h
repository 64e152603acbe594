// When a name is asked for again.
#pragma once

#include <cstdint>

#include "core/base/random.h"
#include "core/base/time.h"
#include "core/dns/answer.h"

namespace weir::dns {

struct RefreshPlan {
  Duration rate = 5s;
  Duration jitter{};  // up to this is added
  // The lifetime of the answer instead of `rate`, if it has one; within the bounds below, whatever a server says.
  bool respect_ttl = false;
  Duration least_ttl = 1s;
  static constexpr Duration kMostTtl = 24h;
  // After failures: doubled with each, up to the most, of that at random half to all. Zero: `rate`.
  Duration failure_base{};
  Duration failure_most{};
  bool operator==(const RefreshPlan&) const = default;
};

class Refresh {
 public:
  explicit Refresh(const RefreshPlan& plan) : plan_(plan) {}
  // How long after this answer; never zero.
  Duration after(const Answer& answer, Random& random);

 private:
  const RefreshPlan plan_;
  Duration back_off_{};  // of the last failure; zero: there was none
};

}  // namespace weir::dns
