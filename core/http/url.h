// The authority of a URI and of Host (RFC 3986 3.2, RFC 9110 7.2): no userinfo, IPv6 literals in brackets.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::http {

struct HostPort {
  std::string_view host;  // with its brackets
  std::string_view port;  // digits; empty if there is none
};

// Cuts at the colon that starts the port; checks nothing but brackets. False if brackets do not match.
bool split_host_port(std::string_view authority, HostPort& parts);

// uri-host [ ":" port ]: a non-empty registered name, IPv4 address or bracketed IPv6 address; the port at most 5
// digits and 65535, possibly none at all (RFC 3986 3.2.3), which means the same as no colon.
bool is_valid_authority(std::string_view authority);
// What is said about one that is not.
inline constexpr std::string_view kAuthorityRule = "must be a host, or a host and a port, as in example.com:8080";

// 0 if there is none or it does not fit.
uint16_t port_number(std::string_view digits);

// Without the port; as it is if there is none.
std::string_view strip_port(std::string_view authority);
// Without the port if that is `port`.
std::string_view strip_matching_port(std::string_view authority, uint16_t port);
// Without the dot at the end of the host. False if there is none; the port, if any, needs concatenating then:
// `host` is the host without dot and `rest` is ":port" or empty.
bool strip_trailing_dot(std::string_view authority, std::string_view& host, std::string_view& rest);

}  // namespace weir::http
