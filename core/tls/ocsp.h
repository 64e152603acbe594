// An OCSP response as a file that is stapled to a certificate (RFC 6960): what it is about, and how long it is good.
// Its signature is for the clients to check, who have the responder's certificates.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/base/time.h"
#include "core/crypto/certificate.h"

namespace weir::tls {

struct OcspResponse {
  enum class Says : uint8_t { kGood, kRevoked, kUnknown };
  Says says = Says::kGood;
  std::string serial_hex;
  std::string hash_oid;  // of the two below
  std::string issuer_name_hash;
  std::string issuer_key_hash;
  WallTime this_update{};
  std::optional<WallTime> next_update;

  // DER. A successful response about exactly one certificate; anything else is an error that says what it is.
  static Result<OcspResponse> parse(std::string_view der);
  // Whether it is about this certificate. Of its issuer, who may be unknown, name and key are compared, too.
  Status check(const crypto::Certificate& certificate, const crypto::Certificate* issuer) const;
};

}  // namespace weir::tls
