// What the build knows of itself, in the published shape: revision/version/state/type/TLS library. Its source is made
// anew by tools/cmake/BuildVersion.cmake whenever the revision changes, and only the program links it.
#pragma once

#include <string_view>

namespace weir::server {

// "8b1e.../0.1.0/Clean/RELEASE/none". States: Clean, Modified (files differ from the revision), Distribution (built
// outside of a repository; the revision is zero then).
std::string_view build_version();

}  // namespace weir::server
