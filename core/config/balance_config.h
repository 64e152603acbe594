// How a cluster's hosts share its requests: lb_policy with the settings beside it, or load_balancing_policy. [main]
#pragma once

#include <string>

#include "core/config/cluster_config.h"
#include "core/config/report.h"

namespace weir::config {

void read_balancing(const envoy::config::cluster::v3::Cluster& proto, const std::string& path,
                    const filter::Registry& registry, RouteConfigEnv& env, Report& report, ClusterTranslation& out);

}  // namespace weir::config
