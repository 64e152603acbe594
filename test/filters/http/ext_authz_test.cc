#include "filters/http/ext_authz/ext_authz.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "core/filter/register.h"
#include "envoy/extensions/filters/http/ext_authz/v3/ext_authz.pb.h"
#include "filters/http/ext_authz/http_service.h"
#include "test/support/filter_harness.h"
#include "test/support/parsed.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

using namespace filters::ext_authz;
namespace pb = envoy::extensions::filters::http::ext_authz::v3;
using Lines = std::vector<std::string>;

const std::string kUri = "server_uri { uri: 'http://auth' cluster: 'a' timeout { seconds: 1 } } ";
std::string http_service(const std::string& more = {}) { return "http_service { " + kUri + more + "} "; }
std::string grpc_service() { return "grpc_service { envoy_grpc { cluster_name: 'a' } } "; }

// --- The filter, with a service that the test is ---------------------------------------------------------------------

class FakeService final : public AuthzService {
 public:
  AuthzClient* make_client(Arena& arena) const override {
    ++made;
    return arena.make<Client>(*this);
  }
  mutable int made = 0;
  mutable Lines asked;                            // "BODY", with "..." behind one that goes on, or "-"
  mutable AuthzClient::Caller* caller = nullptr;  // while it is asked
  bool refuses = false;

 private:
  class Client final : public AuthzClient {
   public:
    explicit Client(const FakeService& service) : service_(service) {}
    ~Client() override { service_.caller = nullptr; }
    bool check(const CheckRequest& request, Caller& caller) override {
      service_.asked.push_back(request.body == nullptr ? "-"
                                                       : request.body->to_string() + (request.partial ? "..." : ""));
      if (service_.refuses) return false;
      service_.caller = &caller;
      return true;
    }

   private:
    const FakeService& service_;
  };
};

class TestFilter final : public Filter {
 public:
  explicit TestFilter(const Settings& settings) : Filter(settings) {}
};

struct World {
  stats::Store store;
  std::shared_ptr<FakeService> service = std::make_shared<FakeService>();
  std::shared_ptr<Settings> settings = std::make_shared<Settings>();
  filter::HttpFilterDescriptor descriptor = filter::describe_class<Settings, TestFilter>();

  World() {
    descriptor.name = "authz";
    settings->service = service;
    settings->stats = {store.counter("ok"),
                       store.counter("denied"),
                       store.counter("error"),
                       store.counter("disabled"),
                       store.counter("failure_mode_allowed"),
                       store.counter("ignored_dynamic_metadata")};
  }
  std::vector<filter::HttpFilterEntry> chain() {
    filter::HttpFilterEntry entry;
    entry.descriptor = &descriptor;
    entry.config = settings;
    entry.name = "authz";
    entry.id = filter::Registry::intern_filter_name(entry.name);
    return {entry};
  }
  void answer(FilterHarness& harness, Verdict verdict, const std::function<void(CheckAnswer&, Arena&)>& more = {}) {
    ASSERT_NE(service->caller, nullptr);
    CheckAnswer answer;
    answer.verdict = verdict;
    if (more) more(answer, harness.stream().arena());
    service->caller->on_checked(answer);
    harness.run(20ms);
  }
};

const Headers kGet = {{":method", "GET"}, {":path", "/x"}, {":authority", "a"}, {"x-old", "1"}};
const Headers kPost = {{":method", "POST"}, {":path", "/x"}, {":authority", "a"}};

TEST(ExtAuthz, AnAllowedRequestGoesOnWithWhatTheServiceSays) {
  World world;
  FilterHarness harness(world.chain());
  harness.send_headers(kGet, true);
  harness.run(20ms);
  EXPECT_EQ(world.service->asked, Lines{"-"});
  EXPECT_FALSE(harness.request().has_headers);
  world.answer(harness, Verdict::kAllowed, [](CheckAnswer& answer, Arena& arena) {
    answer.request.set.add(arena, "x-old", http::HeaderId::kNone, "2");
    answer.request.set.add(arena, "x-user", http::HeaderId::kNone, "ann");
    answer.request.set.add(arena, "x-user", http::HeaderId::kNone, "admin");
    answer.request.add.add(arena, "x-old", http::HeaderId::kNone, "3");
    answer.request.remove.add(arena, "x-none", http::HeaderId::kNone, {});
    answer.response.add.add(arena, "x-checked", http::HeaderId::kNone, "yes");
    answer.metadata.add(arena, "user", http::HeaderId::kNone, "ann");
  });
  ASSERT_TRUE(harness.request().has_headers);
  Headers headers = harness.request().headers;
  headers.erase(headers.begin(), headers.begin() + 3);
  EXPECT_EQ(headers, (Headers{{"x-old", "2"}, {"x-user", "ann"}, {"x-user", "admin"}, {"x-old", "3"}}));
  EXPECT_NE(harness.metadata().find(R"("user":"ann")"), std::string::npos) << harness.metadata();
  EXPECT_NE(harness.metadata().find(R"("ext_authz_duration":)"), std::string::npos) << harness.metadata();
  harness.respond_headers({{":status", "200"}}, true);
  harness.run();
  EXPECT_EQ(harness.response().header("x-checked"), "yes");
  EXPECT_EQ(world.settings->stats.ok.value(), 1u);
}

TEST(ExtAuthz, WhatBecomesOfHeadersAndQueries) {
  World world;
  world.settings->clear_route_cache = true;
  FilterHarness harness(world.chain());
  harness.send_headers({{":method", "GET"}, {":path", "/x?a=1&b=2&a=3#f"}, {":authority", "a"}, {"x-old", "1"}}, true);
  harness.run(20ms);
  world.answer(harness, Verdict::kAllowed, [](CheckAnswer& answer, Arena& arena) {
    const auto add = [&](Fields& fields, std::string_view name, std::string_view value) {
      fields.add(arena, name, http::HeaderId::kNone, value);
    };
    add(answer.request.if_present, "x-old", "2");
    add(answer.request.if_present, "x-none", "3");
    add(answer.request.if_absent, "x-old", "4");
    add(answer.request.if_absent, "x-new", "5");
    add(answer.query_set, "a", "x y");
    add(answer.query_set, "c", "");
    add(answer.query_remove, "b", "");
    add(answer.response.if_present, "x-up", "6");
    add(answer.response.if_absent, "x-up", "7");
    add(answer.response.if_absent, "x-down", "8");
    add(answer.response.set, "x-set", "9");
    add(answer.response.remove, "x-secret", "");
  });
  Headers headers = harness.request().headers;
  EXPECT_EQ(harness.request().header(":path"), "/x?a=x%20y&c=#f");
  headers.erase(headers.begin(), headers.begin() + 3);
  EXPECT_EQ(headers, (Headers{{"x-old", "2"}, {"x-new", "5"}}));
  harness.respond_headers({{":status", "200"}, {"x-up", "1"}, {"x-set", "1"}, {"x-secret", "1"}}, true);
  harness.run();
  EXPECT_EQ(harness.response().header("x-up"), "6");
  EXPECT_EQ(harness.response().header("x-down"), "8");
  EXPECT_EQ(harness.response().header("x-set"), "9");
  EXPECT_EQ(harness.response().header("x-secret"), "(none)");
}

TEST(ExtAuthz, AnErrorMaySayWhatToAnswer) {
  World world;
  FilterHarness harness(world.chain());
  harness.send_headers(kGet, true);
  harness.run(20ms);
  world.answer(harness, Verdict::kError, [](CheckAnswer& answer, Arena& arena) {
    answer.says_reply = true;
    answer.status = 503;
    answer.body = "later";
    answer.reply.add(arena, "retry-after", http::HeaderId::kRetryAfter, "5");
  });
  harness.run();
  EXPECT_EQ(harness.response().header(":status"), "503");
  EXPECT_EQ(harness.response().header("retry-after"), "5");
  EXPECT_EQ(harness.response().body, "later");
  EXPECT_EQ(harness.details(), "ext_authz_error");
  EXPECT_EQ(world.settings->stats.error.value(), 1u);
}

TEST(ExtAuthz, ADenialIsTheClientsAnswer) {
  World world;
  FilterHarness harness(world.chain());
  harness.send_headers(kGet, true);
  harness.run(20ms);
  world.answer(harness, Verdict::kDenied, [](CheckAnswer& answer, Arena& arena) {
    answer.status = 401;
    answer.body = "who are you";
    answer.reply.add(arena, "www-authenticate", http::HeaderId::kWwwAuthenticate, "Basic");
    answer.reply.add(arena, "content-type", http::HeaderId::kContentType, "text/x");
  });
  harness.run();
  EXPECT_FALSE(harness.request().has_headers);
  EXPECT_EQ(harness.response().header(":status"), "401");
  EXPECT_EQ(harness.response().header("www-authenticate"), "Basic");
  EXPECT_EQ(harness.response().header("content-type"), "text/x");
  EXPECT_EQ(harness.response().body, "who are you");
  EXPECT_EQ(harness.details(), "ext_authz_denied");
  EXPECT_TRUE(harness.flags().has(stream::ResponseFlag::kUnauthorizedExternalService));
  EXPECT_EQ(world.settings->stats.denied.value(), 1u);
}

TEST(ExtAuthz, AnErrorIsADenialUnlessItIsToBeNone) {
  for (const bool at_once : {false, true}) {
    for (const bool allow : {false, true}) {
      World world;
      world.service->refuses = at_once;
      world.settings->failure_mode_allow = allow;
      world.settings->failure_mode_allow_header = allow;
      world.settings->status_on_error = 503;
      FilterHarness harness(world.chain());
      harness.send_headers(kGet, true);
      harness.run(20ms);
      if (!at_once) world.answer(harness, Verdict::kError);
      harness.run(20ms);
      EXPECT_EQ(harness.request().has_headers, allow);
      EXPECT_EQ(world.settings->stats.error.value(), 1u);
      EXPECT_EQ(world.settings->stats.failure_mode_allowed.value(), allow ? 1u : 0u);
      EXPECT_EQ(harness.flags().has(stream::ResponseFlag::kUnauthorizedExternalService), !allow);
      if (allow) {
        EXPECT_EQ(harness.request().header("x-envoy-auth-failure-mode-allowed"), "true");
      } else {
        EXPECT_EQ(harness.response().header(":status"), "503");
        EXPECT_EQ(harness.details(), "ext_authz_error");
      }
    }
  }
}

TEST(ExtAuthz, AClientThatLeavesTakesItsQuestionAlong) {
  World world;
  FilterHarness harness(world.chain());
  harness.send_headers(kGet, true);
  harness.run(20ms);
  EXPECT_NE(world.service->caller, nullptr);
  harness.disconnect();
  EXPECT_EQ(world.service->caller, nullptr);
  EXPECT_EQ(world.settings->stats.error.value(), 0u);
}

TEST(ExtAuthz, AWholeBodyIsTold) {
  World world;
  world.settings->body = BodySettings{6, false};
  FilterHarness harness(world.chain());
  harness.send_headers(kPost);
  harness.send_data("abc");
  harness.run(20ms);
  EXPECT_EQ(world.service->asked, Lines{});
  harness.send_data("def", true);
  harness.run(20ms);
  EXPECT_EQ(world.service->asked, Lines{"abcdef"});
  EXPECT_FALSE(harness.request().has_headers);
  world.answer(harness, Verdict::kAllowed);
  EXPECT_EQ(harness.request().body, "abcdef");
  EXPECT_TRUE(harness.request().ended);
}

TEST(ExtAuthz, ABodyThatIsTooLongIsNotAskedAbout) {
  World world;
  world.settings->body = BodySettings{6, false};
  FilterHarness harness(world.chain());
  harness.send_headers(kPost);
  harness.send_data("abcdefg");
  harness.run(20ms);
  EXPECT_EQ(world.service->made, 0);
  EXPECT_EQ(harness.response().header(":status"), "413");
}

TEST(ExtAuthz, TheStartOfABodyMayDo) {
  World world;
  world.settings->body = BodySettings{4, true};
  FilterHarness harness(world.chain());
  harness.send_headers(kPost);
  harness.send_data("abc");
  harness.run(20ms);
  EXPECT_EQ(world.service->asked, Lines{});
  harness.send_data("def");
  harness.run(20ms);
  EXPECT_EQ(world.service->asked, Lines{"abcd..."});
  harness.send_data("ghi");
  harness.run(20ms);
  EXPECT_FALSE(harness.request().has_headers);
  world.answer(harness, Verdict::kAllowed);
  EXPECT_EQ(harness.request().body, "abcdefghi");
  harness.send_data("j", true);
  harness.run(20ms);
  EXPECT_EQ(harness.request().body, "abcdefghij");
  EXPECT_TRUE(harness.request().ended);
  EXPECT_EQ(world.service->made, 1);
}

TEST(ExtAuthz, AShortBodyIsWhole) {
  for (const std::string body : {"abc", "abcd"}) {
    World world;
    world.settings->body = BodySettings{4, true};
    FilterHarness harness(world.chain());
    harness.send_headers(kPost);
    harness.send_data(body, true);
    harness.run(20ms);
    EXPECT_EQ(world.service->asked, Lines{body});
    world.answer(harness, Verdict::kAllowed);
    EXPECT_EQ(harness.request().body, body);
    EXPECT_TRUE(harness.request().ended);
  }
}

TEST(ExtAuthz, ATunnelHasNoBodyToWaitFor) {
  World world;
  world.settings->body = BodySettings{4, false};
  FilterHarness harness(world.chain());
  Headers headers = kGet;
  headers.push_back({"upgrade", "websocket"});
  harness.send_headers(headers);
  harness.run(20ms);
  EXPECT_EQ(world.service->asked, Lines{"-"});
}

TEST(ExtAuthz, RoutesHaveTheirOwnWill) {
  for (const auto& [route, asked] : std::vector<std::pair<RouteSettings, Lines>>{
           {{.disabled = true}, {}}, {{.without_body = true}, {"-"}}, {{.body = BodySettings{2, true}}, {"ab..."}}}) {
    World world;
    world.settings->body = BodySettings{100, false};
    FilterHarness harness(world.chain());
    harness.set_route_config("authz", std::make_shared<RouteSettings>(route));
    harness.send_headers(kPost);
    harness.send_data("abcd", true);
    harness.run(20ms);
    EXPECT_EQ(world.service->asked, asked);
    EXPECT_EQ(harness.request().has_headers, route.disabled);
  }
}

TEST(ExtAuthz, WhatIsDisabledPassesOrNot) {
  for (const bool deny : {false, true}) {
    World world;
    world.settings->enabled = {{0, 100}};
    world.settings->deny_at_disable = {deny};
    FilterHarness harness(world.chain());
    harness.send_headers(kGet, true);
    harness.run(20ms);
    EXPECT_EQ(world.service->made, 0);
    EXPECT_EQ(harness.request().has_headers, !deny);
    EXPECT_EQ(world.settings->stats.disabled.value(), 1u);
    EXPECT_EQ(harness.response().header(":status"), deny ? "403" : "(none)");
  }
}

// Whatever the filters around it do, and whenever the answer comes.
TEST(ExtAuthz, UnderChaos) {
  World world;
  world.settings->body = BodySettings{4, true};
  run_under_chaos(world.chain(), [&](FilterHarness& harness) {
    harness.send_headers(kPost);
    harness.send_data("abc");
    harness.send_data("def");
    harness.send_trailers({{"x-end", "1"}});
    harness.run(60ms);
    EXPECT_EQ(world.service->asked.back().substr(0, 4), "abcd");
    world.answer(harness, Verdict::kAllowed);
    harness.run(60ms);
    EXPECT_EQ(harness.request().body, "abcdef");
    EXPECT_EQ(harness.request().trailer("x-end"), "1");
    harness.respond_headers({{":status", "200"}}, true);
    harness.run();
    EXPECT_EQ(harness.response().header(":status"), "200");
  });
}

// --- Configuration ---------------------------------------------------------------------------------------------------

Lines faults(const std::string& config) {
  PluginScope plugins;
  plugins.http_filter(parsed<pb::ExtAuthz>(config));
  return plugins.error_texts();
}

// field: ext_authz.v3.ExtAuthz.transport_api_version
TEST(ExtAuthzConfig, Faults) {
  EXPECT_EQ(faults(""), Lines{"http_service: or grpc_service must be set: who is to be asked"});
  EXPECT_EQ(faults("http_service {}"),
            Lines{"http_service.server_uri: must be set: the cluster of the service, and how long it may take"});
  EXPECT_EQ(faults(http_service("path_prefix: 'auth'")),
            Lines{"http_service.path_prefix: 'auth' must begin with a slash; it is put before the request's path"});
  EXPECT_EQ(faults(http_service("authorization_request { allowed_headers { patterns { exact: 'a' } } }") +
                   "allowed_headers { patterns { exact: 'a' } }"),
            Lines{"allowed_headers: and http_service.authorization_request.allowed_headers are both set; remove the "
                  "latter, the older one"});
  EXPECT_EQ(faults(http_service() + "status_on_error { code: Continue }"),
            Lines{"status_on_error.code: 100 ends no request; 200 or more"});
  for (const std::string fine : {"AUTO", "V3"}) {
    EXPECT_EQ(faults(http_service() + "transport_api_version: " + fine), Lines{});
  }
  EXPECT_EQ(faults(http_service() + "transport_api_version: V2").size(), 1u);
  EXPECT_EQ(faults(grpc_service()), Lines{});
  const Lines google = faults("grpc_service { google_grpc { target_uri: 'x:1' stat_prefix: 'x' } }");
  ASSERT_EQ(google.size(), 1u);
  EXPECT_TRUE(google[0].starts_with("grpc_service.google_grpc: ") &&
              google[0].find("use envoy_grpc") != std::string::npos)
      << google[0];
  const Lines twice = faults("grpc_service { envoy_grpc { cluster_name: 'a' retry_policy {} } }");
  ASSERT_EQ(twice.size(), 1u);
  EXPECT_TRUE(twice[0].starts_with("grpc_service.envoy_grpc.retry_policy: ")) << twice[0];
  const Lines header =
      faults(http_service("authorization_request { headers_to_add { key: 'content-length' value: '1' } "
                          "headers_to_add { key: 'x' value: '%NO' } }"));
  ASSERT_EQ(header.size(), 2u);
  EXPECT_TRUE(header[0].starts_with("http_service.authorization_request.headers_to_add[0].key: ")) << header[0];
  EXPECT_TRUE(header[1].starts_with("http_service.authorization_request.headers_to_add[1].value: ")) << header[1];
}

// An HTTP service does not hear of everything.
TEST(ExtAuthzConfig, WhatNobodyWouldHear) {
  const std::string more =
      "metadata_context_namespaces: 'a' typed_metadata_context_namespaces: 'a' route_metadata_context_namespaces: 'a' "
      "include_peer_certificate: true include_tls_session: true encode_raw_headers: true "
      "with_request_body { max_request_bytes: 1 pack_as_bytes: true }";
  PluginScope http, grpc;
  http.http_filter(parsed<pb::ExtAuthz>(http_service() + more));
  EXPECT_EQ(http.error_texts(), Lines{});
  EXPECT_EQ(http.warning_texts().size(), 7u);
  grpc.http_filter(parsed<pb::ExtAuthz>(grpc_service() + more));
  EXPECT_EQ(grpc.error_texts(), Lines{});
  EXPECT_EQ(grpc.warning_texts(), Lines{});
}

TEST(ExtAuthzConfig, RouteFaults) {
  PluginScope plugins;
  plugins.route_config(parsed<pb::ExtAuthzPerRoute>(
      "check_settings { disable_request_body_buffering: true with_request_body { max_request_bytes: 1 } }"));
  EXPECT_EQ(plugins.error_texts(),
            Lines{"check_settings.disable_request_body_buffering: and with_request_body are both "
                  "set; the service is either told of bodies or not"});
}

}  // namespace
}  // namespace weir::test
