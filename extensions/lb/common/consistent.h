// What balancers that go by a hash have in common: what a host is called there, who stands in for a host that was tried
// or has too much to do, and the settings that say so.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/lb/policy.h"

namespace envoy::extensions::load_balancing_policies::common::v3 {
class ConsistentHashingLbConfig;
}

namespace weir::extensions::consistent {

struct Config {
  bool use_hostname = false;    // instead of the address
  uint32_t balance_factor = 0;  // percent of the mean that a host may have to do; 0: any
};
Config read(const envoy::extensions::load_balancing_policies::common::v3::ConsistentHashingLbConfig& proto);

// The text that a host is hashed as: `hash_key` of its metadata below envoy.lb, its hostname or its address.
std::string_view key_of(const lb::HostEntry& host, const Config& config);

// One of the hosts a table is made of.
struct Member {
  lb::HostIndex host;
  double share;
  std::string_view key;  // of the host set
};
// In the order of their keys: a table is the same whatever the order of the configuration.
std::vector<Member> members_of(const lb::BuildInput& input, const Config& config);

class Table : public lb::Table {
 public:
  lb::HostIndex pick(const lb::PickInput& input, lb::LaneView& view, lb::LaneState& state) const noexcept final;

 protected:
  Table(const lb::BuildInput& input, const std::vector<Member>& members, const Config& config);
  size_t size() const { return hosts_.size(); }

 private:
  // Which of the members. Any hash has one.
  virtual size_t place_of(uint64_t hash) const noexcept = 0;
  // How much a host has to do with one request more, measured by what it may have: above 1 it is too much.
  double load(size_t place, lb::LaneView& view) const noexcept;

  const std::span<const lb::HostEntry> entries_;
  std::vector<lb::HostIndex> hosts_;
  std::vector<double> shares_;  // none unless loads are balanced
  const uint32_t balance_factor_;
};

// Places of members, as small as their number lets them be.
class Places {
 public:
  Places(size_t count, size_t members) {
    if (members < UINT16_MAX) {
      small_.assign(count, UINT16_MAX);
    } else {
      large_.assign(count, UINT32_MAX);
    }
  }
  size_t get(size_t at) const { return large_.empty() ? small_[at] : large_[at]; }
  bool is_free(size_t at) const { return large_.empty() ? small_[at] == UINT16_MAX : large_[at] == UINT32_MAX; }
  void set(size_t at, size_t place) {
    if (large_.empty()) {
      small_[at] = static_cast<uint16_t>(place);
    } else {
      large_[at] = static_cast<uint32_t>(place);
    }
  }

 private:
  std::vector<uint16_t> small_;
  std::vector<uint32_t> large_;
};

}  // namespace weir::extensions::consistent
