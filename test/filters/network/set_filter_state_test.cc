#include <gtest/gtest.h>

#include "envoy/extensions/filters/network/set_filter_state/v3/set_filter_state.pb.h"
#include "test/support/fake_connection.h"
#include "test/support/parsed.h"

namespace weir::test {
namespace {

using Proto = envoy::extensions::filters::network::set_filter_state::v3::Config;

std::string value(const std::string& key, const std::string& format, const std::string& more = "") {
  return "{ object_key: '" + key + "' format_string { text_format_source { inline_string: '" + format + "' } " +
         "omit_empty_values: true } " + more + " } ";
}

class SetFilterStateTest : public ::testing::Test {
 protected:
  // What is in the connection's filter state then; "none" where there is nothing.
  std::string left(const std::string& config, const std::string& key) {
    connection_.facts.server_name = "db.example";
    const auto* descriptor = PluginScope::registry().network_filter(Proto::descriptor()->full_name());
    const auto made = make_config(plugins_, descriptor->make_config, parsed<Proto>(config));
    EXPECT_TRUE(plugins_.error_texts().empty()) << plugins_.error_texts().front();
    EXPECT_EQ(descriptor->make(made, lane_)->on_new_connection(connection_), filter::Action::kContinue);
    const stream::FilterState* state = connection_.info().filter_state;
    const auto* entry = state != nullptr ? state->find(stream::FilterStateName(key)) : nullptr;
    std::string text;
    return entry != nullptr && entry->value.append_plain(text) ? text : "none";
  }
  std::vector<std::string> faults(const std::string& config) {
    PluginScope plugins;
    const auto* descriptor = PluginScope::registry().network_filter(Proto::descriptor()->full_name());
    (void)make_config(plugins, descriptor->make_config, parsed<Proto>(config));
    return plugins.error_texts();
  }

  PluginScope plugins_;
  TestLane lane_;
  FakeConnection connection_{lane_};
};

TEST_F(SetFilterStateTest, ValuesAreMadeOfTheConnection) {
  EXPECT_EQ(left("on_new_connection " + value("envoy.network.upstream_server_name", "up.%REQUESTED_SERVER_NAME%"),
                 "envoy.network.upstream_server_name"),
            "up.db.example");
  // This connection has no TLS.
  EXPECT_EQ(left("on_downstream_tls_handshake " + value("envoy.tcp_proxy.cluster", "x"), "envoy.tcp_proxy.cluster"),
            "none");
}

TEST_F(SetFilterStateTest, NumbersAreNumbers) {
  const std::string key = "envoy.tcp_proxy.per_connection_idle_timeout_ms";
  EXPECT_EQ(left("on_new_connection " + value(key, "soon"), key), "none");
  EXPECT_EQ(plugins_.store().counter("test.set_filter_state.not_set").value(), 1u);
  EXPECT_EQ(left("on_new_connection " + value(key, "1500"), key), "1500");
  const auto* entry = connection_.info().filter_state->find(stream::FilterStateName(key));
  EXPECT_EQ(entry->value.kind(), stream::FilterStateValue::Kind::kUnsigned);
}

TEST_F(SetFilterStateTest, OwnNamesOverwritingAndNothing) {
  const std::string any = "factory_key: 'envoy.string'";
  EXPECT_EQ(left("on_new_connection " + value("mine", "%UPSTREAM_HOST%", any + " skip_if_empty: true"), "mine"),
            "none");
  EXPECT_EQ(left("on_new_connection " + value("mine", "%UPSTREAM_HOST%", any), "mine"), "");
  EXPECT_EQ(left("on_new_connection " + value("mine", "one", any), "mine"), "one");
  EXPECT_EQ(left("on_new_connection " + value("fixed", "one", any + " read_only: true") + "on_new_connection " +
                     value("fixed", "two", any),
                 "fixed"),
            "one");
  EXPECT_EQ(plugins_.store().counter("test.set_filter_state.not_set").value(), 1u);
}

TEST_F(SetFilterStateTest, WhatIsWrongIsSaid) {
  const auto unknown = faults("on_new_connection " + value("mine", "x"));
  ASSERT_EQ(unknown.size(), 1u);
  EXPECT_NE(unknown[0].find("on_new_connection[0].object_key: \"mine\" is not one of envoy.network."),
            std::string::npos)
      << unknown[0];
  const auto factory = faults("on_new_connection " + value("mine", "x", "factory_key: 'y'"));
  ASSERT_EQ(factory.size(), 1u);
  EXPECT_NE(factory[0].find("on_new_connection[0].factory_key: \"y\" is not one of "), std::string::npos) << factory[0];
  EXPECT_EQ(faults("on_new_connection { object_key: 'envoy.tcp_proxy.cluster' }").size(), 1u);
  EXPECT_EQ(faults("on_downstream_tls_handshake " + value("", "x")).size(), 1u);
  EXPECT_EQ(faults("on_new_connection " + value("envoy.tcp_proxy.cluster", "%NOTHING%")).size(), 1u);
}

}  // namespace
}  // namespace weir::test
