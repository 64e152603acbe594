// Every message that a plugin of this build reads is in the table of fields: else nothing would say what it ignores.
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>

#include "core/config/field_table.h"
#include "test/support/plugin_scope.h"

namespace weir::config {
namespace {

void expect_rows(std::string_view type) {
  const auto* message = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(type));
  ASSERT_NE(message, nullptr) << type;
  EXPECT_TRUE(has_field_table(*message)) << type << ": add its rows in a .fields file (api/README.md)";
}

TEST(PluginFields, EveryMessageHasRows) {
  const filter::Registry& registry = test::PluginScope::registry();
  ASSERT_FALSE(registry.list().empty());
  for (const auto& plugin : registry.list()) {
    expect_rows(plugin.type);
    const filter::HttpFilterDescriptor* filter = registry.http_filter(plugin.type);
    if (filter != nullptr && !filter->route_type.empty()) expect_rows(filter->route_type);
  }
}

// What RouteFilters goes by: a filter casts what its name's per-route message became.
TEST(PluginFields, EveryHttpFilterHasAPackageOfItsOwn) {
  const auto package = [](std::string_view type) { return std::string(type.substr(0, type.rfind('.'))); };
  const filter::Registry& registry = test::PluginScope::registry();
  std::map<std::string, std::string_view> filters;
  for (const auto& plugin : registry.list()) {
    const filter::HttpFilterDescriptor* filter = registry.http_filter(plugin.type);
    if (filter == nullptr) continue;
    EXPECT_TRUE(filters.emplace(package(filter->type), filter->name).second) << filter->type;
    if (filter->route_type.empty()) continue;
    EXPECT_EQ(package(filter->route_type), package(filter->type));
  }
}

}  // namespace
}  // namespace weir::config
