// The parts of the connection manager's configuration that are messages of their own. Faults are reported to the scope,
// whose path is that of the connection manager. [main]
#pragma once

#include <memory>

#include "core/filter/factory.h"
#include "core/proxy/connection_manager.h"

namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class HttpConnectionManager;
}

namespace weir::filters::http_connection_manager {

namespace pb = envoy::extensions::filters::network::http_connection_manager::v3;

// local_reply_config
void read_local_replies(const pb::HttpConnectionManager& proto, filter::FactoryScope& scope,
                        proxy::ConnectionManagerConfig& config);
// Who clients are, where requests come from and what is said of it.
void read_identity(const pb::HttpConnectionManager& proto, filter::FactoryScope& scope,
                   proxy::ConnectionManagerConfig& config);

}  // namespace weir::filters::http_connection_manager
