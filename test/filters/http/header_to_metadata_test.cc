#include <google/protobuf/struct.pb.h>
#include <gtest/gtest.h>

#include "core/crypto/digest.h"
#include "envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata.pb.h"
#include "test/support/filter_harness.h"
#include "test/support/parsed.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

using Proto = envoy::extensions::filters::http::header_to_metadata::v3::Config;

struct Copies {
  PluginScope plugins{};
  std::string config{};
  std::string route{};
  std::string upstream_x = "(none)";  // header x as the upstream saw it

  // The dynamic metadata that an exchange leaves.
  std::string of(const Headers& more, const Headers& response = {}) {
    FilterHarness harness({plugins.http_filter(parsed<Proto>(config), "copy")});
    if (!route.empty()) harness.set_route_config("copy", plugins.route_config(parsed<Proto>(route)));
    Headers request = {{":method", "GET"}, {":authority", "a.example"}, {":path", "/p"}};
    request.insert(request.end(), more.begin(), more.end());
    harness.send_headers(request, true);
    Headers answer = {{":status", "200"}};
    answer.insert(answer.end(), response.begin(), response.end());
    harness.respond_headers(answer, true);
    harness.run(20ms);
    EXPECT_TRUE(harness.response().ended);
    upstream_x = harness.request().header("x");
    EXPECT_TRUE(plugins.error_texts().empty()) << plugins.error_texts().front();
    return harness.metadata();
  }
  uint64_t count(const std::string& name) { return plugins.store().counter("http_filter_name.h2m." + name).value(); }
};

std::string rule(const std::string& what) { return "request_rules { " + what + " } "; }

// field: header_to_metadata.v3.Config.request_rules, header_to_metadata.v3.Config.Rule.header
// field: header_to_metadata.v3.Config.Rule.on_header_present, header_to_metadata.v3.Config.Rule.on_header_missing
// field: header_to_metadata.v3.Config.Rule.remove, header_to_metadata.v3.Config.KeyValuePair.metadata_namespace
// field: header_to_metadata.v3.Config.KeyValuePair.key, header_to_metadata.v3.Config.KeyValuePair.value
TEST(HeaderToMetadata, RequestHeaders) {
  Copies copies{.config = rule("header: 'X' on_header_present { key: 'x' } "
                               "on_header_missing { metadata_namespace: 'ns' key: 'x' value: 'none' }")};
  EXPECT_EQ(copies.of({{"x", "1"}}), R"({"envoy.filters.http.header_to_metadata":{"x":"1"}})");
  EXPECT_EQ(copies.upstream_x, "1");
  EXPECT_EQ(copies.of({{"x", "1"}, {"x", "2"}}), R"({"envoy.filters.http.header_to_metadata":{"x":"1,2"}})");
  EXPECT_EQ(copies.of({{"x", ""}}), "");
  EXPECT_EQ(copies.of({}), R"({"ns":{"x":"none"}})");
  copies.config =
      rule("header: 'x' remove: true on_header_present { metadata_namespace: 'ns' key: 'x' value: 'some' }") +
      rule("header: 'x' on_header_missing { metadata_namespace: 'ns' key: 'gone' value: 'yes' }");
  EXPECT_EQ(copies.of({{"x", "1"}, {"x", "2"}}), R"({"ns":{"gone":"yes","x":"some"}})");
  EXPECT_EQ(copies.upstream_x, "(none)");
  copies.config = rule("header: 'Host' on_header_present { metadata_namespace: 'ns' key: 'host' }") +
                  rule("header: ':path' on_header_present { metadata_namespace: 'ns' key: 'path' }");
  EXPECT_EQ(copies.of({}), R"({"ns":{"host":"a.example","path":"/p"}})");
}

// field: header_to_metadata.v3.Config.Rule.cookie
TEST(HeaderToMetadata, Cookies) {
  Copies copies{.config = rule("cookie: 'a' on_header_present { metadata_namespace: 'ns' key: 'a' } "
                               "on_header_missing { metadata_namespace: 'ns' key: 'a' value: 'none' }")};
  EXPECT_EQ(copies.of({{"cookie", "b=2; a=1"}}), R"({"ns":{"a":"1"}})");
  EXPECT_EQ(copies.of({{"cookie", "b=2"}}), R"({"ns":{"a":"none"}})");
}

// field: header_to_metadata.v3.Config.response_rules
TEST(HeaderToMetadata, ResponseHeaders) {
  Copies copies{.config = "response_rules { header: 'x' on_header_present { metadata_namespace: 'ns' key: 'r' } }"};
  EXPECT_EQ(copies.of({{"x", "request"}}), "");
  EXPECT_EQ(copies.of({}, {{"x", "response"}}), R"({"ns":{"r":"response"}})");
}

// field: header_to_metadata.v3.Config.KeyValuePair.type, header_to_metadata.v3.Config.KeyValuePair.encode
// field: header_to_metadata.v3.Config.KeyValuePair.regex_value_rewrite
TEST(HeaderToMetadata, Forms) {
  const auto with = [](const std::string& more) {
    return Copies{.config = rule("header: 'x' on_header_present { metadata_namespace: 'n' key: 'x' " + more + " }")};
  };
  Copies number = with("type: NUMBER");
  EXPECT_EQ(number.of({{"x", "-1.5"}}), R"({"n":{"x":-1.5}})");
  for (const char* none : {"a", "1a", "nan", "inf", "1e999", "0x10", " 1"})
    EXPECT_EQ(number.of({{"x", none}}), "") << none;
  Copies base64 = with("encode: BASE64");
  EXPECT_EQ(base64.of({{"x", "aGk="}}), R"({"n":{"x":"hi"}})");
  EXPECT_EQ(base64.of({{"x", "aGkh"}}), R"({"n":{"x":"hi!"}})");
  EXPECT_EQ(base64.of({{"x", "aA=="}}), R"({"n":{"x":"h"}})");
  for (const char* none : {"aGk", "a", "a===", "aG=k", "aG-k", "===="}) EXPECT_EQ(base64.of({{"x", none}}), "") << none;
  EXPECT_EQ(with("encode: BASE64 type: NUMBER").of({{"x", "NDI="}}), R"({"n":{"x":42}})");
  EXPECT_EQ(with("value: '-1.5' type: NUMBER").of({{"x", "1"}}), R"({"n":{"x":-1.5}})");
  EXPECT_EQ(with("value: 'aGk=' encode: BASE64").of({{"x", "1"}}), R"({"n":{"x":"hi"}})");
  EXPECT_EQ(with("value: 'NDI=' encode: BASE64 type: NUMBER").of({{"x", "1"}}), R"({"n":{"x":42}})");
  Copies regex = with("regex_value_rewrite { pattern { regex: '^/([^/]*).*$' } substitution: '\\\\1' }");
  EXPECT_EQ(regex.of({{"x", "/shop/cart"}}), R"({"n":{"x":"shop"}})");
  EXPECT_EQ(regex.of({{"x", "no path"}}), R"({"n":{"x":"no path"}})");
}

std::string base64(const std::string& bytes) {
  return crypto::to_base64(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

TEST(HeaderToMetadata, Messages) {
  const auto with = [](const std::string& more) {
    return Copies{.config =
                      rule("header: 'x' on_header_present { key: 'x' metadata_namespace: 'n' type: PROTOBUF_VALUE " +
                           more + " }")};
  };
  Copies coded = with("encode: BASE64");
  const auto message = parsed<google::protobuf::Value>(
      "struct_value { fields { key: 'list' value { list_value { values { number_value: 1.5 } values { null_value: "
      "NULL_VALUE } values { bool_value: true } values {} } } } fields { key: 'a' value { string_value: 'b' } } }");
  const std::string json = R"({"n":{"x":{"a":"b","list":[1.5,null,true,null]}}})";
  EXPECT_EQ(coded.of({{"x", base64(message.SerializeAsString())}}), json);
  EXPECT_EQ(with("encode: BASE64 value: '" + base64(message.SerializeAsString()) + "'").of({{"x", "1"}}), json);
  EXPECT_EQ(with("").of({{"x", "hello"}}), "");
  // Cut off, of no kind that is known, no UTF-8, deeper than anybody means it.
  const std::string text("\x1a\x05hello");
  for (const std::string& none : {text.substr(0, 4), std::string("hi"), std::string("\x1a\x01\xff")})
    EXPECT_EQ(coded.of({{"x", base64(none)}}), "") << none;
  std::string deep;
  for (int i = 0; i < 500; ++i) {  // a list of one list
    for (const char tag : {'\x0a', '\x32'}) {
      std::string size;
      for (size_t left = deep.size();; left >>= 7) {
        size += static_cast<char>((left & 127) | (left > 127 ? 128 : 0));
        if (left <= 127) break;
      }
      deep = tag + size + deep;
    }
  }
  EXPECT_EQ(coded.of({{"x", base64(deep)}}), "");
}

// field: header_to_metadata.v3.Config.stat_prefix
TEST(HeaderToMetadata, Statistics) {
  Copies copies{.config =
                    "stat_prefix: 'h2m' " + rule("header: 'x' on_header_present { key: 'x' encode: BASE64 }") +
                    rule("header: 'y' on_header_present { key: 'y' regex_value_rewrite { pattern { regex: 'a' } } }") +
                    "response_rules { header: 'z' on_header_present { key: 'z' } }"};
  copies.of({{"x", "aGk="}}, {{"z", "1"}});
  copies.of({{"x", "?"}, {"y", "a"}});
  copies.of({{"x", std::string(8 * 1024, 'A')}});
  copies.of({{"x", std::string(8 * 1024 - 4, 'A')}});
  EXPECT_EQ(copies.count("request_rules_processed"), 8u);
  EXPECT_EQ(copies.count("request_metadata_added"), 2u);
  EXPECT_EQ(copies.count("request_header_not_found"), 3u);
  EXPECT_EQ(copies.count("response_rules_processed"), 4u);
  EXPECT_EQ(copies.count("response_metadata_added"), 1u);
  EXPECT_EQ(copies.count("response_header_not_found"), 3u);
  EXPECT_EQ(copies.count("base64_decode_failed"), 1u);
  EXPECT_EQ(copies.count("header_value_too_long"), 1u);
  EXPECT_EQ(copies.count("regex_substitution_failed"), 1u);
}

TEST(HeaderToMetadata, ARouteReplacesTheRules) {
  Copies copies{.config = rule("header: 'x' on_header_present { key: 'x' }"),
                .route = rule("header: 'y' on_header_present { metadata_namespace: 'n' key: 'y' }")};
  EXPECT_EQ(copies.of({{"x", "1"}, {"y", "2"}}), R"({"n":{"y":"2"}})");
}

TEST(HeaderToMetadata, WhatIsRefused) {
  const auto errors = [](const std::string& config) {
    PluginScope plugins;
    plugins.http_filter(parsed<Proto>(config));
    return plugins.error_texts();
  };
  using Texts = std::vector<std::string>;
  const std::string present = " on_header_present { key: 'k' } ";
  EXPECT_EQ(errors(rule(present)), Texts{"request_rules[0]: needs either header or cookie"});
  EXPECT_EQ(errors(rule("header: 'a' cookie: 'b'" + present)),
            Texts{"request_rules[0]: needs either header or cookie"});
  EXPECT_EQ(errors(rule("header: 'a b'" + present)), Texts{"request_rules[0].header: \"a b\" is not a header name"});
  EXPECT_EQ(errors(rule("header: 'a'")), Texts{"request_rules[0]: needs on_header_present, on_header_missing or both"});
  EXPECT_EQ(errors(rule("header: 'a' on_header_missing { key: 'k' }")),
            Texts{"request_rules[0].on_header_missing.value: must not be empty: there is no header to take it from"});
  EXPECT_EQ(
      errors(rule("cookie: 'a' remove: true" + present)),
      Texts{
          "request_rules[0].remove: cookies cannot be removed; header: cookie with remove: true removes all of them"});
  EXPECT_EQ(errors(rule("header: 'host' remove: true" + present)),
            Texts{"request_rules[0].remove: :authority cannot be removed: every request needs it"});
  EXPECT_EQ(errors("response_rules { cookie: 'a'" + present + "}"),
            Texts{"response_rules[0].cookie: responses have none; header: set-cookie is what they have"});
  EXPECT_EQ(
      errors(
          rule("header: 'a' on_header_present { key: 'k' value: 'v' regex_value_rewrite { pattern { regex: 'a' } } }")),
      Texts{
          "request_rules[0].on_header_present.regex_value_rewrite: value and regex_value_rewrite exclude each other"});
  // Constants that could never be written.
  const auto constant = [&](const std::string& of) {
    return errors(rule("header: 'a' on_header_missing { key: 'k' " + of + " }"));
  };
  const std::string value = "request_rules[0].on_header_missing.value: ";
  EXPECT_EQ(constant("value: 'abc' type: NUMBER"), Texts{value + "is not a number, which type says it is"});
  EXPECT_EQ(constant("value: 'aGk' encode: BASE64"),
            Texts{value + "is not base64 with padding (RFC 4648 section 4), which encode says it is"});
  EXPECT_EQ(constant("value: 'aGk=' encode: BASE64 type: NUMBER"),
            Texts{value + "is not a number, which type says it is"});
  EXPECT_EQ(constant("value: 'aGk=' encode: BASE64 type: PROTOBUF_VALUE"),
            Texts{value + "is not the bytes of a google.protobuf.Value, which type says it is"});
  EXPECT_EQ(constant("value: '" + std::string(8192, 'a') + "'"),
            Texts{value + "has 8192 bytes; at most 8191 are allowed"});
  EXPECT_EQ(constant("value: '" + std::string(8191, 'a') + "'"), Texts{});
}

}  // namespace
}  // namespace weir::test
