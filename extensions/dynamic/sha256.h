// SHA-256 (FIPS 180-4), for naming files by their content. Not for secrets: nothing here is constant-time by design.
#pragma once

#include <string>
#include <string_view>

namespace weir::extensions::dynamic {

// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view bytes);

}  // namespace weir::extensions::dynamic
