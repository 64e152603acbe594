// Versions, cipher suites, groups and signature algorithms, by their published names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/tls/identity.h"

struct ssl_ctx_st;

namespace weir::tls {

enum class Version : uint8_t { kAuto, kTls10, kTls11, kTls12, kTls13 };

struct Parameters {
  Version minimum = Version::kAuto;  // 1.2
  Version maximum = Version::kAuto;  // 1.3
  // OpenSSL's names, in order of preference, "[A|B]": A and B are equally good, and the client decides. For up to TLS
  // 1.2; those of TLS 1.3 are fixed. Empty: ECDHE with AES-GCM or ChaCha20.
  std::vector<std::string> cipher_suites = {};
  std::vector<std::string> ecdh_curves = {};           // "X25519", "P-256", "P-384", "P-521"; empty: the first two
  std::vector<std::string> signature_algorithms = {};  // "ecdsa_secp256r1_sha256"; empty: the library's
  bool aes_only = false;                               // no ChaCha20 with TLS 1.3 either: see Transport
  std::vector<KeyKind> keys = {};                      // of certificates, of either end; empty: any
};

// What NIST SP 800-52r2 allows, as of May 2022.
Parameters fips_202205();

// [main] Errors begin with the field at fault and name each element that is none: "cipher_suites: \"RC4-MD5\" is not
// ...".
Status apply(const Parameters& parameters, ssl_ctx_st* context);
// What apply() would say, without a context: for checks of configuration.
Status check(const Parameters& parameters);

}  // namespace weir::tls
