#include "core/http/url.h"

#include <arpa/inet.h>

#include <cstring>

#include "core/http/chars.h"

namespace weir::http {
namespace {

bool is_valid_ipv6(std::string_view inside) {
  char text[INET6_ADDRSTRLEN];
  if (inside.size() >= sizeof(text)) return false;
  std::memcpy(text, inside.data(), inside.size());
  text[inside.size()] = '\0';
  in6_addr address;
  return inside.find('\0') == std::string_view::npos && inet_pton(AF_INET6, text, &address) == 1;
}

inline bool is_valid_port(std::string_view digits) {
  if (digits.size() > 5) return false;
  uint32_t number = 0;
  for (char c : digits) {
    if (c < '0' || c > '9') return false;
    number = number * 10 + static_cast<uint32_t>(c - '0');
  }
  return number <= 65535;
}

}  // namespace

bool split_host_port(std::string_view authority, HostPort& parts) {
  parts = {authority, {}};
  size_t from = 0;
  if (authority.starts_with('[')) {
    from = authority.find(']');
    if (from == std::string_view::npos) return false;
    ++from;
    if (from != authority.size() && authority[from] != ':') return false;
  }
  size_t colon = authority.find(':', from);
  if (colon == std::string_view::npos) return true;
  parts.host = authority.substr(0, colon);
  parts.port = authority.substr(colon + 1);
  return true;
}

bool is_valid_authority(std::string_view authority) {
  if (authority.empty()) return false;
  if (authority.front() == '[') {
    HostPort parts;
    if (!split_host_port(authority, parts)) return false;
    if (!is_valid_ipv6(parts.host.substr(1, parts.host.size() - 2))) return false;
    return parts.host.size() == authority.size() || is_valid_port(parts.port);
  }
  const char* at = authority.data();
  const char* const end = at + authority.size();
  while (at < end && is_char(*at, kPlainHostChar)) ++at;
  if (at < end && *at != ':') [[unlikely]] {
    for (; at < end && is_char(*at, kHostChar); ++at) {
      if (*at == '%' && (end - at < 3 || hex_value(at[1]) < 0 || hex_value(at[2]) < 0)) return false;
    }
  }
  if (at == end) return true;
  return at > authority.data() && *at == ':' && is_valid_port({at + 1, static_cast<size_t>(end - at - 1)});
}

uint16_t port_number(std::string_view digits) {
  uint64_t number = 0;
  if (!parse_decimal(digits, number) || number > 65535) return 0;
  return static_cast<uint16_t>(number);
}

std::string_view strip_port(std::string_view authority) {
  HostPort parts;
  return split_host_port(authority, parts) ? parts.host : authority;
}

std::string_view strip_matching_port(std::string_view authority, uint16_t port) {
  HostPort parts;
  if (!split_host_port(authority, parts) || parts.port.empty()) return authority;
  return port_number(parts.port) == port ? parts.host : authority;
}

bool strip_trailing_dot(std::string_view authority, std::string_view& host, std::string_view& rest) {
  HostPort parts;
  if (!split_host_port(authority, parts) || !parts.host.ends_with('.')) return false;
  host = parts.host.substr(0, parts.host.size() - 1);
  rest = authority.substr(parts.host.size());
  return true;
}

}  // namespace weir::http
