// Every error of a bad table at once, each with its path.
#include <gtest/gtest.h>

#include "test/core/route/test_request.h"

namespace weir::route {
namespace {

std::vector<std::string> errors_of(RouteTableSpec spec) {
  std::vector<BuildError> errors;
  auto table = RouteTable::build(std::move(spec), {}, &errors);
  EXPECT_FALSE(table.ok());
  std::vector<std::string> out;
  for (const BuildError& error : errors) out.push_back(error.path + ": " + error.message);
  return out;
}

TEST(BuildErrors, AllAtOnce) {
  RouteTableSpec spec = one_host(forward_route(PathKind::kRegex, "/a["), prefix_route("/", ""));
  spec.virtual_hosts[0].name = "";
  spec.virtual_hosts[0].routes[1].match.headers = {header_is("", "x")};
  std::vector<std::string> expected = {
      "virtual_hosts[0].name: must not be empty",
      "virtual_hosts[0].routes[0].match.safe_regex: missing ] at character 3 (\"[\") of \"/a[\"",
      "virtual_hosts[0].routes[1].match.headers[0]: name: must not be empty",
      "virtual_hosts[0].routes[1].route: needs one of cluster, cluster_header and weighted_clusters"};
  EXPECT_EQ(errors_of(std::move(spec)), expected);
}

TEST(BuildErrors, TheStatusHasTheFirst) {
  auto table = RouteTable::build(one_host(prefix_route("/", ""), prefix_route("/", "")));
  EXPECT_EQ(
      message_of(table.status()),
      "virtual_hosts[0].routes[0].route: needs one of cluster, cluster_header and weighted_clusters (and 1 more)");
}

TEST(BuildErrors, Domains) {
  RouteTableSpec spec = one_host();
  spec.virtual_hosts[0].domains = {"a.example", "*b*", "a*b", ""};
  spec.virtual_hosts.push_back(virtual_host("second", {"A.example"}));
  spec.virtual_hosts.push_back(virtual_host("third", {}));
  std::vector<std::string> expected = {
      "virtual_hosts[0].domains[1]: \"*b*\": a * may stand only at the beginning or only at the end",
      "virtual_hosts[0].domains[2]: \"a*b\": a * may stand only at the beginning or only at the end",
      "virtual_hosts[0].domains[3]: must not be empty",
      "virtual_hosts[1].domains[0]: \"A.example\" is already a domain of virtual host \"all\" (virtual_hosts[0]); each "
      "domain may appear once",
      "virtual_hosts[2].domains: must have at least one item; \"*\" takes every host"};
  EXPECT_EQ(errors_of(std::move(spec)), expected);
}

TEST(BuildErrors, Forward) {
  auto one = [](auto change) {
    RouteTableSpec spec = one_host(prefix_route("/"));
    change(spec.virtual_hosts[0].routes[0]);
    std::vector<std::string> errors = errors_of(std::move(spec));
    EXPECT_EQ(errors.size(), 1u);
    constexpr std::string_view kStart = "virtual_hosts[0].routes[0].";
    return errors.empty() ? "" : errors[0].substr(kStart.size());
  };
  EXPECT_EQ(one([](RouteSpec& r) { r.forward.cluster_header = "x"; }),
            "route: cluster, cluster_header and weighted_clusters exclude each other");
  EXPECT_EQ(one([](RouteSpec& r) { r.forward.timeout = -1s; }), "route.timeout: must not be negative");
  EXPECT_EQ(one([](RouteSpec& r) {
              r.forward.prefix_rewrite = "/a";
              r.forward.regex_rewrite = match::RegexRewriteSpec{"a", "b"};
            }),
            "route: prefix_rewrite and regex_rewrite exclude each other");
  EXPECT_EQ(one([](RouteSpec& r) { r.forward.prefix_rewrite = "/a b"; }),
            "route.prefix_rewrite: has a space, a # or a control character");
  EXPECT_EQ(one([](RouteSpec& r) {
              r.forward.regex_rewrite = match::RegexRewriteSpec{"(", "b"};
            }),
            "route.regex_rewrite.pattern.regex: missing ) at character 1 (\"(\")");
  EXPECT_EQ(one([](RouteSpec& r) {
              r.forward.host_rewrite = {HostRewriteSpec::Kind::kHeader, "a b", {}};
            }),
            "route.host_rewrite_header: \"a b\" is not a header name");
  EXPECT_EQ(one([](RouteSpec& r) {
              r.forward.host_rewrite = {HostRewriteSpec::Kind::kLiteral, "a/b", {}};
            }),
            "route.host_rewrite_literal: \"a/b\" must be a host, or a host and a port, as in example.com:8080");
  EXPECT_EQ(
      one([](RouteSpec& r) {
        r.forward.cluster = "";
        r.forward.weighted_clusters.resize(1);
        r.forward.weighted_clusters[0].name = "a";
        r.forward.weighted_clusters[0].weight = 1;
        r.forward.weighted_clusters[0].host_rewrite_literal = "a b";
      }),
      "route.weighted_clusters.clusters[0].host_rewrite_literal: \"a b\" must be a host, or a host and a port, as "
      "in example.com:8080");
  EXPECT_EQ(one([](RouteSpec& r) {
              r.forward.cluster = "";
              r.forward.weighted_clusters.resize(1);
              r.forward.weighted_clusters[0].name = "a";
            }),
            "route.weighted_clusters: the sum of the weights must be greater than zero");
  EXPECT_EQ(one([](RouteSpec& r) {
              r.match.path_kind = PathKind::kSegmentPrefix;
              r.match.path = "/a/";
            }),
            "match.path_separated_prefix: \"/a/\" must have two characters at least, no ? or #, and no / at its end");
  EXPECT_EQ(one([](RouteSpec& r) {
              r.action = ActionKind::kDirectResponse;
              r.direct_response = std::make_unique<DirectResponseSpec>();
              r.direct_response->status = 600;
            }),
            "direct_response.status: 600 is out of range; 200 to 599 are allowed");
  EXPECT_EQ(one([](RouteSpec& r) {
              r.action = ActionKind::kRedirect;
              r.redirect = std::make_unique<RedirectSpec>();
              r.redirect->https = true;
              r.redirect->scheme = "https";
            }),
            "redirect: https_redirect and scheme_redirect exclude each other");
  EXPECT_EQ(one([](RouteSpec& r) {
              r.action = ActionKind::kRedirect;
              r.redirect = std::make_unique<RedirectSpec>();
              r.redirect->path = "/x y";
            }),
            "redirect.path_redirect: has a space or a control character");
}

}  // namespace
}  // namespace weir::route
