// tcp_proxy through an HTTP proxy: the request for a tunnel, and what becomes of it.
#include <gtest/gtest.h>

#include "test/filters/network/tcp_world.h"

namespace weir::filters::tcp_proxy {
namespace {

using test::ProxyWorld;
using test::tcp_proxy;
using test::TcpProxyConfig;
using Lines = std::vector<std::string>;

void tunnel(TcpProxyConfig& config) { config.mutable_tunneling_config()->set_hostname("db.example:5432"); }

// field: TcpProxy.tunneling_config, TcpProxy.TunnelingConfig.hostname, TcpProxy.TunnelingConfig.headers_to_add
TEST(TcpTunnelTest, ConnectOpensIt) {
  ProxyWorld world(tcp_proxy([](TcpProxyConfig& config) {
    config.mutable_tunneling_config()->set_hostname("db.example:%DOWNSTREAM_LOCAL_PORT%");
    auto& header = *config.mutable_tunneling_config()->add_headers_to_add()->mutable_header();
    header.set_key("x-client");
    header.set_value("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%");
  }));
  auto client = world.connect();
  auto server = world.upstream().accept();
  const std::string target = "db.example:" + client->remote_address().substr(10);
  client->send("question");
  world.settle();
  EXPECT_EQ(server->receive(),
            "CONNECT " + target + " HTTP/1.1\r\nhost: " + target + "\r\nx-client: 127.0.0.1\r\n\r\n");
  server->send("HTTP/1.1 200 OK\r\n\r\nanswer");
  world.settle();
  EXPECT_EQ(server->receive(), "question");
  EXPECT_EQ(client->receive(), "answer");
  client->half_close();
  world.settle();
  server->receive();
  EXPECT_TRUE(server->ended());
  server->send(", all of it");
  server->close();
  world.settle();
  EXPECT_EQ(client->receive(), ", all of it");
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{"- 8 17 - - TcpConnectionEnd"});
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 0);
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_active"), 0);
}

TEST(TcpTunnelTest, NobodyIsAskedForATunnelToNowhere) {
  for (const char* hostname :
       {"%FILTER_STATE(nobody)%", "%FILTER_STATE(nobody)%:443", "a%DOWNSTREAM_LOCAL_ADDRESS% b"}) {
    ProxyWorld world(
        tcp_proxy([&](TcpProxyConfig& config) { config.mutable_tunneling_config()->set_hostname(hostname); }));
    auto client = world.connect();
    world.settle();
    auto server = world.upstream().accept();
    EXPECT_EQ(server->receive(), "") << hostname;
    EXPECT_EQ(client->receive(), "") << hostname;
    EXPECT_TRUE(client->ended()) << hostname;
    EXPECT_EQ(world.stat("tcp.t.downstream_cx_no_route"), 1) << hostname;
    EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 0);
    ASSERT_EQ(world.log().size(), 1u);
    EXPECT_TRUE(world.log()[0].starts_with("NR ")) << world.log()[0];
  }
}

// field: TcpProxy.TunnelingConfig.propagate_response_headers, TcpProxy.TunnelingConfig.propagate_response_trailers
TEST(TcpTunnelTest, WhatIsAnsweredIsKeptIfThatIsWanted) {
  const std::string state = "%FILTER_STATE(envoy.tcp_proxy.propagate_response_";
  for (const bool wanted : {true, false}) {
    ProxyWorld world(tcp_proxy(
        [wanted](TcpProxyConfig& config) {
          tunnel(config);
          config.mutable_tunneling_config()->set_use_post(true);
          config.mutable_tunneling_config()->set_propagate_response_headers(wanted);
          config.mutable_tunneling_config()->set_propagate_response_trailers(wanted);
        },
        {.log_format =
             state + "headers:FIELD:x-id)% " + state + "headers:FIELD:x-none)% " + state + "trailers:FIELD:x-sum)%"}));
    auto client = world.connect();
    auto server = world.upstream().accept();
    server->send("HTTP/1.1 200 OK\r\nx-id: 7\r\nx-id: 8\r\ntransfer-encoding: chunked\r\n\r\n");
    world.settle();
    client->send("question");
    client->half_close();
    world.settle();
    server->send("6\r\nanswer\r\n0\r\nx-sum: 9\r\n\r\n");
    world.settle();
    EXPECT_EQ(client->receive(), "answer");
    EXPECT_TRUE(client->ended());
    EXPECT_EQ(world.log(), Lines{wanted ? "7,8 - 9" : "- - -"});
  }
}

TEST(TcpTunnelTest, ARefusalToldInHeadersIsKeptToo) {
  ProxyWorld world(tcp_proxy(
      [](TcpProxyConfig& config) {
        tunnel(config);
        config.mutable_tunneling_config()->set_propagate_response_headers(true);
      },
      {.log_format = "%FILTER_STATE(envoy.tcp_proxy.propagate_response_headers)%"}));
  auto client = world.connect();
  auto server = world.upstream().accept();
  server->send("HTTP/1.1 403 Forbidden\r\nx-why: \"no\"\r\ncontent-length: 0\r\n\r\n");
  world.settle();
  client->receive();
  EXPECT_TRUE(client->ended());
  ASSERT_EQ(world.log().size(), 1U);
  EXPECT_NE(world.log()[0].find(R"({"key":"x-why","value":"\"no\""})"), std::string::npos) << world.log()[0];
}

// field: TcpProxy.TunnelingConfig.post_path
TEST(TcpTunnelTest, APathOfItsOwnForPost) {
  ProxyWorld world(tcp_proxy([](TcpProxyConfig& config) {
    tunnel(config);
    config.mutable_tunneling_config()->set_use_post(true);
    config.mutable_tunneling_config()->set_post_path("/tunnels?to=db");
  }));
  auto client = world.connect();
  auto server = world.upstream().accept();
  EXPECT_TRUE(server->receive().starts_with("POST /tunnels?to=db HTTP/1.1\r\n"));
}

TEST(TcpTunnelTest, ARefusalIsAnAttemptThatFailed) {
  ProxyWorld world(tcp_proxy(
      [](TcpProxyConfig& config) {
        tunnel(config);
        config.mutable_max_connect_attempts()->set_value(3);
      },
      {.log_format = "%RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS%", .upstreams = 3}));
  auto client = world.connect();
  auto first = world.upstream(0).accept();
  first->send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
  world.advance(1ms);
  first->receive();
  EXPECT_TRUE(first->ended());
  auto second = world.upstream(1).accept();
  second->receive();
  second->reset();
  world.settle();
  world.advance(1ms);
  auto third = world.upstream(2).accept();
  third->send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n");
  world.settle();
  EXPECT_EQ(client->receive(), "");
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{"UF,URX tunnel_refused"});
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 0);
}

TEST(TcpTunnelTest, TheAnswerIsNotAwaitedForEver) {
  ProxyWorld world(tcp_proxy(tunnel, {.cluster = [](upstream::ClusterSpec& spec) { spec.connect_timeout = 2s; },
                                      .log_format = "%RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS%"}));
  auto client = world.connect();
  auto server = world.upstream().accept();
  world.advance(1900ms);
  client->receive();
  EXPECT_FALSE(client->ended());
  world.advance(200ms);
  client->receive();
  EXPECT_TRUE(client->ended());
  server->receive();
  EXPECT_TRUE(server->ended());
  EXPECT_EQ(world.log(), Lines{"UF,URX tunnel_timeout"});
}

TEST(TcpTunnelTest, AClientThatLeavesEndsTheRequest) {
  ProxyWorld world(tcp_proxy(tunnel));
  auto client = world.connect();
  auto server = world.upstream().accept();
  client->reset();
  world.settle();
  server->receive();
  EXPECT_TRUE(server->ended());
  EXPECT_EQ(world.log(), Lines{"DC 0 0 - - TcpConnectionEnd"});
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 0);
}

// field: TcpProxy.TunnelingConfig.use_post
TEST(TcpTunnelTest, BodiesOfAPostMayBeTheTunnel) {
  ProxyWorld world(tcp_proxy([](TcpProxyConfig& config) {
    tunnel(config);
    config.mutable_tunneling_config()->set_use_post(true);
  }));
  auto client = world.connect();
  auto server = world.upstream().accept();
  EXPECT_EQ(server->receive(), "POST / HTTP/1.1\r\nhost: db.example:5432\r\ntransfer-encoding: chunked\r\n\r\n");
  server->send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
  client->send("question");
  world.settle();
  EXPECT_EQ(client->receive(), "hello");
  EXPECT_EQ(server->receive(), "8\r\nquestion\r\n");
  client->half_close();
  world.settle();
  EXPECT_EQ(server->receive(), "0\r\n\r\n");
  server->send("3\r\nbye\r\n0\r\n\r\n");
  world.settle();
  EXPECT_EQ(client->receive(), "bye");
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(world.log(), Lines{"- 8 8 - - TcpConnectionEnd"});
}

}  // namespace
}  // namespace weir::filters::tcp_proxy
