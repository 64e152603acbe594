#include "extensions/lb/common/consistent.h"

#include <algorithm>
#include <cmath>

#include "core/base/xxhash.h"
#include "envoy/extensions/load_balancing_policies/common/v3/common.pb.h"

namespace weir::extensions::consistent {
namespace {

// How often another hash is tried before the hosts are gone through.
constexpr uint64_t kStandIns = 16;

uint64_t stand_in(uint64_t hash, uint64_t attempt) {
  const uint64_t both[] = {hash, attempt};
  return xxhash64({reinterpret_cast<const char*>(both), sizeof both});
}

}  // namespace

Config read(const envoy::extensions::load_balancing_policies::common::v3::ConsistentHashingLbConfig& proto) {
  return {proto.use_hostname_for_hashing(), proto.hash_balance_factor().value()};
}

std::string_view key_of(const lb::HostEntry& host, const Config& config) {
  if (host.metadata != nullptr) {
    const stream::Value* space = host.metadata->root().find("envoy.lb");
    const stream::Value* key = space != nullptr ? space->find("hash_key") : nullptr;
    if (key != nullptr && key->kind() == stream::Value::Kind::kString && !key->string().empty()) return key->string();
  }
  return config.use_hostname && !host.host->hostname().empty() ? host.host->hostname() : host.host->text();
}

std::vector<Member> members_of(const lb::BuildInput& input, const Config& config) {
  std::vector<Member> members;
  members.reserve(input.usable.size());
  for (size_t i = 0; i < input.usable.size(); ++i) {
    const lb::HostEntry& host = input.hosts[input.usable[i]];
    members.push_back({input.usable[i], input.shares[i], key_of(host, config)});
  }
  std::stable_sort(members.begin(), members.end(), [](const Member& a, const Member& b) { return a.key < b.key; });
  return members;
}

Table::Table(const lb::BuildInput& input, const std::vector<Member>& members, const Config& config)
    : entries_(input.hosts), balance_factor_(config.balance_factor) {
  hosts_.reserve(members.size());
  for (const Member& member : members) {
    hosts_.push_back(member.host);
    if (balance_factor_ != 0) shares_.push_back(member.share);
  }
}

double Table::load(size_t place, lb::LaneView& view) const noexcept {
  const auto all = static_cast<double>(view.in_flight_in_all() + 1);
  const double slots = std::max(1.0, std::ceil(all * balance_factor_ / 100 * shares_[place]));
  return (view.in_flight(hosts_[place]) + 1) / slots;
}

lb::HostIndex Table::pick(const lb::PickInput& input, lb::LaneView& view, lb::LaneState&) const noexcept {
  const uint64_t hash = input.has_hash ? input.hash : view.random.next();
  const size_t first = place_of(hash);
  const auto tried = [&](size_t place) {
    return !input.excluded.empty() && lb::is_excluded(input, entries_[hosts_[place]].host.get());
  };
  if (balance_factor_ == 0 && !tried(first)) [[likely]]
    return hosts_[first];
  // The same others for the same hash, as long as the hosts are the same.
  size_t best = first;
  double best_load = 0;
  bool any = false;
  // True: look no further.
  const auto consider = [&](size_t place) {
    if (tried(place)) return false;
    const double here = balance_factor_ != 0 ? load(place, view) : 0;
    if (!any || here < best_load) {
      best = place;
      best_load = here;
      any = true;
    }
    return here <= 1;
  };
  if (consider(first)) return hosts_[best];
  for (uint64_t i = 1; i <= kStandIns; ++i) {
    if (consider(place_of(stand_in(hash, i)))) return hosts_[best];
  }
  const size_t start = stand_in(hash, 0) % hosts_.size();
  for (size_t i = 0; i < hosts_.size(); ++i) {
    if (consider((start + i) % hosts_.size())) return hosts_[best];
  }
  return hosts_[best];
}

}  // namespace weir::extensions::consistent
