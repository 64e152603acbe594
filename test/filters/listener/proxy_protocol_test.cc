#include "filters/listener/proxy_protocol/proxy_protocol.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "core/stream/metadata.h"
#include "envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.pb.h"
#include "test/support/fake_connection.h"

namespace weir::test {
namespace {

using namespace std::string_literals;
using Proto = envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol;
using Verdict = filter::ListenerFilter::Verdict;

const std::string kV1 = "PROXY TCP4 10.1.2.3 10.9.8.7 4660 80\r\n";
const std::string kTlvs = "\xea\x00\x03vpc\x05\x00\x02id\xea\x00\x03two"s;
std::string v2(const std::string& tlvs = "", char command = 0x21) {
  const auto size = static_cast<char>(12 + tlvs.size());
  return "\r\n\r\n\0\r\nQUIT\n"s + command + '\x11' + '\0' + size +
         "\x0a\x01\x02\x03\x0a\x09\x08\x07\x12\x34\x00\x50"s + tlvs;
}

class ProxyProtocolTest : public testing::Test {
 protected:
  // One connection that sends these bytes.
  void receive(const std::string& config, const std::string& bytes, bool end = false) {
    Proto proto;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(config, &proto)) << config;
    const auto* descriptor = PluginScope::registry().listener_filter(proto.GetTypeName());
    ASSERT_NE(descriptor, nullptr);
    config_ = make_config(plugins_, descriptor->make_config, proto);
    connection_ = std::make_unique<FakeConnection>(lane_);
    auto filter = descriptor->make(config_);
    consumed_ = 0;
    verdict_ = filter->on_accept(*connection_, connection_->facts);
    if (verdict_ == Verdict::kNeedMore) verdict_ = filter->inspect(bytes, end, connection_->facts, consumed_);
  }
  uint64_t count(const std::string& name) { return plugins_.store().counter("proxy_proto." + name).value(); }
  std::string metadata() {
    std::string out;
    stream::Metadata* metadata = connection_->info().metadata();
    if (metadata != nullptr) stream::append_json(metadata->root(), out);
    return out;
  }

  PluginScope plugins_;
  TestLane lane_;
  filter::ConfigPtr config_;
  std::unique_ptr<FakeConnection> connection_;
  Verdict verdict_ = Verdict::kReject;
  size_t consumed_ = 0;
};

TEST_F(ProxyProtocolTest, TheAddressesAreTheConnections) {
  for (const std::string& header : {kV1, v2()}) {
    receive("", header + "GET");
    EXPECT_EQ(verdict_, Verdict::kDone);
    EXPECT_EQ(consumed_, header.size());
    EXPECT_EQ(connection_->facts.remote.to_string(), "10.1.2.3:4660");
    EXPECT_EQ(connection_->facts.local.to_string(), "10.9.8.7:80");
    EXPECT_EQ(connection_->facts.direct_remote.to_string(), "192.0.2.7:5000");
    EXPECT_TRUE(connection_->facts.local_restored);
  }
  EXPECT_EQ(count("versions.v1.found"), 1u);
  EXPECT_EQ(count("versions.v2.found"), 1u);
}

TEST_F(ProxyProtocolTest, LocalKeepsThoseOfTheSocket) {
  for (const std::string& header : {"PROXY UNKNOWN\r\n"s, v2("", 0x20)}) {
    receive("", header);
    EXPECT_EQ(verdict_, Verdict::kDone);
    EXPECT_EQ(consumed_, header.size());
    EXPECT_EQ(connection_->facts.remote.to_string(), "192.0.2.7:5000");
    EXPECT_FALSE(connection_->facts.local_restored);
  }
}

// field: ProxyProtocol.allow_requests_without_proxy_protocol, ProxyProtocol.stat_prefix
TEST_F(ProxyProtocolTest, WithoutAHeader) {
  receive("stat_prefix: 'edge'", "GET / HTTP/1.1\r\n");
  EXPECT_EQ(verdict_, Verdict::kReject);
  EXPECT_EQ(count("edge.not_found_disallowed"), 1u);
  receive("allow_requests_without_proxy_protocol: true", "GET / HTTP/1.1\r\n");
  EXPECT_EQ(verdict_, Verdict::kDone);
  EXPECT_EQ(consumed_, 0u);
  EXPECT_EQ(connection_->facts.remote.to_string(), "192.0.2.7:5000");
  EXPECT_EQ(count("not_found_allowed"), 1u);
  // What has begun like one must go on like one.
  receive("allow_requests_without_proxy_protocol: true", "PROXY TCP9\r\n");
  EXPECT_EQ(verdict_, Verdict::kReject);
  EXPECT_EQ(count("versions.v1.error"), 1u);
  receive("allow_requests_without_proxy_protocol: true", "PRO");
  EXPECT_EQ(verdict_, Verdict::kNeedMore);
}

// field: ProxyProtocol.disallowed_versions
TEST_F(ProxyProtocolTest, DisallowedVersions) {
  receive("disallowed_versions: V1", kV1);
  EXPECT_EQ(verdict_, Verdict::kReject);
  EXPECT_EQ(count("versions.v1.disallowed"), 1u);
  receive("disallowed_versions: V1", v2());
  EXPECT_EQ(verdict_, Verdict::kDone);
  receive("disallowed_versions: V2", v2());
  EXPECT_EQ(verdict_, Verdict::kReject);
  // As published: with both, it is the client's own.
  receive("disallowed_versions: V1 allow_requests_without_proxy_protocol: true", kV1);
  EXPECT_EQ(verdict_, Verdict::kDone);
  EXPECT_EQ(consumed_, 0u);
  EXPECT_EQ(count("not_found_allowed"), 1u);
  receive("disallowed_versions: V1 disallowed_versions: V2", kV1);
  ASSERT_EQ(plugins_.error_texts().size(), 1u);
}

// field: ProxyProtocol.rules, ProxyProtocol.Rule.tlv_type, ProxyProtocol.Rule.on_tlv_present
// field: proxy_protocol.v3.ProxyProtocol.KeyValuePair.metadata_namespace,
// proxy_protocol.v3.ProxyProtocol.KeyValuePair.key
TEST_F(ProxyProtocolTest, TlvsBecomeMetadata) {
  const std::string rules =
      "rules { tlv_type: 0xEA on_tlv_present { key: 'vpc' } } "
      "rules { tlv_type: 5 on_tlv_present { metadata_namespace: 'ns' key: 'unique' } } "
      "rules { tlv_type: 7 on_tlv_present { key: 'absent' } } rules { tlv_type: 5 } ";
  receive(rules, v2(kTlvs));
  EXPECT_EQ(metadata(), R"({"envoy.filters.listener.proxy_protocol":{"vpc":"two"},"ns":{"unique":"id"}})");
  EXPECT_NE(connection_->info().listener_filter_metadata, nullptr);
  receive(rules, v2());
  EXPECT_EQ(metadata(), "");
}

// field: ProxyProtocol.tlv_location
TEST_F(ProxyProtocolTest, TlvsBecomeFilterState) {
  receive(
      "tlv_location: FILTER_STATE rules { tlv_type: 0xEA on_tlv_present { key: 'vpc' } } "
      "rules { tlv_type: 5 on_tlv_present { key: 'id' } }",
      v2(kTlvs));
  EXPECT_EQ(metadata(), "");
  const auto* entry =
      connection_->info().make_filter_state().find(stream::FilterStateName("envoy.network.proxy_protocol.tlv"));
  ASSERT_NE(entry, nullptr);
  std::string out;
  EXPECT_TRUE(entry->value.append_field("vpc", out));
  EXPECT_EQ(out, "two");
  EXPECT_FALSE(entry->value.append_field("other", out));
  out.clear();
  EXPECT_TRUE(entry->value.append_json(out));
  EXPECT_EQ(out, R"({"id":"id","vpc":"two"})");
}

// field: ProxyProtocol.pass_through_tlvs, ProxyProtocolPassThroughTLVs.match_type
// field: ProxyProtocolPassThroughTLVs.tlv_type
TEST_F(ProxyProtocolTest, TlvsForUpstreams) {
  const stream::FilterStateName name(stream::kProxyHeaderName);
  const auto kept = [&]() -> const stream::ProxyHeader* {
    const auto* entry = connection_->info().make_filter_state().find(name);
    return entry != nullptr ? static_cast<const stream::ProxyHeader*>(entry->value.object(stream::kProxyHeaderType))
                            : nullptr;
  };
  receive("pass_through_tlvs {}", v2(kTlvs));
  ASSERT_NE(kept(), nullptr);
  EXPECT_EQ(kept()->source.to_string(), "10.1.2.3:4660");
  EXPECT_EQ(kept()->destination.to_string(), "10.9.8.7:80");
  EXPECT_EQ(kept()->tlvs, kTlvs);
  std::string out;
  EXPECT_TRUE(connection_->info().make_filter_state().find(name)->value.append_field("234", out));
  EXPECT_EQ(out, "vpc");
  EXPECT_FALSE(connection_->info().make_filter_state().find(name)->value.append_field("7", out));
  EXPECT_FALSE(connection_->info().make_filter_state().find(name)->value.append_field("500", out));
  receive("pass_through_tlvs { match_type: INCLUDE tlv_type: 5 tlv_type: 9 }", v2(kTlvs));
  EXPECT_EQ(kept()->tlvs, "\x05\x00\x02id"s);
  receive("", v2(kTlvs));
  EXPECT_EQ(kept(), nullptr);
}

}  // namespace
}  // namespace weir::test
