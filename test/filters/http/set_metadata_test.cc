#include <gtest/gtest.h>

#include "envoy/extensions/filters/http/set_metadata/v3/set_metadata.pb.h"
#include "test/support/filter_harness.h"
#include "test/support/parsed.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

using Proto = envoy::extensions::filters::http::set_metadata::v3::Config;

// The dynamic metadata of a request that passed the filter; `before` is in namespace "ns" ahead of it, as "k".
std::string left_by(PluginScope& plugins, const std::string& config, const std::vector<stream::Value>& before = {}) {
  FilterHarness harness({plugins.http_filter(parsed<Proto>(config))});
  if (!before.empty()) harness.stream().dynamic_metadata().set("ns", "k", stream::Value::of_list(before));
  harness.send_headers({{":method", "GET"}, {":path", "/"}}, true);
  harness.run(10ms);
  EXPECT_TRUE(harness.request().has_headers);
  EXPECT_TRUE(plugins.error_texts().empty()) << plugins.error_texts().front();
  return harness.metadata();
}

std::string member(const std::string& key, const std::string& value) {
  return "fields { key: '" + key + "' value { " + value + " } } ";
}

// field: set_metadata.v3.Config.metadata, set_metadata.v3.Metadata.metadata_namespace, set_metadata.v3.Metadata.value
// field: set_metadata.v3.Metadata.allow_overwrite
TEST(SetMetadata, NamespacesAreMadeAndUpdatedIfThatIsAllowed) {
  PluginScope plugins;
  const std::string list = member("k", "list_value { values { string_value: 'b' } }");
  EXPECT_EQ(
      left_by(plugins, "metadata { metadata_namespace: 'ns' value { " + list + member("n", "number_value: 1") + "} }"),
      R"({"ns":{"k":["b"],"n":1}})");
  const std::vector<stream::Value> before = {stream::Value::of_string("a")};
  EXPECT_EQ(left_by(plugins, "metadata { metadata_namespace: 'ns' value { " + list + "} }", before),
            R"({"ns":{"k":["a"]}})");
  EXPECT_EQ(plugins.store().counter("test.set_metadata.overwrite_denied").value(), 1u);
  EXPECT_EQ(
      left_by(plugins, "metadata { metadata_namespace: 'ns' allow_overwrite: true value { " + list + "} }", before),
      R"({"ns":{"k":["a","b"]}})");
  EXPECT_EQ(left_by(plugins, "metadata { metadata_namespace: 'a' value { " +
                                 member("s", "struct_value { " + member("x", "bool_value: true") + "}") +
                                 "} } metadata { metadata_namespace: 'a' allow_overwrite: true value { " +
                                 member("s", "struct_value { " + member("y", "null_value: NULL_VALUE") + "}") + "} }"),
            R"({"a":{"s":{"x":true,"y":null}}})");
  EXPECT_EQ(plugins.store().counter("test.set_metadata.overwrite_denied").value(), 1u);
}

// field: set_metadata.v3.Config.metadata_namespace, set_metadata.v3.Config.value
TEST(SetMetadata, TheOlderFormUpdates) {
  PluginScope plugins;
  const std::string older = "metadata_namespace: 'ns' value { " + member("k", "string_value: 'new'") + "} ";
  EXPECT_EQ(left_by(plugins, older), R"({"ns":{"k":"new"}})");
  EXPECT_EQ(left_by(plugins, older, {stream::Value::of_string("a")}), R"({"ns":{"k":"new"}})");
  // It comes first.
  EXPECT_EQ(left_by(plugins,
                    older + "metadata { metadata_namespace: 'ns' value { " + member("k", "string_value: 'x'") + "} }"),
            R"({"ns":{"k":"new"}})");
  EXPECT_EQ(plugins.store().counter("test.set_metadata.overwrite_denied").value(), 1u);
}

TEST(SetMetadata, WhatIsRefused) {
  const auto errors = [](const std::string& config) {
    PluginScope plugins;
    plugins.http_filter(parsed<Proto>(config));
    return plugins.error_texts();
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(errors("value {}"), Texts{"metadata_namespace: must not be empty"});
  EXPECT_EQ(errors("metadata_namespace: 'a'"), Texts{"value: is required with metadata_namespace"});
}

}  // namespace
}  // namespace weir::test
