// weir's sub-commands: `weir lint`, `weir diff`. They start nothing.
#pragma once

#include <string>
#include <vector>

#include "core/filter/registry.h"

namespace weir::server {

// Whether the command line is that of a sub-command.
bool is_command(const std::vector<std::string>& arguments);
// The exit code: 0 done, 1 a configuration is bad or lint found something in it, 2 the arguments are bad.
int run_command(const std::vector<std::string>& arguments, const filter::Registry& registry);

}  // namespace weir::server
