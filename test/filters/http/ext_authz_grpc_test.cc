// What a gRPC authorization service is asked, and what is made of its answer.
#include <gtest/gtest.h>

#include <functional>

#include "envoy/extensions/filters/http/ext_authz/v3/ext_authz.pb.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "filters/http/ext_authz/grpc_service.h"
#include "test/filters/http/ext_authz_world.h"
#include "test/support/fake_transport_facts.h"

namespace weir::test {
namespace {

using namespace filters::ext_authz;
namespace pb = envoy::extensions::filters::http::ext_authz::v3;
namespace auth = envoy::service::auth::v3;

const Headers kRequest = {{":method", "PUT"},   {":path", "/x?y=1#z"}, {":authority", "a.example"},
                          {":scheme", "https"}, {"x-a", "1"},          {"x-a", "2"},
                          {"cookie", "c"},      {"x-b", "3"},          {"x-envoy-auth-partial-body", "false"}};

struct Asked : AskedAbout<GrpcService> {
  FakeTransportFacts tls;

  explicit Asked(const std::string& config = {}, const Headers& request = kRequest)
      : AskedAbout("grpc_service { envoy_grpc { cluster_name: 'a' } } " + config, request) {}
  auth::AttributeContext question(const std::function<void(CheckRequest&)>& more = {}) {
    CheckRequest request{harness.stream(), settings().told};
    if (more) more(request);
    auth::CheckRequest message;
    EXPECT_TRUE(message.ParseFromString(GrpcService::write_question(request).to_string()));
    return message.attributes();
  }
  auth::AttributeContext with_body(const std::string& text, bool partial, bool bytes) {
    Slices body;
    body.append_copy(text, harness.lane().lane().blocks());
    return question([&](CheckRequest& request) {
      request.body = &body;
      request.partial = partial;
      request.body_as_bytes = bytes;
    });
  }
};

std::string headers_of(const auth::AttributeContext& question) {
  const auto& from = question.request().http().headers();
  std::map<std::string, std::string> sorted(from.begin(), from.end());
  std::string all;
  for (const auto& [name, value] : sorted) all += name + "=" + value + ";";
  return all;
}

TEST(ExtAuthzGrpc, TheRequest) {
  Asked asked;
  stream::StreamInfo& info = asked.harness.stream().info();
  info.stream_id = 77;
  info.protocol = stream::Protocol::kHttp2;
  info.start_wall = WallTime(std::chrono::seconds(1'700'000'000) + std::chrono::milliseconds(250));
  info.downstream_remote = *net::Address::from_ip("1.2.3.4", 0);  // as x-forwarded-for says
  info.downstream_direct_remote = *net::Address::from_ip("10.0.0.1", 5000);
  info.downstream_local = *net::Address::from_ip("::1", 443);
  const auth::AttributeContext question = asked.question();
  EXPECT_EQ(question.source().address().socket_address().address(), "10.0.0.1");
  EXPECT_EQ(question.source().address().socket_address().port_value(), 5000u);
  EXPECT_EQ(question.destination().address().socket_address().address(), "::1");
  EXPECT_EQ(question.destination().address().socket_address().port_value(), 443u);
  EXPECT_EQ(question.request().time().seconds(), 1'700'000'000);
  EXPECT_EQ(question.request().time().nanos(), 250'000'000);
  const auto& http = question.request().http();
  EXPECT_EQ(http.id(), "77");
  EXPECT_EQ(http.method(), "PUT");
  EXPECT_EQ(http.path(), "/x?y=1#z");
  EXPECT_EQ(http.host(), "a.example");
  EXPECT_EQ(http.scheme(), "https");
  EXPECT_EQ(http.protocol(), "HTTP/2");
  EXPECT_EQ(http.size(), -1);
  EXPECT_EQ(http.query() + http.fragment() + http.body() + http.raw_body(), "");
  EXPECT_EQ(headers_of(question),
            ":authority=a.example;:method=PUT;:path=/x?y=1#z;:scheme=https;cookie=c;x-a=1,2;x-b=3;");
  EXPECT_EQ(question.source().service() + question.source().principal() + question.source().certificate(), "");
  EXPECT_FALSE(question.has_tls_session());
}

TEST(ExtAuthzGrpc, Unix) {
  Asked asked;
  const net::Address path = *net::Address::from_unix("@name");
  asked.harness.stream().info().connection_remote = &path;
  EXPECT_EQ(asked.question().source().address().pipe().path(), "@name");
}

// field: ext_authz.v3.ExtAuthz.encode_raw_headers
TEST(ExtAuthzGrpc, WhichHeadersAreTold) {
  EXPECT_EQ(headers_of(Asked("allowed_headers { patterns { prefix: 'x-' } patterns { exact: ':path' } } "
                             "disallowed_headers { patterns { exact: 'x-b' } }")
                           .question()),
            ":path=/x?y=1#z;x-a=1,2;");
  Headers odd = kRequest;
  odd.push_back({"x-odd", "\xc3\xa4\xff\xed\xa0\x80"});
  EXPECT_NE(headers_of(Asked("", odd).question()).find("x-odd=\xc3\xa4!!!!;"), std::string::npos);
  const auth::AttributeContext raw = Asked("encode_raw_headers: true", odd).question();
  EXPECT_EQ(raw.request().http().headers_size(), 0);
  std::string all;
  for (const auto& header : raw.request().http().header_map().headers())
    all += header.key() + "=" + header.raw_value() + header.value() + ";";
  EXPECT_EQ(all,
            ":method=PUT;:path=/x?y=1#z;:authority=a.example;:scheme=https;x-a=1;x-a=2;cookie=c;x-b=3;"
            "x-odd=\xc3\xa4\xff\xed\xa0\x80;");
}

TEST(ExtAuthzGrpc, Bodies) {
  Asked asked;
  const auth::AttributeContext text = asked.with_body("abc\xff", false, false);
  EXPECT_EQ(text.request().http().body(), "abc!");
  EXPECT_EQ(text.request().http().raw_body(), "");
  EXPECT_EQ(text.request().http().size(), 4);
  EXPECT_EQ(text.request().http().headers().at("x-envoy-auth-partial-body"), "false");
  const auth::AttributeContext bytes = asked.with_body("abc\xff", true, true);
  EXPECT_EQ(bytes.request().http().body(), "");
  EXPECT_EQ(bytes.request().http().raw_body(), "abc\xff");
  EXPECT_EQ(bytes.request().http().size(), -1);
  EXPECT_EQ(bytes.request().http().headers().at("x-envoy-auth-partial-body"), "true");
  Headers sized = kRequest;
  sized.push_back({"content-length", "1000"});
  EXPECT_EQ(Asked("", sized).with_body("abc", true, true).request().http().size(), 1000);
}

// field: ext_authz.v3.ExtAuthz.include_peer_certificate, ext_authz.v3.ExtAuthz.include_tls_session
TEST(ExtAuthzGrpc, WhoTheEndsAre) {
  for (const bool told : {false, true}) {
    Asked asked(told ? "include_peer_certificate: true include_tls_session: true" : "");
    FakeTransportFacts& tls = asked.tls;
    using Fact = net::CertificateFact;
    tls.set(Fact::kPem, "-----BEGIN%20")
        .set(Fact::kSubject, "CN=peer")
        .set(Fact::kSubject, "CN=local", net::End::kLocal);
    asked.harness.stream().info().tls = &tls;
    asked.harness.stream().info().requested_server_name = "sni.example";
    EXPECT_EQ(asked.question().source().principal(), "");  // it has shown no certificate
    tls.shows = true;
    auth::AttributeContext question = asked.question();
    EXPECT_EQ(question.source().principal(), "CN=peer");
    EXPECT_EQ(question.destination().principal(), "CN=local");
    EXPECT_EQ(question.source().certificate(), told ? "-----BEGIN%20" : "");
    EXPECT_EQ(question.destination().certificate(), "");
    EXPECT_EQ(question.tls_session().sni(), told ? "sni.example" : "");
    tls.set(net::NameKind::kDns, {"dns.example"});
    EXPECT_EQ(asked.question().source().principal(), "dns.example");
    tls.set(net::NameKind::kUri, {"spiffe://a/b", "spiffe://c"});
    EXPECT_EQ(asked.question().source().principal(), "spiffe://a/b");
  }
}

// field: ext_authz.v3.ExtAuthz.metadata_context_namespaces, ext_authz.v3.ExtAuthz.typed_metadata_context_namespaces
// field: ext_authz.v3.ExtAuthz.route_metadata_context_namespaces
TEST(ExtAuthzGrpc, Metadata) {
  Asked asked(
      "metadata_context_namespaces: 'ns' metadata_context_namespaces: 'none' typed_metadata_context_namespaces: "
      "'typed' "
      "route_metadata_context_namespaces: 'route'");
  filter::Stream& stream = asked.harness.stream();
  using stream::Value;
  const Value items[] = {Value::of_string("a"), Value()};
  stream.dynamic_metadata().set("ns", "list", Value::of_list(items));
  stream.dynamic_metadata().set("ns", "number", Value::of_number(1.5));
  stream.dynamic_metadata().set("ns", "yes", Value::of_bool(true));
  stream.dynamic_metadata().set("other", "secret", Value::of_bool(true));
  stream.dynamic_metadata().set_typed("typed", "type.googleapis.com/x.Y", "bytes");
  const stream::Field fields[] = {{"key", Value::of_string("value")}};
  const stream::Field spaces[] = {{"hidden", Value::of_struct(fields)}, {"route", Value::of_struct(fields)}};
  const Value route = Value::of_struct(spaces);
  stream.info().route_metadata = &route;
  const auth::AttributeContext question = asked.question();
  const auto& told = question.metadata_context();
  ASSERT_EQ(told.filter_metadata_size(), 1);
  const auto& values = told.filter_metadata().at("ns").fields();
  EXPECT_EQ(values.at("list").list_value().values(0).string_value(), "a");
  EXPECT_TRUE(values.at("list").list_value().values(1).has_null_value());
  EXPECT_EQ(values.at("number").number_value(), 1.5);
  EXPECT_TRUE(values.at("yes").bool_value());
  ASSERT_EQ(told.typed_filter_metadata_size(), 1);
  EXPECT_EQ(told.typed_filter_metadata().at("typed").type_url(), "type.googleapis.com/x.Y");
  EXPECT_EQ(told.typed_filter_metadata().at("typed").value(), "bytes");
  ASSERT_EQ(question.route_metadata_context().filter_metadata_size(), 1);
  EXPECT_EQ(question.route_metadata_context().filter_metadata().at("route").fields().at("key").string_value(), "value");
}

// field: CheckSettings.context_extensions
TEST(ExtAuthzGrpc, WhatRoutesSay) {
  Asked asked;
  const auto of = [&](const std::string& text) {
    return asked.plugins.route_config(parsed<pb::ExtAuthzPerRoute>("check_settings { " + text + " }"));
  };
  const auto host = of("context_extensions { key: 'a' value: 'host' } context_extensions { key: 'b' value: 'host' }");
  const auto route = of("context_extensions { key: 'b' value: 'route' }");
  filter::RouteLevels levels;
  levels.at[levels.count++] = host.get();
  levels.at[levels.count++] = route.get();
  const filter::RouteConfigs<RouteSettings> routes(levels);
  const auth::AttributeContext question = asked.question([&](CheckRequest& request) { request.routes = &routes; });
  ASSERT_EQ(question.context_extensions_size(), 2);
  EXPECT_EQ(question.context_extensions().at("a"), "host");
  EXPECT_EQ(question.context_extensions().at("b"), "route");
}

// --- Answers ---------------------------------------------------------------------------------------------------------

struct Answer {
  ArenaPool pool;
  Arena arena{pool};
  CheckAnswer read;
  explicit Answer(const std::string& message) {
    std::string bytes;
    EXPECT_TRUE(parsed<auth::CheckResponse>(message).SerializeToString(&bytes));
    read = GrpcService::read_answer(bytes, arena);
  }
};

TEST(ExtAuthzGrpcAnswer, Verdicts) {
  ArenaPool pool;
  Arena arena(pool);
  EXPECT_EQ(GrpcService::read_answer("", arena).verdict, Verdict::kAllowed);
  EXPECT_EQ(GrpcService::read_answer("\xff\xff", arena).verdict, Verdict::kError);
  EXPECT_EQ(Answer("status {}").read.verdict, Verdict::kAllowed);
  for (const std::string code : {"7", "16", "14", "-1", "100"}) {
    const Answer answer("status { code: " + code + " }");
    EXPECT_EQ(answer.read.verdict, Verdict::kDenied) << code;
    EXPECT_EQ(answer.read.status, 403);
  }
}

TEST(ExtAuthzGrpcAnswer, Denied) {
  const Answer answer(
      "status { code: 16 } denied_response { status { code: Unauthorized } body: 'who?' headers { header { key: "
      "'WWW-Authenticate' value: 'Basic' } } headers { header { key: 'x-a' raw_value: '\\377' } append { value: true } "
      "} "
      "headers { header { key: 'content-length' value: '5' } } headers { header { key: 'connection' value: 'x' } } }");
  EXPECT_EQ(answer.read.verdict, Verdict::kDenied);
  EXPECT_EQ(answer.read.status, 401);
  EXPECT_EQ(answer.read.body, "who?");
  EXPECT_EQ(text(answer.read.reply), "www-authenticate=Basic;x-a=\xff;");
  EXPECT_TRUE(answer.read.request.empty());
  EXPECT_EQ(Answer("status { code: 7 } denied_response { status { code: Continue } }").read.status, 403);
  EXPECT_EQ(Answer("status { code: 7 } denied_response {}").read.status, 403);
}

TEST(ExtAuthzGrpcAnswer, Allowed) {
  const Answer answer(
      "ok_response { headers { header { key: 'X-Set' value: '1' } } "
      "headers { header { key: 'x-add' value: '2' } append { value: true } } "
      "headers { header { key: 'x-set' value: '3' } append { value: false } } "
      "headers { header { key: 'x-new' value: '4' } append_action: ADD_IF_ABSENT } "
      "headers { header { key: 'x-old' value: '5' } append_action: OVERWRITE_IF_EXISTS } "
      "headers { header { key: 'x-over' value: '6' } append_action: OVERWRITE_IF_EXISTS_OR_ADD } "
      "headers { header { key: ':path' value: '/other' } } headers { header { key: 'Host' value: 'b.example' } } "
      "headers { header { key: 'transfer-encoding' value: 'chunked' } } "
      "headers_to_remove: 'X-Gone' headers_to_remove: ':method' headers_to_remove: 'host' headers_to_remove: '' "
      "response_headers_to_add { header { key: 'set-cookie' value: 'a' } append { value: true } } "
      "response_headers_to_add { header { key: 'x-seen' value: 'yes' } } "
      "response_headers_to_add { header { key: 'x-more' value: '7' } append_action: APPEND_IF_EXISTS_OR_ADD } "
      "response_headers_to_add { header { key: 'x-one' value: '8' } append { value: false } } "
      "response_headers_to_add { header { key: 'x-over' value: '9' } append_action: OVERWRITE_IF_EXISTS_OR_ADD } "
      "query_parameters_to_set { key: 'q' value: 'v' } query_parameters_to_remove: 'r' }");
  EXPECT_EQ(answer.read.verdict, Verdict::kAllowed);
  EXPECT_EQ(text(answer.read.request.set), "x-set=1;x-set=3;x-over=6;:path=/other;:authority=b.example;");
  EXPECT_EQ(text(answer.read.request.add), "x-add=2;");
  EXPECT_EQ(text(answer.read.request.if_absent), "x-new=4;");
  EXPECT_EQ(text(answer.read.request.if_present), "x-old=5;");
  EXPECT_EQ(text(answer.read.request.remove), "x-gone=;");
  EXPECT_EQ(text(answer.read.response.add), "set-cookie=a;x-seen=yes;x-more=7;");
  EXPECT_EQ(text(answer.read.response.set), "x-one=8;x-over=9;");
  EXPECT_EQ(text(answer.read.query_set), "q=v;");
  EXPECT_EQ(text(answer.read.query_remove), "r=;");
}

// A service that is wrong, or that somebody leads on, does not split messages.
TEST(ExtAuthzGrpcAnswer, WhatCannotBeAHeaderIsAnError) {
  const auto verdict = [](const std::string& header, const std::string& list) {
    return Answer(list + " { headers { header { " + header + " } } }").read.verdict;
  };
  for (const std::string bad :
       {"key: 'x' value: 'a\\r\\nb: c'", "key: 'x' value: 'a\\nb'", "key: 'x' raw_value: '\\000'",
        "key: 'a b' value: '1'", "key: '' value: '1'", "key: 'x:' value: '1'", "key: ':method' value: 'GET'",
        "key: ':status' value: '200'", "key: ':path' value: 'other'", "key: ':path' value: '/a b'",
        "key: ':path' value: ''", "key: 'host' value: 'a@b'", "key: ':authority' value: 'a b'"}) {
    EXPECT_EQ(verdict(bad, "ok_response"), Verdict::kError) << bad;
    EXPECT_EQ(verdict(bad, "status { code: 7 } denied_response"), Verdict::kError) << bad;
  }
  EXPECT_EQ(Answer("ok_response { response_headers_to_add { header { key: ':path' value: '/x' } } }").read.verdict,
            Verdict::kError);
}

TEST(ExtAuthzGrpcAnswer, AnErrorMaySayWhatToAnswer) {
  const Answer answer(
      "error_response { status { code: ServiceUnavailable } body: 'later' "
      "headers { header { key: 'retry-after' value: '5' } } }");
  EXPECT_EQ(answer.read.verdict, Verdict::kError);
  EXPECT_TRUE(answer.read.says_reply);
  EXPECT_EQ(answer.read.status, 503);
  EXPECT_EQ(answer.read.body, "later");
  EXPECT_EQ(text(answer.read.reply), "retry-after=5;");
  EXPECT_FALSE(Answer("error_response {}").read.says_reply);
}

TEST(ExtAuthzGrpcAnswer, Metadata) {
  const std::string more =
      "dynamic_metadata { fields { key: 'user' value { string_value: 'ann' } } fields { key: 'roles' value { "
      "list_value "
      "{ values { number_value: 1 } values { bool_value: true } values { null_value: NULL_VALUE } values { "
      "struct_value "
      "{ fields { key: 'a' value { string_value: 'b' } } } } } } } }";
  for (const std::string& message : {more, "ok_response { " + more + " }", "status { code: 7 } " + more}) {
    const Answer answer(message);
    ASSERT_NE(answer.read.metadata_struct, nullptr);
    std::string json;
    stream::append_json(*answer.read.metadata_struct, json);
    EXPECT_EQ(json, R"({"roles":[1,true,null,{"a":"b"}],"user":"ann"})");
  }
  EXPECT_EQ(Answer("ok_response {}").read.metadata_struct, nullptr);
}

// Without clusters nobody can be asked.
TEST(ExtAuthzGrpc, NoClusterIsAnError) {
  PluginScope plugins;
  FilterHarness harness({plugins.http_filter(
      parsed<pb::ExtAuthz>("grpc_service { envoy_grpc { cluster_name: 'a' } } status_on_error { code: BadGateway }"))});
  harness.send_headers(kRequest, true);
  harness.run(20ms);
  EXPECT_EQ(harness.response().header(":status"), "502");
  EXPECT_EQ(harness.details(), "ext_authz_error");
}

}  // namespace
}  // namespace weir::test
