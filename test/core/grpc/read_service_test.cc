// What is made of envoy.config.core.v3.GrpcService.
#include "core/grpc/read_service.h"

#include <gtest/gtest.h>

#include "core/route/spec.h"
#include "envoy/config/core/v3/grpc_service.pb.h"
#include "test/support/parsed.h"
#include "test/support/plugin_scope.h"
#include "test/support/test_lane.h"

namespace weir::grpc {
namespace {

using Lines = std::vector<std::string>;

struct Read {
  explicit Read(const std::string& text) {
    service = read_service(test::parsed<envoy::config::core::v3::GrpcService>(text), plugins.scope(), 200ms);
  }
  std::string metadata() {
    Arena arena(pool);
    http::HeaderMap head(arena);
    const stream::StreamInfo nothing;
    for (const stream::HeaderValue& each : service.metadata) each.apply(head, {nothing}, arena);
    return head.to_string();
  }
  test::PluginScope plugins;
  ArenaPool pool;
  Service service;
};

const std::string kGrpc = "envoy_grpc { cluster_name: 'b' } ";

TEST(GrpcReadService, WhatIsUsual) {
  const Read read(kGrpc);
  EXPECT_EQ(read.service.cluster.index, 1u);
  EXPECT_EQ(read.service.authority, "b");
  EXPECT_EQ(read.service.timeout, 200ms);
  EXPECT_EQ(read.service.max_message, 4u * 1024 * 1024);
  EXPECT_TRUE(read.service.tells_internal);
  EXPECT_EQ(read.service.retries.on, 0u);
  EXPECT_EQ(read.plugins.error_texts(), Lines{});
}

// field: GrpcService.EnvoyGrpc.authority, GrpcService.EnvoyGrpc.skip_envoy_headers
// field: GrpcService.EnvoyGrpc.max_receive_message_length, GrpcService.timeout
TEST(GrpcReadService, WhatIsSaid) {
  const Read read(
      "envoy_grpc { cluster_name: 'b' authority: 'auth.example' skip_envoy_headers: true "
      "max_receive_message_length { value: 7 } } timeout { seconds: 1 nanos: 500000000 }");
  EXPECT_EQ(read.service.authority, "auth.example");
  EXPECT_EQ(read.service.timeout, 1500ms);
  EXPECT_EQ(read.service.max_message, 7u);
  EXPECT_FALSE(read.service.tells_internal);
  // As published, none is no limit of its own; here there is always one.
  EXPECT_EQ(Read("envoy_grpc { cluster_name: 'b' max_receive_message_length { value: 0 } }").service.max_message,
            4u * 1024 * 1024);
  EXPECT_EQ(Read(kGrpc + "timeout {}").service.timeout, 0ms);
}

// field: GrpcService.initial_metadata
TEST(GrpcReadService, InitialMetadata) {
  Read read(kGrpc +
            "initial_metadata { key: 'X-A' value: '1' } initial_metadata { key: 'x-a' value: '2' } "
            "initial_metadata { key: 'x-raw' raw_value: '3' } initial_metadata { key: 'x-p' value: '100%%' } "
            "initial_metadata { key: 'x-none' value: '%REQ(x)%' }");
  EXPECT_EQ(read.plugins.error_texts(), Lines{});
  EXPECT_EQ(read.metadata(), "x-a: 1\nx-a: 2\nx-raw: 3\nx-p: 100%\n");
  const Read faults(kGrpc +
                    "initial_metadata { key: ':path' value: '1' } initial_metadata { key: 'grpc-timeout' value: '1' } "
                    "initial_metadata { key: 'TE' value: '1' } initial_metadata { key: 'x' value: '%NO' }");
  ASSERT_EQ(faults.plugins.error_texts().size(), 4u);
  EXPECT_TRUE(faults.plugins.error_texts()[0].starts_with("initial_metadata[0].key: "));
  EXPECT_EQ(faults.plugins.error_texts()[1],
            "initial_metadata[1].key: \"grpc-timeout\" is what the call says by itself");
  EXPECT_EQ(faults.plugins.error_texts()[2], "initial_metadata[2].key: \"TE\" is what the call says by itself");
  EXPECT_TRUE(faults.plugins.error_texts()[3].starts_with("initial_metadata[3].value: "));
}

// field: GrpcService.retry_policy, core.v3.RetryPolicy.retry_on, core.v3.RetryPolicy.num_retries
// field: core.v3.RetryPolicy.retry_back_off, BackoffStrategy.base_interval, BackoffStrategy.max_interval
TEST(GrpcReadService, Retries) {
  using namespace route::retry_on;
  const Read usual(kGrpc + "retry_policy {}");
  EXPECT_EQ(usual.service.retries.on, kConnectFailure | kRefusedStream | kGrpcUnavailable);
  EXPECT_EQ(usual.service.retries.most, 1u);
  EXPECT_EQ(usual.service.retries.back_off_base, 1s);
  EXPECT_EQ(usual.service.retries.back_off_max, 10s);
  const Read said(kGrpc +
                  "retry_policy { retry_on: 'internal, 5xx, sometimes' num_retries { value: 3 } "
                  "retry_back_off { base_interval { nanos: 20000000 } } }");
  EXPECT_EQ(said.service.retries.on, kGrpcInternal | k5xx);
  EXPECT_EQ(said.service.retries.most, 3u);
  EXPECT_EQ(said.service.retries.back_off_base, 20ms);
  EXPECT_EQ(said.service.retries.back_off_max, 200ms);
  EXPECT_EQ(said.plugins.warning_texts(),
            Lines{"retry_policy.retry_on: \"sometimes\" is no condition, and does nothing"});
  const Read both(kGrpc +
                  "retry_policy { retry_back_off { base_interval { seconds: 2 } max_interval { seconds: 5 } } }");
  EXPECT_EQ(both.service.retries.back_off_max, 5s);
  const Read bad(kGrpc +
                 "retry_policy { retry_back_off { base_interval { seconds: 2 } max_interval { seconds: 1 } } }");
  EXPECT_EQ(bad.plugins.error_texts(), Lines{"retry_policy.retry_back_off.max_interval: is less than base_interval"});
}

}  // namespace
}  // namespace weir::grpc
