// Which priorities the attempts of one request have used, and which the next one passes over (the extension
// previous_priorities of a retry policy).
#pragma once

#include <cstdint>

#include "core/lb/host_set.h"

namespace weir::proxy {

// [worker]
class RetryPriorities {
 public:
  // Before each attempt. After every `frequency` of them what they used is passed over from then on, until nobody is
  // left: then all begin anew.
  // `hosts`: an lb::HostSet, or an upstream::Aggregate.
  template <class Hosts>
  const lb::PrioritySet& next(uint32_t frequency, const Hosts& hosts) {
    if (attempts_ == 0 || attempts_ % frequency != 0) return passed_over_;
    passed_over_ |= used_;
    used_.reset();
    if (!hosts.usable_without(passed_over_)) passed_over_.reset();
    return passed_over_;
  }
  // An attempt goes to this priority.
  void use(uint32_t priority) {
    ++attempts_;
    last_ = priority;
    was_used_ = used_[priority];
    used_.set(priority);
  }
  // The last one was none.
  void forget_last() {
    if (attempts_ == 0) return;
    --attempts_;
    if (!was_used_) used_.reset(last_);
  }

 private:
  lb::PrioritySet used_;  // since passed_over_ was made
  lb::PrioritySet passed_over_;
  uint32_t attempts_ = 0;
  uint32_t last_ = 0;
  bool was_used_ = false;
};

}  // namespace weir::proxy
