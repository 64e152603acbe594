// The policy of clusters whose hosts are wherever a request says (ORIGINAL_DST): it finds the host with that address.
#pragma once

#include "core/lb/policy.h"

namespace weir::lb {

// PickInput::name is the address, as Host::text() has it: "10.0.0.1:80".
const PolicyDescriptor& destination_policy();

}  // namespace weir::lb
