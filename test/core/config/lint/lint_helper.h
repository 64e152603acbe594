// What the tests of the rules share: texts of configurations, and what a rule says about them.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/config/lint/lint.h"
#include "core/config/proto_loader.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"

namespace weir::config::lint {

// 2023-11-14 22:13:20
inline constexpr WallTime kNow{std::chrono::seconds(1'700'000'000)};

struct Linted {
  Diagnostics diagnostics;
  // "path: message" of one rule, or of all of them.
  std::vector<std::string> of(std::string_view rule = {}) const {
    std::vector<std::string> out;
    for (const Diagnostic& item : diagnostics.items()) {
      if (rule.empty() || item.rule == rule) out.push_back(item.path + ": " + item.message);
    }
    return out;
  }
  size_t count(std::string_view rule) const { return of(rule).size(); }
};

inline Linted lint_text(const std::string& yaml, LintOptions options = {}) {
  Linted linted;
  envoy::config::bootstrap::v3::Bootstrap bootstrap;
  PositionIndex positions;
  LoadOptions load;
  load.unknown_types = OnUnknown::kWarn;  // as the command does
  EXPECT_TRUE(load_message(yaml, "edge.yaml", bootstrap, positions, linted.diagnostics, load))
      << linted.diagnostics.text();
  if (options.now == WallTime{}) options.now = kNow;
  check(bootstrap, positions, linted.diagnostics, options);
  return linted;
}

inline const char* const kType = "\"@type\": type.googleapis.com/";

// A listener with a connection manager; `hcm` are further fields of it, `routes` those of its one virtual host, in flow
// style. `listener` are further fields of the listener.
inline std::string listener(const std::string& routes, const std::string& hcm = "",
                            const std::string& address = "0.0.0.0", const std::string& listener = "",
                            const std::string& chain = "") {
  return std::string("{name: web, address: {socket_address: {address: \"") + address + "\", port_value: 80}}" +
         (listener.empty() ? "" : ", " + listener) + ", filter_chains: [{" + (chain.empty() ? "" : chain + ", ") +
         "filters: [{name: hcm, typed_config: {" + kType +
         "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: web, " +
         "route_config: {virtual_hosts: [{name: all, domains: [\"*\"], routes: [" + routes + "]}]}, " +
         (hcm.find("http_filters") == std::string::npos
              ? std::string("http_filters: [{name: router, typed_config: {") + kType +
                    "envoy.extensions.filters.http.router.v3.Router}}]"
              : "") +
         (hcm.empty() ? "" : (hcm.find("http_filters") == std::string::npos ? ", " : "") + hcm) + "}}]}]}";
}

// A static cluster with endpoints at these addresses; `more` are further fields.
inline std::string cluster(const std::string& name, const std::vector<std::string>& addresses,
                           const std::string& more = "") {
  std::string out = "{name: " + name + (more.empty() ? "" : ", " + more) + ", load_assignment: {cluster_name: " + name +
                    ", endpoints: [{lb_endpoints: [";
  for (const std::string& address : addresses)
    out += "{endpoint: {address: {socket_address: {address: \"" + address + "\", port_value: 80}}}},";
  return out + "]}]}}";
}

inline std::string bootstrap(const std::string& listeners, const std::string& clusters = "",
                             const std::string& more = "") {
  return "static_resources: {listeners: [" + listeners + "], clusters: [" + clusters + "]}\n" + more;
}

inline const char* const kToOne = "{match: {prefix: /}, route: {cluster: one}}";
inline std::string one() { return cluster("one", {"127.0.0.1"}); }

}  // namespace weir::config::lint
