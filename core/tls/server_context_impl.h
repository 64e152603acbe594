// Inside core/tls only.
#pragma once

#include <string>

#include "core/tls/certificate_selector.h"
#include "core/tls/context_base.h"
#include "core/tls/server_context.h"

namespace weir::tls {

struct ServerContext::Impl final : ContextBase {
  Status build(ServerSpec from);
  // Those of tickets, which may be changed at any time.
  const TicketKeySet* ticket_keys() const {
    return ring != nullptr ? &ring->keys() : fixed_keys.keys.empty() ? nullptr : &fixed_keys;
  }
  std::string session_context() const;
  static const Impl& of(const SSL* ssl) { return static_cast<const Impl&>(ContextBase::of(ssl)); }

  std::vector<std::shared_ptr<const Identity>> identities;
  std::unique_ptr<CertificateSelector> selector;
  ServerAbilities abilities;
  TicketKeySet fixed_keys;
  std::shared_ptr<const TicketRing> ring;
  std::string alpn;               // wire form
  std::string alpn_before_tls12;  // without h2
  bool require_client_certificate = false;
  bool require_sni = false;
};

}  // namespace weir::tls
