// From envoy.config.core.v3.Address and SocketAddress to net::Address. [main]
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/field_report.h"
#include "core/filter/factory.h"
#include "core/net/address.h"
#include "core/net/socket.h"

namespace envoy::config::core::v3 {
class Address;
class BindConfig;
class SocketAddress;
class SocketOption;
class TcpKeepalive;
}  // namespace envoy::config::core::v3

namespace weir::config {

// Whether an address may be one of UDP: where it may, the caller says what that means.
enum class Transport : uint8_t { kTcp, kTcpOrUdp };

// Empty after a fault, which goes to the report. Only numeric addresses and Unix sockets: names need a resolver.
net::Address translate_address(const envoy::config::core::v3::Address& proto, const std::string& path,
                               filter::ConfigReport& report, Transport allowed = Transport::kTcp);
net::Address translate_socket_address(const envoy::config::core::v3::SocketAddress& proto, const std::string& path,
                                      filter::ConfigReport& report, Transport allowed = Transport::kTcp);
// What an address to listen at says of its socket: ipv4_compat, the mode of the file.
void read_listen_options(const envoy::config::core::v3::Address& proto, net::ListenOptions& out);

// Nothing is added after a fault.
void translate_socket_option(const envoy::config::core::v3::SocketOption& proto, const FieldReport& at,
                             std::vector<net::SocketOption>& out);
net::BindOptions translate_bind_config(const envoy::config::core::v3::BindConfig& proto, const FieldReport& at);

net::Keepalive to_keepalive(const envoy::config::core::v3::TcpKeepalive& proto);

// Where the internal listener of that name is to be found, in this process alone.
net::Address internal_listener_address(std::string_view listener);
bool is_internal_listener_address(const net::Address& address);
// Whose that address is; empty: it is none.
std::string internal_listener_of(const net::Address& address);

}  // namespace weir::config
