#include "core/config/lint/rules.h"

#include <algorithm>

namespace weir::config::lint {
namespace {

constexpr Severity kE = Severity::kError;
constexpr Severity kW = Severity::kWarning;

// A rule claims only what it can tell from the file: one that cries wolf teaches people not to look. Each has a test
// for a hit and for a near miss.
constexpr Rule kRules[] = {
    {"filter-order", kE, "no HTTP filter at all, or one behind the router", "HttpConnectionManager.http_filters",
     filter_order},
    {"duplicate-domain", kE, "two virtual hosts of a table have the same domain", "VirtualHost.domains",
     duplicate_domain},
    {"unknown-cluster", kE, "a route leads to a cluster that the file does not have", "RouteAction.cluster",
     unknown_cluster},
    {"certificate-dates", kW, "a certificate that has expired, is about to, or is not valid yet",
     "RFC 5280 section 4.1.2.5", certificate_dates},
    {"admin-exposed", kW, "the admin interface listens on more than this machine", "Admin.address", admin_exposed},
    {"upstream-tls-unverified", kW, "TLS to an upstream whose certificate nobody checks",
     "CommonTlsContext.validation_context", upstream_tls_unverified},
    {"client-certificate-unverified", kW, "certificates of clients are wanted, and nobody checks them",
     "DownstreamTlsContext.require_client_certificate", client_certificate_unverified},
    {"open-forward-proxy", kW, "clients choose where weir connects to, private addresses included",
     "dynamic_forward_proxy.v3.ClusterConfig", open_forward_proxy},
    {"plaintext-upstream", kW, "what came over TLS goes on in plain text", "Cluster.transport_socket",
     plaintext_upstream},
    {"unreachable-route", kW, "routes before this one take every request that it matches", "VirtualHost.routes",
     unreachable_route},
    {"impossible-path", kW, "a route that no path matches", "RouteMatch, RFC 9112 section 3.2", impossible_path},
    {"weight-zero", kW, "a weighted cluster that gets no request", "WeightedCluster.ClusterWeight.weight", weight_zero},

    {"edge-connection-limit", kW, "an edge listener without a limit of connections",
     "OverloadManager, envoy.resource_monitors.downstream_connections", edge_connection_limit},
    {"edge-request-headers-timeout", kW, "an edge listener waits for request headers without end",
     "HttpConnectionManager.request_headers_timeout", edge_request_headers_timeout},
    {"edge-idle-timeout", kW, "an edge listener keeps silent streams or connections without end",
     "HttpConnectionManager.stream_idle_timeout", edge_idle_timeout},
    {"edge-concurrent-streams", kW, "an edge listener with the default number of HTTP/2 streams",
     "Http2ProtocolOptions.max_concurrent_streams", edge_concurrent_streams},
    {"edge-remote-address", kW, "an edge listener believes what clients write about themselves",
     "HttpConnectionManager.use_remote_address", edge_remote_address},
    {"edge-underscores", kW, "an edge listener takes header names with underscores",
     "HttpProtocolOptions.headers_with_underscores_action", edge_underscores},
    {"edge-path-normalization", kW, "paths are matched as clients spell them",
     "HttpConnectionManager.normalize_path, RFC 3986 section 6.2.2", edge_path_normalization},
    {"rbac-spoofed-address", kW, "RBAC believes an address that clients may write themselves",
     "HttpConnectionManager.use_remote_address", rbac_spoofed_address},
    {"cors-any-origin", kW, "CORS lets every site use the visitor's credentials",
     "CorsPolicy.allow_credentials, Fetch standard", cors_any_origin},

    {"stream-timeout", kW, "a default time-out ends streams that are meant to last", "RouteAction.timeout",
     stream_timeout},
    {"retry-not-idempotent", kW, "a retry may repeat a request that was carried out",
     "RFC 9110 section 9.2.2, RetryPolicy.retry_on", retry_not_idempotent},
    {"retries-unbounded", kW, "a limit of retries that never limits", "CircuitBreakers.Thresholds.retry_budget",
     retries_unbounded},
    {"per-try-timeout", kW, "a time for each try that the route's time-out always cuts short",
     "RetryPolicy.per_try_timeout, RouteAction.timeout", per_try_timeout},
    {"circuit-breaker-default", kW, "a default limit of a cluster is below what another setting promises",
     "CircuitBreakers.Thresholds.max_requests", circuit_breaker_default},
    {"panic-threshold", kW, "health checks are ignored when half of the hosts are unhealthy",
     "Cluster.CommonLbConfig.healthy_panic_threshold", panic_threshold},
    {"health-check-no-traffic", kW, "health checks are rare until the first request comes",
     "HealthCheck.no_traffic_interval", health_check_no_traffic},
    {"health-check-threshold", kW, "an answer with another status does not wait for unhealthy_threshold",
     "HealthCheck.HttpHealthCheck.retriable_statuses", health_check_threshold},

    {"unused-cluster", kW, "nothing in the file names this cluster", "Bootstrap.static_resources", unused_cluster},
    {"regex-for-literal", kW, "a regular expression that a prefix, a suffix or a whole text would say",
     "RouteMatch.prefix, StringMatcher", regex_for_literal},
};

}  // namespace

std::span<const Rule> rules() { return kRules; }

bool is_rule(std::string_view id) {
  return std::any_of(std::begin(kRules), std::end(kRules), [&](const Rule& rule) { return id == rule.id; });
}

void check(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, const PositionIndex& positions,
           Diagnostics& diagnostics, const LintOptions& options) {
  const Model model(bootstrap);
  Findings findings(positions, diagnostics, options);
  for (const Rule& rule : kRules) {
    const auto is_in = [&](const std::vector<std::string>& ids) {
      return std::find(ids.begin(), ids.end(), rule.id) != ids.end();
    };
    if (!options.forbidden.empty() && !is_in(options.forbidden)) continue;
    if (options.forbidden.empty() && rule.severity == kE && !options.report_errors) continue;
    if (is_in(options.ignored)) continue;
    findings.begin_rule(rule);
    rule.check(model, findings);
    findings.end_rule();
  }
  findings.end();
}

}  // namespace weir::config::lint
