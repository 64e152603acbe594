// Opens BoringSSL for this process, privately: by absolute path and RTLD_LOCAL, so that none of its symbols is visible
// to plugins, which may bring OpenSSL. The functions of <openssl/...> that weir calls are jump stubs (stubs.sh) whose
// slots are filled here. Whoever calls one has made sure that open_library() succeeded before.
#pragma once

#include "core/base/status.h"

namespace weir::crypto {

// [any] Opens the libraries on the first call, about 2 ms; later calls return what the first one did. An error says
// what is missing and which package brings it. The libraries stay open until the process ends.
Status open_library();
// For code that cannot go on without: digests, random numbers. Aborts with the error.
void require_library();

}  // namespace weir::crypto
