// Private to this folder.
#pragma once

#include <string_view>

namespace weir::stream {

// "host:80" without ":80". A colon more than that is an IPv6 address, whose port follows a bracket.
inline std::string_view without_port(std::string_view host) {
  size_t colon = host.rfind(':');
  if (colon == std::string_view::npos) return host;
  if (host.front() == '[') return host[colon - 1] == ']' ? host.substr(1, colon - 2) : host;
  return host.find(':') == colon ? host.substr(0, colon) : host;
}

}  // namespace weir::stream
