// Where the library's small pieces of memory come from: lists of free ones, by size, for each thread. A stream costs it
// a dozen allocations, most of which the C library would look for beyond its cache when many streams are open.
#pragma once

#include <nghttp2/nghttp2.h>

namespace weir::http::h2 {

// For nghttp2_session_server_new3() and its like, which copy it. [any thread]; a piece may be freed on another thread
// than the one that asked for it.
nghttp2_mem* memory();

}  // namespace weir::http::h2
