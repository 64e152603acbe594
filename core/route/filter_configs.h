// What a level of the routing configuration says to filters: sorted by filter id. Levels are merged when the table is
// built, so that a look-up during a request is one short search, also for what every level says.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/filter/route_configs.h"
#include "core/route/spec.h"

namespace weir::route {

// [immutable]
class FilterConfigs {
 public:
  // The most specific level's word.
  struct Entry {
    uint32_t filter_id;
    bool disabled;
    std::shared_ptr<const void> config;  // null if only `disabled` was said
    uint32_t kind = 0;                   // of the class behind `config` (filter::RouteKey)
    const Entry* general = nullptr;      // of the next level that says something, if this is a merged one

    // Of the most specific level that has one of this kind; may be null.
    const void* most_specific(uint32_t wanted) const noexcept;
    filter::RouteLevels levels(uint32_t wanted) const noexcept;
    // For a filter of this kind.
    bool has(uint32_t wanted) const { return config != nullptr && kind == wanted; }
  };

  FilterConfigs() = default;
  // [main] The last of two entries for one filter counts.
  explicit FilterConfigs(const std::vector<FilterConfigSpec>& specs);
  // [main] `specific` over `general`, which must stay where it is: entries of both lead from the one to the other.
  static FilterConfigs merge(const FilterConfigs& general, const FilterConfigs& specific);

  // nullptr if this level says nothing to the filter.
  const Entry* find(uint32_t filter_id) const noexcept {
    auto at = std::lower_bound(entries_.begin(), entries_.end(), filter_id,
                               [](const Entry& entry, uint32_t id) { return entry.filter_id < id; });
    return at != entries_.end() && at->filter_id == filter_id ? &*at : nullptr;
  }
  // What a filter is given; never what is of another kind.
  const void* most_specific(filter::RouteKey key) const noexcept {
    const Entry* entry = find(key.filter_id);
    return entry != nullptr ? entry->most_specific(key.kind) : nullptr;
  }
  filter::RouteLevels levels(filter::RouteKey key) const noexcept {
    const Entry* entry = find(key.filter_id);
    return entry != nullptr ? entry->levels(key.kind) : filter::RouteLevels{};
  }
  bool empty() const { return entries_.empty(); }
  const std::vector<Entry>& entries() const { return entries_; }
  static const FilterConfigs& none();

 private:
  std::vector<Entry> entries_;
};

}  // namespace weir::route
