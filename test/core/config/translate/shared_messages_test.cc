#include "core/config/shared_messages.h"

#include "core/filter/config_translator.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/type/matcher/v3/filter_state.pb.h"
#include "envoy/type/matcher/v3/metadata.pb.h"
#include "envoy/type/matcher/v3/path.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"
#include "envoy/type/matcher/v3/value.pb.h"
#include "envoy/type/v3/percent.pb.h"
#include "test/core/config/translate/translate_test.h"

namespace weir::config {
namespace {

namespace core_v3 = envoy::config::core::v3;
namespace matcher_v3 = envoy::type::matcher::v3;
namespace route_v3 = envoy::config::route::v3;

class SharedMessagesTest : public TranslateTest {
 protected:
  filter::ConfigTranslator& translator() { return report_.translator(); }
  // What a string matcher says to a text, or what was said of it.
  std::string string(const std::string& message, const std::string& text) {
    const auto proto = test::parsed<matcher_v3::StringMatcher>(message);
    report_.check(proto, "m");
    auto made = translator().string_matcher(proto, "m");
    if (!made) return said();
    return made->matches(text) ? "yes" : "no";
  }
  std::string value(const std::string& message, const stream::Value& value) {
    auto made = translate(test::parsed<matcher_v3::ValueMatcher>(message), FieldReport{report_, "m"});
    if (!made) return said();
    return made->matches(&value) ? "yes" : "no";
  }
  ArenaPool pool_;
  Arena arena_{pool_};
};

TEST_F(SharedMessagesTest, Strings) {
  EXPECT_EQ(string("exact: 'a'", "a"), "yes");
  EXPECT_EQ(string("prefix: 'A' ignore_case: true", "ab"), "yes");
  EXPECT_EQ(string("suffix: 'b'", "ab"), "yes");
  EXPECT_EQ(string("contains: 'x'", "ab"), "no");
  EXPECT_EQ(string("safe_regex { regex: 'a+' }", "aa"), "yes");
  EXPECT_EQ(string("", "a"), "m: needs one of exact, prefix, suffix, contains and safe_regex\n");
  EXPECT_EQ(string("prefix: ''", "a"), "m.prefix: must not be empty\n");
  EXPECT_EQ(string("safe_regex { regex: '[' }", "a"), "m.safe_regex: missing ] at character 1 (\"[\")\n");
  EXPECT_EQ(string("custom { name: 'x' }", "a"), "m.custom: not supported by weir yet\n");
}

// field: ValueMatcher.null_match, ValueMatcher.double_match, ValueMatcher.string_match, ValueMatcher.bool_match
// field: ValueMatcher.present_match, ValueMatcher.list_match, ValueMatcher.or_match, DoubleMatcher.range
// field: DoubleMatcher.exact, DoubleRange.start, DoubleRange.end, ListMatcher.one_of, OrMatcher.value_matchers
TEST_F(SharedMessagesTest, Values) {
  using stream::Value;
  EXPECT_EQ(value("null_match {}", Value()), "yes");
  EXPECT_EQ(value("double_match { exact: 5 }", Value::of_number(5)), "yes");
  EXPECT_EQ(value("double_match { range { start: 5 end: 6 } }", Value::of_number(6)), "no");
  EXPECT_EQ(value("double_match { range { start: 5 end: 6 } }", Value::of_number(5)), "yes");
  EXPECT_EQ(value("double_match { range { start: 5 end: 6 } }", Value::of_number(4)), "no");
  EXPECT_EQ(value("string_match { exact: 'a' }", Value::of_string("a")), "yes");
  EXPECT_EQ(value("bool_match: false", Value::of_bool(false)), "yes");
  EXPECT_EQ(value("present_match: true", Value::of_bool(false)), "yes");
  const Value items[] = {Value::of_number(1)};
  EXPECT_EQ(value("list_match { one_of { double_match { exact: 1 } } }", Value::of_list(items)), "yes");
  EXPECT_EQ(
      value("or_match { value_matchers { null_match {} } value_matchers { bool_match: true } }", Value::of_bool(true)),
      "yes");
  EXPECT_EQ(
      value("or_match { value_matchers { null_match {} } value_matchers { string_match { prefix: '' } } }", Value()),
      "m.or_match.value_matchers[1].string_match.prefix: must not be empty\n");
  EXPECT_EQ(value("or_match { value_matchers { null_match {} } }", Value()),
            "m.or_match.value_matchers: must have two items at least\n");
  EXPECT_EQ(value("double_match {}", Value()), "m.double_match: needs either range or exact\n");
  EXPECT_EQ(value("list_match {}", Value()),
            "m.list_match.one_of: needs one of null_match, double_match, string_match, bool_match, present_match, "
            "list_match and or_match\n");
}

// field: MetadataMatcher.filter, MetadataMatcher.path, MetadataMatcher.value, MetadataMatcher.invert
// field: MetadataMatcher.PathSegment.key
TEST_F(SharedMessagesTest, MetadataMatchers) {
  stream::Metadata metadata(arena_);
  metadata.set("ns", "a", stream::make_struct({{"b", stream::Value::of_string("x")}}, arena_));
  auto made = translator().metadata_matcher(
      test::parsed<matcher_v3::MetadataMatcher>(
          "filter: 'ns' path { key: 'a' } path { key: 'b' } value { string_match { exact: 'x' } } invert: true"),
      "m");
  ASSERT_TRUE(made);
  EXPECT_FALSE(made->matches(&metadata.root()));
  EXPECT_TRUE(made->matches(nullptr));
  EXPECT_FALSE(translator().metadata_matcher(test::parsed<matcher_v3::MetadataMatcher>("path { }"), "m"));
  EXPECT_EQ(said(),
            "m.filter: must not be empty: the namespace of the metadata\n"
            "m.path[0].key: must not be empty\n"
            "m.value: needs one of null_match, double_match, string_match, bool_match, present_match, list_match and "
            "or_match\n");
  EXPECT_FALSE(translator().metadata_matcher(
      test::parsed<matcher_v3::MetadataMatcher>("filter: 'ns' value { null_match {} }"), "m"));
  EXPECT_EQ(said(), "m.path: must have one item at least: the keys that lead to the value\n");
}

// field: FilterStateMatcher.key, FilterStateMatcher.string_match, FilterStateMatcher.address_match
// field: AddressMatcher.ranges
TEST_F(SharedMessagesTest, FilterStateMatchers) {
  auto make = [&](const std::string& text) {
    return translator().filter_state_matcher(test::parsed<matcher_v3::FilterStateMatcher>(text), "m");
  };
  stream::FilterState state(arena_, nullptr);
  stream::StreamInfo info;
  info.filter_state = &state;
  net::Address address = *net::Address::from_ip("10.1.2.3", 80);
  state.set(stream::FilterStateName("sm.address"), stream::FilterStateValue::of_address(address), {});
  auto in_range =
      make("key: 'sm.address' address_match { ranges { address_prefix: '10.0.0.0' prefix_len { value: 8 } } }");
  auto text = make("key: 'sm.address' string_match { prefix: '10.1' }");
  ASSERT_TRUE(in_range && text);
  EXPECT_TRUE(in_range->matches(info));
  EXPECT_TRUE(text->matches(info));
  EXPECT_FALSE(make("string_match { exact: '' }"));
  EXPECT_EQ(said(), "m.key: must not be empty: the name of the object\n");
  EXPECT_FALSE(make("key: 'k'"));
  EXPECT_EQ(said(), "m: needs either string_match or address_match\n");
  EXPECT_FALSE(make("key: 'k' address_match { ranges { address_prefix: '10' } }"));
  EXPECT_EQ(said(), "m.address_match.ranges[0].address_prefix: \"10\" is not an IP address\n");
}

TEST_F(SharedMessagesTest, HeadersToAdd) {
  const auto added = [&](const std::string& message) {
    auto made = translator().header_value(test::parsed<core_v3::HeaderValueOption>(message), "m");
    if (!made) return said();
    http::HeaderMap headers(arena_);
    headers.add_copy("x-a", "old");
    made->apply(headers, {.info = stream::StreamInfo{}}, arena_);
    return headers.to_string() + said();
  };
  EXPECT_EQ(added("header { key: 'X-A' value: 'new' }"), "x-a: old\nx-a: new\n");
  EXPECT_EQ(added("header { key: 'x-a' raw_value: '100%%' } append { value: false }"), "x-a: 100%\n");
  EXPECT_EQ(added("header { key: 'x-b' value: '1' } append_action: OVERWRITE_IF_EXISTS"), "x-a: old\n");
  EXPECT_EQ(added("header { key: 'x-a' value: '%RESPONSE_FLAGS%' } append_action: ADD_IF_ABSENT"), "x-a: old\n");
  EXPECT_EQ(added("header { key: 'x-b' } keep_empty_value: true"), "x-a: old\nx-b: \n");
  const std::string not_here = "\" may not be added, changed or removed here";
  EXPECT_EQ(added("header { key: 'Host' value: 'a' }"),
            "m.header.key: \"Host" + not_here + "; use host_rewrite_literal\n");
  EXPECT_EQ(added("header { key: ':path' value: 'a' }"),
            "m.header.key: \":path" + not_here + "; use prefix_rewrite or regex_rewrite\n");
  EXPECT_EQ(added("header { key: ':status' value: '200' }"), "m.header.key: \":status" + not_here + "\n");
  EXPECT_EQ(added("header { key: 'Transfer-Encoding' value: 'chunked' }"),
            "m.header.key: \"Transfer-Encoding\" may not be added or changed: it follows from the body that is sent\n");
  EXPECT_EQ(added("header { key: 'a b' value: '%NO%' }").substr(0, 61),
            "m.header.key: \"a b\" is not a header name\nm.header.value: %NO%");
  EXPECT_EQ(added("header { key: 'x' value: 'a\\nb' }"),
            "m.header.value: has a control character, which no header value may have\n");
  EXPECT_EQ(added("header { key: 'x' value: 'a' raw_value: 'b' }"),
            "x-a: old\nx: b\nm.header.raw_value: value and raw_value exclude each other\n");
  EXPECT_EQ(added("header { key: 'x' value: 'a' } append { value: true } append_action: ADD_IF_ABSENT"),
            "x-a: old\nx: a\nm.append: append and append_action exclude each other; append_action is the newer one\n");
}

// field: CookieMatcher.name, CookieMatcher.string_match, CookieMatcher.invert_match, PathMatcher.path
TEST_F(SharedMessagesTest, HeadersCookiesAndPaths) {
  http::HeaderMap request(arena_);
  request.add_copy("x-a", "5");
  request.add_copy("cookie", "c=1");
  auto header = translator().header_matcher(
      test::parsed<route_v3::HeaderMatcher>("name: 'x-a' range_match { start: 5 end: 6 }"), "m");
  ASSERT_TRUE(header);
  EXPECT_TRUE(header->matches(request));
  EXPECT_FALSE(translator().header_matcher(
      test::parsed<route_v3::HeaderMatcher>("name: 'x-a' string_match { suffix: '' }"), "m"));
  EXPECT_EQ(said(), "m.string_match.suffix: must not be empty\n");
  EXPECT_FALSE(translator().header_matcher(test::parsed<route_v3::HeaderMatcher>("name: ''"), "m"));
  EXPECT_EQ(said(), "m: name: must not be empty\n");
  auto cookie =
      translate(test::parsed<route_v3::CookieMatcher>("name: 'c' string_match { exact: '2' } invert_match: true"),
                FieldReport{report_, "m"});
  ASSERT_TRUE(cookie);
  EXPECT_TRUE(cookie->matches(request));
  EXPECT_FALSE(
      translate(test::parsed<route_v3::CookieMatcher>("string_match { exact: '2' }"), FieldReport{report_, "m"}));
  EXPECT_EQ(said(), "m.name: must not be empty\n");
  auto path = translator().path_matcher(test::parsed<matcher_v3::PathMatcher>("path { exact: '/a' }"), "m");
  ASSERT_TRUE(path);
  EXPECT_TRUE(path->matches("/a?b"));
  EXPECT_FALSE(translator().path_matcher(test::parsed<matcher_v3::PathMatcher>("path { }"), "m"));
  EXPECT_EQ(said(), "m.path: needs one of exact, prefix, suffix, contains and safe_regex\n");
}

// field: envoy.config.core.v3.CidrRange.address_prefix, envoy.config.core.v3.CidrRange.prefix_len
TEST_F(SharedMessagesTest, AddressesAndTemplates) {
  auto range = translator().address_range(
      test::parsed<core_v3::CidrRange>("address_prefix: '2001:db8::' prefix_len { value: 32 }"), "m");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->bits, 32);
  EXPECT_FALSE(translator().address_range(
      test::parsed<core_v3::CidrRange>("address_prefix: '10.0.0.0' prefix_len { value: 33 }"), "m"));
  EXPECT_EQ(said(), "m.prefix_len: 33 is too long for an IPv4 address; 0 to 32 are allowed\n");
  auto path = translator().path_template(
      test::parsed<core_v3::TypedExtensionConfig>(
          "name: 't' typed_config { [type.googleapis.com/envoy.extensions.path.match.uri_template.v3."
          "UriTemplateMatchConfig] { path_template: '/a/*' } }"),
      "m");
  ASSERT_TRUE(path);
  EXPECT_TRUE(path->matches("/a/b"));
  EXPECT_FALSE(translator().path_template(test::parsed<core_v3::TypedExtensionConfig>("name: 't'"), "m"));
  EXPECT_EQ(said(), "m.typed_config: must have an @type\n");
}

TEST_F(SharedMessagesTest, Metadata) {
  auto made = translate(test::parsed<core_v3::Metadata>(
      "filter_metadata { key: 'b' value { fields { key: 'k' value { string_value: 'v' } } } } "
      "filter_metadata { key: 'a' value { } }"));
  ASSERT_NE(made, nullptr);
  std::string json;
  stream::append_json(made->root(), json);
  EXPECT_EQ(json, R"({"a":{},"b":{"k":"v"}})");
  EXPECT_EQ(translate(core_v3::Metadata()), nullptr);
  EXPECT_EQ(said(), "");
}

TEST_F(SharedMessagesTest, RuntimeSettings) {
  auto fraction = translator().runtime_fraction(test::parsed<core_v3::RuntimeFractionalPercent>(
      "runtime_key: 'sm.f' default_value { numerator: 3 denominator: MILLION }"));
  EXPECT_EQ(fraction.default_value, (runtime::Fraction{3, 1'000'000}));
  EXPECT_EQ(fraction.key.text(), "sm.f");
  EXPECT_TRUE(translator().runtime_fraction(core_v3::RuntimeFractionalPercent()).key.empty());
  auto flag = translator().runtime_flag(
      test::parsed<core_v3::RuntimeFeatureFlag>("runtime_key: 'sm.b' default_value { value: true }"));
  EXPECT_TRUE(flag.default_value);
  EXPECT_EQ(flag.key.text(), "sm.b");
}

}  // namespace
}  // namespace weir::config
