// The settings of tcp_proxy, out of its message.
#pragma once

#include <memory>

#include "core/base/status.h"
#include "core/filter/factory.h"
#include "filters/network/tcp_proxy/tcp_proxy.h"

namespace envoy::extensions::filters::network::tcp_proxy::v3 {
class TcpProxy;
}

namespace weir::filters::tcp_proxy {

// [main] Faults go to the scope's report; what comes back is to be used only if there were none.
std::shared_ptr<Settings> read_settings(const envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy& proto,
                                        filter::FactoryScope& scope);

}  // namespace weir::filters::tcp_proxy
