// What lists of upgrades, of routes and of connection managers, must be like. [main]
#pragma once

#include <string>
#include <string_view>

#include "core/http/chars.h"

namespace weir::route {

// What is wrong with one more of this type; empty: nothing. `others`: what has a type.
template <class Upgrades>
std::string upgrade_fault(std::string_view type, const Upgrades& others) {
  if (http::equals_ignoring_case(type, "h2c"))
    return "h2c is not supported by weir; such an offer is declined, as HTTP allows";
  for (const auto& other : others) {
    if (http::equals_ignoring_case(other.type, type))
      return "\"" + std::string(type) + "\" is in the list already; keep one of them";
  }
  return {};
}

}  // namespace weir::route
