#include "core/tls/client_context.h"

#include "core/tls/client_context_impl.h"
#include "core/tls/errors.h"
#include "core/tls/transport.h"

namespace weir::tls {

Status ClientContext::Impl::build(ClientSpec spec) {
  verifier = std::move(spec.verifier);
  key_log = std::move(spec.key_log);
  stats = std::move(spec.stats);
  if (spec.sni.size() > 255)
    return invalid("sni: has " + std::to_string(spec.sni.size()) + " bytes; at most 255 are allowed");
  if (spec.sni.find('\0') != std::string::npos) return invalid("sni: has a NUL byte in it");
  if (spec.auto_sni_san_validation && (verifier == nullptr || !verifier->checks_chain()))
    return invalid("auto_sni_san_validation: needs a validation context with trusted certificates (trusted_ca)");
  WEIR_RETURN_IF_ERROR(make(spec.parameters));
  SSL_CTX* ctx = context.get();
  sni = std::move(spec.sni);
  auto_sni_san_validation = spec.auto_sni_san_validation;
  allow_renegotiation = spec.allow_renegotiation;
  enforce_rsa_key_usage = spec.enforce_rsa_key_usage;
  identity = std::move(spec.identity);
  if (identity != nullptr) WEIR_RETURN_IF_ERROR(check_key(*identity));
  if (identity != nullptr &&
      !SSL_CTX_set_chain_and_key(ctx, identity->chain().data(), identity->chain().size(), identity->key(), nullptr))
    return invalid("tls_certificates: " + identity->origin() + " cannot be used: " + take_reason());
  auto wire = alpn_wire(spec.alpn_protocols);
  if (!wire.ok()) return wire.status();
  alpn = std::move(*wire);
  // Zero is success here.
  if (!alpn.empty() && SSL_CTX_set_alpn_protos(ctx, reinterpret_cast<const uint8_t*>(alpn.data()),
                                               static_cast<unsigned>(alpn.size())) != 0)
    return invalid("alpn_protocols: " + take_reason());
  verify_by_transport(ctx, SSL_VERIFY_PEER);
  if (!sessions.empty()) {
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, Transport::on_session);
  }
  return absl::OkStatus();
}

ClientContext::ClientContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ClientContext::~ClientContext() = default;

Result<std::unique_ptr<const ClientContext>> ClientContext::build(ClientSpec spec) {
  auto impl = std::make_unique<Impl>(spec.max_session_keys);
  WEIR_RETURN_IF_ERROR(impl->build(std::move(spec)));
  return std::unique_ptr<const ClientContext>(new ClientContext(std::move(impl)));
}

const Identity* ClientContext::identity() const { return impl_->identity.get(); }
bool ClientContext::offers_protocols() const { return !impl_->alpn.empty(); }
const Verifier* ClientContext::verifier() const { return impl_->verifier.get(); }

}  // namespace weir::tls
