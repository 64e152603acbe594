// What a server does with those that come: certificates and which of them a client is shown, what it is asked for, what
// may be resumed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/base/time.h"
#include "core/event/lane.h"
#include "core/net/transport.h"
#include "core/tls/identity.h"
#include "core/tls/key_log.h"
#include "core/tls/parameters.h"
#include "core/tls/stats.h"
#include "core/tls/ticket_keys.h"
#include "core/tls/verifier.h"

namespace weir::tls {

// When a client asks for a stapled OCSP response (a certificate that says "must staple" is treated as by kMustStaple):
enum class OcspStaplePolicy : uint8_t {
  kLenient,     // it gets one that is not out of date, or none
  kStrict,      // one that is out of date makes its certificate unusable; none is none
  kMustStaple,  // a certificate without a good one is unusable
};

struct ServerSpec {
  Parameters parameters = {};
  std::vector<std::shared_ptr<const Identity>> identities = {};  // one at least
  // Clients are asked for a certificate if there is a verifier or one is required. With neither trusted certificates
  // nor pins any will do.
  std::shared_ptr<const Verifier> verifier = {};
  bool require_client_certificate = false;
  bool require_sni = false;  // a ClientHello without a name fails
  bool full_scan_certs_on_sni_mismatch = false;
  bool prefer_client_ciphers = false;
  OcspStaplePolicy ocsp_staple_policy = OcspStaplePolicy::kLenient;
  std::vector<std::string> alpn_protocols =
      {};  // in our order of preference; no overlap: none is agreed on, no failure
  // Tickets, of both versions: under the configured keys, or those of the ring. Neither: none are given.
  std::vector<TicketKey> session_ticket_keys = {};
  std::shared_ptr<const TicketRing> ticket_ring = {};
  bool disable_stateless_session_resumption = false;
  bool disable_stateful_session_resumption = false;
  // Whole seconds; default 2 h, and two days in TLS 1.3. A session ends with the client's certificate, whatever is
  // said.
  std::optional<Duration> session_timeout = {};
  std::shared_ptr<const KeyLog> key_log = {};
  std::shared_ptr<const Stats> stats = {};  // never null
};

// [immutable] [any] But for its making and, by rule, its end: on main. (A connection that is the last to hold one ends
// it on its lane, at the cost of a fraction of a millisecond, unless the pointer's deleter takes it to main.)
class ServerContext {
 public:
  // [main] Errors begin with the field at fault ("cipher_suites: ...", "tls_certificates: ...").
  static Result<std::unique_ptr<const ServerContext>> build(ServerSpec spec);
  ~ServerContext();
  ServerContext(const ServerContext&) = delete;
  ServerContext& operator=(const ServerContext&) = delete;

  const std::vector<std::shared_ptr<const Identity>>& identities() const;
  const Verifier* verifier() const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit ServerContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// For net::Connection::set_transport() of an accepted connection. Never nullptr. [worker]
std::unique_ptr<net::Transport> make_server_transport(std::shared_ptr<const ServerContext> context, event::Lane& lane);

}  // namespace weir::tls
