// Statistics of a group whose names only traffic brings, as those of Store::dynamic_counter(), but in families that
// take no room from each other: names that peers make up crowd out neither response codes nor what is configured.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/stats/handles.h"
#include "core/stats/store.h"

namespace weir::stats {

enum class Family : uint8_t {
  kConfigured,  // names that the configuration has: as many as it has
  kOfPeers,     // names that peers bring: at most kMaxOfPeers per group
  kCount,
};
inline constexpr size_t kMaxOfPeers = 4096;

// [any] The group's statistic of that name (what follows the thing), made at first use, under a lock; it goes with the
// group. Beyond the family's limit counters are `stats.overflow`, and histograms none. Keep the handle.
Counter dynamic_counter(const Group& group, Family family, std::string_view name);
Histogram dynamic_histogram(const Group& group, Family family, std::string_view name, Unit unit = Unit::kMilliseconds);

}  // namespace weir::stats
