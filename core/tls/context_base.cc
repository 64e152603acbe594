#include "core/tls/context_base.h"

#include <openssl/pool.h>
#include <openssl/stack.h>
#include <openssl/x509.h>
#include <sys/time.h>

#include <algorithm>
#include <optional>

#include "core/crypto/library.h"
#include "core/event/lane.h"
#include "core/tls/errors.h"
#include "core/tls/transport.h"

namespace weir::tls {
namespace {

int context_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// Certificates that several connections have been shown are kept once. Never freed: whatever refers to a buffer may be
// the last to go.
CRYPTO_BUFFER_POOL* buffer_pool() {
  static CRYPTO_BUFFER_POOL* const pool = CRYPTO_BUFFER_POOL_new();
  return pool;
}

// One clock read per turn.
void lane_time(const SSL*, timeval* now) {
  const event::Lane* lane = event::Lane::current();
  const WallTime wall = lane != nullptr ? lane->wall_now() : system_clock().wall_now();
  now->tv_sec = std::chrono::floor<std::chrono::seconds>(wall).time_since_epoch().count();
  now->tv_usec = 0;
}

}  // namespace

Status ContextBase::make(const Parameters& parameters) {
  if (Status opened = crypto::open_library(); !opened.ok()) return opened;
  context.reset(SSL_CTX_new(TLS_with_buffers_method()));
  if (context == nullptr) return unavailable("no TLS context: " + take_reason());
  WEIR_RETURN_IF_ERROR(apply(parameters, context.get()));
  aes_only = parameters.aes_only;
  keys = parameters.keys;
  SSL_CTX_set_ex_data(context.get(), context_index(), this);
  SSL_CTX_set0_buffer_pool(context.get(), buffer_pool());
  // What was not written may stand elsewhere the next time.
  SSL_CTX_set_mode(context.get(), SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
  SSL_CTX_set_current_time_cb(context.get(), lane_time);
  if (key_log != nullptr) SSL_CTX_set_keylog_callback(context.get(), Transport::on_key_log);
  return absl::OkStatus();
}

const ContextBase& ContextBase::of(const SSL* ssl) {
  return *static_cast<const ContextBase*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), context_index()));
}

Status ContextBase::check_key(const Identity& identity) const {
  if (keys.empty() || std::find(keys.begin(), keys.end(), identity.key_kind()) != keys.end()) return absl::OkStatus();
  std::string allowed;
  for (const KeyKind kind : keys) allowed.append(allowed.empty() ? "" : ", ").append(name_of(kind));
  return invalid("tls_certificates: " + identity.origin() + " cannot be used: its key is of " +
                 std::string(name_of(identity.key_kind())) + ", and compliance_policies allow " + allowed);
}

// With TLS 1.2 the library does not hold a client's curve against any list.
bool ContextBase::takes_key_of(const STACK_OF(CRYPTO_BUFFER) * chain) const {
  if (keys.empty() || sk_CRYPTO_BUFFER_num(chain) == 0) return true;
  bssl::UniquePtr<X509> leaf(X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, 0)));
  bssl::UniquePtr<EVP_PKEY> key(leaf != nullptr ? X509_get_pubkey(leaf.get()) : nullptr);
  const std::optional<KeyKind> kind = key != nullptr ? kind_of(key.get()) : std::nullopt;
  forget_errors();
  return kind.has_value() && std::find(keys.begin(), keys.end(), *kind) != keys.end();
}

void verify_by_transport(SSL_CTX* context, int mode) { SSL_CTX_set_custom_verify(context, mode, Transport::on_verify); }

Result<std::string> alpn_wire(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255)
      return invalid("alpn_protocols: \"" + protocol + "\" has " + std::to_string(protocol.size()) +
                     " bytes; 1 to 255 are allowed");
    wire += static_cast<char>(protocol.size());
    wire += protocol;
  }
  if (wire.size() > 65535) return invalid("alpn_protocols: more than 65535 bytes");
  return wire;
}

}  // namespace weir::tls
