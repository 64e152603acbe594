#include "core/tls/server_context.h"

#include <openssl/cipher.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/rand.h>
#include <openssl/stack.h>

#include <cstring>

#include "core/crypto/digest.h"
#include "core/tls/errors.h"
#include "core/tls/server_context_impl.h"
#include "core/tls/transport.h"

namespace weir::tls {
namespace {

int select_protocol(SSL* ssl, const uint8_t** out, uint8_t* out_size, const uint8_t* offered, unsigned offered_size,
                    void*) {
  const ServerContext::Impl& impl = ServerContext::Impl::of(ssl);
  const std::string& ours = SSL_version(ssl) < TLS1_2_VERSION ? impl.alpn_before_tls12 : impl.alpn;
  uint8_t* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const uint8_t*>(ours.data()),
                            static_cast<unsigned>(ours.size()), offered, offered_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// 1: with the first key; 2: with another, and the ticket is to be renewed; 0: unknown.
int use_ticket_key(SSL* ssl, uint8_t* name, uint8_t* iv, EVP_CIPHER_CTX* cipher, HMAC_CTX* hmac, int encrypt) {
  const TicketKeySet* set = ServerContext::Impl::of(ssl).ticket_keys();
  if (set == nullptr) return 0;
  if (encrypt != 0) {
    const TicketKey& key = set->keys.front();
    memcpy(name, key.name.data(), key.name.size());
    RAND_bytes(iv, EVP_CIPHER_iv_length(EVP_aes_256_cbc()));
    if (!EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.aes.data(), iv) ||
        !HMAC_Init_ex(hmac, key.hmac.data(), key.hmac.size(), EVP_sha256(), nullptr))
      return -1;
    return 1;
  }
  for (size_t i = 0; i < set->keys.size(); ++i) {
    const TicketKey& key = set->keys[i];
    if (memcmp(name, key.name.data(), key.name.size()) != 0) continue;
    if (!EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.aes.data(), iv) ||
        !HMAC_Init_ex(hmac, key.hmac.data(), key.hmac.size(), EVP_sha256(), nullptr))
      return -1;
    return i == 0 ? 1 : 2;
  }
  return 0;
}

}  // namespace

// Who was let in under these conditions is let in again without proving it: so they are part of every session.
std::string ServerContext::Impl::session_context() const {
  std::string all = verifier != nullptr ? std::string(verifier->digest()) : std::string("none");
  all += require_client_certificate ? "required" : "optional";
  for (const KeyKind kind : keys) all += name_of(kind);
  for (const auto& identity : identities) {
    for (const std::string& name : identity->server_names()) all.append("\n").append(name);
    all.append("\n\n").append(identity->certificates().front().issuer());
  }
  const crypto::Sha256Digest digest = crypto::sha256(all);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Status ServerContext::Impl::build(ServerSpec spec) {
  if (spec.identities.empty()) return invalid("tls_certificates: is empty; a server needs one certificate at least");
  verifier = std::move(spec.verifier);
  key_log = std::move(spec.key_log);
  stats = std::move(spec.stats);
  WEIR_RETURN_IF_ERROR(make(spec.parameters));
  SSL_CTX* ctx = context.get();
  identities = std::move(spec.identities);
  require_client_certificate = spec.require_client_certificate;
  require_sni = spec.require_sni;
  abilities = ServerAbilities::of(spec.parameters, ctx);
  selector =
      std::make_unique<CertificateSelector>(identities, spec.ocsp_staple_policy, spec.full_scan_certs_on_sni_mismatch);
  for (const auto& identity : identities) {
    WEIR_RETURN_IF_ERROR(check_key(*identity));
    const bool must = identity->must_staple() || spec.ocsp_staple_policy == OcspStaplePolicy::kMustStaple;
    if (must && !identity->has_ocsp_response())
      return invalid("ocsp_staple_policy: the certificate " + identity->origin() + " must have an OCSP response (" +
                     (identity->must_staple() ? "it says so itself" : "MUST_STAPLE") + "), and ocsp_staple gives none");
  }
  const Identity& first = *identities.front();
  if (!SSL_CTX_set_chain_and_key(ctx, first.chain().data(), first.chain().size(), first.key(), nullptr))
    return invalid("tls_certificates: " + first.origin() + " cannot be used: " + take_reason());
  SSL_CTX_set_select_certificate_cb(ctx, Transport::on_client_hello);
  if (!spec.prefer_client_ciphers) SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);

  auto wire = alpn_wire(spec.alpn_protocols);
  if (!wire.ok()) return wire.status();
  alpn = std::move(*wire);
  std::erase(spec.alpn_protocols, "h2");  // RFC 9113 9.2: needs TLS 1.2
  alpn_before_tls12 = *alpn_wire(spec.alpn_protocols);
  if (!alpn.empty()) SSL_CTX_set_alpn_select_cb(ctx, select_protocol, nullptr);

  if (verifier != nullptr || require_client_certificate)
    verify_by_transport(ctx, SSL_VERIFY_PEER | (require_client_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0));
  if (verifier != nullptr && verifier->ca_names() != nullptr) {
    bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> names(sk_CRYPTO_BUFFER_new_null());
    for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(verifier->ca_names()); ++i)
      bssl::PushToStack(names.get(), bssl::UpRef(sk_CRYPTO_BUFFER_value(verifier->ca_names(), i)));
    SSL_CTX_set0_client_CAs(ctx, names.release());
  }

  fixed_keys.keys = std::move(spec.session_ticket_keys);
  if (fixed_keys.keys.empty()) ring = std::move(spec.ticket_ring);
  if (spec.disable_stateless_session_resumption || ticket_keys() == nullptr) {
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
  } else {
    SSL_CTX_set_tlsext_ticket_key_cb(ctx, use_ticket_key);
  }
  SSL_CTX_set_session_cache_mode(ctx,
                                 spec.disable_stateful_session_resumption ? SSL_SESS_CACHE_OFF : SSL_SESS_CACHE_SERVER);
  if (spec.session_timeout.has_value()) {
    const auto seconds =
        static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(*spec.session_timeout).count());
    SSL_CTX_set_timeout(ctx, seconds);
    SSL_CTX_set_session_psk_dhe_timeout(ctx, seconds);
  }
  const std::string id = session_context();
  SSL_CTX_set_session_id_context(ctx, reinterpret_cast<const uint8_t*>(id.data()), id.size());
  return absl::OkStatus();
}

ServerContext::ServerContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ServerContext::~ServerContext() = default;

Result<std::unique_ptr<const ServerContext>> ServerContext::build(ServerSpec spec) {
  auto impl = std::make_unique<Impl>();
  WEIR_RETURN_IF_ERROR(impl->build(std::move(spec)));
  return std::unique_ptr<const ServerContext>(new ServerContext(std::move(impl)));
}

const std::vector<std::shared_ptr<const Identity>>& ServerContext::identities() const { return impl_->identities; }
const Verifier* ServerContext::verifier() const { return impl_->verifier.get(); }

}  // namespace weir::tls
