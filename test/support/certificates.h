// Certificates, keys, revocation lists and OCSP responses, made while a test runs.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/time.h"

namespace weir::test {

enum class Key : uint8_t { kP256, kP384, kP521, kRsa2048, kRsa1024, kEd25519, kSecp224 };

// Around the time of test::FakeClock.
constexpr WallTime kValidFrom{1'600'000'000s};
constexpr WallTime kValidTo{1'900'000'000s};

struct CertificateOptions {
  std::string common_name = "leaf";
  Key key = Key::kP256;
  std::vector<std::string> names =
      {};  // as OpenSSL's configuration has them: "DNS:a.example", "URI:...", "IP:...", "email:..."
  bool authority = false;
  std::string key_usage = {};  // "keyCertSign"; empty: the extension is left out
  std::string extended_key_usage = {};
  bool must_staple = false;
  WallTime not_before = kValidFrom;
  WallTime not_after = kValidTo;
};

struct TestIdentity {
  bssl::UniquePtr<X509> x509;
  bssl::UniquePtr<EVP_PKEY> key;
  std::string certificate;  // PEM
  std::string private_key;  // PEM

  std::string der() const;
  std::string encrypted_key(const std::string& password) const;
  // Its DER form with a chain behind it.
  std::string pkcs12(const std::string& password, const std::vector<const TestIdentity*>& chain = {}) const;
};

// `issuer`: nullptr signs itself.
TestIdentity make_certificate(const CertificateOptions& options, const TestIdentity* issuer = nullptr);
TestIdentity make_authority(const std::string& name, const TestIdentity* issuer = nullptr);
// PEM.
std::string make_crl(const TestIdentity& issuer, const std::vector<const TestIdentity*>& revoked,
                     WallTime next_update = kValidTo);

struct OcspOptions {
  int response_status = 0;
  int certificate_status = 0;  // good, revoked, unknown
  bool sha256 = false;
  bool has_next_update = true;
  WallTime this_update = kValidFrom;
  WallTime next_update = kValidTo;
  int count = 1;  // of certificates that it is about
};
// DER, with a signature that nobody checks.
std::string make_ocsp_response(const TestIdentity& about, const TestIdentity& issuer, const OcspOptions& options = {});

}  // namespace weir::test
