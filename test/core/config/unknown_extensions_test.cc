// What is said about types that weir does not know, and which of them may let somebody through.
#include "core/config/unknown_extensions.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/struct.pb.h>
#include <gtest/gtest.h>

#include "core/config/published_types.h"
#include "envoy/config/core/v3/base.pb.h"

namespace weir::config {
namespace {

TEST(UnknownTypes, PublishedOnesAreNoTypingErrors) {
  for (const char* type : {"envoy.extensions.filters.http.oauth2.v3.OAuth2", "envoy.extensions.filters.http.mcp.v3.Mcp",
                           "envoy.extensions.filters.http.gzip.v3.Gzip", "envoy.extensions.filters.http.geoip.v3.Geoip",
                           "envoy.extensions.filters.network.thrift_proxy.router.v3.Router",
                           "envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport"}) {
    EXPECT_EQ(unknown_type(type).sentence(),
              std::string(type) +
                  " is a type of the published API that weir does not have; weir --list-extensions shows what it has");
  }
}

// A type that is declared one day leaves the list.
TEST(UnknownTypes, NoneOfTheListIsDeclared) {
  EXPECT_GT(published_types().size(), 300u);
  for (const std::string& type : published_types()) {
    EXPECT_TRUE(is_published_type(type)) << type;
    EXPECT_EQ(google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type), nullptr) << type;
  }
  EXPECT_FALSE(is_published_type("envoy.extensions.filters.http.mcp.v3"));
  EXPECT_FALSE(is_published_type("envoy.extensions.filters.http.mcp.v3.Mc"));
  EXPECT_FALSE(is_published_type("Mcp"));
  EXPECT_FALSE(is_published_type(""));
}

TEST(UnknownTypes, TheNearestIsOffered) {
  const auto meant = [](const char* type) { return suggest_type(type); };
  EXPECT_EQ(meant("envoy.extensions.filters.http.ruoter.v3.Router"), "envoy.extensions.filters.http.router.v3.Router");
  EXPECT_EQ(meant("envoy.extensions.filters.http.router.v3.Ruoter"), "envoy.extensions.filters.http.router.v3.Router");
  EXPECT_EQ(meant("envoy.extensions.filter.http.router.v3.Router"), "envoy.extensions.filters.http.router.v3.Router");
  EXPECT_EQ(meant("envoy.extensions.filters.http.router.v4.Router"), "envoy.extensions.filters.http.router.v3.Router");
  EXPECT_EQ(meant("envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager"),
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager");
  // Another filter of the same folder is not what was meant.
  EXPECT_EQ(meant("envoy.extensions.filters.http.abc.v3.Abc"), "");
  EXPECT_EQ(meant("envoy.extensions.filters.http.raft.v3.Raft"), "");
  // Nor is one whose name is that of many.
  EXPECT_EQ(meant("acme.coffee.v1.FilterConfig"), "");
  EXPECT_EQ(meant("envoy.extensions.filters.http.coffee.v3.Config"), "");
  EXPECT_EQ(meant("stats.PluginConfig"), "");
  EXPECT_EQ(meant("Config"), "");
  EXPECT_EQ(meant("envoy.config.filter.http.dynamic_forward_proxy.v2alpha.FilterConfig"),
            "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig");
  EXPECT_EQ(meant("envoy.extensions.filters.http.header_to_metadta.v3.Config"),
            "envoy.extensions.filters.http.header_to_metadata.v3.Config");
  EXPECT_EQ(unknown_type("envoy.filters.http.router").sentence(),
            "unknown type envoy.filters.http.router; this is the name of an extension; its type is "
            "envoy.extensions.filters.http.router.v3.Router");
}

TEST(UnknownTypes, WordsOfAuthority) {
  for (const char* name : {"acme.rbac.Filter",
                           "acme.ExtAuthz",
                           "acme.JwtThing",
                           "acme.OAuth2",
                           "acme.local_ratelimit.X",
                           "acme.rate_limit.X",
                           "acme.Csrf",
                           "acme.ApiKey",
                           "api-key",
                           "wasm",
                           "acme.ExternalProcessor",
                           "corpauthfilter",
                           "acme.Authorizer",
                           "acme.authorisation",
                           "acme.lua.v3.Lua",
                           "LUA",
                           "myfilter.WAFFilter",
                           "waf2",
                           "acme.opa.v1.Check",
                           "OpaFilter",
                           "acme.AclFilter",
                           "sso",
                           "acme.BlockList",
                           "acme.throttle",
                           "acme.author_and_auth",
                           "cilium.L7Policy",
                           "cilium.NetworkFilter",
                           "envoy.config.filter.http.sanitize.v2.Sanitize",
                           "envoy.config.filter.http.curiefense.v3.Curiefense",
                           "acme.ip_restriction.v1.Config",
                           "acme.deny.v1.Config",
                           "acme.GeoBlock",
                           "acme.block.v1.Block",
                           "acme.network_policies.X",
                           "acme.token_introspection.v1.Config",
                           "acme.ldap.v1.Config",
                           "acme.spnego.v1.Config",
                           "acme.Kerberos",
                           "acme.signature.v1.Config",
                           "envoy.filters.http.ext_guard.v3.Guard",
                           "acme.bot_detection.v1.Config"}) {
    EXPECT_NE(word_of_authority(name), "") << name;
  }
  for (const char* name : {"acme.evaluate.v1.Evaluate", "acme.oracle", "lasso", "acme.Author", "acme.authority_rewrite",
                           "acme.unlimited", "acme.json_delimiter", "acme.opaque_value", "waffles", "acme.stats.Stats",
                           "acme.Processor", "acme.header_case", "acme.both", "acme.bottom", "acme.Tokenizer",
                           "acme.NonBlockingIo", "acme.block_size", "acme.RetryPolicy", "acme.Unrestricted"}) {
    EXPECT_EQ(word_of_authority(name), "") << name;
  }
}

// Whoever leaves these out lets nobody in.
TEST(UnknownTypes, OrdinaryFiltersHaveNoWordOfAuthority) {
  for (const char* name : {"http.adaptive_concurrency.v3.AdaptiveConcurrency",
                           "http.alternate_protocols_cache.v3.FilterConfig",
                           "http.aws_lambda.v3.Config",
                           "http.aws_request_signing.v3.AwsRequestSigning",
                           "http.bandwidth_share.v3.BandwidthShare",
                           "http.buffer.v3.Buffer",
                           "http.cache.v3.CacheConfig",
                           "http.cache_v2.v3.CacheV2Config",
                           "http.cdn_loop.v3.CdnLoopConfig",
                           "http.checksum.v3alpha.ChecksumConfig",
                           "http.compressor.v3.Compressor",
                           "http.connect_grpc_bridge.v3.FilterConfig",
                           "http.cors.v3.Cors",
                           "http.custom_response.v3.CustomResponse",
                           "http.decompressor.v3.Decompressor",
                           "http.dynamo.v3.Dynamo",
                           "http.dynamic_forward_proxy.v3.FilterConfig",
                           "http.fault.v3.HTTPFault",
                           "http.file_system_buffer.v3.FileSystemBufferFilterConfig",
                           "http.geoip.v3.Geoip",
                           "http.grpc_field_extraction.v3.GrpcFieldExtractionConfig",
                           "http.grpc_http1_bridge.v3.Config",
                           "http.grpc_http1_reverse_bridge.v3.FilterConfig",
                           "http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
                           "http.grpc_stats.v3.FilterConfig",
                           "http.grpc_web.v3.GrpcWeb",
                           "http.header_mutation.v3.HeaderMutation",
                           "http.header_to_metadata.v3.Config",
                           "http.health_check.v3.HealthCheck",
                           "http.ip_tagging.v3.IPTagging",
                           "http.json_to_metadata.v3.JsonToMetadata",
                           "http.kill_request.v3.KillRequest",
                           "http.on_demand.v3.OnDemand",
                           "http.original_src.v3.OriginalSrc",
                           "http.proto_message_extraction.v3.ProtoMessageExtractionConfig",
                           "http.router.v3.Router",
                           "http.set_filter_state.v3.Config",
                           "http.set_metadata.v3.Config",
                           "http.stateful_session.v3.StatefulSession",
                           "http.tap.v3.Tap",
                           "http.thrift_to_metadata.v3.ThriftToMetadata",
                           "http.upstream_codec.v3.UpstreamCodec",
                           "listener.http_inspector.v3.HttpInspector",
                           "listener.original_dst.v3.OriginalDst",
                           "listener.original_src.v3.OriginalSrc",
                           "listener.tls_inspector.v3.TlsInspector",
                           "network.direct_response.v3.Config",
                           "network.dubbo_proxy.v3.DubboProxy",
                           "network.echo.v3.Echo",
                           "network.generic_proxy.v3.GenericProxy",
                           "network.http_connection_manager.v3.HttpConnectionManager",
                           "network.kafka_broker.v3.KafkaBroker",
                           "network.mongo_proxy.v3.MongoProxy",
                           "network.mysql_proxy.v3.MySQLProxy",
                           "network.postgres_proxy.v3alpha.PostgresProxy",
                           "network.redis_proxy.v3.RedisProxy",
                           "network.set_filter_state.v3.Config",
                           "network.sni_cluster.v3.SniCluster",
                           "network.sni_dynamic_forward_proxy.v3.FilterConfig",
                           "network.tcp_proxy.v3.TcpProxy",
                           "network.thrift_proxy.v3.ThriftProxy",
                           "network.zookeeper_proxy.v3.ZooKeeperProxy",
                           "udp.dns_filter.v3.DnsFilterConfig",
                           "udp.udp_proxy.v3.UdpProxyConfig"}) {
    EXPECT_EQ(word_of_authority(std::string("envoy.extensions.filters.") + name), "") << name;
  }
}

// protobuf reads 100 messages inside each other, a file may hold more levels.
TEST(UnknownTypes, WhatIsTooDeepIsNotCalledAnotherType) {
  envoy::config::core::v3::Node node;
  google::protobuf::Struct* inner = node.mutable_metadata();
  for (int i = 0; i < 50; ++i) inner = (*inner->mutable_fields())["a"].mutable_struct_value();
  google::protobuf::Any any;
  any.PackFrom(node);
  EXPECT_EQ(unreadable(any, "envoy.config.core.v3.Node"),
            "is too deep: weir reads 100 messages inside each other, and each level of a Struct is three of them");
  any.set_value("\xFF");
  EXPECT_EQ(unreadable(any, "envoy.config.core.v3.Node"), "the bytes are not a envoy.config.core.v3.Node");
}

}  // namespace
}  // namespace weir::config
