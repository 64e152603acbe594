// Route coverage against the real route table: whatever is said to be covered must never be selected.
#include "core/config/lint/route_cover.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "envoy/config/route/v3/route_components.pb.h"

namespace weir::config::lint {
namespace {

using envoy::config::route::v3::RouteMatch;

RouteMatch match(const std::string& text) {
  RouteMatch out;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &out)) << text;
  return out;
}
using Numbers = std::vector<size_t>;
// Which of the earlier ones cover the last.
Numbers covering(const std::vector<std::string>& matches) {
  EarlierRoutes earlier;
  for (size_t i = 0; i + 1 < matches.size(); ++i) earlier.add(match(matches[i]));
  return earlier.covering(match(matches.back()));
}
bool covers(const std::string& earlier, const std::string& later) { return !covering({earlier, later}).empty(); }

TEST(RouteCover, Paths) {
  EXPECT_TRUE(covers("prefix: '/'", "prefix: '/api'"));
  EXPECT_TRUE(covers("prefix: '/api'", "prefix: '/api'"));
  EXPECT_TRUE(covers("prefix: '/api'", "path: '/apiary'"));
  EXPECT_TRUE(covers("prefix: '/api'", "path_separated_prefix: '/api'"));
  EXPECT_TRUE(covers("prefix: ''", "safe_regex { regex: '[a-z]+' }"));
  EXPECT_TRUE(covers("prefix: '/img/'", "safe_regex { regex: '/img/[0-9]+' }"));
  EXPECT_TRUE(covers("path: '/a'", "path: '/a'"));
  EXPECT_TRUE(covers("path_separated_prefix: '/api'", "path: '/api'"));
  EXPECT_TRUE(covers("path_separated_prefix: '/api'", "path: '/api/x'"));
  EXPECT_TRUE(covers("path_separated_prefix: '/api'", "prefix: '/api/'"));
  EXPECT_TRUE(covers("path_separated_prefix: '/api'", "path_separated_prefix: '/api/v1'"));
  EXPECT_TRUE(covers("safe_regex { regex: '/a.c' }", "safe_regex { regex: '/a.c' }"));
  EXPECT_TRUE(covers("safe_regex { regex: '/a/.*' }", "path: '/a/b'"));
  EXPECT_TRUE(covers("safe_regex { regex: '.*' }", "prefix: '/a'"));
  EXPECT_TRUE(covers("connect_matcher {}", "connect_matcher {}"));

  EXPECT_FALSE(covers("prefix: '/api'", "prefix: '/'"));
  EXPECT_FALSE(covers("prefix: '/api/'", "path_separated_prefix: '/api'"));
  EXPECT_FALSE(covers("path: '/a'", "prefix: '/a'"));
  EXPECT_FALSE(covers("path_separated_prefix: '/api'", "prefix: '/api'"));  // /apiary
  EXPECT_FALSE(covers("path_separated_prefix: '/api'", "path: '/apiary'"));
  EXPECT_FALSE(covers("prefix: '/'", "safe_regex { regex: '.*' }"));  // OPTIONS *
  EXPECT_FALSE(covers("prefix: '/img'", "safe_regex { regex: '/img|/other' }"));
  EXPECT_TRUE(covers("safe_regex { regex: '/a.c' }", "path: '/abc'"));
  EXPECT_FALSE(covers("safe_regex { regex: '/a.c' }", "path: '/abcd'"));
  EXPECT_FALSE(covers("safe_regex { regex: '/a.*c' }", "prefix: '/abc'"));
  EXPECT_FALSE(covers("prefix: '/'", "connect_matcher {}"));
  EXPECT_FALSE(covers("connect_matcher {}", "prefix: '/'"));
}

TEST(RouteCover, PathTemplates) {
  const auto of = [](const std::string& text) {
    return "path_match_policy { typed_config { [type.googleapis.com/envoy.extensions.path.match.uri_template.v3."
           "UriTemplateMatchConfig] { path_template: '" +
           text + "' } } }";
  };
  EXPECT_TRUE(covers(of("/{a}/b"), of("/{a}/b")));
  EXPECT_TRUE(covers(of("/A/*"), of("/A/*") + " case_sensitive { value: false }"));
  EXPECT_TRUE(covers("prefix: '/api/'", of("/api/*")));
  EXPECT_FALSE(covers(of("/a/*"), of("/A/*")));
  EXPECT_FALSE(covers(of("/*"), of("/{a}")));  // it does, but that is not looked into
  EXPECT_FALSE(covers(of("/**"), "prefix: '/a'"));
  EXPECT_FALSE(covers("prefix: '/api/x'", of("/api/*")));
  EXPECT_FALSE(covers("safe_regex { regex: '/a' }", of("/a")));
}

TEST(RouteCover, Case) {
  EXPECT_TRUE(covers("prefix: '/API' case_sensitive { value: false }", "prefix: '/api/x'"));
  EXPECT_FALSE(covers("prefix: '/API'", "prefix: '/api'"));
  EXPECT_FALSE(covers("prefix: '/api'", "prefix: '/api' case_sensitive { value: false }"));
  EXPECT_TRUE(covers("prefix: '/'", "prefix: '/api' case_sensitive { value: false }"));  // no letters to differ in
}

TEST(RouteCover, EveryConditionOfTheEarlierMustBeOneOfTheLater) {
  const std::string canary = " headers { name: 'x-canary' string_match { exact: 'yes' } }";
  const std::string query = " query_parameters { name: 'a' present_match: true }";
  EXPECT_TRUE(covers("prefix: '/'" + canary, "prefix: '/api'" + canary));
  EXPECT_TRUE(covers("prefix: '/'" + canary, "prefix: '/api'" + canary + query));
  EXPECT_TRUE(covers("prefix: '/'", "prefix: '/'" + canary));
  EXPECT_FALSE(covers("prefix: '/'" + canary, "prefix: '/'"));
  EXPECT_FALSE(covers("prefix: '/'" + canary + query, "prefix: '/'" + canary));
  EXPECT_FALSE(covers("prefix: '/'" + canary, "prefix: '/' headers { name: 'x-canary' string_match { exact: 'no' } }"));
  EXPECT_FALSE(covers("prefix: '/' grpc {}", "prefix: '/'"));
  EXPECT_TRUE(covers("prefix: '/' grpc {}", "prefix: '/a' grpc {}"));
  EXPECT_FALSE(covers("prefix: '/' tls_context { presented { value: true } }", "prefix: '/'"));
  EXPECT_FALSE(covers("prefix: '/' runtime_fraction { default_value { numerator: 50 } }", "prefix: '/'"));
}

TEST(RouteCover, TheFirstOfSeveral) {
  EXPECT_EQ(covering({"path: '/x'", "prefix: '/a'", "prefix: '/'", "prefix: '/a/b'"}), Numbers{1});
  EXPECT_EQ(covering({"prefix: '/b'", "path: '/a'", "prefix: '/a/b'"}), Numbers{});
}

TEST(RouteCover, TwoHalvesOfTheConditions) {
  const std::string with = "prefix: '/' headers { name: 'X-A' present_match: true }";
  const std::string without = "prefix: '/' headers { name: 'x-a' present_match: false }";
  const std::string inverted = "prefix: '/' headers { name: 'x-a' invert_match: true }";
  const std::string exact = "prefix: '/' headers { name: 'x-a' string_match { exact: 'a' } }";
  EXPECT_EQ(covering({"path: '/x'", with, exact, without, "prefix: '/b'"}), (Numbers{1, 3}));
  EXPECT_EQ(covering({inverted, with, "path: '/b'"}), (Numbers{0, 1}));
  EXPECT_EQ(covering({"prefix: '/' query_parameters { name: 'a' }",
                      "prefix: '/' query_parameters { name: 'a' present_match: false }", "prefix: '/'"}),
            (Numbers{0, 1}));
  // A header may be there and say something else; of two headers both may be missing; of methods there are many.
  EXPECT_EQ(covering({exact, without, "prefix: '/'"}), Numbers{});
  EXPECT_EQ(covering({with, "prefix: '/' headers { name: 'x-b' present_match: false }", "prefix: '/'"}), Numbers{});
  EXPECT_EQ(covering({with, "prefix: '/a' headers { name: 'x-a' present_match: false }", "prefix: '/'"}), Numbers{});
  EXPECT_EQ(covering({with + " query_parameters { name: 'q' }", without, "prefix: '/'"}), Numbers{});
  EXPECT_EQ(covering({with + " runtime_fraction { default_value { numerator: 50 } }", without, "prefix: '/'"}),
            Numbers{});
  // What both demand may be demanded by the later one.
  EXPECT_EQ(covering({with + " query_parameters { name: 'q' }", without, "prefix: '/' query_parameters { name: 'q' }"}),
            (Numbers{0, 1}));
}

TEST(RouteCover, TwoHalvesOfThePath) {
  const std::string both = "path_separated_prefix: '/a'";
  EXPECT_EQ(covering({"prefix: '/a/'", "path: '/a'", both}), (Numbers{0, 1}));
  EXPECT_EQ(
      covering({"path: '/a' case_sensitive { value: false }", "path_separated_prefix: '/a/b'", "prefix: '/a/'", both}),
      (Numbers{0, 2}));
  EXPECT_EQ(covering({"prefix: '/a/'", "path: '/a'", both + " case_sensitive { value: false }"}), Numbers{});
  EXPECT_EQ(covering({"prefix: '/a/b'", "path: '/a'", both}), Numbers{});
  EXPECT_EQ(covering({"prefix: '/a/'", "path: '/a' grpc {}", both}), Numbers{});
}

TEST(RouteCover, Methods) {
  using Methods = std::set<std::string>;
  auto methods = [](const std::string& matcher) {
    return methods_of(match("prefix: '/' headers { name: ':method' " + matcher + " }"));
  };
  EXPECT_EQ(methods("string_match { exact: 'GET' }"), Methods{"GET"});
  EXPECT_EQ(methods("string_match { safe_regex { regex: 'POST|PATCH' } }"), (Methods{"POST", "PATCH"}));
  EXPECT_EQ(methods("string_match { safe_regex { regex: '(GET|HEAD)' } }"), (Methods{"GET", "HEAD"}));
  EXPECT_EQ(methods("string_match { safe_regex { regex: 'P.*' } }"), std::nullopt);
  EXPECT_EQ(methods("string_match { exact: 'GET' } invert_match: true"), std::nullopt);
  EXPECT_EQ(methods("string_match { prefix: 'P' }"), std::nullopt);
  EXPECT_EQ(methods_of(match("prefix: '/'")), std::nullopt);
}

}  // namespace
}  // namespace weir::config::lint
