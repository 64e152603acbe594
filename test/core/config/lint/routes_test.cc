// Rules about routes, filters, time-outs and retries: for each a hit and a near miss.
#include "test/core/config/lint/lint_helper.h"

namespace weir::config::lint {
namespace {

using Said = std::vector<std::string>;

const std::string kHcm = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config";
const std::string kHost = kHcm + ".route_config.virtual_hosts[0]";

Linted routes(const std::string& text, const std::string& hcm = "") {
  return lint_text(bootstrap(listener(text, hcm, "127.0.0.1"), one() + ", " + cluster("two", {"127.0.0.2"})));
}

TEST(LintRoutes, UnreachableRoute) {
  auto linted = routes("{match: {prefix: /a}, route: {cluster: one}}, {match: {prefix: /a/b}, route: {cluster: two}}");
  EXPECT_EQ(
      linted.of("unreachable-route"),
      Said{kHost + ".routes[1]: no request gets here: routes[0] (prefix /a, edge.yaml:1) takes all of them first; "
                   "put this one in front of it, or remove it [unreachable-route]"});
  EXPECT_EQ(routes("{match: {prefix: /a/b}, route: {cluster: one}}, {match: {prefix: /a}, route: {cluster: two}}")
                .count("unreachable-route"),
            0u);
  // Routes of a matcher tree are not walked from top to bottom.
}

TEST(LintRoutes, UnreachableRouteByItsConditions) {
  const auto shadowed = [](const std::string& earlier, const std::string& later) {
    return routes("{match: {" + earlier + "}, route: {cluster: one}}, {match: {" + later + "}, route: {cluster: two}}")
               .count("unreachable-route") == 1;
  };
  const auto headers = [&](const std::string& earlier, const std::string& later) {
    return shadowed("prefix: /, headers: [{name: X-A" + earlier + "}]",
                    "prefix: /, headers: [{name: x-a" + later + "}]");
  };
  const auto parameters = [&](const std::string& earlier, const std::string& later) {
    return shadowed("prefix: /, query_parameters: [{name: v" + earlier + "}]",
                    "prefix: /, query_parameters: [{name: v" + later + "}]");
  };
  const std::string exact = ", string_match: {exact: abc}";
  for (const char* wider : {"", ", present_match: true", ", string_match: {prefix: ab}", ", string_match: {suffix: bc}",
                            ", string_match: {contains: b}", ", string_match: {exact: ABC, ignore_case: true}",
                            ", exact_match: abc", ", prefix_match: a", ", string_match: {safe_regex: {regex: 'abc'}}",
                            ", string_match: {prefix: a}, treat_missing_header_as_empty: true"}) {
    EXPECT_TRUE(headers(wider, exact)) << wider;
  }
  for (const char* other :
       {", present_match: false", ", present_match: true, invert_match: true", ", string_match: {prefix: ac}",
        ", string_match: {suffix: a}", ", string_match: {contains: ac}", ", string_match: {exact: ABC}",
        ", range_match: {start: 1, end: 2}", ", string_match: {safe_regex: {regex: '[a-c]+'}}"}) {
    EXPECT_FALSE(headers(other, exact)) << other;
  }
  // "." takes no byte that is not UTF-8, of which headers may have some.
  EXPECT_FALSE(headers(", string_match: {safe_regex: {regex: '.*'}}", ", present_match: true"));
  EXPECT_FALSE(headers(", string_match: {safe_regex: {regex: 'a.*'}}", ", string_match: {prefix: a}"));
  EXPECT_TRUE(headers(", string_match: {prefix: a}", ", string_match: {safe_regex: {regex: 'a.*'}}"));
  EXPECT_FALSE(headers(exact, ", string_match: {prefix: abc}"));
  EXPECT_FALSE(headers(", string_match: {exact: abc}", ", string_match: {exact: abc, ignore_case: true}"));
  EXPECT_TRUE(headers(", present_match: true", ", range_match: {start: 1, end: 2}"));
  EXPECT_FALSE(headers(", present_match: true", ", string_match: {exact: ''}, treat_missing_header_as_empty: true"));
  EXPECT_FALSE(headers(", present_match: true", exact + ", invert_match: true"));
  EXPECT_TRUE(parameters("", ", string_match: {exact: abc}"));
  EXPECT_TRUE(parameters(", string_match: {prefix: a}", ", string_match: {exact: abc}"));
  EXPECT_FALSE(parameters(", present_match: false", ", string_match: {exact: abc}"));
  EXPECT_FALSE(parameters("", "2"));

  const std::string all_of = "prefix: /, runtime_fraction: {default_value: {numerator: ";
  EXPECT_TRUE(shadowed(all_of + "100}}", "prefix: /"));
  EXPECT_TRUE(shadowed(all_of + "10000, denominator: TEN_THOUSAND}}", "prefix: /"));
  EXPECT_FALSE(shadowed(all_of + "99}}", "prefix: /"));
  EXPECT_FALSE(shadowed(all_of + "100}, runtime_key: k}", "prefix: /"));
  EXPECT_TRUE(shadowed("safe_regex: {regex: '/[a-z]+'}", "path: /abc"));
  EXPECT_FALSE(shadowed("safe_regex: {regex: '/[a-z]+'}", "path: /abc/d"));
  EXPECT_FALSE(shadowed("safe_regex: {regex: '/[a-z]+'}", "path: /abc, case_sensitive: false"));
}

TEST(LintRoutes, DuplicateDomain) {
  auto hosts = [](const std::string& domains) {
    return lint_text(
        bootstrap("{address: {socket_address: {address: 127.0.0.1, port_value: 1}}, filter_chains: [{filters: "
                  "[{name: hcm, typed_config: {" +
                  std::string(kType) +
                  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, "
                  "stat_prefix: a, http_filters: [{name: r, typed_config: {" +
                  kType + "envoy.extensions.filters.http.router.v3.Router}}], route_config: {virtual_hosts: [" +
                  "{name: a, domains: [a.example]}, {name: b, domains: [" + domains + "]}]}}}]}]}"));
  };
  EXPECT_EQ(hosts("b.example, A.example").of("duplicate-domain"),
            Said{kHcm + ".route_config.virtual_hosts[1].domains[1]: A.example is a domain of virtual host a too; each "
                        "domain may stand once [duplicate-domain]"});
  EXPECT_EQ(hosts("b.example, '*.a.example'").count("duplicate-domain"), 0u);
}

TEST(LintRoutes, UnknownCluster) {
  auto linted = routes(
      "{match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: one, weight: 1}, {name: tow, weight: 1}]}}}");
  EXPECT_EQ(
      linted.of("unknown-cluster"),
      Said{kHost + ".routes[0].route.weighted_clusters.clusters[1].name: tow is not a cluster of this file; did you "
                   "mean two? [unknown-cluster]"});
  EXPECT_EQ(linted.diagnostics.errors(), 1u);
  EXPECT_EQ(routes(kToOne).count("unknown-cluster"), 0u);
  // It may come over the wire.
  EXPECT_EQ(lint_text(bootstrap(listener("{match: {prefix: /}, route: {cluster: far}}"), "",
                                "dynamic_resources: {cds_config: {path_config_source: {path: /x}}}"))
                .count("unknown-cluster"),
            0u);
}

TEST(LintRoutes, WeightZero) {
  auto weighted = [](const std::string& second) {
    return routes("{match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: one, weight: 1}, " + second +
                  "]}}}")
        .of("weight-zero");
  };
  EXPECT_EQ(weighted("{name: two, weight: 0}"),
            Said{kHost + ".routes[0].route.weighted_clusters.clusters[1]: weight is 0: two gets no request; give it a "
                         "weight, or remove it [weight-zero]"});
  EXPECT_EQ(weighted("{name: two}").size(), 1u);
  EXPECT_EQ(weighted("{name: two, weight: 1}"), Said{});
  EXPECT_EQ(
      routes("{match: {prefix: /}, route: {weighted_clusters: {runtime_key_prefix: w, clusters: [{name: one, weight: "
             "0}]}}}")
          .count("weight-zero"),
      0u);
}

TEST(LintRoutes, RegexForLiteral) {
  EXPECT_EQ(
      routes("{match: {safe_regex: {regex: '/a/.*'}}, route: {cluster: one}}").of("regex-for-literal"),
      Said{kHost + ".routes[0].match.safe_regex: \"/a/.*\" is tried on every request and says no more than prefix: "
                   "/a/; write that [regex-for-literal]"});
  EXPECT_EQ(
      routes("{match: {prefix: /, headers: [{name: x, string_match: {safe_regex: {regex: '.*\\.jpg'}}}]}, route: "
             "{cluster: one}}")
          .of("regex-for-literal"),
      Said{kHost + ".routes[0].match.headers[0].string_match.safe_regex: \".*\\\\.jpg\" is tried on every request and "
                   "says no more than suffix: .jpg; write that [regex-for-literal]"});
  EXPECT_EQ(routes("{match: {safe_regex: {regex: '/a/[0-9]+'}}, route: {cluster: one}}").count("regex-for-literal"),
            0u);
  // A route has no suffix to write instead.
  EXPECT_EQ(routes("{match: {safe_regex: {regex: '.*/x'}}, route: {cluster: one}}").count("regex-for-literal"), 0u);
}

TEST(LintRoutes, FilterOrder) {
  const std::string router =
      "{name: router, typed_config: {" + std::string(kType) + "envoy.extensions.filters.http.router.v3.Router}}";
  const std::string buffer = "{name: buffer, typed_config: {" + std::string(kType) +
                             "envoy.extensions.filters.http.buffer.v3.Buffer, max_request_bytes: 1}}";
  EXPECT_EQ(
      routes(kToOne, "http_filters: [" + router + ", " + buffer + "]").of("filter-order"),
      Said{kHcm + ".http_filters[0]: the router is the end of the chain: buffer behind it would never run; put it "
                  "last [filter-order]"});
  EXPECT_EQ(routes(kToOne, "http_filters: []").count("filter-order"), 1u);
  EXPECT_EQ(routes(kToOne, "http_filters: [" + buffer + ", " + router + "]").count("filter-order"), 0u);
  EXPECT_EQ(routes(kToOne, "http_filters: [" + buffer + "]").count("filter-order"), 0u);  // not for us to say
}

TEST(LintRoutes, StreamTimeoutOfGrpc) {
  auto grpc = [](const std::string& action) {
    return routes("{match: {prefix: /, grpc: {}}, route: {cluster: one" + action + "}}").of("stream-timeout");
  };
  EXPECT_EQ(grpc(""),
            Said{kHost + ".routes[0].route: timeout is not set: the default of 15s ends gRPC streams, too; set "
                         "timeout: 0s if the route carries streams, else the time that calls may take "
                         "[stream-timeout]"});
  EXPECT_EQ(grpc(", timeout: 15s"), Said{});
  EXPECT_EQ(grpc(", max_grpc_timeout: 0s"), Said{});
  EXPECT_EQ(grpc(", max_stream_duration: {grpc_timeout_header_max: 0s}").size(), 1u);  // another limit, beside it
  EXPECT_EQ(routes(kToOne).count("stream-timeout"), 0u);
}

TEST(LintRoutes, StreamTimeoutOfWebSockets) {
  const std::string upgrade = "upgrade_configs: [{upgrade_type: WebSocket}]";
  auto one_route = [&](const std::string& action, const std::string& hcm = "") {
    return routes("{match: {prefix: /ws}, route: {cluster: one" + action + "}}, " + kToOne, hcm).of("stream-timeout");
  };
  EXPECT_EQ(
      one_route(", " + upgrade),
      Said{kHost + ".routes[0].route: WebSockets are closed after 5 minutes of silence, the default of "
                   "stream_idle_timeout; set idle_timeout here or stream_idle_timeout to the longest silence that "
                   "is normal [stream-timeout]"});
  EXPECT_EQ(one_route("", upgrade).size(), 1u);  // for all routes: said once
  EXPECT_EQ(one_route(", idle_timeout: 3600s, " + upgrade), Said{});
  EXPECT_EQ(one_route(", " + upgrade, "stream_idle_timeout: 300s"), Said{});
  EXPECT_EQ(one_route(", upgrade_configs: [{upgrade_type: websocket, enabled: false}]"), Said{});
}

TEST(LintRoutes, RetryNotIdempotent) {
  auto retries = [](const std::string& match, const std::string& policy, const std::string& before = "") {
    return routes(before + "{match: {" + match + "}, route: {cluster: one, retry_policy: {" + policy + "}}}")
        .of("retry-not-idempotent");
  };
  const std::string method = "headers: [{name: ':method', string_match: ";
  EXPECT_EQ(
      retries("prefix: /", "retry_on: 'connect-failure, 5xx'"),
      Said{kHost + ".routes[0].route.retry_policy.retry_on: 5xx repeats POST and PATCH requests that the server may "
                   "have carried out; give these methods a route of their own that retries on connect-failure alone "
                   "[retry-not-idempotent]"});
  EXPECT_EQ(retries("prefix: /, " + method + "{exact: POST}}]", "retry_on: reset").size(), 1u);
  EXPECT_EQ(retries("prefix: /", "retry_on: connect-failure"), Said{});
  EXPECT_EQ(retries("prefix: /", "retry_on: 5xx, num_retries: 0"), Said{});
  EXPECT_EQ(retries("prefix: /, " + method + "{exact: GET}}]", "retry_on: 5xx"), Said{});
  EXPECT_EQ(retries("prefix: /, grpc: {}", "retry_on: 5xx"), Said{});
  // A route in front takes what is not safe to repeat.
  const std::string guard = method + "{safe_regex: {regex: 'POST|PATCH'}}}]}, route: {cluster: one}}, ";
  EXPECT_EQ(retries("prefix: /", "retry_on: 5xx", "{match: {prefix: /, " + guard), Said{});
  EXPECT_EQ(retries("prefix: /", "retry_on: 5xx", "{match: {prefix: /api, " + guard).size(), 1u);  // not all of it
  EXPECT_EQ(retries("prefix: /", "retry_on: 5xx",
                    "{match: {prefix: /, " + method + "{exact: POST}}]}, route: {cluster: one}}, ")
                .size(),
            1u);  // PATCH
}

TEST(LintRoutes, RetryOfAVirtualHostIsSaidOnce) {
  auto linted = lint_text(bootstrap(
      "{address: {socket_address: {address: 127.0.0.1, port_value: 1}}, filter_chains: [{filters: [{name: hcm, "
      "typed_config: {" +
          std::string(kType) +
          "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: a, "
          "http_filters: "
          "[{name: r, typed_config: {" +
          kType +
          "envoy.extensions.filters.http.router.v3.Router}}], route_config: {virtual_hosts: [{name: a, domains: ['*'], "
          "retry_policy: {retry_on: 5xx}, routes: [{match: {prefix: /a}, route: {cluster: one}}, {match: {prefix: /}, "
          "route: "
          "{cluster: one}}]}]}}}]}]}",
      one()));
  ASSERT_EQ(linted.count("retry-not-idempotent"), 1u);
  EXPECT_EQ(linted.of("retry-not-idempotent")[0].rfind(kHost + ".retry_policy.retry_on: ", 0), 0u);
}

TEST(LintRoutes, RetriesUnbounded) {
  auto thresholds = [](const std::string& text) {
    return lint_text(bootstrap(listener(kToOne, "", "127.0.0.1"),
                               cluster("one", {"127.0.0.1"}, "circuit_breakers: {thresholds: [{" + text + "}]}")))
        .of("retries-unbounded");
  };
  EXPECT_EQ(
      thresholds("max_retries: 4294967295"),
      Said{"static_resources.clusters[0].circuit_breakers.thresholds[0].max_retries: with 4294967295 retries at a "
           "time a server in trouble gets every request several times; set retry_budget instead, which follows the "
           "number of requests [retries-unbounded]"});
  EXPECT_EQ(thresholds("max_retries: 100"), Said{});
  EXPECT_EQ(thresholds("max_retries: 5000, retry_budget: {}"), Said{});
}

}  // namespace
}  // namespace weir::config::lint
