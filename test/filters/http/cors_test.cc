#include <gtest/gtest.h>

#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "test/support/filter_harness.h"
#include "test/support/parsed.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

namespace pb = envoy::extensions::filters::http::cors::v3;

pb::CorsPolicy policy_of(const std::string& text) { return parsed<pb::CorsPolicy>(text); }

const std::string kShop = "allow_origin_string_match { exact: \"https://shop.example\" } ";

// What a browser gets.
struct Answer {
  Message message;
  bool forwarded = false;
  std::string header(std::string_view name) const { return message.header(name); }
  std::string origin() const { return header("access-control-allow-origin"); }
};

struct Cors {
  PluginScope plugins;
  std::string name = "envoy.filters.http.cors";
  bool deprecated = false;  // whether the policy is said in the old way

  Answer ask(const std::string& policy, Headers request, const Headers& more = {}) {
    FilterHarness harness({plugins.http_filter(pb::Cors(), name)});
    if (!policy.empty()) {
      auto config = plugins.route_config(policy_of(policy));
      deprecated ? harness.set_route_config(filter::kRouteCors, config) : harness.set_route_config(name, config);
    }
    request.emplace_back(":path", "/");
    harness.send_headers(request, true);
    harness.run(20ms);
    Answer answer;
    answer.forwarded = harness.request().has_headers;
    if (answer.forwarded) {
      Headers response = {{":status", "200"}};
      response.insert(response.end(), more.begin(), more.end());
      harness.respond_headers(response, true);
      harness.run();
    }
    answer.message = harness.response();
    EXPECT_TRUE(answer.message.ended);
    return answer;
  }
  Answer get(const std::string& policy, const std::string& origin) {
    return ask(policy, {{":method", "GET"}, {"origin", origin}});
  }
  Answer preflight(const std::string& policy, const std::string& origin, const Headers& more = {}) {
    Headers request = {{":method", "OPTIONS"}, {"origin", origin}, {"access-control-request-method", "PUT"}};
    request.insert(request.end(), more.begin(), more.end());
    return ask(policy, request);
  }
  uint64_t count(const std::string& name) { return plugins.store().counter("test.cors." + name).value(); }
};

// field: cors.v3.CorsPolicy.allow_origin_string_match
TEST(Cors, OriginsThatAreAllowed) {
  Cors cors;
  EXPECT_EQ(cors.get(kShop, "https://shop.example").origin(), "https://shop.example");
  EXPECT_EQ(cors.get(kShop, "https://other.example").origin(), "(none)");
  EXPECT_EQ(cors.get(kShop, "https://shop.example.evil").origin(), "(none)");
  EXPECT_EQ(cors.get(kShop, "null").origin(), "(none)");
  EXPECT_EQ(cors.count("origin_valid"), 1u);
  EXPECT_EQ(cors.count("origin_invalid"), 3u);
  std::string either = kShop + R"(allow_origin_string_match { safe_regex { regex: "https://[a-z]+\\.cdn" } })";
  EXPECT_EQ(cors.get(either, "https://eu.cdn").origin(), "https://eu.cdn");
  EXPECT_EQ(cors.get(either, "https://eu1.cdn").origin(), "(none)");
  EXPECT_EQ(cors.get("allow_origin_string_match { exact: \"*\" }", "https://any").origin(), "https://any");
  EXPECT_EQ(cors.get("", "https://any").origin(), "(none)");
  EXPECT_EQ(cors.get("", "https://any").header("vary"), "(none)");
}

// field: cors.v3.CorsPolicy.expose_headers, cors.v3.CorsPolicy.allow_credentials
TEST(Cors, Responses) {
  Cors cors;
  Answer answer = cors.get(kShop +
                               "allow_credentials { value: true } expose_headers: \"x-total, x-page\" "
                               "allow_methods: \"PUT\" max_age: \"60\"",
                           "https://shop.example");
  EXPECT_EQ(answer.header("access-control-allow-credentials"), "true");
  EXPECT_EQ(answer.header("access-control-expose-headers"), "x-total, x-page");
  EXPECT_EQ(answer.header("access-control-allow-methods"), "(none)");
  EXPECT_EQ(answer.header("access-control-max-age"), "(none)");
  EXPECT_EQ(answer.header("vary"), "Origin");
  answer = cors.get(kShop, "https://shop.example");
  EXPECT_EQ(answer.header("access-control-allow-credentials"), "(none)");
  EXPECT_EQ(answer.header("access-control-expose-headers"), "(none)");
  // The upstream's word does not count, and a cache is told also without an origin.
  answer = cors.ask(kShop, {{":method", "GET"}, {"origin", "https://shop.example"}},
                    {{"access-control-allow-origin", "*"}, {"vary", "Accept"}});
  EXPECT_EQ(answer.origin(), "https://shop.example");
  EXPECT_EQ(answer.header("vary"), "Accept, Origin");
  EXPECT_EQ(cors.ask(kShop, {{":method", "GET"}}).header("vary"), "Origin");
}

// field: cors.v3.CorsPolicy.allow_methods, cors.v3.CorsPolicy.allow_headers, cors.v3.CorsPolicy.max_age
// field: cors.v3.CorsPolicy.allow_private_network_access
TEST(Cors, Preflights) {
  Cors cors;
  std::string policy = kShop +
                       "allow_methods: \"GET, PUT\" allow_headers: \"x-key\" max_age: \"600\" "
                       "expose_headers: \"x-total\" allow_private_network_access { value: true }";
  Answer answer = cors.preflight(policy, "https://shop.example");
  EXPECT_FALSE(answer.forwarded);
  EXPECT_EQ(answer.header(":status"), "200");
  EXPECT_EQ(answer.message.body, "");
  EXPECT_EQ(answer.origin(), "https://shop.example");
  EXPECT_EQ(answer.header("access-control-allow-methods"), "GET, PUT");
  EXPECT_EQ(answer.header("access-control-allow-headers"), "x-key");
  EXPECT_EQ(answer.header("access-control-max-age"), "600");
  EXPECT_EQ(answer.header("access-control-expose-headers"), "(none)");
  EXPECT_EQ(answer.header("access-control-allow-private-network"), "(none)");
  EXPECT_EQ(answer.header("vary"), "Origin");
  Headers wants_private = {{"access-control-request-private-network", "true"}};
  EXPECT_EQ(
      cors.preflight(policy, "https://shop.example", wants_private).header("access-control-allow-private-network"),
      "true");
  EXPECT_EQ(cors.preflight(kShop, "https://shop.example", wants_private).header("access-control-allow-private-network"),
            "(none)");
  // An OPTIONS that is no preflight.
  EXPECT_TRUE(cors.ask(policy, {{":method", "OPTIONS"}, {"origin", "https://shop.example"}}).forwarded);
}

// field: cors.v3.CorsPolicy.forward_not_matching_preflights
TEST(Cors, PreflightsOfOthers) {
  Cors cors;
  EXPECT_TRUE(cors.preflight(kShop, "https://other.example").forwarded);
  Answer answer = cors.preflight(kShop + "forward_not_matching_preflights { value: false }", "https://other.example");
  EXPECT_FALSE(answer.forwarded);
  EXPECT_EQ(answer.header(":status"), "200");
  EXPECT_EQ(answer.origin(), "(none)");
}

// field: cors.v3.CorsPolicy.filter_enabled, cors.v3.CorsPolicy.shadow_enabled
// field: RuntimeFractionalPercent@filter.default_value
TEST(Cors, ShadowsCount) {
  Cors cors;
  const std::string off = kShop + "filter_enabled { default_value { numerator: 0 } } ";
  EXPECT_EQ(cors.get(off, "https://shop.example").origin(), "(none)");
  EXPECT_EQ(cors.count("origin_valid"), 0u);
  const std::string shadow = off + "shadow_enabled { default_value { numerator: 100 } }";
  EXPECT_EQ(cors.get(shadow, "https://shop.example").origin(), "(none)");
  EXPECT_TRUE(cors.preflight(shadow, "https://shop.example").forwarded);
  EXPECT_EQ(cors.get(shadow, "https://other.example").header("vary"), "(none)");
  EXPECT_EQ(cors.count("origin_valid"), 2u);
  EXPECT_EQ(cors.count("origin_invalid"), 1u);
}

TEST(Cors, OfAnotherName) {
  Cors cors;
  cors.name = "cross-origin";
  EXPECT_EQ(cors.get(kShop, "https://shop.example").origin(), "https://shop.example");
  cors.deprecated = true;
  EXPECT_EQ(cors.get(kShop, "https://shop.example").origin(), "https://shop.example");
  EXPECT_EQ(cors.get("", "https://shop.example").origin(), "(none)");
}

TEST(Cors, FaultsOfConfiguration) {
  PluginScope plugins;
  plugins.route_config(
      policy_of("allow_methods: \"GET\\r\\nx: y\" allow_origin_string_match {} "
                "allow_origin_string_match { safe_regex { regex: \"(\" } }"));
  ASSERT_EQ(plugins.error_texts().size(), 3u);
  EXPECT_EQ(plugins.error_texts()[0],
            "allow_origin_string_match[0]: needs one of exact, prefix, suffix, contains and safe_regex");
  EXPECT_EQ(plugins.error_texts()[1].find("allow_origin_string_match[1].safe_regex: "), 0u);
  EXPECT_EQ(plugins.error_texts()[2], "allow_methods: has a control character, which no header value may have");
}

}  // namespace
}  // namespace weir::test
