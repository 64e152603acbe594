// What the author of a load-balancing policy reads. build() runs on main whenever hosts or health change and returns
// pure data; pick() runs on workers, takes no lock and allocates nothing.
#pragma once

#include <bitset>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/random.h"
#include "core/base/status.h"
#include "core/lb/host.h"

namespace google::protobuf {
class Message;
}

namespace weir::lb {

using HostIndex = uint32_t;
constexpr HostIndex kNoHost = UINT32_MAX;

// A lane's view of the hosts of one cluster; indices are those of the current host set. [worker]
class LaneView {
 public:
  // What a lane keeps per host between picks.
  struct PerHost {
    int32_t own = 0;     // requests of this lane in flight
    int32_t others = 0;  // of the other lanes, at most 1 ms old
    int64_t others_read_at = 0;
  };
  LaneView(uint32_t lane, std::span<const HostEntry> hosts, std::span<PerHost> per_host, int64_t now_ns, Random& random)
      : random(random), lane_(lane), hosts_(hosts), per_host_(per_host), now_ns_(now_ns) {}

  // Requests in flight to a host: exact for this lane, at most a millisecond old for the others.
  int32_t in_flight(HostIndex index) {
    PerHost& at = per_host_[index];
    if (now_ns_ - at.others_read_at > 1'000'000) refresh(index);
    return at.own + at.others;
  }
  Random& random;

 private:
  void refresh(HostIndex index) {
    PerHost& at = per_host_[index];
    at.others = hosts_[index].host->active() - hosts_[index].host->active_on(lane_);
    at.others_read_at = now_ns_;
  }
  uint32_t lane_;
  std::span<const HostEntry> hosts_;
  std::span<PerHost> per_host_;
  int64_t now_ns_;
};

// As published, priorities are 0 to 127.
using PrioritySet = std::bitset<128>;

struct PickInput {
  uint64_t hash = 0;
  bool has_hash = false;
  uint32_t attempt = 1;
  // Hosts tried before by this request; a policy avoids them while it has others.
  std::span<const Host* const> excluded;
  // Priorities that this request keeps clear of while another has a usable host; nullptr: none. HostSet's business.
  const PrioritySet* passed_over = nullptr;
};

// What a policy keeps per lane and cluster (a position in a rotation). Made by the table, survives host-set updates if
// the table's kind is unchanged. [worker]
struct LaneState {
  uint64_t position = 0;
  bool seeded = false;
};

class Table {
 public:
  virtual ~Table() = default;
  // kNoHost: none can serve. `hosts` in the input's view are those the table was built from.
  virtual HostIndex pick(const PickInput& input, LaneView& view, LaneState& state) const noexcept = 0;
};

// The hosts a policy shall balance over: indices into the host set, already limited to one priority and to usable
// health (or to all hosts, in panic).
struct BuildInput {
  std::span<const HostEntry> hosts;
  std::span<const HostIndex> usable;
};

struct PolicyDescriptor {
  std::string_view name;  // "envoy.load_balancing_policies.round_robin"
  std::string_view type;  // full name of the configuration message
  std::function<Result<std::shared_ptr<const void>>(const google::protobuf::Message&)> make_config;
  // `config` may be nullptr: defaults. [main]
  std::function<std::unique_ptr<const Table>(const BuildInput&, const void* config)> build;
};

// Whether a host is in the list of those to avoid.
inline bool is_excluded(const PickInput& input, const Host* host) {
  for (const Host* other : input.excluded) {
    if (other == host) return true;
  }
  return false;
}

}  // namespace weir::lb
