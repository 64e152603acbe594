#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "core/event/publisher.h"
#include "core/stats/dynamic.h"
#include "core/stream/filter_state.h"
#include "core/upstream/lane_clusters.h"
#include "envoy/extensions/filters/http/grpc_stats/v3/config.pb.h"
#include "test/support/filter_harness.h"
#include "test/support/grpc_messages.h"
#include "test/support/parsed.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

using StatsConfig = envoy::extensions::filters::http::grpc_stats::v3::FilterConfig;

StatsConfig config_of(const std::string& text) { return parsed<StatsConfig>(text); }

Headers call(const std::string& path = "/shop.Cart/Add", const std::string& type = "application/grpc") {
  return {{":method", "POST"}, {":authority", "a"}, {":path", path}, {"content-type", type}};
}
const Headers kGood = {{":status", "200"}, {"content-type", "application/grpc"}};

// The cluster "c", on the lane of a harness.
class Clusters {
 public:
  Clusters(FilterHarness& harness, stats::Store& store)
      : stats_(std::make_shared<upstream::ClusterStats>(store, "c")),
        lane_(harness.lane()),
        clusters_(lane_.lane()),
        publisher_({&lane_.lane()}) {
    harness.set_route_cluster("c");
    publish();
  }
  // A version like the one that is there.
  void publish() {
    upstream::ClusterSpec spec;
    spec.name = spec.stat_name = "c";
    event::Publisher::Batch batch;
    batch.set(publisher_.intern(event::SlotKind::kCluster, "c"),
              std::make_unique<upstream::Cluster>(std::move(spec), stats_, limits_));
    publisher_.publish(std::move(batch));
    lane_.turns(2);
  }
  void remove() {
    event::Publisher::Batch batch;
    batch.remove(publisher_.intern(event::SlotKind::kCluster, "c"));
    publisher_.publish(std::move(batch));
    stats_.reset();
    lane_.turns(10);
  }

 private:
  std::shared_ptr<upstream::ClusterStats> stats_;
  std::shared_ptr<upstream::ClusterLimits> limits_ =
      std::make_shared<upstream::ClusterLimits>(upstream::CircuitBreakers{}, 2);
  TestLane& lane_;
  upstream::LaneClusters clusters_;
  event::Publisher publisher_;
};

// Those of the cluster's statistics about gRPC that are not 0, without "cluster.c.".
std::map<std::string, uint64_t> counted(const stats::Store& store) {
  std::map<std::string, uint64_t> values;
  store.visit([&](const stats::Sample& sample) {
    if (sample.name.starts_with("cluster.c.grpc") && sample.used)
      values[std::string(sample.name.substr(10))] = sample.value;
  });
  return values;
}
using Values = std::map<std::string, uint64_t>;

struct Stats {
  std::string config;
  PluginScope plugins{};
  // One call of two messages there and three back, that ends with this status in trailers.
  Values after(const std::string& path, const std::string& status = "0") {
    FilterHarness harness({plugins.http_filter(config_of(config))});
    Clusters clusters(harness, plugins.store());
    harness.stream().info().upstream.last_tx = harness.lane().lane().now() - 5ms;
    harness.send_headers(call(path));
    harness.send_data(grpc_frame("one") + grpc_frame("two").substr(0, 3));
    harness.send_data(grpc_frame("two").substr(3), true);
    harness.respond_headers(kGood);
    harness.respond_data(grpc_frame("") + grpc_frame("") + grpc_frame("x", 1));
    harness.respond_trailers({{"grpc-status", status}});
    harness.run();
    EXPECT_TRUE(harness.response().ended);
    harness.disconnect();
    EXPECT_TRUE(plugins.error_texts().empty());
    return counted(plugins.store());
  }
};

Values named(const std::string& prefix, const std::string& status = "0") {
  return {{prefix + status, 1},
          {prefix + (status == "0" ? "success" : "failure"), 1},
          {prefix + "total", 1},
          {prefix + "request_message_count", 2},
          {prefix + "response_message_count", 3}};
}

TEST(GrpcStats, WithoutMethods) {
  EXPECT_EQ(Stats{.config = ""}.after("/shop.Cart/Add"), named("grpc."));
  EXPECT_EQ(Stats{.config = ""}.after("/no/path/of/a/call", "13"), named("grpc.", "13"));
  EXPECT_EQ(Stats{.config = "stats_for_all_methods {}"}.after("/shop.Cart/Add"), named("grpc."));
}

// field: grpc_stats.v3.FilterConfig.stats_for_all_methods
TEST(GrpcStats, ByEveryMethod) {
  const std::string all = "stats_for_all_methods { value: true }";
  EXPECT_EQ(Stats{.config = all}.after("/shop.Cart/Add?x=/y"), named("grpc.shop.Cart.Add."));
  EXPECT_EQ(Stats{.config = all}.after("/shop.Cart/Add", "5"), named("grpc.shop.Cart.Add.", "5"));
  // Not a status of gRPC: Unknown, as a client takes it.
  EXPECT_EQ(Stats{.config = all}.after("/shop.Cart/Add", "17"), named("grpc.shop.Cart.Add.", "2"));
  EXPECT_EQ(Stats{.config = all}.after("/shop.Cart/Add", "what"), named("grpc.shop.Cart.Add.", "2"));
  for (const char* path : {"/", "//", "/a", "/a/", "//b", "/a/b/c", "a/b", "/a?/b"})
    EXPECT_EQ(Stats{.config = all}.after(path), Values{}) << path;
  EXPECT_EQ(Stats{.config = all}.after("/" + std::string(200, 's') + "/" + std::string(200, 'm')), Values{});
}

// field: grpc_stats.v3.FilterConfig.individual_method_stats_allowlist, GrpcMethodList.services
// field: GrpcMethodList.Service.name, GrpcMethodList.Service.method_names
TEST(GrpcStats, ByMethodsOfTheList) {
  const std::string list =
      "individual_method_stats_allowlist { services { name: 'shop.Cart' method_names: 'Add' method_names: 'Drop' } "
      "services { name: 'Other' method_names: 'Get' } }";
  EXPECT_EQ(Stats{.config = list}.after("/shop.Cart/Drop"), named("grpc.shop.Cart.Drop."));
  EXPECT_EQ(Stats{.config = list}.after("/Other/Get"), named("grpc.Other.Get."));
  for (const char* path : {"/shop.Cart/Get", "/Other/Add", "/shop/Cart.Add", "/shop.Cart/Add/x", "/"})
    EXPECT_EQ(Stats{.config = list}.after(path), named("grpc.")) << path;
}

// field: grpc_stats.v3.FilterConfig.replace_dots_in_grpc_service_name
TEST(GrpcStats, ServicesWithoutDots) {
  EXPECT_EQ((Stats{.config = "stats_for_all_methods { value: true } replace_dots_in_grpc_service_name: true"}.after(
                "/a.b.Cart/Add.All")),
            named("grpc.a_b_Cart.Add.All."));
}

// field: grpc_stats.v3.FilterConfig.enable_upstream_stats
TEST(GrpcStats, TimesOfTheUpstream) {
  Values expected = named("grpc.");
  expected["grpc.upstream_rq_time"] = 1;
  EXPECT_EQ(Stats{.config = "enable_upstream_stats: true"}.after("/shop.Cart/Add"), expected);
}

// field: grpc_stats.v3.FilterConfig.emit_filter_state
TEST(GrpcStats, CountsInTheFilterState) {
  static const stream::FilterStateName kName("envoy.filters.http.grpc_stats");
  PluginScope plugins;
  for (const bool emit : {false, true}) {
    FilterHarness harness({plugins.http_filter(config_of(emit ? "emit_filter_state: true" : ""))});
    const auto value = [&harness] { return stream::find_filter_state(harness.stream().info(), kName); };
    harness.respond_early();
    harness.send_headers(call());
    harness.respond_headers(kGood);
    harness.run(5ms);
    EXPECT_EQ(value(), nullptr);
    harness.send_data(grpc_frame("one") + grpc_frame("two"));
    harness.send_data(grpc_frame("three").substr(0, 8));
    harness.respond_data(grpc_frame("four").substr(0, 4));
    harness.run(5ms);
    if (!emit) {
      EXPECT_EQ(value(), nullptr);
      continue;
    }
    ASSERT_NE(value(), nullptr);
    std::string text;
    EXPECT_TRUE(value()->append_plain(text));
    EXPECT_EQ(text, "3,0");
    harness.respond_data(grpc_frame("four").substr(4));
    harness.run(5ms);
    text.clear();
    EXPECT_TRUE(value()->append_json(text));
    EXPECT_EQ(text, R"({"request_message_count":"3","response_message_count":"1"})");
    text.clear();
    EXPECT_TRUE(value()->append_field("response_message_count", text));
    EXPECT_TRUE(value()->append_field("request_message_count", text));
    EXPECT_EQ(text, "13");
    EXPECT_FALSE(value()->append_field("messages", text));
  }
}

TEST(GrpcStats, BodiesAreLeftAsTheyAre) {
  static const stream::FilterStateName kName("envoy.filters.http.grpc_stats");
  PluginScope plugins;
  const std::string body = grpc_frame("one") + grpc_frame("two");
  run_under_chaos({plugins.http_filter(config_of("emit_filter_state: true"))}, [&](FilterHarness& harness) {
    harness.send_headers(call());
    harness.send_data(body.substr(0, 3));
    harness.send_data(body.substr(3));
    harness.send_trailers({{"x-end", "1"}});
    harness.run(200ms);
    EXPECT_EQ(harness.request().body, body);
    std::string text;
    const stream::FilterStateValue* value = stream::find_filter_state(harness.stream().info(), kName);
    ASSERT_NE(value, nullptr);
    value->append_plain(text);
    EXPECT_EQ(text, "2,0");
    harness.respond_headers(kGood);
    harness.respond_data(body);
    harness.respond_trailers({{"grpc-status", "0"}});
    harness.run();
    EXPECT_EQ(harness.response().body, body);
    EXPECT_EQ(harness.response().trailer("grpc-status"), "0");
  });
}

// Wherever the pieces end.
TEST(GrpcStats, MessagesAtEverySplit) {
  static const stream::FilterStateName kName("envoy.filters.http.grpc_stats");
  PluginScope plugins;
  const auto entry = plugins.http_filter(config_of("emit_filter_state: true"));
  const std::string body = grpc_frame("one") + grpc_frame("") + grpc_frame(std::string(300, 'x'));
  for (size_t cut = 1; cut < body.size(); cut += cut < 20 ? 1 : 37) {
    FilterHarness harness({entry});
    harness.send_headers(call());
    harness.send_data(body.substr(0, cut));
    harness.send_data(body.substr(cut), true);
    harness.run(10ms);
    EXPECT_EQ(harness.request().body, body);
    std::string text;
    ASSERT_NE(stream::find_filter_state(harness.stream().info(), kName), nullptr);
    stream::find_filter_state(harness.stream().info(), kName)->append_plain(text);
    EXPECT_EQ(text, "3,0") << cut;
  }
}

TEST(GrpcStats, OtherRequestsAndAnswersAreNotLookedAt) {
  PluginScope plugins;
  const auto entry = plugins.http_filter(config_of("emit_filter_state: true"));
  {
    FilterHarness harness({entry});
    Clusters clusters(harness, plugins.store());
    harness.send_headers(call("/shop.Cart/Add", "application/grpc-web"));
    harness.send_data(grpc_frame("x"), true);
    harness.respond_headers(kGood);
    harness.respond_data(grpc_frame("x"));
    harness.respond_trailers({{"grpc-status", "0"}});
    harness.run();
    EXPECT_EQ(harness.response().body, grpc_frame("x"));
    EXPECT_EQ(counted(plugins.store()), Values{});
    harness.disconnect();
  }
  {  // an error of a balancer: a message was sent, and no status of gRPC has come back
    FilterHarness harness({entry});
    Clusters clusters(harness, plugins.store());
    harness.send_headers(call());
    harness.send_data(grpc_frame("x"), true);
    harness.respond_headers({{":status", "503"}, {"content-type", "text/html"}});
    harness.respond_data(std::string(5, '\0'), true);
    harness.run();
    EXPECT_EQ(counted(plugins.store()), (Values{{"grpc.request_message_count", 1}}));
    harness.disconnect();
  }
}

TEST(GrpcStats, AnswersOfHeadersAlone) {
  PluginScope plugins;
  FilterHarness harness({plugins.http_filter(config_of(""))});
  Clusters clusters(harness, plugins.store());
  harness.send_headers(call(), true);
  Headers headers = kGood;
  headers.emplace_back("grpc-status", "12");
  harness.respond_headers(headers, true);
  harness.run();
  EXPECT_EQ(counted(plugins.store()), (Values{{"grpc.12", 1}, {"grpc.failure", 1}, {"grpc.total", 1}}));
  harness.disconnect();
}

// A call outlives versions of its cluster, and the cluster.
TEST(GrpcStats, ClustersComeAndGo) {
  PluginScope plugins;
  FilterHarness harness({plugins.http_filter(config_of("stats_for_all_methods { value: true }"))});
  Clusters clusters(harness, plugins.store());
  harness.send_headers(call());
  harness.send_data(grpc_frame("one"));
  harness.run(5ms);
  clusters.publish();
  harness.send_data(grpc_frame("two"));
  harness.run(5ms);
  EXPECT_EQ(counted(plugins.store()), (Values{{"grpc.shop.Cart.Add.request_message_count", 2}}));
  clusters.remove();
  EXPECT_EQ(counted(plugins.store()), Values{});
  auto next = plugins.store().counter("takes.a.free.cell");
  harness.send_data(grpc_frame("three"), true);
  harness.respond_headers(kGood);
  harness.respond_trailers({{"grpc-status", "0"}});
  harness.run();
  EXPECT_TRUE(harness.response().ended);
  EXPECT_EQ(next.value(), 0u);
  harness.disconnect();
}

// Whoever makes up methods takes memory for so many, and no more.
TEST(GrpcStats, NamesOfPeersAreBounded) {
  PluginScope plugins;
  const auto entry = plugins.http_filter(config_of("stats_for_all_methods { value: true }"));
  auto group = std::make_shared<upstream::ClusterStats>(plugins.store(), "c");
  std::optional<size_t> full;
  const auto names = [&] {
    size_t count = 0;
    plugins.store().visit([&](const stats::Sample& sample) { count += sample.name.starts_with("cluster.c.grpc."); });
    return count;
  };
  for (int i = 0; i < 2000; ++i) {
    FilterHarness harness({entry});
    Clusters clusters(harness, plugins.store());
    harness.send_headers(call("/made.Up/M" + std::to_string(i)), true);
    Headers headers = kGood;
    headers.emplace_back("grpc-status", "12");
    harness.respond_headers(headers, true);
    harness.run(2ms);
    harness.disconnect();
    if (i == 1500) full = names();
  }
  EXPECT_EQ(full, stats::kMaxOfPeers);
  EXPECT_EQ(names(), stats::kMaxOfPeers);
  EXPECT_GT(plugins.store().counter("stats.overflow").value(), 1000u);
  // Codes of responses have room as before.
  plugins.store().dynamic_counter(*group->group, "upstream_rq_404").inc();
  EXPECT_EQ(counted(plugins.store()).size(), stats::kMaxOfPeers);
  uint64_t not_found = 0;
  plugins.store().visit([&](const stats::Sample& sample) {
    if (sample.name == "cluster.c.upstream_rq_404") not_found = sample.value;
  });
  EXPECT_EQ(not_found, 1u);
}

}  // namespace
}  // namespace weir::test
