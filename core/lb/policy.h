// What the author of a load-balancing policy reads. build() runs on main whenever hosts or health change and returns
// pure data; pick() runs on workers, takes no lock and allocates nothing.
#pragma once

#include <bitset>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/random.h"
#include "core/base/status.h"
#include "core/lb/host.h"
#include "core/stats/store.h"

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
  // The same of all hosts together. `others_read_at` as above.
  struct InAll {
    int64_t own = 0;
    int64_t others = 0;
    int64_t others_read_at = 0;
  };
  // `in_all` may be nullptr: it is added up when somebody asks.
  LaneView(uint32_t lane, std::span<const HostEntry> hosts, std::span<PerHost> per_host, int64_t now_ns, Random& random,
           InAll* in_all = nullptr)
      : random(random), lane_(lane), hosts_(hosts), per_host_(per_host), in_all_(in_all), now_ns_(now_ns) {}

  // Requests in flight to a host: exact for this lane, at most a millisecond old for the others.
  int32_t in_flight(HostIndex index) {
    PerHost& at = per_host_[index];
    if (now_ns_ - at.others_read_at > 1'000'000) refresh(index);
    return at.own + at.others;
  }
  // To all hosts of the cluster, of whatever priority and health.
  int64_t in_flight_in_all() {
    if (in_all_ == nullptr) {
      int64_t sum = 0;
      for (HostIndex i = 0; i < hosts_.size(); ++i) sum += in_flight(i);
      return sum;
    }
    if (now_ns_ - in_all_->others_read_at > 1'000'000) {
      in_all_->others = 0;
      for (HostIndex i = 0; i < hosts_.size(); ++i) {
        refresh(i);
        in_all_->others += per_host_[i].others;
      }
      in_all_->others_read_at = now_ns_;
    }
    return in_all_->own + in_all_->others;
  }
  Random& random;
  bool panicked = false;  // the pick was one among all hosts, because too few are healthy

 private:
  void refresh(HostIndex index) {
    PerHost& at = per_host_[index];
    at.others = hosts_[index].host->active() - hosts_[index].host->active_on(lane_);
    at.others_read_at = now_ns_;
  }
  uint32_t lane_;
  std::span<const HostEntry> hosts_;
  std::span<PerHost> per_host_;
  InAll* in_all_;
  int64_t now_ns_;
};

// As published, priorities are 0 to 127.
using PrioritySet = std::bitset<128>;

// The hosts of one priority, those that are degraded or the others. In a panic they are the same.
struct Target {
  static constexpr uint32_t kAny = UINT32_MAX;
  uint32_t priority = kAny;
  bool degraded = false;
};

struct PickInput {
  uint64_t hash = 0;
  bool has_hash = false;
  bool only_asks = false;  // whether there is a host: no turn is taken in that of a name
  uint32_t attempt = 1;
  // What hosts are to have in their metadata below envoy.lb, a struct, where the cluster has subsets; nullptr: nothing.
  const stream::Value* match = nullptr;
  // Hosts tried before by this request; a policy avoids them while it has others.
  std::span<const Host* const> excluded;
  // Priorities that this request keeps clear of while another has a usable host; nullptr: none. HostSet's business.
  const PrioritySet* passed_over = nullptr;
  // Somebody has chosen already which hosts are asked, if there are any. Likewise.
  Target target = {};
  // Of a policy that finds hosts by what requests ask for: a name (by_name.h) or an address (destinations.h). What fits
  // none gets no host.
  std::string_view name = {};
};

// What a table keeps on a lane (a position in a rotation). Each table of a host set has its own; those of the next
// version take them over in the same order. [worker]
struct LaneState {
  uint64_t position = 0;
  bool seeded = false;
};

class Table {
 public:
  virtual ~Table() = default;
  // kNoHost: none can serve. `hosts` in the input's view are those the table was built from.
  virtual HostIndex pick(const PickInput& input, LaneView& view, LaneState& state) const noexcept = 0;
  // How many states it has on a lane: the one that pick() is given and those that follow it.
  virtual uint32_t lane_states() const { return 1; }
  // Its figures, one for each of PolicyDescriptor::figures. [main]
  virtual void tell(std::span<uint64_t> /*figures*/) const {}
};

// The hosts a policy shall balance over: indices into the host set, already limited to one priority and to usable
// health (or to all hosts, in panic). Never empty.
struct BuildInput {
  std::span<const HostEntry> hosts;
  std::span<const HostIndex> usable;
  // Of a policy that goes by shares: how much each of the usable hosts is to get; they add up to 1. By weight, and by
  // the weights of localities if the cluster says so.
  std::span<const double> shares = {};
};

// What a policy tells of its tables: gauges of the cluster, each of which says something of all its tables. Static.
struct Figures {
  enum class Of : uint8_t { kSum, kLeast, kMost };
  stats::GroupKind kind;   // "cluster"
  std::span<const Of> of;  // for each of its definitions
};

// How a policy prefers hosts of weir's own locality, where weir's own cluster is known. HostSet's business.
struct ZonePolicy {
  static constexpr uint32_t kAlways = 1'000'000;
  uint32_t enabled = kAlways;     // for so many of a million requests
  uint64_t min_cluster_size = 6;  // with fewer healthy hosts localities do not count
  uint32_t direct_from = 0;       // with so many hosts the own locality gets every request; 0: no number is enough
  bool fail_on_panic = false;     // no host, rather than any, when too few are healthy
  bool by_weight = false;         // localities are compared by their hosts' weights, not by their number
};

struct PolicyConfig {
  std::shared_ptr<const void> config;  // nullptr: defaults
  // Localities get requests by their weights. HostSet's business.
  bool locality_weighted = false;
  std::optional<ZonePolicy> zones = {};  // none: localities do not count for it
};

struct PolicyDescriptor {
  std::string_view name;  // "envoy.load_balancing_policies.round_robin"
  std::string_view type;  // full name of the configuration message
  // An error about a field begins with it ("table_size: 4 is not prime; ...").
  std::function<Result<PolicyConfig>(const google::protobuf::Message&)> make_config;
  // `config` may be nullptr: defaults. [main]
  std::function<std::unique_ptr<const Table>(const BuildInput&, const void* config)> build;
  bool by_share = false;             // its tables want BuildInput::shares
  const Figures* figures = nullptr;  // none
};

// Whether a host is in the list of those to avoid.
inline bool is_excluded(const PickInput& input, const Host* host) {
  for (const Host* other : input.excluded) {
    if (other == host) return true;
  }
  return false;
}

}  // namespace weir::lb
