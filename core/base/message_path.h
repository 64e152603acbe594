// Places in a message, as errors name them: listeners[0].policies["a b"].name. [main]
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weir {

// Appends one step to a path: .name, or ["a.b"] when the name would not read as one.
void append_path_name(std::string& path, std::string_view name);
void append_path_item(std::string& path, size_t index);

}  // namespace weir
