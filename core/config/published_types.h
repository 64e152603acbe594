// Types of the published API that weir does not declare: real ones, and no typing errors for which another should be
// offered. (Those that api/proto declares are known from their descriptors.)
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::config {

bool is_published_type(std::string_view type);
// All of them, for tests and to look for the nearest.
std::vector<std::string> published_types();

}  // namespace weir::config
