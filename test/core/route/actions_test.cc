// Path and host rewrites, redirects.
#include "core/route/actions.h"

#include <gtest/gtest.h>

#include "test/core/route/test_request.h"

namespace weir::route {
namespace {

std::unique_ptr<RouteTable> build(RouteTableSpec spec) {
  auto table = RouteTable::build(std::move(spec));
  EXPECT_TRUE(table.ok()) << table.status();
  return std::move(*table);
}

std::string rewritten(RouteSpec route, std::string_view target, bool ignore_parameters = false) {
  RouteTableSpec spec = one_host(std::move(route));
  spec.ignore_path_parameters_in_path_matching = ignore_parameters;
  auto table = build(std::move(spec));
  TestRequest request(target);
  Selection selection = table->select(request.headers(), {});
  if (selection.route == nullptr) return "no route";
  std::string_view path = selection.route->rewrite_path(request.subject(), request.arena());
  return path.data() == nullptr ? "unchanged" : std::string(path);
}

RouteSpec with_prefix_rewrite(PathKind kind, std::string path, std::string to) {
  RouteSpec route = forward_route(kind, std::move(path));
  route.forward.prefix_rewrite = std::move(to);
  return route;
}
RouteSpec with_regex_rewrite(std::string pattern, std::string substitution) {
  RouteSpec route = prefix_route("/");
  route.forward.regex_rewrite = match::RegexRewriteSpec{std::move(pattern), std::move(substitution)};
  return route;
}

TEST(PathRewrite, Prefix) {
  EXPECT_EQ(rewritten(prefix_route("/"), "/a"), "unchanged");
  EXPECT_EQ(rewritten(with_prefix_rewrite(PathKind::kPrefix, "/api", "/v2"), "/api/x?y=1"), "/v2/x?y=1");
  EXPECT_EQ(rewritten(with_prefix_rewrite(PathKind::kPrefix, "/api/", "/"), "/api/x"), "/x");
  EXPECT_EQ(rewritten(with_prefix_rewrite(PathKind::kPrefix, "/api", "/"), "/api"), "/");
  EXPECT_EQ(rewritten(with_prefix_rewrite(PathKind::kPrefix, "/api", "/"), "/api/x"), "//x");  // as published
  EXPECT_EQ(rewritten(with_prefix_rewrite(PathKind::kExact, "/api", "/v2/x"), "/api?q"), "/v2/x?q");
  EXPECT_EQ(rewritten(with_prefix_rewrite(PathKind::kSegmentPrefix, "/api", "/v2"), "/api/x"), "/v2/x");
  EXPECT_EQ(rewritten(with_prefix_rewrite(PathKind::kRegex, "/a.*", "/v2"), "/abc?x"), "/v2?x");
  EXPECT_EQ(rewritten(with_prefix_rewrite(PathKind::kPrefix, "/api", "v2"), "/api/x"), "/v2/x");
  EXPECT_EQ(rewritten(with_prefix_rewrite(PathKind::kExact, "/a", "/b"), "/a;v=1?q", true), "/b;v=1?q");
  EXPECT_EQ(rewritten(with_prefix_rewrite(PathKind::kRegex, "/a", "/b"), "/a;v=1?q", true), "/b;v=1?q");
}

TEST(PathRewrite, CaseInsensitivePrefixKeepsTheRest) {
  RouteSpec route = with_prefix_rewrite(PathKind::kPrefix, "/API", "/v2");
  route.match.case_sensitive = false;
  EXPECT_EQ(rewritten(std::move(route), "/aPi/XyZ"), "/v2/XyZ");
}

TEST(PathRewrite, Regex) {
  EXPECT_EQ(
      rewritten(with_regex_rewrite("^/service/([^/]+)(/.*)$", R"(\2/instance/\1)"), "/service/foo/v1/api?a=/service"),
      "/v1/api/instance/foo?a=/service");
  EXPECT_EQ(rewritten(with_regex_rewrite("nothing", "x"), "/a?nothing"), "/a?nothing");
  // Whatever a rule makes of it, a request target begins with a slash.
  EXPECT_EQ(rewritten(with_regex_rewrite("^/a", ""), "/a?x"), "/?x");
  EXPECT_EQ(rewritten(with_regex_rewrite("/", ""), "/a/b"), "/ab");
  // What cannot be sent is none: the request is answered instead.
  EXPECT_EQ(rewritten(with_regex_rewrite("b", "b c"), "/a"), "/a");
  EXPECT_EQ(rewritten(with_regex_rewrite("b", "b c"), "/b?x"), "");
  EXPECT_EQ(rewritten(with_regex_rewrite("b", "#"), "/b?x"), "");
  EXPECT_EQ(rewritten(with_regex_rewrite("b", "\xc3\xa4"), "/b?x"), "");
}

TEST(HostRewrite, Kinds) {
  auto host = [](HostRewriteSpec rewrite, const TestRequest::Headers& headers = {}) {
    RouteSpec route = prefix_route("/");
    route.forward.host_rewrite = std::move(rewrite);
    auto table = build(one_host(std::move(route)));
    TestRequest request("/host-b.example/x?y", "a.example", headers);
    const ForwardAction& action = table->select(request.headers(), {}).route->forward();
    std::string_view text = action.rewrite_host(request.subject(), nullptr, request.arena());
    std::string out = text.data() == nullptr ? "unchanged" : std::string(text);
    return action.auto_host_rewrite() ? "auto " + out : out;
  };
  using Kind = HostRewriteSpec::Kind;
  EXPECT_EQ(host({}), "unchanged");
  EXPECT_EQ(host({Kind::kLiteral, "b.example", {}}), "b.example");
  EXPECT_EQ(host({Kind::kAuto, "", {}}), "auto unchanged");
  EXPECT_EQ(host({Kind::kHeader, "X-Host", {}}, {{"x-host", "h.example"}}), "h.example");
  EXPECT_EQ(host({Kind::kHeader, "X-Host", {}}), "unchanged");
  EXPECT_EQ(host({Kind::kHeader, "X-Host", {}}, {{"x-host", ""}}), "unchanged");
  EXPECT_EQ(host({Kind::kPathRegex, "", {"^/host-([^/]+).*$", R"(\1)"}}), "b.example");
  // What is no host is not sent.
  for (const char* bad : {"a b", "a/b", "user@h", "[::1", "h:99999"})
    EXPECT_EQ(host({Kind::kHeader, "X-Host", {}}, {{"x-host", bad}}), "") << bad;
  EXPECT_EQ(host({Kind::kPathRegex, "", {"^/host-([^/]+).*$", R"(\1/x)"}}), "");
}

TEST(FormatRewrite, APathOrHostIsMadeOfTheRequest) {
  auto made = [](std::string path_format, std::string host_format, const TestRequest::Headers& headers) {
    RouteSpec route = prefix_route("/");
    route.forward.path_rewrite = std::move(path_format);
    if (!host_format.empty()) route.forward.host_rewrite = {HostRewriteSpec::Kind::kFormat, host_format, {}};
    auto table = build(one_host(std::move(route)));
    TestRequest request("/old?q=1", "a.example", headers);
    const Route& selected = *table->select(request.headers(), {}).route;
    auto shown = [](Rewritten text) {
      return std::string(text.data() == nullptr ? "unchanged" : text.empty() ? "bad" : text);
    };
    return shown(selected.rewrite_path(request.subject(), request.arena())) + " " +
           shown(selected.forward().rewrite_host(request.subject(), nullptr, request.arena()));
  };
  const std::string path = "/new/%REQ(x-p)%", host = "%REQ(x-h)%";
  EXPECT_EQ(made(path, host, {{"x-p", "1"}, {"x-h", "b.example:81"}}), "/new/1?q=1 b.example:81");
  EXPECT_EQ(made("%REQ(x-p)%", host, {}), "unchanged unchanged");  // an empty text is no rewrite
  EXPECT_EQ(made("%REQ(x-p)%", "", {{"x-p", "x"}}), "/x?q=1 unchanged");
  EXPECT_EQ(made(path, "", {{"x-p", "1?own=2"}}), "/new/1?own=2 unchanged");  // its query counts
  // What would be another request, or none, is not sent.
  for (const char* bad : {"a b", "a#b", "a\tb", "\xc3\xa4", "a HTTP/1.1\r\nx: y"}) {
    EXPECT_EQ(made(path, "", {{"x-p", bad}}), "bad unchanged") << bad;
    EXPECT_EQ(made("", host, {{"x-h", bad}}), "unchanged bad") << bad;
  }
  EXPECT_EQ(made("", host, {{"x-h", "user@b.example"}}), "unchanged bad");
  EXPECT_EQ(made("", host, {{"x-h", "b.example/x"}}), "unchanged bad");
}

TEST(HostRewrite, OfAWeightedCluster) {
  RouteSpec route = prefix_route("/", "");
  route.forward.host_rewrite = {HostRewriteSpec::Kind::kLiteral, "route.example", {}};
  WeightedClusterSpec cluster;
  cluster.name = "a";
  cluster.weight = 1;
  cluster.host_rewrite_literal = "weighted.example";
  route.forward.weighted_clusters.push_back(std::move(cluster));
  auto table = build(one_host(std::move(route)));
  TestRequest request("/");
  Selection selection = table->select(request.headers(), {});
  EXPECT_EQ(selection.route->forward().rewrite_host(request.subject(), selection.weighted, request.arena()),
            "weighted.example");
}

std::string location(RedirectSpec redirect, std::string_view target, std::string_view host = "a.example",
                     std::string_view scheme = "http", RouteMatchSpec match = {}) {
  RouteSpec route;
  route.match = std::move(match);
  route.action = ActionKind::kRedirect;
  route.redirect = std::make_unique<RedirectSpec>(std::move(redirect));
  auto table = build(one_host(std::move(route)));
  TestRequest request(target, host);
  request.headers().set(http::HeaderId::kScheme, scheme);
  Selection selection = table->select(request.headers(), {});
  if (selection.route == nullptr) return "no route";
  return std::string(selection.route->redirect_location(request.subject(), request.arena()));
}

TEST(Redirect, SchemeHostAndPort) {
  EXPECT_EQ(location({.https = true}, "/x?y"), "https://a.example/x?y");
  EXPECT_EQ(location({.https = true}, "/x", "a.example:80"), "https://a.example/x");
  EXPECT_EQ(location({.https = true}, "/x", "a.example:8080"), "https://a.example:8080/x");
  EXPECT_EQ(location({.https = true, .port = 8443}, "/x", "a.example:8080"), "https://a.example:8443/x");
  EXPECT_EQ(location({.scheme = "http"}, "/x", "a.example:443", "https"), "http://a.example/x");
  EXPECT_EQ(location({.scheme = "http"}, "/x", "[::1]:443", "https"), "http://[::1]/x");
  EXPECT_EQ(location({.host = "b.example"}, "/x", "a.example:8080"), "http://b.example/x");
  EXPECT_EQ(location({.host = "b.example", .port = 81}, "/x"), "http://b.example:81/x");
  EXPECT_EQ(location({.host = "b.example:82"}, "/x"), "http://b.example:82/x");
  EXPECT_EQ(location({.port = 81}, "/x", "[::1]:80"), "http://[::1]:81/x");
  EXPECT_EQ(location({}, "/x", ""), "/x");
}

TEST(Redirect, PathAndQuery) {
  EXPECT_EQ(location({.path = "/new"}, "/x?y=1"), "http://a.example/new?y=1");
  EXPECT_EQ(location({.path = "/new", .strip_query = true}, "/x?y=1"), "http://a.example/new");
  EXPECT_EQ(location({.path = "/new?z=2"}, "/x?y=1"), "http://a.example/new?z=2");
  EXPECT_EQ(location({.path_rewrite = "/to/%REQ(:authority)%"}, "/x?y=1"), "http://a.example/to/a.example?y=1");
  EXPECT_EQ(location({.path_rewrite = "/new?z=2"}, "/x?y=1"), "http://a.example/new?z=2");
  EXPECT_EQ(location({.path_rewrite = "%REQ(x-none)%"}, "/x?y=1"), "http://a.example/x?y=1");
  EXPECT_EQ(location({.path_rewrite = "/a b"}, "/x?y=1"), "");
  EXPECT_EQ(location({.regex_rewrite = match::RegexRewriteSpec{"x", "a b"}}, "/x?y=1"), "");
  EXPECT_EQ(location({.path = "/new?z=2", .strip_query = true}, "/x?y=1"), "http://a.example/new?z=2");
  EXPECT_EQ(location({.strip_query = true}, "/x?y=1#f"), "http://a.example/x");
  RouteMatchSpec prefix;
  prefix.path = "/old";
  EXPECT_EQ(location({.prefix_rewrite = "/new"}, "/old/x?y", "a.example", "http", prefix), "http://a.example/new/x?y");
  EXPECT_EQ(location({.prefix_rewrite = "/new", .strip_query = true}, "/old/x?y", "a.example", "http", prefix),
            "http://a.example/new/x");
  EXPECT_EQ(location({.regex_rewrite = match::RegexRewriteSpec{"^/(a)/(b)$", R"(/\2/\1)"}}, "/a/b?c"),
            "http://a.example/b/a?c");
}

TEST(Redirect, ToHttps) {
  TestRequest request("/x?y", "a.example:80");
  EXPECT_EQ(RedirectAction::to_https().status(), 301);
  EXPECT_EQ(RedirectAction::to_https().location(request.subject(), {PathKind::kPrefix, 0}, false, request.arena()),
            "https://a.example/x?y");
}

TEST(DirectResponse, IsKept) {
  RouteSpec route;
  route.action = ActionKind::kDirectResponse;
  route.direct_response = std::make_unique<DirectResponseSpec>();
  route.direct_response->status = 204;
  route.direct_response->body = std::string("a\0b", 3);
  auto table = build(one_host(std::move(route)));
  const DirectResponse& response = table->virtual_hosts()[0].routes()[0].direct_response();
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(response.body.size(), 3u);
}

TEST(ForwardAction, TimeoutsAndDefaults) {
  RouteSpec route = prefix_route("/");
  auto table = build(one_host(std::move(route)));
  const ForwardAction& defaults = table->virtual_hosts()[0].routes()[0].forward();
  EXPECT_EQ(defaults.timeout(), 15s);
  EXPECT_EQ(defaults.idle_timeout(), std::nullopt);
  EXPECT_EQ(defaults.max_stream_duration(), std::nullopt);
  EXPECT_EQ(defaults.retry(), nullptr);
  EXPECT_EQ(defaults.cluster_not_found_status(), 503);

  RouteSpec set = prefix_route("/");
  set.forward.timeout = 0s;
  set.forward.idle_timeout = 0s;
  set.forward.max_stream_duration = 3s;
  auto other = build(one_host(std::move(set)));
  const ForwardAction& action = other->virtual_hosts()[0].routes()[0].forward();
  EXPECT_EQ(action.timeout(), 0s);
  EXPECT_EQ(action.idle_timeout(), Duration(0s));
  EXPECT_EQ(action.max_stream_duration(), Duration(3s));
}

}  // namespace
}  // namespace weir::route
