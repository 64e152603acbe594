// From envoy.config.core.v3.Address and SocketAddress to net::Address. [main]
#pragma once

#include <string>

#include "core/filter/factory.h"
#include "core/net/address.h"

namespace envoy::config::core::v3 {
class Address;
class SocketAddress;
}  // namespace envoy::config::core::v3

namespace weir::config {

// Empty after a fault, which goes to the report. Only numeric addresses and Unix sockets: names need a resolver.
net::Address translate_address(const envoy::config::core::v3::Address& proto, const std::string& path,
                               filter::ConfigReport& report);
net::Address translate_socket_address(const envoy::config::core::v3::SocketAddress& proto, const std::string& path,
                                      filter::ConfigReport& report);

}  // namespace weir::config
