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
  EXPECT_EQ(meant("io.istio.http.peer_metadata.Config"), "");
  EXPECT_EQ(meant("envoy.extensions.filters.http.grpc_stats.v3.Config"),
            "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig");
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
                           "acme.author_and_auth"}) {
    EXPECT_NE(word_of_authority(name), "") << name;
  }
  for (const char* name : {"acme.evaluate.v1.Evaluate", "acme.oracle", "lasso", "acme.Author", "acme.authority_rewrite",
                           "acme.unlimited", "acme.json_delimiter", "acme.opaque_value", "waffles", "acme.stats.Stats",
                           "acme.Processor", "acme.header_case"}) {
    EXPECT_EQ(word_of_authority(name), "") << name;
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
