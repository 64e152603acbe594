#include "core/lb/zones.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "core/lb/levels.h"

namespace weir::lb {
namespace {

constexpr stats::Definition kDefinitions[] = {
    {"lb_recalculate_zone_structures", stats::Type::kCounter}, {"lb_zone_cluster_too_small", stats::Type::kCounter},
    {"lb_local_cluster_not_ok", stats::Type::kCounter},        {"lb_zone_routing_all_directly", stats::Type::kCounter},
    {"lb_zone_routing_sampled", stats::Type::kCounter},        {"lb_zone_routing_cross_zone", stats::Type::kCounter},
    {"lb_zone_no_capacity_left", stats::Type::kCounter},
};
const stats::GroupKind kKind{"cluster", "envoy_cluster_name", kDefinitions};

uint64_t weight_of(const HostEntry& host) { return std::max<uint32_t>(1, host.weight); }

double chance(Random& random) { return static_cast<double>(random.next() >> 11) * 0x1p-53; }

class ZoneTable final : public Table {
 public:
  ZoneTable(std::span<const HostEntry> hosts, const ZonePolicy& policy, std::shared_ptr<const ZoneStats> stats,
            std::unique_ptr<const Table> whole)
      : hosts_(hosts), policy_(policy), stats_(std::move(stats)), whole_(std::move(whole)) {
    states_ = whole_->lane_states();
  }
  // weir's own cluster says nothing.
  void set_local_not_ok() { local_not_ok_ = true; }
  // The own locality takes this much of all requests.
  void set_own(std::unique_ptr<const Table> table, double share) {
    own_ = add_states(std::move(table));
    to_own_ = share;
  }
  // Of the rest, that much in proportion to what the others take.
  void add_other(std::unique_ptr<const Table> table, double room) {
    if (table == nullptr) return;
    room_ += room;
    others_.push_back({room_, add_states(std::move(table))});
  }

  HostIndex pick(const PickInput& input, LaneView& view, LaneState& state) const noexcept override {
    LaneState* states = &state;
    if (policy_.enabled < ZonePolicy::kAlways && view.random.below(ZonePolicy::kAlways) >= policy_.enabled)
      return whole_->pick(input, view, *states);
    if (local_not_ok_) {
      stats_->local_not_ok.inc();
      return policy_.fail_on_panic ? kNoHost : whole_->pick(input, view, *states);
    }
    const Part* part = choose(view);
    HostIndex host = kNoHost;
    if (part != nullptr) host = part->table->pick(input, view, states[part->first_state]);
    if (host != kNoHost && (input.excluded.empty() || !is_excluded(input, hosts_[host].host.get()))) return host;
    // Tried before, as all there: one of another locality is better.
    const HostIndex other = whole_->pick(input, view, *states);
    return other != kNoHost ? other : host;
  }
  uint32_t lane_states() const override { return states_; }

 private:
  struct Part {
    std::unique_ptr<const Table> table;
    uint32_t first_state = 0;
  };
  struct Other {
    double up_to;
    Part part;
  };

  Part add_states(std::unique_ptr<const Table> table) {
    if (table == nullptr) return {};
    const uint32_t first = states_;
    states_ += table->lane_states();
    return {std::move(table), first};
  }
  // nullptr: any host.
  const Part* choose(LaneView& view) const noexcept {
    if (own_.table != nullptr) {
      if (to_own_ >= 1) {
        stats_->all_directly.inc();
        return &own_;
      }
      if (chance(view.random) < to_own_) {
        stats_->sampled.inc();
        return &own_;
      }
    }
    stats_->cross_zone.inc();
    if (others_.empty()) {
      stats_->no_capacity.inc();
      return nullptr;
    }
    const double point = chance(view.random) * room_;
    return &std::upper_bound(others_.begin(), others_.end() - 1, point, [](double at, const Other& other) {
              return at < other.up_to;
            })->part;
  }

  const std::span<const HostEntry> hosts_;
  const ZonePolicy policy_;
  const std::shared_ptr<const ZoneStats> stats_;
  const std::unique_ptr<const Table> whole_;  // its states are the first ones
  Part own_;                                  // no table: it has no usable host
  std::vector<Other> others_;                 // that have room for requests of other localities
  double to_own_ = 0;
  double room_ = 0;
  uint32_t states_ = 0;
  bool local_not_ok_ = false;
};

struct Zone {
  const Locality* where = nullptr;
  std::vector<HostIndex> usable;
  double size = 0;
};

}  // namespace

LocalCluster::LocalCluster(std::span<const HostEntry> hosts, bool panics, Locality where)
    : where_(std::move(where)), panics_(panics) {
  for (const HostEntry& host : hosts) {
    if (host.health != Health::kHealthy || host.priority != 0) continue;
    const Locality& at = host.locality();
    for (Part* part : {&parts_[{at.region, at.zone, at.sub_zone}], &all_}) {
      ++part->hosts;
      part->weight += weight_of(host);
    }
  }
}

double LocalCluster::share(const Locality& where, bool by_weight) const {
  const auto at = parts_.find({where.region, where.zone, where.sub_zone});
  if (at == parts_.end()) return 0;
  return by_weight ? static_cast<double>(at->second.weight) / static_cast<double>(all_.weight)
                   : static_cast<double>(at->second.hosts) / static_cast<double>(all_.hosts);
}

ZoneStats::ZoneStats(stats::Store& store, const std::string& cluster) : group(store.group(kKind, cluster)) {
  size_t next = 0;
  for (stats::Counter* counter :
       {&recalculated, &too_small, &local_not_ok, &all_directly, &sampled, &cross_zone, &no_capacity})
    *counter = group->counter(next++);
}

std::unique_ptr<const Table> build_by_zone(const PolicyDescriptor& policy, const void* policy_config,
                                           const BuildInput& input, std::span<const HostIndex> all,
                                           const BalanceOptions& options) {
  const ZonePolicy& wanted = *options.zones;
  const LocalCluster& local = *options.local_cluster;
  const ZoneStats& stats = *options.zone_stats;
  stats.recalculated.inc();
  using Name = std::tuple<std::string_view, std::string_view, std::string_view>;
  std::map<Name, Zone> zones;
  const auto zone_of = [&](HostIndex i) -> Zone& {
    const Locality& where = input.hosts[i].locality();
    Zone& zone = zones[{where.region, where.zone, where.sub_zone}];
    zone.where = &where;
    return zone;
  };
  for (HostIndex i : all) zone_of(i);
  if (zones.size() < 2) return nullptr;
  if (input.usable.size() < wanted.min_cluster_size) {
    stats.too_small.inc();
    return nullptr;
  }
  double total = 0;
  for (HostIndex i : input.usable) {
    Zone& zone = zone_of(i);
    const double size = wanted.by_weight ? static_cast<double>(weight_of(input.hosts[i])) : 1;
    zone.usable.push_back(i);
    zone.size += size;
    total += size;
  }

  const auto part = [&](const Zone& zone) { return policy.build({input.hosts, zone.usable}, policy_config); };
  std::unique_ptr<const Table> whole = policy.build(input, policy_config);
  if (whole == nullptr) return nullptr;
  auto table = std::make_unique<ZoneTable>(input.hosts, wanted, options.zone_stats, std::move(whole));
  if (local.panics()) {
    table->set_local_not_ok();
    return table;
  }
  const auto own = zones.find({local.where().region, local.where().zone, local.where().sub_zone});
  if (own != zones.end() && !own->second.usable.empty()) {
    const double here = own->second.size / total;
    const double sent = local.share(local.where(), wanted.by_weight);
    const bool forced = wanted.direct_from > 0 && own->second.usable.size() >= wanted.direct_from;
    const bool direct = forced || here >= sent;
    table->set_own(part(own->second), direct ? 1 : here / sent);
    if (direct) return table;
  }
  for (const auto& [name, zone] : zones) {
    if (zone.usable.empty() || (own != zones.end() && &zone == &own->second)) continue;
    const double room = zone.size / total - local.share(*zone.where, wanted.by_weight);
    if (room > 0) table->add_other(part(zone), room);
  }
  return table;
}

}  // namespace weir::lb
