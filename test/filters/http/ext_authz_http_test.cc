// What an HTTP authorization service is asked, and what is made of its answer.
#include <gtest/gtest.h>

#include <map>

#include "filters/http/ext_authz/http_service.h"
#include "test/filters/http/ext_authz_world.h"

namespace weir::test {
namespace {

using namespace filters::ext_authz;
namespace pb = envoy::extensions::filters::http::ext_authz::v3;

std::string http_service(const std::string& more = {}) {
  return "http_service { server_uri { uri: 'http://auth' cluster: 'a' timeout { seconds: 1 } } " + more + "} ";
}

const Headers kGet = {{":method", "GET"}, {":path", "/x"}, {":authority", "a"}};

struct Http : AskedAbout<HttpService> {
  explicit Http(const std::string& config, const Headers& request = kGet) : AskedAbout(config, request) {}
  std::string question(const std::string* body = nullptr, bool partial = false) {
    Arena& arena = harness.stream().arena();
    http::HeaderMap& head = *arena.make<http::HeaderMap>(arena);
    Slices slices;
    if (body != nullptr) slices.append_copy(*body, harness.lane().lane().blocks());
    service().write_head({harness.stream(), settings().told, body != nullptr ? &slices : nullptr, partial}, head);
    return head.to_string();
  }
  CheckAnswer answer(const Headers& headers, const std::string& body = {}) {
    Arena& arena = harness.stream().arena();
    http::HeaderMap& map = *arena.make<http::HeaderMap>(arena);
    for (const auto& [name, value] : headers) map.add_copy(name, value);
    Slices slices;
    slices.append_copy(body, harness.lane().lane().blocks());
    return service().read_response(map, slices, arena);
  }
};

const Headers kRich = {{":method", "PUT"},
                       {":path", "/x?y=1"},
                       {":authority", "a.example"},
                       {":scheme", "https"},
                       {"authorization", "Basic"},
                       {"cookie", "c=1"},
                       {"x-a", "1"},
                       {"x-ab", "2"},
                       {"content-length", "9"},
                       {"te", "trailers"},
                       {"x-envoy-auth-partial-body", "false"}};

TEST(ExtAuthzHttp, FewHeadersAreToldUnlessMoreAreAllowed) {
  EXPECT_EQ(Http(http_service(), kRich).question(),
            ":method: PUT\n:path: /x?y=1\n:authority: a.example\nauthorization: Basic\ncontent-length: 0\n");
}

// field: HttpService.path_prefix, AuthorizationRequest.allowed_headers, AuthorizationRequest.headers_to_add
// field: HttpService.authorization_request, matcher.v3.ListStringMatcher.patterns
TEST(ExtAuthzHttp, MoreHeadersAreTold) {
  Http http(http_service("path_prefix: '/auth' authorization_request { allowed_headers { patterns { prefix: 'x-' } "
                         "patterns { exact: 'te' } } headers_to_add { key: 'x-a' value: 'mine' } "
                         "headers_to_add { key: 'x-method' value: '%REQ(:METHOD)%' } } "),
            kRich);
  const std::string body = "abc";
  EXPECT_EQ(http.question(&body, true),
            ":method: PUT\n:path: /auth/x?y=1\n:authority: a.example\nauthorization: Basic\nx-a: mine\nx-ab: 2\n"
            "content-length: 3\nx-envoy-auth-partial-body: true\nx-method: PUT\n");
}

// field: ext_authz.v3.ExtAuthz.allowed_headers, ext_authz.v3.ExtAuthz.disallowed_headers
TEST(ExtAuthzHttp, AllowedAndDisallowed) {
  Http http(http_service() +
                "allowed_headers { patterns { prefix: 'x-a' } } "
                "disallowed_headers { patterns { exact: 'x-ab' } patterns { prefix: 'auth' } }",
            kRich);
  EXPECT_EQ(http.question(), ":method: PUT\n:path: /x?y=1\n:authority: a.example\nx-a: 1\ncontent-length: 0\n");
}

const Headers kAnswer = {
    {"x-user", "ann"},   {"x-role", "r1"},          {"x-role", "r2"},
    {"set-cookie", "s"}, {"content-length", "0"},   {"connection", "close"},
    {"location", "/l"},  {"www-authenticate", "w"}, {"x-envoy-auth-headers-to-remove", "X-Old, host,:path"}};

Headers with_status(const std::string& status) {
  Headers headers = {{":status", status}};
  headers.insert(headers.end(), kAnswer.begin(), kAnswer.end());
  return headers;
}

// field: AuthorizationResponse.allowed_upstream_headers, AuthorizationResponse.allowed_upstream_headers_to_append
// field: AuthorizationResponse.allowed_client_headers_on_success, AuthorizationResponse.dynamic_metadata_from_headers
// field: HttpService.authorization_response
TEST(ExtAuthzHttp, WhatAnAllowedRequestTakesFromTheAnswer) {
  Http http(
      http_service("authorization_response { allowed_upstream_headers { patterns { exact: 'x-user' } } "
                   "allowed_upstream_headers_to_append { patterns { prefix: 'x-r' } } "
                   "allowed_client_headers_on_success { patterns { exact: 'Set-Cookie' ignore_case: true } } "
                   "dynamic_metadata_from_headers { patterns { exact: 'x-user' } } }"));
  const CheckAnswer answer = http.answer(with_status("200"));
  EXPECT_EQ(answer.verdict, Verdict::kAllowed);
  EXPECT_EQ(text(answer.request.set), "x-user=ann;");
  EXPECT_EQ(text(answer.request.add), "x-role=r1;x-role=r2;");
  EXPECT_EQ(text(answer.request.remove), "x-old=;");
  EXPECT_EQ(text(answer.response.add), "set-cookie=s;");
  EXPECT_EQ(text(answer.metadata), "x-user=ann;");
  EXPECT_EQ(text(answer.reply), "");
}

TEST(ExtAuthzHttp, WhatFramesTheAnswerIsNeverTaken) {
  Http http(
      http_service("authorization_response { allowed_upstream_headers { patterns { safe_regex { regex: '.*' } } } }"));
  EXPECT_EQ(text(http.answer(with_status("200")).request.set),
            "x-user=ann;x-role=r1;x-role=r2;set-cookie=s;location=/l;www-authenticate=w;");
}

// field: AuthorizationResponse.allowed_client_headers
TEST(ExtAuthzHttp, WhatTheClientSeesOfADenial) {
  Http all(http_service());
  const CheckAnswer answer = all.answer(with_status("302"), "body");
  EXPECT_EQ(answer.verdict, Verdict::kDenied);
  EXPECT_EQ(answer.status, 302);
  EXPECT_EQ(answer.body, "body");
  EXPECT_EQ(text(answer.reply), "x-user=ann;x-role=r1;x-role=r2;set-cookie=s;location=/l;www-authenticate=w;");
  EXPECT_TRUE(answer.request.empty());
  Http some(http_service("authorization_response { allowed_client_headers { patterns { exact: 'x-user' } } }"));
  EXPECT_EQ(text(some.answer(with_status("401")).reply), "x-user=ann;location=/l;www-authenticate=w;");
}

TEST(ExtAuthzHttp, StatusesAreVerdicts) {
  Http http(http_service());
  for (const auto& [status, verdict] : std::map<std::string, Verdict>{{"200", Verdict::kAllowed},
                                                                      {"201", Verdict::kDenied},
                                                                      {"404", Verdict::kDenied},
                                                                      {"499", Verdict::kDenied},
                                                                      {"500", Verdict::kError},
                                                                      {"503", Verdict::kError}}) {
    EXPECT_EQ(http.answer({{":status", status}}).verdict, verdict) << status;
  }
}

// Without a cluster nobody can be asked.
TEST(ExtAuthzHttp, NoClusterIsAnError) {
  PluginScope plugins;
  FilterHarness harness({plugins.http_filter(parsed<pb::ExtAuthz>(http_service()))});
  harness.send_headers(kGet, true);
  harness.run(20ms);
  EXPECT_EQ(harness.response().header(":status"), "403");
  EXPECT_EQ(harness.details(), "ext_authz_error");
}

}  // namespace
}  // namespace weir::test
