#include "core/http/query.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::http {
namespace {

class QueryTest : public testing::Test {
 protected:
  template <class Change>
  std::string path_after(std::string_view path, Change&& change) {
    HeaderMap headers(arena_);
    if (!path.empty()) headers.set(HeaderId::kPath, path);
    std::string& query = take_query(headers);
    change(query);
    put_query(query, headers, arena_);
    return std::string(headers.path());
  }
  std::string path_with(std::string_view path, std::string_view name, std::string_view value) {
    return path_after(path, [&](std::string& query) { set_parameter(name, value, query); });
  }
  std::string path_without(std::string_view path, std::string_view name) {
    return path_after(path, [&](std::string& query) { replace_parameter(name, nullptr, query); });
  }

  ArenaPool pool_;
  Arena arena_{pool_};
};

TEST_F(QueryTest, ParametersAreSetAndTakenOut) {
  EXPECT_EQ(path_with("/a", "q", "1"), "/a?q=1");
  EXPECT_EQ(path_with("/a?x=%41&q=0&y&q=2", "q", "a b&c"), "/a?x=%41&q=a%20b%26c&y");
  EXPECT_EQ(path_with("/a?%71=0", "q", "1"), "/a?q=1");
  EXPECT_EQ(path_without("/a?q=0&x=1&q", "q"), "/a?x=1");
  EXPECT_EQ(path_without("/a?q", "q"), "/a");
  EXPECT_EQ(path_without("/a?queue=1", "q"), "/a?queue=1");
  EXPECT_EQ(path_with("/a?x#part", "q", "1"), "/a?x&q=1#part");
}

TEST_F(QueryTest, ParametersAreFoundDecoded) {
  EXPECT_EQ(find_decoded_parameter("role=user&role=admin", "role"), "user");
  EXPECT_EQ(find_decoded_parameter("x=1&r%6fle=%61dm%69n", "role"), "admin");
  EXPECT_EQ(find_decoded_parameter("a%26b%3Dc=d=e", "a&b=c"), "d=e");
  EXPECT_EQ(find_decoded_parameter("q=a+b%2B%zz%4", "q"), "a+b+%zz%4");
  EXPECT_EQ(find_decoded_parameter("q=%2561", "q"), "%61");
  EXPECT_EQ(find_decoded_parameter("&&a", "a"), "");
  EXPECT_NE(find_decoded_parameter("a", "a").data(), nullptr);
  EXPECT_NE(find_decoded_parameter("a=", "a").data(), nullptr);
  // What is spelled so is "a".
  EXPECT_EQ(find_decoded_parameter("%61=1", "%61").data(), nullptr);
  for (std::string_view query : {"", "ab=1", "b=a", "A=1", "%6=1"}) {
    EXPECT_EQ(find_decoded_parameter(query, "a").data(), nullptr) << query;
  }
}

// CONNECT: a query alone is no path.
TEST_F(QueryTest, ARequestWithoutAPathGoesOnHavingNone) { EXPECT_EQ(path_with("", "q", "1"), ""); }

}  // namespace
}  // namespace weir::http
