// The rate_limits of routes and virtual hosts, for the filters that count requests.
#pragma once

#include "core/filter/stream.h"
#include "core/match/rate_limits.h"

namespace weir::filter {

// From the least to the most specific level. Valid as long as the stream.
inline RouteConfigs<match::RouteRateLimits> route_rate_limits(Stream& stream) {
  return RouteConfigs<match::RouteRateLimits>(stream.host().route_configs(kRouteRateLimits));
}

}  // namespace weir::filter
