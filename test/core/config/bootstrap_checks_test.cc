// Names that refer to nothing, and settings that cannot do what they are for. The same as whole files, with routes:
// test/golden/config/whole.
#include "core/config/bootstrap_checks.h"

#include <gtest/gtest.h>

#include "core/config/rules.h"
#include "test/core/config/load_helper.h"

namespace weir::config {
namespace {

// A cluster with a name, in one line of the text.
std::string cluster(const std::string& name, const std::string& more = "") {
  return "  - {name: " + name + ", load_assignment: {cluster_name: " + name +
         ", endpoints: [{lb_endpoints: [{endpoint: {}}]}]}" + more + "}\n";
}

std::string checked(const std::string& text) {
  Loaded<> loaded(text);
  std::vector<Reference> references;
  ValidateOptions options;
  options.references = &references;
  validate(loaded.message, loaded.index, loaded.diagnostics, options);
  const size_t found = loaded.diagnostics.items().size();
  check_bootstrap(loaded.message, references, loaded.index, loaded.diagnostics);
  loaded.diagnostics.drop_consequences(found, loaded.index);
  return loaded.said();
}

constexpr char kTcpProxy[] =
    "  listeners:\n"
    "  - filter_chains:\n"
    "    - filters:\n"
    "      - name: x\n"
    "        typed_config:\n"
    "          '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy\n"
    "          stat_prefix: a\n";

TEST(BootstrapChecks, NamesTwice) {
  EXPECT_EQ(checked("static_resources:\n  clusters:\n" + cluster("a") + cluster("b") + cluster("a") +
                    "  listeners: [{name: l}, {name: l}, {}, {}]\n  secrets: [{name: s}, {name: s}]\n"),
            "a.yaml:5:12: error: clusters[2].name: \"a\" is the name of clusters[0] (a.yaml:3) too\n"
            "a.yaml:6:33: error: listeners[1].name: \"l\" is the name of listeners[0] (a.yaml:6) too\n"
            "a.yaml:7:31: error: secrets[1].name: \"s\" is the name of secrets[0] (a.yaml:7) too\n3 errors\n");
}

// field: Bootstrap.default_regex_engine
TEST(BootstrapChecks, TheRegexEngineIsRe2) {
  const std::string head = "default_regex_engine:\n  name: x\n  typed_config: {'@type': type.googleapis.com/envoy.";
  EXPECT_EQ(checked(head + "extensions.regex_engines.v3.GoogleRE2}\n"), "");
  EXPECT_EQ(
      checked(head + "extensions.filters.http.router.v3.Router}\n"),
      "a.yaml:3:3: error: default_regex_engine.typed_config: envoy.extensions.filters.http.router.v3.Router is no "
      "engine that weir has; regular expressions are those of RE2: envoy.extensions.regex_engines.v3.GoogleRE2\n"
      "1 error\n");
}

TEST(BootstrapChecks, ClustersThatAreNotThere) {
  const std::string head = "static_resources:\n  clusters:\n" + cluster("api_v2") + kTcpProxy;
  EXPECT_EQ(checked(head + "          cluster: api_v2\n"), "");
  EXPECT_EQ(
      checked(head + "          cluster: api-v2\n"),
      "a.yaml:11:20: warning: listeners[0]...filters[0].typed_config.cluster: \"api-v2\" is not a cluster of this "
      "configuration; what needs it will fail; nearest: \"api_v2\" (a.yaml:3)\n1 warning\n");
  EXPECT_EQ(
      checked(head + "          weighted_clusters: {clusters: [{name: api_v2, weight: 1}, {name: zzz, weight: 1}]}\n"),
      "a.yaml:11:76: warning: listeners[0]...weighted_clusters.clusters[1].name: \"zzz\" is not a cluster of this "
      "configuration; what needs it will fail\n1 warning\n");
  // It may come over CDS.
  EXPECT_EQ(
      checked(head + "          cluster: api-v2\ndynamic_resources: {cds_config: {path_config_source: {path: x}}}\n"),
      "");
}

TEST(BootstrapChecks, NothingAboutNamesThatAnErrorMayHide) {
  EXPECT_EQ(checked("static_resources:\n  clusters: [{nmae: api-v2}]\n" + std::string(kTcpProxy) +
                    "          cluster: api-v2\n"),
            "a.yaml:2:15: error: clusters[0].nmae: unknown field; did you mean name?\n1 error\n");
  EXPECT_EQ(checked("static_resources:\n  clsters: [{name: api-v2}]\n" + std::string(kTcpProxy) +
                    "          cluster: api-v2\n"),
            "a.yaml:2:3: error: clsters: unknown field; did you mean clusters?\n1 error\n");
}

// Of weir's own requests, what routes are told.
TEST(BootstrapChecks, ServicesThatAreNotThere) {
  const std::string head =
      "static_resources:\n  clusters:\n" + cluster("auth") +
      "  listeners:\n"
      "  - filter_chains:\n"
      "    - filters:\n"
      "      - name: x\n"
      "        typed_config:\n"
      "          '@type': type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz\n";
  const std::string http = "          http_service: {server_uri: {uri: x, timeout: 1s, cluster: ";
  const std::string grpc = "          grpc_service: {envoy_grpc: {cluster_name: ";
  EXPECT_EQ(checked(head + http + "auth}}\n"), "");
  EXPECT_EQ(checked(head + http + "aut}}\n"),
            "a.yaml:10:69: error: listeners[0]...http_service.server_uri.cluster: \"aut\" is not a cluster of this "
            "configuration; nearest: \"auth\" (a.yaml:3)\n1 error\n");
  EXPECT_EQ(checked(head + grpc + "auth}}\n"),
            "a.yaml:10:53: warning: listeners[0]...grpc_service.envoy_grpc.cluster_name: \"auth\" speaks HTTP/1.1, and "
            "gRPC needs HTTP/2: every call will fail; give the cluster HttpProtocolOptions with explicit_http_config: "
            "{http2_protocol_options: {}}\n1 warning\n");
  EXPECT_EQ(checked(head + grpc + "aut}}\n"),
            "a.yaml:10:53: error: listeners[0]...grpc_service.envoy_grpc.cluster_name: \"aut\" is not a cluster of "
            "this configuration; nearest: \"auth\" (a.yaml:3)\n1 error\n");
  EXPECT_EQ(checked(head + http + "aut}}\ndynamic_resources: {cds_config: {path_config_source: {path: x}}}\n"), "");
}

TEST(BootstrapChecks, ClustersOfGrpcSpeakHttp2) {
  const std::string options =
      ", typed_extension_protocol_options: {o: {'@type': "
      "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, ";
  const auto said = [&](const std::string& more) {
    return checked("static_resources:\n  clusters:\n" + cluster("auth", more) +
                   "  listeners:\n"
                   "  - filter_chains:\n"
                   "    - filters:\n"
                   "      - name: x\n"
                   "        typed_config:\n"
                   "          '@type': type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz\n"
                   "          grpc_service: {envoy_grpc: {cluster_name: auth}}\n");
  };
  for (const char* good : {"explicit_http_config: {http2_protocol_options: {}}}}", "auto_config: {}}}",
                           "use_downstream_protocol_config: {}}}"})
    EXPECT_EQ(said(options + good), "") << good;
  EXPECT_EQ(said(", http2_protocol_options: {}"), "");
  EXPECT_EQ(said(", protocol_selection: USE_DOWNSTREAM_PROTOCOL"), "");
  EXPECT_NE(said(options + "explicit_http_config: {http_protocol_options: {}}}}").find("gRPC needs HTTP/2"),
            std::string::npos);
}

TEST(BootstrapChecks, ControlPlanes) {
  const std::string ads =
      "dynamic_resources:\n  ads_config:\n    api_type: GRPC\n    grpc_services: {envoy_grpc: {cluster_name: xds}}\n";
  EXPECT_EQ(
      checked(ads + "static_resources:\n  clusters:\n" + cluster("xds_cluster")),
      "a.yaml:4:48: error: dynamic_resources...grpc_services[0].envoy_grpc.cluster_name: \"xds\" is not a cluster of "
      "this configuration\n1 error\n");
  EXPECT_EQ(
      checked(ads + "static_resources:\n  clusters:\n" +
              cluster("xds", ", type: EDS, eds_cluster_config: {eds_config: {ads: {}}}")),
      "a.yaml:4:48: error: dynamic_resources...grpc_services[0].envoy_grpc.cluster_name: \"xds\" gets its endpoints "
      "over EDS, and cannot carry the connection they come over; use a cluster of type STATIC, STRICT_DNS or "
      "LOGICAL_DNS\n1 error\n");
  EXPECT_EQ(checked(ads + "static_resources:\n  clusters:\n" +
                    cluster("xds", ", type: EDS, eds_cluster_config: {eds_config: {path_config_source: {path: x}}}")),
            "");
  EXPECT_EQ(
      checked("dynamic_resources: {lds_config: {api_config_source: {api_type: REST, cluster_names: [xsd]}}}\n"
              "cluster_manager: {local_cluster_name: here}\n"
              "static_resources:\n  clusters:\n" +
              cluster("xds")),
      "a.yaml:1:86: error: dynamic_resources.lds_config.api_config_source.cluster_names[0]: \"xsd\" is not a cluster "
      "of this configuration; nearest: \"xds\" (a.yaml:5)\n"
      "a.yaml:2:39: error: cluster_manager.local_cluster_name: \"here\" is not a cluster of this configuration\n"
      "2 errors\n");
}

TEST(BootstrapChecks, Secrets) {
  const auto context = [](const std::string& config) {
    return "static_resources:\n"
           "  secrets: [{name: server_cert}]\n"
           "  clusters:\n" +
           cluster("a",
                   ", transport_socket: {name: tls, typed_config: {'@type': "
                   "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext,\n"
                   " common_tls_context: {tls_certificate_sds_secret_configs: [" +
                       config + "]}}}");
  };
  EXPECT_EQ(checked(context("{name: server_cert}")), "");
  EXPECT_EQ(checked(context("{name: other, sds_config: {ads: {}}}")), "");
  EXPECT_EQ(checked(context("{name: server-cert}")),
            "a.yaml:5:67: error: clusters[0]...common_tls_context.tls_certificate_sds_secret_configs[0].name: "
            "\"server-cert\" is not in static_resources.secrets; nearest: \"server_cert\" (a.yaml:2)\n1 error\n");
  EXPECT_EQ(
      checked(context("{name: other}")),
      "a.yaml:5:67: error: clusters[0]...common_tls_context.tls_certificate_sds_secret_configs[0].name: \"other\" is "
      "not in static_resources.secrets; add it there, or an sds_config here that says where it comes from\n1 error\n");
}

TEST(BootstrapChecks, LoadAssignmentsAreNamedAfterTheirCluster) {
  EXPECT_EQ(
      checked("static_resources: {clusters: [{name: a, type: EDS, load_assignment: {cluster_name: b}}]}"),
      "a.yaml:1:84: warning: clusters[0].load_assignment.cluster_name: \"b\" is not the name of this cluster, \"a\"; "
      "nothing reads it here\n1 warning\n");
}

TEST(BootstrapChecks, ClustersThatCanAnswerNothing) {
  const std::string said =
      "load_assignment: the cluster has no endpoints; it answers every request with 503\n1 warning\n";
  EXPECT_EQ(checked("static_resources: {clusters: [{name: a}]}"), "a.yaml:1:31: warning: clusters[0]." + said);
  EXPECT_EQ(checked("static_resources: {clusters: [{name: a, type: STRICT_DNS, load_assignment: {cluster_name: a}}]}"),
            "a.yaml:1:59: warning: clusters[0]." + said);
  EXPECT_EQ(checked("static_resources: {clusters: [{name: a, type: ORIGINAL_DST}]}"), "");
  EXPECT_EQ(checked("static_resources: {clusters: [{name: a, cluster_type: {name: b}}]}"), "");
}

TEST(BootstrapChecks, ThresholdsOfOnePriority) {
  EXPECT_EQ(
      checked("static_resources:\n  clusters:\n" +
              cluster("a", ",\n  circuit_breakers: {thresholds: [{}, {priority: HIGH}, {max_retries: 1}]}")),
      "a.yaml:4:57: warning: clusters[0].circuit_breakers.thresholds[2]: has no effect: thresholds[0] is for the same "
      "priority, and the first counts; set priority\n1 warning\n");
}

TEST(BootstrapChecks, OutlierDetectionThatCanEjectNobody) {
  const auto with = [](int hosts, const std::string& detection) {
    std::string endpoints;
    for (int i = 0; i < hosts; ++i) {
      endpoints += "{endpoint: {}}, ";
    }
    return checked("static_resources: {clusters: [{name: a, outlier_detection: {" + detection +
                   "}, load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [" + endpoints + "]}]}}]}");
  };
  EXPECT_EQ(
      with(4, ""),
      "a.yaml:1:41: warning: clusters[0].outlier_detection: with 4 hosts and max_ejection_percent 10 no host can ever "
      "be ejected; set always_eject_one_host or 25\n1 warning\n");
  EXPECT_EQ(with(4, "max_ejection_percent: 25"), "");
  EXPECT_EQ(with(10, ""), "");
  EXPECT_EQ(with(4, "always_eject_one_host: true"), "");
  EXPECT_EQ(with(4, "}, type: STRICT_DNS, cleanup_interval: 5s, upstream_bind_config: {"), "")
      << "a name is many hosts";
  EXPECT_NE(with(3, "max_ejection_percent: 33").find("set always_eject_one_host or 34"), std::string::npos);
}

}  // namespace
}  // namespace weir::config
