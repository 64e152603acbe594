#include <gtest/gtest.h>

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
  for (const char* name : {"", ":path", "bad name"}) {
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
  plugins.http_filter(proto);
  EXPECT_EQ(plugins.error_texts().size(), 3u);
}

}  // namespace
}  // namespace weir::test
