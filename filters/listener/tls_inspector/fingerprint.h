// Fingerprints of TLS clients, by what their first message asks for: JA3 (salesforce/ja3) and JA4 (FoxIO-LLC/ja4).
#pragma once

#include <string>

#include "filters/listener/tls_inspector/client_hello.h"

namespace weir::filters::tls_inspector {

// What the digest of JA3 is made of: "769,47-53,0-10,23,0".
std::string ja3_text(const ClientHello& hello);
// Need crypto::open_library() to have succeeded.
std::string ja3(const ClientHello& hello);  // 32 digits
std::string ja4(const ClientHello& hello);  // "t13d1516h2_8daaf6152771_e5627efa2ab1"

}  // namespace weir::filters::tls_inspector
