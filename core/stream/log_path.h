// What the path of a log file means, and whether it could be opened. Nothing is opened here.
#pragma once

#include <string>

#include "core/base/status.h"

namespace weir::stream {

// The inherited descriptor that a path means, -1 if it means a file.
int standard_descriptor(const std::string& path);
// The error of opening it; `error` as errno has it.
Status cannot_open(const std::string& path, int error);
// What opening for writing would run into, as far as asking can tell.
Status check_path(const std::string& path);

}  // namespace weir::stream
