#include "core/route/filter_configs.h"

#include <gtest/gtest.h>

#include "test/core/route/test_request.h"

namespace weir::route {
namespace {

constexpr uint32_t kKind = 77;

FilterConfigSpec config(uint32_t id, std::string text, uint32_t kind = kKind) {
  return {id, false, std::make_shared<const std::string>(std::move(text)), kind};
}
std::string text_of(const FilterConfigs::Entry* entry) {
  if (entry == nullptr) return "none";
  std::string text = entry->config != nullptr ? *static_cast<const std::string*>(entry->config.get()) : "-";
  return entry->disabled ? text + " off" : text;
}

TEST(FilterConfigs, FindsById) {
  FilterConfigs configs({config(7, "seven"), config(3, "three"), config(5, "old"), config(5, "five")});
  EXPECT_EQ(text_of(configs.find(3)), "three");
  EXPECT_EQ(text_of(configs.find(5)), "five");
  EXPECT_EQ(text_of(configs.find(7)), "seven");
  EXPECT_EQ(configs.find(4), nullptr);
  EXPECT_EQ(configs.find(8), nullptr);
  EXPECT_EQ(FilterConfigs::none().find(0), nullptr);
}

TEST(FilterConfigs, MostSpecificLevelWins) {
  RouteSpec plain = prefix_route("/plain");
  RouteSpec weighted = prefix_route("/", "");
  weighted.filter_configs = {config(2, "route"), {4, true, nullptr}};
  for (bool own : {true, false}) {
    WeightedClusterSpec cluster;
    cluster.name = "a";
    cluster.weight = 1;
    if (own) cluster.filter_configs = {config(1, "cluster")};
    weighted.forward.weighted_clusters.push_back(std::move(cluster));
  }
  RouteTableSpec spec = one_host(std::move(plain), std::move(weighted));
  spec.virtual_hosts[0].filter_configs = {config(2, "host"), config(3, "host"), config(4, "host")};
  spec.filter_configs = {config(1, "table"), config(3, "table"), config(9, "table")};
  auto built = RouteTable::build(std::move(spec));
  ASSERT_TRUE(built.ok()) << built.status();
  const RouteTable& table = **built;
  auto all = [](const FilterConfigs& configs) {
    std::string out;
    for (uint32_t id : {1, 2, 3, 4, 9}) out += text_of(configs.find(id)) + ";";
    return out;
  };
  const VirtualHost& host = table.virtual_hosts()[0];
  EXPECT_EQ(all(table.filter_configs()), "table;none;table;none;table;");
  EXPECT_EQ(all(host.filter_configs()), "table;host;host;host;table;");
  EXPECT_EQ(all(host.own_filter_configs()), "none;host;host;host;none;");
  EXPECT_EQ(all(host.routes()[0].filter_configs()), "table;host;host;host;table;");
  EXPECT_EQ(&host.routes()[0].filter_configs(), &host.filter_configs());  // shared, not copied
  EXPECT_EQ(all(host.routes()[1].filter_configs()), "table;route;host;- off;table;");
  const auto& clusters = host.routes()[1].forward().weighted_clusters();
  EXPECT_EQ(all(*clusters[0].filter_configs), "cluster;route;host;- off;table;");
  EXPECT_EQ(clusters[1].filter_configs, &host.routes()[1].filter_configs());

  // Every level that has a configuration, least specific first; one that only turns the filter off or on hides nothing.
  auto levels = [](const FilterConfigs& configs, uint32_t id) {
    std::string out;
    filter::RouteLevels levels = configs.levels({id, kKind});
    for (size_t i = 0; i < levels.count; ++i) out += *static_cast<const std::string*>(levels.at[i]) + ";";
    return out;
  };
  EXPECT_EQ(levels(table.filter_configs(), 1), "table;");
  EXPECT_EQ(levels(host.filter_configs(), 3), "table;host;");
  EXPECT_EQ(levels(*clusters[0].filter_configs, 1), "table;cluster;");
  EXPECT_EQ(levels(*clusters[0].filter_configs, 2), "host;route;");
  EXPECT_EQ(levels(*clusters[0].filter_configs, 3), "table;host;");
  EXPECT_EQ(levels(*clusters[0].filter_configs, 4), "host;");
  EXPECT_EQ(*static_cast<const std::string*>(clusters[0].filter_configs->most_specific({4, kKind})), "host");

  Selection selection;
  EXPECT_EQ(&selection.filter_configs(), &FilterConfigs::none());
  selection.route = &host.routes()[1];
  EXPECT_EQ(&selection.filter_configs(), &host.routes()[1].filter_configs());
  selection.weighted = &clusters[0];
  EXPECT_EQ(&selection.filter_configs(), clusters[0].filter_configs);
}

TEST(FilterConfigs, AllFourLevels) {
  RouteSpec route = prefix_route("/", "");
  route.filter_configs = {config(1, "route")};
  WeightedClusterSpec cluster;
  cluster.name = "a";
  cluster.weight = 1;
  cluster.filter_configs = {config(1, "cluster")};
  route.forward.weighted_clusters.push_back(std::move(cluster));
  RouteTableSpec spec = one_host(std::move(route));
  spec.virtual_hosts[0].filter_configs = {config(1, "host")};
  spec.filter_configs = {config(1, "table")};
  auto table = RouteTable::build(std::move(spec));
  ASSERT_TRUE(table.ok()) << table.status();
  TestRequest request("/", "");
  filter::RouteLevels levels = (*table)->select(request.headers(), {}).filter_configs().levels({1, kKind});
  ASSERT_EQ(levels.count, filter::RouteLevels::kMost);
  std::string all;
  for (const void* level : levels.at) all += *static_cast<const std::string*>(level) + ";";
  EXPECT_EQ(all, "table;host;route;cluster;");
}

// A filter casts what it is given: what was made for another kind of filter under its name is as if nobody had said it.
TEST(FilterConfigs, AnotherKindGetsNothing) {
  RouteSpec route = prefix_route("/");
  route.filter_configs = {config(1, "of another kind", kKind + 1), {2, true, nullptr}};
  RouteTableSpec spec = one_host(std::move(route));
  spec.virtual_hosts[0].filter_configs = {config(1, "host"), config(2, "of another kind", kKind + 1)};
  spec.filter_configs = {config(1, "table")};
  auto table = RouteTable::build(std::move(spec));
  ASSERT_TRUE(table.ok()) << table.status();
  TestRequest request("/", "");
  const FilterConfigs& configs = (*table)->select(request.headers(), {}).filter_configs();
  EXPECT_EQ(*static_cast<const std::string*>(configs.most_specific({1, kKind})), "host");
  EXPECT_EQ(configs.levels({1, kKind}).count, 2u);
  EXPECT_EQ(*static_cast<const std::string*>(configs.most_specific({1, kKind + 1})), "of another kind");
  EXPECT_EQ(configs.levels({1, kKind + 1}).count, 1u);
  EXPECT_EQ(configs.most_specific({1, 0}), nullptr);
  EXPECT_EQ(configs.most_specific({2, kKind}), nullptr);
  EXPECT_EQ(configs.levels({2, kKind}).count, 0u);
  EXPECT_EQ(configs.most_specific({3, kKind}), nullptr);
}

}  // namespace
}  // namespace weir::route
