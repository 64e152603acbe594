#include "core/server/admin/access_rules.h"

#include <absl/strings/ascii.h>

#include <algorithm>

#include "core/http/header_map.h"
#include "core/net/address.h"

namespace weir::admin {

bool host_allowed(std::string_view authority, std::span<const std::string> names) {
  std::string host = absl::AsciiStrToLower(std::string(authority));
  if (host.starts_with('[')) {
    size_t end = host.find(']');
    return end != std::string::npos && net::Address::from_ip(host.substr(1, end - 1), 0).ok();
  }
  host.resize(std::min(host.find(':'), host.size()));
  if (host.ends_with('.')) host.pop_back();
  if (host == "localhost" || host.ends_with(".localhost") || net::Address::from_ip(host, 0).ok()) return true;
  return std::find(names.begin(), names.end(), host) != names.end();
}

std::string_view foreign_origin(const http::HeaderMap& headers, bool changes_state) {
  using http::HeaderId;
  const std::string own = absl::AsciiStrToLower(std::string(headers.authority()));
  std::string_view why;
  // Each of them, if there are several: no browser sends two.
  headers.for_each([&](const http::HeaderEntry& entry) {
    if (entry.id == HeaderId::kOrigin) {
      const std::string origin = absl::AsciiStrToLower(std::string(entry.value()));
      if (origin != "http://" + own && origin != "https://" + own) why = "the Origin header names another site";
    } else if (entry.id == HeaderId::kSecFetchSite && changes_state && why.empty()) {
      // Sent by browsers only; "none" is a person's own doing.
      const std::string_view site = entry.value();
      if (!site.empty() && site != "same-origin" && site != "none")
        why = "the request comes from a page of another site";
    }
  });
  return why;
}

}  // namespace weir::admin
