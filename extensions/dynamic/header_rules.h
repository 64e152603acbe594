// What a plugin may write into a header map: valid HTTP and nothing that changes the message's framing by trickery.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/http/header_map.h"

namespace weir::extensions::dynamic {

// WEIR_OK, or what is wrong with the wish. Names in any case.
int32_t check_set(const http::HeaderMap& map, std::string_view name, std::string_view value);
int32_t check_add(std::string_view name, std::string_view value);
int32_t check_remove(std::string_view name);

}  // namespace weir::extensions::dynamic
