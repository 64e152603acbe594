// Plugins that say which cluster a request goes to: cluster_specifier_plugins of route configurations, and
// inline_cluster_specifier_plugin of routes. [main]
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/config/field_path.h"
#include "core/config/route_config.h"

namespace envoy::config::route::v3 {
class ClusterSpecifierPlugin;
}

namespace weir::config {

// At the place of the message. Never null: what has faults, which are reported, leads nowhere. `check_clusters`: faults
// of names that no cluster has.
std::shared_ptr<const route::ClusterSpecifier> read_cluster_specifier(
    const envoy::config::route::v3::ClusterSpecifierPlugin& message, FieldPath& path, RouteConfigEnv& env,
    bool check_clusters);

}  // namespace weir::config
