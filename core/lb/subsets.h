// Subsets of a cluster's hosts by their metadata (below envoy.lb), chosen by that of the request: lb_subset_config and
// the policy `subset`.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/lb/levels.h"
#include "core/stream/metadata.h"

namespace weir::lb {

// [immutable]
struct SubsetPolicy {
  enum class Fallback : uint8_t {
    kNone,     // no host
    kAny,      // all hosts
    kDefault,  // those of default_subset
    kUnset,    // of a selector: that of the policy
    kKeys,     // of a selector: once more, with its fallback_keys alone
  };
  // Hosts that have all of these keys are in one subset if they have the same values.
  struct Selector {
    std::vector<std::string> keys;  // in order
    Fallback fallback = Fallback::kUnset;
    std::vector<std::string> fallback_keys;  // fewer than `keys`
    bool single_host = false;                // the first host of a value is its subset
  };
  Fallback fallback = Fallback::kNone;  // of the first three
  std::shared_ptr<const stream::StaticMetadata> default_subset;
  std::vector<Selector> selectors;
  bool locality_weight_aware = false;
  bool scale_locality_weight = false;
  bool panic_mode_any = false;        // all hosts, where the policy's fallback has none
  bool list_as_any = false;           // a host with a list has each of its items
  bool allow_redundant_keys = false;  // a request may have more keys than a selector
  bool fallback_list = false;         // a request may bring a list of what is tried in turn
};

// The published statistics. [any]
struct SubsetStats {
  SubsetStats(stats::Store& store, const std::string& cluster);
  std::shared_ptr<stats::Group> group;
  stats::Counter created, removed, selected, fallback, fallback_panic;
  stats::Gauge active, single_host_duplicate;
};

// The subsets of one version of the hosts. [immutable]
class Subsets {
 public:
  // [main] `all`: of all hosts, `hosts`; both stay where they are.
  Subsets(std::span<const HostEntry> hosts, const Levels& all, const PolicyDescriptor& policy,
          const void* policy_config, const BalanceOptions& options, std::shared_ptr<const SubsetPolicy> subsets,
          std::shared_ptr<const SubsetStats> stats, uint32_t& next_state);

  // [worker]
  HostIndex pick(const PickInput& input, LaneView& view, LaneState* states) const noexcept;

  // A text for each subset, the same for the same subset of another version. [main]
  std::vector<std::string> names() const;
  // Hosts that are in no subset because another host has the same value. [main]
  size_t duplicates() const { return duplicates_; }
  // visit(const Table&)
  template <class Visit>
  void for_each_table(Visit&& visit) const {
    for (const Subset& subset : subsets_) {
      if (subset.levels != nullptr) subset.levels->for_each_table(visit);
    }
    if (default_ != nullptr) default_->for_each_table(visit);
  }

  // How many subsets of this selector a host of that metadata (below envoy.lb) is in.
  static uint64_t count_for(const stream::Value& metadata, const SubsetPolicy::Selector& selector, bool list_as_any);

 private:
  struct Subset {
    uint32_t selector;
    std::vector<stream::Value> values;  // one for each key of the selector; in the hosts' metadata
    std::vector<HostIndex> members;
    std::unique_ptr<const Levels> levels;  // null: of a selector of single hosts
  };
  class Criteria;

  void add(HostIndex host, uint32_t selector);
  Subset& subset_of(uint32_t selector, std::vector<stream::Value> values);
  bool is_default(const HostEntry& host) const;
  template <class ValueOf>
  const Subset* find(uint32_t selector, ValueOf&& value_of) const noexcept;
  const SubsetPolicy::Selector* selector_for(const Criteria& criteria) const noexcept;
  HostIndex pick_by(const Criteria& criteria, const PickInput& input, LaneView& view, LaneState* states) const noexcept;
  HostIndex pick_fallback(const PickInput& input, LaneView& view, LaneState* states) const noexcept;

  const std::span<const HostEntry> hosts_;
  const Levels& all_;
  const std::shared_ptr<const SubsetPolicy> policy_;
  const std::shared_ptr<const SubsetStats> stats_;
  std::vector<Subset> subsets_;
  std::unordered_multimap<uint64_t, uint32_t> by_hash_;
  std::unique_ptr<const Levels> default_;  // null: nobody falls back on it
  size_t duplicates_ = 0;
};

}  // namespace weir::lb
