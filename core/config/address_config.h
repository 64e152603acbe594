// From envoy.config.core.v3.Address to net::Address. [main]
#pragma once

#include <string>

#include "core/filter/factory.h"
#include "core/net/address.h"

namespace envoy::config::core::v3 {
class Address;
}

namespace weir::config {

// Empty after a fault, which goes to the report. Only numeric addresses and Unix sockets: names need a resolver.
net::Address translate_address(const envoy::config::core::v3::Address& proto, const std::string& path,
                               filter::ConfigReport& report);

}  // namespace weir::config
