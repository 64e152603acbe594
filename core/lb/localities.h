// The table of some hosts of one priority, with or without regard to where they are.
#pragma once

#include <memory>
#include <span>

#include "core/lb/levels.h"

namespace weir::lb {

// Made by the policy of `input.usable`; with localities that have weights, of each of them and one above. `all`: the
// hosts of that priority, whatever their health. nullptr: the policy makes none. [main]
std::unique_ptr<const Table> build_table(const PolicyDescriptor& policy, const void* policy_config,
                                         const BuildInput& input, std::span<const HostIndex> all,
                                         const BalanceOptions& options, bool panic);

}  // namespace weir::lb
