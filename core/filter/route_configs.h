// How per-route configuration reaches a filter.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir::filter {

// Whose configuration is wanted. Routes name filters as the chain does, and a table may serve chains that have another
// filter of that name: what is of another kind is not for this one, which would cast it.
struct RouteKey {
  uint32_t filter_id = 0;  // the interned name
  uint32_t kind = 0;       // HttpFilterDescriptor::route_kind
};

// What is no filter's by name travels under keys that no filter has: rate_limits (route_rate_limits.h), and the
// deprecated `cors`, which says to the filter of that type, whatever it is called, what its own messages say today.
inline constexpr RouteKey kRouteRateLimits{UINT32_MAX, UINT32_MAX};
inline constexpr RouteKey kRouteCors{UINT32_MAX - 1, UINT32_MAX - 1};

// What the levels of a route configuration say to one filter, from the least to the most specific: route configuration,
// virtual host, route, weighted cluster. Levels that say nothing are left out. Valid as long as the stream.
struct RouteLevels {
  static constexpr size_t kMost = 4;
  const void* at[kMost] = {};
  size_t count = 0;
};
template <class T>
class RouteConfigs {
 public:
  explicit RouteConfigs(const RouteLevels& levels) : levels_(levels) {}
  size_t size() const { return levels_.count; }
  const T& operator[](size_t level) const { return *static_cast<const T*>(levels_.at[level]); }

 private:
  RouteLevels levels_;
};

}  // namespace weir::filter
