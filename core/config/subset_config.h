// lb_subset_config of a cluster and the message of the policy `subset`, which say the same. [main]
#pragma once

#include <memory>

#include "core/config/cluster_config.h"
#include "core/config/field_report.h"
#include "core/lb/subsets.h"
#include "envoy/config/cluster/v3/cluster.pb.h"

namespace envoy::extensions::load_balancing_policies::subset::v3 {
class Subset;
}

namespace weir::config {

// nullptr: it has no selectors, and nothing is divided.
std::shared_ptr<const lb::SubsetPolicy> translate(const envoy::config::cluster::v3::Cluster::LbSubsetConfig& message,
                                                  const FieldReport& at);
std::shared_ptr<const lb::SubsetPolicy> translate(
    const envoy::extensions::load_balancing_policies::subset::v3::Subset& message, const FieldReport& at);

// Once the balancer is known that picks in subsets. `at`: of the message.
void use_subsets(std::shared_ptr<const lb::SubsetPolicy> policy, const FieldReport& at, ClusterTranslation& out);

// Faults of an endpoint, which is at `path`, that would be in too many subsets.
void check_subsets_of(const EndpointSpec& endpoint, const std::string& path, const lb::SubsetPolicy& policy,
                      filter::ConfigReport& report);

}  // namespace weir::config
