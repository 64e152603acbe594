#include "core/route/filter_configs.h"

namespace weir::route {

const void* FilterConfigs::Entry::most_specific(uint32_t wanted) const noexcept {
  const Entry* entry = this;
  while (entry != nullptr && !entry->has(wanted)) entry = entry->general;
  return entry != nullptr ? entry->config.get() : nullptr;
}

filter::RouteLevels FilterConfigs::Entry::levels(uint32_t wanted) const noexcept {
  filter::RouteLevels levels;
  for (const Entry* entry = this; entry != nullptr; entry = entry->general) {
    if (entry->has(wanted)) levels.at[levels.count++] = entry->config.get();
  }
  std::reverse(levels.at, levels.at + levels.count);
  return levels;
}

FilterConfigs::FilterConfigs(const std::vector<FilterConfigSpec>& specs) {
  entries_.reserve(specs.size());
  for (const FilterConfigSpec& spec : specs)
    entries_.push_back({spec.filter_id, spec.disabled, spec.config, spec.kind});
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const Entry& a, const Entry& b) { return a.filter_id < b.filter_id; });
  size_t kept = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (i + 1 < entries_.size() && entries_[i + 1].filter_id == entries_[i].filter_id) continue;
    if (kept != i) entries_[kept] = std::move(entries_[i]);
    ++kept;
  }
  entries_.resize(kept);
}

FilterConfigs FilterConfigs::merge(const FilterConfigs& general, const FilterConfigs& specific) {
  FilterConfigs merged;
  merged.entries_.reserve(general.entries_.size() + specific.entries_.size());
  auto a = general.entries_.begin();
  auto b = specific.entries_.begin();
  while (a != general.entries_.end() || b != specific.entries_.end()) {
    bool take_general = b == specific.entries_.end() || (a != general.entries_.end() && a->filter_id < b->filter_id);
    if (take_general) {
      merged.entries_.push_back(*a++);
      continue;
    }
    Entry& entry = merged.entries_.emplace_back(*b++);
    if (a != general.entries_.end() && a->filter_id == entry.filter_id) entry.general = &*a++;
  }
  return merged;
}

const FilterConfigs& FilterConfigs::none() {
  static const FilterConfigs nothing;
  return nothing;
}

}  // namespace weir::route
