// What requests are counted as by local_ratelimit: descriptors, the values in them, and how much each request counts.
#include "core/stream/metadata.h"
#include "test/filters/http/local_ratelimit_fixture.h"

namespace weir::test {
namespace {

// A descriptor that each kind of action makes. Its bucket is empty after one request.
struct Kind {
  std::string actions;
  std::string entries;
  std::string path = "/";
  Headers headers{};
  bool counted = true;
};

// field: Action.generic_key, GenericKey.descriptor_value, GenericKey.descriptor_key, Action.remote_address
// field: Action.masked_remote_address, MaskedRemoteAddress.v4_prefix_mask_len, MaskedRemoteAddress.v6_prefix_mask_len
// field: Action.destination_cluster, Action.header_value_match, HeaderValueMatch.descriptor_value
// field: HeaderValueMatch.descriptor_key, HeaderValueMatch.expect_match, HeaderValueMatch.headers
// field: Action.query_parameters, QueryParameters.query_parameter_name, QueryParameters.descriptor_key
// field: QueryParameters.skip_if_absent, RequestHeaders.skip_if_absent, Action.query_parameter_value_match
// field: QueryParameterValueMatch.descriptor_value, QueryParameterValueMatch.descriptor_key
// field: QueryParameterValueMatch.expect_match, QueryParameterValueMatch.query_parameters, Action.source_cluster
// field: GenericKey.default_value, HeaderValueMatch.default_value, QueryParameterValueMatch.default_value
TEST(LocalRateLimit, ActionsMakeDescriptors) {
  const char* by_header = "actions { request_headers { header_name: 'x-a' descriptor_key: 'a' } }";
  const char* perhaps_header =
      "actions { generic_key { descriptor_value: 'v' } } actions { request_headers { header_name: 'x-a' "
      "descriptor_key: "
      "'a' skip_if_absent: true } }";
  const char* by_query = "actions { query_parameters { query_parameter_name: 'q' descriptor_key: 'a' } }";
  const char* perhaps_query =
      "actions { generic_key { descriptor_value: 'v' } } actions { query_parameters { query_parameter_name: 'q' "
      "descriptor_key: 'a' skip_if_absent: true } }";
  const char* has_a =
      "actions { header_value_match { descriptor_value: 'v' headers { name: 'x-a' present_match: true } } }";
  const char* has_no_a =
      "actions { header_value_match { descriptor_key: 'k' descriptor_value: 'v' expect_match { value: false } headers "
      "{ "
      "name: 'x-a' present_match: true } } }";
  const char* has_q =
      "actions { query_parameter_value_match { descriptor_value: 'v' query_parameters { name: 'q' string_match { "
      "exact: "
      "'1' } } } }";
  const char* has_no_q =
      "actions { query_parameter_value_match { descriptor_key: 'k' descriptor_value: 'v' expect_match { value: false } "
      "query_parameters { name: 'q' string_match { exact: '1' } } } }";
  const Kind kinds[] = {
      {"actions { generic_key { descriptor_value: 'v' } }", entry("generic_key", "v")},
      {"actions { generic_key { descriptor_value: 'v' descriptor_key: 'k' } }", entry("k", "v")},
      {"actions { generic_key { descriptor_value: 'v' } }", entry("generic_key", "w"), "/", {}, false},
      // Formats, and what stands for what they make nothing of.
      {"actions { generic_key { descriptor_value: 'a-%REQ(x-a)%' } }",
       entry("generic_key", "a-1"),
       "/",
       {{"x-a", "1"}}},
      {"actions { generic_key { descriptor_value: '100%%' } }", entry("generic_key", "100%")},
      {"actions { generic_key { descriptor_value: '%REQ(x-a)%' } }", entry("generic_key", "-"), "/", {}, false},
      {"actions { generic_key { descriptor_value: '%REQ(x-a)%' default_value: 'd' } }", entry("generic_key", "d")},
      {"actions { generic_key { descriptor_value: '%REQ(x-a)%' default_value: 'd' } }",
       entry("generic_key", "d"),
       "/",
       {{"x-a", "1"}},
       false},
      {"actions { header_value_match { descriptor_value: '%REQ(x-b)%' default_value: 'd' headers { name: 'x-a' } } }",
       entry("header_match", "d"),
       "/",
       {{"x-a", "1"}}},
      {"actions { header_value_match { descriptor_value: '%REQ(x-b)%' default_value: 'd' headers { name: 'x-a' } } }",
       entry("header_match", "2"),
       "/",
       {{"x-a", "1"}, {"x-b", "2"}}},
      {"actions { query_parameter_value_match { descriptor_value: '%REQ(x-b)%' default_value: 'd' query_parameters { "
       "name: 'q' } } }",
       entry("query_match", "d"), "/?q=1"},
      {"actions { source_cluster {} }", entry("source_cluster", "the-edge")},
      {"actions { remote_address {} }", entry("remote_address", "10.1.2.3")},
      {"actions { masked_remote_address {} }", entry("masked_remote_address", "10.1.2.3/32")},
      {"actions { masked_remote_address { v4_prefix_mask_len { value: 8 } } }",
       entry("masked_remote_address", "10.0.0.0/8")},
      {"actions { destination_cluster {} }", entry("destination_cluster", "shop")},
      {by_header, entry("a", "1"), "/", {{"x-a", "1"}}},
      {by_header, entry("a", "1"), "/", {{"x-a", "1"}, {"x-a", "2"}}},
      {by_header, entry("a", "1,2"), "/", {{"x-a", "1"}, {"x-a", "2"}}, false},
      {by_header, entry("a", "1"), "/", {}, false},
      {perhaps_header, entry("generic_key", "v") + entry("a", "1"), "/", {{"x-a", "1"}}},
      {perhaps_header, entry("generic_key", "v")},
      {perhaps_header, entry("a", "1") + entry("generic_key", "v"), "/", {{"x-a", "1"}}, false},  // the order counts
      {by_query, entry("a", "1"), "/?q=1"},
      {by_query, entry("a", "1"), "/?p=1", {}, false},
      {perhaps_query, entry("generic_key", "v"), "/?p=1"},
      // Encoded, a name and a value are the same.
      {by_query, entry("a", "a b"), "/?%71=a%20%62"},
      {by_query, entry("a", "%31"), "/?q=%31", {}, false},
      {has_q, entry("query_match", "v"), "/?q=%31"},
      {has_q, entry("query_match", "v"), "/?%71=1"},
      {has_no_q, entry("k", "v"), "/?%71=%31", {}, false},
      {has_a, entry("header_match", "v"), "/", {{"x-a", "1"}}},
      {has_a, entry("header_match", "v"), "/", {}, false},
      {has_no_a, entry("k", "v")},
      {has_no_a, entry("k", "v"), "/", {{"x-a", "1"}}, false},
      {has_q, entry("query_match", "v"), "/?q=1"},
      {has_q, entry("query_match", "v"), "/?q=2", {}, false},
      {has_no_q, entry("k", "v"), "/?q=2"},
      {has_no_q, entry("k", "v"), "/?q=1", {}, false},
  };
  for (const Kind& kind : kinds) {
    Limit limit{.config = kOn + descriptor(kind.entries, 1) + "rate_limits { " + kind.actions + " }"};
    limit.cluster = "shop";
    EXPECT_EQ(limit.of_ten(kind.path, kind.headers), kind.counted ? 1 : 10)
        << kind.actions << kind.entries << kind.path;
  }
  Limit six{.config = kOn + descriptor(entry("masked_remote_address", "2001:db8::/32"), 1) +
                      "rate_limits { actions { masked_remote_address { v6_prefix_mask_len { value: 32 } } } }"};
  six.remote = "2001:db8:1::7";
  EXPECT_EQ(six.of_ten(), 1);
}

// What a request's metadata, or that of its route, makes of it.
// field: Action.metadata, Action.dynamic_metadata, MetaData.descriptor_key, MetaData.metadata_key, MetaData.source
// field: MetaData.default_value, MetaData.skip_if_absent, DynamicMetaData.descriptor_key, DynamicMetaData.metadata_key
// field: DynamicMetaData.default_value, MetadataKey.key, MetadataKey.path, MetadataKey.PathSegment.key
TEST(LocalRateLimit, MetadataMakesDescriptors) {
  const auto metadata = [](const std::string& key, const std::string& more = "", const char* kind = "metadata") {
    return std::string("actions { ") + kind +
           " { descriptor_key: 'm' metadata_key { key: 'ns' path { key: 'a' } path { key: '" + key + "' } } " + more +
           " } }";
  };
  const std::string generic = "actions { generic_key { descriptor_value: 'v' } }";
  const std::string two = entry("generic_key", "v") + entry("m", "text");
  const Kind kinds[] = {
      {metadata("s"), entry("m", "text")},
      {metadata("s", "", "dynamic_metadata"), entry("m", "text")},
      {metadata("s", "source: ROUTE_ENTRY"), entry("m", "of the route")},
      {metadata("n"), entry("m", "7"), "/", {}, false},  // texts alone count, as published
      {metadata("e"), entry("m", "d"), "/", {}, false},
      {metadata("e", "default_value: 'd'"), entry("m", "d")},
      {metadata("none", "default_value: 'd'"), entry("m", "d")},
      {metadata("none", "default_value: 'd'", "dynamic_metadata"), entry("m", "d")},
      {metadata("s", "default_value: 'd'"), entry("m", "d"), "/", {}, false},
      {generic + metadata("s"), two},
      {generic + metadata("none"), entry("generic_key", "v"), "/", {}, false},
      {generic + metadata("none", "skip_if_absent: true"), entry("generic_key", "v")},
      {generic + metadata("s", "skip_if_absent: true"), two},
  };
  ArenaPool pool;
  Arena arena(pool);
  const auto fields = [&](std::vector<stream::Field> inner) {
    return stream::make_struct({{"a", stream::make_struct(std::move(inner), arena)}}, arena);
  };
  const stream::Value of_request = fields({{"s", stream::Value::of_string("text")},
                                           {"n", stream::Value::of_number(7)},
                                           {"e", stream::Value::of_string("")}});
  const stream::Value of_route =
      stream::make_struct({{"ns", fields({{"s", stream::Value::of_string("of the route")}})}}, arena);
  for (const Kind& kind : kinds) {
    Limit limit{.config = kOn + descriptor(kind.entries, 1) + "rate_limits { " + kind.actions + " }"};
    limit.before = [&](FilterHarness& harness) {
      harness.stream().dynamic_metadata().set_all("ns", of_request);
      harness.stream().info().route_metadata = &of_route;
    };
    EXPECT_EQ(limit.of_ten(), kind.counted ? 1 : 10) << kind.actions << kind.entries;
    limit.before = nullptr;  // nobody has set any
    limit.entry = {};
    limit.of_ten();
  }
}

// field: RateLimit.hits_addend, HitsAddend.number, HitsAddend.format
TEST(LocalRateLimit, ARequestCountsAsMany) {
  const auto limits = [](const std::string& hits) {
    return kOn + bucket(100) + descriptor(entry("generic_key", "v"), 10) +
           "rate_limits { actions { generic_key { descriptor_value: 'v' } } hits_addend { " + hits + " } }";
  };
  EXPECT_EQ((Limit{.config = limits("number { value: 3 }")}).of_ten(), 3);
  EXPECT_EQ((Limit{.config = limits("number { value: 11 }")}).of_ten(), 0);
  Limit cost{.config = limits("format: '%REQ(x-cost)%'")};
  EXPECT_EQ(cost.of_ten("/", {{"x-cost", "4"}}), 2);
  EXPECT_EQ(cost.of_ten("/", {{"x-cost", "1.9"}}), 2);  // whole hits
  EXPECT_FALSE(cost.passes("/", {{"x-cost", "0"}}));    // it only asks whether there is a token
  Limit asks{.config = limits("number {}")};
  EXPECT_EQ(asks.of_ten(), 10);
  // What is no number does not count; the default bucket always counts one.
  for (const char* bad : {"", "x", "4x", "-1", "1000000001", "inf", "nan"}) {
    Limit limit{.config = limits("format: '%REQ(x-cost)%'")};
    EXPECT_EQ(limit.of_ten("/", {{"x-cost", bad}}), 10) << bad;
  }
}

// Counted when the stream is over, with what is known then, and never refused.
// field: RateLimit.apply_on_stream_done
TEST(LocalRateLimit, CountsWhenTheStreamIsOver) {
  const std::string budget =
      kOn + bucket(100) + descriptor(entry("generic_key", "v"), 10) +
      "rate_limits { actions { generic_key { descriptor_value: 'v' } } hits_addend { number {} } } "
      "rate_limits { apply_on_stream_done: true actions { generic_key { descriptor_value: 'v' } } "
      "hits_addend { format: '%RESP(x-used)%' } }";
  Limit limit{.config = budget};
  limit.response = {{":status", "200"}, {"x-used", "4"}};
  EXPECT_EQ(limit.of_ten(), 3);  // 4 + 4 + 4 of 10
  Limit free{.config = budget};
  free.response = {{":status", "200"}};
  EXPECT_EQ(free.of_ten(), 10);
  // Each connection keeps its buckets until then, too.
  ArenaPool arenas;
  stream::ConnectionInfo connection(arenas);
  Limit own{.config = budget + " local_rate_limit_per_downstream_connection: true"};
  own.response = limit.response;
  own.before = [&](FilterHarness& harness) { harness.set_connection(&connection); };
  EXPECT_EQ(own.of_ten(), 3);
  // The route's limits, and those that are switched off or of another stage.
  Limit route{.config = kOn + descriptor(entry("generic_key", "v"), 2)};
  const std::string counts = "apply_on_stream_done: true actions { generic_key { descriptor_value: 'v' } } ";
  const std::string asks =
      "rate_limits { actions { generic_key { descriptor_value: 'v' } } hits_addend { number {} } } ";
  route.rate_limits = {{false, asks + "rate_limits { " + counts + " }"}};
  EXPECT_EQ(route.of_ten(), 2);
  route.entry = {};
  route.rate_limits = {{false, asks + "rate_limits { stage { value: 1 } " + counts + " }"}};
  EXPECT_EQ(route.of_ten(), 10);
}

// A limit for each value that comes. Every request is a millisecond later than the one before.
struct ValueLimit : Limit {
  explicit ValueLimit(const std::string& text) : Limit{.config = kOn + text} {
    before = [this](FilterHarness& harness) { harness.lane().advance(++now * 1ms); };
  }
  bool user(const std::string& name) { return passes("/", {{"x-user", name}}); }
  int now = 0;
};

// field: LocalRateLimit.max_dynamic_descriptors
TEST(LocalRateLimit, EveryValueHasABucket) {
  const std::string any = descriptor("entries { key: 'user' } ", 2) + kByUser;
  ValueLimit limit(any + "max_dynamic_descriptors { value: 2 }");
  for (const char* name : {"a", "b"}) {
    EXPECT_TRUE(limit.user(name));
    EXPECT_TRUE(limit.user(name));
    EXPECT_FALSE(limit.user(name));
  }
  EXPECT_FALSE(limit.user("a"));
  EXPECT_TRUE(limit.user("c"));  // instead of b, which was used before a
  EXPECT_FALSE(limit.user("a"));
  EXPECT_TRUE(limit.user("b"));  // new again, instead of c
  EXPECT_TRUE(limit.passes());   // without the header there is no descriptor
  EXPECT_TRUE(limit.user(""));   // an empty value is a value
  EXPECT_TRUE(limit.user(""));
  EXPECT_FALSE(limit.user(""));
  // Twenty, if nobody says how many.
  ValueLimit usual(any);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 20; ++i) EXPECT_EQ(usual.user(std::to_string(i)), round < 2);
  }
  EXPECT_TRUE(usual.user("20"));
  EXPECT_TRUE(usual.user("0"));
}

TEST(LocalRateLimit, WhichDescriptorAValueBelongsTo) {
  const std::string both =
      "rate_limits { actions { request_headers { header_name: 'x-user' descriptor_key: 'user' } } "
      "actions { request_headers { header_name: ':path' descriptor_key: 'path' } } } ";
  // What names its values comes first, then the order of the configuration.
  ValueLimit limit(descriptor("entries { key: 'user' } " + entry("path", "/a"), 1) +
                   descriptor(entry("user", "root") + entry("path", "/a"), 3) +
                   descriptor("entries { key: 'user' } entries { key: 'path' } ", 2) +
                   descriptor("entries { key: 'path' } entries { key: 'user' } ", 9) +  // another order: never met
                   descriptor("entries { key: 'user' } ", 9) + both);
  EXPECT_EQ(limit.of_ten("/a", {{"x-user", "root"}}), 3);
  EXPECT_EQ(limit.of_ten("/a", {{"x-user", "u"}}), 1);
  EXPECT_EQ(limit.of_ten("/b", {{"x-user", "u"}}), 2);
  EXPECT_EQ(limit.of_ten("/c", {{"x-user", "u"}}), 2);
  // Where one value ends and the next begins counts.
  EXPECT_EQ(limit.of_ten("/c", {{"x-user", "u/"}}), 2);
}

TEST(LocalRateLimit, ValuesCostNoMoreThanTheirTable) {
  // Every value is another one and as long as a header may be: the bucket behind it is what it is for others, and the
  // default bucket holds for all of them together.
  ValueLimit limit(bucket(60) + descriptor("entries { key: 'user' } ", 1) + kByUser);
  const std::string long_value(64 * 1024, 'x');
  int passed = 0;
  for (int i = 0; i < 100; ++i) passed += limit.user(long_value + std::to_string(i));
  EXPECT_EQ(passed, 60);
  ValueLimit one(descriptor("entries { key: 'user' } ", 1) + kByUser);
  EXPECT_TRUE(one.user(long_value + "a"));
  EXPECT_FALSE(one.user(long_value + "a"));
  EXPECT_TRUE(one.user(long_value + "b"));
}

TEST(LocalRateLimit, EachConnectionHasItsOwnValues) {
  ArenaPool arenas;
  stream::ConnectionInfo one(arenas), other(arenas);
  stream::ConnectionInfo* connection = &one;
  ValueLimit limit(descriptor("entries { key: 'user' } ", 1) + kByUser +
                   "local_rate_limit_per_downstream_connection: true max_dynamic_descriptors { value: 2 }");
  limit.before = [&](FilterHarness& harness) {
    harness.lane().advance(++limit.now * 1ms);
    harness.set_connection(connection);
  };
  EXPECT_TRUE(limit.user("a"));
  EXPECT_FALSE(limit.user("a"));
  connection = &other;
  EXPECT_TRUE(limit.user("a"));
  connection = &one;
  EXPECT_FALSE(limit.user("a"));
  // Other descriptors after a reload: the memory of the connection is used anew, or there is more of it.
  limit.config += descriptor(entry("x", "y"), 1) + descriptor("entries { key: 'z' } ", 1);
  limit.entry = {};
  EXPECT_TRUE(limit.user("a"));
  EXPECT_TRUE(limit.user("b"));
  EXPECT_FALSE(limit.user("a"));
}

}  // namespace
}  // namespace weir::test
