#include "core/server/admin/access_rules.h"

#include <gtest/gtest.h>

#include "core/base/arena.h"
#include "core/http/header_map.h"
#include "core/server/admin/message.h"

namespace weir::admin {
namespace {

TEST(AccessRules, Hosts) {
  const std::vector<std::string> names = {"edge.internal"};
  for (const char* good : {"127.0.0.1", "127.0.0.1:9901", "10.1.2.3", "[::1]", "[::1]:9901", "localhost", "LocalHost:1",
                           "localhost.", "weir.localhost:80", "edge.internal", "EDGE.internal:9901"}) {
    EXPECT_TRUE(host_allowed(good, names)) << good;
  }
  for (const char* bad : {"", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "xlocalhost", "[::1",
                          "[evil]", "0x7f.1", "edge.internal.evil.example"}) {
    EXPECT_FALSE(host_allowed(bad, names)) << bad;
  }
}

TEST(AccessRules, Origins) {
  ArenaPool pool;
  Arena arena(pool);
  auto refused = [&](const char* origin, const char* site, bool changes) {
    http::HeaderMap map(arena);
    map.add(http::HeaderId::kAuthority, "127.0.0.1:9901");
    if (origin != nullptr) map.add(http::HeaderId::kOrigin, origin);
    if (site != nullptr) map.add(http::HeaderId::kSecFetchSite, site);
    return !foreign_origin(map, changes).empty();
  };
  const auto refused_twice = [&](http::HeaderId id, const char* first, const char* second) {
    http::HeaderMap map(arena);
    map.add(http::HeaderId::kAuthority, "127.0.0.1:9901");
    map.add(id, first);
    map.add(id, second);
    return !foreign_origin(map, true).empty();
  };
  EXPECT_TRUE(refused_twice(http::HeaderId::kOrigin, "http://127.0.0.1:9901", "http://evil.example"));
  EXPECT_TRUE(refused_twice(http::HeaderId::kOrigin, "http://evil.example", "http://127.0.0.1:9901"));
  EXPECT_FALSE(refused_twice(http::HeaderId::kOrigin, "http://127.0.0.1:9901", "http://127.0.0.1:9901"));
  EXPECT_TRUE(refused_twice(http::HeaderId::kSecFetchSite, "same-origin", "cross-site"));
  EXPECT_FALSE(refused(nullptr, nullptr, true));
  EXPECT_FALSE(refused("http://127.0.0.1:9901", "same-origin", true));
  EXPECT_FALSE(refused("https://127.0.0.1:9901", nullptr, true));
  EXPECT_FALSE(refused(nullptr, "none", true));
  EXPECT_FALSE(refused(nullptr, "cross-site", false));  // a link to a page that only reads
  EXPECT_TRUE(refused(nullptr, "cross-site", true));
  EXPECT_TRUE(refused(nullptr, "same-site", true));
  EXPECT_TRUE(refused("null", nullptr, false));
  EXPECT_TRUE(refused("", nullptr, true));
  EXPECT_TRUE(refused("http://evil.example", nullptr, false));
  EXPECT_TRUE(refused("http://127.0.0.1:8080", nullptr, true));
  EXPECT_TRUE(refused("http://127.0.0.1:9901.evil.example", nullptr, true));
}

TEST(Forms, AreDecoded) {
  Parameters parameters;
  parse_form("a=1&b&c=%20+%zz%4&&=x&a=2", parameters);
  EXPECT_EQ(parameters, (Parameters{{"a", "1"}, {"b", ""}, {"c", "  %zz%4"}, {"", "x"}, {"a", "2"}}));
  AdminRequest request;
  request.parameters = parameters;
  EXPECT_EQ(request.get("a"), "1");
  EXPECT_TRUE(request.has("b"));
  EXPECT_FALSE(request.has("d"));
}

}  // namespace
}  // namespace weir::admin
