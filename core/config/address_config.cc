#include "core/config/address_config.h"

#include <unistd.h>

#include "core/base/xxhash.h"
#include "envoy/config/core/v3/address.pb.h"

namespace weir::config {
namespace {

// What to do about a text that is not an IP address.
std::string address_hint(std::string_view text, const std::string& path) {
  const size_t colon = text.find(':');
  if (text.starts_with('[')) {
    return "; write it without the brackets";
  }
  if (colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos) {
    return "; the port belongs in port_value";
  }
  if (text.find_first_not_of("0123456789. ") == std::string_view::npos) {
    return "";
  }
  if (path.starts_with("static_resources.clusters")) {
    return "; names need a cluster of type STRICT_DNS or LOGICAL_DNS";
  }
  return text == "localhost" ? "; write 127.0.0.1" : "; write 0.0.0.0 or :: for every address of this machine";
}

}  // namespace

net::Address translate_socket_address(const envoy::config::core::v3::SocketAddress& proto, const std::string& path,
                                      filter::ConfigReport& report, Transport allowed) {
  if (proto.protocol() != envoy::config::core::v3::SocketAddress::TCP && allowed == Transport::kTcp) {
    report.error(path + ".protocol", "UDP is for listeners, endpoints and name servers; allowed is TCP");
    return {};
  }
  if (proto.port_value() > 65535) {
    report.error(path + ".port_value", std::to_string(proto.port_value()) + " is not a port; allowed are 0 to 65535");
    return {};
  }
  auto address = net::Address::from_ip(proto.address(), static_cast<uint16_t>(proto.port_value()));
  if (!address.ok()) {
    report.error(path + ".address",
                 "\"" + proto.address() + "\" is not an IP address" + address_hint(proto.address(), path));
    return {};
  }
  return *address;
}

net::Address translate_address(const envoy::config::core::v3::Address& proto, const std::string& path,
                               filter::ConfigReport& report, Transport allowed) {
  switch (proto.address_case()) {
    case envoy::config::core::v3::Address::kSocketAddress:
      return translate_socket_address(proto.socket_address(), path + ".socket_address", report, allowed);
    case envoy::config::core::v3::Address::kPipe: {
      auto address = net::Address::from_unix(proto.pipe().path());
      if (!address.ok()) {
        report.error(path + ".pipe.path", message_of(address.status()));
        return {};
      }
      return *address;
    }
    case envoy::config::core::v3::Address::kEnvoyInternalAddress:
      report.error(path + ".envoy_internal_address",
                   "is the address of an endpoint; a listener is internal by internal_listener");
      return {};
    default:
      report.error(path, "one of socket_address, pipe must be set");
      return {};
  }
}

net::Keepalive to_keepalive(const envoy::config::core::v3::TcpKeepalive& proto) {
  net::Keepalive keepalive;
  keepalive.on = true;
  keepalive.probes = proto.keepalive_probes().value();
  keepalive.idle_seconds = proto.keepalive_time().value();
  keepalive.interval_seconds = proto.keepalive_interval().value();
  return keepalive;
}

namespace {
constexpr std::string_view kInternalListeners = "@weir-internal/";
}

net::Address internal_listener_address(std::string_view listener) {
  std::string name = std::string(kInternalListeners) + std::to_string(getpid()) + "/";
  if (listener.size() > 60) {  // an abstract name has 107 characters
    name += std::string(listener.substr(0, 40)) + "." + std::to_string(xxhash64(listener));
  } else {
    name += listener;
  }
  auto address = net::Address::from_unix(name);
  return address.ok() ? *address : net::Address();
}

bool is_internal_listener_address(const net::Address& address) {
  return address.family() == net::Family::kUnix && address.to_string().starts_with(kInternalListeners);
}

}  // namespace weir::config
