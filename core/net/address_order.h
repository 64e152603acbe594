// In which order the addresses of one host are tried (RFC 8305 section 4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/net/address.h"

namespace weir::net {

struct AddressOrder {
  Family first = Family::kNone;  // kNone: that of the first address
  uint32_t first_count = 1;      // so many of that family before each of the other
  bool operator==(const AddressOrder&) const = default;
};

// Families in turn; within a family as they stand. At most `most`.
std::vector<Address> in_turn(const std::vector<Address>& addresses, const AddressOrder& order, size_t most);

}  // namespace weir::net
