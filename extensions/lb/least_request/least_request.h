// The host with the fewest requests in flight among a few random ones (or among all), weights respected.
#pragma once

#include <cstdint>
#include <memory>

#include "core/lb/policy.h"

namespace weir::extensions::least_request {

struct Config {
  uint32_t choice_count = 2;
  bool full_scan = false;
};

// [main]
std::unique_ptr<const lb::Table> build(const lb::BuildInput& input, const Config& config);

}  // namespace weir::extensions::least_request
