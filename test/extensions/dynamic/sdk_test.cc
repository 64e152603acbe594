// What the SDK's thunks do with exceptions, and what the host does with refused configurations.
#include <gtest/gtest.h>

#include "test/extensions/dynamic/scripted_plugin.h"

namespace weir::test {
namespace {

TEST(Sdk, ExceptionsEndTheStreamAndAreCounted) {
  for (const char* where :
       {"request_headers", "request_data", "request_trailers", "response_headers", "timer", "posted"}) {
    SCOPED_TRACE(where);
    PluginScope scope;
    auto config = HttpConfig::make(test_module("throwing"), "", where, "config", scope.scope());
    ASSERT_TRUE(config.ok());
    FilterHarness harness({plugin_entry(*config)});
    harness.send_headers({{":method", "POST"}, {":path", "/"}});
    harness.send_data("body");
    harness.send_trailers({{"x-end", "1"}});
    harness.respond_headers({{":status", "200"}}, true);
    harness.run(50ms);
    EXPECT_EQ(harness.response().header(":status"), "500");
    EXPECT_EQ(harness.details(), "plugin_exception");
    EXPECT_EQ(scope.store().counter("test.dynamic.exceptions").value(), 1u);
    event::Lane::leave();
  }
}

TEST(Sdk, ExceptionsAfterTheHeadersCutTheResponseOff) {
  for (const char* where : {"response_data", "response_trailers"}) {
    SCOPED_TRACE(where);
    PluginScope scope;
    auto config = HttpConfig::make(test_module("throwing"), "", where, "config", scope.scope());
    ASSERT_TRUE(config.ok());
    FilterHarness harness({plugin_entry(*config)});
    harness.send_headers({{":method", "GET"}, {":path", "/"}}, true);
    harness.respond_headers({{":status", "200"}});
    harness.respond_data("x");
    harness.respond_trailers({{"x-end", "1"}});
    harness.run(50ms);
    EXPECT_TRUE(harness.aborted());
    event::Lane::leave();
  }
}

TEST(Sdk, ExceptionsInOtherPlaces) {
  PluginScope scope;
  auto parse = HttpConfig::make(test_module("throwing"), "", "parse", "config", scope.scope());
  EXPECT_EQ(scope.error_texts(),
            std::vector<std::string>{"config: an exception was thrown while the configuration was read"});
  for (auto [where, status] : {std::pair{"create", "500"}, std::pair{"complete", "200"}}) {
    auto config = HttpConfig::make(test_module("throwing"), "", where, "config", scope.scope());
    ASSERT_TRUE(config.ok());
    FilterHarness harness({plugin_entry(*config)});
    exchange(harness);
    EXPECT_EQ(harness.response().header(":status"), status) << where;
    event::Lane::leave();
  }
}

TEST(Sdk, RefusedConfigurationsAreExplained) {
  PluginScope scope;
  auto config = HttpConfig::make(test_module("header_delay"), "", "soon", "config", scope.scope());
  EXPECT_EQ(scope.error_texts(),
            std::vector<std::string>{"config: 'soon' is no number of milliseconds; allowed are 0 to 60000"});
}

TEST(Sdk, HooksThatAreNotDeclaredAreNull) {
  const weir_http_filter& hooks = test_module("header_delay").http_filter;
  EXPECT_NE(hooks.on_request_headers, nullptr);
  EXPECT_NE(hooks.on_timer, nullptr);
  EXPECT_EQ(hooks.on_request_data, nullptr);
  EXPECT_EQ(hooks.on_response_trailers, nullptr);
  EXPECT_EQ(hooks.on_complete, nullptr);
}

}  // namespace
}  // namespace weir::test
