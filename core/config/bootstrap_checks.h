// What is wrong with a bootstrap as a whole: names that refer to nothing, and settings that cannot do what they are
// for. What concerns one field is rules.h; routes check their clusters themselves (route_config.h).
#pragma once
#include <vector>

#include "core/config/diagnostics.h"
#include "core/config/position_index.h"
#include "core/config/rules.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}
namespace envoy::config::cluster::v3 {
class Cluster;
}

namespace weir::config {

// `references`: what validate() found in it. Says nothing about names whose definition may have got lost in an error.
void check_bootstrap(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, const std::vector<Reference>& references,
                     const PositionIndex& positions, Diagnostics& diagnostics);

// Its outlier_detection has no effect, of which check_bootstrap() warns: so few hosts that none may ever be ejected.
bool ejects_nobody(const envoy::config::cluster::v3::Cluster& cluster);

}  // namespace weir::config
