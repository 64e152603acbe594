// A certificate chain with its private key and, perhaps, an OCSP response: who an end of a connection is. Everything
// that can be wrong with the files is found when it is loaded.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/base/time.h"
#include "core/crypto/certificate.h"
#include "core/tls/source.h"

struct evp_pkey_st;
struct crypto_buffer_st;

namespace weir::tls {

// Either `chain` and `key`, or `pkcs12`.
struct IdentitySpec {
  Source certificate_chain =
      {};                   // PEM: the end's own certificate first, each followed by its issuer's; no more than 32
  Source private_key = {};  // PEM: PKCS#8 (encrypted, too), RSA or EC
  Source pkcs12 = {};       // DER
  Source password = {};     // of private_key or pkcs12
  Source ocsp_staple = {};  // DER, one OCSP response about the own certificate
  // For `warnings` only.
  WallTime now{};
};

// What a client must be able to do to be shown a certificate.
enum class KeyKind : uint8_t { kRsa, kP256, kP384, kP521, kEd25519 };
// Of a key of either half; none: TLS has no use for it.
std::optional<KeyKind> kind_of(const evp_pkey_st* key);
std::string_view name_of(KeyKind kind);  // "P-256"

// [immutable] [any]
class Identity {
 public:
  // [main] Errors begin with the field at fault and name the file: "private_key: /etc/k.pem: is not that of the
  // certificate (CN=...)". Nothing of a key is ever said.
  static Result<std::shared_ptr<const Identity>> load(const IdentitySpec& spec);
  ~Identity();
  Identity(const Identity&) = delete;
  Identity& operator=(const Identity&) = delete;

  // Never empty; the own certificate first.
  const std::vector<crypto::Certificate>& certificates() const { return certificates_; }
  // Of the chain: "/etc/weir/cert.pem".
  const std::string& origin() const { return origin_; }
  KeyKind key_kind() const { return key_kind_; }
  // The certificate says that it must not be used without a stapled OCSP response (RFC 7633).
  bool must_staple() const { return must_staple_; }
  // The names by which servers choose: DNS names, or the common name of a certificate without any. Lower case.
  const std::vector<std::string>& server_names() const { return server_names_; }

  bool has_ocsp_response() const { return !ocsp_response_.empty(); }
  // Since when it is good; none: there is no response.
  std::optional<WallTime> ocsp_this_update() const { return ocsp_this_update_; }
  // Its next update; none: it did not say.
  std::optional<WallTime> ocsp_next_update() const { return ocsp_next_update_; }
  bool ocsp_expired(WallTime now) const { return ocsp_next_update_.has_value() && *ocsp_next_update_ <= now; }
  std::span<const uint8_t> ocsp_response() const { return ocsp_response_; }

  // What is legal and hardly meant: "certificate_chain: /etc/c.pem: certificate 3 did not sign certificate 2",
  // expired, not yet valid, an OCSP response that is out of date or not good yet.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // For contexts.
  std::span<crypto_buffer_st* const> chain() const { return chain_; }
  evp_pkey_st* key() const { return key_; }

 private:
  friend class IdentityLoader;
  Identity() = default;

  std::vector<crypto::Certificate> certificates_;
  std::vector<crypto_buffer_st*> chain_;
  evp_pkey_st* key_ = nullptr;
  KeyKind key_kind_ = KeyKind::kRsa;
  bool must_staple_ = false;
  std::string origin_;
  std::vector<std::string> server_names_;
  std::vector<uint8_t> ocsp_response_;
  std::optional<WallTime> ocsp_this_update_;
  std::optional<WallTime> ocsp_next_update_;
  std::vector<std::string> warnings_;
};

}  // namespace weir::tls
