#include "core/base/log.h"
#include "envoy/config/core/v3/base.pb.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "test/core/server/admin/fake_source.h"

namespace weir::admin {
namespace {

class EndpointsTest : public AdminTest {
 protected:
  void SetUp() override {
    auto& resources = *source_.bootstrap_.mutable_static_resources();
    resources.add_clusters()->set_name("api");
    resources.add_clusters()->set_name("web");
    resources.add_listeners()->set_name("ingress");
    auto* metadata = source_.bootstrap_.mutable_node()->mutable_metadata()->mutable_fields();
    (*metadata)["api_token"].set_string_value("TOP");
    start();
  }
  static std::string without_spaces(std::string text) {
    std::erase_if(text, [](char c) { return c == ' ' || c == '\n'; });
    return text;
  }
};

TEST_F(EndpointsTest, Ready) {
  EXPECT_EQ(get("/ready"), "LIVE\n");
  for (auto [state, name] : {std::pair{ServerState::kDraining, "DRAINING\n"},
                             {ServerState::kInitializing, "INITIALIZING\n"},
                             {ServerState::kPreInitializing, "PRE_INITIALIZING\n"}}) {
    source_.state_ = state;
    std::string response = exchange("GET", "/ready");
    EXPECT_EQ(status_of(response), 503);
    EXPECT_EQ(body_of(response), name);
  }
}

TEST_F(EndpointsTest, ServerInfo) {
  source_.state_ = ServerState::kDraining;
  std::string response = exchange("GET", "/server_info");
  EXPECT_NE(response.find("content-type: application/json\r\n"), std::string::npos);
  std::string body = body_of(response);
  for (const char* part :
       {"\"version\": \"abc/0.1.0/Clean/RELEASE/none\"", "\n \"weir\": {\"last_reload\": null}\n}\n",
        "\"state\": \"DRAINING\"", "\"uptime_current_epoch\": \"12s\"", "\"uptime_all_epochs\": \"12s\"",
        "\"hot_restart_version\": \"disabled\"", "\"concurrency\": 2", "\"config_yaml\": \"[redacted]\"",
        "\"id\": \"node-1\"", "\"api_token\": \"[redacted]\""}) {
    EXPECT_NE(body.find(part), std::string::npos) << part << body;
  }
}

TEST_F(EndpointsTest, Runtime) {
  EXPECT_EQ(status_of(exchange("POST", "/runtime_modify?a=1")), 503);
  std::vector<runtime::Layer> layers(2);
  layers[0] = {"base", false, {{"a.b", {"5", {}}}, {"c", {"x\"y", {}}}}};
  layers[1] = {"admin", true, {}};
  source_.runtime_.set(layers);
  EXPECT_EQ(post("/runtime_modify?a.b=7&d=1"), "OK\n");
  EXPECT_EQ(
      without_spaces(get("/runtime")),
      R"({"layers":["base","admin"],"entries":{"a.b":{"final_value":"7","layer_values":["5","7"]},)"
      R"("c":{"final_value":"x\"y","layer_values":["x\"y",""]},"d":{"final_value":"1","layer_values":["","1"]}}})");
  EXPECT_EQ(
      body_of(exchange("POST", "/runtime_modify", "content-type: application/x-www-form-urlencoded\r\n", "a.b=&d=")),
      "OK\n");
  EXPECT_NE(get("/runtime").find(R"("final_value": "5")"), std::string::npos);
  EXPECT_EQ(get("/runtime").find(R"("d")"), std::string::npos);
  EXPECT_EQ(status_of(exchange("GET", "/runtime_modify?a=1")), 405);
  EXPECT_EQ(status_of(exchange("POST", "/runtime_modify")), 400);
  EXPECT_EQ(status_of(exchange("POST", "/runtime_modify?=1")), 400);
}

TEST_F(EndpointsTest, ServerInfoTellsOfTheLastReload) {
  auto tail = [&] {
    std::string body = get("/server_info");
    return body.substr(body.find("\"weir\""));
  };
  source_.reload_ = {WallTime(Duration(1'700'000'000'123'456'789)), ""};
  EXPECT_EQ(tail(), "\"weir\": {\"last_reload\": {\"ok\": true, \"at\": \"2023-11-14T22:13:20.123Z\"}}\n}\n");
  source_.reload_->error = "a.yaml:1:2: error: \"x\"\n1 error\n";
  EXPECT_EQ(tail(),
            "\"weir\": {\"last_reload\": {\"ok\": false, \"at\": \"2023-11-14T22:13:20.123Z\", \"error\": "
            "\"a.yaml:1:2: error: \\\"x\\\"\\n1 error\\n\"}}\n}\n");
}

TEST_F(EndpointsTest, EveryEndpointHasJson) {
  source_.tags_ = {{"pod", "a"}};
  source_.runtime_.set({{"admin", true, {}}});
  for (const auto& [path, endpoint] : server_->endpoints()) {
    bool change = endpoint.options.access == Access::kChange;
    std::string response =
        exchange(change ? "POST" : "GET", path + (path == "/runtime_modify" ? "?a=1&format=json" : "?format=json"));
    const bool missing = path == "/heapprofiler" || path == "/tap";
    EXPECT_EQ(status_of(response), missing ? 501 : path == "/cpuprofiler" ? 400 : 200) << path;
    EXPECT_NE(response.find("content-type: application/json\r\n"), std::string::npos) << path;
    google::protobuf::Struct parsed;
    auto status = google::protobuf::util::JsonStringToMessage(body_of(response), &parsed);
    EXPECT_TRUE(status.ok()) << path << ": " << status.ToString() << "\n" << body_of(response);
  }
  source_.state_ = ServerState::kDraining;
  std::string ready = exchange("GET", "/ready?format=json");
  EXPECT_EQ(status_of(ready), 503);
  EXPECT_EQ(body_of(ready), "{\"state\":\"DRAINING\"}\n");
  EXPECT_EQ(get("/live"), "OK\n");
}

TEST_F(EndpointsTest, Clusters) {
  EXPECT_EQ(get("/clusters"),
            "api::observability_name::api\n"
            "api::default_priority::max_connections::10\n"
            "api::default_priority::max_pending_requests::1024\n"
            "api::default_priority::max_requests::1024\n"
            "api::default_priority::max_retries::3\n"
            "api::high_priority::max_connections::1024\n"
            "api::high_priority::max_pending_requests::1024\n"
            "api::high_priority::max_requests::1024\n"
            "api::high_priority::max_retries::3\n"
            "api::added_via_api::false\n"
            "api::10.0.0.1:80::cx_active::0\n"
            "api::10.0.0.1:80::cx_connect_fail::0\n"
            "api::10.0.0.1:80::cx_total::0\n"
            "api::10.0.0.1:80::rq_active::0\n"
            "api::10.0.0.1:80::rq_error::0\n"
            "api::10.0.0.1:80::rq_success::0\n"
            "api::10.0.0.1:80::rq_timeout::0\n"
            "api::10.0.0.1:80::rq_total::7\n"
            "api::10.0.0.1:80::hostname::a.example\n"
            "api::10.0.0.1:80::health_flags::healthy\n"
            "api::10.0.0.1:80::weight::1\n"
            "api::10.0.0.1:80::region::eu\n"
            "api::10.0.0.1:80::zone::\n"
            "api::10.0.0.1:80::sub_zone::\n"
            "api::10.0.0.1:80::canary::false\n"
            "api::10.0.0.1:80::priority::0\n"
            "api::10.0.0.1:80::success_rate::-1\n"
            "api::10.0.0.1:80::local_origin_success_rate::-1\n"
            "api::10.0.0.2:80::cx_active::0\n"
            "api::10.0.0.2:80::cx_connect_fail::0\n"
            "api::10.0.0.2:80::cx_total::0\n"
            "api::10.0.0.2:80::rq_active::0\n"
            "api::10.0.0.2:80::rq_error::0\n"
            "api::10.0.0.2:80::rq_success::0\n"
            "api::10.0.0.2:80::rq_timeout::0\n"
            "api::10.0.0.2:80::rq_total::0\n"
            "api::10.0.0.2:80::hostname::a.example\n"
            "api::10.0.0.2:80::health_flags::/failed_eds_health\n"
            "api::10.0.0.2:80::weight::3\n"
            "api::10.0.0.2:80::region::eu\n"
            "api::10.0.0.2:80::zone::\n"
            "api::10.0.0.2:80::sub_zone::\n"
            "api::10.0.0.2:80::canary::true\n"
            "api::10.0.0.2:80::priority::0\n"
            "api::10.0.0.2:80::success_rate::-1\n"
            "api::10.0.0.2:80::local_origin_success_rate::-1\n");
  std::string json = without_spaces(get("/clusters?format=json"));
  for (
      const char* part :
      {R"({"cluster_statuses":[{"name":"api","host_statuses":[{"address":{"socket_address":{"address":"10.0.0.1","port_value":80}},"stats":[{"type":"GAUGE","name":"cx_active"},{"name":"cx_connect_fail"})",
       R"({"value":"7","name":"rq_total"})",
       R"("health_status":{"eds_health_status":"HEALTHY"},"weight":1,"hostname":"a.example","locality":{"region":"eu"})",
       R"("eds_health_status":"UNHEALTHY")", R"("circuit_breakers":{"thresholds":[{"max_connections":10,)",
       R"({"priority":"HIGH")"}) {
    EXPECT_NE(json.find(part), std::string::npos) << part << "\n" << json;
  }
  EXPECT_EQ(get("/clusters?format=xml"), "format: \"xml\" is not one of text, json\n");
}

TEST_F(EndpointsTest, ClustersOfSeveralSlices) {
  const std::string one = get("/clusters"), one_json = without_spaces(get("/clusters?format=json"));
  const auto renamed = [](std::string text, const std::string& from, const std::string& to) {
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
      text.replace(at, from.size(), to);
    return text;
  };
  source_.two_clusters_ = true;
  EXPECT_EQ(get("/clusters"), one + renamed(renamed(one, "api::", "web::"), "_web::", "_api::").replace(25, 3, "web"));
  // {"cluster_statuses":[...]}
  const std::string list = one_json.substr(0, one_json.size() - 2);
  const std::string head = "{\"cluster_statuses\":[";
  ASSERT_TRUE(list.starts_with(head));
  EXPECT_EQ(without_spaces(get("/clusters?format=json")),
            list + "," + renamed(list.substr(head.size()), "\"api\"", "\"web\"") + "]}");
}

TEST_F(EndpointsTest, Listeners) {
  EXPECT_EQ(get("/listeners"), "web::127.0.0.1:10000\nweb::[::1]:10000\n");
  EXPECT_EQ(
      without_spaces(get("/listeners?format=json")),
      R"({"listener_statuses":[{"name":"web","local_address":{"socket_address":{"address":"127.0.0.1","port_value":10000}},)"
      R"("additional_local_addresses":[{"socket_address":{"address":"::1","port_value":10000}}]}]})");
}

TEST_F(EndpointsTest, CpuProfiler) {
  EXPECT_EQ(status_of(exchange("GET", "/cpuprofiler?enable=y")), 405);
  EXPECT_EQ(source_.actions_, "");
  EXPECT_EQ(post("/cpuprofiler?enable=n"), "OK\n");
  EXPECT_EQ(post("/cpuprofiler?enable=y"), "OK\n");
  EXPECT_EQ(post("/cpuprofiler?enable=n"), "OK\n");
  EXPECT_EQ(source_.actions_, "no-profile profile write ");
  for (const char* query : {"", "?enable", "?enable=yes", "?enable=Y"})
    EXPECT_EQ(status_of(exchange("POST", std::string("/cpuprofiler") + query)), 400) << query;
  EXPECT_EQ(post("/cpuprofiler?enable=yes"),
            "enable: \"yes\" is not allowed; y begins a profile, n ends and writes it\n");
  source_.profile_error_ = invalid("admin.profile_path is not there");
  std::string response = exchange("POST", "/cpuprofiler?enable=y");
  EXPECT_EQ(status_of(response), 400);
  EXPECT_EQ(body_of(response), "admin.profile_path is not there\n");
  source_.profile_error_ = absl::OkStatus();
  post("/cpuprofiler?enable=y");
  source_.profile_error_ = unavailable("/full: No space left on device");
  response = exchange("POST", "/cpuprofiler?enable=n&format=json");
  EXPECT_EQ(status_of(response), 500);
  EXPECT_EQ(body_of(response), "{\"error\":\"/full: No space left on device\"}\n");
}

TEST_F(EndpointsTest, MessagesForPrometheus) {
  const std::string wants =
      "accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
      "text/plain;q=0.3\r\n";
  for (const char* path : {"/stats/prometheus?filter=test.rq", "/stats?format=prometheus&filter=test.rq"}) {
    const std::string response = exchange("GET", path, wants);
    EXPECT_NE(response.find("content-type: application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
                            "encoding=delimited\r\n"),
              std::string::npos);
    // A family of 36 bytes: its name, its type, one series with a counter of 7.
    constexpr char kFamily[] =
        "\x24\x0a\x13"
        "envoy_test_rq_total"
        "\x18\x00\x22\x0b\x1a\x09\x09\x00\x00\x00\x00\x00\x00\x1c\x40";
    EXPECT_EQ(body_of(response), std::string(kFamily, sizeof kFamily - 1));
  }
  EXPECT_EQ(exchange("GET", "/stats/prometheus?filter=test.rq").find("protobuf"), std::string::npos);
  // What is no scrape for Prometheus is what it was.
  EXPECT_EQ(body_of(exchange("GET", "/stats?filter=test.rq", wants)), "test.rq_total: 7\n");
  // Native buckets are for messages; text has those that it can have.
  EXPECT_EQ(get("/stats/prometheus?filter=test.rq&histogram_buckets=prometheusnative"),
            get("/stats/prometheus?filter=test.rq"));
  EXPECT_EQ(status_of(exchange("GET", "/stats/prometheus?histogram_buckets=disjoint")), 400);
  source_.store_.histogram("test.time");
  for (std::string_view path : {"/stats/prometheus?", "/stats?format=prometheus&"})
    EXPECT_TRUE(get(std::string(path) + "filter=test.time&histogram_buckets=summary")
                    .starts_with("# TYPE envoy_test_time summary\n"));
  EXPECT_EQ(status_of(exchange("GET", "/stats?histogram_buckets=prometheusnative")), 400);
  EXPECT_EQ(get("/stats?filter=test&histogram_buckets=none"), get("/stats?filter=test&histogram_buckets=summary"));
}

TEST_F(EndpointsTest, Stats) {
  source_.store_.gauge("test.level").set(3);
  EXPECT_EQ(get("/stats?filter=^test"), "test.level: 3\ntest.rq_total: 7\n");
  EXPECT_EQ(get("/stats?filter=rq_t.*l$&usedonly"), "http.admin.downstream_rq_total: 2\ntest.rq_total: 7\n");
  EXPECT_EQ(get("/stats?filter=^test&type=Gauges"), "test.level: 3\n");
  EXPECT_EQ(get("/stats?filter=^test&type=counters"), "test.rq_total: 7\n");
  EXPECT_EQ(get("/stats?filter=^test&format=json"),
            R"({"stats":[{"name":"test.level","value":3},{"name":"test.rq_total","value":7}]})");
  std::string prometheus = exchange("GET", "/stats/prometheus?filter=test.rq");
  EXPECT_NE(prometheus.find("content-type: text/plain; version=0.0.4; charset=utf-8"), std::string::npos);
  EXPECT_NE(body_of(prometheus).find("# TYPE envoy_test_rq_total counter\nenvoy_test_rq_total{} 7\n"),
            std::string::npos)
      << prometheus;
  EXPECT_EQ(get("/stats?format=prometheus&filter=test.rq"), body_of(prometheus));
  EXPECT_EQ(get("/stats?filter=a[").substr(0, 8), "filter: ");
  EXPECT_EQ(status_of(exchange("GET", "/stats?filter=a)(b")), 400);
  EXPECT_EQ(status_of(exchange("GET", "/stats?format=x")), 400);
  EXPECT_EQ(status_of(exchange("GET", "/stats?type=x")), 400);
  source_.tags_ = {{"pod", "a\"b"}};
  EXPECT_EQ(get("/stats?filter=^test.rq&format=json"),
            R"({"stats":[{"name":"test.rq_total","value":7}],"weir":{"tags":{"pod":"a\"b"}}})");
  EXPECT_NE(get("/stats/prometheus?filter=test.rq").find("\nenvoy_test_rq_total{pod=\"a\\\"b\"} 7\n"),
            std::string::npos);
  EXPECT_EQ(post("/reset_counters"), "OK\n");
  EXPECT_EQ(get("/stats?filter=^test"), "test.level: 3\ntest.rq_total: 0\n");
}

TEST_F(EndpointsTest, StatsAsAPage) {
  source_.store_.gauge("test.<level>").set(3);
  auto histogram = source_.store_.histogram("test.time");
  histogram.record(7);
  const std::string response = exchange("GET", "/stats?format=html&filter=^test.[%3C%22t]&histogram_buckets=detailed");
  EXPECT_NE(response.find("content-type: text/html; charset=UTF-8\r\n"), std::string::npos);
  EXPECT_NE(response.find("content-security-policy: default-src 'none';"), std::string::npos);
  const auto has = [&](std::string_view text) { EXPECT_NE(response.find(text), std::string::npos) << response; };
  has("<input name=\"filter\" value=\"^test.[&lt;&quot;t]\">");
  has("<option selected>detailed</option>");
  has("<tr><td>test.&lt;level&gt;</td><td>3</td></tr>");
  has("<tr><td>test.time</td><td><br>totals=7,1:1<br>intervals=<br>summary=P0(nan,7) ");
  EXPECT_EQ(response.find("rq_total"), std::string::npos);
  EXPECT_EQ(status_of(exchange("GET", "/stats/prometheus?format=html")), 400);
}

TEST_F(EndpointsTest, RecentLookups) {
  EXPECT_EQ(get("/stats/recentlookups"),
            "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\ntotal: 0\n");
  EXPECT_EQ(status_of(exchange("GET", "/stats/recentlookups/enable")), 405);
  EXPECT_EQ(post("/stats/recentlookups/enable"), "OK\n");
  EXPECT_EQ(get("/stats/recentlookups"), "   Count Lookup\n\ntotal: 0\n");
  EXPECT_EQ(post("/stats/recentlookups/clear"), "OK\n");
  EXPECT_EQ(get("/stats/recentlookups?format=json"), "{\"enabled\":true,\"lookups\":[],\"total\":0}\n");
  EXPECT_EQ(post("/stats/recentlookups/disable"), "OK\n");
  EXPECT_NE(get("/stats/recentlookups").find("not enabled"), std::string::npos);
}

TEST_F(EndpointsTest, ConfigDump) {
  std::string dump = without_spaces(get("/config_dump"));
  EXPECT_EQ(
      dump,
      R"({"configs":[{"@type":"type.googleapis.com/envoy.admin.v3.BootstrapConfigDump","bootstrap":{"node":{"id":"node-1",)"
      R"("metadata":{"api_token":"[redacted]"}},"static_resources":{"listeners":[{"name":"ingress"}],"clusters":[{"name":"api"},{"name":"web"}]}},)"
      R"("last_updated":"2023-11-14T22:13:20.123Z"},)"
      R"({"@type":"type.googleapis.com/envoy.admin.v3.ClustersConfigDump","static_clusters":[)"
      R"({"cluster":{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"api"},"last_updated":"2023-11-14T22:13:20.123Z"},)"
      R"({"cluster":{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"web"},"last_updated":"2023-11-14T22:13:20.123Z"}]},)"
      R"({"@type":"type.googleapis.com/envoy.admin.v3.ListenersConfigDump","dynamic_listeners":[{"name":"ingress","active_state":{"version_info":"7",)"
      R"("listener":{"@type":"type.googleapis.com/envoy.config.listener.v3.Listener","name":"ingress"},"last_updated":"2023-11-14T22:13:20.123Z"}}]},)"
      R"({"@type":"type.googleapis.com/envoy.admin.v3.RoutesConfigDump"},{"@type":"type.googleapis.com/envoy.admin.v3.SecretsConfigDump"}]})");
  EXPECT_EQ(
      without_spaces(get("/config_dump?resource=static_clusters&name_regex=w.*")),
      R"({"configs":[{"@type":"type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster","cluster":{"@type":)"
      R"("type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"web"},"last_updated":"2023-11-14T22:13:20.123Z"}]})");
  EXPECT_EQ(
      without_spaces(get("/config_dump?resource=static_clusters&mask=cluster.name")),
      R"({"configs":[{"@type":"type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster","cluster":{"@type":)"
      R"("type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"api"}},{"@type":"type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster",)"
      R"("cluster":{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"web"}}]})");
  EXPECT_NE(get("/config_dump?mask=bootstrap.node.id").find("\"id\": \"node-1\""), std::string::npos);
  EXPECT_EQ(get("/config_dump?mask=bootstrap.node.id").find("static_resources"), std::string::npos);
  EXPECT_TRUE(get("/config_dump?resource=static_clusters&mask=cluster,nope.name")
                  .starts_with("mask: \"nope\" is not one of cluster, "));
  EXPECT_EQ(
      without_spaces(get("/config_dump?include_eds&resource=static_endpoint_configs&mask=endpoint_config")),
      R"({"configs":[{"@type":"type.googleapis.com/envoy.admin.v3.EndpointsConfigDump.StaticEndpointConfig","endpoint_config":{)"
      R"("@type":"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment","cluster_name":"api","endpoints":[{)"
      R"("locality":{"region":"eu"},"lb_endpoints":[{"endpoint":{"address":{"socket_address":{"address":"10.0.0.1","port_value":80}},)"
      R"("hostname":"a.example"},"health_status":"HEALTHY","metadata":{"filter_metadata":{"envoy.lb":{"stage":["a",1]}}},)"
      R"("load_balancing_weight":1},{"endpoint":{"address":{"socket_address":{"address":"10.0.0.2","port_value":80}},)"
      R"("hostname":"a.example"},"health_status":"UNHEALTHY","metadata":{"filter_metadata":{"envoy.lb":{"canary":true}}},)"
      R"("load_balancing_weight":3}]}]}}]})");
  EXPECT_EQ(get("/config_dump?include_eds&name_regex=w.*").find("10.0.0.1"), std::string::npos);
  EXPECT_EQ(status_of(exchange("GET", "/config_dump?resource=x")), 404);
  EXPECT_EQ(status_of(exchange("GET", "/config_dump?name_regex=[")), 400);
}

TEST_F(EndpointsTest, Logging) {
  log::set_level(log::Level::kWarning);
  std::string levels = get("/logging");
  EXPECT_EQ(levels.substr(0, 35), "active loggers:\n  config: warning\n ");
  EXPECT_NE(levels.find("\n  net: warning\n"), std::string::npos);
  EXPECT_NE(post("/logging?level=debug").find("\n  net: debug\n"), std::string::npos);
  EXPECT_NE(post("/logging?net=err").find("\n  net: error\n"), std::string::npos);
  levels = post("/logging?paths=net:info,server:trace");
  EXPECT_NE(levels.find("\n  net: info\n"), std::string::npos);
  EXPECT_NE(levels.find("\n  server: trace\n"), std::string::npos);
  EXPECT_NE(levels.find("\n  log: debug\n"), std::string::npos);
  EXPECT_EQ(status_of(exchange("GET", "/logging?level=info")), 405);
  EXPECT_EQ(post("/logging?level=loud"),
            "level: \"loud\" is not one of trace, debug, info, warning, error, critical, off\n");
  EXPECT_EQ(post("/logging?paths=net:trace,x:debug").substr(0, 40), "x: not a component; there are config, dy");
  EXPECT_EQ(post("/logging?net").substr(0, 25), "net: \"\" is not one of tra");
  EXPECT_EQ(get("/logging"), levels);  // what was wrong changed nothing
  EXPECT_NE(get("/logging?format=json").find("\"net\":\"info\""), std::string::npos);
  log::set_level(log::Level::kInfo);
}

TEST_F(EndpointsTest, SmallOnes) {
  EXPECT_EQ(get("/hot_restart_version"), "disabled\n");
  EXPECT_EQ(without_spaces(get("/certs")), R"({"certificates":[]})");
  std::string memory = get("/memory");
  for (const char* field : {"\"allocated\": \"", "\"heap_size\": \"", "\"pageheap_unmapped\": \"0\"",
                            "\"pageheap_free\": \"", "\"total_thread_cache\": \"0\"", "\"total_physical_bytes\": \""}) {
    EXPECT_NE(memory.find(field), std::string::npos) << field << memory;
  }
}

TEST_F(EndpointsTest, Help) {
  std::string help = get("/help");
  EXPECT_EQ(help.substr(0, 52), "admin commands are (?format=json: the answer as JSON");
  EXPECT_NE(help.find("\n  /quitquitquit                 end the process at once; SIGTERM drains first (POST)\n"),
            std::string::npos)
      << help;
  EXPECT_NE(help.find("\n      filter=REGEX              only names in which this is found\n"), std::string::npos)
      << help;
  EXPECT_NE(help.find("\n      format=FORMAT             text, json, prometheus, html\n"), std::string::npos) << help;
  std::string json = get("/help?format=json");
  for (const auto& [path, endpoint] : server_->endpoints()) {
    EXPECT_NE(help.find("\n  " + path + " "), std::string::npos) << path;
    EXPECT_NE(json.find("{\"path\":\"" + path + "\""), std::string::npos) << path;
  }
  size_t width = 0;
  for (size_t at = 0, end; (end = help.find('\n', at)) != std::string::npos; at = end + 1)
    width = std::max(width, end - at);
  EXPECT_LE(width, 120u);
}

TEST_F(EndpointsTest, IndexIsOnePageWithoutAnythingFromElsewhere) {
  source_.addresses_.clear();
  std::string response = exchange("GET", "/");
  EXPECT_NE(response.find("content-type: text/html; charset=UTF-8\r\n"), std::string::npos);
  EXPECT_NE(response.find("content-security-policy: default-src 'none';"), std::string::npos);
  std::string page = body_of(response);
  EXPECT_NE(page.find("<h1>weir: <span>LIVE</span></h1>"), std::string::npos);
  EXPECT_NE(page.find("<td class=\"n bad\">1 of 2</td>"), std::string::npos);
  EXPECT_NE(page.find("<a href=\"stats\">/stats</a>"), std::string::npos);
  EXPECT_NE(page.find("<form method=\"post\" action=\"quitquitquit\"><button>/quitquitquit</button></form>"),
            std::string::npos);
  for (const char* outside : {"http://", "https://", "src=", "<script", "<link", "@import", "url("}) {
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  }
}

}  // namespace
}  // namespace weir::admin
