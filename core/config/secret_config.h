// From envoy.extensions.transport_sockets.tls.v3.Secret to a secret whose content is here. [main]
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/config/report.h"

namespace envoy::extensions::transport_sockets::tls::v3 {
class Secret;
}

namespace weir::config {

// Secrets of one name are different ones if they are of different kinds.
struct SecretKey {
  std::string name;
  int kind = 0;  // the number of the field of the message's oneof
  auto operator<=>(const SecretKey&) const = default;
};
SecretKey key_of(const envoy::extensions::transport_sockets::tls::v3::Secret& secret);

struct SecretTranslation {
  SecretKey key;
  // Every DataSource in it has become inline_bytes: whoever uses it reads no file.
  std::shared_ptr<const envoy::extensions::transport_sockets::tls::v3::Secret> content;
  uint64_t fingerprint = 0;  // of the message and of what was read
};

// nullopt after faults, which went to the report. Whether what is in it makes sense (keys that fit their certificates)
// is for those to say who use it.
std::optional<SecretTranslation> translate_secret(const envoy::extensions::transport_sockets::tls::v3::Secret& proto,
                                                  const std::string& path, Report& report);

}  // namespace weir::config
