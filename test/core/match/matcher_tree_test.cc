#include "core/match/matcher_tree.h"

#include <gtest/gtest.h>

#include <set>

#include "test/core/match/random_tree.h"
#include "test/support/fake_transport_facts.h"
#include "test/support/seed.h"

namespace weir::match {
namespace {

class MatcherTreeTest : public testing::Test {
 protected:
  MatcherTreeTest() {
    facts_.info = &info_;
    facts_.request_headers = &request_;
  }
  static OnMatchSpec action(uint32_t number) {
    OnMatchSpec spec;
    spec.action = number;
    return spec;
  }
  static OnMatchSpec nested(MatcherSpec matcher) {
    OnMatchSpec spec;
    spec.matcher = std::make_unique<MatcherSpec>(std::move(matcher));
    return spec;
  }
  static Input header(const char* name) {
    Input input;
    input.header = http::HeaderName(name);
    return input;
  }
  static Input of(Input::Kind kind) {
    Input input;
    input.kind = kind;
    return input;
  }
  static PredicateSpec is(Input input, std::string text) {
    PredicateSpec spec;
    spec.input = std::move(input);
    StringMatcherSpec string;
    string.text = std::move(text);
    spec.condition = std::make_unique<PredicateSpec::Condition>(std::move(*StringMatcher::build(std::move(string))));
    return spec;
  }
  static MatcherSpec map(MatcherSpec::Kind kind, Input input) {
    MatcherSpec spec;
    spec.kind = kind;
    spec.input = std::move(input);
    return spec;
  }
  std::string evaluate(MatcherSpec spec) {
    auto tree = Tree::build(std::move(spec));
    if (!tree.ok()) return message_of(tree.status());
    return evaluated(**tree, facts_);
  }
  // What an input says: "not yet", "none", its text, or "value".
  std::string value(const Input& input) {
    InputScratch scratch, buffer;
    InputValue found = read(input, facts_, scratch);
    switch (found.kind) {
      case InputValue::Kind::kNotYet:
        return "not yet";
      case InputValue::Kind::kNone:
        return "none";
      case InputValue::Kind::kValue:
        return found.value != nullptr ? "value" : "no value";
      default:
        return std::string(found.as_text(buffer.bytes));
    }
  }

  ArenaPool pool_;
  Arena arena_{pool_};
  http::HeaderMap request_{arena_};
  http::HeaderMap response_{arena_};
  stream::StreamInfo info_;
  Facts facts_;
};

TEST_F(MatcherTreeTest, Inputs) {
  using Kind = Input::Kind;
  request_.add_copy("x-a", "1");
  request_.add_copy("x-a", "2");
  request_.add_copy(":path", "/p?%71%3D=a%20b&q=c#f");
  Input query = of(Kind::kQueryParameter);
  query.query_parameter = "q=";
  EXPECT_EQ(value(header("X-A")), "1,2");
  EXPECT_EQ(value(header("x-b")), "none");
  EXPECT_EQ(value(query), "a b");
  query.query_parameter = "q";
  EXPECT_EQ(value(query), "c");
  query.query_parameter = "f";
  EXPECT_EQ(value(query), "none");
  for (Kind kind : {Kind::kRequestTrailer, Kind::kResponseHeader, Kind::kResponseTrailer, Kind::kResponseStatus,
                    Kind::kResponseStatusClass}) {
    EXPECT_EQ(value(of(kind)), "not yet");
    EXPECT_FALSE(of(kind).of_connection());
  }
  response_.add_copy(":status", "404");
  response_.add_copy("x-r", "r");
  facts_.response_headers = &response_;
  EXPECT_EQ(value(of(Kind::kResponseStatus)), "404");
  EXPECT_EQ(value(of(Kind::kResponseStatusClass)), "4xx");
  Input response = of(Kind::kResponseHeader);
  response.header = http::HeaderName("x-r");
  EXPECT_EQ(value(response), "r");

  for (Kind kind : {Kind::kSourceIp, Kind::kSourcePort, Kind::kDestinationIp, Kind::kDestinationPort,
                    Kind::kDirectSourceIp, Kind::kSourceType, Kind::kServerName, Kind::kApplicationProtocol,
                    Kind::kUriSan, Kind::kDnsSan, Kind::kSubject}) {
    EXPECT_EQ(value(of(kind)), "none");
    EXPECT_TRUE(of(kind).of_connection());
  }
  EXPECT_EQ(value(of(Kind::kTransportProtocol)), "raw_buffer");
  info_.downstream_remote = *net::Address::from_ip("10.0.0.1", 1234);
  info_.downstream_local = *net::Address::from_ip("2001:db8::1", 443);
  info_.downstream_direct_remote = *net::Address::from_ip("10.0.0.2", 1);
  info_.requested_server_name = "a.example";
  test::FakeTransportFacts tls;
  tls.set(net::NameKind::kUri, {"spiffe://a", "spiffe://b"}).set(net::NameKind::kDns, {"a.example"});
  tls.set(net::CertificateFact::kSubject, "CN=a");
  stream::ConnectionInfo connection(pool_);
  info_.tls = &tls;
  connection.transport_protocol = "tls";
  connection.application_protocols = "'h2'";
  info_.connection = &connection;
  EXPECT_EQ(value(of(Kind::kSourceIp)), "10.0.0.1");
  EXPECT_EQ(value(of(Kind::kSourcePort)), "1234");
  EXPECT_EQ(value(of(Kind::kDestinationIp)), "2001:db8::1");
  EXPECT_EQ(value(of(Kind::kDestinationPort)), "443");
  EXPECT_EQ(value(of(Kind::kDirectSourceIp)), "10.0.0.2");
  EXPECT_EQ(value(of(Kind::kSourceType)), "none");
  EXPECT_EQ(value(of(Kind::kServerName)), "a.example");
  EXPECT_EQ(value(of(Kind::kTransportProtocol)), "tls");
  EXPECT_EQ(value(of(Kind::kApplicationProtocol)), "'h2'");
  EXPECT_EQ(value(of(Kind::kUriSan)), "spiffe://a,spiffe://b");
  EXPECT_EQ(value(of(Kind::kDnsSan)), "a.example");
  EXPECT_EQ(value(of(Kind::kSubject)), "CN=a");
  info_.downstream_remote = *net::Address::from_ip("127.0.0.1", 1);
  EXPECT_EQ(value(of(Kind::kSourceType)), "local");
  info_.downstream_remote = *net::Address::from_ip("2001:db8::1", 1);
  EXPECT_EQ(value(of(Kind::kSourceType)), "local");

  Input state = of(Kind::kFilterState);
  state.filter_state = stream::FilterStateName("tree.number");
  EXPECT_EQ(value(state), "none");
  stream::FilterState objects(arena_, nullptr);
  info_.filter_state = &objects;
  objects.set(state.filter_state, stream::FilterStateValue::of_unsigned(5), {});
  EXPECT_EQ(value(state), "5");
  Input metadata = of(Kind::kDynamicMetadata);
  metadata.path = {"ns", "k"};
  EXPECT_EQ(value(metadata), "no value");
  stream::Metadata all(arena_);
  all.set("ns", "k", stream::Value::of_string("text"));
  info_.metadata = &all;
  EXPECT_EQ(value(metadata), "value");
}

TEST_F(MatcherTreeTest, ListsTakeTheFirstRuleThatLeadsSomewhere) {
  request_.add_copy("x-a", "1");
  MatcherSpec inner;  // does not match
  inner.rules.push_back({is(header("x-b"), "1"), action(10)});
  MatcherSpec list;
  list.rules.push_back({is(header("x-a"), "2"), action(1)});
  list.rules.push_back({is(header("x-a"), "1"), nested(std::move(inner))});
  list.rules.push_back({is(header("x-a"), "1"), action(3)});
  list.on_no_match = action(4);
  EXPECT_EQ(evaluate(std::move(list)), "match 3");
}

TEST_F(MatcherTreeTest, AFailedMapFallsToOnNoMatch) {
  request_.add_copy("x-a", "abc");
  MatcherSpec never;
  MatcherSpec exact = map(MatcherSpec::Kind::kExactMap, header("x-a"));
  exact.texts.emplace_back("abc", nested(std::move(never)));
  exact.on_no_match = action(9);
  EXPECT_EQ(evaluate(std::move(exact)), "match 9");
  MatcherSpec missing = map(MatcherSpec::Kind::kExactMap, header("x-none"));
  missing.texts.emplace_back("", action(1));
  EXPECT_EQ(evaluate(std::move(missing)), "no match");
}

TEST_F(MatcherTreeTest, TheLongestPrefixIsTriedFirstAndShorterOnesAfterIt) {
  request_.add_copy("x-a", "abcd");
  auto prefixes = [&](bool nested_fails) {
    MatcherSpec spec = map(MatcherSpec::Kind::kPrefixMap, header("x-a"));
    spec.texts.emplace_back("ab", action(2));
    spec.texts.emplace_back("abd", action(8));
    spec.texts.emplace_back("abce", action(8));
    spec.texts.emplace_back("abc", nested_fails ? nested(MatcherSpec{}) : action(3));
    spec.texts.emplace_back("", action(0));
    return spec;
  };
  EXPECT_EQ(evaluate(prefixes(false)), "match 3");
  EXPECT_EQ(evaluate(prefixes(true)), "match 2");
}

TEST_F(MatcherTreeTest, ExclusiveRangesAreForTheMostSpecificMatchOnly) {
  info_.downstream_remote = *net::Address::from_ip("192.168.0.1", 1);
  auto ranges = [&](bool exclusive) {
    MatcherSpec spec = map(MatcherSpec::Kind::kAddresses, of(Input::Kind::kSourceIp));
    spec.ranges.push_back({{*make_range("0.0.0.0", 0)}, action(1), exclusive});
    spec.ranges.push_back({{*make_range("192.0.0.0", 2)}, nested(MatcherSpec{}), false});
    spec.on_no_match = action(7);
    return spec;
  };
  EXPECT_EQ(evaluate(ranges(false)), "match 1");
  EXPECT_EQ(evaluate(ranges(true)), "match 7");
  info_.downstream_remote = *net::Address::from_ip("10.0.0.1", 1);
  EXPECT_EQ(evaluate(ranges(true)), "match 1");
}

TEST_F(MatcherTreeTest, ServerNames) {
  auto names = [&] {
    MatcherSpec spec = map(MatcherSpec::Kind::kServerNames, of(Input::Kind::kServerName));
    spec.domains.push_back({{"*"}, action(0)});
    spec.domains.push_back({{"*.com", "b.net"}, action(1)});
    spec.domains.push_back({{"*.Example.com"}, action(2)});
    spec.domains.push_back({{"www.example.com"}, action(3)});
    return spec;
  };
  auto find = [&](std::string_view name) {
    info_.requested_server_name = name;
    return evaluate(names());
  };
  EXPECT_EQ(find("WWW.example.com"), "match 3");
  EXPECT_EQ(find("a.b.example.com"), "match 2");
  EXPECT_EQ(find("example.com"), "match 1");
  EXPECT_EQ(find("b.net"), "match 1");
  EXPECT_EQ(find("com"), "match 0");
  EXPECT_EQ(find(""), "no match");
  EXPECT_EQ(find(std::string(256, 'a')), "no match");
}

TEST_F(MatcherTreeTest, WhatHasNotComeMayStillMatch) {
  request_.add_copy("x-a", "1");
  auto list = [&](PredicateSpec::Kind kind) {
    MatcherSpec spec;
    PredicateSpec both;
    both.kind = kind;
    both.children.push_back(is(header("x-a"), "1"));
    both.children.push_back(is(of(Input::Kind::kResponseStatus), "200"));
    spec.rules.push_back({std::move(both), action(1)});
    spec.on_no_match = action(2);
    return spec;
  };
  EXPECT_EQ(evaluate(list(PredicateSpec::Kind::kAnd)), "not yet");
  EXPECT_EQ(evaluate(list(PredicateSpec::Kind::kOr)), "match 1");
  response_.add_copy(":status", "404");
  facts_.response_headers = &response_;
  EXPECT_EQ(evaluate(list(PredicateSpec::Kind::kAnd)), "match 2");
}

TEST_F(MatcherTreeTest, KeptActionsAreToldAndTheSearchGoesOn) {
  request_.add_copy("x-a", "1");
  MatcherSpec list;
  for (uint32_t i = 0; i < 3; ++i) {
    OnMatchSpec to = action(i);
    to.keep_matching = i < 2;
    list.rules.push_back({is(header("x-a"), "1"), std::move(to)});
  }
  auto tree = Tree::build(std::move(list));
  ASSERT_TRUE(tree.ok());
  EXPECT_TRUE((*tree)->keeps_matching());
  EXPECT_EQ(evaluated(**tree, facts_), "match 2 kept 0 kept 1");
  EXPECT_EQ((*tree)->evaluate(facts_).action, 2u);
}

TEST_F(MatcherTreeTest, OfConnection) {
  MatcherSpec spec = map(MatcherSpec::Kind::kExactMap, of(Input::Kind::kDestinationPort));
  spec.texts.emplace_back("80", action(1));
  EXPECT_TRUE((*Tree::build(std::move(spec)))->of_connection());
  MatcherSpec list;
  list.rules.push_back({is(header("x-a"), "1"), action(1)});
  spec = map(MatcherSpec::Kind::kExactMap, of(Input::Kind::kDestinationPort));
  spec.texts.emplace_back("80", nested(std::move(list)));
  EXPECT_FALSE((*Tree::build(std::move(spec)))->of_connection());
}

TEST_F(MatcherTreeTest, BuildErrors) {
  auto twice = [&](MatcherSpec::Kind kind) {
    MatcherSpec spec = map(kind, header("x-a"));
    spec.texts.emplace_back("k", action(1));
    spec.texts.emplace_back("k", action(2));
    return spec;
  };
  EXPECT_EQ(evaluate(twice(MatcherSpec::Kind::kExactMap)), "\"k\" is there twice");
  EXPECT_EQ(evaluate(twice(MatcherSpec::Kind::kPrefixMap)), "\"k\" is there twice");
  for (const char* domain : {"", "*a.example", "a.*.example", "*.", ".a", "**"}) {
    MatcherSpec spec = map(MatcherSpec::Kind::kServerNames, header("x-a"));
    spec.domains.push_back({{domain}, action(1)});
    EXPECT_EQ(evaluate(std::move(spec)),
              "\"" + std::string(domain) + "\" is no domain; www.example.com, *.example.com and * are");
  }
  MatcherSpec deep;
  for (int i = 0; i < Tree::kMaxDepth; ++i) {
    MatcherSpec outer;
    outer.on_no_match = nested(std::move(deep));
    deep = std::move(outer);
  }
  EXPECT_EQ(evaluate(std::move(deep)), "more than 64 matchers and predicates inside each other");
  MatcherSpec large = map(MatcherSpec::Kind::kExactMap, header("x-a"));
  for (size_t i = 0; i <= Tree::kMaxSize; ++i) large.texts.emplace_back(std::to_string(i), OnMatchSpec{});
  EXPECT_EQ(evaluate(std::move(large)), "more than 1000000 conditions and keys");
}

TEST_F(MatcherTreeTest, AgreesWithTheWalker) {
  std::set<std::string> kinds;
  test::for_each_seed(3000, [&](uint64_t seed) {
    test::RandomChoices choices(seed), again(seed);
    MatcherSpec spec = RandomSpec(choices).matcher(3);
    auto tree = Tree::build(RandomSpec(again).matcher(3));
    ASSERT_TRUE(tree.ok()) << tree.status();
    for (int i = 0; i < 20; ++i) {
      RandomFacts facts(choices);
      std::string expected = walked(spec, facts.facts);
      ASSERT_EQ(evaluated(**tree, facts.facts), expected) << "facts " << i;
      kinds.insert(expected.substr(0, 5) + (expected.find("kept") != std::string::npos ? " kept" : ""));
    }
  });
  // All three answers, with and without kept ones.
  EXPECT_TRUE(kinds.size() == 6 || test::seed_from_environment() != 0) << kinds.size();
}

}  // namespace
}  // namespace weir::match
