// Who may talk to the admin interface through somebody's browser: nobody but its own pages. A name that an attacker
// owns may resolve to 127.0.0.1 (DNS rebinding), and any page may post a form here (CSRF).
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace weir::http {
class HeaderMap;
}

namespace weir::admin {

// "localhost", "a.localhost", IP addresses, and the given names; with or without a port. Names are in lower case.
bool host_allowed(std::string_view authority, std::span<const std::string> names);

// Why a browser's request comes from a page that is not of this interface; empty if it does not.
std::string_view foreign_origin(const http::HeaderMap& headers, bool changes_state);

}  // namespace weir::admin
