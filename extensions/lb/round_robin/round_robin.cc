#include "extensions/lb/round_robin/round_robin.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "core/filter/registry.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb.h"
#include "extensions/lb/common/locality.h"

namespace weir::extensions::round_robin {
namespace {

// Rotations longer than this (256 KiB) are shortened by rounding the weights, so shares are exact to half a place of
// it; every host keeps at least one.
constexpr uint64_t kMaxRotation = 65536;

class Rotation final : public lb::Table {
 public:
  explicit Rotation(const lb::BuildInput& input) : hosts_(input.hosts) {
    std::vector<uint64_t> weights;
    uint64_t divisor = 0;
    for (lb::HostIndex index : input.usable) {
      weights.push_back(std::max<uint32_t>(1, input.hosts[index].weight));
      divisor = std::gcd(divisor, weights.back());
    }
    uint64_t total = 0;
    for (uint64_t& weight : weights) total += weight /= divisor;
    if (total > kMaxRotation) {
      uint64_t before = total;
      total = 0;
      for (uint64_t& weight : weights)
        total += weight = std::max<uint64_t>(1, (weight * kMaxRotation + before / 2) / before);
    }
    if (total == weights.size()) {
      order_.assign(input.usable.begin(), input.usable.end());
      return;
    }
    fill(input.usable, weights, static_cast<int64_t>(total));
  }

  lb::HostIndex pick(const lb::PickInput& input, lb::LaneView& view, lb::LaneState& state) const noexcept override {
    if (!state.seeded) {
      state.seeded = true;
      state.position = view.random.below(static_cast<uint32_t>(order_.size()));
    }
    if (state.position >= order_.size()) state.position = 0;
    lb::HostIndex first = order_[state.position++];
    if (input.excluded.empty() || !lb::is_excluded(input, hosts_[first].host.get())) return first;
    for (size_t tries = 1; tries < order_.size(); ++tries) {
      if (state.position >= order_.size()) state.position = 0;
      lb::HostIndex next = order_[state.position++];
      if (!lb::is_excluded(input, hosts_[next].host.get())) return next;
    }
    return first;
  }

 private:
  // Hosts of one weight take turns, so one of them stands for all: a rotation costs its length times the number of
  // different weights, which is below 1.5 times the root of its length.
  struct Equals {
    int64_t weight;
    std::vector<uint32_t> places;  // of the hosts, in usable
    int64_t credit = 0;            // of the host whose turn it is
    size_t turn = 0;
  };

  // Each time every host is credited its weight, and the one with most credit (of several the first) is next and pays
  // the sum of all weights: 5, 1, 1 become a a b a c a a.
  void fill(std::span<const lb::HostIndex> usable, const std::vector<uint64_t>& weights, int64_t total) {
    std::map<uint64_t, std::vector<uint32_t>> by_weight;
    for (uint32_t place = 0; place < weights.size(); ++place) by_weight[weights[place]].push_back(place);
    std::vector<Equals> all;
    for (auto& [weight, places] : by_weight) all.push_back({static_cast<int64_t>(weight), std::move(places)});
    order_.reserve(static_cast<size_t>(total));
    for (int64_t i = 0; i < total; ++i) {
      Equals* next = nullptr;
      for (Equals& one : all) {
        one.credit += one.weight;
        if (next == nullptr || one.credit > next->credit ||
            (one.credit == next->credit && one.places[one.turn] < next->places[next->turn]))
          next = &one;
      }
      order_.push_back(usable[next->places[next->turn]]);
      if (++next->turn < next->places.size()) continue;
      next->turn = 0;
      next->credit -= total;
    }
  }

  std::span<const lb::HostEntry> hosts_;
  std::vector<lb::HostIndex> order_;
};

}  // namespace

std::unique_ptr<const lb::Table> build(const lb::BuildInput& input) { return std::make_unique<Rotation>(input); }

}  // namespace weir::extensions::round_robin

namespace weir::plugins {

void lb_round_robin(filter::RegistryBuilder& registry) {
  auto policy = std::make_shared<lb::PolicyDescriptor>();
  policy->name = "envoy.load_balancing_policies.round_robin";
  policy->type = "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin";
  policy->make_config = [](const google::protobuf::Message& message) -> Result<lb::PolicyConfig> {
    using Proto = envoy::extensions::load_balancing_policies::round_robin::v3::RoundRobin;
    const auto& proto = static_cast<const Proto&>(message);
    lb::PolicyConfig config;
    extensions::locality::read(proto.locality_lb_config(), config);
    return config;
  };
  policy->build = [](const lb::BuildInput& input, const void*) { return extensions::round_robin::build(input); };
  auto name = policy->name;
  auto type = policy->type;
  registry.add(std::move(policy), name, type);
}

}  // namespace weir::plugins
