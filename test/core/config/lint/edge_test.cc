// Rules about what faces clients: for each a hit and a near miss.
#include "test/core/config/lint/lint_helper.h"

namespace weir::config::lint {
namespace {

using Said = std::vector<std::string>;

const std::string kListener = "static_resources.listeners[0]";
const std::string kHcm = kListener + ".filter_chains[0].filters[0].typed_config";
const std::string kEdge = "use_remote_address: true";

std::string filter(const std::string& type, const std::string& fields = "") {
  return "{name: f, typed_config: {" + std::string(kType) + type + (fields.empty() ? "" : ", " + fields) + "}}";
}
const std::string kRouter = filter("envoy.extensions.filters.http.router.v3.Router");
std::string rbac(const std::string& permission, const std::string& principal) {
  return "http_filters: [" +
         filter("envoy.extensions.filters.http.rbac.v3.RBAC",
                "rules: {policies: {p: {permissions: [{" + permission + "}], principals: [{" + principal + "}]}}}") +
         ", " + kRouter + "]";
}
const std::string kToPath = "{match: {prefix: /admin}, route: {cluster: one}}";

Linted edge(const std::string& hcm = "", const std::string& routes = kToOne, const std::string& address = "0.0.0.0",
            const std::string& more = "") {
  return lint_text(bootstrap(listener(routes, kEdge + (hcm.empty() ? "" : ", " + hcm), address, more), one()));
}
// The rules about edges say nothing of others.
void expect_edge_only(const std::string& rule, const std::string& hcm = "", const std::string& routes = kToOne) {
  EXPECT_EQ(edge(hcm, routes).count(rule), 1u) << rule;
  EXPECT_EQ(edge(hcm, routes, "127.0.0.1").count(rule), 0u) << rule;
  EXPECT_EQ(edge(hcm, routes, "::1").count(rule), 0u) << rule;
  EXPECT_EQ(edge(hcm, routes, "0.0.0.0", "traffic_direction: OUTBOUND").count(rule), 0u) << rule;
  const std::string behind = "use_remote_address: false" + (hcm.empty() ? "" : ", " + hcm);
  EXPECT_EQ(lint_text(bootstrap(listener(routes, behind), one())).count(rule), 0u) << rule;
}

// Of a listener that does not say whom it takes for the client.
TEST(LintEdge, WhatAnEdgeIs) {
  const std::string rule = "edge-remote-address";
  const auto count = [&](const std::string& hcm, const std::string& address = "0.0.0.0", const std::string& more = "",
                         const std::string& chain = "") {
    return lint_text(bootstrap(listener(kToOne, hcm, address, more, chain), one())).count(rule);
  };
  const auto tls = [](const std::string& fields) {
    return "transport_socket: {name: tls, typed_config: {" + std::string(kType) +
           "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext" + fields + "}}";
  };
  // In plain text on port 80; with a certificate on any port, unless one is asked for.
  EXPECT_EQ(count(""), 1u);
  EXPECT_EQ(count("", "127.0.0.1"), 0u);
  EXPECT_EQ(count("", "0.0.0.0", "", tls("")), 1u);
  EXPECT_EQ(count("", "0.0.0.0", "", tls(", require_client_certificate: true")), 0u);
  std::string elsewhere = bootstrap(listener(kToOne), one());
  elsewhere.replace(elsewhere.find("port_value: 80"), 14, "port_value: 8080");
  EXPECT_EQ(lint_text(elsewhere).count(rule), 0u);
  elsewhere = bootstrap(listener(kToOne, "", "0.0.0.0", "", tls("")), one());
  elsewhere.replace(elsewhere.find("port_value: 80"), 14, "port_value: 8443");
  EXPECT_EQ(lint_text(elsewhere).count(rule), 1u);
  // Somebody stands in front, or has thought of it.
  EXPECT_EQ(count("xff_num_trusted_hops: 1"), 0u);
  EXPECT_EQ(count("use_remote_address: true"), 0u);
  EXPECT_EQ(count("use_remote_address: false"), 0u);
  EXPECT_EQ(count("", "0.0.0.0", "traffic_direction: INBOUND"), 0u);
  EXPECT_EQ(count("", "0.0.0.0", "traffic_direction: OUTBOUND"), 0u);
  // Its further addresses are looked at like the first.
  const auto more = [](const std::string& address, int port) {
    return "additional_addresses: [{address: {socket_address: {address: " + address +
           ", port_value: " + std::to_string(port) + "}}}]";
  };
  EXPECT_EQ(count("", "127.0.0.1", more("0.0.0.0", 443)), 1u);
  EXPECT_EQ(count("", "127.0.0.1", more("0.0.0.0", 8080)), 0u);
  EXPECT_EQ(count("", "127.0.0.1", more("127.0.0.2", 443)), 0u);
}

TEST(LintEdge, AdminExposed) {
  auto admin = [](const std::string& address) {
    return lint_text(bootstrap("", "", "admin: {address: {" + address + "}}")).of("admin-exposed");
  };
  EXPECT_EQ(
      admin("socket_address: {address: 0.0.0.0, port_value: 9901}"),
      Said{"admin.address: 0.0.0.0:9901: whoever can reach it may read the configuration and stop the server; use "
           "127.0.0.1, or a Unix socket [admin-exposed]"});
  EXPECT_EQ(admin("socket_address: {address: 0.0.0.0, port_value: 0}"),
            Said{"admin.address: 0.0.0.0: whoever can reach it may read the configuration and stop the server; use "
                 "127.0.0.1, or a Unix socket [admin-exposed]"});
  EXPECT_EQ(admin("socket_address: {address: 127.0.0.1, port_value: 9901}"), Said{});
  EXPECT_EQ(admin("socket_address: {address: '::1', port_value: 9901}"), Said{});
  EXPECT_EQ(admin("pipe: {path: /run/weir}"), Said{});
  EXPECT_EQ(lint_text(bootstrap("")).count("admin-exposed"), 0u);
}

TEST(LintEdge, ConnectionLimit) {
  expect_edge_only("edge-connection-limit");
  const std::string web = bootstrap(listener(kToOne, kEdge), one());
  EXPECT_EQ(lint_text(web).of("edge-connection-limit")[0].rfind(kListener + ": only the process's", 0), 0u);
  const std::string monitor =
      "overload_manager: {resource_monitors: [{name: m, typed_config: {" + std::string(kType) +
      "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig, "
      "max_active_downstream_connections: 5}}]}\n";
  EXPECT_EQ(lint_text(web + monitor).count("edge-connection-limit"), 0u);
  EXPECT_EQ(lint_text(web + "layered_runtime: {layers: [{name: a, static_layer: {overload: "
                            "{global_downstream_max_connections: 5}}}]}\n")
                .count("edge-connection-limit"),
            0u);
  EXPECT_EQ(lint_text(web + "layered_runtime: {layers: [{name: a, static_layer: {other: 5}}]}\n")
                .count("edge-connection-limit"),
            1u);
}

TEST(LintEdge, RequestHeadersTimeout) {
  expect_edge_only("edge-request-headers-timeout");
  EXPECT_EQ(
      edge("request_headers_timeout: 0s").of("edge-request-headers-timeout"),
      Said{kHcm + ": request_headers_timeout is not set: a client that sends its headers a byte at a time holds a "
                  "connection for all of stream_idle_timeout; set request_headers_timeout: 10s "
                  "[edge-request-headers-timeout]"});
  EXPECT_EQ(edge("request_headers_timeout: 10s").count("edge-request-headers-timeout"), 0u);
  EXPECT_EQ(edge("request_timeout: 10s").count("edge-request-headers-timeout"), 0u);
}

TEST(LintEdge, IdleTimeout) {
  expect_edge_only("edge-idle-timeout", "stream_idle_timeout: 0s");
  EXPECT_EQ(edge("common_http_protocol_options: {idle_timeout: 0s}").of("edge-idle-timeout").size(), 1u);
  EXPECT_EQ(
      edge("stream_idle_timeout: 1s, common_http_protocol_options: {idle_timeout: 1s}").count("edge-idle-timeout"), 0u);
  EXPECT_EQ(edge().count("edge-idle-timeout"), 0u);  // the defaults are good
}

TEST(LintEdge, ConcurrentStreams) {
  expect_edge_only("edge-concurrent-streams", "codec_type: HTTP2");
  EXPECT_EQ(edge().count("edge-concurrent-streams"), 0u);  // plain text, AUTO: hardly ever HTTP/2
  EXPECT_EQ(edge("codec_type: HTTP1").count("edge-concurrent-streams"), 0u);
  EXPECT_EQ(
      edge("codec_type: HTTP2, http2_protocol_options: {max_concurrent_streams: 100}").count("edge-concurrent-streams"),
      0u);
  auto over_tls = [](const std::string& alpn) {
    return lint_text(bootstrap(listener(kToOne, kEdge, "0.0.0.0", "",
                                        "transport_socket: {name: tls, typed_config: {" + std::string(kType) +
                                            "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, "
                                            "common_tls_context: {alpn_protocols: [" +
                                            alpn + "]}}}"),
                               one()))
        .count("edge-concurrent-streams");
  };
  EXPECT_EQ(over_tls("h2, http/1.1"), 1u);
  EXPECT_EQ(over_tls("http/1.1"), 0u);
}

TEST(LintEdge, Underscores) {
  expect_edge_only("edge-underscores");
  for (const char* action : {"REJECT_REQUEST", "DROP_HEADER"}) {
    EXPECT_EQ(edge("common_http_protocol_options: {headers_with_underscores_action: " + std::string(action) + "}")
                  .count("edge-underscores"),
              0u);
  }
}

TEST(LintEdge, PathNormalization) {
  expect_edge_only("edge-path-normalization", "", kToPath);
  EXPECT_EQ(
      edge("", kToPath).of("edge-path-normalization"),
      Said{kHcm + ": /a/../admin and //admin are not /admin for the routes, but may be for the servers behind; set "
                  "normalize_path: true [edge-path-normalization]"});
  EXPECT_EQ(edge("", kToOne).count("edge-path-normalization"), 0u);  // nothing depends on the path
  EXPECT_EQ(edge("normalize_path: true", kToPath).count("edge-path-normalization"), 0u);
  EXPECT_EQ(edge("normalize_path: false", kToPath).count("edge-path-normalization"), 0u);  // somebody has thought of it

  const std::string by_path = rbac("url_path: {path: {prefix: /admin}}", "any: true");
  EXPECT_EQ(edge("normalize_path: false, " + by_path).of("edge-path-normalization"),
            Said{kHcm + ": /a/../admin and //admin are not /admin for the filters that authorise, but may be for the "
                        "servers behind; set normalize_path: true, merge_slashes: true, "
                        "path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT [edge-path-normalization]"});
  EXPECT_EQ(
      edge("normalize_path: true, merge_slashes: true, path_with_escaped_slashes_action: REJECT_REQUEST, " + by_path)
          .count("edge-path-normalization"),
      0u);
  EXPECT_EQ(edge(rbac("any: true", "any: true")).count("edge-path-normalization"), 0u);
}

TEST(LintEdge, RbacSpoofedAddress) {
  const std::string by_address = rbac("any: true", "remote_ip: {address_prefix: 10.0.0.0, prefix_len: 8}");
  auto public_listener = [](const std::string& hcm, const std::string& address = "0.0.0.0") {
    return lint_text(bootstrap(listener(kToOne, hcm, address), one())).of("rbac-spoofed-address");
  };
  EXPECT_EQ(public_listener(by_address),
            Said{kHcm +
                 ".http_filters[0].typed_config: remote_ip comes from x-forwarded-for, which any client may write; set "
                 "use_remote_address: true, or xff_num_trusted_hops if trusted proxies are in front "
                 "[rbac-spoofed-address]"});
  EXPECT_EQ(public_listener(by_address, "127.0.0.1"), Said{});
  EXPECT_EQ(public_listener(kEdge + ", " + by_address), Said{});
  EXPECT_EQ(public_listener("xff_num_trusted_hops: 1, " + by_address), Said{});
  EXPECT_EQ(public_listener(rbac("any: true", "direct_remote_ip: {address_prefix: 10.0.0.0, prefix_len: 8}")), Said{});
  // Of further addresses one is enough.
  const auto with_more = [&](const std::string& more) {
    return lint_text(bootstrap(listener(kToOne, by_address, "127.0.0.1",
                                        "additional_addresses: [{address: {socket_address: {address: " + more +
                                            ", port_value: 81}}}]"),
                               one()))
        .count("rbac-spoofed-address");
  };
  EXPECT_EQ(with_more("0.0.0.0"), 1u);
  EXPECT_EQ(with_more("127.0.0.2"), 0u);
}

// Wherever they stand, and in both of their forms.
TEST(LintEdge, RbacSpoofedAddressOfRoutes) {
  const std::string rbac_type = "envoy.extensions.filters.http.rbac.v3.";
  const std::string by_address =
      "rules: {policies: {p: {permissions: [{any: true}], principals: [{remote_ip: {address_prefix: 10.0.0.0, "
      "prefix_len: 8}}]}}}";
  const std::string of_route = std::string(kType) + rbac_type + "RBACPerRoute, rbac: {" + by_address + "}";
  const auto matcher = [&](const std::string& input) {
    return "http_filters: [" +
           filter(rbac_type + "RBAC", "matcher: {matcher_tree: {input: " +
                                          filter("envoy.extensions.matching.common_inputs.network.v3." + input) +
                                          ", exact_match_map: {map: {a: {action: " +
                                          filter("envoy.config.rbac.v3.Action", "name: a") + "}}}}}") +
           ", " + kRouter + "]";
  };
  const auto places = [](const std::string& hcm, const std::string& of_route = "") {
    Said said =
        lint_text(bootstrap(listener("{match: {prefix: /}, route: {cluster: one}" + of_route + "}", hcm), one()))
            .of("rbac-spoofed-address");
    for (std::string& one : said) one = one.substr(0, one.find(": "));
    return said;
  };
  const std::string route = kHcm + ".route_config.virtual_hosts[0].routes[0]";
  const auto per_route = [](const std::string& config) { return ", typed_per_filter_config: {f: {" + config + "}}"; };
  const auto filter_config = [](const std::string& fields) {
    return std::string(kType) + "envoy.config.route.v3.FilterConfig, " + fields;
  };
  const std::string by_rbac = "http_filters: [" + filter(rbac_type + "RBAC") + ", " + kRouter + "]";
  EXPECT_EQ(places(by_rbac), Said{});
  EXPECT_EQ(places(by_rbac, per_route(of_route)), Said{route + ".typed_per_filter_config.f.rbac"});
  EXPECT_EQ(places(by_rbac, per_route(filter_config("config: {" + of_route + "}"))),
            Said{route + ".typed_per_filter_config.f.config.rbac"});
  EXPECT_EQ(places(by_rbac, per_route(filter_config("disabled: true, config: {" + of_route + "}"))), Said{});
  EXPECT_EQ(places("upgrade_configs: [{upgrade_type: websocket, filters: [" + filter(rbac_type + "RBAC", by_address) +
                   ", " + kRouter + "]}]"),
            Said{kHcm + ".upgrade_configs[0].filters[0].typed_config"});
  EXPECT_EQ(places(matcher("SourceIPInput")), Said{kHcm + ".http_filters[0].typed_config"});
  EXPECT_EQ(places(matcher("DirectSourceIPInput")), Said{});
}

TEST(LintEdge, CorsAnyOrigin) {
  auto cors = [](const std::string& policy) {
    return lint_text(
               bootstrap(listener("{match: {prefix: /}, route: {cluster: one}, typed_per_filter_config: {cors: {" +
                                      std::string(kType) + "envoy.extensions.filters.http.cors.v3.CorsPolicy, " +
                                      policy + "}}}",
                                  "", "127.0.0.1"),
                         one()))
        .of("cors-any-origin");
  };
  EXPECT_EQ(
      cors("allow_credentials: true, allow_origin_string_match: [{exact: a.example}, {safe_regex: {regex: '.*'}}]"),
      Said{kHcm + ".route_config.virtual_hosts[0].routes[0].typed_per_filter_config.cors.allow_origin_string_match[1]: "
                  "every site may read answers with the visitor's cookies, for allow_credentials is set; name the "
                  "sites that may, or leave allow_credentials out [cors-any-origin]"});
  for (const char* star : {"exact: '*'", "prefix: '*'", "suffix: '*'", "contains: '*'", "contains: /", "prefix: http",
                           "safe_regex: {regex: '\\*'}"}) {
    EXPECT_EQ(cors("allow_credentials: true, allow_origin_string_match: [{" + std::string(star) + "}]").size(), 1u)
        << star;
  }
  EXPECT_EQ(cors("allow_origin_string_match: [{exact: '*'}]"), Said{});
  EXPECT_EQ(cors("allow_credentials: true, allow_origin_string_match: [{suffix: .example.com}]"), Said{});
}

}  // namespace
}  // namespace weir::config::lint
