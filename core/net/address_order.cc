#include "core/net/address_order.h"

#include <algorithm>

namespace weir::net {

std::vector<Address> in_turn(const std::vector<Address>& addresses, const AddressOrder& order, size_t most) {
  std::vector<Address> out;
  if (addresses.empty()) return out;
  const Family first = order.first == Family::kNone ? addresses.front().family() : order.first;
  const auto next_of = [&](auto at, bool of_first) {
    return std::find_if(at, addresses.end(), [&](const auto& one) { return (one.family() == first) == of_first; });
  };
  auto mine = next_of(addresses.begin(), true), others = next_of(addresses.begin(), false);
  while (mine != addresses.end() || others != addresses.end()) {
    for (uint32_t i = 0; i < order.first_count && mine != addresses.end(); ++i) {
      out.push_back(*mine);
      mine = next_of(mine + 1, true);
    }
    if (others == addresses.end()) continue;
    out.push_back(*others);
    others = next_of(others + 1, false);
  }
  if (out.size() > most) out.resize(most);
  return out;
}

}  // namespace weir::net
