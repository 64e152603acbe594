#include "core/config/address_config.h"

#include <cstdio>
#include <functional>
#include <map>
#include <random>

#include "core/base/xxhash.h"
#include "envoy/config/core/v3/address.pb.h"

namespace weir::config {
namespace {

// What to do about a text that is not an IP address.
std::string address_hint(std::string_view text, const std::string& path) {
  const size_t colon = text.find(':');
  if (text.find("://") != std::string_view::npos) {
    return "; write it without the " + std::string(text.substr(0, colon + 3));
  }
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

void read_listen_options(const envoy::config::core::v3::Address& proto, net::ListenOptions& out) {
  out.ipv4_compat = proto.socket_address().ipv4_compat();
  out.unix_mode = proto.pipe().mode();
}

void translate_socket_option(const envoy::config::core::v3::SocketOption& proto, const FieldReport& at,
                             std::vector<net::SocketOption>& out) {
  using Proto = envoy::config::core::v3::SocketOption;
  net::SocketOption option;
  if (proto.level() != static_cast<int>(proto.level()) || proto.name() != static_cast<int>(proto.name())) {
    at.error("level and name are numbers of 32 bits");
    return;
  }
  option.level = static_cast<int>(proto.level());
  option.name = static_cast<int>(proto.name());
  if (proto.value_case() == Proto::kBufValue) {
    option.value = proto.buf_value();
  } else if (proto.int_value() != static_cast<int>(proto.int_value())) {
    at.error_at("int_value", "is a number of 32 bits");
    return;
  } else {
    const int value = static_cast<int>(proto.int_value());
    option.value.assign(reinterpret_cast<const char*>(&value), sizeof value);
  }
  option.when = proto.state() == Proto::STATE_PREBIND ? net::SocketOption::When::kBeforeBind
                : proto.state() == Proto::STATE_BOUND ? net::SocketOption::When::kBound
                                                      : net::SocketOption::When::kListening;
  option.family = proto.ip_version() == Proto::SOCKET_IP_VERSION_IPV4   ? net::Family::kIpv4
                  : proto.ip_version() == Proto::SOCKET_IP_VERSION_IPV6 ? net::Family::kIpv6
                                                                        : net::Family::kNone;
  if (proto.has_type())
    option.kind = proto.type().has_datagram() ? net::SocketOption::Kind::kDatagram : net::SocketOption::Kind::kStream;
  out.push_back(std::move(option));
}

net::BindOptions translate_bind_config(const envoy::config::core::v3::BindConfig& proto, const FieldReport& at) {
  net::BindOptions out;
  if (proto.has_source_address())
    out.source = translate_socket_address(proto.source_address(), at.below("source_address").path, at.report);
  out.freebind = proto.freebind().value();
  for (int i = 0; i < proto.socket_options_size(); ++i) {
    const FieldReport here = at.item("socket_options", i);
    if (proto.socket_options(i).state() == envoy::config::core::v3::SocketOption::STATE_LISTENING) {
      here.below("state").warning(
          "STATE_LISTENING never comes for a socket that goes to a host, and the option is not set; write "
          "STATE_PREBIND or STATE_BOUND");
      continue;
    }
    translate_socket_option(proto.socket_options(i), here, out.more);
  }
  return out;
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

// Those that are too long for an address, by what stands there for them.
std::map<std::string, std::string, std::less<>>& long_names() {
  static std::map<std::string, std::string, std::less<>> names;
  return names;
}

// Of this process, for its life.
std::string random_hex() {
  std::random_device device;
  char text[17];
  snprintf(text, sizeof(text), "%08x%08x", device(), device());
  return text;
}

}  // namespace

net::Address internal_listener_address(std::string_view listener) {
  // Not the process' number: in containers that share a network several processes are number 1.
  static const std::string kOwn = random_hex();
  std::string name = std::string(kInternalListeners) + kOwn + "/";
  if (listener.size() > 60) {  // an abstract name has 107 characters
    const std::string shortened = std::string(listener.substr(0, 40)) + "." + std::to_string(xxhash64(listener));
    long_names().try_emplace(shortened, listener);
    name += shortened;
  } else {
    name += listener;
  }
  auto address = net::Address::from_unix(name);
  return address.ok() ? *address : net::Address();
}

bool is_internal_listener_address(const net::Address& address) {
  return address.family() == net::Family::kUnix && address.to_string().starts_with(kInternalListeners);
}

std::string internal_listener_of(const net::Address& address) {
  if (!is_internal_listener_address(address)) return {};
  const std::string text = address.to_string();
  const size_t begin = text.find('/', kInternalListeners.size());
  if (begin == std::string::npos) return {};
  const auto known = long_names().find(std::string_view(text).substr(begin + 1));
  return known != long_names().end() ? known->second : text.substr(begin + 1);
}

}  // namespace weir::config
