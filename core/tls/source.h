// Bytes of configuration with where they came from, which every error about them names.
#pragma once

#include <string.h>

#include <string>

namespace weir::tls {

struct Source {
  std::string bytes = {};
  std::string origin = {};  // "/etc/weir/cert.pem", "inline", "environment TLS_KEY", "secret web_key"
  bool empty() const { return bytes.empty() && origin.empty(); }
};

// Of a key or a password that was used: its bytes are not left in memory that others get.
inline void wipe(std::string& secret) {
  explicit_bzero(secret.data(), secret.size());
  secret.clear();
}

}  // namespace weir::tls
