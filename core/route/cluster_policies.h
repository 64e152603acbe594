// What a cluster says of all requests that are routed to it. It counts more than what the routes say, as published.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/route/mirror.h"
#include "core/route/retry_policy.h"
#include "core/route/spec.h"

namespace weir::route {

struct ClusterPoliciesSpec {
  std::optional<RetryPolicySpec> retry;
  std::vector<MirrorSpec> mirrors;
};

// [immutable]
struct ClusterPolicies {
  std::unique_ptr<const RetryPolicy> retry;  // nullptr: the route's
  std::unique_ptr<const Mirrors> mirrors;    // nullptr: the route's
};

}  // namespace weir::route
