// The hosts of a cluster as they are now, in the shape in which a control plane or a file would name them.
#pragma once

#include "core/lb/host.h"
#include "core/server/admin/admin_source.h"
#include "envoy/config/core/v3/health_check.pb.h"

namespace envoy::config::endpoint::v3 {
class ClusterLoadAssignment;
}

namespace weir::admin {

envoy::config::core::v3::HealthStatus health_status(lb::Health health);

// By priority and locality, in the order in which they were given; addresses as name servers answered.
void fill_load_assignment(const ClusterView& cluster, envoy::config::endpoint::v3::ClusterLoadAssignment& out);

}  // namespace weir::admin
