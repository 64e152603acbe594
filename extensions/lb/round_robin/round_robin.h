// Smooth weighted round robin: each host in turn, those with more weight more often and evenly spread.
#pragma once

#include <memory>

#include "core/lb/policy.h"

namespace weir::extensions::round_robin {

// The rotation is worked out once, on main; a lane walks it from a random place of its own. [main]
std::unique_ptr<const lb::Table> build(const lb::BuildInput& input);

}  // namespace weir::extensions::round_robin
