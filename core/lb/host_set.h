// One version of a cluster's membership with the table built from it: what a lane's host-set slot shows.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "core/event/slot.h"
#include "core/lb/policy.h"

namespace weir::lb {

class HostSet final : public event::Versioned {
 public:
  struct Options {
    uint32_t panic_threshold_percent = 50;  // below this share of healthy hosts all hosts are used
    uint32_t overprovisioning_percent = 140;
  };
  // [main]
  HostSet(std::vector<HostEntry> hosts, const PolicyDescriptor& policy, const void* policy_config,
          const Options& options);

  std::span<const HostEntry> hosts() const { return hosts_; }
  const HostEntry& host(HostIndex index) const { return hosts_[index]; }
  // Chooses the priority by load, then lets its table pick. [worker]
  HostIndex pick(const PickInput& input, LaneView& view, LaneState& state) const noexcept;
  size_t healthy() const { return healthy_; }
  size_t degraded() const { return degraded_; }
  // Some priority uses all of its hosts, because too few are healthy.
  bool panics() const { return panics_; }
  bool panicking(uint32_t priority) const { return levels_[priority].panic; }
  // Some priority that is not in this list has a host that is healthy or degraded. [worker]
  bool usable_without(const PrioritySet& passed_over) const noexcept;

 private:
  struct Level {
    std::unique_ptr<const Table> table;  // of the healthy hosts, or of all in a panic; nullptr: none
    std::unique_ptr<const Table> degraded_table;
    uint32_t load = 0, degraded_load = 0;  // percent of requests
    // What healthy and degraded hosts could take, in percent, overprovisioned.
    uint32_t healthy = 0, degraded = 0;
    bool panic = false;
  };
  // Who takes the requests, in percent that add up to 100, or to 0 if nobody can.
  using Percents = std::array<uint8_t, PrioritySet().size()>;
  struct Shares {
    Percents healthy{}, degraded{};
    uint32_t health = 0;  // what all together could take, in percent
  };
  Shares shares_without(const PrioritySet& passed_over) const noexcept;
  HostIndex pick_among(uint32_t point, const PickInput& input, LaneView& view, LaneState& state) const noexcept;
  HostIndex pick_elsewhere(uint32_t point, const PickInput& input, LaneView& view, LaneState& state) const noexcept;
  std::vector<HostEntry> hosts_;
  std::vector<Level> levels_;
  size_t healthy_ = 0;
  size_t degraded_ = 0;
  bool panics_ = false;
  bool single_ = false;  // the first table takes every request
};

}  // namespace weir::lb
