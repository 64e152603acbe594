#include "core/tls/parameters.h"

#include <openssl/ssl.h>

#include "core/crypto/library.h"
#include "core/tls/errors.h"

namespace weir::tls {
namespace {

constexpr const char* kDefaultCiphers =
    "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]:"
    "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
constexpr const char* kDefaultCurves = "X25519:P-256";

uint16_t number_of(Version version, Version by_default) {
  switch (version == Version::kAuto ? by_default : version) {
    case Version::kTls10:
      return TLS1_VERSION;
    case Version::kTls11:
      return TLS1_1_VERSION;
    case Version::kTls12:
      return TLS1_2_VERSION;
    default:
      return TLS1_3_VERSION;
  }
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) {
    if (!text.empty()) text += ':';
    text += part;
  }
  return text;
}

// `set` takes the whole list or nothing: on failure each element is tried alone, to name those that are wrong.
template <class Set>
Status apply_list(std::string_view field, const std::vector<std::string>& list, const char* by_default,
                  std::string_view is_not, Set set) {
  if (list.empty() && by_default == nullptr) return absl::OkStatus();
  if (set(list.empty() ? by_default : joined(list).c_str())) return absl::OkStatus();
  forget_errors();
  std::string wrong;
  for (const std::string& element : list) {
    if (!element.empty() && set(element.c_str())) continue;
    forget_errors();
    if (!wrong.empty()) wrong += ", ";
    wrong.append("\"").append(element).append("\"");
  }
  std::string text(field);
  if (wrong.empty()) wrong = "\"" + joined(list) + "\"";
  return invalid(text.append(": ").append(wrong).append(is_not));
}

}  // namespace

Parameters fips_202205() {
  return {.minimum = Version::kTls12,
          .maximum = Version::kTls13,
          .cipher_suites = {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
                            "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"},
          .ecdh_curves = {"P-256", "P-384"},
          .signature_algorithms = {"rsa_pkcs1_sha256", "rsa_pkcs1_sha384", "rsa_pkcs1_sha512", "ecdsa_secp256r1_sha256",
                                   "ecdsa_secp384r1_sha384", "rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384",
                                   "rsa_pss_rsae_sha512"},
          .aes_only = true,
          .keys = {KeyKind::kRsa, KeyKind::kP256, KeyKind::kP384}};
}

Status apply(const Parameters& parameters, ssl_ctx_st* context) {
  const uint16_t minimum = number_of(parameters.minimum, Version::kTls12);
  const uint16_t maximum = number_of(parameters.maximum, Version::kTls13);
  if (minimum > maximum)
    return invalid("tls_minimum_protocol_version: is above tls_maximum_protocol_version; there is no version between");
  if (!SSL_CTX_set_min_proto_version(context, minimum) || !SSL_CTX_set_max_proto_version(context, maximum))
    return invalid("tls_maximum_protocol_version: " + take_reason());
  WEIR_RETURN_IF_ERROR(
      apply_list("cipher_suites", parameters.cipher_suites, kDefaultCiphers,
                 " is not a cipher suite that can be chosen; names are OpenSSL's, as in ECDHE-RSA-AES128-GCM-SHA256 "
                 "(those of TLS 1.3 "
                 "are always on)",
                 [&](const char* list) { return SSL_CTX_set_strict_cipher_list(context, list) == 1; }));
  WEIR_RETURN_IF_ERROR(apply_list("ecdh_curves", parameters.ecdh_curves, kDefaultCurves,
                                  " is not a group that can be chosen; X25519, P-256, P-384 and P-521 are known",
                                  [&](const char* list) { return SSL_CTX_set1_curves_list(context, list) == 1; }));
  return apply_list("signature_algorithms", parameters.signature_algorithms, nullptr,
                    " is not a signature algorithm that can be chosen; names are those of RFC 8446, as in "
                    "ecdsa_secp256r1_sha256 or rsa_pss_rsae_sha256",
                    [&](const char* list) { return SSL_CTX_set1_sigalgs_list(context, list) == 1; });
}

Status check(const Parameters& parameters) {
  if (Status opened = crypto::open_library(); !opened.ok()) return opened;
  bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_with_buffers_method()));
  return apply(parameters, context.get());
}

}  // namespace weir::tls
