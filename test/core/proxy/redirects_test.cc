// Redirects that the router follows itself: the request runs through the whole chain again, as another one.
#include <gtest/gtest.h>

#include "test/core/proxy/proxy_world.h"

namespace weir::proxy {
namespace {

using test::ProxyWorld;
using test::WorldOptions;
using Lines = std::vector<std::string>;

constexpr std::string_view kGet = "GET /old?q HTTP/1.1\r\nhost: a.example\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

WorldOptions following(std::function<void(route::InternalRedirectPolicy&)> change = {}) {
  WorldOptions options;
  options.virtual_host = [change = std::move(change)](route::VirtualHostSpec& host) {
    auto policy = std::make_unique<route::InternalRedirectPolicy>();
    if (change) change(*policy);
    route::RouteSpec gone;
    gone.name = "gone";
    gone.match.path = "/gone";
    gone.action = route::ActionKind::kDirectResponse;
    gone.direct_response = std::make_unique<route::DirectResponseSpec>();
    gone.direct_response->status = 410;
    gone.direct_response->body = "gone";
    host.routes[0].name = "forward";
    host.routes[0].forward.internal_redirect = std::move(policy);
    host.routes.insert(host.routes.begin(), std::move(gone));
    host.domains = {"a.example", "b.example"};
  };
  return options;
}

std::string moved(std::string_view location, int status = 302, std::string_view more = "") {
  return "HTTP/1.1 " + std::to_string(status) + " Moved\r\nlocation: " + std::string(location) + "\r\n" +
         std::string(more) + "content-length: 4\r\n\r\nhere";
}

// A client, and the connection on which the upstream has got its request.
struct Exchange {
  explicit Exchange(ProxyWorld& world, std::string_view request = kGet) : world(world), client(world.connect()) {
    client->send(request);
    world.settle();
    server = world.upstream().accept();
    received = server->receive();
  }
  // What the upstream is asked after this answer.
  std::string after(std::string_view answer) {
    server->send(answer);
    world.settle();
    return server->receive();
  }
  std::string finish() {
    server->send(kOk);
    world.settle();
    return client->receive();
  }
  ProxyWorld& world;
  std::unique_ptr<test::Peer> client, server;
  std::string received;
};

TEST(InternalRedirects, TheRequestGoesWhereItIsSent) {
  ProxyWorld world(following());
  Exchange at(world);
  // The answer has a body that is not wanted, so another connection takes the request.
  at.after(moved("http://b.example/new?x#part"));
  world.advance(1ms);
  auto next = world.upstream().accept();
  const std::string request = next->receive();
  EXPECT_TRUE(request.starts_with("GET /new?x HTTP/1.1\r\nhost: b.example\r\n")) << request;
  EXPECT_NE(request.find("\r\nx-envoy-original-url: http://a.example/old?q\r\n"), std::string::npos) << request;
  next->send(kOk);
  world.settle();
  EXPECT_TRUE(at.client->receive().ends_with("ok"));
  EXPECT_EQ(world.log(), Lines{"200 - via_upstream"});
  EXPECT_EQ(world.stat("cluster.c.upstream_internal_redirect_succeeded_total"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_302"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 0);
  EXPECT_EQ(world.stat("http.m.downstream_rq_active"), 0);
}

TEST(InternalRedirects, ARouteMayAnswerByItself) {
  ProxyWorld world(following());
  Exchange at(world);
  at.after(moved("/gone"));
  EXPECT_TRUE(at.client->receive().ends_with("gone"));
  EXPECT_EQ(world.log(), Lines{"410 - direct_response"});
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 0);
}

// It was not forwarded in the end: neither its log nor the connection tells of the first answer.
TEST(InternalRedirects, WhatAnsweredFirstIsForgotten) {
  WorldOptions options = following([](route::InternalRedirectPolicy& policy) { policy.statuses = {307}; });
  options.log_format = "%RESPONSE_FLAGS% %UPSTREAM_CLUSTER% %UPSTREAM_HOST% %VIRTUAL_CLUSTER_NAME%";
  auto base = options.virtual_host;
  options.virtual_host = [base](route::VirtualHostSpec& host) {
    base(host);
    route::VirtualClusterSpec& old = host.virtual_clusters.emplace_back();
    old.name = "posts";
    match::HeaderMatcherSpec& method = old.headers.emplace_back();
    method.name = ":path";
    method.kind = match::HeaderMatcherSpec::Kind::kString;
    method.string.text = "/old";
  };
  ProxyWorld world(std::move(options));
  Exchange at(world,
              "POST /old HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n");
  at.after(moved("/gone", 307));
  const std::string answer = at.client->receive();
  EXPECT_TRUE(answer.ends_with("gone")) << answer;
  EXPECT_EQ(answer.find("connection: close"), std::string::npos) << answer;
  EXPECT_EQ(world.log(), Lines{"- - - other"});
  EXPECT_EQ(world.stat("vhost.all.vcluster.posts.upstream_rq_total"), 0);
}

TEST(InternalRedirects, ARelativeOneCrossesNoScheme) {
  WorldOptions options = following();
  options.manager = [](ConnectionManagerConfig& config) {
    config.scheme = SchemeHeader::kOverwrite;
    config.scheme_text = "https";
  };
  ProxyWorld world(std::move(options));
  Exchange at(world);
  EXPECT_TRUE(at.after("HTTP/1.1 302 Found\r\nlocation: /new\r\ncontent-length: 0\r\n\r\n")
                  .starts_with("GET /new HTTP/1.1\r\n"));
}

TEST(InternalRedirects, SchemesAreOfAnyCase) {
  ProxyWorld world(following());
  Exchange at(world);
  const std::string next = at.after("HTTP/1.1 302 Found\r\nlocation: HTTP://b.example?x\r\ncontent-length: 0\r\n\r\n");
  EXPECT_TRUE(next.starts_with("GET /?x HTTP/1.1\r\nhost: b.example\r\n")) << next;
}

// Routes and filters see a path that a client could have sent.
TEST(InternalRedirects, PathsAreNormalised) {
  WorldOptions options = following();
  options.manager = [](ConnectionManagerConfig& config) { config.path.normalize = true; };
  ProxyWorld world(std::move(options));
  Exchange at(world);
  at.after(moved("/pub/%2e%2e/gone"));
  EXPECT_TRUE(at.client->receive().ends_with("gone"));
}

TEST(InternalRedirects, APathThatIsRefusedIsNotFollowed) {
  WorldOptions options = following();
  options.manager = [](ConnectionManagerConfig& config) { config.path.normalize = true; };
  ProxyWorld world(std::move(options));
  Exchange at(world);
  at.after(moved("/%00"));
  EXPECT_TRUE(at.client->receive().starts_with("HTTP/1.1 302 "));
  EXPECT_EQ(world.stat("http.m.passthrough_internal_redirect_bad_location"), 1);
}

TEST(InternalRedirects, ABodyIsSentAgain) {
  ProxyWorld world(following([](route::InternalRedirectPolicy& policy) { policy.statuses = {307, 303}; }));
  Exchange at(world, "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 4\r\n\r\nbody");
  at.server->send("HTTP/1.1 307 Moved\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n");
  world.settle();
  const std::string again = at.server->receive();
  EXPECT_TRUE(again.starts_with("POST /other HTTP/1.1\r\n")) << again;
  EXPECT_TRUE(again.ends_with("\r\n\r\nbody")) << again;
  EXPECT_TRUE(at.finish().ends_with("ok"));
}

TEST(InternalRedirects, SeeOtherIsAskedForWithoutIt) {
  ProxyWorld world(following([](route::InternalRedirectPolicy& policy) {
    policy.statuses = {303};
    for (const char* name : {"x-token", "x-none"}) policy.headers_to_copy.emplace_back(std::string_view(name));
  }));
  Exchange at(world, "POST / HTTP/1.1\r\nhost: a.example\r\nx-none: 1\r\ncontent-length: 4\r\n\r\nbody");
  const std::string again =
      at.after("HTTP/1.1 303 See Other\r\nlocation: /result\r\nx-token: 7\r\nx-token: 8\r\ncontent-length: 0\r\n\r\n");
  EXPECT_TRUE(again.starts_with("GET /result HTTP/1.1\r\n")) << again;
  EXPECT_EQ(again.find("content-length"), std::string::npos);
  EXPECT_NE(again.find("\r\nx-token: 7\r\nx-token: 8\r\n"), std::string::npos);
  EXPECT_EQ(again.find("x-none"), std::string::npos);
  EXPECT_TRUE(at.finish().ends_with("ok"));
}

// What is not followed reaches the client as it is, and the request's headers are in the log as they were.
TEST(InternalRedirects, WhatIsNotFollowed) {
  struct Case {
    const char* location;
    const char* counter;  // of the connection manager; nullptr: none
    std::function<void(route::InternalRedirectPolicy&)> change;
  };
  const Case cases[] = {
      {"ftp://a.example/", "bad_location", {}},
      {"//b.example/x", "bad_location", {}},
      {"http://u@b.example/x", "bad_location", {}},
      {"", "bad_location", {}},
      {"/with a space", "bad_location", {}},
      {"/\xc3\xbc", "bad_location", {}},
      {"HTTPS://b.example/x", "unsafe_scheme", {}},
      {"https://b.example/x", "unsafe_scheme", {}},
      {"https://b.example/x", "unsafe_scheme",
       [](route::InternalRedirectPolicy& policy) { policy.any_scheme = policy.safe_cross_scheme = true; }},
      {"http://nowhere.example/x", "no_route", {}},
      {"/x", "predicate",
       [](route::InternalRedirectPolicy& policy) { policy.allowed_routes = std::vector<std::string>{"gone"}; }},
      {"/x", "too_many_redirects", [](route::InternalRedirectPolicy& policy) { policy.max_redirects = 0; }},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.location);
    SCOPED_TRACE(one.counter);
    WorldOptions options = following(one.change);
    options.log_format = "%RESPONSE_CODE% %REQ(:AUTHORITY)% %REQ(:PATH)%";
    ProxyWorld world(std::move(options));
    Exchange at(world);
    at.after(moved(one.location));
    EXPECT_TRUE(at.client->receive().ends_with("here"));
    EXPECT_EQ(world.log(), Lines{"302 a.example /old?q"});
    EXPECT_EQ(world.stat("http.m.passthrough_internal_redirect_" + std::string(one.counter)), 1);
    EXPECT_EQ(world.stat("cluster.c.upstream_internal_redirect_failed_total"), 1);
  }
}

TEST(InternalRedirects, OtherStatusesAreNotLookedAt) {
  ProxyWorld world(following());
  Exchange at(world);
  at.after(moved("/x", 301));
  EXPECT_TRUE(at.client->receive().starts_with("HTTP/1.1 301 "));
  EXPECT_EQ(world.stat("cluster.c.upstream_internal_redirect_failed_total"), 0);
}

TEST(InternalRedirects, ARequestThatIsStillComingCannotBeSentAgain) {
  ProxyWorld world(following());
  Exchange at(world, "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 9\r\n\r\nbody");
  at.after(moved("/x"));
  EXPECT_TRUE(at.client->receive().starts_with("HTTP/1.1 302 "));
  EXPECT_EQ(world.stat("cluster.c.upstream_internal_redirect_failed_total"), 1);
}

TEST(InternalRedirects, CirclesEnd) {
  ProxyWorld world(following([](route::InternalRedirectPolicy& policy) {
    policy.max_redirects = 100;
    policy.no_previous_routes = true;
  }));
  Exchange at(world);
  const std::string again = "HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n";
  EXPECT_TRUE(at.after(again).starts_with("GET /again "));
  EXPECT_EQ(at.after(again), "");
  EXPECT_TRUE(at.client->receive().starts_with("HTTP/1.1 302 "));
  EXPECT_EQ(world.stat("http.m.passthrough_internal_redirect_predicate"), 1);
}

TEST(InternalRedirects, AsOftenAsAllowed) {
  WorldOptions options = following([](route::InternalRedirectPolicy& policy) { policy.max_redirects = 300; });
  options.cluster = [](upstream::ClusterSpec& spec) { spec.breakers.max_connections = 1; };
  ProxyWorld world(std::move(options));
  Exchange at(world);
  for (int i = 0; i < 300; ++i) {
    EXPECT_NE(at.after("HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n"), "");
  }
  EXPECT_EQ(at.after("HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n"), "");
  EXPECT_TRUE(at.client->receive().starts_with("HTTP/1.1 302 "));
}

}  // namespace
}  // namespace weir::proxy
