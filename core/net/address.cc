#include "core/net/address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace weir::net {
namespace {

constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool is_mapped(const uint8_t* ip) { return std::memcmp(ip, kMappedPrefix, sizeof kMappedPrefix) == 0; }

char* write_number(char* at, uint32_t number) { return std::to_chars(at, at + 10, number).ptr; }

std::string quoted(std::string_view text) { return "\"" + std::string(text.substr(0, 200)) + "\""; }

}  // namespace

Result<Address> Address::from_ip(std::string_view ip, uint16_t port) {
  Address address;
  address.port_ = port;
  std::string_view number = ip;
  std::string_view scope;
  if (size_t percent = ip.find('%'); percent != std::string_view::npos) {
    number = ip.substr(0, percent);
    scope = ip.substr(percent + 1);
  }
  char text[INET6_ADDRSTRLEN];
  if (number.empty() || number.size() >= sizeof text || number.find('\0') != std::string_view::npos) {
    return invalid(quoted(ip) + ": not an IP address (examples: 10.0.0.1, ::1)");
  }
  std::memcpy(text, number.data(), number.size());
  text[number.size()] = '\0';
  if (inet_pton(AF_INET, text, address.ip_) == 1) {
    if (scope.data() != nullptr) return invalid(quoted(ip) + ": an IPv4 address has no scope");
    address.family_ = Family::kIpv4;
    return address;
  }
  if (inet_pton(AF_INET6, text, address.ip_) != 1) {
    return invalid(quoted(ip) + ": not an IP address (examples: 10.0.0.1, ::1)");
  }
  address.family_ = Family::kIpv6;
  if (is_mapped(address.ip_)) {
    std::memmove(address.ip_, address.ip_ + 12, 4);
    std::memset(address.ip_ + 4, 0, 12);
    address.family_ = Family::kIpv4;
  }
  if (scope.data() == nullptr) return address;
  auto [end, error] = std::from_chars(scope.data(), scope.data() + scope.size(), address.scope_id_);
  if (error != std::errc() || end != scope.data() + scope.size()) {
    address.scope_id_ = scope.empty() || scope.size() >= IF_NAMESIZE ? 0 : if_nametoindex(std::string(scope).c_str());
    if (address.scope_id_ == 0) return invalid(quoted(ip) + ": there is no network interface " + quoted(scope));
  }
  return address;
}

Result<Address> Address::from_unix(std::string_view path) {
  constexpr size_t kRoom = sizeof(sockaddr_un::sun_path);
  // "@" alone would be the socket that the kernel finds a name for.
  if (path.empty() || path == "@") return invalid("a Unix socket needs a path (or @name for an abstract one)");
  // Both forms have one byte that is not the name: the NUL after a path, the NUL before an abstract name ('@' here).
  bool abstract = path[0] == '@';
  if (path.size() > (abstract ? kRoom : kRoom - 1)) {
    return invalid(quoted(path) + ": longer than the " + std::to_string(kRoom - 1) + " bytes that Unix sockets allow");
  }
  if (path.find('\0') != std::string_view::npos)
    return invalid(quoted(path.substr(0, path.find('\0'))) + ": the path has a NUL byte");
  Address address;
  address.family_ = Family::kUnix;
  std::string text(path);
  if (abstract) text[0] = '\0';
  address.path_ = std::make_shared<const std::string>(std::move(text));
  return address;
}

Address Address::from_sockaddr(const sockaddr* from, socklen_t length) {
  Address address;
  if (from == nullptr || length < sizeof(sa_family_t)) return address;
  if (from->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in in;
    std::memcpy(&in, from, sizeof in);
    address.family_ = Family::kIpv4;
    address.port_ = ntohs(in.sin_port);
    std::memcpy(address.ip_, &in.sin_addr, 4);
  } else if (from->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in;
    std::memcpy(&in, from, sizeof in);
    address.port_ = ntohs(in.sin6_port);
    if (is_mapped(in.sin6_addr.s6_addr)) {
      address.family_ = Family::kIpv4;
      std::memcpy(address.ip_, in.sin6_addr.s6_addr + 12, 4);
    } else {
      address.family_ = Family::kIpv6;
      address.scope_id_ = in.sin6_scope_id;
      std::memcpy(address.ip_, in.sin6_addr.s6_addr, 16);
    }
  } else if (from->sa_family == AF_UNIX) {
    constexpr size_t kOffset = offsetof(sockaddr_un, sun_path);
    size_t size = std::min<size_t>(length, sizeof(sockaddr_un));
    const char* path = reinterpret_cast<const char*>(from) + kOffset;
    std::string text(path, size > kOffset ? size - kOffset : 0);
    // A path ends at its first NUL; an abstract name is as long as the length says.
    if (!text.empty() && text[0] != '\0') text.resize(strnlen(text.data(), text.size()));
    address.family_ = Family::kUnix;
    address.path_ = std::make_shared<const std::string>(std::move(text));
  }
  return address;
}

bool Address::is_loopback() const {
  if (family_ == Family::kIpv4) return ip_[0] == 127;
  return family_ == Family::kIpv6 && std::memcmp(ip_, &in6addr_loopback, 16) == 0;
}

bool Address::is_any() const {
  static constexpr uint8_t kZero[16] = {};
  return is_ip() && std::memcmp(ip_, kZero, ip_size()) == 0;
}

bool Address::same_ip(const Address& other) const {
  return is_ip() && family_ == other.family_ && scope_id_ == other.scope_id_ &&
         std::memcmp(ip_, other.ip_, ip_size()) == 0;
}

bool Address::operator==(const Address& other) const {
  if (family_ != other.family_) return false;
  if (family_ == Family::kNone) return true;
  if (family_ == Family::kUnix) return unix_path() == other.unix_path();
  return port_ == other.port_ && same_ip(other);
}

Address Address::masked(int bits) const {
  Address network = *this;
  if (!is_ip()) return network;
  network.port_ = 0;
  network.scope_id_ = 0;
  bits = std::clamp(bits, 0, static_cast<int>(ip_size()) * 8);
  for (int i = 0; i < static_cast<int>(ip_size()); ++i) {
    int keep = std::clamp(bits - i * 8, 0, 8);
    network.ip_[i] = static_cast<uint8_t>(network.ip_[i] & (0xff00 >> keep));
  }
  return network;
}

socklen_t Address::to_sockaddr(sockaddr_storage& storage) const {
  std::memset(&storage, 0, sizeof storage);
  if (family_ == Family::kIpv4) {
    auto* in = reinterpret_cast<sockaddr_in*>(&storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(port_);
    std::memcpy(&in->sin_addr, ip_, 4);
    return sizeof *in;
  }
  if (family_ == Family::kIpv6) {
    auto* in = reinterpret_cast<sockaddr_in6*>(&storage);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port_);
    in->sin6_scope_id = scope_id_;
    std::memcpy(&in->sin6_addr, ip_, 16);
    return sizeof *in;
  }
  if (family_ == Family::kUnix) {
    auto* un = reinterpret_cast<sockaddr_un*>(&storage);
    un->sun_family = AF_UNIX;
    std::string_view path = unix_path();
    std::memcpy(un->sun_path, path.data(), path.size());
    bool needs_end = !path.empty() && path[0] != '\0' && path.size() < sizeof un->sun_path;
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (needs_end ? 1 : 0));
  }
  return 0;
}

std::string_view Address::ip_to_text(char* buffer) const {
  if (family_ == Family::kUnix) {
    std::string_view path = unix_path();
    path.copy(buffer, kMaxText);
    std::replace(buffer, buffer + path.size(), '\0', '@');
    return {buffer, path.size()};
  }
  if (!is_ip()) return {};
  inet_ntop(family_ == Family::kIpv4 ? AF_INET : AF_INET6, ip_, buffer, INET6_ADDRSTRLEN);
  char* end = buffer + std::strlen(buffer);
  if (scope_id_ != 0) {
    *end++ = '%';
    end = write_number(end, scope_id_);
  }
  return {buffer, static_cast<size_t>(end - buffer)};
}

std::string_view Address::to_text(char* buffer) const {
  if (!is_ip()) return ip_to_text(buffer);
  char* at = buffer;
  if (family_ == Family::kIpv6) *at++ = '[';
  at += ip_to_text(at).size();
  if (family_ == Family::kIpv6) *at++ = ']';
  *at++ = ':';
  at = write_number(at, port_);
  return {buffer, static_cast<size_t>(at - buffer)};
}

std::string Address::to_string() const {
  char buffer[kMaxText];
  return std::string(to_text(buffer));
}

std::string Address::ip_to_string() const {
  char buffer[kMaxText];
  return std::string(ip_to_text(buffer));
}

}  // namespace weir::net
