// The settings of udp_proxy, out of its message.
#pragma once

#include <memory>

#include "core/filter/factory.h"
#include "filters/udp/udp_proxy/udp_proxy.h"

namespace envoy::extensions::filters::udp::udp_proxy::v3 {
class UdpProxyConfig;
}

namespace weir::filters::udp_proxy {

// [main] Faults go to the scope's report; what comes back is to be used only if there were none.
std::shared_ptr<Settings> read_settings(const envoy::extensions::filters::udp::udp_proxy::v3::UdpProxyConfig& proto,
                                        filter::FactoryScope& scope);

}  // namespace weir::filters::udp_proxy
