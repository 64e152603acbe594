// A policy without rules of its own, for tests of what chooses between its tables.
#pragma once

#include <memory>
#include <vector>

#include "core/lb/policy.h"

namespace weir::lb {

// Any of the hosts that it was given, each as often as the others.
class AnyHost final : public Table {
 public:
  explicit AnyHost(const BuildInput& input) : usable_(input.usable.begin(), input.usable.end()) {}
  HostIndex pick(const PickInput&, LaneView& view, LaneState&) const noexcept override {
    return usable_[view.random.below(static_cast<uint32_t>(usable_.size()))];
  }

 private:
  std::vector<HostIndex> usable_;
};

inline PolicyDescriptor any_host() {
  PolicyDescriptor policy;
  policy.build = [](const BuildInput& input, const void*) { return std::make_unique<AnyHost>(input); };
  return policy;
}

}  // namespace weir::lb
