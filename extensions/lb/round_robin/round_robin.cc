#include "extensions/lb/round_robin/round_robin.h"

#include <algorithm>
#include <numeric>

#include "core/filter/registry.h"

namespace weir::extensions::round_robin {
namespace {

// Rotations longer than this are shortened by rounding the weights; every host keeps at least one place.
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
      for (uint64_t& weight : weights) total += weight = std::max<uint64_t>(1, weight * kMaxRotation / before);
    }
    if (total == weights.size()) {
      order_.assign(input.usable.begin(), input.usable.end());
      return;
    }
    // A host of weight w is due at (k + 1/2) * total / w for k = 0..w-1: sorted, that spreads each evenly.
    struct Due {
      double at;
      lb::HostIndex host;
    };
    std::vector<Due> due;
    due.reserve(total);
    for (size_t i = 0; i < weights.size(); ++i) {
      for (uint64_t k = 0; k < weights[i]; ++k) {
        due.push_back({(static_cast<double>(k) + 0.5) / static_cast<double>(weights[i]), input.usable[i]});
      }
    }
    std::stable_sort(due.begin(), due.end(), [](const Due& a, const Due& b) { return a.at < b.at; });
    for (const Due& next : due) order_.push_back(next.host);
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
  policy->make_config = [](const google::protobuf::Message&) -> Result<std::shared_ptr<const void>> {
    return std::shared_ptr<const void>();  // nothing of it is implemented
  };
  policy->build = [](const lb::BuildInput& input, const void*) { return extensions::round_robin::build(input); };
  auto name = policy->name;
  auto type = policy->type;
  registry.add(std::move(policy), name, type);
}

}  // namespace weir::plugins
