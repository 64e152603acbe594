#include "core/config/matcher_config.h"

#include <google/protobuf/any.pb.h>

#include "core/config/proto_loader.h"
#include "envoy/config/common/matcher/v3/matcher.pb.h"
#include "test/core/config/translate/translate_test.h"
#include "test/support/fake_transport_facts.h"
#include "xds/type/matcher/v3/matcher.pb.h"

namespace weir::config {
namespace {

// Actions are StringValues: their text is kept.
class TextActions final : public filter::MatcherActions {
 public:
  explicit TextActions(filter::ConfigReport& report) : report_(report) {}
  std::optional<uint32_t> add(const google::protobuf::Any& action, std::string_view name,
                              const std::string& path) override {
    if (action.type_url().empty()) {
      report_.error(path, "bad action");
      return std::nullopt;
    }
    texts.emplace_back(name);
    return static_cast<uint32_t>(texts.size() - 1);
  }
  std::vector<std::string> texts;

 private:
  filter::ConfigReport& report_;
};

class MatcherConfigTest : public TranslateTest {
 protected:
  MatcherConfigTest() {
    facts_.info = &info_;
    facts_.request_headers = &request_;
  }
  // "NAME", the action's name; or "none", "not yet"; or what was said.
  template <class Matcher = xds::type::matcher::v3::Matcher>
  std::string evaluate(const std::string& yaml, const filter::MatcherOptions& options = {}) {
    Matcher message;
    if (!load_message(yaml, "a.yaml", message, positions_, diagnostics_)) return diagnostics_.text();
    TextActions actions(report_);
    auto tree = translate_matcher(message, actions, options, {report_, ""});
    if (tree == nullptr) return diagnostics_.text();
    auto found = tree->evaluate(facts_);
    if (found.kind == match::Tree::Result::Kind::kNotYet) return "not yet";
    return found.matched() ? actions.texts[found.action] : "none";
  }
  // What both APIs say, whose matchers are alike.
  std::string both(const std::string& yaml) {
    std::string xds = evaluate(yaml), common = evaluate<envoy::config::common::matcher::v3::Matcher>(yaml);
    EXPECT_EQ(xds, common);
    return xds;
  }
  static std::string input(const std::string& type, const std::string& fields = "") {
    return "{name: i, typed_config: {\"@type\": type.googleapis.com/" + type + fields + "}}";
  }
  static std::string header(const std::string& name) {
    return input("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", ", header_name: " + name);
  }
  static std::string network(const std::string& name, const std::string& fields = "") {
    return input("envoy.extensions.matching.common_inputs.network.v3." + name, fields);
  }
  static std::string action(const std::string& name) {
    return "{action: {name: " + name +
           ", typed_config: {\"@type\": type.googleapis.com/google.protobuf.StringValue, value: x}}}";
  }
  // A tree that finds "yes" if the input has this text.
  static std::string map(const std::string& input, const std::string& text) {
    return "matcher_tree:\n  input: " + input + "\n  exact_match_map:\n    map:\n      \"" + text +
           "\": " + action("yes") + "\n";
  }

  ArenaPool pool_;
  Arena arena_{pool_};
  http::HeaderMap request_{arena_};
  http::HeaderMap response_{arena_};
  http::HeaderMap trailers_{arena_};
  stream::StreamInfo info_;
  match::Facts facts_;
};

// field: HttpRequestHeaderMatchInput.header_name, HttpRequestTrailerMatchInput.header_name
// field: HttpResponseHeaderMatchInput.header_name, HttpResponseTrailerMatchInput.header_name
// field: HttpRequestQueryParamMatchInput.query_param, FilterStateInput.key, DynamicMetadataInput.filter
// field: DynamicMetadataInput.path, DynamicMetadataInput.PathSegment.key
// field: xds.core.v3.TypedExtensionConfig.typed_config, xds.type.matcher.v3.Matcher.matcher_tree
// field: envoy.config.common.matcher.v3.Matcher.matcher_tree, xds.type.matcher.v3.Matcher.MatcherTree.input
// field: envoy.config.common.matcher.v3.Matcher.MatcherTree.input
// field: xds.type.matcher.v3.Matcher.MatcherTree.exact_match_map
// field: envoy.config.common.matcher.v3.Matcher.MatcherTree.exact_match_map
// field: xds.type.matcher.v3.Matcher.MatcherTree.MatchMap.map
// field: envoy.config.common.matcher.v3.Matcher.MatcherTree.MatchMap.map, xds.type.matcher.v3.Matcher.OnMatch.action
// field: envoy.config.common.matcher.v3.Matcher.OnMatch.action
TEST_F(MatcherConfigTest, EveryInput) {
  request_.add_copy("x-a", "A");
  request_.add_copy(":authority", "host");
  request_.add_copy(":path", "/p?q=Q");
  response_.add_copy(":status", "503");
  response_.add_copy("x-r", "R");
  trailers_.add_copy("x-t", "T");
  facts_.request_trailers = &trailers_;
  facts_.response_headers = &response_;
  facts_.response_trailers = &trailers_;
  info_.downstream_remote = *net::Address::from_ip("127.0.0.1", 1000);
  info_.downstream_local = *net::Address::from_ip("10.0.0.1", 443);
  info_.downstream_direct_remote = *net::Address::from_ip("10.0.0.2", 1);
  info_.requested_server_name = "sni";
  test::FakeTransportFacts tls;
  tls.set(net::NameKind::kUri, {"uri"}).set(net::NameKind::kDns, {"dns"}).set(net::CertificateFact::kSubject, "CN=s");
  stream::ConnectionInfo connection(pool_);
  info_.tls = &tls;
  connection.application_protocols = "'h2'";
  info_.connection = &connection;
  stream::Metadata metadata(arena_);
  metadata.set("ns", "k", stream::Value::of_string("M"));
  info_.metadata = &metadata;
  stream::FilterState state(arena_, nullptr);
  state.set(stream::FilterStateName("mc.state"), stream::FilterStateValue::of_string("F"), {});
  info_.filter_state = &state;

  const std::string http = "envoy.type.matcher.v3.";
  const std::string ssl = "envoy.extensions.matching.common_inputs.ssl.v3.";
  const std::pair<std::string, std::string> cases[] = {
      {header("X-A"), "A"},
      {header("host"), "host"},
      {input(http + "HttpRequestTrailerMatchInput", ", header_name: x-t"), "T"},
      {input(http + "HttpResponseHeaderMatchInput", ", header_name: x-r"), "R"},
      {input(http + "HttpResponseTrailerMatchInput", ", header_name: x-t"), "T"},
      {input(http + "HttpRequestQueryParamMatchInput", ", query_param: q"), "Q"},
      {input(http + "HttpResponseStatusCodeMatchInput"), "503"},
      {input(http + "HttpResponseStatusCodeClassMatchInput"), "5xx"},
      {network("DestinationIPInput"), "10.0.0.1"},
      {network("DestinationPortInput"), "443"},
      {network("SourceIPInput"), "127.0.0.1"},
      {network("SourcePortInput"), "1000"},
      {network("DirectSourceIPInput"), "10.0.0.2"},
      {network("SourceTypeInput"), "local"},
      {network("ServerNameInput"), "sni"},
      {network("TransportProtocolInput"), "raw_buffer"},
      {network("ApplicationProtocolInput"), "'h2'"},
      {network("FilterStateInput", ", key: mc.state"), "F"},
      {network("DynamicMetadataInput", ", filter: ns, path: [{key: k}]"), "M"},
      {input(ssl + "UriSanInput"), "uri"},
      {input(ssl + "DnsSanInput"), "dns"},
      {input(ssl + "SubjectInput"), "CN=s"},
  };
  for (const auto& [one, text] : cases) {
    EXPECT_EQ(both(map(one, text)), "yes") << one;
    EXPECT_EQ(both(map(one, text + "x")), "none") << one;
  }
}

// field: xds.type.matcher.v3.StringMatcher.exact, xds.type.matcher.v3.StringMatcher.prefix
// field: xds.type.matcher.v3.StringMatcher.suffix, xds.type.matcher.v3.StringMatcher.contains
// field: xds.type.matcher.v3.StringMatcher.ignore_case, xds.type.matcher.v3.StringMatcher.safe_regex
// field: xds.type.matcher.v3.RegexMatcher.google_re2, xds.type.matcher.v3.RegexMatcher.regex
TEST_F(MatcherConfigTest, Strings) {
  auto matches = [&](const std::string& pattern) {
    return both("matcher_list: {matchers: [{predicate: {single_predicate: {input: " + header("x-a") +
                ", value_match: " + pattern + "}}, on_match: " + action("yes") + "}]}");
  };
  request_.add_copy("x-a", "abc");
  for (const char* pattern : {"{exact: abc}", "{prefix: ab}", "{suffix: bc}", "{contains: b}",
                              "{exact: ABC, ignore_case: true}", "{safe_regex: {google_re2: {}, regex: '[abc]+'}}"}) {
    EXPECT_EQ(matches(pattern), "yes") << pattern;
  }
  for (const char* pattern : {"{exact: ab}", "{prefix: bc}", "{suffix: ab}", "{contains: ac}", "{exact: ABC}",
                              "{safe_regex: {google_re2: {}, regex: '[ab]+'}}"}) {
    EXPECT_EQ(matches(pattern), "none") << pattern;
  }
}

const char* const kList = R"(
matcher_list:
  matchers:
  - predicate:
      and_matcher:
        predicate:
        - single_predicate: {input: {name: i, typed_config: {"@type": type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: x-a}}, value_match: {prefix: a}}
        - not_matcher:
            single_predicate: {input: {name: i, typed_config: {"@type": type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: x-b}}, value_match: {safe_regex: {regex: "b+"}}}
    on_match: {action: {name: first, typed_config: {"@type": type.googleapis.com/google.protobuf.StringValue}}}
  - predicate:
      or_matcher:
        predicate:
        - single_predicate: {input: {name: i, typed_config: {"@type": type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: x-a}}, value_match: {exact: z}}
        - single_predicate: {input: {name: i, typed_config: {"@type": type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: x-b}}, value_match: {contains: B, ignore_case: true}}
    on_match: {matcher: {on_no_match: {action: {name: second, typed_config: {"@type": type.googleapis.com/google.protobuf.StringValue}}}, matcher_tree: {input: {name: i, typed_config: {"@type": type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: x-c}}, prefix_match_map: {map: {c: {action: {name: nested, typed_config: {"@type": type.googleapis.com/google.protobuf.StringValue}}}}}}}}
on_no_match: {action: {name: last, typed_config: {"@type": type.googleapis.com/google.protobuf.StringValue}}}
)";

// field: xds.core.v3.TypedExtensionConfig.name, xds.type.matcher.v3.Matcher.matcher_list
// field: envoy.config.common.matcher.v3.Matcher.matcher_list, xds.type.matcher.v3.Matcher.on_no_match
// field: envoy.config.common.matcher.v3.Matcher.on_no_match, xds.type.matcher.v3.Matcher.OnMatch.matcher
// field: envoy.config.common.matcher.v3.Matcher.OnMatch.matcher, xds.type.matcher.v3.Matcher.MatcherList.matchers
// field: envoy.config.common.matcher.v3.Matcher.MatcherList.matchers
// field: xds.type.matcher.v3.Matcher.MatcherTree.prefix_match_map
// field: envoy.config.common.matcher.v3.Matcher.MatcherTree.prefix_match_map
// field: xds.type.matcher.v3.Matcher.MatcherList.FieldMatcher.predicate
// field: envoy.config.common.matcher.v3.Matcher.MatcherList.FieldMatcher.predicate
// field: xds.type.matcher.v3.Matcher.MatcherList.FieldMatcher.on_match
// field: envoy.config.common.matcher.v3.Matcher.MatcherList.FieldMatcher.on_match
// field: xds.type.matcher.v3.Matcher.MatcherList.Predicate.single_predicate
// field: envoy.config.common.matcher.v3.Matcher.MatcherList.Predicate.single_predicate
// field: xds.type.matcher.v3.Matcher.MatcherList.Predicate.or_matcher
// field: envoy.config.common.matcher.v3.Matcher.MatcherList.Predicate.or_matcher
// field: xds.type.matcher.v3.Matcher.MatcherList.Predicate.and_matcher
// field: envoy.config.common.matcher.v3.Matcher.MatcherList.Predicate.and_matcher
// field: xds.type.matcher.v3.Matcher.MatcherList.Predicate.not_matcher
// field: envoy.config.common.matcher.v3.Matcher.MatcherList.Predicate.not_matcher
// field: xds.type.matcher.v3.Matcher.MatcherList.Predicate.PredicateList.predicate
// field: envoy.config.common.matcher.v3.Matcher.MatcherList.Predicate.PredicateList.predicate
// field: xds.type.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate.input
// field: envoy.config.common.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate.input
// field: xds.type.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate.value_match
// field: envoy.config.common.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate.value_match
TEST_F(MatcherConfigTest, ListsInBothApis) {
  EXPECT_EQ(both(kList), "last");
  request_.add_copy("x-a", "abc");
  EXPECT_EQ(both(kList), "first");
  request_.add_copy("x-b", "bb");
  EXPECT_EQ(both(kList), "second");
  request_.add_copy("x-c", "cc");
  EXPECT_EQ(both(kList), "nested");
}

// field: ip.v3.Ip.cidr_ranges, input_matchers.metadata.v3.Metadata.value, input_matchers.metadata.v3.Metadata.invert
// field: xds.type.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate.custom_match
// field: envoy.config.common.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate.custom_match
TEST_F(MatcherConfigTest, CustomMatchers) {
  const std::string ip_predicate = R"(
matcher_list: {matchers: [{predicate: {single_predicate: {input: INPUT, custom_match: {name: c, typed_config: CONDITION}}}, on_match: ACTION}]})";
  auto predicate = [&](const std::string& input, const std::string& condition) {
    std::string yaml = ip_predicate;
    for (auto [mark, text] :
         {std::pair<std::string, std::string>{"INPUT", input},
          {"CONDITION", "{\"@type\": type.googleapis.com/envoy.extensions.matching.input_matchers." + condition + "}"},
          {"ACTION", action("yes")}}) {
      yaml.replace(yaml.find(mark), mark.size(), text);
    }
    return both(yaml);
  };
  info_.downstream_remote = *net::Address::from_ip("10.1.2.3", 1);
  EXPECT_EQ(predicate(network("SourceIPInput"), "ip.v3.Ip, cidr_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]"),
            "yes");
  EXPECT_EQ(predicate(network("SourceIPInput"), "ip.v3.Ip, cidr_ranges: [{address_prefix: 11.0.0.0, prefix_len: 8}]"),
            "none");
  request_.add_copy("x-ip", "10.9.9.9");
  EXPECT_EQ(predicate(header("x-ip"), "ip.v3.Ip, cidr_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]"), "yes");
  const std::string metadata = network("DynamicMetadataInput", ", filter: ns, path: [{key: k}]");
  EXPECT_EQ(predicate(metadata, "metadata.v3.Metadata, value: {present_match: true}"), "none");
  EXPECT_EQ(predicate(metadata, "metadata.v3.Metadata, value: {present_match: true}, invert: true"), "yes");
  stream::Metadata all(arena_);
  all.set("ns", "k", stream::Value::of_number(1));
  info_.metadata = &all;
  EXPECT_EQ(predicate(metadata, "metadata.v3.Metadata, value: {double_match: {exact: 1}}"), "yes");
}

// field: IPMatcher.range_matchers, IPMatcher.IPRangeMatcher.ranges, IPMatcher.IPRangeMatcher.on_match
// field: IPMatcher.IPRangeMatcher.exclusive, ServerNameMatcher.domain_matchers
// field: ServerNameMatcher.DomainMatcher.domains, ServerNameMatcher.DomainMatcher.on_match
// field: xds.core.v3.CidrRange.address_prefix, xds.core.v3.CidrRange.prefix_len
// field: xds.type.matcher.v3.Matcher.MatcherTree.custom_match
// field: envoy.config.common.matcher.v3.Matcher.MatcherTree.custom_match
TEST_F(MatcherConfigTest, CustomMaps) {
  auto tree = [&](const std::string& input, const std::string& custom) {
    return both("matcher_tree: {input: " + input +
                ", custom_match: {name: c, typed_config: {\"@type\": type.googleapis.com/xds.type.matcher.v3." +
                custom + "}}}");
  };
  const std::string ranges =
      "IPMatcher, range_matchers: [{ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}, {address_prefix: '::', "
      "prefix_len: 0}], on_match: " +
      action("wide") +
      "}, {ranges: [{address_prefix: 10.1.0.0, prefix_len: 16}], exclusive: true, on_match: " + action("narrow") + "}]";
  for (auto [address, expected] :
       {std::pair{"10.1.0.1", "narrow"}, {"10.2.0.1", "wide"}, {"::1", "wide"}, {"11.0.0.1", "none"}}) {
    info_.downstream_remote = *net::Address::from_ip(address, 1);
    EXPECT_EQ(tree(network("SourceIPInput"), ranges), expected) << address;
  }
  const std::string names =
      "ServerNameMatcher, domain_matchers: [{domains: [a.example, '*.b.example'], on_match: " + action("named") +
      "}, {domains: ['*'], on_match: " + action("any") + "}]";
  for (auto [name, expected] : {std::pair{"A.example", "named"}, {"x.b.example", "named"}, {"b.example", "any"}}) {
    info_.requested_server_name = name;
    EXPECT_EQ(tree(network("ServerNameInput"), names), expected) << name;
  }
}

// field: xds.type.matcher.v3.Matcher.OnMatch.keep_matching
// field: envoy.config.common.matcher.v3.Matcher.OnMatch.keep_matching
TEST_F(MatcherConfigTest, KeepMatchingAndConnectionsWhereTheyAreAllowed) {
  std::string keep = map(header("x-a"), "1");
  keep.insert(keep.rfind("{action"), "");
  keep.replace(keep.rfind("}}}"), 3, "}}, keep_matching: true}");
  request_.add_copy("x-a", "1");
  EXPECT_EQ(evaluate(keep, {.keep_matching = true}), "none");
  EXPECT_EQ(evaluate<envoy::config::common::matcher::v3::Matcher>(keep, {.keep_matching = true}), "none");
  EXPECT_EQ(evaluate(keep),
            "a.yaml:5:133: error: matcher_tree.exact_match_map.map[\"1\"].keep_matching: is not supported here: the "
            "first match decides\n1 error\n");
}

TEST_F(MatcherConfigTest, InputsOfHttpHaveNoPlaceInConnections) {
  EXPECT_EQ(
      evaluate(map(header("x-a"), "1"), {.connection_only = true}),
      "a.yaml:2:20: error: matcher_tree.input.typed_config: envoy.type.matcher.v3.HttpRequestHeaderMatchInput is a "
      "fact of HTTP, which is not known here; inputs of the connection are\n1 error\n");
}

TEST_F(MatcherConfigTest, FaultsHavePlaces) {
  EXPECT_EQ(evaluate(R"(
matcher_list:
  matchers:
  - predicate:
      single_predicate:
        input: {name: i, typed_config: {"@type": type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: "a b"}}
        value_match: {suffix: ""}
  - predicate:
      single_predicate:
        input: {name: i, typed_config: {"@type": type.googleapis.com/xds.type.matcher.v3.HttpAttributesCelMatchInput}}
        custom_match: {name: c, typed_config: {"@type": type.googleapis.com/xds.type.matcher.v3.CelMatcher}}
    on_match: {action: {name: a}}
  - predicate: {or_matcher: {predicate: [{}]}}
    on_match: {matcher: {}}
  - predicate:
      single_predicate:
        input: {name: i, typed_config: {"@type": type.googleapis.com/envoy.type.matcher.v3.HttpRequestQueryParamMatchInput}}
        custom_match: {name: c, typed_config: {"@type": type.googleapis.com/envoy.extensions.matching.input_matchers.metadata.v3.Metadata, value: {null_match: {}}}}
    on_match: {}
on_no_match:
  matcher:
    matcher_tree:
      input: {name: i, typed_config: {"@type": type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput}}
      custom_match: {name: c, typed_config: {"@type": type.googleapis.com/xds.type.matcher.v3.Int64RangeMatcher}}
)"),
            R"(a.yaml:4:5: error: matcher_list.matchers[0].on_match: needs either matcher or action
a.yaml:6:134: error: matcher_list...input.typed_config.header_name: "a b" is not a header name
a.yaml:7:31: error: matcher_list...single_predicate.value_match.suffix: must not be empty
a.yaml:10:26: error: matcher_list...single_predicate.input.typed_config: xds.type.matcher.v3.HttpAttributesCelMatchInput is not an input that weir supports yet
a.yaml:11:33: error: matcher_list...single_predicate.custom_match.typed_config: xds.type.matcher.v3.CelMatcher is not supported by weir yet; Ip and Metadata are
a.yaml:12:16: error: matcher_list...on_match.action.typed_config: bad action
a.yaml:13:30: error: matcher_list...predicate.or_matcher.predicate: must have two items at least
a.yaml:13:42: error: matcher_list...predicate.or_matcher.predicate[0]: needs one of single_predicate, or_matcher, and_matcher and not_matcher
a.yaml:14:16: error: matcher_list.matchers[2].on_match.matcher: needs either matcher_list or matcher_tree
a.yaml:17:26: error: matcher_list...input.typed_config.query_param: must not be empty
a.yaml:18:33: error: matcher_list...single_predicate.custom_match.typed_config: wants the input envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput
a.yaml:19:5: error: matcher_list.matchers[3].on_match: needs either matcher or action
a.yaml:23:24: error: on_no_match...input.typed_config.filter: must not be empty: the namespace of the metadata
a.yaml:23:24: error: on_no_match...input.typed_config.path: must have one item at least: the keys that lead to the value
a.yaml:24:31: error: on_no_match...matcher_tree.custom_match.typed_config: xds.type.matcher.v3.Int64RangeMatcher is not supported by weir yet; IPMatcher and ServerNameMatcher are
15 errors
)");
}

TEST_F(MatcherConfigTest, EmptyPlaces) {
  EXPECT_EQ(evaluate("{}"), "a.yaml:1:1: error: needs either matcher_list or matcher_tree\n1 error\n");
}

}  // namespace
}  // namespace weir::config
