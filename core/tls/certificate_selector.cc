#include "core/tls/certificate_selector.h"

#include <openssl/aead.h>
#include <openssl/bytestring.h>
#include <openssl/nid.h>

#include <algorithm>

#include "core/tls/names.h"

namespace weir::tls {
namespace {

constexpr unsigned bit(KeyKind kind) { return 1u << static_cast<unsigned>(kind); }
constexpr unsigned kRsa = bit(KeyKind::kRsa);
constexpr unsigned kCurves = bit(KeyKind::kP256) | bit(KeyKind::kP384) | bit(KeyKind::kP521);

constexpr uint16_t kAlgorithms[] = {SSL_SIGN_ECDSA_SECP256R1_SHA256,
                                    SSL_SIGN_ECDSA_SECP384R1_SHA384,
                                    SSL_SIGN_ECDSA_SECP521R1_SHA512,
                                    SSL_SIGN_ECDSA_SHA1,
                                    SSL_SIGN_ED25519,
                                    SSL_SIGN_RSA_PSS_RSAE_SHA256,
                                    SSL_SIGN_RSA_PSS_RSAE_SHA384,
                                    SSL_SIGN_RSA_PSS_RSAE_SHA512,
                                    SSL_SIGN_RSA_PKCS1_SHA1,
                                    SSL_SIGN_RSA_PKCS1_SHA256,
                                    SSL_SIGN_RSA_PKCS1_SHA384,
                                    SSL_SIGN_RSA_PKCS1_SHA512};

// Cipher suites of TLS 1.3.
constexpr uint16_t kAes128 = TLS1_CK_AES_128_GCM_SHA256 & 0xffff;
constexpr uint16_t kAes256 = TLS1_CK_AES_256_GCM_SHA384 & 0xffff;
constexpr uint16_t kChaCha20 = TLS1_CK_CHACHA20_POLY1305_SHA256 & 0xffff;

bool extension(const SSL_CLIENT_HELLO& hello, uint16_t type, CBS& contents) {
  const uint8_t* data = nullptr;
  size_t size = 0;
  if (!SSL_early_callback_ctx_extension_get(&hello, type, &data, &size)) return false;
  CBS_init(&contents, data, size);
  return true;
}

// visit(number) for each 16-bit number of a list.
template <class Visit>
void each_number(CBS list, Visit visit) {
  uint16_t number = 0;
  while (CBS_get_u16(&list, &number)) visit(number);
}

bool offers_tls13(const SSL_CLIENT_HELLO& hello) {
  CBS contents, list;
  bool offers = false;
  if (!extension(hello, TLSEXT_TYPE_supported_versions, contents) || !CBS_get_u8_length_prefixed(&contents, &list))
    return false;
  each_number(list, [&](uint16_t version) { offers |= version == TLS1_3_VERSION; });
  return offers;
}

// With TLS 1.3 the library takes the first suite of the client's, and where AES has no instructions any with ChaCha20
// before others; nothing of it can be turned off.
bool would_get_chacha20(const SSL_CLIENT_HELLO& hello) {
  CBS list;
  CBS_init(&list, hello.cipher_suites, hello.cipher_suites_len);
  bool first = true;
  bool chacha20 = false;
  each_number(list, [&](uint16_t value) {
    if (value == kChaCha20)
      chacha20 |= first || EVP_has_aes_hardware() == 0;
    else if (value != kAes128 && value != kAes256)
      return;
    first = false;
  });
  return chacha20;
}

bool is_in(const std::vector<uint16_t>& numbers, uint16_t number) {
  return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

// Keys that cipher suites of both can authenticate with, up to TLS 1.2.
unsigned keys_of_ciphers(const SSL_CLIENT_HELLO& hello, const std::vector<uint16_t>& ours) {
  CBS list;
  CBS_init(&list, hello.cipher_suites, hello.cipher_suites_len);
  unsigned keys = 0;
  each_number(list, [&](uint16_t value) {
    if (!is_in(ours, value)) return;
    const SSL_CIPHER* cipher = SSL_get_cipher_by_value(value);
    const int authenticates = cipher != nullptr ? SSL_CIPHER_get_auth_nid(cipher) : NID_undef;
    if (authenticates == NID_auth_ecdsa) keys |= kCurves | bit(KeyKind::kEd25519);
    if (authenticates == NID_auth_rsa) keys |= kRsa;
  });
  return keys;
}

}  // namespace

bool ClientAbilities::asks_for_staple(const SSL_CLIENT_HELLO& hello) {
  CBS contents;
  return extension(hello, TLSEXT_TYPE_status_request, contents);
}

bool ServerAbilities::takes_tls13(const SSL_CLIENT_HELLO& hello) const {
  return tls13 && offers_tls13(hello) && !(aes_only && would_get_chacha20(hello));
}

ServerAbilities ServerAbilities::of(const Parameters& parameters, const SSL_CTX* context) {
  ServerAbilities server;
  server.aes_only = parameters.aes_only;
  server.tls13 = parameters.maximum == Version::kAuto || parameters.maximum == Version::kTls13;
  for (const SSL_CIPHER* cipher : SSL_CTX_get_ciphers(context))
    server.cipher_suites.push_back(SSL_CIPHER_get_protocol_id(cipher));
  for (const std::string& name : parameters.signature_algorithms) {
    const auto* known = std::find_if(std::begin(kAlgorithms), std::end(kAlgorithms), [&](uint16_t algorithm) {
      const char* its = SSL_get_signature_algorithm_name(algorithm, /*include_curve=*/1);
      return its != nullptr && name == its;
    });
    if (known != std::end(kAlgorithms)) server.signature_algorithms.push_back(*known);
  }
  // Some have two names: of one that goes by its other one nothing is known.
  if (server.signature_algorithms.size() != parameters.signature_algorithms.size()) server.signature_algorithms.clear();
  return server;
}

ClientAbilities ClientAbilities::of(const SSL_CLIENT_HELLO& hello, const ServerAbilities& server) {
  ClientAbilities client;
  CBS contents, list;
  client.wants_ocsp = asks_for_staple(hello);
  const bool tls13 = server.takes_tls13(hello);
  unsigned by_signature = 0;
  if (!extension(hello, TLSEXT_TYPE_signature_algorithms, contents)) {
    // Before TLS 1.2: SHA-1 with either (RFC 5246 section 7.4.1.4.1).
    by_signature = kRsa | kCurves;
  } else if (CBS_get_u16_length_prefixed(&contents, &list)) {
    each_number(list, [&](uint16_t algorithm) {
      if (!server.signature_algorithms.empty() && !is_in(server.signature_algorithms, algorithm)) return;
      switch (algorithm) {
        case SSL_SIGN_ECDSA_SECP256R1_SHA256:
          by_signature |= tls13 ? bit(KeyKind::kP256) : kCurves;
          break;
        case SSL_SIGN_ECDSA_SECP384R1_SHA384:
          by_signature |= tls13 ? bit(KeyKind::kP384) : kCurves;
          break;
        case SSL_SIGN_ECDSA_SECP521R1_SHA512:
          by_signature |= tls13 ? bit(KeyKind::kP521) : kCurves;
          break;
        case SSL_SIGN_ECDSA_SHA1:
          by_signature |= tls13 ? 0 : kCurves;
          break;
        case SSL_SIGN_ED25519:
          by_signature |= bit(KeyKind::kEd25519);
          break;
        case SSL_SIGN_RSA_PSS_RSAE_SHA256:
        case SSL_SIGN_RSA_PSS_RSAE_SHA384:
        case SSL_SIGN_RSA_PSS_RSAE_SHA512:
          by_signature |= kRsa;
          break;
        case SSL_SIGN_RSA_PKCS1_SHA1:
        case SSL_SIGN_RSA_PKCS1_SHA256:
        case SSL_SIGN_RSA_PKCS1_SHA384:
        case SSL_SIGN_RSA_PKCS1_SHA512:
          by_signature |= tls13 ? 0 : kRsa;
          break;
        default:
          break;
      }
    });
  }
  client.keys = by_signature;
  if (tls13) return client;
  // Up to TLS 1.2 the curve of the key must be one of the client's groups, and a cipher suite must name its kind.
  unsigned by_group = 0;
  if (!extension(hello, TLSEXT_TYPE_supported_groups, contents)) {
    by_group = kCurves;
  } else if (CBS_get_u16_length_prefixed(&contents, &list)) {
    each_number(list, [&](uint16_t group) {
      if (group == SSL_CURVE_SECP256R1) by_group |= bit(KeyKind::kP256);
      if (group == SSL_CURVE_SECP384R1) by_group |= bit(KeyKind::kP384);
      if (group == SSL_CURVE_SECP521R1) by_group |= bit(KeyKind::kP521);
    });
  }
  client.keys &= (by_group | kRsa | bit(KeyKind::kEd25519)) & keys_of_ciphers(hello, server.cipher_suites);
  return client;
}

CertificateSelector::CertificateSelector(const std::vector<std::shared_ptr<const Identity>>& identities,
                                         OcspStaplePolicy policy, bool full_scan)
    : policy_(policy), full_scan_(full_scan) {
  for (const auto& identity : identities) {
    all_.push_back(identity.get());
    for (const std::string& name : identity->server_names()) {
      auto& place = name.starts_with("*.") ? wildcard_[name.substr(1)] : exact_[name];
      if (std::find(place.begin(), place.end(), identity.get()) == place.end()) place.push_back(identity.get());
    }
  }
  trivial_ = all_.size() == 1 && policy == OcspStaplePolicy::kLenient && !all_[0]->has_ocsp_response() &&
             !all_[0]->must_staple();
}

CertificateSelector::Staple CertificateSelector::staple(const Identity& identity, WallTime now) const {
  const bool good = identity.has_ocsp_response() && !identity.ocsp_expired(now);
  switch (identity.must_staple() ? OcspStaplePolicy::kMustStaple : policy_) {
    case OcspStaplePolicy::kLenient:
      return good ? Staple::kYes : Staple::kNo;
    case OcspStaplePolicy::kStrict:
      return good ? Staple::kYes : identity.has_ocsp_response() ? Staple::kFail : Staple::kNo;
    case OcspStaplePolicy::kMustStaple:
      break;
  }
  return good ? Staple::kYes : Staple::kFail;
}

bool CertificateSelector::best(const std::vector<const Identity*>& among, const ClientAbilities& client, WallTime now,
                               Choice& choice) const {
  for (const Identity* identity : among) {
    if (!client.can_check(identity->key_kind())) continue;
    const Staple action = client.wants_ocsp ? staple(*identity, now) : Staple::kNo;
    if (action == Staple::kFail) continue;
    const bool rsa = identity->key_kind() == KeyKind::kRsa;
    if (rsa && choice.identity != nullptr) continue;
    choice = {identity, action == Staple::kYes};
    if (!rsa) return true;
  }
  return choice.identity != nullptr;
}

CertificateSelector::Choice CertificateSelector::choose(std::string_view name, const ClientAbilities& client,
                                                        WallTime now) const {
  Choice choice;
  if (!name.empty()) {
    const std::string lower = lower_case(name);
    if (auto found = exact_.find(lower); found != exact_.end() && best(found->second, client, now, choice))
      return choice;
    const size_t dot = lower.find('.');
    if (dot != std::string::npos && dot > 0) {
      auto found = wildcard_.find(lower.substr(dot));
      if (found != wildcard_.end() && best(found->second, client, now, choice)) return choice;
    }
  }
  // The first one is for those whose name nobody has.
  const bool scan = full_scan_ || name.empty();
  if (!scan && best({all_.front()}, client, now, choice)) return choice;
  if (best(all_, client, now, choice)) return choice;
  // The client can check none of them: the handshake finds the words for it. Unless a response is missing.
  const Staple action = client.wants_ocsp ? staple(*all_.front(), now) : Staple::kNo;
  if (action != Staple::kFail) choice = {all_.front(), action == Staple::kYes};
  return choice;
}

}  // namespace weir::tls
