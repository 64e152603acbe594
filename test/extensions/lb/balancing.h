// Hosts with weights, and a lane that picks among them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/random.h"
#include "core/lb/policy.h"

namespace weir::lb {

class Balancing {
 public:
  explicit Balancing(const std::vector<uint32_t>& weights, uint64_t seed = 1)
      : random_(seed), per_host_(weights.size()) {
    for (size_t i = 0; i < weights.size(); ++i) {
      HostEntry entry;
      entry.host = std::make_shared<Host>(*net::Address::from_ip("10.0.0.1", static_cast<uint16_t>(i + 1)),
                                          std::to_string(i), "", 2);
      entry.weight = weights[i];
      hosts_.push_back(std::move(entry));
      usable_.push_back(static_cast<HostIndex>(i));
    }
  }
  BuildInput input() {
    shares_.clear();
    double sum = 0;
    for (HostIndex i : usable_) sum += hosts_[i].weight;
    for (HostIndex i : usable_) shares_.push_back(hosts_[i].weight / sum);
    return {hosts_, usable_, shares_};
  }
  void use_only(std::vector<HostIndex> usable) { usable_ = std::move(usable); }
  HostIndex pick_hash(const Table& table, uint64_t hash, std::span<const Host* const> excluded = {}) {
    LaneView view(1, hosts_, per_host_, 1, random_);
    PickInput input;
    input.hash = hash;
    input.has_hash = true;
    input.excluded = excluded;
    return table.pick(input, view, state_);
  }
  std::vector<HostEntry>& entries() { return hosts_; }
  HostIndex pick(const Table& table, std::span<const Host* const> excluded = {}) {
    LaneView view(1, hosts_, per_host_, 1, random_);
    PickInput input;
    input.excluded = excluded;
    return table.pick(input, view, state_);
  }
  const Host* host(HostIndex index) const { return hosts_[index].host.get(); }
  void set_in_flight(HostIndex index, int32_t count) { per_host_[index].own = count; }
  int32_t in_flight(HostIndex index) const { return per_host_[index].own; }
  size_t size() const { return hosts_.size(); }
  void forget_position() { state_ = {}; }

 private:
  Random random_;
  std::vector<HostEntry> hosts_;
  std::vector<HostIndex> usable_;
  std::vector<double> shares_;
  std::vector<LaneView::PerHost> per_host_;
  LaneState state_;
};

}  // namespace weir::lb
