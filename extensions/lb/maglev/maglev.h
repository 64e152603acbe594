// Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4): a table of a prime size in which hosts take turns at their
// own order of preference. Looked up by one division; more moves than on a ring when hosts come or go, and shares are
// more even.
#pragma once

#include <cstdint>
#include <memory>

#include "core/lb/policy.h"
#include "extensions/lb/common/consistent.h"

namespace weir::extensions::maglev {

struct Config {
  uint64_t table_size = 65537;  // prime, at most 5,000,011
  consistent::Config consistent = {};
};

// [main] `input` has shares.
std::unique_ptr<const lb::Table> build(const lb::BuildInput& input, const Config& config);

}  // namespace weir::extensions::maglev
