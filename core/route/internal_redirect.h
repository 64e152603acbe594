// RouteAction.internal_redirect_policy, compiled: which redirects of an upstream are followed here instead of by the
// client.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/http/header_map.h"

namespace weir::route {

// [immutable]
struct InternalRedirectPolicy {
  uint32_t max_redirects = 1;  // of one request
  std::vector<uint32_t> statuses = {302};
  bool any_scheme = false;         // allow_cross_scheme_redirect
  bool safe_cross_scheme = false;  // the predicate: from https to http, and not the other way round
  bool no_previous_routes = false;
  std::optional<std::vector<std::string>> allowed_routes;
  std::vector<http::HeaderName> headers_to_copy;  // from the redirect to the request that follows

  bool covers(int status) const {
    return std::find(statuses.begin(), statuses.end(), static_cast<uint32_t>(status)) != statuses.end();
  }
};

}  // namespace weir::route
