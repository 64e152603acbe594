// Where in a message that stands which compiling its routes has found. [main]
#pragma once

#include <string>

#include "core/route/errors.h"

namespace envoy::config::route::v3 {
class RouteConfiguration;
}

namespace weir::config {

// What compiles routes knows the part that a regular expression is in, a matcher of headers; here is where it stands.
std::string path_of_fault(const envoy::config::route::v3::RouteConfiguration& table, const route::BuildError& error);

}  // namespace weir::config
