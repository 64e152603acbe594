// Inside core/tls only.
#pragma once

#include <string>

#include "core/tls/client_context.h"
#include "core/tls/context_base.h"
#include "core/tls/session_cache.h"

namespace weir::tls {

struct ClientContext::Impl final : ContextBase {
  explicit Impl(uint32_t max_sessions) : sessions(max_sessions) {}
  Status build(ClientSpec from);
  static const Impl& of(const SSL* ssl) { return static_cast<const Impl&>(ContextBase::of(ssl)); }

  std::shared_ptr<const Identity> identity;
  std::string sni;
  std::string alpn;  // wire form
  bool auto_sni_san_validation = false;
  bool allow_renegotiation = false;
  bool enforce_rsa_key_usage = false;
  mutable SessionCache sessions;
};

}  // namespace weir::tls
