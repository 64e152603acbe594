#include "core/server/field_diff.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/lua/v3/lua.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "google/protobuf/struct.pb.h"

namespace weir::server {
namespace {

template <class M>
M parse(const std::string& text) {
  M message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

// "path: before -> after" of each change.
template <class M>
std::vector<std::string> diff(const M& before, const M& after, size_t limit = 100) {
  size_t more = 0;
  std::vector<std::string> out;
  for (const FieldChange& one : diff_fields(before, after, limit, more))
    out.push_back(one.path + ": " + one.before + " -> " + one.after);
  if (more > 0) out.push_back("+" + std::to_string(more));
  return out;
}
template <class M>
std::vector<std::string> diff(const std::string& before, const std::string& after) {
  return diff(parse<M>(before), parse<M>(after));
}
using Lines = std::vector<std::string>;
using envoy::config::cluster::v3::Cluster;
using envoy::config::route::v3::RouteConfiguration;
namespace tls = envoy::extensions::transport_sockets::tls::v3;

TEST(FieldDiff, Values) {
  EXPECT_EQ(diff<Cluster>("name: 'a'", "name: 'a'"), Lines{});
  EXPECT_EQ(
      diff<Cluster>(
          "connect_timeout { seconds: 1 } lb_policy: ROUND_ROBIN per_connection_buffer_limit_bytes { value: 1 }",
          "connect_timeout { seconds: 2 nanos: 500000000 } lb_policy: RANDOM"),
      (Lines{"connect_timeout: 1s -> 2.500s", "per_connection_buffer_limit_bytes: 1 -> ", "lb_policy:  -> RANDOM"}));
  EXPECT_EQ(diff<Cluster>("", "circuit_breakers { thresholds { max_retries { value: 3 } } }"),
            Lines{"circuit_breakers:  -> {thresholds: [{max_retries: 3}]}"});
  EXPECT_EQ(diff<Cluster>("", "circuit_breakers { thresholds { } thresholds { priority: HIGH } }"),
            Lines{"circuit_breakers:  -> {thresholds: [2 items]}"});
  EXPECT_EQ(diff<RouteConfiguration>("", "virtual_hosts { name: 'h' domains: 'a' domains: 'b' }"),
            Lines{"virtual_hosts[0]:  -> {name: h, domains: [a, b]}"});
}

TEST(FieldDiff, ListsStayInStep) {
  auto routes = [](const std::string& prefixes) {
    std::string text = "virtual_hosts { name: 'h' domains: '*' ";
    for (const char c : prefixes) text += std::string("routes { match { prefix: '/") + c + "' } } ";
    return text + "}";
  };
  EXPECT_EQ(diff<RouteConfiguration>(routes("abc"), routes("xabc")),
            Lines{"virtual_hosts[0].routes[0]:  -> {match: {prefix: /x}}"});
  EXPECT_EQ(diff<RouteConfiguration>(routes("abc"), routes("ac")),
            Lines{"virtual_hosts[0].routes[1]: {match: {prefix: /b}} -> "});
  EXPECT_EQ(diff<RouteConfiguration>(routes("abc"), routes("axc")),
            Lines{"virtual_hosts[0].routes[1].match.prefix: /b -> /x"});
  // Things with names are told by them.
  EXPECT_EQ(
      diff<RouteConfiguration>("virtual_hosts { name: 'a' domains: 'a' } virtual_hosts { name: 'b' domains: 'b' }",
                               "virtual_hosts { name: 'b' domains: 'c' } virtual_hosts { name: 'a' domains: 'a' }"),
      (Lines{"virtual_hosts[0].domains: [b] -> [c]", "virtual_hosts: in this order -> in another order"}));
}

TEST(FieldDiff, MapsAndTheInsideOfAnAny) {
  auto lua = [](const std::string& code) {
    envoy::extensions::filters::http::lua::v3::Lua message;
    message.mutable_default_source_code()->set_inline_string(code);
    return message;
  };
  Cluster before, after;
  (*before.mutable_typed_extension_protocol_options())["a.b"].PackFrom(lua("1"));
  (*after.mutable_typed_extension_protocol_options())["a.b"].PackFrom(lua("2"));
  (*after.mutable_typed_extension_protocol_options())["c"].PackFrom(lua("3"));
  EXPECT_EQ(diff(before, after),
            (Lines{"typed_extension_protocol_options[\"a.b\"].default_source_code.inline_string: 1 -> 2",
                   "typed_extension_protocol_options.c:  -> Lua {default_source_code: {inline_string: 3}}"}));
  before.clear_typed_extension_protocol_options();
  after.clear_typed_extension_protocol_options();
  before.mutable_transport_socket()->mutable_typed_config()->set_type_url("type.googleapis.com/no.such.Type");
  before.mutable_transport_socket()->mutable_typed_config()->set_value("SECRET-1");
  after = before;
  after.mutable_transport_socket()->mutable_typed_config()->set_value("SECRET-2");
  const Lines said = diff(before, after);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].find("SECRET"), std::string::npos) << said[0];
}

TEST(FieldDiff, SecretsAreNeverShown) {
  EXPECT_EQ(diff<tls::Secret>("generic_secret { secret { inline_string: 'SECRET-1' } }",
                              "generic_secret { secret { inline_string: 'SECRET-2' } }"),
            Lines{"generic_secret.secret.inline_string: \"[redacted]\" -> \"[redacted]\""});
  auto socket = [](const std::string& key) {
    tls::UpstreamTlsContext context;
    context.mutable_common_tls_context()->add_tls_certificates()->mutable_private_key()->set_inline_bytes(key);
    Cluster cluster;
    cluster.mutable_transport_socket()->mutable_typed_config()->PackFrom(context);
    return cluster;
  };
  for (const Lines& lines : {diff(socket("SECRET-1"), socket("SECRET-2")), diff(Cluster(), socket("SECRET-1")),
                             diff(socket("SECRET-1"), Cluster()),
                             diff<RouteConfiguration>("",
                                                      "request_headers_to_add { header { key: 'authorization' value: "
                                                      "'SECRET-1' } }")}) {
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0].find("SECRET"), std::string::npos) << lines[0];
  }
}

// What is secret keeps its shape: both sides are walked in step.
TEST(FieldDiff, SecretsOfEveryShape) {
  const auto with = [](const std::string& value, const std::string& other) {
    return "fields { key: 'password' value { " + value + " } } fields { key: 'plain' value { string_value: '" + other +
           "' } }";
  };
  const std::string shapes[] = {
      "list_value { values { string_value: 'SECRET-1' } values { number_value: 4711 } }",
      "struct_value { fields { key: 'clientSecret' value { list_value { values { bool_value: true } } } } }",
      "string_value: 'SECRET-2'", "number_value: 4712", "null_value: NULL_VALUE"};
  for (const std::string& was : shapes) {
    for (const std::string& is : shapes) {
      std::string all;
      for (const std::string& line : diff<google::protobuf::Struct>(with(was, "a"), with(is, "b"))) all += line + "\n";
      EXPECT_NE(all.find("plain.string_value: a -> b"), std::string::npos) << all;
      for (const char* leak : {"SECRET", "471"}) EXPECT_EQ(all.find(leak), std::string::npos) << all;
    }
  }
}

TEST(FieldDiff, Limits) {
  Cluster before, after;
  for (int i = 0; i < 30; ++i) {
    auto* threshold = after.mutable_circuit_breakers()->add_thresholds();
    threshold->mutable_max_retries()->set_value(static_cast<uint32_t>(i));
    before.mutable_circuit_breakers()->add_thresholds()->mutable_max_retries()->set_value(1000);
  }
  const Lines lines = diff(before, after, 10);
  ASSERT_EQ(lines.size(), 11u);
  EXPECT_EQ(lines.back(), "+20");
  const std::string longer(5000, 'x');
  before.Clear();
  after.Clear();
  after.set_name(longer);
  EXPECT_LT(diff(before, after)[0].size(), 100u);
}

}  // namespace
}  // namespace weir::server
