// What tcp_proxy refuses, and what it says about it.
#include <gtest/gtest.h>

#include <algorithm>

#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "test/support/plugin_scope.h"

namespace weir::filters::tcp_proxy {
namespace {

namespace pb = envoy::extensions::filters::network::tcp_proxy::v3;
using Texts = std::vector<std::string>;

pb::TcpProxy minimal() {
  pb::TcpProxy proto;
  proto.set_stat_prefix("t");
  proto.set_cluster("c");
  return proto;
}

Texts errors_of(const pb::TcpProxy& proto) {
  test::PluginScope plugins;
  plugins.network_filter(proto);
  return plugins.error_texts();
}

TEST(TcpProxyConfig, TheLeastIsEnough) { EXPECT_EQ(errors_of(minimal()), Texts()); }

// Each by its place: nothing of them is ignored.
TEST(TcpProxyConfig, WhatIsNotThereYetIsRefused) {
  const auto refused = [](auto configure, std::string_view path) {
    pb::TcpProxy proto = minimal();
    configure(proto);
    const Texts errors = errors_of(proto);
    return errors.size() == 1 && errors[0].starts_with(path);
  };
  EXPECT_TRUE(refused([](auto& proto) { proto.mutable_on_demand(); }, "on_demand: "));
  EXPECT_TRUE(refused([](auto& proto) { proto.add_proxy_protocol_tlvs()->set_type(224); }, "proxy_protocol_tlvs[0]: "));
  EXPECT_TRUE(refused([](auto& proto) { proto.set_upstream_connect_mode(pb::ON_DOWNSTREAM_TLS_HANDSHAKE); },
                      "upstream_connect_mode: "));
  EXPECT_TRUE(refused(
      [](auto& proto) {
        proto.mutable_tunneling_config()->set_hostname("a:1");
        proto.mutable_tunneling_config()->set_post_path("/x");
      },
      "tunneling_config.post_path: "));
}

TEST(TcpProxyConfig, WhatDoesNotFitIsSaid) {
  pb::TcpProxy proto = minimal();
  proto.set_upstream_connect_mode(pb::ON_DOWNSTREAM_DATA);
  proto.mutable_backoff_options()->mutable_base_interval()->set_seconds(2);
  proto.mutable_backoff_options()->mutable_max_interval()->set_seconds(1);
  proto.set_flush_access_log_on_connected(true);
  proto.mutable_access_log_options()->set_flush_access_log_on_start(true);
  Texts errors = errors_of(proto);
  std::sort(errors.begin(), errors.end());
  ASSERT_EQ(errors.size(), 3U);
  EXPECT_TRUE(errors[0].starts_with("access_log_options: says what access_log_flush_interval")) << errors[0];
  EXPECT_EQ(errors[1], "backoff_options.max_interval: must not be below base_interval");
  EXPECT_TRUE(errors[2].starts_with("max_early_data_bytes: is required with upstream_connect_mode")) << errors[2];
  proto = minimal();
  proto.mutable_tunneling_config()->set_hostname("%NOBODY%:443");
  errors = errors_of(proto);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_TRUE(errors[0].starts_with("tunneling_config.hostname: ")) << errors[0];
  proto.mutable_tunneling_config()->set_hostname("db example:443");
  EXPECT_EQ(errors_of(proto),
            Texts{"tunneling_config.hostname: \"db example:443\" must be a host, or a host and a port, "
                  "as in example.com:8080"});
}

}  // namespace
}  // namespace weir::filters::tcp_proxy
