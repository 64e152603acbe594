// Selection says of a route without reading it that it is plain: never of one that a request must hear of before.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>

#include "core/stats/store.h"
#include "test/core/route/test_request.h"

namespace weir::route {
namespace {

// What the request for /0/a finds among so many routes of every kind of path, if `change` is made to all of them.
struct Found {
  std::unique_ptr<RouteTable> table;
  Selection selection;
};
Found find(int routes, PathKind kind, const std::function<void(RouteTableSpec&, RouteSpec&)>& change,
           stats::Store* store = nullptr) {
  RouteTableSpec spec = one_host();
  for (int i = 0; i < routes; ++i) {
    std::string path = "/" + std::to_string(i) + "/a";
    if (kind == PathKind::kRegex) path += "[a-z]?";
    spec.virtual_hosts[0].routes.push_back(forward_route(kind, path));
    change(spec, spec.virtual_hosts[0].routes.back());
  }
  auto table = RouteTable::build(std::move(spec), {}, nullptr, store);
  EXPECT_TRUE(table.ok()) << table.status();
  TestRequest request("/0/a");
  const Selection selection = (*table)->select(request.headers(), {});
  EXPECT_EQ(selection.route, &(*table)->virtual_hosts()[0].routes()[0]);
  return {std::move(*table), selection};
}

struct Case {
  const char* name;
  std::function<void(RouteTableSpec&, RouteSpec&)> change;
};

class PlainRoutes : public testing::TestWithParam<std::pair<int, PathKind>> {
 protected:
  Found find(const std::function<void(RouteTableSpec&, RouteSpec&)>& change, stats::Store* store = nullptr) const {
    return route::find(GetParam().first, GetParam().second, change, store);
  }
};

TEST_P(PlainRoutes, AForwardToAClusterIsPlain) {
  const Found found = find([](RouteTableSpec&, RouteSpec& route) {
    route.forward.timeout = 3s;
    route.forward.prefix_rewrite = GetParam().second == PathKind::kRegex ? "" : "/b";
  });
  EXPECT_TRUE(found.selection.plain);
  EXPECT_FALSE(found.selection.mutates);
  EXPECT_EQ(found.selection.weighted, nullptr);
  EXPECT_EQ(found.selection.route_stats(), nullptr);
  EXPECT_TRUE(found.selection.filter_configs().empty());
}

TEST_P(PlainRoutes, WhatMustBeKnownBeforeItIsForwarded) {
  const Case cases[] = {
      {"name", [](RouteTableSpec&, RouteSpec& route) { route.name = "n"; }},
      {"metadata",
       [](RouteTableSpec&, RouteSpec& route) {
         route.metadata = std::make_shared<stream::StaticMetadata>(stream::Value{});
       }},
      {"filter configs",
       [](RouteTableSpec&, RouteSpec& route) {
         route.filter_configs.push_back({1, true, nullptr});
       }},
      {"filter configs of the host",
       [](RouteTableSpec& table, RouteSpec&) {
         table.virtual_hosts[0].filter_configs = {{1, true, nullptr}};
       }},
      {"filter configs of the table",
       [](RouteTableSpec& table, RouteSpec&) {
         table.filter_configs = {{1, true, nullptr}};
       }},
      {"idle timeout", [](RouteTableSpec&, RouteSpec& route) { route.forward.idle_timeout = 1s; }},
      {"stream duration", [](RouteTableSpec&, RouteSpec& route) { route.forward.max_stream_duration = 1s; }},
      {"weights",
       [](RouteTableSpec&, RouteSpec& route) {
         route.forward.cluster.clear();
         WeightedClusterSpec cluster;
         cluster.name = "a";
         cluster.weight = 1;
         route.forward.weighted_clusters.push_back(std::move(cluster));
       }},
      {"answer",
       [](RouteTableSpec&, RouteSpec& route) {
         route.action = ActionKind::kDirectResponse;
         route.direct_response = std::make_unique<DirectResponseSpec>();
       }},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    EXPECT_FALSE(find(each.change).selection.plain);
  }
}

TEST_P(PlainRoutes, MutationsOfEachLevel) {
  const Case cases[] = {
      {"route",
       [](RouteTableSpec&, RouteSpec& route) {
         route.mutations.request.add = {{"x-a", "1"}};
       }},
      {"host",
       [](RouteTableSpec& table, RouteSpec&) {
         table.virtual_hosts[0].mutations.response.add = {{"x-a", "1"}};
       }},
      {"table", [](RouteTableSpec& table, RouteSpec&) { table.mutations.response.remove = {"x-a"}; }},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    const Found found = find(each.change);
    EXPECT_FALSE(found.selection.plain);
    EXPECT_TRUE(found.selection.mutates);
  }
}

TEST_P(PlainRoutes, CountersOfItsOwn) {
  stats::Store store;
  const Found found = find([](RouteTableSpec&, RouteSpec& route) { route.stat_prefix = "s"; }, &store);
  EXPECT_FALSE(found.selection.plain);
  EXPECT_EQ(found.selection.route_stats(), found.selection.route->stats());
  EXPECT_NE(found.selection.route_stats(), nullptr);
}

INSTANTIATE_TEST_SUITE_P(WalkedAndIndexed, PlainRoutes,
                         testing::Values(std::pair(3, PathKind::kPrefix), std::pair(30, PathKind::kPrefix),
                                         std::pair(30, PathKind::kExact), std::pair(30, PathKind::kSegmentPrefix),
                                         std::pair(30, PathKind::kRegex)));

}  // namespace
}  // namespace weir::route
