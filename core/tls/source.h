// Bytes of configuration with where they came from, which every error about them names.
#pragma once

#include <string>

namespace weir::tls {

struct Source {
  std::string bytes = {};
  std::string origin = {};  // "/etc/weir/cert.pem", "inline", "environment TLS_KEY", "secret web_key"
  bool empty() const { return bytes.empty() && origin.empty(); }
};

}  // namespace weir::tls
