// Which of several certificates a client is shown: by the name that it asks for, by the keys that it can check, and by
// whether it wants a stapled OCSP response. Inside core/tls only.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/time.h"
#include "core/tls/identity.h"
#include "core/tls/server_context.h"

namespace weir::tls {

// What a context lets its connections use.
struct ServerAbilities {
  // `context`: to which `parameters` were applied.
  static ServerAbilities of(const Parameters& parameters, const SSL_CTX* context);
  // Of both: they would speak it.
  bool takes_tls13(const SSL_CLIENT_HELLO& hello) const;
  bool tls13 = true;
  bool aes_only = false;
  std::vector<uint16_t> cipher_suites;         // up to TLS 1.2
  std::vector<uint16_t> signature_algorithms;  // empty: all
};

// What a ClientHello says about it, as far as the server can do it, too.
struct ClientAbilities {
  static ClientAbilities of(const SSL_CLIENT_HELLO& hello, const ServerAbilities& server);
  static bool asks_for_staple(const SSL_CLIENT_HELLO& hello);
  bool can_check(KeyKind kind) const { return (keys & 1u << static_cast<unsigned>(kind)) != 0; }
  unsigned keys = 0;
  bool wants_ocsp = false;
};

class CertificateSelector {
 public:
  // `identities`: one at least; outlive this.
  CertificateSelector(const std::vector<std::shared_ptr<const Identity>>& identities, OcspStaplePolicy policy,
                      bool full_scan);

  struct Choice {
    const Identity* identity = nullptr;  // nullptr: none may be used, for want of a good OCSP response
    bool staple = false;
  };
  // `name`: empty if the client did not say any.
  Choice choose(std::string_view name, const ClientAbilities& client, WallTime now) const;
  // There is nothing to choose.
  bool trivial() const { return trivial_; }

 private:
  enum class Staple : uint8_t { kYes, kNo, kFail };
  Staple staple(const Identity& identity, WallTime now) const;
  // The best of them for this client: with an elliptic curve, or RSA. False: none.
  bool best(const std::vector<const Identity*>& among, const ClientAbilities& client, WallTime now,
            Choice& choice) const;

  std::vector<const Identity*> all_;
  std::unordered_map<std::string, std::vector<const Identity*>> exact_;
  std::unordered_map<std::string, std::vector<const Identity*>> wildcard_;  // ".example.com"
  const OcspStaplePolicy policy_;
  const bool full_scan_;
  bool trivial_ = false;
};

}  // namespace weir::tls
