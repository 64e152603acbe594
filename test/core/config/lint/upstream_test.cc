// Rules about clusters and TLS: for each a hit and a near miss.
#include <cstdlib>
#include <fstream>

#include "test/core/config/lint/lint_helper.h"

namespace weir::config::lint {
namespace {

using Said = std::vector<std::string>;

const std::string kCluster = "static_resources.clusters[0]";
const std::string kCheck = "timeout: 1s, interval: 5s, unhealthy_threshold: 3, healthy_threshold: 1";

// One cluster with these endpoints and fields, and a listener that routes to it.
Linted with_cluster(const std::string& fields, const std::vector<std::string>& addresses = {"127.0.0.1", "127.0.0.2"}) {
  return lint_text(bootstrap(listener(kToOne, "", "127.0.0.1"), cluster("one", addresses, fields)));
}

TEST(LintUpstream, UnusedCluster) {
  auto two = [](const std::string& listeners, const std::string& more = "") {
    return lint_text(bootstrap(listeners, one() + ", " + cluster("spare", {"127.0.0.1"}), more)).of("unused-cluster");
  };
  const std::string web = listener(kToOne, "", "127.0.0.1");
  EXPECT_EQ(two(web),
            Said{"static_resources.clusters[1]: nothing in this file names cluster spare; remove it [unused-cluster]"});
  // Whoever names it, anywhere.
  EXPECT_EQ(two(listener("{match: {prefix: /}, route: {cluster: one, request_mirror_policies: [{cluster: spare}]}}")),
            Said{});
  EXPECT_EQ(two(web, "cluster_manager: {local_cluster_name: spare}\n"), Said{});
  EXPECT_EQ(two(listener(kToOne, "http_filters: [{name: lua, typed_config: {" + std::string(kType) +
                                     "envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {inline_string: "
                                     "\"function envoy_on_request(h)\\n h:httpCall('spare', {})\\nend\"}}}]")),
            Said{});
  EXPECT_EQ(two(listener(kToOne, "http_filters: [{name: lua, typed_config: {" + std::string(kType) +
                                     "envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {inline_string: "
                                     "\"h:httpCall('spare')\"}}}]")),
            Said{});
  // Nor is it known what a message of an unknown type names.
  EXPECT_EQ(two(listener(kToOne, "http_filters: [{name: own, typed_config: {" + std::string(kType) +
                                     "example.filters.Own, cluster: spare}}]")),
            Said{});
  // A virtual host of the same name does not name it.
  EXPECT_EQ(lint_text(bootstrap(listener(kToOne, "", "127.0.0.1"), one() + ", " + cluster("all", {"127.0.0.1"})))
                .count("unused-cluster"),
            1u);
  // Others may come that do, or requests choose.
  EXPECT_EQ(two(web, "dynamic_resources: {lds_config: {path_config_source: {path: /x}}}\n"), Said{});
  EXPECT_EQ(two(listener("{match: {prefix: /}, route: {cluster_header: x-cluster}}, " + std::string(kToOne))), Said{});
  EXPECT_EQ(
      two(listener("{match: {prefix: /}, route: {cluster: one, request_mirror_policies: [{cluster_header: x-c}]}}")),
      Said{});
  EXPECT_EQ(
      two("{name: tls, address: {socket_address: {address: 127.0.0.1, port_value: 1}}, filter_chains: [{filters: ["
          "{name: sni, typed_config: {" +
          std::string(kType) +
          "envoy.extensions.filters.network.sni_cluster.v3.SniCluster}}, {name: tcp, typed_config: {" +
          std::string(kType) +
          "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: one}}]}]}"),
      Said{});
}

TEST(LintUpstream, CircuitBreakerDefaultIsBelowWhatListenersAdmit) {
  const std::string limit = "overload_manager: {resource_monitors: [{name: connections, typed_config: {" +
                            std::string(kType) +
                            "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig, "
                            "max_active_downstream_connections: 5000}}]}\n";
  const auto count = [&](const std::string& fields) {
    return lint_text(bootstrap(listener(kToOne, "", "127.0.0.1", fields), one(), limit))
        .count("circuit-breaker-default");
  };
  EXPECT_EQ(count(""), 1u);
  EXPECT_EQ(count("bypass_overload_manager: true"), 0u);
}

TEST(LintUpstream, PanicThreshold) {
  const std::string check = "health_checks: [{" + kCheck + ", tcp_health_check: {}}]";
  EXPECT_EQ(
      with_cluster(check).of("panic-threshold"),
      Said{kCluster + ".health_checks: with less than 50 % of the hosts healthy their verdict is ignored, and dead "
                      "hosts get traffic again; set common_lb_config.healthy_panic_threshold to what the healthy ones "
                      "can carry, or to 0: never [panic-threshold]"});
  EXPECT_EQ(with_cluster(check + ", common_lb_config: {healthy_panic_threshold: {value: 50}}").count("panic-threshold"),
            0u);
  EXPECT_EQ(with_cluster(check, {"127.0.0.1"}).count("panic-threshold"), 0u);
  EXPECT_EQ(with_cluster("").count("panic-threshold"), 0u);
}

TEST(LintUpstream, HealthCheckNoTraffic) {
  const std::string at = kCluster + ".health_checks[0]";
  EXPECT_EQ(with_cluster("health_checks: [{" + kCheck + ", tcp_health_check: {}}]").of("health-check-no-traffic"),
            Said{at + ": until the cluster gets its first request, hosts are checked every 60s and not every 5s; set "
                      "no_traffic_interval: 5s [health-check-no-traffic]"});
  EXPECT_EQ(with_cluster("health_checks: [{" + kCheck + ", no_traffic_interval: 60s, tcp_health_check: {}}]")
                .count("health-check-no-traffic"),
            0u);
  EXPECT_EQ(with_cluster("health_checks: [{timeout: 1s, interval: 60s, unhealthy_threshold: 1, healthy_threshold: 1, "
                         "tcp_health_check: {}}]")
                .count("health-check-no-traffic"),
            0u);
}

TEST(LintUpstream, HealthCheckThreshold) {
  auto http = [](const std::string& check) {
    return with_cluster("health_checks: [{timeout: 1s, interval: 60s, healthy_threshold: 1, " + check + "}]")
        .of("health-check-threshold");
  };
  EXPECT_EQ(
      http("unhealthy_threshold: 3, http_health_check: {path: /}"),
      Said{kCluster + ".health_checks[0].unhealthy_threshold: only checks without an answer wait for 3 failures: one "
                      "answer of another status makes a host unhealthy at once; name the statuses that shall count up "
                      "in http_health_check.retriable_statuses [health-check-threshold]"});
  EXPECT_EQ(http("unhealthy_threshold: 1, http_health_check: {path: /}"), Said{});
  EXPECT_EQ(http("unhealthy_threshold: 3, tcp_health_check: {}"), Said{});
  EXPECT_EQ(http("unhealthy_threshold: 3, http_health_check: {path: /, retriable_statuses: [{start: 500, end: 600}]}"),
            Said{});
}

std::string tls_socket(const std::string& type, const std::string& common) {
  return "transport_socket: {name: tls, typed_config: {" + std::string(kType) +
         "envoy.extensions.transport_sockets.tls.v3." + type + ", common_tls_context: {" + common + "}}}";
}

TEST(LintUpstream, PlaintextUpstream) {
  auto edge = [](const std::string& chain, const std::string& upstream) {
    return lint_text(bootstrap(listener(kToOne, "", "0.0.0.0", "", chain), upstream)).of("plaintext-upstream");
  };
  const std::string tls = tls_socket("DownstreamTlsContext", "");
  EXPECT_EQ(edge(tls, cluster("one", {"127.0.0.1", "10.0.0.5"})),
            Said{kCluster + ": what listener web gets over TLS goes to 10.0.0.5:80 in plain text; set transport_socket "
                            "with an UpstreamTlsContext [plaintext-upstream]"});
  EXPECT_EQ(edge(tls, cluster("one", {"127.0.0.1"})), Said{});
  EXPECT_EQ(edge("", cluster("one", {"10.0.0.5"})), Said{});
  EXPECT_EQ(edge(tls, cluster("one", {"10.0.0.5"}, tls_socket("UpstreamTlsContext", ""))), Said{});
  const auto told = [](const std::string& inside) {
    return "transport_socket: {name: proxy, typed_config: {" + std::string(kType) +
           "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport, " + inside + "}}";
  };
  EXPECT_EQ(
      edge(tls, cluster("one", {"10.0.0.5"}, told("transport_socket: {name: envoy.transport_sockets.raw_buffer}")))
          .size(),
      1u);
  EXPECT_EQ(edge(tls, cluster("one", {"10.0.0.5"}, told(tls_socket("UpstreamTlsContext", "")))), Said{});
  EXPECT_EQ(edge(tls, cluster("two", {"10.0.0.5"}) + ", " + one()), Said{});  // not routed to
  const std::string copies = "{match: {prefix: /}, route: {cluster: one, request_mirror_policies: [{cluster: two}]}}";
  EXPECT_EQ(lint_text(bootstrap(listener(copies, "", "0.0.0.0", "", tls), one() + ", " + cluster("two", {"10.0.0.5"})))
                .count("plaintext-upstream"),
            1u);
  // The socket that metadata choose.
  const auto chosen = [&](const std::string& metadata) {
    std::string upstream = cluster("one", {"10.0.0.5"},
                                   tls_socket("UpstreamTlsContext", "") +
                                       ", transport_socket_matches: [{name: off, match: {tls: off}, transport_socket: "
                                       "{name: envoy.transport_sockets.raw_buffer}}]");
    upstream.insert(upstream.find("{endpoint: {") + 1, metadata);
    return edge(tls, upstream).size();
  };
  EXPECT_EQ(chosen(""), 0u);
  EXPECT_EQ(chosen("metadata: {filter_metadata: {envoy.transport_socket_match: {tls: off}}}, "), 1u);
  EXPECT_EQ(chosen("metadata: {filter_metadata: {envoy.transport_socket_match: {tls: on}}}, "), 0u);
  // What an aggregate consists of.
  const std::string aggregate =
      "{name: one, connect_timeout: 1s, lb_policy: CLUSTER_PROVIDED, cluster_type: {name: a, "
      "typed_config: {" +
      std::string(kType) + "envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [two]}}}";
  EXPECT_EQ(edge(tls, aggregate + ", " + cluster("two", {"10.0.0.5"})).size(), 1u);
  // Whoever says whether requests may pass.
  const std::string authorizer = std::string("http_filters: [{name: authz, typed_config: {") + kType +
                                 "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz, grpc_service: {envoy_grpc: "
                                 "{cluster_name: two}}}}, {name: router, typed_config: {" +
                                 kType + "envoy.extensions.filters.http.router.v3.Router}}]";
  EXPECT_EQ(lint_text(bootstrap(listener(kToOne, authorizer, "0.0.0.0", "", tls),
                                one() + ", " + cluster("two", {"10.0.0.5"})))
                .count("plaintext-upstream"),
            1u);
}

TEST(LintUpstream, UpstreamTlsUnverified) {
  auto tls = [](const std::string& common) {
    return with_cluster(tls_socket("UpstreamTlsContext", common)).of("upstream-tls-unverified");
  };
  EXPECT_EQ(tls("alpn_protocols: [h2]").size(), 1u);
  EXPECT_EQ(
      tls("validation_context: {match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: a}}]}"),
      Said{kCluster + ".transport_socket: without a trusted_ca every certificate is accepted: whoever is in between "
                      "can read and change everything; set common_tls_context.validation_context.trusted_ca and "
                      "match_typed_subject_alt_names [upstream-tls-unverified]"});
  EXPECT_EQ(tls("validation_context: {trusted_ca: {filename: /x}}"), Said{});
  EXPECT_EQ(tls("validation_context: {trusted_ca: {filename: /x}, trust_chain_verification: ACCEPT_UNTRUSTED}"),
            Said{kCluster + ".transport_socket: trust_chain_verification: ACCEPT_UNTRUSTED accepts every certificate: "
                            "whoever is in between can read and change everything; leave it out "
                            "[upstream-tls-unverified]"});
  EXPECT_EQ(tls("validation_context_sds_secret_config: {name: ca}"), Said{});
  // Wherever the socket is.
  const auto places = [](const std::string& fields) {
    Said places = with_cluster(fields).of("upstream-tls-unverified");
    for (std::string& one : places) one = one.substr(0, one.find(": "));
    return places;
  };
  const auto around = [](const std::string& socket) {
    return "transport_socket: {name: p, typed_config: {" + std::string(kType) +
           "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport, " + socket + "}}";
  };
  const std::string unverified = tls_socket("UpstreamTlsContext", "alpn_protocols: [h2]");
  const std::string verified = tls_socket("UpstreamTlsContext", "validation_context: {trusted_ca: {filename: /x}}");
  EXPECT_EQ(places(around(unverified)), Said{kCluster + ".transport_socket.typed_config.transport_socket"});
  EXPECT_EQ(places(around(verified)), Said{});
  EXPECT_EQ(places("transport_socket_matches: [{name: a, " + verified + "}, {name: b, " + unverified + "}, {name: c, " +
                   around(unverified) + "}]"),
            (Said{kCluster + ".transport_socket_matches[1].transport_socket",
                  kCluster + ".transport_socket_matches[2].transport_socket.typed_config.transport_socket"}));
  EXPECT_EQ(places("transport_socket: {name: envoy.transport_sockets.tls}"), Said{kCluster + ".transport_socket"});
  EXPECT_EQ(with_cluster("").count("upstream-tls-unverified"), 0u);
}

// A secret named ca of the file, and contexts that name it; what is said of a server's certificate and of a client's.
TEST(LintUpstream, TlsUnverifiedBySecrets) {
  struct Counts {
    size_t upstream, client;
    bool operator==(const Counts&) const = default;
  };
  const auto counts = [](const std::string& common, const std::string& secret, const std::string& match = "") {
    std::string downstream = tls_socket("DownstreamTlsContext", common);
    downstream.insert(downstream.rfind("common_tls_context"), "require_client_certificate: true, ");
    const Linted linted = lint_text(
        "static_resources: {secrets: [{name: ca, validation_context: {" + secret +
        "}}, {name: ca, generic_secret: " + "{secret: {inline_string: x}}}], listeners: [" +
        listener("{match: {prefix: /" + match + "}, route: {cluster: one}}", "", "127.0.0.1", "", downstream) +
        "], clusters: [" + cluster("one", {"127.0.0.1"}, tls_socket("UpstreamTlsContext", common)) + "]}\n");
    return Counts{linted.count("upstream-tls-unverified"), linted.count("client-certificate-unverified")};
  };
  const std::string named = "validation_context_sds_secret_config: {name: ca}";
  const auto combined = [&](const std::string& fields) {
    return "combined_validation_context: {default_validation_context: {" + fields + "}, " + named + "}";
  };
  constexpr Counts kBoth{1, 1}, kNone{0, 0};
  const std::string authority = "trusted_ca: {filename: /x}";
  const std::string hash =
      "verify_certificate_hash: [df6ff72fe9116521268f6f2dd4966f51df479883fe7037b39f75916ac3049d1a]";
  const std::string anybody = authority + ", trust_chain_verification: ACCEPT_UNTRUSTED";
  EXPECT_EQ(counts("validation_context: {}", ""), kBoth);
  EXPECT_EQ(counts("validation_context: {max_verify_depth: 3}", ""), kBoth);
  EXPECT_EQ(counts("validation_context: {" + hash + "}", ""), kNone);
  EXPECT_EQ(counts("validation_context: {" + anybody + "}", ""), kBoth);
  EXPECT_EQ(counts(named, ""), kBoth);
  EXPECT_EQ(counts(named, "max_verify_depth: 3"), kBoth);
  EXPECT_EQ(counts(named, anybody), kBoth);
  EXPECT_EQ(counts(named, authority), kNone);
  EXPECT_EQ(counts(named, hash), kNone);
  EXPECT_EQ(counts(combined(""), ""), kBoth);
  EXPECT_EQ(counts(combined(""), authority), kNone);
  EXPECT_EQ(counts(combined(hash), ""), kNone);
  EXPECT_EQ(counts(combined(""), anybody), kBoth);
  EXPECT_EQ(counts(combined("trust_chain_verification: ACCEPT_UNTRUSTED"), authority), kBoth);
  // Others see to it, or it is not known.
  EXPECT_EQ(counts("validation_context: {" + anybody + "}", "", ", tls_context: {validated: true}"), (Counts{1, 0}));
  EXPECT_EQ(counts("validation_context_sds_secret_config: {name: other}", ""), kNone);
  EXPECT_EQ(counts("validation_context_sds_secret_config: {name: ca, sds_config: {ads: {}}}", ""), kNone);
  EXPECT_EQ(counts("custom_handshaker: {name: x}, validation_context: {}", ""), kNone);
  // A file of SDS.
  char sds[] = "/tmp/weir-lint-sds-XXXXXX";
  ASSERT_GE(mkstemp(sds), 0);
  const std::string in_file =
      "validation_context_sds_secret_config: {name: f, sds_config: {path_config_source: {path: " + std::string(sds) +
      "}}}";
  const auto file_has = [&](const std::string& context) {
    std::ofstream(sds) << "resources: [{" << kType
                       << "envoy.extensions.transport_sockets.tls.v3.Secret, name: f, validation_context: {" << context
                       << "}}]";
    return counts(in_file, "");
  };
  EXPECT_EQ(file_has(""), kBoth);
  EXPECT_EQ(file_has(authority), kNone);
  std::remove(sds);
  EXPECT_EQ(counts(in_file, ""), kNone);
}

TEST(LintUpstream, NamesThatNobodySends) {
  const auto of = [](const std::string& more, const std::string& of_cluster = "") {
    std::string socket = tls_socket("UpstreamTlsContext", "validation_context: {trusted_ca: {filename: /x}}");
    socket.insert(socket.rfind("common_tls_context"), "auto_sni_san_validation: true, " + more);
    return with_cluster(socket + of_cluster).of("upstream-tls-unverified");
  };
  EXPECT_EQ(of(""),
            Said{kCluster + ".transport_socket.typed_config.auto_sni_san_validation: no server name is sent, and so "
                            "no certificate is good enough; set sni, or auto_host_sni, or auto_sni of "
                            "upstream_http_protocol_options [upstream-tls-unverified]"});
  EXPECT_EQ(of("sni: a.example, "), Said{});
  EXPECT_EQ(of("auto_host_sni: true, "), Said{});
  EXPECT_EQ(of("", ", upstream_http_protocol_options: {auto_sni: true}"), Said{});
  EXPECT_EQ(of("", ", metadata: {filter_metadata: {a: {b: envoy.network.upstream_server_name}}}"), Said{});
  EXPECT_EQ(of("",
               ", typed_extension_protocol_options: {o: {\"@type\": "
               "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, "
               "upstream_http_protocol_options: {auto_sni: true}, "
               "explicit_http_config: {http_protocol_options: {}}}}"),
            Said{});
}

// Valid from 2026-11-26 to 2126-11-02 (certificate_dates_test.cc tells where it comes from).
const char* const kPem =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBbzCCARWgAwIBAgIUFeLrefHku++AWHSeSRq36wYF0rYwCgYIKoZIzj0EAwIw\n"
    "DDEKMAgGA1UEAwwBYjAgFw0yNjExMjYwNTE3NDZaGA8yMTI2MTEwMjA1MTc0Nlow\n"
    "DDEKMAgGA1UEAwwBYjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABApqLuls452C\n"
    "6jwYPR52LVZyM9883kVWJCMxOvgV7gQd9+6uqwtqaNp66S5m0tP332uGV1SkzsfC\n"
    "2bqFEVAv0oyjUzBRMB0GA1UdDgQWBBS4eZDZS9QZ/l87CL8vzwCZJ46mVzAfBgNV\n"
    "HSMEGDAWgBS4eZDZS9QZ/l87CL8vzwCZJ46mVzAPBgNVHRMBAf8EBTADAQH/MAoG\n"
    "CCqGSM49BAMCA0gAMEUCIHtyU7zdipAmQidY6mEiyuuele5thA85EuBKc8KriLgG\n"
    "AiEAw/Hkkip5F6PTsSj92vxDbco5IIzH9yj7zpwF2PU72t8=\n"
    "-----END CERTIFICATE-----\n";

WallTime day(int year, unsigned month, unsigned day) {
  return std::chrono::sys_days(std::chrono::year(year) / month / day);
}

TEST(LintUpstream, CertificateDates) {
  char path[] = "/tmp/weir-lint-XXXXXX";
  ASSERT_GE(mkstemp(path), 0);
  std::ofstream(path) << kPem << kPem;
  const std::string text =
      bootstrap("", "",
                "static_resources: {secrets: [{name: s, tls_certificate: {certificate_chain: {filename: " +
                    std::string(path) + "}}}]}\n")
          .substr(std::string("static_resources: {listeners: [], clusters: []}\n").size());
  auto at = [&](WallTime now) { return lint_text(text, {.now = now}).of("certificate-dates"); };
  const std::string place = "static_resources.secrets[0].tls_certificate.certificate_chain: ";
  EXPECT_EQ(at(day(2126, 11, 3)),
            (Said{place + "certificate 1 of 2 has expired on 2126-11-02; renew it [certificate-dates]",
                  place + "certificate 2 of 2 has expired on 2126-11-02; renew it [certificate-dates]"}));
  EXPECT_EQ(at(day(2126, 11, 1)).front(),
            place + "certificate 1 of 2 expires on 2126-11-02, in 1 day; renew it [certificate-dates]");
  EXPECT_EQ(at(day(2126, 10, 4)).size(), 2u);
  EXPECT_EQ(at(day(2126, 10, 2)), Said{});
  EXPECT_EQ(at(day(2026, 11, 26)).front(), place +
                                               "certificate 1 of 2 is not valid before 2026-11-26; wait until then, or "
                                               "check the clock of this machine [certificate-dates]");
  // One that a file of SDS names.
  char sds[] = "/tmp/weir-lint-sds-XXXXXX";
  ASSERT_GE(mkstemp(sds), 0);
  std::ofstream(sds) << "resources: [{" << kType
                     << "envoy.extensions.transport_sockets.tls.v3.Secret, name: s, tls_certificate: "
                        "{certificate_chain: {filename: "
                     << path << "}}}]\n";
  const std::string upstream =
      cluster("one", {"127.0.0.1"},
              tls_socket("UpstreamTlsContext",
                         "tls_certificate_sds_secret_configs: [{name: s, sds_config: {path_config_source: {path: " +
                             std::string(sds) + "}}}]"));
  EXPECT_EQ(lint_text(bootstrap(listener(kToOne, "", "127.0.0.1"), upstream), {.now = day(2126, 11, 1)})
                .of("certificate-dates")
                .front(),
            kCluster +
                ".transport_socket.typed_config.common_tls_context.tls_certificate_sds_secret_configs[0].sds_config: "
                "certificate 1 "
                "of 2 of secret s in " +
                std::string(sds) + " expires on 2126-11-02, in 1 day; renew it [certificate-dates]");
  std::remove(sds);
  std::remove(path);

  // A bundle is as good as its best.
  EXPECT_EQ(with_cluster(tls_socket("UpstreamTlsContext", "validation_context: {trusted_ca: {filename: /no/such}}"))
                .count("certificate-dates"),
            0u);
}

}  // namespace
}  // namespace weir::config::lint
