// x-forwarded-client-cert: what the next hop is told of the client's certificate.
#pragma once

#include <cstdint>

#include "core/base/arena.h"
#include "core/http/header_map.h"
#include "core/net/transport_facts.h"

namespace weir::proxy {

enum class ForwardClientCert : uint8_t { kSanitize, kForwardOnly, kAppendForward, kSanitizeSet, kAlwaysForwardOnly };

// Parts of an element that are told beside "By" and "Hash".
struct ClientCertDetails {
  bool certificate = false;
  bool chain = false;
  bool subject = false;
  bool uri = false;
  bool dns = false;
};

// `tls`: of the client's connection; nullptr: there is none.
void forward_client_certificate(ForwardClientCert mode, const ClientCertDetails& details, net::TransportFacts* tls,
                                http::HeaderMap& headers, Arena& arena);

}  // namespace weir::proxy
