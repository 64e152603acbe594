// Every message that a plugin of this build reads is in the table of fields: else nothing would say what it ignores.
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace weir::config
