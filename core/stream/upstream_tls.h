// What the handshake with an upstream has shown, kept for logs: the connection may be gone when they are written.
#pragma once

#include <string>

#include "core/base/time.h"
#include "core/net/transport_facts.h"

namespace weir::stream {

struct UpstreamTls {
  explicit UpstreamTls(net::TransportFacts& facts);
  std::string version, cipher, group, session_id, server_name;
  std::string subject, issuer, certificate;
  std::string dns_sans, uri_sans, ip_sans;
  std::string local_dns_sans, local_uri_sans, local_ip_sans;
  WallTime not_before, not_after;
};

}  // namespace weir::stream
