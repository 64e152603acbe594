// What contexts of both sides have in common. Inside core/tls only.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/tls/identity.h"
#include "core/tls/key_log.h"
#include "core/tls/parameters.h"
#include "core/tls/stats.h"
#include "core/tls/verifier.h"

namespace weir::tls {

struct ContextBase {
  bssl::UniquePtr<SSL_CTX> context;
  std::shared_ptr<const Verifier> verifier;
  std::shared_ptr<const KeyLog> key_log;
  std::shared_ptr<const Stats> stats;
  bool aes_only = false;
  std::vector<KeyKind> keys;  // of certificates, of either end; empty: any

  // Makes the context, with what both sides want of it; the callbacks find `this` by of(). [main]
  Status make(const Parameters& parameters);
  static const ContextBase& of(const SSL* ssl);
  // The error begins with the field.
  Status check_key(const Identity& identity) const;
  // Before anything else is looked at.
  bool takes_key_of(const STACK_OF(CRYPTO_BUFFER) * chain) const;
};

// Length before each name, as the protocol has it. Errors begin with the field: "alpn_protocols: ...".
Result<std::string> alpn_wire(const std::vector<std::string>& protocols);
// `mode` of SSL_VERIFY_*; the transport asks the verifier.
void verify_by_transport(SSL_CTX* context, int mode);

}  // namespace weir::tls
