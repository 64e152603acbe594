// From the messages of TLS contexts to the specifications of core/tls. Faults go to the scope's report, each where the
// thing stands: in the context, in a secret of the bootstrap, in an SDS file. [main]
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/filter/factory.h"
#include "core/tls/client_context.h"
#include "core/tls/server_context.h"

namespace envoy::extensions::transport_sockets::tls::v3 {
class CommonTlsContext;
class DownstreamTlsContext;
class UpstreamTlsContext;
}  // namespace envoy::extensions::transport_sockets::tls::v3

namespace weir::transport_sockets {

// nullopt after faults. The spec lacks stats (and, of servers, the ring of ticket keys).
std::optional<tls::ServerSpec> read_server(
    const envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext& proto, filter::FactoryScope& scope);

struct ClientReading {
  tls::ClientSpec spec;
  bool auto_host_sni = false;
};
std::optional<ClientReading> read_client(const envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext& proto,
                                         filter::FactoryScope& scope);

// Says what core/tls has refused, at the field that it names (below common_tls_context if it is one of that).
void report_fault(const Status& status, filter::FactoryScope& scope);

}  // namespace weir::transport_sockets
