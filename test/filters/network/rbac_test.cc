#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "core/stream/metadata.h"
#include "envoy/extensions/filters/network/rbac/v3/rbac.pb.h"
#include "test/support/fake_connection.h"

namespace weir::test {
namespace {

using Proto = envoy::extensions::filters::network::rbac::v3::RBAC;
using filter::Action;

const std::string kRemote10 =
    "{ policies { key: 'ten' value { permissions { any: true } "
    "principals { remote_ip { address_prefix: '10.0.0.0' prefix_len { value: 8 } } } } } } ";

class NetworkRbacTest : public testing::Test {
 protected:
  void use(const std::string& text) {
    Proto proto;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString("stat_prefix: 'in' " + text, &proto)) << text;
    descriptor_ = PluginScope::registry().network_filter(proto.GetTypeName());
    ASSERT_NE(descriptor_, nullptr);
    config_ = make_config(plugins_, descriptor_->make_config, proto);
  }
  void come(const char* remote) {
    filter_.reset();
    connection_ = std::make_unique<FakeConnection>(lane_, remote);
    filter_ = descriptor_->make(config_, lane_);
    EXPECT_EQ(filter_->on_new_connection(*connection_), Action::kContinue);
  }
  Action data() {
    Slices some;
    return filter_->on_data(*connection_, some, false);
  }
  uint64_t count(const std::string& name) { return plugins_.store().counter("in.rbac." + name).value(); }
  std::string metadata() {
    std::string out;
    stream::Metadata* metadata = connection_->info().metadata();
    if (metadata != nullptr) stream::append_json(metadata->root(), out);
    return out;
  }

  PluginScope plugins_;
  TestLane lane_;
  const filter::NetworkFilterDescriptor* descriptor_ = nullptr;
  filter::ConfigPtr config_;
  std::unique_ptr<FakeConnection> connection_;
  std::unique_ptr<filter::NetworkFilter> filter_;
};

// field: network.rbac.v3.RBAC.rules, network.rbac.v3.RBAC.stat_prefix
TEST_F(NetworkRbacTest, Policies) {
  use("rules " + kRemote10);
  come("10.1.1.1");
  EXPECT_EQ(data(), Action::kContinue);
  EXPECT_EQ(data(), Action::kContinue);
  come("192.0.2.1");
  EXPECT_EQ(data(), Action::kDone);
  EXPECT_TRUE(connection_->closed());
  EXPECT_EQ(data(), Action::kDone);
  EXPECT_EQ(count("allowed"), 1u);
  EXPECT_EQ(count("denied"), 1u);
}

// field: network.rbac.v3.RBAC.matcher
TEST_F(NetworkRbacTest, Matcher) {
  const std::string action = "type.googleapis.com/envoy.config.rbac.v3.Action";
  use("matcher { matcher_tree { input { name: 'ip' typed_config { "
      "[type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.SourceIPInput] {} } } "
      "exact_match_map { map { key: '10.1.1.1' value { action { name: 'a' typed_config { [" +
      action + "] { name: 'one' } } } } } } } }");
  EXPECT_TRUE(plugins_.error_texts().empty());
  come("10.1.1.1");
  EXPECT_EQ(data(), Action::kContinue);
  come("10.1.1.2");
  EXPECT_EQ(data(), Action::kDone);
}

// As published; the loader warns of it.
TEST_F(NetworkRbacTest, AMatcherBesideRulesDecidesAlone) {
  use("rules " + kRemote10 +
      "matcher { matcher_tree { input { name: 'ip' typed_config { "
      "[type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.SourceIPInput] {} } } "
      "exact_match_map { map { key: '192.0.2.1' value { action { name: 'a' typed_config { "
      "[type.googleapis.com/envoy.config.rbac.v3.Action] { name: 'one' } } } } } } } }");
  EXPECT_TRUE(plugins_.error_texts().empty());
  come("192.0.2.1");
  EXPECT_EQ(data(), Action::kContinue);
  come("10.1.1.1");
  EXPECT_EQ(data(), Action::kDone);
}

// field: network.rbac.v3.RBAC.shadow_rules, network.rbac.v3.RBAC.shadow_rules_stat_prefix
TEST_F(NetworkRbacTest, ShadowRulesOnlyTell) {
  use("shadow_rules_stat_prefix: 'dry_' shadow_rules " + kRemote10);
  come("10.1.1.1");
  EXPECT_EQ(data(), Action::kContinue);
  EXPECT_EQ(
      metadata(),
      R"({"envoy.filters.network.rbac":{"dry_shadow_effective_policy_id":"ten","dry_shadow_engine_result":"allowed"}})");
  come("192.0.2.1");
  EXPECT_EQ(data(), Action::kContinue);
  EXPECT_FALSE(connection_->closed());
  EXPECT_EQ(metadata(), R"({"envoy.filters.network.rbac":{"dry_shadow_engine_result":"denied"}})");
  EXPECT_EQ(count("dry_shadow_allowed"), 1u);
  EXPECT_EQ(count("dry_shadow_denied"), 1u);
}

// field: network.rbac.v3.RBAC.shadow_matcher
TEST_F(NetworkRbacTest, ShadowMatcher) {
  use("shadow_matcher { matcher_tree { input { name: 'ip' typed_config { "
      "[type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.SourceIPInput] {} } } "
      "exact_match_map { map { key: '10.1.1.1' value { action { name: 'a' typed_config { "
      "[type.googleapis.com/envoy.config.rbac.v3.Action] { name: 'one' action: DENY } } } } } } } }");
  come("10.1.1.1");
  EXPECT_EQ(data(), Action::kContinue);
  EXPECT_EQ(count("shadow_denied"), 1u);
}

// field: network.rbac.v3.RBAC.enforcement_type
TEST_F(NetworkRbacTest, OnceOrContinuously) {
  for (const bool continuous : {false, true}) {
    use("rules " + kRemote10 + (continuous ? "enforcement_type: CONTINUOUS" : ""));
    come("10.1.1.1");
    EXPECT_EQ(data(), Action::kContinue);
    connection_->facts.remote = *net::Address::from_ip("192.0.2.1", 1);
    EXPECT_EQ(data(), continuous ? Action::kDone : Action::kContinue);
  }
}

// field: network.rbac.v3.RBAC.delay_deny
TEST_F(NetworkRbacTest, DenialsMayWait) {
  use("delay_deny { seconds: 2 } rules " + kRemote10);
  come("192.0.2.1");
  EXPECT_EQ(data(), Action::kDone);
  lane_.advance(1999ms);
  EXPECT_FALSE(connection_->closed());
  lane_.advance(1ms);
  EXPECT_TRUE(connection_->closed());
}

TEST_F(NetworkRbacTest, NothingOfARequestIsKnown) {
  use("rules { policies { key: 'a' value { permissions { header { name: 'x' present_match: true } } "
      "principals { url_path { path { exact: '/' } } } } } }");
  EXPECT_EQ(plugins_.error_texts().size(), 2u);
  use("matcher { matcher_tree { input { name: 'h' typed_config { "
      "[type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput] { header_name: 'x' } } } "
      "exact_match_map { map { key: 'a' value { action { name: 'a' typed_config { "
      "[type.googleapis.com/envoy.config.rbac.v3.Action] {} } } } } } } }");
  EXPECT_EQ(plugins_.error_texts().size(), 3u);
  use("rules {} matcher {}");
  EXPECT_GE(plugins_.error_texts().size(), 4u);
}

}  // namespace
}  // namespace weir::test
