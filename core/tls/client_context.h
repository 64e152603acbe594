// How connections to servers are made: what is asked for, who we are, whom we trust, what may be resumed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/event/lane.h"
#include "core/net/transport.h"
#include "core/tls/identity.h"
#include "core/tls/key_log.h"
#include "core/tls/parameters.h"
#include "core/tls/stats.h"
#include "core/tls/verifier.h"

namespace weir::tls {

struct ClientSpec {
  Parameters parameters = {};
  std::shared_ptr<const Identity> identity = {};  // shown to servers that ask; nullptr: none
  std::shared_ptr<const Verifier> verifier = {};  // nullptr: servers are not verified
  std::string sni = {};                           // at most 255 bytes; empty: none
  // The names of the certificate are held against the SNI of the connection instead of the verifier's matchers. Needs a
  // verifier with trusted certificates.
  bool auto_sni_san_validation = false;
  std::vector<std::string> alpn_protocols = {};  // in order of preference
  bool allow_renegotiation = false;              // by a server of up to TLS 1.2
  // Sessions kept for resumption, on each lane; 0: none.
  uint32_t max_session_keys = 1;
  bool enforce_rsa_key_usage = false;
  std::shared_ptr<const KeyLog> key_log = {};
  std::shared_ptr<const Stats> stats = {};  // never null
};

// What differs from connection to connection.
struct ClientOptions {
  std::string server_name = {};                  // instead of `sni`
  std::vector<std::string> alpn_protocols = {};  // instead of those of the context, if there are any
  // Beside the verifier's matchers, if there are any, and instead of the context's auto_sni_san_validation
  // (VerifyInput).
  std::vector<std::string> expected_names = {};
};

// [immutable] [any] As ServerContext. (Sessions are kept in it, but each lane sees only its own.)
class ClientContext {
 public:
  // [main] Errors begin with the field at fault.
  static Result<std::unique_ptr<const ClientContext>> build(ClientSpec spec);
  ~ClientContext();
  ClientContext(const ClientContext&) = delete;
  ClientContext& operator=(const ClientContext&) = delete;

  const Identity* identity() const;
  const Verifier* verifier() const;
  bool offers_protocols() const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit ClientContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// For net::Connection::set_transport() of a connection that we open. Never nullptr. [worker]
std::unique_ptr<net::Transport> make_client_transport(std::shared_ptr<const ClientContext> context, event::Lane& lane,
                                                      const ClientOptions& options);

}  // namespace weir::tls
