// A request for route tests: its own arena and header map, and shorthands for specs.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/arena.h"
#include "core/http/header_map.h"
#include "core/route/route_table.h"

namespace weir::route {

class TestRequest {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;
  explicit TestRequest(std::string_view target, std::string_view host = "a.example", const Headers& more = {},
                       std::string_view method = "GET") {
    headers_.add_copy(http::HeaderId::kMethod, method);
    if (!target.empty()) headers_.add_copy(http::HeaderId::kPath, target);
    if (!host.empty()) headers_.add_copy(http::HeaderId::kAuthority, host);
    headers_.add_copy(http::HeaderId::kScheme, "http");
    for (const auto& [name, value] : more) headers_.add_copy(name, value);
  }
  http::HeaderMap& headers() { return headers_; }
  const http::HeaderMap& headers() const { return headers_; }
  Arena& arena() { return arena_; }
  stream::LogSubject subject() const { return {info_, &headers_}; }

 private:
  ArenaPool pool_;
  Arena arena_{pool_};
  http::HeaderMap headers_{arena_};
  stream::StreamInfo info_;
};

inline RouteSpec forward_route(PathKind kind, std::string path, std::string cluster = "c") {
  RouteSpec route;
  route.match.path_kind = kind;
  route.match.path = std::move(path);
  route.forward.cluster = std::move(cluster);
  return route;
}
inline RouteSpec prefix_route(std::string path, std::string cluster = "c") {
  return forward_route(PathKind::kPrefix, std::move(path), std::move(cluster));
}

inline match::HeaderMatcherSpec header_is(std::string name, std::string value) {
  match::HeaderMatcherSpec spec;
  spec.name = std::move(name);
  spec.kind = match::HeaderMatcherSpec::Kind::kString;
  spec.string.text = std::move(value);
  return spec;
}

inline VirtualHostSpec virtual_host(std::string name, std::vector<std::string> domains) {
  VirtualHostSpec host;
  host.name = std::move(name);
  host.domains = std::move(domains);
  return host;
}

template <class... Routes>
RouteTableSpec one_host(Routes... routes) {
  RouteTableSpec spec;
  spec.name = "table";
  spec.virtual_hosts.push_back(virtual_host("all", {"*"}));
  (spec.virtual_hosts[0].routes.push_back(std::move(routes)), ...);
  return spec;
}

}  // namespace weir::route
