// The policy of clusters whose hosts are wherever a request says (ORIGINAL_DST): it finds the host with that address.
#pragma once

#include "core/lb/policy.h"

namespace weir::lb {

// For tables of addresses.
struct AddressHash {
  size_t operator()(const net::Address& address) const noexcept;
};

const PolicyDescriptor& destination_policy();

}  // namespace weir::lb
