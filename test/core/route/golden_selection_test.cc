// Which route takes which request: one table per topic, the expected routes written by hand from the published rules.
#include <gtest/gtest.h>

#include "test/core/route/test_request.h"

namespace weir::route {
namespace {

// "vhost/cluster", "vhost/-" if no route matches, "-" if no virtual host does.
std::string select(const RouteTable& table, const TestRequest& request, const SelectInput& input = {}) {
  Selection selection = table.select(request.headers(), input);
  if (selection.virtual_host == nullptr) return "-";
  std::string out(selection.virtual_host->name());
  if (selection.route == nullptr) return out + "/-";
  return out + "/" + std::string(selection.cluster(request.headers()).name);
}

std::unique_ptr<RouteTable> build(RouteTableSpec spec) {
  auto table = RouteTable::build(std::move(spec));
  EXPECT_TRUE(table.ok()) << table.status();
  return std::move(*table);
}

struct Expectation {
  const char* target;
  const char* cluster;
};

void expect_paths(RouteTableSpec spec, const std::vector<Expectation>& expectations) {
  auto table = build(std::move(spec));
  for (const Expectation& e : expectations) {
    EXPECT_EQ(select(*table, TestRequest(e.target)), std::string("all/") + e.cluster) << e.target;
  }
}

// Each golden table is checked as it is (walked) and with unreachable routes behind it (indexed).
void expect_paths(RouteTableSpec (*make)(), const std::vector<Expectation>& expectations) {
  expect_paths(make(), expectations);
  RouteTableSpec longer = make();
  for (int i = 0; i < 20; ++i) {
    RouteSpec route = forward_route(PathKind::kPrefix, "/", "behind");
    route.match.headers.push_back(header_is("x-never", "1"));
    longer.virtual_hosts[0].routes.push_back(std::move(route));
  }
  expect_paths(std::move(longer), expectations);
}

TEST(GoldenSelection, Hosts) {
  RouteTableSpec spec;
  auto add = [&](std::string name, std::vector<std::string> domains) {
    spec.virtual_hosts.push_back(virtual_host(name, std::move(domains)));
    spec.virtual_hosts.back().routes.push_back(prefix_route("/", "c"));
  };
  add("any", {"*"});
  add("exact", {"www.Shop.example", "shop.example:8443"});
  add("sub", {"*.shop.example"});
  add("deep", {"*.api.shop.example"});
  add("dash", {"*-bar.shop.example"});
  add("tld", {"shop.*"});
  add("longtld", {"shop.exam*"});
  auto table = build(std::move(spec));
  const Expectation cases[] = {
      {"www.shop.example", "exact"},
      {"WWW.shop.EXAMPLE", "exact"},
      {"shop.example:8443", "exact"},
      {"shop.example", "longtld"},
      {"shop.example:80", "longtld"},
      {"a.shop.example", "sub"},
      {"a.api.shop.example", "deep"},
      {"api.shop.example", "sub"},
      {"baz-bar.shop.example", "dash"},
      {"-bar.shop.example", "sub"},
      {".shop.example", "any"},
      {"shop.org", "tld"},
      {"shop.", "any"},
      {"other", "any"},
      {"", "any"},
  };
  for (const Expectation& e : cases) {
    EXPECT_EQ(select(*table, TestRequest("/", e.target)), std::string(e.cluster) + "/c") << e.target;
  }
}

TEST(GoldenSelection, HostsWithoutPort) {
  RouteTableSpec spec = one_host(prefix_route("/"));
  spec.virtual_hosts[0].domains = {"a.example", "[::1]"};
  spec.ignore_port_in_host_matching = true;
  auto table = build(std::move(spec));
  EXPECT_EQ(select(*table, TestRequest("/", "a.example:8080")), "all/c");
  EXPECT_EQ(select(*table, TestRequest("/", "[::1]:8080")), "all/c");
  EXPECT_EQ(select(*table, TestRequest("/", "[::1]")), "all/c");
  EXPECT_EQ(select(*table, TestRequest("/", "a.example:x")), "-");
}

TEST(GoldenSelection, NoVirtualHost) {
  RouteTableSpec spec = one_host(prefix_route("/"));
  spec.virtual_hosts[0].domains = {"a.example"};
  auto table = build(std::move(spec));
  EXPECT_EQ(select(*table, TestRequest("/", "b.example")), "-");
  EXPECT_EQ(select(*table, TestRequest("/", "a.example:80")), "-");
  EXPECT_EQ(select(*build(RouteTableSpec{}), TestRequest("/")), "-");
}

TEST(GoldenSelection, VhostHeader) {
  RouteTableSpec spec = one_host(prefix_route("/"));
  spec.virtual_hosts[0].domains = {"tenant1"};
  spec.vhost_header = "X-Tenant";
  auto table = build(std::move(spec));
  EXPECT_EQ(select(*table, TestRequest("/", "x", {{"x-tenant", "Tenant1"}})), "all/c");
  EXPECT_EQ(select(*table, TestRequest("/", "tenant1")), "-");
}

TEST(GoldenSelection, FirstMatchWins) {
  expect_paths([] { return one_host(prefix_route("/a", "1"), prefix_route("/a/b", "2"), prefix_route("/", "3")); },
               {{"/a", "1"}, {"/a/b", "1"}, {"/ab", "1"}, {"/b", "3"}, {"/A", "3"}, {"/", "3"}});
  expect_paths([] { return one_host(prefix_route("/a/b", "2"), prefix_route("/a", "1"), prefix_route("/", "3")); },
               {{"/a", "1"}, {"/a/b", "2"}, {"/a/bc?x", "2"}, {"/ab", "1"}, {"/b", "3"}});
  expect_paths(
      [] {
        return one_host(forward_route(PathKind::kRegex, "/a/.*", "1"), forward_route(PathKind::kExact, "/a/b", "2"),
                        forward_route(PathKind::kExact, "/c", "3"), prefix_route("/c", "4"));
      },
      {{"/a/b", "1"}, {"/c", "3"}, {"/c/", "4"}, {"/d", "-"}, {"/a", "-"}});
}

TEST(GoldenSelection, PathKinds) {
  expect_paths([] { return one_host(forward_route(PathKind::kExact, "/a", "1")); },
               {{"/a", "1"}, {"/a?x=1", "1"}, {"/a#f", "1"}, {"/a/", "-"}, {"/A", "-"}, {"/a;v=1", "-"}});
  expect_paths([] { return one_host(forward_route(PathKind::kSegmentPrefix, "/api/dev", "1")); },
               {{"/api/dev", "1"},
                {"/api/dev/", "1"},
                {"/api/dev/v1", "1"},
                {"/api/dev?param=true", "1"},
                {"/api/developer", "-"},
                {"/api", "-"}});
  expect_paths([] { return one_host(forward_route(PathKind::kRegex, "/b[io]t", "1")); },
               {{"/bit", "1"}, {"/bot", "1"}, {"/bot?x", "1"}, {"/bite", "-"}, {"/bit/bot", "-"}});
  expect_paths([] { return one_host(prefix_route("", "1")); }, {{"/", "1"}, {"/x", "1"}});
  expect_paths(
      [] {
        auto spec =
            one_host(prefix_route("/Ab", "1"), forward_route(PathKind::kExact, "/C", "2"),
                     forward_route(PathKind::kSegmentPrefix, "/D", "3"), forward_route(PathKind::kRegex, "/E", "4"));
        for (RouteSpec& route : spec.virtual_hosts[0].routes) route.match.case_sensitive = false;
        return spec;
      },
      {{"/aB/x", "1"}, {"/c", "2"}, {"/d/X", "3"}, {"/dx", "-"}, {"/e", "-"}, {"/E", "4"}});
}

TEST(GoldenSelection, PathParameters) {
  expect_paths(
      [] {
        auto spec = one_host(forward_route(PathKind::kExact, "/a", "1"));
        spec.ignore_path_parameters_in_path_matching = true;
        return spec;
      },
      {{"/a;v=1", "1"}, {"/a;v=1?q", "1"}, {"/ab;v", "-"}});
}

TEST(GoldenSelection, Connect) {
  auto table = build(one_host(forward_route(PathKind::kConnect, "", "tunnel"), prefix_route("/", "web")));
  EXPECT_EQ(select(*table, TestRequest("", "a:443", {}, "CONNECT")), "all/tunnel");
  EXPECT_EQ(select(*table, TestRequest("/x", "a", {}, "CONNECT")), "all/tunnel");
  EXPECT_EQ(select(*table, TestRequest("/x")), "all/web");
  auto web_only = build(one_host(prefix_route("/", "web")));
  EXPECT_EQ(select(*web_only, TestRequest("", "a:443", {}, "CONNECT")), "all/-");
}

TEST(GoldenSelection, Conditions) {
  RouteSpec post = prefix_route("/", "post");
  post.match.headers = {header_is(":method", "POST")};
  RouteSpec grpc = prefix_route("/", "grpc");
  grpc.match.grpc = true;
  RouteSpec debug = prefix_route("/", "debug");
  debug.match.query_parameters = {{"debug", match::QueryParameterMatcherSpec::Kind::kPresent, {}}};
  RouteSpec mtls = prefix_route("/", "mtls");
  mtls.match.tls_presented = true;
  mtls.match.tls_validated = true;
  RouteSpec both = prefix_route("/", "both");
  both.match.headers = {header_is("x-a", "1"), header_is("x-b", "2")};
  auto table = build(one_host(std::move(post), std::move(grpc), std::move(debug), std::move(mtls), std::move(both),
                              prefix_route("/", "rest")));
  EXPECT_EQ(select(*table, TestRequest("/", "h", {}, "POST")), "all/post");
  EXPECT_EQ(select(*table, TestRequest("/", "h", {{"content-type", "application/grpc"}})), "all/grpc");
  EXPECT_EQ(select(*table, TestRequest("/", "h", {{"content-type", "application/grpc+proto"}})), "all/grpc");
  EXPECT_EQ(select(*table, TestRequest("/", "h", {{"content-type", "application/grpc-web"}})), "all/rest");
  EXPECT_EQ(select(*table, TestRequest("/?x&debug")), "all/debug");
  EXPECT_EQ(select(*table, TestRequest("/?x=debug")), "all/rest");
  SelectInput tls{.client_certificate_presented = true, .client_certificate_validated = true};
  EXPECT_EQ(select(*table, TestRequest("/"), tls), "all/mtls");
  tls.client_certificate_validated = false;
  EXPECT_EQ(select(*table, TestRequest("/"), tls), "all/rest");
  EXPECT_EQ(select(*table, TestRequest("/", "h", {{"x-a", "1"}, {"x-b", "2"}})), "all/both");
  EXPECT_EQ(select(*table, TestRequest("/", "h", {{"x-a", "1"}})), "all/rest");
}

TEST(GoldenSelection, RuntimeFractionFollowsTheRandomNumber) {
  RouteSpec canary = prefix_route("/", "canary");
  canary.match.runtime_fraction = runtime::RuntimeFraction{{25, 100}};
  auto table = build(one_host(std::move(canary), prefix_route("/", "stable")));
  int canaries = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    std::string got = select(*table, TestRequest("/"), {.random = i * 7919});
    EXPECT_EQ(got, select(*table, TestRequest("/"), {.random = i * 7919}));
    canaries += got == "all/canary";
  }
  EXPECT_EQ(canaries, 250);
}

TEST(GoldenSelection, RequireTls) {
  RouteTableSpec spec = one_host(prefix_route("/"));
  spec.virtual_hosts[0].require_tls = TlsRequirement::kExternalOnly;
  auto external = build(std::move(spec));
  TestRequest request("/");
  EXPECT_TRUE(external->select(request.headers(), {}).tls_required);
  EXPECT_EQ(external->select(request.headers(), {}).route, nullptr);
  EXPECT_FALSE(external->select(request.headers(), {.is_tls = true}).tls_required);
  EXPECT_FALSE(external->select(request.headers(), {.is_internal = true}).tls_required);
  RouteTableSpec all = one_host(prefix_route("/"));
  all.virtual_hosts[0].require_tls = TlsRequirement::kAll;
  auto everyone = build(std::move(all));
  EXPECT_TRUE(everyone->select(request.headers(), {.is_internal = true}).tls_required);
}

TEST(GoldenSelection, ClusterByHeader) {
  RouteSpec route = prefix_route("/", "");
  route.forward.cluster_header = "x-cluster";
  auto table = build(one_host(std::move(route)));
  EXPECT_EQ(select(*table, TestRequest("/", "h", {{"x-cluster", "blue"}})), "all/blue");
  EXPECT_EQ(select(*table, TestRequest("/")), "all/");
}

TEST(GoldenSelection, ClustersHaveSlots) {
  std::vector<std::string> asked;
  auto resolve = [&](std::string_view name) {
    asked.emplace_back(name);
    return event::SlotId{event::SlotKind::kCluster, static_cast<uint32_t>(asked.size() + 40)};
  };
  RouteSpec weighted = prefix_route("/w", "");
  weighted.forward.weighted_clusters.resize(2);
  weighted.forward.weighted_clusters[0].name = "a";
  weighted.forward.weighted_clusters[0].weight = 1;
  weighted.forward.weighted_clusters[1].name = "b";
  auto table =
      RouteTable::build(one_host(prefix_route("/a", "a"), std::move(weighted), prefix_route("/", "a")), resolve);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(asked, (std::vector<std::string>{"a", "b"}));
  TestRequest request("/w");
  ClusterChoice choice = (*table)->select(request.headers(), {.random = 5}).cluster(request.headers());
  EXPECT_EQ(choice.name, "a");
  EXPECT_TRUE(choice.has_slot);
  EXPECT_EQ(choice.slot.index, 41u);
}

TEST(GoldenSelection, WeightedClusters) {
  auto make = [](std::string header) {
    RouteSpec route = prefix_route("/", "");
    route.forward.weight_header = std::move(header);
    for (auto [name, weight] : {std::pair("a", 10u), std::pair("b", 0u), std::pair("c", 90u)}) {
      WeightedClusterSpec cluster;
      cluster.name = name;
      cluster.weight = weight;
      route.forward.weighted_clusters.push_back(std::move(cluster));
    }
    return build(one_host(std::move(route)));
  };
  auto table = make("");
  int a = 0;
  for (uint64_t i = 0; i < 10'000; ++i) {
    std::string got = select(*table, TestRequest("/"), {.random = i});
    EXPECT_NE(got, "all/b");
    a += got == "all/a";
  }
  EXPECT_GT(a, 800);
  EXPECT_LT(a, 1200);
  auto by_header = make("x-weight");
  EXPECT_EQ(select(*by_header, TestRequest("/", "h", {{"x-weight", "9"}})), "all/a");
  EXPECT_EQ(select(*by_header, TestRequest("/", "h", {{"x-weight", "10"}})), "all/c");
  EXPECT_EQ(select(*by_header, TestRequest("/", "h", {{"x-weight", "109"}})), "all/a");
}

}  // namespace
}  // namespace weir::route
