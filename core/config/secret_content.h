// Whether what is in a secret can be used: certificates that are none, keys of other certificates. Whoever uses a
// secret says so itself; this is for those that nobody uses yet, and for what is to take the place of one. [main]
#pragma once

#include <string>

#include "core/config/report.h"

namespace envoy::extensions::transport_sockets::tls::v3 {
class Secret;
}

namespace weir::config {

// Warns of it. `content`: of translate_secret(), `proto` the message that it is from.
void doubt_unused_secret(const envoy::extensions::transport_sockets::tls::v3::Secret& proto,
                         const envoy::extensions::transport_sockets::tls::v3::Secret& content, const std::string& path,
                         Report& report);
// Whether that would warn of nothing.
bool is_usable(const envoy::extensions::transport_sockets::tls::v3::Secret& proto,
               const envoy::extensions::transport_sockets::tls::v3::Secret& content);

}  // namespace weir::config
