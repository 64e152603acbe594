// Any host, each as likely as the others, whatever its weight.
#pragma once

#include <memory>

#include "core/lb/policy.h"

namespace weir::extensions::random {

// [main]
std::unique_ptr<const lb::Table> build(const lb::BuildInput& input);

}  // namespace weir::extensions::random
