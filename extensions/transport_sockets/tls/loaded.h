// Certificates and trusted certificates that are loaded: the same files are loaded once, however many contexts use them
// and however often the configuration is built again. [main]
#pragma once

#include <memory>

#include "core/base/status.h"
#include "core/tls/identity.h"
#include "core/tls/key_log.h"
#include "core/tls/ticket_keys.h"
#include "core/tls/verifier.h"

namespace weir::transport_sockets {

Result<std::shared_ptr<const tls::Identity>> load_identity(const tls::IdentitySpec& spec);
Result<std::shared_ptr<const tls::Verifier>> load_verifier(tls::VerifierSpec spec);
Result<std::shared_ptr<const tls::KeyLog>> open_key_log(const tls::KeyLogSpec& spec);

// The keys of tickets of all contexts that are told none. Made when it is first asked for.
std::shared_ptr<const tls::TicketRing> ticket_ring();
// A new key when it is time for one.
void tend_ticket_ring(MonoTime now);
// For a process that takes over: its tickets are ours then. Empty: there are none.
std::string save_ticket_ring();
Status restore_ticket_ring(std::string_view saved);

}  // namespace weir::transport_sockets
