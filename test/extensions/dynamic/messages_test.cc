// The messages that configure plugins, through the table of the build's own plugins.
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "core/lb/policy.h"
#include "envoy/extensions/filters/http/dynamic_modules/v3/dynamic_modules.pb.h"
#include "extensions/dynamic/config_text.h"
#include "test/extensions/dynamic/scripted_plugin.h"
#include "weir/extensions/dynamic/v1/dynamic.pb.h"

namespace weir::test {
namespace {

namespace own = weir::extensions::dynamic::v1;
namespace published = envoy::extensions::filters::http::dynamic_modules::v3;

// Before the process's loader is made.
class PluginDirectories : public ::testing::Environment {
 public:
  void SetUp() override {
    setenv("WEIR_PLUGIN_DIRS", WEIR_TEST_PLUGINS ":" WEIR_EXAMPLE_PLUGINS, 1);
    setenv("WEIR_PLUGIN_COPIES", ("/tmp/weir-test-plugins-" + std::to_string(geteuid())).c_str(), 1);
  }
};
[[maybe_unused]] ::testing::Environment* const environment = ::testing::AddGlobalTestEnvironment(new PluginDirectories);

// field: extensions.dynamic.v1.HttpFilter.module, extensions.dynamic.v1.HttpFilter.config
TEST(DynamicMessages, OwnFilter) {
  PluginScope scope;
  own::HttpFilter proto;
  proto.set_module("header_delay");
  proto.mutable_config()->set_string_value("0");
  auto entry = scope.http_filter(proto, "delay");
  ASSERT_EQ(scope.error_texts(), std::vector<std::string>{});
  FilterHarness harness({entry});
  exchange(harness);
  EXPECT_EQ(harness.response().header("x-delayed-ms"), "0");
}

// field: DynamicModuleFilter.dynamic_module_config, DynamicModuleConfig.name, DynamicModuleFilter.filter_config
// field: DynamicModuleFilterPerRoute.filter_config
TEST(DynamicMessages, PublishedFilterAndRoute) {
  PluginScope scope;
  published::DynamicModuleFilter proto;
  proto.mutable_dynamic_module_config()->set_name("header_delay");
  google::protobuf::StringValue text;
  text.set_value("9");
  proto.mutable_filter_config()->PackFrom(text);
  auto entry = scope.http_filter(proto, "delay");
  published::DynamicModuleFilterPerRoute route;
  text.set_value("2");
  route.mutable_filter_config()->PackFrom(text);
  auto route_config = scope.route_config(route);
  ASSERT_EQ(scope.error_texts(), std::vector<std::string>{});
  FilterHarness harness({entry});
  harness.set_route_config("delay", route_config);
  exchange(harness);
  EXPECT_EQ(harness.response().header("x-delayed-ms"), "2");
}

// field: HttpFilterPerRoute.config
TEST(DynamicMessages, OwnRoute) {
  PluginScope scope;
  own::HttpFilter proto;
  proto.set_module("header_delay");
  proto.mutable_config()->set_string_value("9");
  own::HttpFilterPerRoute route;
  route.mutable_config()->set_string_value("3");
  auto entry = scope.http_filter(proto, "delay");
  auto route_config = scope.route_config(route);
  ASSERT_EQ(scope.error_texts(), std::vector<std::string>{});
  FilterHarness harness({entry});
  harness.set_route_config("delay", route_config);
  exchange(harness);
  EXPECT_EQ(harness.response().header("x-delayed-ms"), "3");
}

TEST(DynamicMessages, WhatIsNotSupportedIsSaid) {
  PluginScope scope;
  published::DynamicModuleFilter proto;
  proto.mutable_dynamic_module_config()->set_name("header_delay");
  proto.mutable_dynamic_module_config()->set_load_globally(true);
  proto.set_terminal_filter(true);
  scope.http_filter(proto);
  EXPECT_EQ(scope.error_texts(),
            (std::vector<std::string>{
                "dynamic_module_config.load_globally: not supported by weir; a plugin's symbols are never visible to "
                "others",
                "terminal_filter: not supported by weir yet",
                "filter_config: '' is no number of milliseconds; allowed are 0 to 60000"}));
}

// field: LoadBalancer.module, LoadBalancer.config
TEST(DynamicMessages, LoadBalancer) {
  const lb::PolicyDescriptor* policy = PluginScope::registry().lb_policy("weir.extensions.dynamic.v1.LoadBalancer");
  ASSERT_NE(policy, nullptr);
  own::LoadBalancer proto;
  proto.set_module("first_host_lb");
  EXPECT_TRUE(policy->make_config(proto).ok());
  proto.mutable_config()->set_number_value(1);
  EXPECT_EQ(policy->make_config(proto).status().message(), "config: '1': allowed are nothing and \"last\"");
  proto.set_module("header_delay");
  EXPECT_EQ(policy->make_config(proto).status().message(), "module: weir.examples.header_delay/1 has no load balancer");
}

// field: extensions.dynamic.v1.HttpFilter.filter_name, DynamicModuleFilter.filter_name, LoadBalancer.policy_name
TEST(DynamicMessages, NamesGoToThePlugin) {
  std::vector<uint64_t> sizes;  // of the names that the plugin was given
  ScriptedPlugin plugin([&](std::string_view event, uint64_t, uint64_t argument) {
    if (event == "config_create") sizes.push_back(argument);
    return 0u;
  });
  PluginScope scope;
  own::HttpFilter filter;
  filter.set_module("probe");
  filter.set_filter_name("three");
  filter.mutable_config()->set_string_value(plugin.text());
  auto first = scope.http_filter(filter);
  published::DynamicModuleFilter module;
  module.mutable_dynamic_module_config()->set_name("probe");
  module.set_filter_name("seventh");
  google::protobuf::StringValue text;
  text.set_value(plugin.text());
  module.mutable_filter_config()->PackFrom(text);
  auto second = scope.http_filter(module);
  own::LoadBalancer balancer;
  balancer.set_module("probe");
  balancer.set_policy_name("two");
  balancer.mutable_config()->set_string_value(plugin.text());
  auto third = PluginScope::registry().lb_policy("weir.extensions.dynamic.v1.LoadBalancer")->make_config(balancer);
  EXPECT_TRUE(third.ok());
  EXPECT_EQ(scope.error_texts(), std::vector<std::string>{});
  EXPECT_EQ(sizes, (std::vector<uint64_t>{5, 7, 3}));
}

TEST(DynamicMessages, Texts) {
  using extensions::dynamic::config_text;
  google::protobuf::Value value;
  EXPECT_EQ(*config_text(value), "");
  value.set_string_value("as: it\nis");
  EXPECT_EQ(*config_text(value), "as: it\nis");
  value.set_bool_value(true);
  EXPECT_EQ(*config_text(value), "true");
  (*value.mutable_struct_value()->mutable_fields())["a"].mutable_list_value()->add_values()->set_number_value(1.5);
  EXPECT_EQ(*config_text(value), "{\"a\":[1.5]}");
  google::protobuf::Any any;
  EXPECT_EQ(*config_text(any), "");
  any.PackFrom(value);
  EXPECT_EQ(*config_text(any), "{\"a\":[1.5]}");
  google::protobuf::BytesValue bytes;
  bytes.set_value("raw");
  any.PackFrom(bytes);
  EXPECT_EQ(*config_text(any), "raw");
}

}  // namespace
}  // namespace weir::test
