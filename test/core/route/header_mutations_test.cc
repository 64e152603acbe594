#include "core/route/header_mutations.h"

#include <gtest/gtest.h>

#include "test/core/route/test_request.h"

namespace weir::route {
namespace {

class HeaderMutationsTest : public testing::Test {
 protected:
  std::string apply(HeaderMutationsSpec spec, const TestRequest::Headers& headers = {}) {
    ErrorSink errors;
    HeaderMutations mutations = HeaderMutations::build(std::move(spec), HeaderMutations::Target::kRequest, errors);
    EXPECT_TRUE(errors.errors().empty()) << errors.errors()[0].path << errors.errors()[0].message;
    ArenaPool pool;
    Arena arena(pool);
    http::HeaderMap map(arena);
    for (const auto& [name, value] : headers) map.add_copy(name, value);
    mutations.apply(map, {.info = info_, .request = &map}, arena);
    return map.to_string();
  }
  stream::StreamInfo info_;
};

using enum AppendAction;

TEST_F(HeaderMutationsTest, AppendActions) {
  EXPECT_EQ(apply({.add = {{"X-A", "1"}}, .remove = {}}), "x-a: 1\n");
  EXPECT_EQ(apply({.add = {{"x-a", "2"}}, .remove = {}}, {{"x-a", "1"}}), "x-a: 1\nx-a: 2\n");
  EXPECT_EQ(apply({.add = {{"x-a", "2", kAddIfAbsent}}, .remove = {}}, {{"x-a", "1"}}), "x-a: 1\n");
  EXPECT_EQ(apply({.add = {{"x-a", "2", kAddIfAbsent}}, .remove = {}}), "x-a: 2\n");
  EXPECT_EQ(apply({.add = {{"x-a", "2", kOverwriteIfExistsOrAdd}}, .remove = {}}, {{"x-a", "1"}, {"x-a", "3"}}),
            "x-a: 2\n");
  EXPECT_EQ(apply({.add = {{"x-a", "2", kOverwriteIfExistsOrAdd}}, .remove = {}}), "x-a: 2\n");
  EXPECT_EQ(apply({.add = {{"x-a", "2", kOverwriteIfExists}}, .remove = {}}, {{"x-a", "1"}}), "x-a: 2\n");
  EXPECT_EQ(apply({.add = {{"x-a", "2", kOverwriteIfExists}}, .remove = {}}), "");
}

TEST_F(HeaderMutationsTest, RemovesBeforeItAdds) {
  EXPECT_EQ(apply({.add = {{"x-a", "new"}}, .remove = {"X-A"}}, {{"x-a", "1"}, {"x-b", "2"}, {"x-a", "3"}}),
            "x-b: 2\nx-a: new\n");
}

TEST_F(HeaderMutationsTest, EmptyValues) {
  EXPECT_EQ(apply({.add = {{"x-a", ""}}, .remove = {}}), "");
  EXPECT_EQ(apply({.add = {{"x-a", "", kAppendIfExistsOrAdd, true}}, .remove = {}}), "x-a: \n");
  EXPECT_EQ(apply({.add = {{"x-a", "%REQ(x-none)%"}}, .remove = {}}), "");
  EXPECT_EQ(apply({.add = {{"x-a", "%REQ(x-none)%", kAppendIfExistsOrAdd, true}}, .remove = {}}), "x-a: \n");
}

TEST_F(HeaderMutationsTest, Formats) {
  EXPECT_EQ(apply({.add = {{"x-a", "<%REQ(X-B)%>"}}, .remove = {}}, {{"x-b", "v"}}), "x-b: v\nx-a: <v>\n");
  EXPECT_EQ(apply({.add = {{"x-a", "100%%"}}, .remove = {}}), "x-a: 100%\n");
}

TEST_F(HeaderMutationsTest, ConstantValuesAreNotCopied) {
  ErrorSink errors;
  HeaderMutations mutations = HeaderMutations::build({.add = {{"x-a", "a constant of some length"}}, .remove = {}},
                                                     HeaderMutations::Target::kRequest, errors);
  ArenaPool pool;
  Arena arena(pool);
  http::HeaderMap first(arena);
  http::HeaderMap second(arena);
  mutations.apply(first, {.info = info_}, arena);
  mutations.apply(second, {.info = info_}, arena);
  http::HeaderName name("x-a");
  EXPECT_EQ(first.get(name), "a constant of some length");
  EXPECT_EQ(first.get(name).data(), second.get(name).data());
}

TEST_F(HeaderMutationsTest, Errors) {
  auto error = [](HeaderMutationsSpec spec) {
    ErrorSink errors;
    HeaderMutations::build(std::move(spec), HeaderMutations::Target::kResponse, errors);
    EXPECT_EQ(errors.errors().size(), 1u);
    return errors.errors().empty() ? "" : errors.errors()[0].path + ": " + errors.errors()[0].message;
  };
  EXPECT_EQ(error({.add = {{"", "1"}}, .remove = {}}), "response_headers_to_add[0].header.key: must not be empty");
  EXPECT_EQ(error({.add = {{"a", "1"}, {"a b", "1"}}, .remove = {}}),
            "response_headers_to_add[1].header.key: \"a b\" is not a header name");
  EXPECT_EQ(error({.add = {{":path", "1"}}, .remove = {}}).substr(0, 46),
            "response_headers_to_add[0].header.key: \":path\"");
  EXPECT_EQ(error({.add = {}, .remove = {"Host"}}).substr(0, 41), "response_headers_to_remove[0]: \"Host\" may");
  EXPECT_EQ(error({.add = {{"a", "1\r\nb: 2"}}, .remove = {}}),
            "response_headers_to_add[0].header.value: has a control character, which no header value may have");
  EXPECT_NE(error({.add = {{"a", "%NO_SUCH%"}}, .remove = {}}), "");
}

// Weighted cluster, route, virtual host, table: each overwrites the same header.
std::string last_word(bool most_specific_wins, bool response) {
  auto level = [&](std::string value) {
    MutationsSpec spec;
    HeaderMutationsSpec& side = response ? spec.response : spec.request;
    side.add = {{"x-who", value, kOverwriteIfExistsOrAdd}, {"x-all", value}};
    return spec;
  };
  RouteSpec route = prefix_route("/", "");
  route.mutations = level("route");
  WeightedClusterSpec cluster;
  cluster.name = "a";
  cluster.weight = 1;
  cluster.mutations = level("cluster");
  route.forward.weighted_clusters.push_back(std::move(cluster));
  RouteTableSpec spec = one_host(std::move(route));
  spec.virtual_hosts[0].mutations = level("host");
  spec.mutations = level("table");
  spec.most_specific_header_mutations_wins = most_specific_wins;
  auto table = RouteTable::build(std::move(spec));
  EXPECT_TRUE(table.ok()) << table.status();
  TestRequest request("/");
  Selection selection = (*table)->select(request.headers(), {});
  ArenaPool pool;
  Arena arena(pool);
  http::HeaderMap map(arena);
  stream::StreamInfo info;
  if (response) {
    selection.apply_response_mutations(map, {.info = info}, arena);
  } else {
    selection.apply_request_mutations(map, {.info = info}, arena);
  }
  return std::string(map.get(http::HeaderName("x-who"))) + " of " +
         std::string(map.get_all(http::HeaderName("x-all"), arena));
}

TEST(MutationLevels, TheLeastSpecificHasTheLastWordUnlessTurned) {
  EXPECT_EQ(last_word(false, false), "table of cluster,route,host,table");
  EXPECT_EQ(last_word(true, false), "cluster of table,host,route,cluster");
  EXPECT_EQ(last_word(false, true), "table of cluster,route,host,table");
  EXPECT_EQ(last_word(true, true), "cluster of table,host,route,cluster");
}

TEST(MutationLevels, WithoutARouteTheLevelsAboveApply) {
  RouteTableSpec spec = one_host();
  spec.virtual_hosts[0].mutations.response.add = {{"x-a", "host"}};
  auto table = RouteTable::build(std::move(spec));
  ASSERT_TRUE(table.ok());
  TestRequest request("/");
  ArenaPool pool;
  Arena arena(pool);
  http::HeaderMap map(arena);
  stream::StreamInfo info;
  (*table)->select(request.headers(), {}).apply_response_mutations(map, {.info = info}, arena);
  EXPECT_EQ(map.to_string(), "x-a: host\n");
  Selection{}.apply_response_mutations(map, {.info = info}, arena);
}

}  // namespace
}  // namespace weir::route
