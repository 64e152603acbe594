// One version of a cluster's membership with the tables built from it: what a lane's host-set slot shows.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/event/slot.h"
#include "core/lb/levels.h"
#include "core/lb/subsets.h"

namespace weir::lb {

class HostSet final : public event::Versioned {
 public:
  using Options = BalanceOptions;
  // Into subsets, or (without a policy) not.
  struct Division {
    std::shared_ptr<const SubsetPolicy> policy = nullptr;
    std::shared_ptr<const SubsetStats> stats = nullptr;
  };
  // [main]
  HostSet(std::vector<HostEntry> hosts, const PolicyDescriptor& policy, const void* policy_config,
          const Options& options, const Division& division);
  HostSet(std::vector<HostEntry> hosts, const PolicyDescriptor& policy, const void* policy_config,
          const Options& options)
      : HostSet(std::move(hosts), policy, policy_config, options, Division()) {}

  std::span<const HostEntry> hosts() const { return hosts_; }
  const HostEntry& host(HostIndex index) const { return hosts_[index]; }
  // `states`: of the lane, as many as lane_states(). [worker]
  HostIndex pick(const PickInput& input, LaneView& view, LaneState* states) const noexcept {
    if (subsets_ != nullptr) [[unlikely]]
      return subsets_->pick(input, view, states);
    return all_.pick(input, view, states);
  }
  // Of all hosts.
  const Levels& levels() const { return all_; }
  // A request may get some of the hosts alone.
  bool divided() const { return subsets_ != nullptr; }
  uint32_t lane_states() const { return std::max<uint32_t>(1, lane_states_); }
  size_t healthy() const { return all_.healthy(); }
  size_t degraded() const { return all_.degraded(); }
  // Some priority uses all of its hosts, because too few are healthy.
  bool panics() const { return all_.panics(); }
  bool panicking(uint32_t priority) const { return all_.panicking(priority); }
  // Some priority that is not in this list has a host that is healthy or degraded. [worker]
  bool usable_without(const PrioritySet& passed_over) const noexcept { return all_.usable_without(passed_over); }
  // As many as the policy that it was made with has. [main]
  std::vector<uint64_t> figures(const Figures& figures) const;
  // Of subsets, if it is divided. [main]
  std::vector<std::string> subset_names() const { return divided() ? subsets_->names() : std::vector<std::string>(); }
  size_t subset_duplicates() const { return divided() ? subsets_->duplicates() : 0; }

 private:
  const std::vector<HostEntry> hosts_;
  uint32_t lane_states_ = 0;
  const Levels all_;
  std::unique_ptr<const Subsets> subsets_;
};

}  // namespace weir::lb
