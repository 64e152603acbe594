// Characters in bytes that may be text (RFC 3629). [any]
#pragma once

#include <cstddef>
#include <string_view>

namespace weir {

// The length of the UTF-8 character at the start of `text`, 0 if there is none: no overlong forms, no surrogates,
// nothing above U+10FFFF.
size_t utf8_length(std::string_view text);

}  // namespace weir
