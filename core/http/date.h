// IMF-fixdate (RFC 9110 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT". No locale, no clock: callers format once per second.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::http {

constexpr size_t kDateBytes = 29;

// Writes kDateBytes characters. `unix_seconds` from 1970 to 9999.
void format_date(int64_t unix_seconds, char* to);
// False if `text` is no valid IMF-fixdate; the two obsolete forms are not understood.
bool parse_date(std::string_view text, int64_t& unix_seconds);

}  // namespace weir::http
