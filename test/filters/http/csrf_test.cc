#include "filters/http/csrf/csrf.h"

#include <gtest/gtest.h>

#include "envoy/extensions/filters/http/csrf/v3/csrf.pb.h"
#include "test/support/filter_harness.h"
#include "test/support/parsed.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

using CsrfPolicy = envoy::extensions::filters::http::csrf::v3::CsrfPolicy;

CsrfPolicy policy_of(const std::string& text) { return parsed<CsrfPolicy>(text); }

const std::string kOn = "filter_enabled { default_value { numerator: 100 } } ";
const std::string kOff = "filter_enabled { default_value { numerator: 0 } } ";

struct Csrf {
  PluginScope plugins;
  std::string policy = kOn;
  std::string route_policy{};

  // Whether the request gets through.
  bool passes(const Headers& more, const char* method = "POST", const char* host = "shop.example") {
    FilterHarness harness({plugins.http_filter(policy_of(policy), "csrf")});
    if (!route_policy.empty()) harness.set_route_config("csrf", plugins.route_config(policy_of(route_policy)));
    Headers request = {{":method", method}, {":authority", host}, {":path", "/"}};
    request.insert(request.end(), more.begin(), more.end());
    harness.send_headers(request, true);
    harness.run(20ms);
    if (harness.request().has_headers) return true;
    EXPECT_EQ(harness.response().header(":status"), "403");
    EXPECT_EQ(harness.response().body, "Invalid origin");
    EXPECT_EQ(harness.details(), "csrf_origin_mismatch");
    return false;
  }
  uint64_t count(const std::string& name) { return plugins.store().counter("test.csrf." + name).value(); }
};

// field: CsrfPolicy.filter_enabled
TEST(Csrf, TheOriginIsTheHost) {
  Csrf csrf;
  EXPECT_TRUE(csrf.passes({{"origin", "https://shop.example"}}));
  EXPECT_TRUE(csrf.passes({{"origin", "https://shop.example"}}, "POST", "Shop.Example"));
  EXPECT_TRUE(csrf.passes({{"origin", "http://shop.example:8080"}}, "POST", "shop.example:8080"));
  EXPECT_EQ(csrf.count("request_valid"), 3u);
  EXPECT_FALSE(csrf.passes({{"origin", "https://evil.example"}}));
  EXPECT_FALSE(csrf.passes({{"origin", "https://shop.example:8080"}}));
  EXPECT_FALSE(csrf.passes({{"origin", "https://shop.example.evil"}}));
  EXPECT_FALSE(csrf.passes({{"origin", "https://evil.example/@shop.example"}}));
  EXPECT_FALSE(csrf.passes({{"origin", "null"}, {"referer", "https://shop.example/"}}));
  EXPECT_FALSE(csrf.passes({{"origin", "https://shop.example"}, {"origin", "https://evil.example"}}));
  EXPECT_EQ(csrf.count("request_invalid"), 6u);
}

TEST(Csrf, WithoutOriginTheReferer) {
  Csrf csrf;
  EXPECT_TRUE(csrf.passes({{"referer", "https://shop.example/cart?x=1"}}));
  EXPECT_TRUE(csrf.passes({{"origin", ""}, {"referer", "https://shop.example?x"}}));
  EXPECT_FALSE(csrf.passes({{"referer", "https://evil.example/?https://shop.example"}}));
  EXPECT_EQ(csrf.count("missing_source_origin"), 0u);
  EXPECT_FALSE(csrf.passes({}));
  EXPECT_EQ(csrf.count("missing_source_origin"), 1u);
}

TEST(Csrf, OnlyWhatChangesSomething) {
  Csrf csrf;
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH"}) EXPECT_FALSE(csrf.passes({}, method)) << method;
  for (const char* method : {"GET", "HEAD", "OPTIONS", "TRACE"}) EXPECT_TRUE(csrf.passes({}, method)) << method;
}

// field: CsrfPolicy.additional_origins
TEST(Csrf, OtherOrigins) {
  Csrf csrf;
  csrf.policy += R"(additional_origins { exact: "pay.example" } additional_origins { suffix: ".shop.example:444" })";
  EXPECT_TRUE(csrf.passes({{"origin", "https://pay.example"}}));
  EXPECT_TRUE(csrf.passes({{"referer", "https://eu.shop.example:444/x"}}));
  EXPECT_FALSE(csrf.passes({{"origin", "https://pay.example:444"}}));
  csrf.route_policy = kOn;
  EXPECT_FALSE(csrf.passes({{"origin", "https://pay.example"}}));
}

// field: CsrfPolicy.shadow_enabled
TEST(Csrf, ShadowsCount) {
  Csrf csrf;
  csrf.policy = kOff;
  EXPECT_TRUE(csrf.passes({{"origin", "https://evil.example"}}));
  EXPECT_EQ(csrf.count("request_invalid"), 0u);
  csrf.policy = kOff + "shadow_enabled { default_value { numerator: 100 } }";
  EXPECT_TRUE(csrf.passes({{"origin", "https://evil.example"}}));
  EXPECT_TRUE(csrf.passes({}));
  EXPECT_EQ(csrf.count("request_invalid"), 1u);
  EXPECT_EQ(csrf.count("missing_source_origin"), 1u);
}

TEST(Csrf, HostAndPort) {
  using filters::csrf::host_and_port;
  EXPECT_EQ(host_and_port(""), "");
  EXPECT_EQ(host_and_port("null"), "null");
  EXPECT_EQ(host_and_port("https://a.example"), "a.example");
  EXPECT_EQ(host_and_port("https://a@b@c.example:1/d"), "c.example:1");
  EXPECT_EQ(host_and_port("https://[::1]:8080/"), "[::1]:8080");
  EXPECT_EQ(host_and_port("https://"), "");
  EXPECT_EQ(host_and_port("https:///x"), "");
}

}  // namespace
}  // namespace weir::test
