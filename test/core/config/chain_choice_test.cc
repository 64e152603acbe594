// filter_chain_match and filter_chain_matcher: what is wrong with them, and the names that chains keep.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "core/config/chain_choice_config.h"
#include "core/config/listener_config.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "test/support/plugin_scope.h"

namespace weir::config {
namespace {

namespace pb = envoy::config::listener::v3;

pb::Listener parsed(const std::string& text) {
  pb::Listener proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto)) << text;
  return proto;
}

// What is wrong with the choice of chains.
std::vector<std::string> faults(const std::string& text, proxy::ListenerSpec* spec = nullptr) {
  test::PluginScope plugins;
  proxy::ListenerSpec own;
  translate_chain_choice(parsed(text), {plugins.scope().report(), "listener"}, spec != nullptr ? *spec : own);
  return plugins.error_texts();
}
std::string chain(const std::string& match, const std::string& name = "") {
  return "filter_chains { name: '" + name + "' filter_chain_match { " + match + " } } ";
}

TEST(ChainChoice, ASingleChainThatMatchesAllNeedsNoTable) {
  proxy::ListenerSpec spec;
  EXPECT_TRUE(faults("filter_chains {} default_filter_chain {}", &spec).empty());
  EXPECT_EQ(spec.chain_table, nullptr);
  EXPECT_EQ(spec.default_chain, 1u);
  EXPECT_TRUE(faults("default_filter_chain {}", &spec).empty());
  EXPECT_EQ(spec.chain_table, nullptr);
  EXPECT_EQ(spec.default_chain, 0u);
  EXPECT_TRUE(faults(chain("destination_port { value: 5 }"), &spec).empty());
  EXPECT_NE(spec.chain_table, nullptr);
}

TEST(ChainChoice, ChainsThatAreTheSameAreAnError) {
  const std::vector<std::string> both = {
      "listener.filter_chains[1].filter_chain_match: a connection could match this and filter_chains[0] (one) equally "
      "well; no two chains may have all values of a match in common"};
  EXPECT_EQ(faults(chain("", "one") + chain("", "two")), both);
  EXPECT_EQ(faults(chain("server_names: 'A.example'", "one") + chain("server_names: 'a.example'")), both);
  EXPECT_TRUE(faults(chain("", "one") + chain("source_ports: 5", "one")).empty());
}

TEST(ChainChoice, ServerNames) {
  for (const char* name : {"*", "*.", "a*.example", "*.*.example", "", ".example", "*..example", "a.*"}) {
    EXPECT_EQ(faults(chain("server_names: '" + std::string(name) + "'")).size(), 1u) << name;
  }
  EXPECT_TRUE(faults(chain("server_names: '*.example' server_names: 'Example'")).empty());
  EXPECT_EQ(faults(chain("application_protocols: ''")).size(), 1u);
}

std::string matcher(const std::string& value) {
  return "filter_chain_matcher { on_no_match { action { name: 'a' typed_config { "
         "[type.googleapis.com/google.protobuf.StringValue] { value: '" +
         value +
         "' } } } } matcher_tree { input { name: 'p' typed_config { "
         "[type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.DestinationPortInput] {} } } "
         "exact_match_map { map { key: '1' value { action { name: 'a' typed_config { "
         "[type.googleapis.com/google.protobuf.StringValue] { value: 'one' } } } } } } } } ";
}

TEST(ChainChoice, MatchersNameChains) {
  proxy::ListenerSpec spec;
  EXPECT_TRUE(faults("filter_chains { name: 'two' } filter_chains { name: 'one' } " + matcher("two"), &spec).empty());
  EXPECT_NE(spec.chain_matcher, nullptr);
  EXPECT_EQ(spec.chain_table, nullptr);
  EXPECT_EQ(faults("filter_chains { name: 'one' } " + matcher("three")).size(), 1u);
  EXPECT_EQ(
      faults("filter_chains { name: 'one' } filter_chains {} filter_chains { name: 'one' } " + matcher("one")).size(),
      2u);
  EXPECT_EQ(faults(chain("source_ports: 5", "one") + matcher("one")).size(), 1u);
}

TEST(ChainChoice, MatchersSeeNoRequests) {
  EXPECT_EQ(
      faults("filter_chains { name: 'one' } filter_chain_matcher { matcher_tree { input { name: 'h' typed_config { "
             "[type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput] { header_name: 'x' } } } "
             "exact_match_map { map { key: '1' value { action { name: 'a' typed_config { "
             "[type.googleapis.com/google.protobuf.StringValue] { value: 'one' } } } } } } } }")
          .size(),
      1u);
}

TEST(ChainChoice, KeysAreOfTheChainAlone) {
  EXPECT_EQ(chain_keys(parsed(chain("source_ports: 5", "a") + chain("source_ports: 5", "b") + "filter_chains {}")),
            (std::vector<std::string>{"a", "b", "any"}));
  EXPECT_EQ(chain_keys(parsed("filter_chains { name: 'any' } filter_chains {} filter_chains { name: 'name:any' }")),
            (std::vector<std::string>{"name:any", "any", "name:name:any"}));
  const pb::Listener some =
      parsed(chain("source_ports: 5", "a") + chain("source_ports: 5", "b") + chain("source_ports: 6", "a") +
             "filter_chains { name: 'a' filter_chain_match { "
             "source_ports: 5 } filters { name: 'f' } }");
  const std::vector<std::string> keys = chain_keys(some);
  EXPECT_EQ(keys[1], "b");
  EXPECT_EQ(keys[0].size(), 16u);  // of what it matches: its name is not its own
  EXPECT_NE(keys[0], keys[2]);
  EXPECT_EQ(keys[0], keys[3]);  // an error elsewhere
}

}  // namespace
}  // namespace weir::config
