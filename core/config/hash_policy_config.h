// What requests are hashed by: the field hash_policy of routes, clusters and balancers. [main]
#pragma once

#include <google/protobuf/repeated_field.h>

#include <memory>
#include <string>
#include <vector>

#include "core/config/route_config.h"
#include "core/route/hash_policy.h"

namespace envoy::config::route::v3 {
class RouteAction_HashPolicy;
}

namespace weir::config {

using HashPolicyMessages = google::protobuf::RepeatedPtrField<envoy::config::route::v3::RouteAction_HashPolicy>;

std::vector<route::HashPolicySpec> hash_policy_specs(const HashPolicyMessages& messages);

// Of the message at `path`, which is none of a route; nullptr after errors.
std::shared_ptr<const route::HashPolicies> build_hash_policies(const HashPolicyMessages& messages,
                                                               const std::string& path, RouteConfigEnv& env,
                                                               Diagnostics& diagnostics);

}  // namespace weir::config
