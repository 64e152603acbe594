// Whether a peer is to be trusted: its chain against trusted certificates and revocation lists, its names against
// matchers, itself against pins.
//
// The order, as published: the chain (or SPIFFE, instead of it), then names, then pins. Of pins of both kinds one must
// be the peer's. A peer that fails is let in only by accept_untrusted; it counts as not validated then.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/base/time.h"
#include "core/crypto/certificate.h"
#include "core/match/string_matcher.h"
#include "core/net/transport_facts.h"
#include "core/tls/source.h"

struct stack_st_CRYPTO_BUFFER;

namespace weir::tls {

// One subject alternative name matches. An exact DNS matcher is met by a wildcard name of the certificate
// ("*.example.com" is any one label), too; IP addresses match as text.
struct SanMatcherSpec {
  net::NameKind kind = net::NameKind::kDns;
  std::string oid = {};  // of kOther: "1.3.6.1.4.1.311.20.2.3"
  match::StringMatcherSpec matcher = {};
};

struct VerifierSpec {
  Source trusted_ca = {};  // PEM. Each of them is trusted, whether it is a root or not. Empty: no chain is asked for
  Source crl = {};         // PEM, several. Needs trusted_ca. A chain without the list of an issuer fails
  bool only_verify_leaf_cert_crl = false;
  uint32_t max_verify_depth = 100;  // issuers, the trusted one included: 1 is a leaf and one authority
  bool allow_expired_certificate = false;
  bool accept_untrusted = false;                     // trust_chain_verification: ACCEPT_UNTRUSTED
  std::vector<SanMatcherSpec> san_matchers = {};     // match_typed_subject_alt_names
  std::vector<std::string> certificate_hashes = {};  // verify_certificate_hash: SHA-256 in hexadecimal, colons or not
  std::vector<std::string> spki_hashes = {};         // verify_certificate_spki: SHA-256 in base64
  // The SPIFFE validator: the certificate has one URI, spiffe://DOMAIN/..., and its chain ends in the bundle of DOMAIN.
  // Not together with trusted_ca or crl.
  struct TrustDomain {
    std::string name = {};
    Source bundle = {};                   // PEM
    std::string field = "trust_domains";  // what faults of it begin with
  };
  std::vector<TrustDomain> trust_domains = {};
};

enum class PeerRole : uint8_t { kClient, kServer };

struct VerifyInput {
  PeerRole peer = PeerRole::kClient;
  WallTime now{};
  // If there are any, one of them must be a DNS name (wildcards of the certificate included), a URI or an IP address of
  // the certificate, beside what san_matchers want.
  std::span<const std::string> expected_names = {};
  bool names_suffice = false;  // san_matchers want nothing
};

struct Verdict {
  enum class Failed : uint8_t { kNothing, kNoCertificate, kChain, kNames, kHash };
  bool accepted = true;    // the handshake may go on
  bool validated = false;  // everything that was asked for holds
  Failed failed = Failed::kNothing;
  uint8_t alert = 0;   // for the peer
  std::string detail;  // "verify cert failed: SAN matcher"
  // What was found does not hold any longer than this: the end of the peer's certificate, where that is looked at.
  WallTime valid_until = WallTime::max();
};

// [immutable] [any]
class Verifier {
 public:
  // [main] Errors begin with the field at fault: "crl: /etc/revoked.pem: no revocation list in it ...".
  static Result<std::shared_ptr<const Verifier>> build(VerifierSpec spec);
  ~Verifier();
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  // `chain`: as the peer sent it, its own first; may be nullptr or empty. Of a peer that shows nothing, only what needs
  // something is failed (who lets peers come without a certificate does not ask).
  Verdict verify(const stack_st_CRYPTO_BUFFER* chain, const VerifyInput& input) const;

  // What is legal and hardly meant: expired or not yet valid trusted certificates, and revocation lists that are out of
  // date, not valid yet, or not signed by their issuer.
  std::vector<std::string> warnings(WallTime now) const;
  // Every trusted certificate, of all trust domains, with where it came from: for reports.
  struct Trusted {
    std::string origin;
    crypto::Certificate certificate;
  };
  const std::vector<Trusted>& trusted() const;
  bool accepts_untrusted() const;
  // Somebody may fail.
  bool checks_anything() const;
  // There are trusted certificates: the names of one that passes mean something.
  bool checks_chain() const;
  // SHA-256 over everything that decides: sessions made under other rules are not resumed.
  std::string_view digest() const;
  // The names of trusted_ca for the request to clients; nullptr if there are none. Owned by this.
  const stack_st_CRYPTO_BUFFER* ca_names() const;

 private:
  struct Impl;
  explicit Verifier(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::tls
