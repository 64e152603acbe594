// The Vary field (RFC 9110 12.5.5).
#pragma once

#include <string_view>

#include "core/http/chars.h"
#include "core/http/header_map.h"

namespace weir::http {

// Says that the response depends on the request header `name` (static), unless it is said already.
inline void add_vary(HeaderMap& headers, std::string_view name, Arena& arena) {
  std::string_view vary = headers.get_all(HeaderId::kVary, arena);
  if (vary.data() == nullptr) {
    headers.add(HeaderId::kVary, name);
  } else if (!list_contains(vary, "*") && !list_contains(vary, name)) {
    headers.append_value(HeaderId::kVary, name, ", ");
  }
}

}  // namespace weir::http
