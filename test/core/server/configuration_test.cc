#include "core/server/configuration.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/stream/log_writer.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"

namespace weir::server {
namespace {

class NumberedSlots final : public SlotNames {
 public:
  event::SlotId intern(event::SlotKind kind, std::string_view name) override {
    auto& names = names_[static_cast<size_t>(kind)];
    auto [it, fresh] = names.try_emplace(std::string(name), static_cast<uint32_t>(names.size()));
    return {kind, it->second};
  }
  RouteSlot route_slot(const std::string& key, uint64_t) override { return {key, nullptr}; }

 private:
  std::map<std::string, uint32_t> names_[event::kSlotKinds];
};

const std::string kFilters = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.";

class ConfigurationTest : public testing::Test {
 protected:
  ConfigurationTest() {
    filter::RegistryBuilder builder;
    register_built_in_plugins(builder);
    registry_ = builder.build();
  }
  // What is said about a bootstrap, a line each, without places in the file.
  std::string load(const std::string& yaml) {
    options_.config_yaml = yaml;
    config::Diagnostics diagnostics;
    bootstrap_.Clear();
    configuration_ = load_configuration(options_, registry_, store_, slots_, bootstrap_, diagnostics);
    std::string said;
    for (const auto& item : diagnostics.items()) {
      said += item.severity == config::Severity::kError ? "error: " : "warning: ";
      said += (item.path.starts_with(kFilters) ? item.path.substr(kFilters.size()) : item.path) + ": " + item.message;
      said += '\n';
    }
    return said;
  }
  // A bootstrap with a connection manager; `hcm` are further fields of it, `filters` entries before the router.
  static std::string with(const std::string& filters, const std::string& hcm = "", const std::string& route = "") {
    return "static_resources: {listeners: [{name: in, address: {socket_address: {address: 127.0.0.1, port_value: 1}}, "
           "filter_chains: [{filters: [{name: hcm, typed_config: {\"@type\": "
           "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, "
           "stat_prefix: in, " +
           hcm + "route_config: {virtual_hosts: [{name: all, domains: [\"*\"], routes: [{match: {prefix: /}, " + route +
           "direct_response: {status: 200}}]}]}, http_filters: [" + filters +
           "{name: router, typed_config: {\"@type\": "
           "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}}]}]}]}";
  }
  static std::string one(const std::string& name, const std::string& type, const std::string& more = "") {
    return "{name: " + name + ", " + more + "typed_config: {\"@type\": type.googleapis.com/" + type + "}}, ";
  }

  Options options_;
  filter::Registry registry_;
  stats::Store store_;
  NumberedSlots slots_;
  envoy::config::bootstrap::v3::Bootstrap bootstrap_;
  Configuration configuration_;
};

TEST_F(ConfigurationTest, AnUnknownFilterIsAnError) {
  EXPECT_EQ(load(with("")), "");
  EXPECT_EQ(
      load(with(one("f", "acme.Frobnicator"))),
      "error: http_filters[0].typed_config: unknown type acme.Frobnicator; --unknown-extensions passthrough leaves "
      "it out\n");
  EXPECT_EQ(load(with(one("f", "envoy.extensions.filters.http.bufer.v3.Buffer"))),
            "error: http_filters[0].typed_config: unknown type envoy.extensions.filters.http.bufer.v3.Buffer; did you "
            "mean envoy.extensions.filters.http.buffer.v3.Buffer?\n");
  // Known to the API, but no filter.
  EXPECT_EQ(load(with(one("f", "envoy.config.core.v3.Locality"))),
            "error: http_filters[0].typed_config: envoy.config.core.v3.Locality is not an HTTP filter of this "
            "build; weir --list-extensions shows what it has\n");
}

TEST_F(ConfigurationTest, ThePlaceIsThatOfTheType) {
  options_.config_yaml = with("\n  " + one("f", "acme.Frobnicator"));
  config::Diagnostics diagnostics;
  load_configuration(options_, registry_, store_, slots_, bootstrap_, diagnostics);
  ASSERT_EQ(diagnostics.items().size(), 1u);
  EXPECT_EQ(diagnostics.items()[0].line, 2);
  EXPECT_EQ(diagnostics.items()[0].column, 37);
}

TEST_F(ConfigurationTest, WhatWouldLeaveItOutIsSaid) {
  constexpr std::string_view kFlag = "--unknown-extensions";
  for (const char* type : {"acme.Frobnicator", "envoy.extensions.filters.http.mcp.v3.Mcp"})
    EXPECT_NE(load(with(one("f", type))).find(kFlag), std::string::npos) << type;
  // It would not, or something else is to be done.
  for (const char* type : {"acme.ExtAuthz", "envoy.config.core.v3.Locality",
                           "envoy.extensions.filters.http.ruoter.v3.Router", "envoy.filters.http.router"})
    EXPECT_EQ(load(with(one("f", type))).find(kFlag), std::string::npos) << type;
}

TEST_F(ConfigurationTest, AnOptionalFilterIsLeftOut) {
  EXPECT_EQ(load(with(one("f", "acme.Frobnicator", "is_optional: true, "))),
            "warning: http_filters[0].typed_config: unknown type acme.Frobnicator; this HTTP filter is left out, as "
            "is_optional allows\n");
  // One of this build is there, optional or not.
  EXPECT_EQ(load(with("{name: b, is_optional: true, typed_config: {\"@type\": "
                      "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer, max_request_bytes: 10}}, ")),
            "");
  EXPECT_NE(load(with(one("b", "envoy.extensions.filters.http.buffer.v3.Buffer", "is_optional: true, "))), "");
}

const char* const kFilterF =
    "{name: f, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer, "
    "max_request_bytes: 10}}, ";

TEST_F(ConfigurationTest, PassthroughLeavesOutWhateverIsUnknown) {
  options_.passthrough_unknown_extensions = true;
  EXPECT_EQ(load(with(one("f", "acme.Frobnicator") +
                          "{name: istio.stats, typed_config: {\"@type\": type.googleapis.com/udpa.type.v1.TypedStruct, "
                          "type_url: type.googleapis.com/stats.PluginConfig, value: {a: 1}}}, ",
                      "access_log: [" + one("l", "acme.Logger") + "], ",
                      "typed_per_filter_config: {f: {\"@type\": type.googleapis.com/acme.PerRoute}}, ")),
            "warning: http_filters[0].typed_config: unknown type acme.Frobnicator; this HTTP filter is left out, as "
            "--unknown-extensions passthrough allows\n"
            "warning: http_filters[1].typed_config: unknown type stats.PluginConfig; this HTTP filter is left out, as "
            "--unknown-extensions passthrough allows\n"
            "warning: access_log[0].typed_config: unknown type acme.Logger; this access logger is left out, as "
            "--unknown-extensions passthrough allows\n"
            "warning: route_config.virtual_hosts[0].routes[0].typed_per_filter_config.f: unknown type acme.PerRoute; "
            "this per-route configuration of an HTTP filter is left out, as --unknown-extensions passthrough allows\n");
}

TEST_F(ConfigurationTest, WhatMayAuthoriseIsNeverLeftOut) {
  options_.passthrough_unknown_extensions = true;
  for (const char* type : {"acme.rbac.Filter", "acme.ExtAuthz", "acme.JwtThing", "acme.OAuth2",
                           "acme.local_ratelimit.X", "acme.rate_limit.X", "acme.Csrf", "acme.basic_auth.X",
                           "acme.ApiKey", "acme.api_key.X", "acme.wasm.v3.Wasm", "acme.ExternalProcessor"}) {
    std::string said = load(with(one("f", type)));
    EXPECT_EQ(said.find("error: http_filters[0].typed_config: unknown type " + std::string(type) +
                        "; not left out, although --unknown-extensions passthrough would allow it: \""),
              0u)
        << said;
  }
  // The name says it, too, and is_optional makes no difference.
  std::string said = load(with(one("corp-authz", "acme.Filter", "is_optional: true, ")));
  EXPECT_EQ(said,
            "error: http_filters[0].typed_config: unknown type acme.Filter; not left out, although is_optional would "
            "allow it: \"auth\" in its name says that it may decide who or what gets through\n");
  EXPECT_EQ(load(with("{name: f, typed_config: {\"@type\": type.googleapis.com/xds.type.v3.TypedStruct, type_url: "
                      "type.googleapis.com/acme.Rbac, value: {}}}, "))
                .find("error: http_filters[0].typed_config: unknown type acme.Rbac; not left out"),
            0u);
  EXPECT_EQ(
      load(with(kFilterF, "", "typed_per_filter_config: {f: {\"@type\": type.googleapis.com/acme.JwtPerRoute}}, "))
          .find("error: route_config"),
      0u);
}

// field: Listener.listener_filters, ListenerFilter.name, ListenerFilter.typed_config
TEST_F(ConfigurationTest, TheFilterThatServesIsNeverLeftOut) {
  options_.passthrough_unknown_extensions = true;
  EXPECT_EQ(
      load("static_resources: {listeners: [{name: in, address: {socket_address: {address: 127.0.0.1, port_value: 1}}, "
           "filter_chains: [{filters: [" +
           one("a", "acme.First") + one("b", "acme.Second") + "]}], listener_filters: [" + one("l", "acme.Inspector") +
           "]}]}"),
      "warning: static_resources.listeners[0].listener_filters[0].typed_config: unknown type acme.Inspector; this "
      "listener filter is left out, as --unknown-extensions passthrough allows\n"
      "warning: static_resources.listeners[0].filter_chains[0].filters[0].typed_config: unknown type acme.First; this "
      "network filter is left out, as --unknown-extensions passthrough allows\n"
      "error: static_resources.listeners[0].filter_chains[0].filters[1].typed_config: unknown type acme.Second; it "
      "cannot be left out: the last network filter is the one that serves\n");
}

TEST_F(ConfigurationTest, ElsewhereAnUnknownTypeStaysAnError) {
  options_.passthrough_unknown_extensions = true;
  const std::string cluster = "static_resources: {clusters: [{name: c, ";
  const std::string kNoEndpoints =
      "warning: static_resources.clusters[0].load_assignment: the cluster has no endpoints; it answers every request "
      "with 503\n";
  EXPECT_EQ(
      load(cluster + "load_balancing_policy: {policies: [{typed_extension_config: {name: p, typed_config: "
                     "{\"@type\": type.googleapis.com/acme.Balancer}}}]}}]}"),
      kNoEndpoints +
          "error: static_resources.clusters[0].load_balancing_policy.policies[0].typed_extension_config.typed_config: "
          "unknown type acme.Balancer\n");
  EXPECT_EQ(load(cluster + "transport_socket: {name: t, typed_config: {\"@type\": type.googleapis.com/acme.Tls}}}]}"),
            kNoEndpoints +
                "error: static_resources.clusters[0].transport_socket.typed_config: acme.Tls is no transport socket "
                "of this build for clusters; there are: "
                "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport, "
                "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport, "
                "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer, "
                "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n");
  EXPECT_EQ(load(cluster + "transport_socket: {name: t, typed_config: {\"@type\": "
                           "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContxt}}}]}"),
            kNoEndpoints +
                "error: static_resources.clusters[0].transport_socket.typed_config: unknown type "
                "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContxt; did you mean "
                "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext?\n");
}

// What is left out is given to no filter: nothing has to fit.
TEST_F(ConfigurationTest, UnknownTypesNeedNotFitTheirFilter) {
  options_.passthrough_unknown_extensions = true;
  EXPECT_EQ(load(with(one("g", "acme.v1.Filter") + kFilterF, "",
                      "typed_per_filter_config: {f: {\"@type\": type.googleapis.com/acme.PerRoute}, g: {\"@type\": "
                      "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute, disabled: true}}, "))
                .find("error"),
            std::string::npos);
}

TEST_F(ConfigurationTest, PerRouteIsOptional) {
  auto route = [](const std::string& more) {
    return "typed_per_filter_config: {f: {\"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, " + more +
           "config: {\"@type\": type.googleapis.com/acme.PerRoute}}}, ";
  };
  EXPECT_EQ(load(with(kFilterF, "", route("is_optional: true, "))),
            "warning: route_config.virtual_hosts[0].routes[0].typed_per_filter_config.f.config: unknown type "
            "acme.PerRoute; this per-route configuration of an HTTP filter is left out, as is_optional allows\n");
  EXPECT_EQ(load(with(kFilterF, "", route(""))),
            "error: route_config.virtual_hosts[0].routes[0].typed_per_filter_config.f.config: unknown type "
            "acme.PerRoute; --unknown-extensions passthrough leaves it out\n");
}

TEST_F(ConfigurationTest, CopiesOfRequestsDoNotPassTheFiltersOfTheirCluster) {
  const std::string type = "{\"@type\": type.googleapis.com/envoy.extensions.";
  const std::string clusters =
      "static_resources: {clusters: [{name: c, lb_policy: ROUND_ROBIN, load_assignment: {cluster_name: c, endpoints: "
      "[{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]}, "
      "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: " +
      type + "upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http_protocol_options: {}}, ";
  const std::string codec =
      "http_filters: [{name: codec, typed_config: " + type + "filters.http.upstream_codec.v3.UpstreamCodec}}], ";
  const std::string mirror = "request_mirror_policies: [{cluster: c}]}}}]}";
  EXPECT_EQ(load(clusters + mirror), "");
  EXPECT_EQ(
      load(clusters + codec + mirror),
      "warning: static_resources.clusters[0].typed_extension_protocol_options[\"envoy.extensions.upstreams.http.v3."
      "HttpProtocolOptions\"].request_mirror_policies[0].cluster: \"c\" has http_filters, which copies of requests "
      "do not pass yet\n");
}

// As published: the fields of a cluster that are older than its typed options count only without those.
TEST_F(ConfigurationTest, TypedProtocolOptionsAloneCount) {
  const auto cluster = [](const std::string& older, const std::string& typed) {
    return "static_resources: {clusters: [{name: c, lb_policy: ROUND_ROBIN, load_assignment: {cluster_name: c, "
           "endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: "
           "1}}}}]}]}, " +
           older +
           ", typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {\"@type\": "
           "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, " +
           typed + "}}}]}";
  };
  const std::string http1 = "explicit_http_config: {http_protocol_options: {}}";
  const std::string older =
      "common_http_protocol_options: {max_requests_per_connection: 7, idle_timeout: 5s}, http2_protocol_options: {}, "
      "upstream_http_protocol_options: {auto_sni: true}, protocol_selection: USE_DOWNSTREAM_PROTOCOL, "
      "http_protocol_options: {send_fully_qualified_url: true}";
  std::string expected;
  for (const char* field : {"common_http_protocol_options", "upstream_http_protocol_options", "http_protocol_options",
                            "http2_protocol_options", "protocol_selection"})
    expected += "warning: static_resources.clusters[0]." + std::string(field) +
                ": has no effect beside the HttpProtocolOptions of typed_extension_protocol_options; write it there\n";
  EXPECT_EQ(load(cluster(older, http1)), expected);
  const upstream::ClusterSpec& spec = configuration_.clusters.at(0).spec;
  EXPECT_EQ(spec.protocol, upstream::HttpProtocol::kHttp1);
  EXPECT_EQ(spec.max_requests_per_connection, upstream::ClusterSpec().max_requests_per_connection);
  EXPECT_EQ(spec.idle_timeout, upstream::ClusterSpec().idle_timeout);
  EXPECT_FALSE(spec.auto_names.server_name);
  EXPECT_FALSE(spec.h1.options.absolute_form);
  // This one does, where the typed options do not say it.
  EXPECT_EQ(load(cluster("max_requests_per_connection: 3", http1)), "");
  EXPECT_EQ(configuration_.clusters.at(0).spec.max_requests_per_connection, 3u);
  EXPECT_EQ(load(cluster("max_requests_per_connection: 3",
                         http1 + ", common_http_protocol_options: {max_requests_per_connection: 4}")),
            "");
  EXPECT_EQ(configuration_.clusters.at(0).spec.max_requests_per_connection, 4u);
}

TEST_F(ConfigurationTest, TheCommandLineOverridesTheNode) {
  const std::string node = "node: {id: i, cluster: c, locality: {region: r, zone: z}}";
  load(node);
  EXPECT_EQ(bootstrap_.node().id() + bootstrap_.node().cluster() + bootstrap_.node().locality().zone(), "icz");
  options_.service_node = "I";
  options_.service_cluster = "C";
  options_.service_zone = "Z";
  load(node);
  EXPECT_EQ(bootstrap_.node().id() + bootstrap_.node().cluster() + bootstrap_.node().locality().zone(), "ICZ");
  EXPECT_EQ(bootstrap_.node().locality().region(), "r");
  options_ = {};
  load("static_resources: {}");
  EXPECT_FALSE(bootstrap_.has_node());
}

// A typing error costs one line, not one more for what it made missing.
TEST_F(ConfigurationTest, MistakesOfLoadingAndOfTranslatingTogether) {
  EXPECT_EQ(
      load("admin: {address: [1]}\nstatic_resources: {clusters: [{nam: c, type: EDS}, {name: d, lb_policy: "
           "CLUSTER_PROVIDED}]}"),
      "error: admin.address: a mapping with the fields of Address is expected here, not a list\n"
      "error: static_resources.clusters[0].nam: unknown field; did you mean name?\n"
      "warning: static_resources.clusters[1].load_assignment: the cluster has no endpoints; it answers every "
      "request with 503\n"
      "error: static_resources.clusters[0].type: EDS is not supported by weir yet; STATIC, STRICT_DNS, "
      "LOGICAL_DNS and ORIGINAL_DST are\n"
      "error: static_resources.clusters[1].lb_policy: CLUSTER_PROVIDED is for clusters of a type that chooses hosts "
      "by itself; this one has ROUND_ROBIN, LEAST_REQUEST, RING_HASH, MAGLEV and RANDOM\n");
}

// field: Bootstrap.watchdogs, Watchdogs.main_thread_watchdog, Watchdogs.worker_watchdog, Watchdog.miss_timeout
// field: Watchdog.megamiss_timeout, Watchdog.kill_timeout, Watchdog.max_kill_timeout_jitter
// field: Watchdog.multikill_timeout, Watchdog.multikill_threshold
TEST_F(ConfigurationTest, WatchdogsOfMainAndOfWorkers) {
  EXPECT_EQ(load("watchdogs: {main_thread_watchdog: {miss_timeout: 1s, megamiss_timeout: 2s}, worker_watchdog: "
                 "{kill_timeout: 3s, max_kill_timeout_jitter: 4s, multikill_timeout: 5s, multikill_threshold: "
                 "{value: 60}}}"),
            "");
  EXPECT_EQ(configuration_.watchdog.main.miss, 1s);
  EXPECT_EQ(configuration_.watchdog.main.mega_miss, 2s);
  EXPECT_EQ(configuration_.watchdog.main.kill, 0s);
  const WatchdogLimits& workers = configuration_.watchdog.workers;
  EXPECT_EQ(workers.miss, 200ms);
  EXPECT_EQ(workers.mega_miss, 1s);
  EXPECT_EQ(workers.kill, 3s);
  EXPECT_EQ(workers.kill_jitter, 4s);
  EXPECT_EQ(workers.multikill, 5s);
  EXPECT_EQ(workers.multikill_share, 0.6);
  EXPECT_EQ(load("watchdogs: {worker_watchdog: {actions: [{event: MISS}]}}"),
            "error: watchdogs.worker_watchdog.actions: not supported by weir; weir says itself, in its log, what a "
            "thread that is stuck does\n");
}

// field: Bootstrap.watchdog
TEST_F(ConfigurationTest, OneWatchdogForAll) {
  load("watchdog: {miss_timeout: 1s}");
  EXPECT_EQ(configuration_.watchdog.main.miss, 1s);
  EXPECT_EQ(configuration_.watchdog.workers.miss, 1s);
}

TEST_F(ConfigurationTest, LoadingTouchesNoLogFile) {
  std::string path = testing::TempDir() + "weir-untouched-" + std::to_string(getpid()) + ".log";
  const std::string type = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
  auto log = [&](const std::string& at) {
    return "access_log: [{name: l, typed_config: {\"@type\": type.googleapis.com/" + type + ", path: " + at + "}}], ";
  };
  EXPECT_EQ(load(with("", log(path))), "");
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(load(with("", log("/no/such/directory/a.log"))),
            "error: access_log[0].typed_config.path: cannot open /no/such/directory/a.log for writing: No such file or "
            "directory\n");
  EXPECT_TRUE(stream::LogWriter::process().flush(Duration::zero()));  // no thread was started
}

}  // namespace
}  // namespace weir::server
