// The header of the PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt), as it is written to servers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/net/address.h"
#include "core/stream/proxy_header.h"

namespace weir::transport_sockets {

using stream::Tlv;

// Of addresses that are not both IP the header says that the connection speaks for itself: UNKNOWN, LOCAL.
std::string proxy_header_v1(const net::Address& source, const net::Address& destination);
// TLVs for which there is no room (65535 bytes in all) are left out, with those behind them: `dropped` counts them.
std::string proxy_header_v2(const net::Address& source, const net::Address& destination, std::span<const Tlv> tlvs,
                            size_t& dropped);

}  // namespace weir::transport_sockets
