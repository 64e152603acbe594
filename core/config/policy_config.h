// What routes and clusters say alike of the requests that they get: retries and copies for other clusters. [main]
#pragma once

#include <google/protobuf/repeated_field.h>

#include <memory>
#include <string>
#include <vector>

#include "core/config/field_path.h"
#include "core/config/route_config.h"
#include "core/route/cluster_policies.h"

namespace envoy::config::route::v3 {
class RouteAction_RequestMirrorPolicy;
}
namespace envoy::extensions::upstreams::http::v3 {
class HttpProtocolOptions;
}

namespace weir::config {

// Faults if there is no cluster of this name. `field`: where it is named, below `path`.
void check_cluster(RouteConfigEnv& env, FieldPath& path, std::string_view field, const std::string& name);

// The field request_mirror_policies of the message at `path`. Clusters are looked for if `validate_clusters`.
std::vector<route::MirrorSpec> mirror_specs(
    const google::protobuf::RepeatedPtrField<envoy::config::route::v3::RouteAction_RequestMirrorPolicy>& messages,
    FieldPath& path, RouteConfigEnv& env, bool validate_clusters);

// What a cluster's options at `path` say; nullptr: nothing, or errors were reported.
std::shared_ptr<const route::ClusterPolicies> build_cluster_policies(
    const envoy::extensions::upstreams::http::v3::HttpProtocolOptions& message, const std::string& path,
    RouteConfigEnv& env, Diagnostics& diagnostics);

}  // namespace weir::config
