// Time-outs and retries of routes.
#include <absl/strings/match.h>
#include <google/protobuf/duration.pb.h>

#include <algorithm>

#include "core/config/lint/route_cover.h"
#include "core/config/lint/rules.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"

namespace weir::config::lint {
namespace {

namespace route_v3 = envoy::config::route::v3;

template <class Upgrades>
bool upgrades_websockets(const Upgrades& upgrades) {
  return std::any_of(upgrades.begin(), upgrades.end(), [](const auto& one) {
    return absl::EqualsIgnoreCase("websocket", one.upgrade_type()) && (!one.has_enabled() || one.enabled().value());
  });
}

// The conditions of `retry_on` after which the server may have carried the request out.
std::string risky_condition(const std::string& retry_on) {
  std::string_view rest = retry_on;
  while (!rest.empty()) {
    std::string_view one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one == "5xx" || one == "gateway-error" || one == "reset") return std::string(one);
  }
  return {};
}

// Which of the methods that are not idempotent a match lets through.
bool takes(const std::optional<std::set<std::string>>& methods, const char* method) {
  return !methods.has_value() || methods->contains(method);
}

// Whether a route in front of number `route` takes all requests of this method that it would get.
bool taken_before(const route_v3::VirtualHost& host, int route, const char* method) {
  const PathPattern path = path_of(host.routes(route).match());
  for (int i = 0; i < route; ++i) {
    const route_v3::RouteMatch& match = host.routes(i).match();
    const auto methods = methods_of(match);
    // Its method is its only condition.
    if (methods.has_value() && methods->contains(method) && conditions_of(match).size() == 1 &&
        !match.has_runtime_fraction() && covers(path_of(match), path))
      return true;
  }
  return false;
}

}  // namespace

void stream_timeout(const Model& model, Findings& findings) {
  for (const RouteTable& table : model.tables()) {
    const Hcm& hcm = *table.manager->hcm;
    const bool websockets_everywhere = upgrades_websockets(hcm.upgrade_configs());
    bool said_of_websockets = hcm.has_stream_idle_timeout();  // then the time was chosen
    for (int h = 0; h < table.routes->virtual_hosts_size(); ++h) {
      const auto& host = table.routes->virtual_hosts(h);
      for (int r = 0; r < host.routes_size(); ++r) {
        const auto& route = host.routes(r);
        if (!route.has_route()) continue;
        const auto& action = route.route();
        const std::string path = table.host_path(h) + ".routes[" + std::to_string(r) + "].route";
        if (route.match().has_grpc() && !action.has_timeout() && !action.has_max_grpc_timeout()) {
          findings.add(path, "timeout is not set: the default of 15s ends gRPC streams, too",
                       "set timeout: 0s if the route carries streams, else the time that calls may take");
        }
        const bool websocket = upgrades_websockets(action.upgrade_configs()) ||
                               (websockets_everywhere && action.upgrade_configs().empty());
        if (!websocket || action.has_idle_timeout() || said_of_websockets) continue;
        // With upgrades for all routes nobody knows which are meant: once is enough.
        said_of_websockets = websockets_everywhere;
        findings.add(path, "WebSockets are closed after 5 minutes of silence, the default of stream_idle_timeout",
                     "set idle_timeout here or stream_idle_timeout to the longest silence that is normal");
      }
    }
  }
}

void retry_not_idempotent(const Model& model, Findings& findings) {
  for (const RouteTable& table : model.tables()) {
    for (int h = 0; h < table.routes->virtual_hosts_size(); ++h) {
      const auto& host = table.routes->virtual_hosts(h);
      bool said_of_host = false;
      for (int r = 0; r < host.routes_size(); ++r) {
        const auto& route = host.routes(r);
        if (!route.has_route() || route.match().has_grpc()) continue;
        const bool own = route.route().has_retry_policy();
        if (!own && (said_of_host || !host.has_retry_policy())) continue;
        const auto& policy = own ? route.route().retry_policy() : host.retry_policy();
        const std::string risk = risky_condition(policy.retry_on());
        if (risk.empty() || (policy.has_num_retries() && policy.num_retries().value() == 0)) continue;
        // A policy that asks the request first has been thought about.
        if (policy.retriable_request_headers_size() > 0) continue;
        const auto methods = methods_of(route.match());
        const bool post = takes(methods, "POST") && !taken_before(host, r, "POST");
        const bool patch = takes(methods, "PATCH") && !taken_before(host, r, "PATCH");
        if (!post && !patch) continue;
        said_of_host = said_of_host || !own;
        findings.add((own ? table.host_path(h) + ".routes[" + std::to_string(r) + "].route" : table.host_path(h)) +
                         ".retry_policy.retry_on",
                     shown(risk) + " repeats " +
                         (post && patch ? "POST and PATCH"
                          : post        ? "POST"
                                        : "PATCH") +
                         " requests that the server may have carried out",
                     "give these methods a route of their own that retries on connect-failure alone");
      }
    }
  }
}

// Only a try that ends before its route's time-out can be followed by another.
void per_try_timeout(const Model& model, Findings& findings) {
  for (const RouteTable& table : model.tables()) {
    for (int h = 0; h < table.routes->virtual_hosts_size(); ++h) {
      const auto& host = table.routes->virtual_hosts(h);
      for (int r = 0; r < host.routes_size(); ++r) {
        const auto& action = host.routes(r).route();
        if (!host.routes(r).has_route()) continue;
        const bool own = action.has_retry_policy();
        const auto& policy = own ? action.retry_policy() : host.retry_policy();
        if (!policy.has_per_try_timeout()) continue;
        const double whole = action.has_timeout() ? seconds(action.timeout()) : 15;
        const auto& each = policy.per_try_timeout();
        if (whole == 0 || seconds(each) < whole) continue;
        const std::string of_route = ".routes[" + std::to_string(r) + "].route";
        findings.add(table.host_path(h) + (own ? of_route : "") + ".retry_policy.per_try_timeout",
                     (own ? std::string("the route's") : of_route.substr(1) + "'s") + " timeout of " +
                         (action.has_timeout() ? seconds_text(action.timeout()) : std::string("15s, the default,")) +
                         " ends a request before " + seconds_text(each) +
                         " are over: no try times out, and none follows",
                     "set a shorter time here, or a longer timeout of the route");
      }
    }
  }
}

void retries_unbounded(const Model& model, Findings& findings) {
  constexpr uint32_t kMany = 1000;
  for (const ClusterEntry& entry : model.clusters()) {
    const auto& thresholds = entry.cluster->circuit_breakers().thresholds();
    for (int i = 0; i < thresholds.size(); ++i) {
      const auto& one = thresholds[i];
      if (one.has_retry_budget() || one.max_retries().value() < kMany) continue;
      findings.add(entry.path + ".circuit_breakers.thresholds[" + std::to_string(i) + "].max_retries",
                   "with " + std::to_string(one.max_retries().value()) +
                       " retries at a time a server in trouble gets every request several times",
                   "set retry_budget instead, which follows the number of requests");
    }
  }
}

}  // namespace weir::config::lint
