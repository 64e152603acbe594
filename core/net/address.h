// A socket address: IPv4, IPv6, Unix path or abstract name. A plain value for IP; Unix names are kept apart. An IPv4
// address mapped into IPv6 ("::ffff:10.0.0.1") is IPv4 here, however it came in, so that every address has one form.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace weir::net {

enum class Family : uint8_t { kNone, kIpv4, kIpv6, kUnix };

namespace internal {
// The part that is copied as a whole: memberwise, the compiler would move its bytes one by one.
struct PlainAddress {
  Family family_ = Family::kNone;
  uint16_t port_ = 0;
  uint32_t scope_id_ = 0;
  uint8_t ip_[16] = {};
};
}  // namespace internal

class Address : private internal::PlainAddress {
 public:
  Address() = default;
  // Numeric addresses only: "10.0.0.1", "::1", "fe80::1%eth0" (a scope is kept as its number).
  static Result<Address> from_ip(std::string_view ip, uint16_t port);
  static Result<Address> from_unix(std::string_view path);  // "@name" is abstract
  static Address from_sockaddr(const sockaddr* address, socklen_t length);

  Family family() const { return family_; }
  bool empty() const { return family_ == Family::kNone; }
  bool is_ip() const { return family_ == Family::kIpv4 || family_ == Family::kIpv6; }
  uint16_t port() const { return port_; }
  void set_port(uint16_t port) { port_ = port; }
  // Network byte order; 4 or 16 bytes.
  const uint8_t* ip_bytes() const { return ip_; }
  size_t ip_size() const { return family_ == Family::kIpv4 ? 4 : family_ == Family::kIpv6 ? 16 : 0; }
  uint32_t scope_id() const { return scope_id_; }
  // The path, or the abstract name with its leading NUL; empty unless kUnix.
  std::string_view unix_path() const { return path_ != nullptr ? std::string_view(*path_) : std::string_view(); }
  // The network of the first `bits` bits, without port and scope; what is not IP is returned as it is.
  Address masked(int bits) const;
  bool is_loopback() const;
  bool is_any() const;
  bool same_ip(const Address& other) const;
  bool operator==(const Address& other) const;

  socklen_t to_sockaddr(sockaddr_storage& storage) const;
  // Writes "10.0.0.1:80", "[::1]:80", "[fe80::1%2]:80", "/path" or "@name" into `buffer` (at least kMaxText bytes);
  // returns the text. ip_to_text leaves brackets and port out.
  static constexpr size_t kMaxText = 112;
  std::string_view to_text(char* buffer) const;
  std::string_view ip_to_text(char* buffer) const;
  std::string to_string() const;
  std::string ip_to_string() const;

 private:
  std::shared_ptr<const std::string> path_;  // Unix only; a leading NUL marks an abstract name
};

}  // namespace weir::net
