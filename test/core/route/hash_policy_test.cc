#include "core/route/hash_policy.h"

#include <gtest/gtest.h>

#include <bit>

#include "core/base/xxhash.h"
#include "core/stream/filter_state.h"
#include "test/core/route/test_request.h"

namespace weir::route {
namespace {

using Kind = HashPolicySpec::Kind;

HashPolicySpec by(Kind kind, std::string name = "") {
  HashPolicySpec spec;
  spec.kind = kind;
  spec.name = std::move(name);
  return spec;
}
HashPolicySpec header(std::string name) { return by(Kind::kHeader, std::move(name)); }

class HashPolicyTest : public ::testing::Test {
 protected:
  HashPolicyTest() {
    info_.downstream_remote = *net::Address::from_ip("198.51.100.7", 1234);
    info_.downstream_direct_remote = *net::Address::from_ip("10.0.0.9", 4000);
    info_.downstream_local = *net::Address::from_ip("10.0.0.1", 80);
  }
  template <class... Specs>
  std::unique_ptr<const HashPolicies> build(Specs... specs) {
    std::vector<HashPolicySpec> list;
    (list.push_back(std::move(specs)), ...);
    ErrorSink errors;
    auto policies = HashPolicies::build(std::move(list), errors);
    errors_.clear();
    for (const BuildError& error : errors.errors()) errors_ += error.path + ": " + error.message + "\n";
    return policies;
  }
  template <class... Specs>
  std::optional<uint64_t> hash(TestRequest& request, Specs... specs) {
    cookies_ = nullptr;
    auto result = build(std::move(specs)...)->hash(request.headers(), info_, request.arena(), &cookies_);
    EXPECT_EQ(errors_, "");
    return result;
  }

  stream::StreamInfo info_;
  const NewCookie* cookies_ = nullptr;
  std::string errors_;
};

TEST_F(HashPolicyTest, NoneAtAll) {
  EXPECT_EQ(build(), nullptr);
  TestRequest request("/");
  EXPECT_EQ(hash(request, by(Kind::kNothing)), std::nullopt);
}

// field: RouteAction.HashPolicy.header, HashPolicy.Header.header_name
TEST_F(HashPolicyTest, Header) {
  TestRequest request("/", "shop.example", {{"x-user", "ann"}});
  EXPECT_EQ(hash(request, header("X-User")), xxhash64("ann"));
  EXPECT_EQ(hash(request, header("host")), xxhash64("shop.example"));
  EXPECT_EQ(hash(request, header("x-other")), std::nullopt);
}

// As published: in whatever order the lines come.
TEST_F(HashPolicyTest, HeaderOfSeveralLines) {
  TestRequest one("/", "a.example", {{"x-user", "bob"}, {"x-other", "1"}, {"x-user", "ann"}});
  TestRequest two("/", "a.example", {{"x-user", "ann"}, {"x-user", "bob"}});
  EXPECT_EQ(hash(one, header("x-user")), xxhash64("annbob"));
  EXPECT_EQ(hash(two, header("x-user")), xxhash64("annbob"));
  TestRequest cookies("/", "a.example", {{"cookie", "b=2"}, {"cookie", "a=1"}});
  EXPECT_EQ(hash(cookies, header("cookie")), xxhash64("a=1b=2"));
}

// field: HashPolicy.Header.regex_rewrite
TEST_F(HashPolicyTest, HeaderRewritten) {
  TestRequest request("/", "a.example", {{"x-path", "/users/17/photos/4"}});
  HashPolicySpec spec = header("x-path");
  spec.rewrite = match::RegexRewriteSpec{"^/users/([0-9]+)/.*$", "\\1"};
  EXPECT_EQ(hash(request, spec), xxhash64("17"));
  spec.rewrite = match::RegexRewriteSpec{"(", ""};
  build(spec);
  EXPECT_NE(errors_.find("hash_policy[0].header.regex_rewrite.pattern.regex: "), std::string::npos) << errors_;
}

// field: RouteAction.HashPolicy.query_parameter, HashPolicy.QueryParameter.name
TEST_F(HashPolicyTest, QueryParameter) {
  TestRequest request("/p?user=ann&user=bob&empty=&userx=1#user=no");
  EXPECT_EQ(hash(request, by(Kind::kQueryParameter, "user")), xxhash64("ann"));
  EXPECT_EQ(hash(request, by(Kind::kQueryParameter, "empty")), xxhash64(""));
  EXPECT_EQ(hash(request, by(Kind::kQueryParameter, "use")), std::nullopt);
  TestRequest bare("/p");
  EXPECT_EQ(hash(bare, by(Kind::kQueryParameter, "user")), std::nullopt);
}

// field: RouteAction.HashPolicy.connection_properties, HashPolicy.ConnectionProperties.source_ip
TEST_F(HashPolicyTest, SourceIp) {
  TestRequest request("/");
  EXPECT_EQ(hash(request, by(Kind::kSourceIp)), xxhash64("198.51.100.7"));
  info_.downstream_remote = *net::Address::from_unix("/client");
  EXPECT_EQ(hash(request, by(Kind::kSourceIp)), std::nullopt);
}

// field: RouteAction.HashPolicy.filter_state, route.v3.RouteAction.HashPolicy.FilterState.key
TEST_F(HashPolicyTest, FilterState) {
  TestRequest request("/");
  EXPECT_EQ(hash(request, by(Kind::kFilterState, "user")), std::nullopt);
  stream::FilterState state(request.arena(), nullptr);
  state.set(stream::FilterStateName("user"), stream::FilterStateValue::of_string("ann"), {});
  state.set(stream::FilterStateName("number"), stream::FilterStateValue::of_unsigned(17), {});
  info_.filter_state = &state;
  EXPECT_EQ(hash(request, by(Kind::kFilterState, "user")), xxhash64("ann"));
  EXPECT_EQ(hash(request, by(Kind::kFilterState, "number")), xxhash64("17"));
}

// field: RouteAction.HashPolicy.cookie, HashPolicy.Cookie.name
TEST_F(HashPolicyTest, Cookie) {
  TestRequest request("/", "a.example", {{"cookie", "a=1; sid=\"x7\""}});
  EXPECT_EQ(hash(request, by(Kind::kCookie, "sid")), xxhash64("x7"));
  EXPECT_EQ(hash(request, by(Kind::kCookie, "other")), std::nullopt);
  EXPECT_EQ(cookies_, nullptr);
}

// field: HashPolicy.Cookie.ttl, HashPolicy.Cookie.path, HashPolicy.Cookie.attributes
// field: HashPolicy.CookieAttribute.name, HashPolicy.CookieAttribute.value
TEST_F(HashPolicyTest, CookieThatIsMade) {
  TestRequest request("/");
  HashPolicySpec spec = by(Kind::kCookie, "sid");
  spec.ttl = 90s;
  spec.path = "/shop";
  spec.attributes = {{"SameSite", "Strict"}, {"Secure", ""}};
  const auto made = hash(request, spec);
  // Of the connection, in hexadecimal: the same for all its requests.
  char value[17];
  snprintf(value, sizeof value, "%016llx", static_cast<unsigned long long>(xxhash64("10.0.0.9:400010.0.0.1:80")));
  EXPECT_EQ(made, xxhash64(value));
  ASSERT_NE(cookies_, nullptr);
  EXPECT_EQ(cookies_->set_cookie,
            "sid=\"" + std::string(value) + "\"; Max-Age=90; Path=/shop; SameSite=Strict; Secure; HttpOnly");
  EXPECT_EQ(cookies_->next, nullptr);
  EXPECT_EQ(hash(request, spec), made);
  // The client comes back with it.
  TestRequest again("/", "a.example", {{"cookie", "sid=" + std::string(value)}});
  EXPECT_EQ(hash(again, spec), made);
  EXPECT_EQ(cookies_, nullptr);
  spec.ttl = Duration::zero();
  spec.path.clear();
  spec.attributes.clear();
  (void)hash(request, spec);
  EXPECT_EQ(cookies_->set_cookie, "sid=\"" + std::string(value) + "\"; HttpOnly");
  // Where nobody could send it, none is made.
  EXPECT_EQ(build(spec)->hash(request.headers(), info_, request.arena(), nullptr), std::nullopt);
}

TEST_F(HashPolicyTest, CookiesThatWouldSplitTheResponseAreRefused) {
  HashPolicySpec spec = by(Kind::kCookie, "s id");
  spec.ttl = -1s;
  spec.path = "/a;b";
  spec.attributes = {{"a=b", "x"}, {"c", "d\r\ne"}};
  build(spec);
  EXPECT_EQ(errors_,
            "hash_policy[0].cookie.name: \"s id\" is not the name of a cookie\n"
            "hash_policy[0].cookie.path: \"/a;b\" has a ; or a control character\n"
            "hash_policy[0].cookie.ttl: must not be negative\n"
            "hash_policy[0].cookie.attributes[0].name: \"a=b\" is not the name of an attribute\n"
            "hash_policy[0].cookie.attributes[1].value: \"d\r\ne\" has a ; or a control character\n");
}

// As published: what came before is rotated by one.
TEST_F(HashPolicyTest, SeveralCountTogether) {
  TestRequest request("/", "a.example", {{"x-a", "1"}, {"x-b", "2"}});
  EXPECT_EQ(hash(request, header("x-a"), header("x-b")), std::rotl(xxhash64("1"), 1) ^ xxhash64("2"));
  EXPECT_EQ(hash(request, header("x-none"), header("x-b")), xxhash64("2"));
  EXPECT_NE(hash(request, header("x-a"), header("x-a")), 0u);
}

// field: RouteAction.HashPolicy.terminal
TEST_F(HashPolicyTest, TerminalOnesEndTheListOnceThereIsAHash) {
  HashPolicySpec first = header("x-a");
  first.terminal = true;
  TestRequest both("/", "a.example", {{"x-a", "1"}, {"x-b", "2"}});
  EXPECT_EQ(hash(both, first, header("x-b")), xxhash64("1"));
  TestRequest second("/", "a.example", {{"x-b", "2"}});
  EXPECT_EQ(hash(second, first, header("x-b")), xxhash64("2"));
}

// field: WeightedCluster.use_hash_policy
TEST_F(HashPolicyTest, WeightedClustersByTheHash) {
  for (const bool by_hash : {true, false}) {
    RouteSpec route = prefix_route("/", "");
    route.forward.weighted_clusters.resize(2);
    route.forward.weighted_clusters[0].name = "a";
    route.forward.weighted_clusters[0].weight = 25;
    route.forward.weighted_clusters[1].name = "b";
    route.forward.weighted_clusters[1].weight = 75;
    route.forward.weight_by_hash = by_hash;
    route.forward.hash_policies.push_back(header("x-user"));
    auto table = RouteTable::build(one_host(std::move(route)));
    ASSERT_TRUE(table.ok()) << table.status();
    int same = 0;
    for (int user = 0; user < 200; ++user) {
      const std::string name = std::to_string(user);
      TestRequest request("/", "a.example", {{"x-user", name}});
      SelectInput input;
      input.info = &info_;
      input.arena = &request.arena();
      input.random = static_cast<uint64_t>(user) * 0x9e3779b97f4a7c15;
      const WeightedCluster* chosen = (*table)->select(request.headers(), input).weighted;
      same += chosen->name == (xxhash64(name) % 100 < 25 ? "a" : "b");
    }
    EXPECT_EQ(same == 200, by_hash) << same;
  }
}

}  // namespace
}  // namespace weir::route
