// What policies that know of localities say of them (LocalityLbConfig).
#pragma once

#include "core/lb/policy.h"

namespace envoy::extensions::load_balancing_policies::common::v3 {
class LocalityLbConfig;
}

namespace weir::extensions::locality {

// As published, hosts of the own locality come first unless localities are weighed.
void read(const envoy::extensions::load_balancing_policies::common::v3::LocalityLbConfig& proto,
          lb::PolicyConfig& config);

}  // namespace weir::extensions::locality
