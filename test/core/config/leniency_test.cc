// Everything that existing files rely on beyond strict proto3 JSON.
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <gtest/gtest.h>

#include "core/config/rules.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "test/core/config/load_helper.h"
#include "xds/type/v3/typed_struct.pb.h"

namespace weir::config {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::core::v3::Node;
using envoy::config::core::v3::SocketAddress;
using envoy::config::listener::v3::Listener;
using envoy::config::route::v3::RouteAction;
using envoy::config::route::v3::VirtualHost;
using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

constexpr char kTcpProxy[] = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

TEST(Leniency, BothSpellingsOfNames) {
  Loaded<Cluster> a(
      "{connect_timeout: 1s, connectTimeout: null, lbPolicy: RANDOM, outlierDetection: {consecutive5xx: 7}}");
  EXPECT_EQ(a.message.lb_policy(), Cluster::RANDOM);
  EXPECT_EQ(a.message.outlier_detection().consecutive_5xx().value(), 7U);
  Loaded<Cluster> b("{outlier_detection: {consecutive_5xx: 7}}");
  EXPECT_TRUE(b.ok) << b.said();
}

TEST(Leniency, EnumsByNameInAnyCaseOrByNumber) {
  for (const char* text :
       {"{lb_policy: MAGLEV}", "{lb_policy: maglev}", "{lb_policy: Maglev}", "{lb_policy: 5}", "{lb_policy: '5'}"}) {
    Loaded<Cluster> a(text);
    EXPECT_TRUE(a.ok) << a.said();
    EXPECT_EQ(a.message.lb_policy(), Cluster::MAGLEV) << text;
  }
}

TEST(Leniency, Durations) {
  struct Case {
    const char* text;
    int64_t seconds;
    int32_t nanos;
  };
  for (const Case& c : {Case{"5s", 5, 0}, Case{"0.25s", 0, 250000000}, Case{"'1.5s'", 1, 500000000},
                        Case{"-1.5s", -1, -500000000}, Case{"{seconds: 3}", 3, 0},
                        Case{"{seconds: '3', nanos: 5}", 3, 5}, Case{"{}", 0, 0}, Case{"0.000000001s", 0, 1}}) {
    Loaded<Cluster> a("connect_timeout: " + std::string(c.text));
    EXPECT_TRUE(a.ok) << a.said();
    EXPECT_TRUE(a.message.has_connect_timeout());
    EXPECT_EQ(a.message.connect_timeout().seconds(), c.seconds) << c.text;
    EXPECT_EQ(a.message.connect_timeout().nanos(), c.nanos) << c.text;
  }
}

TEST(Leniency, WrappersAreBareValuesOrMessages) {
  for (const char* text : {"5", "'5'", "{value: 5}", "5.0", "0x5", "0o5", "5e0", "+5"}) {
    Loaded<Cluster> a("per_connection_buffer_limit_bytes: " + std::string(text));
    EXPECT_TRUE(a.ok) << a.said();
    EXPECT_EQ(a.message.per_connection_buffer_limit_bytes().value(), 5U) << text;
  }
}

TEST(Leniency, QuotedNumbersAndBooleans) {
  Loaded<SocketAddress> a("{address: a, port_value: '8080', ipv4_compat: 'true'}");
  EXPECT_TRUE(a.ok) << a.said();
  EXPECT_EQ(a.message.port_value(), 8080U);
  EXPECT_TRUE(a.message.ipv4_compat());
  Loaded<SocketAddress> yes("{ipv4_compat: yes}");
  EXPECT_TRUE(yes.ok && yes.message.ipv4_compat());
}

TEST(Leniency, PlainTextIsTakenForTextWhateverItLooksLike) {
  Loaded<Node> a("{id: 007, cluster: true, user_agent_name: 1.50, user_agent_version: 2026-11-22}");
  EXPECT_TRUE(a.ok) << a.said();
  EXPECT_EQ(a.message.id(), "007");
  EXPECT_EQ(a.message.cluster(), "true");
  EXPECT_EQ(a.message.user_agent_name(), "1.50");
  EXPECT_EQ(a.message.user_agent_version(), "2026-11-22");
}

TEST(Leniency, SingleValueForAList) {
  Loaded<VirtualHost> a("{domains: shop.example, routes: {match: {prefix: /}}}");
  EXPECT_TRUE(a.ok) << a.said();
  ASSERT_EQ(a.message.domains_size(), 1);
  EXPECT_EQ(a.message.domains(0), "shop.example");
  ASSERT_EQ(a.message.routes_size(), 1);
  EXPECT_TRUE(a.index.find("domains[0]").exact);
}

TEST(Leniency, NullMeansAbsent) {
  Loaded<Cluster> a("{name: ~, connect_timeout: null, health_checks: null, load_assignment: , metadata: Null}");
  EXPECT_TRUE(a.ok) << a.said();
  EXPECT_EQ(a.message.ByteSizeLong(), 0U);
  // A null does not take part in a oneof.
  Loaded<RouteAction> b("{cluster: a, cluster_header: null}");
  EXPECT_TRUE(b.ok) << b.said();
  EXPECT_EQ(b.message.cluster(), "a");
  Loaded<Node> text("{id: 'null'}");
  EXPECT_EQ(text.message.id(), "null");
}

TEST(Leniency, EmptyMappingIsPresent) {
  Loaded<Cluster> a("{upstream_connection_options: {}}");
  EXPECT_TRUE(a.message.has_upstream_connection_options());
}

TEST(Leniency, StructsFollowThePublishedLoader) {
  Loaded<Node> a(R"(
metadata:
  number: 5
  big: 5000000000
  version: 1.0
  quoted: "5"
  truth: yes
  nothing: ~
  hex: 0x10
  list: [a, 1, true, [x], {y: z}]
  nested: {a.b: {c: d}})");
  EXPECT_TRUE(a.ok) << a.said();
  const auto& fields = a.message.metadata().fields();
  EXPECT_EQ(fields.at("number").number_value(), 5);
  EXPECT_EQ(fields.at("big").string_value(), "5000000000");
  EXPECT_EQ(fields.at("version").string_value(), "1.0");
  EXPECT_EQ(fields.at("quoted").string_value(), "5");
  EXPECT_TRUE(fields.at("truth").bool_value());
  EXPECT_TRUE(fields.at("nothing").has_null_value());
  EXPECT_EQ(fields.at("hex").number_value(), 16);
  EXPECT_EQ(fields.at("list").list_value().values_size(), 5);
  EXPECT_EQ(fields.at("nested").struct_value().fields().at("a.b").struct_value().fields().at("c").string_value(), "d");
  // JSON says itself what is a number.
  Loaded<Node> json(R"({"metadata": {"version": 1.5, "big": 5000000000, "word": "yes"}})", {}, "a.json");
  EXPECT_EQ(json.message.metadata().fields().at("version").number_value(), 1.5);
  EXPECT_EQ(json.message.metadata().fields().at("big").number_value(), 5e9);
  EXPECT_EQ(json.message.metadata().fields().at("word").string_value(), "yes");
}

TEST(Leniency, Maps) {
  Loaded<Cluster> a(R"(
metadata: {filter_metadata: {envoy.lb: {canary: true}, other: {}}}
typed_extension_protocol_options:
  x: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  y: ~)");
  EXPECT_TRUE(a.ok) << a.said();
  EXPECT_TRUE(a.message.metadata().filter_metadata().at("envoy.lb").fields().at("canary").bool_value());
  EXPECT_EQ(a.message.typed_extension_protocol_options().size(), 1U);
  EXPECT_TRUE(a.index.find("metadata.filter_metadata[\"envoy.lb\"].canary").exact);
}

TEST(Leniency, Bytes) {
  for (const char* text : {"aGk/Pz4+", "aGk_Pz4-", "|\n  aGk/\n  Pz4+\n"}) {
    Loaded<envoy::config::core::v3::DataSource> a("inline_bytes: " + std::string(text));
    EXPECT_TRUE(a.ok) << a.said();
    EXPECT_EQ(a.message.inline_bytes(), std::string("hi?") + "?>>");
  }
  Loaded<envoy::config::core::v3::DataSource> padded("inline_bytes: aA==");
  EXPECT_EQ(padded.message.inline_bytes(), "h");
  Loaded<envoy::config::core::v3::DataSource> bare("inline_bytes: aA");
  EXPECT_EQ(bare.message.inline_bytes(), "h");
}

TEST(Leniency, OctalModeAsThePublishedLoaderReadsIt) {
  Loaded<envoy::config::core::v3::Pipe> a("{path: /run/weir.sock, mode: 0644}");
  EXPECT_EQ(a.message.mode(), 0644U);
  EXPECT_EQ(a.said(), "");
}

TEST(Any, TypeFirstLastAndMerged) {
  for (const char* text : {"{'@type': %, stat_prefix: a, cluster: b}", "{stat_prefix: a, '@type': %, cluster: b}",
                           "{stat_prefix: a, cluster: b, '@type': %}"}) {
    std::string config = text;
    config.replace(config.find('%'), 1, kTcpProxy);
    Loaded<Listener> a("filter_chains: {filters: {name: x, typed_config: " + config + "}}");
    EXPECT_TRUE(a.ok) << a.said();
    TcpProxy tcp;
    ASSERT_TRUE(a.message.filter_chains(0).filters(0).typed_config().UnpackTo(&tcp));
    EXPECT_EQ(tcp.cluster(), "b");
    EXPECT_TRUE(a.index.find("filter_chains[0].filters[0].typed_config.cluster").exact);
  }
  Loaded<Listener> merged(std::string("filter_chains:\n- filters:\n  - name: x\n    typed_config: &base {'@type': ") +
                          kTcpProxy + ", stat_prefix: a}\n  - name: y\n    typed_config: {<<: *base, cluster: c}\n");
  EXPECT_TRUE(merged.ok) << merged.said();
  TcpProxy tcp;
  ASSERT_TRUE(merged.message.filter_chains(0).filters(1).typed_config().UnpackTo(&tcp));
  EXPECT_EQ(tcp.stat_prefix() + tcp.cluster(), "ac");
  // What it says itself is nearer, the type as well as the rest; twice it says nothing.
  const std::string own = std::string("'@type': ") + kTcpProxy;
  Loaded<Listener> both(
      "filter_chains:\n- filters:\n  - name: x\n    typed_config: &base {'@type': " + std::string(kTcpProxy) +
      ", stat_prefix: a, cluster: b}\n  - name: y\n    typed_config: {" + own + ", <<: *base, cluster: c}\n");
  EXPECT_TRUE(both.ok) << both.said();
  ASSERT_TRUE(both.message.filter_chains(0).filters(1).typed_config().UnpackTo(&tcp));
  EXPECT_EQ(tcp.stat_prefix() + tcp.cluster(), "ac");
  Loaded<Listener> twice("filter_chains: {filters: {name: x, typed_config: {" + own + ", stat_prefix: a, " + own +
                         "}}}");
  EXPECT_FALSE(twice.ok);
}

TEST(Any, WithoutATypeTheNameMaySayIt) {
  for (const char* config : {"", ", typed_config: {}", ", typed_config: null"}) {
    Loaded<Listener> a("filter_chains: {filters: {name: envoy.filters.network.sni_cluster" + std::string(config) +
                       "}}");
    EXPECT_TRUE(a.ok) << a.said();
    EXPECT_EQ(a.message.filter_chains(0).filters(0).typed_config().type_url(),
              "type.googleapis.com/envoy.extensions.filters.network.sni_cluster.v3.SniCluster")
        << config;
    Loaded<Listener> b("filter_chains: {filters: {name: own" + std::string(config) + "}}");
    EXPECT_FALSE(b.message.filter_chains(0).filters(0).has_typed_config()) << config;
  }
}

TEST(Any, InsideOfAnyAndWellKnownTypes) {
  Loaded<envoy::service::discovery::v3::DiscoveryResponse> a(R"(
resources:
- "@type": type.googleapis.com/google.protobuf.Any
  value: {"@type": type.googleapis.com/google.protobuf.Duration, value: 1.5s}
- "@type": type.googleapis.com/google.protobuf.StringValue
  value: hello
- "@type": type.googleapis.com/google.protobuf.Struct
  value: {a: b}
- "@type": type.googleapis.com/google.protobuf.Empty
- {})");
  EXPECT_TRUE(a.ok) << a.said();
  ASSERT_EQ(a.message.resources_size(), 5);
  google::protobuf::Duration duration;
  ASSERT_TRUE(a.message.resources(0).UnpackTo(&duration));  // an Any around another says no more than that
  EXPECT_EQ(duration.nanos(), 500000000);
  google::protobuf::StringValue text;
  ASSERT_TRUE(a.message.resources(1).UnpackTo(&text));
  EXPECT_EQ(text.value(), "hello");
}

TEST(Any, FieldMasksAndTimes) {
  Loaded<envoy::service::discovery::v3::DiscoveryResponse> a(R"(
resources:
- {"@type": type.googleapis.com/google.protobuf.FieldMask, value: "a.bC,d_e"}
- {"@type": type.googleapis.com/google.protobuf.FieldMask, value: {paths: [x, y]}}
- {"@type": type.googleapis.com/google.protobuf.Timestamp, value: 2026-11-22T14:00:00.5Z}
- {"@type": type.googleapis.com/google.protobuf.Timestamp, value: {seconds: 5}})");
  EXPECT_TRUE(a.ok) << a.said();
  google::protobuf::FieldMask mask;
  ASSERT_TRUE(a.message.resources(0).UnpackTo(&mask));
  ASSERT_EQ(mask.paths_size(), 2);
  EXPECT_EQ(mask.paths(0) + " " + mask.paths(1), "a.b_c d_e");
  ASSERT_TRUE(a.message.resources(1).UnpackTo(&mask));
  EXPECT_EQ(mask.paths_size(), 2);
  google::protobuf::Timestamp time;
  ASSERT_TRUE(a.message.resources(2).UnpackTo(&time));
  EXPECT_EQ(time.seconds(), 1795356000);
  EXPECT_EQ(time.nanos(), 500000000);
}

TEST(Any, TypedStructBecomesItsTypeWhenThatIsKnown) {
  for (const char* outer : {"xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"}) {
    Loaded<Listener> a(
        "filter_chains:\n- filters:\n  - name: x\n    typed_config:\n      value: {stat_prefix: a, "
        "max_connect_attempts: 3}\n"
        "      type_url: " +
        std::string(kTcpProxy) + "\n      '@type': type.googleapis.com/" + outer + "\n");
    EXPECT_TRUE(a.ok) << a.said();
    TcpProxy tcp;
    ASSERT_TRUE(a.message.filter_chains(0).filters(0).typed_config().UnpackTo(&tcp));
    EXPECT_EQ(tcp.max_connect_attempts().value(), 3U);
    EXPECT_TRUE(a.index.find("filter_chains[0].filters[0].typed_config.stat_prefix").exact);
  }
  Loaded<Listener> nested(
      "filter_chains:\n- filters:\n  - name: x\n    typed_config:\n      '@type': "
      "type.googleapis.com/xds.type.v3.TypedStruct\n"
      "      type_url: type.googleapis.com/udpa.type.v1.TypedStruct\n      value: {type_url: " +
      std::string(kTcpProxy) + ", value: {stat_prefix: deep}}\n");
  EXPECT_TRUE(nested.ok) << nested.said();
  TcpProxy deep;
  ASSERT_TRUE(nested.message.filter_chains(0).filters(0).typed_config().UnpackTo(&deep));
  EXPECT_EQ(deep.stat_prefix(), "deep");
  Loaded<Listener> unknown(
      "filter_chains:\n- filters:\n  - name: x\n    typed_config:\n      '@type': "
      "type.googleapis.com/xds.type.v3.TypedStruct\n"
      "      type_url: type.googleapis.com/acme.Filter\n      value: {depth: 3}\n");
  EXPECT_TRUE(unknown.ok) << unknown.said();
  xds::type::v3::TypedStruct kept;
  ASSERT_TRUE(unknown.message.filter_chains(0).filters(0).typed_config().UnpackTo(&kept));
  EXPECT_EQ(kept.type_url(), "type.googleapis.com/acme.Filter");
  EXPECT_EQ(kept.value().fields().at("depth").number_value(), 3);
}

TEST(Any, UnknownTypesMayBeWarnings) {
  LoadOptions options;
  options.unknown_types = OnUnknown::kWarn;
  Loaded<Listener> a("metadata: {typed_filter_metadata: {x: {'@type': type.googleapis.com/acme.X, a: [b]}}}", options);
  EXPECT_TRUE(a.ok);
  EXPECT_EQ(a.diagnostics.warnings(), 1U);
  EXPECT_EQ(a.message.metadata().typed_filter_metadata().at("x").type_url(), "type.googleapis.com/acme.X");
}

TEST(Aliases, AnchorsAndMergeKeys) {
  Loaded<> a(R"(
static_resources:
  clusters:
  - &base
    name: one
    connect_timeout: 1s
    circuit_breakers: &breakers {thresholds: [{max_retries: 7}]}
  - <<: *base
    name: two
  - name: three
    circuit_breakers: *breakers
    <<: [{lb_policy: RANDOM, connect_timeout: 9s}, *base]
)");
  EXPECT_TRUE(a.ok) << a.said();
  const auto& clusters = a.message.static_resources().clusters();
  ASSERT_EQ(clusters.size(), 3);
  EXPECT_EQ(clusters[1].name(), "two");
  EXPECT_EQ(clusters[1].connect_timeout().seconds(), 1);
  EXPECT_EQ(clusters[1].circuit_breakers().thresholds(0).max_retries().value(), 7U);
  EXPECT_EQ(clusters[2].name(), "three");
  EXPECT_EQ(clusters[2].connect_timeout().seconds(), 9);
  EXPECT_EQ(clusters[2].lb_policy(), Cluster::RANDOM);
  EXPECT_EQ(clusters[2].circuit_breakers().thresholds(0).max_retries().value(), 7U);
}

TEST(Aliases, ScalarsNestedAndRedefined) {
  Loaded<Node> a(
      "{id: &x one, cluster: *x, user_agent_name: &x two, user_agent_version: *x, metadata: {a: &y {b: &z [c]}, d: *y, "
      "e: *z}}");
  EXPECT_TRUE(a.ok) << a.said();
  EXPECT_EQ(a.message.cluster(), "one");
  EXPECT_EQ(a.message.user_agent_version(), "two");
  const auto& fields = a.message.metadata().fields();
  EXPECT_EQ(fields.at("d").struct_value().fields().at("b").list_value().values(0).string_value(), "c");
  EXPECT_EQ(fields.at("e").list_value().values_size(), 1);
}

TEST(Aliases, TwoMergeKeysAndWhatTheyShare) {
  // The file's own keys win, then the `<<` that comes first in the file.
  Loaded<Cluster> a("{<<: {name: a, alt_stat_name: a}, <<: {name: b, connect_timeout: 2s}, alt_stat_name: own}");
  EXPECT_TRUE(a.ok) << a.said();
  EXPECT_EQ(a.message.name(), "a");
  EXPECT_EQ(a.message.alt_stat_name(), "own");
  EXPECT_EQ(a.message.connect_timeout().seconds(), 2);
}

TEST(Aliases, KeysTaggedIgnoreHoldAnchorsOnly) {
  Loaded<> a(R"(
!ignore shared:
- &timeout 3s
- &breakers {thresholds: [{max_retries: 7}], "@type": nonsense}
static_resources:
  !ignore clusterz: [oops]
  clusters:
  - {name: a, connect_timeout: *timeout, metadata: {filter_metadata: {x: {!ignore y: &z [1], w: *z}}}}
)");
  EXPECT_TRUE(a.ok) << a.said();
  EXPECT_EQ(a.message.static_resources().clusters(0).connect_timeout().seconds(), 3);
  const auto& fields = a.message.static_resources().clusters(0).metadata().filter_metadata().at("x").fields();
  EXPECT_EQ(fields.size(), 1U);
  EXPECT_EQ(fields.at("w").list_value().values_size(), 1);
  // Elsewhere the tag means nothing.
  Loaded<Node> value("{id: !ignore x}");
  EXPECT_EQ(value.message.id(), "x");
}

TEST(Yaml, TabsThatAreNoIndentation) {
  Loaded<Node> a("id:\tone\ncluster: \t two\t# comment\nlocality: {\tregion:\teu\t}\n");
  EXPECT_TRUE(a.ok) << a.said();
  EXPECT_EQ(a.message.id() + a.message.cluster() + a.message.locality().region(), "onetwoeu");
}

TEST(Yaml, MarkersOfOneDocument) {
  for (const char* text :
       {"---\nid: a\n", "%YAML 1.1\n---\nid: a\n", "# comment\n--- # more\nid: a\n...\n", "id: a\n..."}) {
    Loaded<Node> a(text);
    EXPECT_TRUE(a.ok) << text << a.said();
    EXPECT_EQ(a.message.id(), "a");
  }
}

TEST(Yaml, LineEndsOfWindowsAndBlockTexts) {
  Loaded<Node> a("\xEF\xBB\xBFid: a\r\ncluster: |\r\n  one\r\n  two\r\nuser_agent_name: >-\r\n  x\r\n  y\r\n");
  EXPECT_TRUE(a.ok) << a.said();
  EXPECT_EQ(a.message.cluster(), "one\ntwo\n");
  EXPECT_EQ(a.message.user_agent_name(), "x y");
}

TEST(Json, TakesAByteOrderMarkAndIsFoundByItsText) {
  for (const char* name : {"a.json", "a.yaml", "a.conf", "--config-yaml"}) {
    Loaded<Node> a("\xEF\xBB\xBF {\"id\":\t\"a\"} \n", {}, name);
    EXPECT_TRUE(a.ok) << name << a.said();
    EXPECT_EQ(a.message.id(), "a");
  }
}

TEST(Extensions, ANameAloneStandsForTheDefaults) {
  Loaded<Listener> a(R"(
listener_filters:
- name: envoy.filters.listener.tls_inspector
- {name: envoy.listener.original_dst, typed_config: ~}
filter_chains:
- filters: [{name: envoy.filters.network.echo}]
  transport_socket: {name: envoy.transport_sockets.raw_buffer}
access_log: [{name: envoy.access_loggers.stdout}])");
  EXPECT_TRUE(a.ok) << a.said();
  const auto type_of = [](const google::protobuf::Any& any) { return any.type_url(); };
  const std::string prefix = "type.googleapis.com/envoy.extensions.";
  EXPECT_EQ(type_of(a.message.listener_filters(0).typed_config()),
            prefix + "filters.listener.tls_inspector.v3.TlsInspector");
  EXPECT_EQ(type_of(a.message.listener_filters(1).typed_config()),
            prefix + "filters.listener.original_dst.v3.OriginalDst");
  EXPECT_EQ(type_of(a.message.filter_chains(0).filters(0).typed_config()), prefix + "filters.network.echo.v3.Echo");
  EXPECT_EQ(type_of(a.message.filter_chains(0).transport_socket().typed_config()),
            prefix + "transport_sockets.raw_buffer.v3.RawBuffer");
  EXPECT_EQ(type_of(a.message.access_log(0).typed_config()), prefix + "access_loggers.stream.v3.StdoutAccessLog");
}

// To servers the settings of TLS may all be left out, as published; to clients it needs a certificate.
TEST(Extensions, TlsByNameIsTlsToServers) {
  Loaded<Cluster> cluster("transport_socket: {name: envoy.transport_sockets.tls}");
  EXPECT_EQ(cluster.message.transport_socket().typed_config().type_url(),
            "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext");
  Loaded<Listener> listener("filter_chains: [{transport_socket: {name: envoy.transport_sockets.tls}}]");
  EXPECT_FALSE(listener.message.filter_chains(0).transport_socket().has_typed_config());
}

TEST(Extensions, WithATypeTheNameMeansNothing) {
  Loaded<Listener> a(
      std::string("filter_chains: {filters: [{name: envoy.filters.network.echo, typed_config: {'@type': ") + kTcpProxy +
      ", stat_prefix: a, cluster: b}}]}");
  EXPECT_TRUE(a.ok) << a.said();
  EXPECT_TRUE(a.message.filter_chains(0).filters(0).typed_config().Is<TcpProxy>());
  Loaded<Listener> discovered(
      "filter_chains: {filters: [{name: envoy.filters.network.echo, config_discovery: {config_source: {ads: {}}}}]}");
  EXPECT_TRUE(discovered.message.filter_chains(0).filters(0).has_config_discovery());
}

TEST(Extensions, WhatNeedsSettingsOrProtectsHasNoDefaults) {
  Loaded<Listener> a(
      "filter_chains:\n"
      "- filters:\n"
      "  - {name: envoy.filters.network.rbac}\n"
      "  - {name: acme}\n"
      "  - {}\n"
      "  - {name: b, typed_confg: {}}\n"
      "  transport_socket: {name: envoy.transport_sockets.tls}\n"
      "listener_filters: {name: envoy.filters.listener.tls_inspecter}\n");
  validate(a.message, a.index, a.diagnostics);
  EXPECT_EQ(
      a.said(),
      "a.yaml:3:5: error: filter_chains[0].filters[0].typed_config: is required; add \"@type\": "
      "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC\n"
      "a.yaml:4:5: error: filter_chains[0].filters[1].typed_config: is required; its \"@type\" says which extension "
      "this is; the name does not\n"
      "a.yaml:5:5: error: filter_chains[0].filters[2].name: is required\n"
      "a.yaml:6:15: error: filter_chains[0].filters[3].typed_confg: unknown field; did you mean typed_config?\n"
      "a.yaml:7:3: error: filter_chains[0].transport_socket.typed_config: is required; add \"@type\": "
      "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\n"
      "a.yaml:8:19: error: listener_filters[0].typed_config: is required; did you mean the name "
      "envoy.filters.listener.tls_inspector?\n6 errors\n");
}

TEST(Bootstrap, OverlayFollowsMergeFrom) {
  envoy::config::bootstrap::v3::Bootstrap message;
  PositionIndex index;
  Diagnostics diagnostics;
  const std::string path = ::testing::TempDir() + "weir_merge_test.json";
  std::FILE* file = std::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fputs(R"({"node": {"id": "a", "metadata": {"x": 1, "y": 2}, "locality": {"region": "eu"}},
                 "stats_flush_interval": "5s", "stats_flush_on_admin": true})",
             file);
  std::fclose(file);
  // Messages merge, a oneof takes the later branch, entries of maps are replaced, false and "" do not override.
  EXPECT_TRUE(load_bootstrap(
      {path, "{node: {id: '', metadata: {y: {deep: 1}}, locality: {zone: z}}, stats_flush_interval: 7s}", {}}, message,
      index, diagnostics))
      << diagnostics.text();
  EXPECT_EQ(message.node().id(), "a");
  EXPECT_EQ(message.node().metadata().fields().at("x").number_value(), 1);
  EXPECT_TRUE(message.node().metadata().fields().at("y").has_struct_value());
  EXPECT_EQ(message.node().locality().region() + message.node().locality().zone(), "euz");
  EXPECT_EQ(message.stats_flush_interval().seconds(), 7);
  EXPECT_TRUE(message.stats_flush_on_admin());
  std::remove(path.c_str());
}

TEST(Bootstrap, ErrorsOfTheOverlayNameTheFlag) {
  envoy::config::bootstrap::v3::Bootstrap message;
  PositionIndex index;
  Diagnostics diagnostics;
  EXPECT_FALSE(load_bootstrap({"", "node: {idd: a}", {}}, message, index, diagnostics));
  EXPECT_EQ(diagnostics.text(), "--config-yaml:1:8: error: node.idd: unknown field; did you mean id?\n1 error\n");
}

TEST(Bootstrap, OverlayIsMerged) {
  const std::string path = ::testing::TempDir() + "weir_overlay_test.yaml";
  std::FILE* file = std::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fputs(
      "node: {id: a, cluster: b}\nstatic_resources:\n  clusters:\n  - {name: one, connect_timeout: 1s}\n  - {name: "
      "two}\n",
      file);
  std::fclose(file);
  envoy::config::bootstrap::v3::Bootstrap message;
  PositionIndex index;
  Diagnostics diagnostics;
  EXPECT_TRUE(load_bootstrap({path, "node: {id: c}\nstatic_resources: {clusters: [{name: three}]}", {}}, message, index,
                             diagnostics))
      << diagnostics.text();
  EXPECT_EQ(message.node().id(), "c");
  EXPECT_EQ(message.node().cluster(), "b");
  ASSERT_EQ(message.static_resources().clusters_size(), 3);
  EXPECT_EQ(message.static_resources().clusters(2).name(), "three");
  EXPECT_EQ(index.find("static_resources.clusters[2].name").file, "--config-yaml");
  EXPECT_EQ(index.find("static_resources.clusters[1].name").file, path);
  EXPECT_EQ(index.find("static_resources.clusters[1].name").line, 5);
  EXPECT_EQ(index.find("node.id").file, "--config-yaml");
  EXPECT_EQ(index.find("node.cluster").file, path);
  // Its items are counted behind those of the file, and what is wrong with one is said once.
  Diagnostics wrong;
  envoy::config::bootstrap::v3::Bootstrap other;
  PositionIndex other_index;
  EXPECT_FALSE(load_bootstrap({path, "static_resources: {clusters: [{name: x, lb_policy: NOPE, lb_subset: {}}]}", {}},
                              other, other_index, wrong));
  EXPECT_EQ(wrong.errors(), 2u) << wrong.text();
  for (const Diagnostic& one : wrong.items()) {
    if (one.severity != Severity::kError) continue;
    EXPECT_TRUE(one.path.starts_with("static_resources.clusters[2].lb_")) << one.path;
    EXPECT_EQ(one.file, "--config-yaml");
  }
  std::remove(path.c_str());
}

TEST(Bootstrap, MissingFile) {
  envoy::config::bootstrap::v3::Bootstrap message;
  PositionIndex index;
  Diagnostics diagnostics;
  EXPECT_FALSE(load_bootstrap({"/nonexistent/edge.yaml", "", {}}, message, index, diagnostics));
  EXPECT_EQ(diagnostics.text(),
            "/nonexistent/edge.yaml: error: cannot be opened: No such file or directory\n1 error\n");
}

}  // namespace
}  // namespace weir::config
