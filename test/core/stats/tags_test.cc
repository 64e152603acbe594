#include "core/stats/tags.h"

#include <gtest/gtest.h>

namespace weir::stats {
namespace {

std::string text_of(const Tagged& tagged) {
  std::string text = tagged.name;
  for (const Tag& tag : tagged.tags) text += " " + tag.name + "=" + tag.value;
  return text;
}

std::string tags_of(std::string_view name) {
  Tagged tagged;
  extract_tags(name, tagged);
  return text_of(tagged);
}

TEST(Tags, NamesOfWhichNothingIsKnown) {
  EXPECT_EQ(tags_of("server.live"), "server.live");
  EXPECT_EQ(tags_of("cluster_manager.cluster_added"), "cluster_manager.cluster_added");
  EXPECT_EQ(tags_of("cluster.x.upstream_rq_200"), "cluster.upstream_rq envoy_response_code=200 envoy_cluster_name=x");
  EXPECT_EQ(tags_of("cluster.x.canary.upstream_rq_5xx"),
            "cluster.canary.upstream_rq_xx envoy_response_code_class=5 envoy_cluster_name=x");
  EXPECT_EQ(tags_of("cluster.x.upstream_rq_total"), "cluster.upstream_rq_total envoy_cluster_name=x");
  EXPECT_EQ(tags_of("http.web.downstream_rq_2xx"),
            "http.downstream_rq_xx envoy_response_code_class=2 envoy_http_conn_manager_prefix=web");
  EXPECT_EQ(tags_of("http.web.rds.routes.update_success"),
            "http.rds.update_success envoy_rds_route_config=routes envoy_http_conn_manager_prefix=web");
  EXPECT_EQ(tags_of("http.web.fault.delays_injected"), "http.fault.delays_injected envoy_http_conn_manager_prefix=web");
  EXPECT_EQ(tags_of("http.web.fault.caller.delays_injected"),
            "http.fault.delays_injected envoy_fault_downstream_cluster=caller envoy_http_conn_manager_prefix=web");
  EXPECT_EQ(tags_of("listener.0.0.0.0_8080.http.web.downstream_rq_4xx"),
            "listener.http.downstream_rq_xx envoy_response_code_class=4 envoy_http_conn_manager_prefix=web "
            "envoy_listener_address=0.0.0.0_8080");
  EXPECT_EQ(tags_of("listener.0.0.0.0_8080.downstream_cx_total"),
            "listener.downstream_cx_total envoy_listener_address=0.0.0.0_8080");
  EXPECT_EQ(tags_of("listener.[__1]_80.downstream_cx_total"),
            "listener.downstream_cx_total envoy_listener_address=[__1]_80");
  EXPECT_EQ(tags_of("listener.admin.downstream_cx_total"), "listener.downstream_cx_total envoy_listener_address=admin");
  EXPECT_EQ(tags_of("vhost.v.vcluster.c.upstream_rq_200"),
            "vhost.vcluster.upstream_rq envoy_response_code=200 envoy_virtual_cluster=c envoy_virtual_host=v");
  EXPECT_EQ(tags_of("tcp.in.downstream_cx_total"), "tcp.downstream_cx_total envoy_tcp_prefix=in");
  EXPECT_EQ(tags_of("api.http_local_rate_limit.rate_limited"),
            "http_local_rate_limit.rate_limited envoy_local_http_ratelimit_prefix=api");
}

TEST(Tags, CallsOfGrpc) {
  EXPECT_EQ(tags_of("cluster.x.grpc.total"), "cluster.grpc.total envoy_cluster_name=x");
  EXPECT_EQ(tags_of("cluster.x.grpc.0"), "cluster.grpc.0 envoy_cluster_name=x");
  EXPECT_EQ(tags_of("cluster.x.grpc.Cart.Add.success"),
            "cluster.grpc.success envoy_grpc_bridge_method=Add envoy_grpc_bridge_service=Cart envoy_cluster_name=x");
  EXPECT_EQ(tags_of("cluster.x.grpc.shop.v1.Cart.Add.13"),
            "cluster.grpc.13 envoy_grpc_bridge_method=Add envoy_grpc_bridge_service=shop.v1.Cart envoy_cluster_name=x");
  EXPECT_EQ(tags_of("cluster.x.grpc-web.Cart.Add.total"),
            "cluster.grpc-web.total envoy_grpc_bridge_method=Add envoy_grpc_bridge_service=Cart envoy_cluster_name=x");
  for (const char* rest : {"grpc.a.b", "grpc..a.b", "grpc.a..b", "grpc.", "grpc..", "grpc.a.b.", "grpcs.a.b.c", "grpc"})
    EXPECT_EQ(tags_of(std::string("cluster.x.") + rest), std::string("cluster.") + rest + " envoy_cluster_name=x");
  EXPECT_EQ(tags_of("http.x.grpc.a.b.c"), "http.grpc.a.b.c envoy_http_conn_manager_prefix=x");
}

TEST(Tags, OddNamesStayWhole) {
  EXPECT_EQ(tags_of(""), "");
  EXPECT_EQ(tags_of("cluster"), "cluster");
  EXPECT_EQ(tags_of("cluster."), "cluster.");
  EXPECT_EQ(tags_of("cluster.x"), "cluster.x");
  EXPECT_EQ(tags_of("a_rq_20"), "a_rq_20");
  EXPECT_EQ(tags_of("a_rq_2x0"), "a_rq_2x0");
  EXPECT_EQ(tags_of("_rq_200"), "_rq envoy_response_code=200");
}

TEST(Tags, ThingsOfGroups) {
  auto tagged = [](std::string_view prefix, std::string_view tag, std::string_view thing, std::string_view rest) {
    Tagged out;
    extract_tags(prefix, tag, thing, rest, out);
    return text_of(out);
  };
  EXPECT_EQ(tagged("cluster", "envoy_cluster_name", "a.b.c", "upstream_rq_503"),
            "cluster.upstream_rq envoy_response_code=503 envoy_cluster_name=a.b.c");
  EXPECT_EQ(tagged("listener", "envoy_listener_address", "0.0.0.0_80.http.web", "downstream_rq_2xx"),
            "listener.http.downstream_rq_xx envoy_response_code_class=2 envoy_http_conn_manager_prefix=web "
            "envoy_listener_address=0.0.0.0_80");
  EXPECT_EQ(tagged("vhost", "envoy_virtual_host", "v.w.vcluster.c", "upstream_rq_total"),
            "vhost.vcluster.upstream_rq_total envoy_virtual_cluster=c envoy_virtual_host=v.w");
  EXPECT_EQ(tagged("", "", "server", "live"), "server.live");
  EXPECT_EQ(tagged("", "", "", "live"), "live");
  EXPECT_EQ(tagged("server", "", "", "live"), "server.live");
}

TEST(Tags, EveryTagHasItsPattern) {
  for (const char* tag : {"envoy_cluster_name", "envoy_http_conn_manager_prefix", "envoy_listener_address",
                          "envoy_response_code", "envoy_response_code_class", "envoy_virtual_cluster", "envoy_route",
                          "envoy_tcp_prefix", "envoy_local_http_ratelimit_prefix", "envoy_grpc_bridge_method"})
    EXPECT_NE(pattern_of_tag(tag), "") << tag;
  EXPECT_EQ(pattern_of_tag("pod"), "");
}

}  // namespace
}  // namespace weir::stats
