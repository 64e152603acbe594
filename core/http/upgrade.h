// Whether a request asks for another protocol on its connection.
#pragma once

#include "core/http/chars.h"
#include "core/http/header_map.h"

namespace weir::http {

// RFC 9110 7.8: `upgrade` alone, which a rule of the configuration may have added, asks for nothing. Inline: of every
// request no more than its first half is asked.
[[gnu::always_inline]] inline bool is_upgrade(const HeaderMap& request) {
  return request.contains(HeaderId::kUpgrade) && list_contains(request.get(HeaderId::kConnection), "upgrade");
}

}  // namespace weir::http
