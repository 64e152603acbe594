#include <gtest/gtest.h>

#include <map>

#include "envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb.h"
#include "test/support/filter_harness.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

namespace pb = envoy::extensions::filters::http::header_mutation::v3;
using Option = envoy::config::core::v3::HeaderValueOption;
using List = google::protobuf::RepeatedPtrField<envoy::config::common::mutation_rules::v3::HeaderMutation>;

void append(List& list, const std::string& name, const std::string& value,
            Option::HeaderAppendAction action = Option::APPEND_IF_EXISTS_OR_ADD, bool keep_empty = false) {
  auto* option = list.Add()->mutable_append();
  option->mutable_header()->set_key(name);
  option->mutable_header()->set_value(value);
  option->set_append_action(action);
  option->set_keep_empty_value(keep_empty);
}

int count(const Headers& headers, const std::string& name) {
  int found = 0;
  for (const auto& header : headers) found += header.first == name;
  return found;
}

void exchange(FilterHarness& harness) {
  harness.send_headers(
      {{":method", "GET"}, {":path", "/p"}, {"x-a", "1"}, {"x-b", "1"}, {"x-tmp-1", "t"}, {"x-tmp-2", "t"}}, true);
  harness.respond_headers({{":status", "200"}, {"server", "s"}, {"x-r", "1"}}, true);
  harness.run();
  EXPECT_TRUE(harness.response().ended);
}

// field: http.header_mutation.v3.HeaderMutation.mutations, Mutations.request_mutations, Mutations.response_mutations
// field: mutation_rules.v3.HeaderMutation.remove, mutation_rules.v3.HeaderMutation.append
// field: mutation_rules.v3.HeaderMutation.remove_on_match, RemoveOnMatch.key_matcher
TEST(HeaderMutation, AddsReplacesAndRemovesBothWays) {
  PluginScope plugins;
  pb::HeaderMutation proto;
  List& request = *proto.mutable_mutations()->mutable_request_mutations();
  append(request, "x-a", "2");
  append(request, "X-B", "2", Option::OVERWRITE_IF_EXISTS_OR_ADD);
  append(request, "x-c", "2", Option::OVERWRITE_IF_EXISTS);
  append(request, "x-a", "3", Option::ADD_IF_ABSENT);
  append(request, "x-d", "4", Option::ADD_IF_ABSENT);
  append(request, "x-empty", "");
  append(request, "x-kept", "", Option::APPEND_IF_EXISTS_OR_ADD, true);
  request.Add()->mutable_remove_on_match()->mutable_key_matcher()->set_prefix("x-tmp-");
  List& response = *proto.mutable_mutations()->mutable_response_mutations();
  response.Add()->set_remove("server");
  append(response, "x-status", "%RESPONSE_CODE%");
  append(response, "x-method", "%REQ(:METHOD)%");
  run_under_chaos({plugins.http_filter(proto)}, [](FilterHarness& harness) {
    exchange(harness);
    const Message& message = harness.request();
    EXPECT_EQ(count(message.headers, "x-a"), 2);
    EXPECT_EQ(message.header("x-b"), "2");
    EXPECT_EQ(count(message.headers, "x-b"), 1);
    EXPECT_EQ(message.header("x-c"), "(none)");
    EXPECT_EQ(message.header("x-d"), "4");
    EXPECT_EQ(message.header("x-empty"), "(none)");
    EXPECT_EQ(message.header("x-kept"), "");
    EXPECT_EQ(message.header("x-tmp-1"), "(none)");
    EXPECT_EQ(message.header("x-tmp-2"), "(none)");
    EXPECT_EQ(message.header(":method"), "GET");
    EXPECT_EQ(harness.response().header("server"), "(none)");
    EXPECT_EQ(harness.response().header("x-method"), "GET");
    EXPECT_EQ(harness.response().header("x-r"), "1");
  });
  EXPECT_EQ(plugins.error_texts(), std::vector<std::string>{});
}

TEST(HeaderMutation, StepsHappenInTheOrderGiven) {
  PluginScope plugins;
  pb::HeaderMutation proto;
  List& request = *proto.mutable_mutations()->mutable_request_mutations();
  append(request, "x-new", "1");
  request.Add()->set_remove("x-new");
  append(request, "x-new", "2");
  FilterHarness harness({plugins.http_filter(proto)});
  exchange(harness);
  EXPECT_EQ(count(harness.request().headers, "x-new"), 1);
  EXPECT_EQ(harness.request().header("x-new"), "2");
}

// field: HeaderMutationPerRoute.mutations
TEST(HeaderMutation, TheRoutesComeAfterTheFilters) {
  PluginScope plugins;
  pb::HeaderMutation proto;
  append(*proto.mutable_mutations()->mutable_request_mutations(), "x-who", "filter",
         Option::OVERWRITE_IF_EXISTS_OR_ADD);
  pb::HeaderMutationPerRoute route;
  append(*route.mutable_mutations()->mutable_request_mutations(), "x-who", "route", Option::OVERWRITE_IF_EXISTS_OR_ADD);
  append(*route.mutable_mutations()->mutable_response_mutations(), "x-route", "yes");
  FilterHarness harness({plugins.http_filter(proto, "mutation")});
  harness.set_route_config("mutation", plugins.route_config(route));
  exchange(harness);
  EXPECT_EQ(harness.request().header("x-who"), "route");
  EXPECT_EQ(harness.response().header("x-route"), "yes");
}

// A level of the route configuration that leaves its name everywhere, and the last word in x-last.
std::shared_ptr<const void> level(PluginScope& plugins, const std::string& name) {
  pb::HeaderMutationPerRoute route;
  auto& mutations = *route.mutable_mutations();
  for (List* list : {mutations.mutable_request_mutations(), mutations.mutable_request_trailers_mutations(),
                     mutations.mutable_response_mutations(), mutations.mutable_response_trailers_mutations()}) {
    append(*list, "x-order", name);
    append(*list, "x-last", name, Option::OVERWRITE_IF_EXISTS_OR_ADD);
  }
  auto& query = *mutations.add_query_parameter_mutations()->mutable_append();
  query.mutable_record()->set_key("order");
  query.mutable_record()->mutable_value()->set_string_value(name);
  return plugins.route_config(route);
}

std::string all(const Headers& headers, const std::string& name) {
  std::string text;
  for (const auto& header : headers) {
    if (header.first == name) text += header.second + " ";
  }
  return text;
}

// field: http.header_mutation.v3.HeaderMutation.most_specific_header_mutations_wins
TEST(HeaderMutation, EveryLevelOfTheRouteApplies) {
  for (bool most_specific_wins : {false, true}) {
    PluginScope plugins;
    pb::HeaderMutation proto;
    proto.set_most_specific_header_mutations_wins(most_specific_wins);
    append(*proto.mutable_mutations()->mutable_request_mutations(), "x-order", "filter");
    FilterHarness harness({plugins.http_filter(proto, "mutation")});
    for (const char* name : {"table", "host", "route", "cluster"})
      harness.set_route_config("mutation", level(plugins, name));
    harness.send_headers({{":method", "POST"}, {":path", "/p?a=1"}});
    harness.send_trailers({{"x-end", "q"}});
    harness.respond_headers({{":status", "200"}});
    harness.respond_trailers({{"x-end", "p"}});
    harness.run();
    std::string order = most_specific_wins ? "table host route cluster " : "cluster route host table ";
    std::string last = most_specific_wins ? "cluster " : "table ";
    EXPECT_EQ(all(harness.request().headers, "x-order"), "filter " + order);
    for (const Headers* headers :
         {&harness.request().trailers, &harness.response().headers, &harness.response().trailers}) {
      EXPECT_EQ(all(*headers, "x-order"), order);
      EXPECT_EQ(all(*headers, "x-last"), last);
    }
    EXPECT_EQ(harness.request().header(":path"), most_specific_wins
                                                     ? "/p?a=1&order=table&order=host&order=route&order=cluster"
                                                     : "/p?a=1&order=cluster&order=route&order=host&order=table");
    EXPECT_EQ(harness.request().trailer("x-end"), "q");
    EXPECT_EQ(plugins.error_texts(), std::vector<std::string>{});
  }
}

// field: Mutations.request_trailers_mutations, Mutations.response_trailers_mutations
TEST(HeaderMutation, TrailersUnderChaos) {
  PluginScope plugins;
  pb::HeaderMutation proto;
  append(*proto.mutable_mutations()->mutable_request_trailers_mutations(), "x-sum", "%REQ(X-A)%");
  append(*proto.mutable_mutations()->mutable_response_trailers_mutations(), "x-status", "%RESPONSE_CODE%");
  proto.mutable_mutations()->add_response_trailers_mutations()->set_remove("x-secret");
  run_under_chaos({plugins.http_filter(proto)}, [](FilterHarness& harness) {
    harness.send_headers({{":method", "POST"}, {"x-a", "1"}});
    harness.send_data("body");
    harness.send_trailers({{"x-end", "q"}});
    harness.respond_headers({{":status", "200"}});
    harness.respond_trailers({{"x-secret", "p"}});
    harness.run();
    EXPECT_EQ(harness.request().trailer("x-sum"), "1");
    EXPECT_EQ(harness.request().header("x-sum"), "(none)");
    EXPECT_EQ(harness.response().trailer("x-secret"), "(none)");
  });
}

struct QueryCase {
  const char* what;  // remove, add, absent, set, exists
  const char* name;
  const char* value;
  const char* before;
  const char* after;
};

// field: Mutations.query_parameter_mutations, KeyValueMutation.append, KeyValueMutation.remove
// field: KeyValueAppend.record, KeyValueAppend.entry, KeyValueAppend.action
// field: v3.KeyValuePair.key, v3.KeyValuePair.value, v3.KeyValue.key, v3.KeyValue.value
TEST(HeaderMutation, QueryParameters) {
  using Append = envoy::config::core::v3::KeyValueAppend;
  const QueryCase cases[] = {
      {"remove", "a", "", "/p?a=1&b=2&a=3", "/p?b=2"},
      {"remove", "a", "", "/p?a", "/p"},
      {"remove", "a", "", "/p?aa=1&b=a&", "/p?aa=1&b=a&"},  // nothing meant: nothing touched
      {"remove", "a", "", "/p?", "/p?"},
      {"remove", "a b", "", "/p?a%20b=1&a+b=2", "/p?a+b=2"},
      {"remove", "\xc3\xa4", "", "/p?%c3%A4=1&%c3=2&%zz&%", "/p?%c3=2&%zz&%"},
      {"add", "a", "2", "/p", "/p?a=2"},
      {"add", "a", "2", "/p?a=1&&b", "/p?a=1&&b&a=2"},
      {"add", "a&", "= #\xc3\xa4-._~", "/p?b=1#end", "/p?b=1&a%26=%3D%20%23%C3%A4-._~#end"},
      {"add", "by", "%REQ(:METHOD)%/%REQ(X-NONE)%", "/p", "/p?by=GET%2F"},
      {"absent", "a", "2", "/p?a", "/p?a"},
      {"absent", "a", "2", "/p?b=1", "/p?b=1&a=2"},
      {"set", "a", "9", "/p?x=0&a=1&b=%20&%61=3", "/p?x=0&a=9&b=%20"},
      {"set", "a", "9", "/p?", "/p?a=9"},
      {"exists", "a", "9", "/p?a=1", "/p?a=9"},
      {"exists", "a", "9", "/p?b=1", "/p?b=1"},
  };
  const std::map<std::string, Append::KeyValueAppendAction> actions = {{"add", Append::APPEND_IF_EXISTS_OR_ADD},
                                                                       {"absent", Append::ADD_IF_ABSENT},
                                                                       {"set", Append::OVERWRITE_IF_EXISTS_OR_ADD},
                                                                       {"exists", Append::OVERWRITE_IF_EXISTS}};
  for (const QueryCase& one : cases) {
    for (bool record : {true, false}) {
      SCOPED_TRACE(std::string(one.what) + " " + one.name + " in " + one.before);
      PluginScope plugins;
      pb::HeaderMutation proto;
      auto& mutation = *proto.mutable_mutations()->add_query_parameter_mutations();
      if (one.what == std::string("remove")) {
        mutation.set_remove(one.name);
      } else {
        mutation.mutable_append()->set_action(actions.at(one.what));
        if (record) {
          mutation.mutable_append()->mutable_record()->set_key(one.name);
          mutation.mutable_append()->mutable_record()->mutable_value()->set_string_value(one.value);
        } else {
          mutation.mutable_append()->mutable_entry()->set_key(one.name);
          mutation.mutable_append()->mutable_entry()->set_value(one.value);
        }
      }
      FilterHarness harness({plugins.http_filter(proto)});
      ASSERT_EQ(plugins.error_texts(), std::vector<std::string>{});
      harness.send_headers({{":method", "GET"}, {":path", one.before}}, true);
      harness.run(1ms);
      EXPECT_EQ(harness.request().header(":path"), one.after);
    }
  }
}

TEST(HeaderMutation, SaysWhatIsWrongWithQueryParameters) {
  PluginScope plugins;
  pb::HeaderMutation proto;
  auto& list = *proto.mutable_mutations()->mutable_query_parameter_mutations();
  list.Add();
  list.Add()->mutable_append();
  list.Add()->mutable_append()->mutable_record()->mutable_value()->set_number_value(1);
  auto& bad = *list.Add()->mutable_append()->mutable_entry();
  bad.set_key("a");
  bad.set_value("%NO%");
  auto& both = *list.Add();
  both.set_remove("a");
  both.mutable_append();
  plugins.http_filter(proto);
  const std::string place = "mutations.query_parameter_mutations";
  ASSERT_EQ(plugins.error_texts().size(), 6u);
  EXPECT_EQ(plugins.error_texts()[0], place + "[0]: one of append, remove must be set");
  EXPECT_EQ(plugins.error_texts()[1], place + "[1].append: one of record, entry must be set");
  EXPECT_EQ(plugins.error_texts()[2], place + "[2].append.record.value: must be a string");
  EXPECT_EQ(plugins.error_texts()[3], place + "[2].append.record.key: must not be empty");
  EXPECT_TRUE(plugins.error_texts()[4].starts_with(place + "[3].append.entry.value: ")) << plugins.error_texts()[4];
  EXPECT_EQ(plugins.error_texts()[5], place + "[4]: one of append, remove must be set");
}

TEST(HeaderMutation, LocalRepliesAreMutatedToo) {
  PluginScope plugins;
  pb::HeaderMutation proto;
  append(*proto.mutable_mutations()->mutable_response_mutations(), "x-seen", "1");
  FilterHarness harness({plugins.http_filter(proto)});
  harness.when_request_headers_arrive([&] { harness.stream().reply_local(503, "test", "down\n"); });
  harness.send_headers({{":method", "GET"}}, true);
  harness.run();
  EXPECT_EQ(harness.response().header(":status"), "503");
  EXPECT_EQ(harness.response().header("x-seen"), "1");
}

TEST(HeaderMutation, SaysWhatIsWrong) {
  for (const char* name : {"", ":path", "bad name", "Host"}) {
    PluginScope plugins;
    pb::HeaderMutation proto;
    append(*proto.mutable_mutations()->mutable_request_mutations(), name, "v");
    plugins.http_filter(proto);
    ASSERT_FALSE(plugins.error_texts().empty()) << name;
    EXPECT_TRUE(plugins.error_texts()[0].starts_with("mutations.request_mutations[0].append.header.key: "))
        << plugins.error_texts()[0];
  }
  PluginScope plugins;
  pb::HeaderMutation proto;
  append(*proto.mutable_mutations()->mutable_request_mutations(), "x", "%NOT_AN_OPERATOR%");
  append(*proto.mutable_mutations()->mutable_request_mutations(), "x", "line\nfeed");
  proto.mutable_mutations()->add_response_mutations();
  proto.mutable_mutations()->add_response_mutations()->set_remove("host");
  append(*proto.mutable_mutations()->mutable_response_mutations(), "x", "a", Option::ADD_IF_ABSENT);
  Option& both = *proto.mutable_mutations()->mutable_response_mutations(2)->mutable_append();
  both.mutable_append()->set_value(true);
  both.mutable_header()->set_raw_value("b");
  plugins.http_filter(proto);
  ASSERT_EQ(plugins.error_texts().size(), 6u);
  const std::string place = "mutations.response_mutations";
  EXPECT_EQ(plugins.error_texts()[3],
            place + "[1].remove: \"host\" may not be added, changed or removed here; use host_rewrite_literal");
  EXPECT_EQ(plugins.error_texts()[4], place + "[2].append.header.raw_value: value and raw_value exclude each other");
  EXPECT_EQ(plugins.error_texts()[5],
            place + "[2].append.append: append and append_action exclude each other; append_action is the newer one");
}

}  // namespace
}  // namespace weir::test
