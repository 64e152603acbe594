// How per-route configuration reaches a filter.
#pragma once

#include <cstddef>

namespace weir::filter {

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
