// Clusters that stand for others (envoy.clusters.aggregate), in a configuration that is translated. [main]
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/config/cluster_config.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap_StaticResources;
}
namespace weir::config {
class Report;
}

namespace weir::server {

// Those that stand for themselves in the end, or for what they cannot, are errors.
void find_circles(const envoy::config::bootstrap::v3::Bootstrap_StaticResources& resources,
                  const std::vector<config::ClusterTranslation>& translated, config::Report& report);

// Whoever leads to a cluster that stands for others leads to those.
void follow_aggregates(const std::vector<config::ClusterTranslation>& translated,
                       std::map<std::string, std::set<std::string>>& leads_to);

}  // namespace weir::server
