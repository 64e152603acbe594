#include "core/lb/localities.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>

namespace weir::lb {
namespace {

struct Place {
  double weight = 0;
  size_t all = 0;  // of its hosts; usable or not
  std::vector<HostIndex> usable;
  uint64_t usable_weight = 0;
};

uint64_t weight_of(const HostEntry& host) { return std::max<uint32_t>(1, host.weight); }

// In an order that does not depend on that of the hosts.
class Places {
 public:
  Places(const BuildInput& input, std::span<const HostIndex> all, const BalanceOptions& options) {
    for (HostIndex i : all) ++at(input.hosts[i]).all;
    for (HostIndex i : input.usable) {
      Place& place = at(input.hosts[i]);
      place.usable.push_back(i);
      place.usable_weight += weight_of(input.hosts[i]);
    }
    if (options.scale_localities && !all.empty()) scale(input.hosts, input.hosts[all.front()].priority);
  }
  // Those that get requests: with a usable host and a weight.
  template <class Visit>
  void for_each_serving(Visit&& visit) const {
    for (const auto& [name, place] : places_) {
      if (!place.usable.empty() && place.weight > 0) visit(place);
    }
  }

 private:
  using Name = std::tuple<std::string_view, std::string_view, std::string_view>;
  static Name name_of(const HostEntry& host) {
    const Locality& where = host.locality();
    return {where.region, where.zone, where.sub_zone};
  }
  Place& at(const HostEntry& host) {
    Place& place = places_[name_of(host)];
    place.weight = host.locality().weight;
    return place;
  }
  void scale(std::span<const HostEntry> hosts, uint32_t priority) {
    std::map<Name, size_t> counts;
    for (const HostEntry& host : hosts) {
      if (host.priority == priority) ++counts[name_of(host)];
    }
    for (auto& [name, place] : places_)
      place.weight *= static_cast<double>(place.all) / static_cast<double>(counts[name]);
  }
  std::map<Name, Place> places_;
};

// First a locality by chance and weight, then one of its hosts.
class LocalityTable final : public Table {
 public:
  explicit LocalityTable(std::span<const HostEntry> hosts) : hosts_(hosts) {}
  // nullptr: the policy makes none of them.
  void add(double weight, std::unique_ptr<const Table> table) {
    if (table == nullptr) return;
    total_ += weight;
    const uint32_t states = table->lane_states();
    parts_.push_back({total_, std::move(table), states_});
    states_ += states;
  }
  bool empty() const { return parts_.empty(); }

  HostIndex pick(const PickInput& input, LaneView& view, LaneState& state) const noexcept override {
    const double point = static_cast<double>(view.random.next() >> 11) * 0x1p-53 * total_;
    const auto chosen = std::upper_bound(parts_.begin(), parts_.end() - 1, point,
                                         [](double at, const Part& part) { return at < part.up_to; });
    const auto start = static_cast<size_t>(chosen - parts_.begin());
    HostIndex first = kNoHost;
    for (size_t i = 0; i < parts_.size(); ++i) {
      const Part& part = parts_[(start + i) % parts_.size()];
      const HostIndex host = part.table->pick(input, view, (&state)[part.first_state]);
      if (host == kNoHost) continue;
      if (input.excluded.empty() || !is_excluded(input, hosts_[host].host.get())) return host;
      if (first == kNoHost) first = host;  // the locality has no other: one of another is better
    }
    return first;
  }
  uint32_t lane_states() const override { return states_; }

 private:
  struct Part {
    double up_to;
    std::unique_ptr<const Table> table;
    uint32_t first_state;
  };
  const std::span<const HostEntry> hosts_;
  std::vector<Part> parts_;
  double total_ = 0;
  uint32_t states_ = 0;
};

std::unique_ptr<const Table> build_by_locality(const PolicyDescriptor& policy, const void* policy_config,
                                               const BuildInput& input, std::span<const HostIndex> all,
                                               const BalanceOptions& options) {
  auto table = std::make_unique<LocalityTable>(input.hosts);
  const Places places(input, all, options);
  places.for_each_serving([&](const Place& place) {
    // As much as it has, until it has less than the overprovisioning makes up for.
    const double health = std::min(1.0, options.overprovisioning_percent * 0.01 *
                                            static_cast<double>(place.usable.size()) / static_cast<double>(place.all));
    if (health == 0) return;
    table->add(place.weight * health, policy.build({input.hosts, place.usable}, policy_config));
  });
  if (table->empty()) return nullptr;
  return table;
}

std::unique_ptr<const Table> build_by_share(const PolicyDescriptor& policy, const void* policy_config,
                                            const BuildInput& input, std::span<const HostIndex> all,
                                            const BalanceOptions& options) {
  std::vector<HostIndex> usable;
  std::vector<double> shares;
  if (options.locality_weighted) {
    const Places places(input, all, options);
    double sum = 0;
    places.for_each_serving([&](const Place& place) { sum += place.weight; });
    places.for_each_serving([&](const Place& place) {
      for (HostIndex i : place.usable) {
        usable.push_back(i);
        shares.push_back(place.weight / sum * static_cast<double>(weight_of(input.hosts[i])) /
                         static_cast<double>(place.usable_weight));
      }
    });
  }
  if (usable.empty()) {
    usable.assign(input.usable.begin(), input.usable.end());
    double sum = 0;
    for (HostIndex i : usable) sum += static_cast<double>(weight_of(input.hosts[i]));
    for (HostIndex i : usable) shares.push_back(static_cast<double>(weight_of(input.hosts[i])) / sum);
  }
  return policy.build({input.hosts, usable, shares}, policy_config);
}

}  // namespace

std::unique_ptr<const Table> build_table(const PolicyDescriptor& policy, const void* policy_config,
                                         const BuildInput& input, std::span<const HostIndex> all,
                                         const BalanceOptions& options, bool panic) {
  if (policy.by_share) return build_by_share(policy, policy_config, input, all, options);
  if (options.locality_weighted && !panic) {
    // Without any weight, localities do not count.
    if (auto table = build_by_locality(policy, policy_config, input, all, options)) return table;
  }
  return policy.build(input, policy_config);
}

}  // namespace weir::lb
