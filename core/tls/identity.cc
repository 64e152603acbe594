#include "core/tls/identity.h"

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/pem.h>
#include <openssl/pkcs8.h>
#include <openssl/pool.h>
#include <openssl/stack.h>
#include <openssl/x509.h>

#include <algorithm>

#include "core/base/fault_list.h"
#include "core/crypto/library.h"
#include "core/tls/errors.h"
#include "core/tls/names.h"
#include "core/tls/ocsp.h"

namespace weir::tls {
namespace {

constexpr size_t kMaxChain = 32;
constexpr size_t kMaxBytes = 1024 * 1024;  // of any one of the files

Status at_fault(std::string_view field, const Source& source, std::string_view what) {
  std::string text(field);
  text.append(": ").append(source.origin.empty() ? "inline" : source.origin).append(": ").append(what);
  return invalid(text);
}

// TLS feature extension (RFC 7633): a list of numbers, of which 5 is status_request.
bool says_must_staple(const X509* certificate) {
  bssl::UniquePtr<ASN1_OBJECT> object(OBJ_txt2obj("1.3.6.1.5.5.7.1.24", 1));
  const int at = object != nullptr ? X509_get_ext_by_OBJ(certificate, object.get(), -1) : -1;
  if (at < 0) return false;
  const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(X509_get_ext(certificate, at));
  CBS bytes, list;
  CBS_init(&bytes, ASN1_STRING_get0_data(value), static_cast<size_t>(ASN1_STRING_length(value)));
  if (!CBS_get_asn1(&bytes, &list, CBS_ASN1_SEQUENCE)) return false;
  uint64_t feature = 0;
  while (CBS_get_asn1_uint64(&list, &feature)) {
    if (feature == 5) return true;
  }
  return false;
}

bool is_encrypted(std::string_view pem) {
  return pem.find("-----BEGIN ENCRYPTED PRIVATE KEY-----") != std::string_view::npos ||
         pem.find("Proc-Type: 4,ENCRYPTED") != std::string_view::npos;
}

bool signed_by(const crypto::Certificate& certificate, const crypto::Certificate& issuer) {
  bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(issuer.handle()));
  const bool yes =
      key != nullptr &&
      X509_NAME_cmp(X509_get_issuer_name(certificate.handle()), X509_get_subject_name(issuer.handle())) == 0 &&
      X509_verify(certificate.handle(), key.get()) == 1;
  forget_errors();
  return yes;
}

bool key_of(const crypto::Certificate& certificate, const EVP_PKEY* key) {
  const bool yes = X509_check_private_key(certificate.handle(), key) == 1;
  forget_errors();
  return yes;
}

}  // namespace

std::optional<KeyKind> kind_of(const EVP_PKEY* key) {
  switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA:
      return KeyKind::kRsa;
    case EVP_PKEY_ED25519:
      return KeyKind::kEd25519;
    case EVP_PKEY_EC:
      break;
    default:
      return std::nullopt;
  }
  switch (EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)))) {
    case NID_X9_62_prime256v1:
      return KeyKind::kP256;
    case NID_secp384r1:
      return KeyKind::kP384;
    case NID_secp521r1:
      return KeyKind::kP521;
    default:
      return std::nullopt;
  }
}

std::string_view name_of(KeyKind kind) {
  switch (kind) {
    case KeyKind::kRsa:
      return "RSA";
    case KeyKind::kP256:
      return "P-256";
    case KeyKind::kP384:
      return "P-384";
    case KeyKind::kP521:
      return "P-521";
    case KeyKind::kEd25519:
      return "Ed25519";
  }
  return {};
}

class IdentityLoader {
 public:
  explicit IdentityLoader(const IdentitySpec& spec) : spec_(spec), identity_(new Identity) {}

  Result<std::shared_ptr<const Identity>> load() {
    if (Status opened = crypto::open_library(); !opened.ok()) return opened;
    WEIR_RETURN_IF_ERROR(check_sources());
    WEIR_RETURN_IF_ERROR(spec_.pkcs12.empty() ? load_pem() : load_pkcs12());
    WEIR_RETURN_IF_ERROR(check_key());
    WEIR_RETURN_IF_ERROR(load_ocsp());
    look_at_chain();
    X509* own = identity_->certificates_.front().handle();
    identity_->must_staple_ = says_must_staple(own);
    for (const San& name : names_of(own)) {
      if (name.kind == net::NameKind::kDns) identity_->server_names_.push_back(lower_case(name.text));
    }
    if (identity_->server_names_.empty()) {
      std::string name = lower_case(common_name_of(own));
      if (!name.empty()) identity_->server_names_.push_back(std::move(name));
    }
    for (const crypto::Certificate& certificate : identity_->certificates_) {
      const std::string der = certificate.der();
      identity_->chain_.push_back(CRYPTO_BUFFER_new(reinterpret_cast<const uint8_t*>(der.data()), der.size(), nullptr));
    }
    return std::shared_ptr<const Identity>(std::move(identity_));
  }

  // Whether there is a key, apart from whether it is that of the certificate.
  Status check_private_key() {
    WEIR_RETURN_IF_ERROR(crypto::open_library());
    if (spec_.private_key.bytes.size() > kMaxBytes)
      return at_fault("private_key", spec_.private_key, "has more than 1 MiB");
    return load_key();
  }

 private:
  Status check_sources() {
    const bool has_pem = !spec_.certificate_chain.empty() || !spec_.private_key.empty();
    if (!spec_.pkcs12.empty() && has_pem)
      return at_fault("pkcs12", spec_.pkcs12, "cannot be together with certificate_chain and private_key");
    if (spec_.pkcs12.empty() && spec_.certificate_chain.empty())
      return invalid("certificate_chain: is missing; a certificate has certificate_chain and private_key, or pkcs12");
    if (spec_.pkcs12.empty() && spec_.private_key.empty())
      return invalid("private_key: is missing; the certificate " + spec_.certificate_chain.origin + " needs one");
    const std::pair<const char*, const Source*> all[] = {{"certificate_chain", &spec_.certificate_chain},
                                                         {"private_key", &spec_.private_key},
                                                         {"pkcs12", &spec_.pkcs12},
                                                         {"ocsp_staple", &spec_.ocsp_staple}};
    for (const auto& [field, source] : all) {
      if (source->bytes.size() > kMaxBytes) return at_fault(field, *source, "has more than 1 MiB");
      if (source->bytes.empty() && !source->empty()) return at_fault(field, *source, "is empty");
    }
    return absl::OkStatus();
  }

  Status load_pem() {
    identity_->origin_ = spec_.certificate_chain.origin;
    auto certificates = crypto::Certificate::parse_pem(spec_.certificate_chain.bytes);
    if (!certificates.ok())
      return at_fault("certificate_chain", spec_.certificate_chain, message_of(certificates.status()));
    if (certificates->size() > kMaxChain)
      return at_fault("certificate_chain", spec_.certificate_chain,
                      "has " + std::to_string(certificates->size()) + " certificates; at most 32 are allowed");
    identity_->certificates_ = std::move(*certificates);
    return load_key();
  }

  Status load_key() {
    const std::string& pem = spec_.private_key.bytes;
    const std::string& password = spec_.password.bytes;
    const bool encrypted = is_encrypted(pem);
    if (encrypted && spec_.password.empty())
      return at_fault("private_key", spec_.private_key, "is encrypted, and there is no password");
    // Without a callback the library would ask at the terminal.
    auto give_password = [](char* to, int room, int, void* user) {
      const auto& text = *static_cast<const std::string*>(user);
      if (text.size() > static_cast<size_t>(room)) return -1;
      text.copy(to, text.size());
      return static_cast<int>(text.size());
    };
    bssl::UniquePtr<BIO> in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    identity_->key_ = PEM_read_bio_PrivateKey(in.get(), nullptr, give_password, const_cast<std::string*>(&password));
    if (identity_->key_ != nullptr) return absl::OkStatus();
    const std::string reason = take_reason();
    if (encrypted)
      return at_fault("private_key", spec_.private_key, "cannot be decrypted with this password (" + reason + ")");
    return at_fault("private_key", spec_.private_key,
                    reason == "NO_START_LINE" ? "no private key in it (no -----BEGIN PRIVATE KEY-----)"
                                              : "cannot be read: " + reason);
  }

  Status load_pkcs12() {
    identity_->origin_ = spec_.pkcs12.origin;
    const std::string& der = spec_.pkcs12.bytes;
    CBS bytes;
    CBS_init(&bytes, reinterpret_cast<const uint8_t*>(der.data()), der.size());
    EVP_PKEY* key = nullptr;
    bssl::UniquePtr<STACK_OF(X509)> stack(sk_X509_new_null());
    const int ok = PKCS12_get_key_and_certs(&key, stack.get(), &bytes, spec_.password.bytes.c_str());
    bssl::UniquePtr<EVP_PKEY> owned(key);
    if (!ok) {
      const std::string reason = take_reason();
      return at_fault("pkcs12", spec_.pkcs12,
                      reason == "INCORRECT_PASSWORD" ? "cannot be decrypted with this password"
                                                     : "is not a PKCS#12 file that can be read: " + reason);
    }
    if (key == nullptr) return at_fault("pkcs12", spec_.pkcs12, "no private key in it");
    std::vector<crypto::Certificate> found;
    while (X509* one = sk_X509_shift(stack.get())) found.push_back(crypto::Certificate::adopt(one));
    if (found.empty()) return at_fault("pkcs12", spec_.pkcs12, "no certificate in it");
    if (found.size() > kMaxChain)
      return at_fault("pkcs12", spec_.pkcs12,
                      "has " + std::to_string(found.size()) + " certificates; at most 32 are allowed");
    identity_->key_ = owned.release();
    // The file has no order of its own: the key's certificate, then issuer by issuer.
    auto own = std::find_if(found.begin(), found.end(), [&](const auto& one) { return key_of(one, identity_->key_); });
    if (own == found.end())
      return at_fault("pkcs12", spec_.pkcs12, "its private key is that of none of its certificates");
    auto& chain = identity_->certificates_;
    auto take = [&](auto at) {
      chain.push_back(std::move(*at));
      found.erase(at);
    };
    take(own);
    while (true) {
      auto issuer =
          std::find_if(found.begin(), found.end(), [&](const auto& one) { return signed_by(chain.back(), one); });
      if (issuer == found.end()) break;
      take(issuer);
    }
    if (!found.empty())
      warn("pkcs12", spec_.pkcs12,
           std::to_string(found.size()) + " of its certificates are no part of the chain and are not sent");
    return absl::OkStatus();
  }

  Status check_key() {
    const auto& certificates = identity_->certificates_;
    const EVP_PKEY* key = identity_->key_;
    const char* field = spec_.pkcs12.empty() ? "private_key" : "pkcs12";
    const Source& source = spec_.pkcs12.empty() ? spec_.private_key : spec_.pkcs12;
    if (!key_of(certificates.front(), key)) {
      for (size_t i = 1; i < certificates.size(); ++i) {
        if (key_of(certificates[i], key))
          return at_fault("certificate_chain", spec_.certificate_chain,
                          "the private key (" + source.origin + ") is that of certificate " + std::to_string(i + 1) +
                              " (" + certificates[i].subject() + "), which must be the first one");
      }
      return at_fault(
          field, source,
          "is not that of the certificate " + identity_->origin_ + " (" + certificates.front().subject() + ")");
    }
    const std::optional<KeyKind> kind = kind_of(key);
    if (!kind.has_value()) {
      return at_fault(field, source,
                      EVP_PKEY_id(key) == EVP_PKEY_EC
                          ? "is an EC key of a curve that TLS has no use for; P-256, P-384 and P-521 are known"
                          : "is a key of an unknown kind; RSA, EC and Ed25519 are known");
    }
    if (kind == KeyKind::kRsa && EVP_PKEY_bits(key) < 2048)
      return at_fault(field, source,
                      "is an RSA key of " + std::to_string(EVP_PKEY_bits(key)) + " bits; at least 2048 are needed");
    identity_->key_kind_ = *kind;
    return absl::OkStatus();
  }

  Status load_ocsp() {
    if (spec_.ocsp_staple.empty()) return absl::OkStatus();
    auto response = OcspResponse::parse(spec_.ocsp_staple.bytes);
    if (!response.ok()) return at_fault("ocsp_staple", spec_.ocsp_staple, message_of(response.status()));
    const auto& certificates = identity_->certificates_;
    Status about = response->check(certificates[0], certificates.size() > 1 ? &certificates[1] : nullptr);
    if (!about.ok()) return at_fault("ocsp_staple", spec_.ocsp_staple, message_of(about));
    identity_->ocsp_response_.assign(spec_.ocsp_staple.bytes.begin(), spec_.ocsp_staple.bytes.end());
    identity_->ocsp_this_update_ = response->this_update;
    identity_->ocsp_next_update_ = response->next_update;
    if (response->says != OcspResponse::Says::kGood)
      warn("ocsp_staple", spec_.ocsp_staple,
           response->says == OcspResponse::Says::kRevoked ? "says that the certificate is revoked"
                                                          : "says that the responder does not know the certificate");
    if (spec_.now != WallTime{} && identity_->ocsp_expired(spec_.now))
      warn("ocsp_staple", spec_.ocsp_staple, "is out of date: a newer response was due");
    if (spec_.now != WallTime{} && response->this_update > spec_.now)
      warn("ocsp_staple", spec_.ocsp_staple, "is not valid yet: clients refuse it until then");
    return absl::OkStatus();
  }

  void look_at_chain() {
    const auto& certificates = identity_->certificates_;
    const char* field = spec_.pkcs12.empty() ? "certificate_chain" : "pkcs12";
    const Source& source = spec_.pkcs12.empty() ? spec_.certificate_chain : spec_.pkcs12;
    for (size_t i = 0; i + 1 < certificates.size(); ++i) {
      if (!signed_by(certificates[i], certificates[i + 1]))
        warn(field, source,
             "certificate " + std::to_string(i + 2) + " (" + certificates[i + 1].subject() +
                 ") did not sign certificate " + std::to_string(i + 1) + " (issuer " + certificates[i].issuer() + ")");
    }
    if (spec_.now == WallTime{}) return;
    for (size_t i = 0; i < certificates.size(); ++i) {
      const std::string which = "certificate " + std::to_string(i + 1) + " (" + certificates[i].subject() + ") ";
      if (certificates[i].not_after() < spec_.now) warn(field, source, which + "has expired");
      if (certificates[i].not_before() > spec_.now) warn(field, source, which + "is not valid yet");
    }
  }

  void warn(std::string_view field, const Source& source, std::string_view what) {
    identity_->warnings_.push_back(message_of(at_fault(field, source, what)));
  }

  const IdentitySpec& spec_;
  std::unique_ptr<Identity> identity_;
};

Result<std::shared_ptr<const Identity>> Identity::load(const IdentitySpec& spec) {
  auto loaded = IdentityLoader(spec).load();
  // Of a chain that is broken the key may be broken, too.
  if (loaded.ok() || spec.private_key.empty() || !message_of(loaded.status()).starts_with("certificate_chain: "))
    return loaded;
  const Status key = IdentityLoader(spec).check_private_key();
  return key.ok() ? loaded : invalid(message_of(loaded.status()) + kNextFault + message_of(key));
}

Identity::~Identity() {
  for (CRYPTO_BUFFER* one : chain_) CRYPTO_BUFFER_free(one);
  EVP_PKEY_free(key_);
}

}  // namespace weir::tls
