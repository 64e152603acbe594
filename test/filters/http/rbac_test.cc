#include <gtest/gtest.h>

#include "core/stream/metadata.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "test/support/fake_transport_facts.h"
#include "test/support/filter_harness.h"
#include "test/support/parsed.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

namespace pb = envoy::extensions::filters::http::rbac::v3;

std::string policy(const std::string& permission, const std::string& principal = "any: true",
                   const std::string& name = "p") {
  return "policies { key: '" + name + "' value { permissions { " + permission + " } principals { " + principal +
         " } } } ";
}

struct Rbac {
  PluginScope plugins{};
  std::string config{};
  std::string route{};
  FakeTransportFacts tls{};
  bool has_tls = false;
  std::string server_name{};
  std::string remote = "10.0.0.1", direct = "192.168.0.1", local = "10.9.9.9";
  uint16_t port = 443;
  bool unix_socket = false;
  std::function<void(filter::Stream&)> prepare{};
  // Of the last request:
  std::string details{};
  std::string metadata{};  // as JSON

  bool passes(const std::string& path = "/", const Headers& more = {}) {
    ArenaPool arenas;
    stream::ConnectionInfo connection(arenas);
    FilterHarness harness({plugins.http_filter(parsed<pb::RBAC>(config), "rbac")});
    if (!route.empty()) {
      harness.set_route_config("rbac", plugins.route_config(parsed<pb::RBACPerRoute>(route == "{}" ? "" : route)));
    }
    stream::StreamInfo& info = harness.stream().info();
    info.downstream_remote = *net::Address::from_ip(remote, 1000);
    info.downstream_direct_remote = *net::Address::from_ip(direct, 1000);
    info.downstream_local = unix_socket ? *net::Address::from_unix("/s") : *net::Address::from_ip(local, port);
    info.requested_server_name = server_name;
    if (has_tls) info.tls = &tls;
    harness.set_connection(&connection);
    if (prepare) prepare(harness.stream());
    Headers request = {{":method", "GET"}, {":authority", "a.example"}, {":path", path}};
    request.insert(request.end(), more.begin(), more.end());
    harness.send_headers(request, true);
    harness.run(20ms);
    details = harness.details();
    metadata = harness.metadata();
    const bool passed = harness.request().has_headers;
    if (!passed) {
      EXPECT_EQ(harness.response().header(":status"), "403");
      EXPECT_EQ(harness.response().body, "RBAC: access denied");
    }
    return passed;
  }
  // Whether a policy to allow of these two lets a request through.
  bool allows(const std::string& permission, const std::string& principal, const std::string& path = "/",
              const Headers& more = {}) {
    config = "rules { " + policy(permission, principal) + "}";
    bool passed = passes(path, more);
    // The opposite must be the opposite, also of facts that are absent.
    config = "rules { action: DENY " + policy(permission, principal) + "}";
    EXPECT_NE(passes(path, more), passed) << permission << " / " << principal;
    return passed;
  }
  bool permits(const std::string& permission, const std::string& path = "/", const Headers& more = {}) {
    return allows(permission, "any: true", path, more);
  }
  bool knows(const std::string& principal, const std::string& path = "/", const Headers& more = {}) {
    return allows("any: true", principal, path, more);
  }
  uint64_t count(const std::string& name) { return plugins.store().counter("test.rbac." + name).value(); }
};

// field: http.rbac.v3.RBAC.rules, config.rbac.v3.RBAC.action, config.rbac.v3.RBAC.policies
// field: rbac.v3.Policy.permissions, rbac.v3.Policy.principals
TEST(Rbac, PoliciesToAllowAndToDeny) {
  Rbac rbac;
  EXPECT_TRUE(rbac.passes());  // no rules: nothing is enforced
  EXPECT_EQ(rbac.metadata, "");
  rbac.config = "rules {}";  // rules that allow nothing
  EXPECT_FALSE(rbac.passes());
  EXPECT_EQ(rbac.details, "rbac_access_denied_matched_policy[none]");
  EXPECT_EQ(rbac.metadata, R"({"envoy.filters.http.rbac":{"enforced_engine_result":"denied"}})");
  rbac.config = "rules { action: DENY }";
  EXPECT_TRUE(rbac.passes());

  const std::string two =
      policy("header { name: 'x-a' present_match: true }", "header { name: 'x-b' present_match: true }", "b") +
      policy("any: true", "header { name: 'x-c' present_match: true }", "a\\tand\\n1");
  rbac.config = "rules { " + two + "}";
  EXPECT_FALSE(rbac.passes("/", {{"x-a", "1"}}));
  EXPECT_FALSE(rbac.passes("/", {{"x-b", "1"}}));
  EXPECT_TRUE(rbac.passes("/", {{"x-a", "1"}, {"x-b", "1"}}));
  EXPECT_EQ(rbac.metadata,
            R"({"envoy.filters.http.rbac":{"enforced_effective_policy_id":"b","enforced_engine_result":"allowed"}})");
  EXPECT_TRUE(rbac.passes("/", {{"x-c", "1"}}));
  rbac.config = "rules { action: DENY " + two + "}";
  EXPECT_TRUE(rbac.passes("/", {{"x-a", "1"}}));
  EXPECT_FALSE(rbac.passes("/", {{"x-a", "1"}, {"x-b", "1"}}));
  EXPECT_EQ(rbac.details, "rbac_access_denied_matched_policy[b]");
  // The first by name, and no blank splits a field of the log.
  EXPECT_FALSE(rbac.passes("/", {{"x-a", "1"}, {"x-b", "1"}, {"x-c", "1"}}));
  EXPECT_EQ(rbac.details, "rbac_access_denied_matched_policy[a_and_1]");
  EXPECT_EQ(rbac.count("allowed"), 4u);
  EXPECT_EQ(rbac.count("denied"), 5u);
  EXPECT_TRUE(rbac.plugins.error_texts().empty());
}

// field: Permission.any, Permission.and_rules, Permission.or_rules, Permission.not_rule, Permission.Set.rules
// field: Permission.header, Permission.url_path
TEST(Rbac, PermissionsByTheRequest) {
  Rbac rbac;
  EXPECT_TRUE(rbac.permits("any: true"));
  const std::string get = "header { name: ':method' string_match { exact: 'GET' } }";
  const std::string host = "header { name: 'Host' string_match { exact: 'b.example' } }";
  EXPECT_TRUE(rbac.permits(get));
  EXPECT_FALSE(rbac.permits(host));
  EXPECT_TRUE(rbac.permits("or_rules { rules { " + host + " } rules { " + get + " } }"));
  EXPECT_FALSE(rbac.permits("and_rules { rules { " + get + " } rules { " + host + " } }"));
  EXPECT_TRUE(rbac.permits("and_rules { rules { " + get + " } rules { not_rule { " + host + " } } }"));
  // Of several fields of one name all must be allowed, and none may be denied: none can hide behind another.
  const std::string user = "header { name: 'x-user' string_match { exact: 'admin' } }";
  EXPECT_TRUE(rbac.permits(user, "/", {{"x-user", "admin"}}));
  for (const std::string& one : {user, "not_rule { " + user + " }"}) {
    for (const char* action : {"ALLOW", "DENY"}) {
      Rbac mixed;
      mixed.config = "rules { action: " + std::string(action) +
                     " policies { key: 'a' value { principals { any: true } permissions { " + one + " } } } }";
      EXPECT_FALSE(mixed.passes("/", {{"x-user", "admin"}, {"x-user", "other"}})) << action << one;
    }
  }
  EXPECT_TRUE(rbac.permits("not_rule { " + user + " }", "/", {{"x-user", "one"}, {"x-user", "other"}}));
  for (const char* kind : {"exact: 'admin'", "prefix: 'adm'", "suffix: 'min'", "safe_regex { regex: 'a.*n' }"}) {
    Rbac deny;
    deny.config =
        "rules { action: DENY policies { key: 'a' value { principals { any: true } permissions { header { name: "
        "'x-user' string_match { " +
        std::string(kind) + " } } } } } }";
    EXPECT_FALSE(deny.passes("/", {{"x-user", "admin"}, {"x-user", "other"}})) << kind;
    EXPECT_FALSE(deny.passes("/", {{"x-user", "other"}, {"x-user", "admin"}})) << kind;
    EXPECT_TRUE(deny.passes("/", {{"x-user", "one"}, {"x-user", "other"}})) << kind;
  }

  const std::string path = "url_path { path { exact: '/admin' } }";
  EXPECT_TRUE(rbac.permits(path, "/admin"));
  EXPECT_TRUE(rbac.permits(path, "/admin?x=1"));
  EXPECT_TRUE(rbac.permits(path, "/admin#x"));
  EXPECT_FALSE(rbac.permits(path, "/admin/"));
  EXPECT_FALSE(rbac.permits(path, "/?/admin"));
}

// field: Permission.uri_template
TEST(Rbac, PermissionsByPathTemplate) {
  Rbac rbac;
  const std::string path =
      "uri_template { name: 't' typed_config { "
      "[type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig] { path_template: "
      "'/users/{id}/*' } } }";
  EXPECT_TRUE(rbac.permits(path, "/users/7/x?y"));
  EXPECT_FALSE(rbac.permits(path, "/users/7"));
}

// field: Permission.destination_ip, Permission.destination_port, Permission.destination_port_range
// field: Int32Range.start, Int32Range.end
TEST(Rbac, PermissionsByDestination) {
  Rbac rbac;
  EXPECT_TRUE(rbac.permits("destination_ip { address_prefix: '10.9.0.0' prefix_len { value: 16 } }"));
  EXPECT_FALSE(rbac.permits("destination_ip { address_prefix: '10.8.0.0' prefix_len { value: 16 } }"));
  EXPECT_TRUE(rbac.permits("destination_port: 443"));
  EXPECT_FALSE(rbac.permits("destination_port: 444"));
  EXPECT_TRUE(rbac.permits("destination_port_range { start: 443 end: 444 }"));
  EXPECT_FALSE(rbac.permits("destination_port_range { start: 442 end: 443 }"));
  rbac.unix_socket = true;
  EXPECT_FALSE(rbac.permits("destination_port_range { start: 0 end: 65536 }"));
  EXPECT_FALSE(rbac.permits("destination_ip { address_prefix: '0.0.0.0' prefix_len { value: 0 } }"));
}

// field: Permission.requested_server_name, Principal.authenticated, Authenticated.principal_name
TEST(Rbac, FactsOfTlsAreAbsentWithoutIt) {
  Rbac rbac;
  const std::string sni = "requested_server_name { suffix: '.example' }";
  EXPECT_FALSE(rbac.permits(sni));
  EXPECT_TRUE(rbac.permits("not_rule { " + sni + " }"));
  rbac.server_name = "a.example";
  EXPECT_TRUE(rbac.permits(sni));

  const std::string named = "authenticated { principal_name { exact: 'spiffe://a' } }";
  EXPECT_FALSE(rbac.knows("authenticated {}"));
  EXPECT_FALSE(rbac.knows(named));
  EXPECT_TRUE(rbac.knows("not_id { " + named + " }"));
  rbac.has_tls = true;
  EXPECT_FALSE(rbac.knows("authenticated {}"));  // no certificate
  rbac.tls.shows = true;
  EXPECT_TRUE(rbac.knows("authenticated {}"));
  rbac.tls.set(net::CertificateFact::kSubject, "spiffe://a");
  EXPECT_TRUE(rbac.knows(named));
  rbac.tls.set(net::NameKind::kDns, {"b.example"});  // the subject counts no more
  EXPECT_FALSE(rbac.knows(named));
  rbac.tls.set(net::NameKind::kUri, {"spiffe://b", "spiffe://a"});
  EXPECT_TRUE(rbac.knows(named));
  rbac.tls.set(net::NameKind::kUri, {"spiffe://b/?,spiffe://a"});  // one name, which its owner may have chosen
  EXPECT_FALSE(rbac.knows(named));
}

// field: Permission.metadata, Permission.sourced_metadata, SourcedMetadata.metadata_matcher
// field: SourcedMetadata.metadata_source, Principal.metadata, Principal.sourced_metadata, Principal.filter_state
TEST(Rbac, ByMetadataAndFilterState) {
  Rbac rbac;
  ArenaPool arenas;
  Arena arena(arenas);
  stream::Metadata of_route(arena);
  of_route.set("ns", "k", stream::Value::of_string("route"));
  rbac.prepare = [&](filter::Stream& stream) {
    stream.dynamic_metadata().set("ns", "k", stream::Value::of_string("dynamic"));
    stream.info().route_metadata = &of_route.root();
    stream.filter_state().set(stream::FilterStateName("rbac.test"), stream::FilterStateValue::of_string("here"), {});
  };
  const auto is = [](const std::string& value) {
    return "filter: 'ns' path { key: 'k' } value { string_match { exact: '" + value + "' } }";
  };
  const auto sourced = [&](const std::string& value, const std::string& source) {
    return "sourced_metadata { metadata_matcher { " + is(value) + " } metadata_source: " + source + " }";
  };
  EXPECT_TRUE(rbac.permits("metadata { " + is("dynamic") + " }"));
  EXPECT_FALSE(rbac.permits("metadata { " + is("route") + " }"));
  EXPECT_TRUE(rbac.knows("metadata { " + is("dynamic") + " }"));
  EXPECT_FALSE(rbac.knows("metadata { " + is("route") + " }"));
  for (bool of_permission : {true, false}) {
    const auto holds = [&](const std::string& what) { return of_permission ? rbac.permits(what) : rbac.knows(what); };
    EXPECT_TRUE(holds(sourced("dynamic", "DYNAMIC")));
    EXPECT_FALSE(holds(sourced("route", "DYNAMIC")));
    EXPECT_TRUE(holds(sourced("route", "ROUTE")));
  }
  EXPECT_TRUE(rbac.knows("filter_state { key: 'rbac.test' string_match { exact: 'here' } }"));
  EXPECT_FALSE(rbac.knows("filter_state { key: 'rbac.test' string_match { exact: 'there' } }"));
  EXPECT_FALSE(rbac.knows("filter_state { key: 'rbac.none' string_match { exact: '' } }"));
}

// field: Principal.any, Principal.and_ids, Principal.or_ids, Principal.not_id, Principal.Set.ids, Principal.header
// field: Principal.url_path, Principal.source_ip, Principal.direct_remote_ip, Principal.remote_ip
TEST(Rbac, PrincipalsByTheRequestAndItsAddresses) {
  Rbac rbac;
  const std::string remote = "remote_ip { address_prefix: '10.0.0.1' prefix_len { value: 32 } }";
  const std::string direct = "direct_remote_ip { address_prefix: '192.168.0.0' prefix_len { value: 16 } }";
  const std::string source = "source_ip { address_prefix: '192.168.0.0' prefix_len { value: 16 } }";
  const std::string path = "url_path { path { prefix: '/a' } }";
  for (const std::string& principal : {std::string("any: true"), remote, direct, source}) {
    EXPECT_TRUE(rbac.knows(principal)) << principal;
  }
  EXPECT_TRUE(rbac.knows(path, "/a?b"));
  EXPECT_FALSE(rbac.knows(path, "/b?/a"));
  EXPECT_TRUE(rbac.knows("header { name: 'x-user' string_match { exact: 'u' } }", "/", {{"x-user", "u"}}));
  EXPECT_FALSE(rbac.knows("not_id { " + remote + " }"));
  EXPECT_TRUE(rbac.knows("and_ids { ids { " + remote + " } ids { " + direct + " } }"));
  rbac.remote = "10.0.0.2";
  EXPECT_FALSE(rbac.knows("and_ids { ids { " + remote + " } ids { " + direct + " } }"));
  EXPECT_TRUE(rbac.knows("or_ids { ids { " + remote + " } ids { " + direct + " } }"));
  static const net::Address proxied = *net::Address::from_ip("203.0.113.7", 1);  // by the PROXY protocol
  rbac.prepare = [](filter::Stream& stream) { stream.info().connection_remote = &proxied; };
  EXPECT_TRUE(rbac.knows("source_ip { address_prefix: '203.0.113.0' prefix_len { value: 24 } }"));
  EXPECT_FALSE(rbac.knows(source));
  EXPECT_TRUE(rbac.knows(direct));
  rbac.prepare = {};
  rbac.direct = "10.0.0.1";  // who stands before does not become who asks, nor the other way round
  EXPECT_FALSE(rbac.knows("or_ids { ids { " + remote + " } ids { " + direct + " } ids { " + source + " } }"));
}

TEST(Rbac, RulesToLogLetEverythingPass) {
  Rbac rbac;
  rbac.config = "rules { action: LOG " + policy("url_path { path { prefix: '/log' } }") + "}";
  EXPECT_TRUE(rbac.passes("/log"));
  EXPECT_NE(rbac.metadata.find(R"("envoy.common":{"access_log_hint":true})"), std::string::npos) << rbac.metadata;
  EXPECT_TRUE(rbac.passes("/x"));
  EXPECT_NE(rbac.metadata.find(R"("envoy.common":{"access_log_hint":false})"), std::string::npos) << rbac.metadata;
  EXPECT_EQ(rbac.count("logged"), 1u);
  EXPECT_EQ(rbac.count("not_logged"), 1u);
  EXPECT_EQ(rbac.count("allowed"), 2u);
  // Another filter wants it logged.
  rbac.prepare = [](filter::Stream& stream) {
    stream.dynamic_metadata().set("envoy.common", "access_log_hint", stream::Value::of_bool(true));
  };
  EXPECT_TRUE(rbac.passes("/x"));
  EXPECT_NE(rbac.metadata.find(R"("access_log_hint":true)"), std::string::npos) << rbac.metadata;
}

// field: http.rbac.v3.RBAC.shadow_rules, http.rbac.v3.RBAC.shadow_rules_stat_prefix
// field: http.rbac.v3.RBAC.rules_stat_prefix, http.rbac.v3.RBAC.track_per_rule_stats
TEST(Rbac, RulesThatOnlyWatch) {
  Rbac rbac;
  const std::string strict = "shadow_rules { action: DENY " + policy("any: true", "any: true", "none shall") + "}";
  rbac.config = strict;
  EXPECT_TRUE(rbac.passes());
  EXPECT_EQ(
      rbac.metadata,
      R"({"envoy.filters.http.rbac":{"shadow_effective_policy_id":"none shall","shadow_engine_result":"denied"}})");
  EXPECT_EQ(rbac.count("shadow_denied"), 1u);
  EXPECT_EQ(rbac.count("denied"), 0u);
  EXPECT_EQ(rbac.count("policy.none shall.shadow_denied"), 0u);

  rbac.config = strict +
                "shadow_rules_stat_prefix: 'dry_' rules_stat_prefix: 'wet_' track_per_rule_stats: true rules { " +
                policy("url_path { path { exact: '/' } }", "any: true", "root") + "}";
  EXPECT_TRUE(rbac.passes());
  EXPECT_FALSE(rbac.passes("/x"));
  EXPECT_EQ(
      rbac.metadata,
      R"({"envoy.filters.http.rbac":{"dry_shadow_effective_policy_id":"none shall","dry_shadow_engine_result":"denied","wet_enforced_engine_result":"denied"}})");
  EXPECT_EQ(rbac.count("dry_.shadow_denied"), 2u);
  EXPECT_EQ(rbac.count("dry_.policy.none shall.shadow_denied"), 2u);
  EXPECT_EQ(rbac.count("dry_.policy.none shall.shadow_allowed"), 0u);
  EXPECT_EQ(rbac.count("wet_.allowed"), 1u);
  EXPECT_EQ(rbac.count("wet_.denied"), 1u);
  EXPECT_EQ(rbac.count("wet_.policy.root.allowed"), 1u);
  // A hint is for rules that are enforced.
  rbac.config = "shadow_rules { action: LOG " + policy("any: true") + "}";
  EXPECT_TRUE(rbac.passes());
  EXPECT_EQ(rbac.metadata.find("access_log_hint"), std::string::npos) << rbac.metadata;
}

// A tree by header x-who: admin -> ALLOW, bad -> DENY, odd -> LOG.
std::string tree(const std::string& more = "") {
  const auto action = [](const std::string& name, const std::string& effect) {
    return "{ action { name: '" + name +
           "' typed_config { [type.googleapis.com/envoy.config.rbac.v3.Action] { name: '" + name +
           "' action: " + effect + " } } } }";
  };
  return "{ matcher_tree { input { name: 'h' typed_config { "
         "[type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput] { header_name: 'x-who' } } } "
         "exact_match_map { map { key: 'admin' value " +
         action("the admin", "ALLOW") + " } map { key: 'bad' value " + action("the bad", "DENY") +
         " } map { key: 'odd' value " + action("the odd", "LOG") + " } } } " + more + " } ";
}

// field: http.rbac.v3.RBAC.matcher, http.rbac.v3.RBAC.shadow_matcher, config.rbac.v3.Action.name
// field: config.rbac.v3.Action.action
TEST(Rbac, MatcherTrees) {
  Rbac rbac;
  rbac.config = "matcher " + tree() + "track_per_rule_stats: true";
  EXPECT_TRUE(rbac.passes("/", {{"x-who", "admin"}}));
  EXPECT_NE(rbac.metadata.find(R"("enforced_effective_policy_id":"the admin","enforced_engine_result":"allowed")"),
            std::string::npos);
  EXPECT_NE(rbac.metadata.find(R"("access_log_hint":false)"), std::string::npos) << rbac.metadata;
  EXPECT_FALSE(rbac.passes("/", {{"x-who", "bad"}}));
  EXPECT_EQ(rbac.details, "rbac_access_denied_matched_policy[the_bad]");
  EXPECT_TRUE(rbac.passes("/", {{"x-who", "odd"}}));
  EXPECT_NE(rbac.metadata.find(R"("access_log_hint":true)"), std::string::npos) << rbac.metadata;
  EXPECT_FALSE(rbac.passes("/", {{"x-who", "nobody"}}));  // what nothing matches is denied
  EXPECT_EQ(rbac.details, "rbac_access_denied_matched_policy[none]");
  EXPECT_FALSE(rbac.passes());
  EXPECT_EQ(rbac.count("policy.the admin.allowed"), 1u);
  EXPECT_EQ(rbac.count("policy.the bad.denied"), 1u);

  rbac.config = "shadow_matcher " + tree() + "rules { action: DENY }";
  EXPECT_TRUE(rbac.passes("/", {{"x-who", "bad"}}));
  EXPECT_EQ(rbac.count("shadow_denied"), 1u);
  EXPECT_TRUE(rbac.passes("/", {{"x-who", "admin"}}));
  EXPECT_EQ(rbac.count("shadow_allowed"), 1u);
}

// The answer to a question about the response is not there yet: what cannot be decided is denied.
TEST(Rbac, FactsThatHaveNotComeDeny) {
  Rbac rbac;
  rbac.config =
      "matcher { matcher_tree { input { name: 's' typed_config { "
      "[type.googleapis.com/envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput] {} } } exact_match_map { map { "
      "key: "
      "'200' value { action { name: 'a' typed_config { [type.googleapis.com/envoy.config.rbac.v3.Action] { name: 'a' } "
      "} "
      "} } } } } on_no_match { action { name: 'a' typed_config { [type.googleapis.com/envoy.config.rbac.v3.Action] { "
      "name: 'a' } } } } }";
  EXPECT_FALSE(rbac.passes());
  EXPECT_TRUE(rbac.plugins.error_texts().empty());
}

// field: RBACPerRoute.rbac
TEST(Rbac, RoutesOverride) {
  Rbac rbac;
  rbac.config = "rules {} rules_stat_prefix: 'f_'";
  EXPECT_FALSE(rbac.passes());
  rbac.route = "{}";
  EXPECT_TRUE(rbac.passes());  // disabled
  rbac.route = "rbac {}";
  EXPECT_TRUE(rbac.passes());  // nothing to enforce
  rbac.route = "rbac { rules { " + policy("any: true", "any: true", "r") + "} }";
  EXPECT_TRUE(rbac.passes());
  EXPECT_EQ(
      rbac.metadata,
      R"({"envoy.filters.http.rbac":{"f_enforced_effective_policy_id":"r","f_enforced_engine_result":"allowed"}})");
  rbac.route = "rbac { rules { action: DENY } shadow_rules {} rules_stat_prefix: 'r_' shadow_rules_stat_prefix: 's_' }";
  EXPECT_TRUE(rbac.passes());
  EXPECT_EQ(rbac.metadata,
            R"({"envoy.filters.http.rbac":{"r_enforced_engine_result":"allowed","s_shadow_engine_result":"denied"}})");
  rbac.route = "rbac { matcher " + tree() + "shadow_matcher " + tree() + "}";
  EXPECT_TRUE(rbac.passes("/", {{"x-who", "admin"}}));
  EXPECT_FALSE(rbac.passes("/", {{"x-who", "bad"}}));
  EXPECT_EQ(rbac.count("policy.the admin.allowed"), 0u);
  // Policies of a route are counted if the route says so.
  rbac.route = "rbac { matcher " + tree() + "shadow_matcher " + tree() +
               "track_per_rule_stats: true rules_stat_prefix: 'r_' shadow_rules_stat_prefix: 's_' }";
  EXPECT_TRUE(rbac.passes("/", {{"x-who", "admin"}}));
  EXPECT_FALSE(rbac.passes("/", {{"x-who", "bad"}}));
  EXPECT_EQ(rbac.count("r_.policy.the admin.allowed"), 1u);
  EXPECT_EQ(rbac.count("r_.policy.the bad.denied"), 1u);
  EXPECT_EQ(rbac.count("s_.policy.the admin.shadow_allowed"), 1u);
  EXPECT_EQ(rbac.count("s_.policy.the bad.shadow_denied"), 1u);
  // All else counts where the filter's own does.
  EXPECT_EQ(rbac.count("f_.allowed"), 4u);
  EXPECT_EQ(rbac.count("f_.denied"), 3u);
  EXPECT_EQ(rbac.count("shadow_denied"), 3u);
  EXPECT_TRUE(rbac.plugins.error_texts().empty());
}

TEST(Rbac, WhatIsRefused) {
  const auto errors = [](const std::string& config) {
    PluginScope plugins;
    plugins.http_filter(parsed<pb::RBAC>(config));
    return plugins.error_texts();
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(errors("rules { " + policy("", "") + "}"),
            Texts{"rules.policies.p.permissions[0]: must hold a condition that weir knows"});
  EXPECT_EQ(errors("rules { action: 7 }"), Texts{"rules.action: is one of ALLOW, DENY and LOG"});
  EXPECT_EQ(errors("rules { " + policy("destination_port_range { start: 5 end: 5 }", "any: true", "a b") + "}"),
            Texts{"rules.policies[\"a b\"].permissions[0].destination_port_range: [5, 5) is no range of ports; start "
                  "must be below end, which is not of the range itself"});
}

// As published; the loader warns of it.
TEST(Rbac, AMatcherBesideRulesDecidesAlone) {
  Rbac rbac;
  rbac.config = "rules { action: DENY " + policy("any: true") + "} matcher " + tree();
  EXPECT_TRUE(rbac.passes("/", {{"x-who", "admin"}}));
  EXPECT_FALSE(rbac.passes("/", {{"x-who", "bad"}}));
  rbac.config = "rules { " + policy("any: true") + "} matcher " + tree();
  EXPECT_FALSE(rbac.passes("/", {{"x-who", "bad"}}));
  rbac.config = "shadow_rules { " + policy("any: true") + "} shadow_matcher " + tree();
  EXPECT_TRUE(rbac.passes("/", {{"x-who", "bad"}}));
  EXPECT_EQ(rbac.count("shadow_denied"), 1u);
  EXPECT_EQ(rbac.count("shadow_allowed"), 0u);
}

}  // namespace
}  // namespace weir::test
