#include "core/stream/filter_state.h"

#include <gtest/gtest.h>

#include <optional>

#include "test/core/stream/sample_stream.h"

namespace weir::stream {
namespace {

using Set = FilterState::Set;

struct Counted {
  int* destroyed;
};
constexpr FilterStateType kCounted = {
    .name = "test.counted",
    .append_plain =
        [](const void*, std::string& out) {
          out += "plain form";
          return true;
        },
    .append_field =
        [](const void*, std::string_view field, std::string& out) {
          if (field != "known") return false;
          out += "field value";
          return true;
        },
    .destroy = [](void* object) { ++*static_cast<Counted*>(object)->destroyed; },
};
constexpr FilterStateType kOther = {.name = "test.other"};

class FilterStateTest : public testing::Test {
 protected:
  static FilterStateValue text(std::string_view value) { return FilterStateValue::of_string(value); }
  static std::string plain(const FilterState& state, FilterStateName name) {
    const FilterState::Entry* entry = state.find(name);
    std::string out;
    if (entry == nullptr) return "(none)";
    EXPECT_TRUE(entry->value.append_plain(out));
    return out;
  }

  ArenaPool pool_;
  ConnectionInfo connection_{pool_};
  Arena arena_{pool_};
  FilterStateName a_{"test.a"};
  FilterStateName b_{"test.b"};
};

TEST_F(FilterStateTest, NamesAreTheSameForTheSameText) {
  EXPECT_EQ(FilterStateName("test.a"), a_);
  EXPECT_NE(a_, b_);
  EXPECT_EQ(a_.text(), "test.a");
  EXPECT_EQ(FilterStateName().text(), "");
}

TEST_F(FilterStateTest, ValuesAreCopied) {
  FilterState state(arena_, nullptr);
  std::string value = "value";
  net::Address address = test_address("10.0.0.1", 80);
  EXPECT_EQ(state.set(a_, text(value), {}), Set::kDone);
  EXPECT_EQ(state.set(b_, FilterStateValue::of_address(address), {}), Set::kDone);
  value = "XXXXX";
  address = test_address("10.0.0.2", 81);
  EXPECT_EQ(plain(state, a_), "value");
  EXPECT_EQ(plain(state, b_), "10.0.0.1:80");
  EXPECT_EQ(state.find(FilterStateName("test.c")), nullptr);
}

TEST_F(FilterStateTest, ReadOnlyStays) {
  FilterState state(arena_, nullptr);
  EXPECT_EQ(state.set(a_, text("1"), {.read_only = true}), Set::kDone);
  EXPECT_EQ(state.set(a_, text("2"), {}), Set::kReadOnly);
  EXPECT_EQ(state.set(b_, text("1"), {}), Set::kDone);
  EXPECT_EQ(state.set(b_, text("2"), {.read_only = true}), Set::kReadOnly);
  EXPECT_EQ(state.set(b_, text("3"), {}), Set::kDone);
  EXPECT_EQ(plain(state, a_), "1");
  EXPECT_EQ(plain(state, b_), "3");
}

TEST_F(FilterStateTest, AnObjectHasOneLifeSpan) {
  FilterState state(arena_, &connection_);
  EXPECT_EQ(state.set(a_, text("chain"), {}), Set::kDone);
  EXPECT_EQ(state.set(a_, text("x"), {.life_span = LifeSpan::kRequest}), Set::kOtherLifeSpan);
  EXPECT_EQ(state.set(a_, text("x"), {.life_span = LifeSpan::kConnection}), Set::kOtherLifeSpan);
  EXPECT_EQ(state.set(b_, text("connection"), {.life_span = LifeSpan::kConnection}), Set::kDone);
  EXPECT_EQ(state.set(b_, text("x"), {}), Set::kOtherLifeSpan);
  EXPECT_EQ(plain(state, b_), "connection");
  EXPECT_EQ(plain(*connection_.filter_state, b_), "connection");
  EXPECT_EQ(connection_.filter_state->find(a_), nullptr);
}

TEST_F(FilterStateTest, TheFilterChainEndsBeforeTheRequest) {
  FilterState state(arena_, nullptr);
  state.set(a_, text("chain"), {});
  state.set(b_, text("request"), {.life_span = LifeSpan::kRequest, .sharing = UpstreamSharing::kOnce});
  state.end_filter_chain();
  EXPECT_EQ(state.find(a_), nullptr);
  ASSERT_NE(state.entries(), nullptr);
  EXPECT_EQ(state.entries()->options.sharing, UpstreamSharing::kOnce);
  EXPECT_EQ(state.set(a_, text("again"), {.life_span = LifeSpan::kRequest}), Set::kDone);
}

TEST_F(FilterStateTest, ObjectsDieOnce) {
  int destroyed = 0;
  Counted first{&destroyed}, second{&destroyed};
  {
    FilterState state(arena_, nullptr);
    ASSERT_EQ(state.set(a_, FilterStateValue::of_object(&first, kCounted), {}), Set::kDone);
    EXPECT_EQ(state.find(a_)->value.object(kCounted), &first);
    EXPECT_EQ(state.find(a_)->value.object(kOther), nullptr);
    ASSERT_EQ(state.set(a_, FilterStateValue::of_object(&second, kCounted), {}), Set::kDone);
    EXPECT_EQ(destroyed, 1);
    state.set(b_, FilterStateValue::of_object(&first, kCounted), {.life_span = LifeSpan::kRequest});
    state.end_filter_chain();
    EXPECT_EQ(destroyed, 2);
  }
  EXPECT_EQ(destroyed, 3);
}

TEST_F(FilterStateTest, AConnectionDoesNotGrowWithItsRequests) {
  for (int i = 0; i < 10'000; ++i) {
    FilterState state(arena_, &connection_);
    std::string value(static_cast<size_t>(i % 100), 'x');
    ASSERT_EQ(state.set(a_, text(value), {.life_span = LifeSpan::kConnection}), Set::kDone);
    ASSERT_EQ(plain(state, a_), value);
    ASSERT_EQ(state.set(b_, FilterStateValue::of_address(test_address("10.0.0.1", static_cast<uint16_t>(i))),
                        {.life_span = LifeSpan::kConnection}),
              Set::kDone);
  }
  EXPECT_LE(FilterState(arena_, &connection_).arena_for(LifeSpan::kConnection).overflow_bytes(),
            ArenaPool::kChunkBytes);
}

TEST_F(FilterStateTest, PublishedForms) {
  auto forms = [](const FilterStateValue& value) {
    std::string plain, json, field;
    bool has_plain = value.append_plain(plain);
    bool has_json = value.append_json(json);
    bool has_field = value.append_field("known", field);
    return (has_plain ? plain : "-") + " " + (has_json ? json : "-") + " " + (has_field ? field : "-");
  };
  EXPECT_EQ(forms(text("a\"b")), "a\"b \"a\\\"b\" -");
  EXPECT_EQ(forms(FilterStateValue::of_unsigned(18446744073709551615u)),
            "18446744073709551615 \"18446744073709551615\" -");
  EXPECT_EQ(forms(FilterStateValue::of_bool(true)), "true true -");
  net::Address address = test_address("2001:db8::1", 443);
  EXPECT_EQ(forms(FilterStateValue::of_address(address)), "[2001:db8::1]:443 \"[2001:db8::1]:443\" -");
  int destroyed = 0;
  Counted object{&destroyed};
  EXPECT_EQ(forms(FilterStateValue::of_object(&object, kCounted)), "plain form - field value");
  EXPECT_EQ(forms(FilterStateValue::of_object(&object, kOther)), "- - -");
  std::string out;
  EXPECT_TRUE(FilterStateValue::of_address(address).append_field("ip", out));
  EXPECT_TRUE(FilterStateValue::of_address(address).append_field("port", out));
  EXPECT_EQ(out, "2001:db8::1443");
}

// --- The operators -------------------------------------------------------------------------------------------------

class MetadataOperatorTest : public SampleStream {
 protected:
  MetadataOperatorTest() {
    info_.metadata = &metadata_;
    Value inner = make_struct({{"inner_key", Value::of_string("bar")}, {"n", Value::of_number(3)}}, arena_);
    metadata_.set("com.test", "test_key", Value::of_string("foo\n"));
    metadata_.set("com.test", "test_object", inner);
    metadata_.set("com.test", "number", Value::of_number(1.5));
    metadata_.set("com.test", "null", Value());
    route_.emplace(make_struct({{"ns", make_struct({{"k", Value::of_string("route")}}, arena_)}}, arena_));
    info_.route_metadata = &route_->root();
    state_.set(FilterStateName("test.text"), FilterStateValue::of_string("a b"), {});
    state_.set(FilterStateName("test.number"), FilterStateValue::of_unsigned(7), {});
    info_.filter_state = &state_;
  }
  std::string print_json(std::string_view text, const Format::Options& options = {}) {
    auto format = Format::compile(text, options);
    EXPECT_TRUE(format.ok()) << format.status();
    std::string out;
    if (format.ok()) format->append_json(subject(), out);
    return out;
  }
  static std::string error(std::string_view text) {
    auto format = Format::compile(text, {});
    EXPECT_FALSE(format.ok());
    return message_of(format.status());
  }

  Metadata metadata_{arena_};
  std::optional<StaticMetadata> route_;
  FilterState state_{arena_, nullptr};
};

TEST_F(MetadataOperatorTest, Text) {
  EXPECT_EQ(print("%DYNAMIC_METADATA(com.test:test_key)%"), "foo\\x0a");
  EXPECT_EQ(print("%DYNAMIC_METADATA(com.test:test_object)%"), R"({"inner_key":"bar","n":3})");
  EXPECT_EQ(print("%DYNAMIC_METADATA(com.test:test_object:inner_key)%"), "bar");
  EXPECT_EQ(print("%DYNAMIC_METADATA(com.test:test_object):12%"), R"({"inner_key")");
  EXPECT_EQ(print("%DYNAMIC_METADATA(com.test:number)%"), "1.5");
  EXPECT_EQ(print("%DYNAMIC_METADATA(com.test:null)%"), "null");
  EXPECT_EQ(print("%DYNAMIC_METADATA(com.test:unknown)%"), "-");
  EXPECT_EQ(print("%DYNAMIC_METADATA(unknown)%"), "-");
  EXPECT_EQ(print("%METADATA(DYNAMIC:com.test:test_object:n)%"), "3");
  EXPECT_EQ(print("%METADATA(ROUTE:ns:k)%"), "route");
  EXPECT_EQ(print("%METADATA(VIRTUAL_HOST:ns:k)%"), "-");
  // As files of old have it.
  EXPECT_EQ(print(R"(%DYNAMIC_METADATA(["com.test", "test_object","inner_key"])%)"), "bar");
}

TEST_F(MetadataOperatorTest, EverySource) {
  StaticMetadata other(make_struct({{"ns", make_struct({{"k", Value::of_string("other")}}, arena_)}}, arena_));
  ConnectionInfo connection(pool_);
  info_.connection = &connection;
  info_.route_metadata = nullptr;
  const std::pair<const char*, const Value**> sources[] = {
      {"%METADATA(CLUSTER:ns:k)%", &info_.upstream.cluster_metadata},
      {"%CLUSTER_METADATA(ns:k)%", &info_.upstream.cluster_metadata},
      {"%METADATA(UPSTREAM_HOST:ns:k)%", &info_.upstream.host_metadata},
      {"%UPSTREAM_METADATA(ns:k)%", &info_.upstream.host_metadata},
      {"%METADATA(ROUTE:ns:k)%", &info_.route_metadata},
      {"%METADATA(VIRTUAL_HOST:ns:k)%", &info_.virtual_host_metadata},
      {"%METADATA(LISTENER:ns:k)%", &connection.listener_metadata},
      {"%METADATA(LISTENER_FILTER:ns:k)%", &connection.listener_filter_metadata},
  };
  for (auto [format, slot] : sources) {
    EXPECT_EQ(print(format), "-") << format;
    *slot = &other.root();
    EXPECT_EQ(print(format), "other") << format;
    *slot = nullptr;
  }
  info_.connection = nullptr;
  EXPECT_EQ(print("%METADATA(LISTENER:ns:k)% %METADATA(LISTENER_FILTER:ns:k)%"), "- -");
}

TEST_F(MetadataOperatorTest, JsonKeepsTypes) {
  EXPECT_EQ(print_json("%DYNAMIC_METADATA(com.test:test_key)%"), R"("foo\n")");
  EXPECT_EQ(print_json("%DYNAMIC_METADATA(com.test:test_object)%"), R"({"inner_key":"bar","n":3})");
  EXPECT_EQ(print_json("%DYNAMIC_METADATA(com.test:number):1%"), "1.5");  // the length is ignored, as published
  EXPECT_EQ(print_json("%DYNAMIC_METADATA(com.test:null)%"), "null");
  EXPECT_EQ(print_json("%DYNAMIC_METADATA(com.test:unknown)%"), "null");
  EXPECT_EQ(print_json("n=%DYNAMIC_METADATA(com.test:number)%"), R"("n=1.5")");
  EXPECT_EQ(print_json("%FILTER_STATE(test.text)%"), R"("a b")");
  EXPECT_EQ(print_json("%FILTER_STATE(test.text:PLAIN)%"), R"("a b")");
  EXPECT_EQ(print_json("%FILTER_STATE(test.unknown)%"), "null");
}

TEST_F(MetadataOperatorTest, FilterStateForms) {
  EXPECT_EQ(print("%FILTER_STATE(test.text)%"), R"("a b")");
  EXPECT_EQ(print("%FILTER_STATE(test.text:TYPED)%"), R"("a b")");
  EXPECT_EQ(print("%FILTER_STATE(test.text:PLAIN)%"), "a b");
  EXPECT_EQ(print("%FILTER_STATE(test.text:PLAIN):1%"), "a");
  EXPECT_EQ(print("%FILTER_STATE(test.number)%"), R"("7")");
  EXPECT_EQ(print("%FILTER_STATE(test.number:FIELD:x)%"), "-");
  EXPECT_EQ(print("%FILTER_STATE(test.unknown:PLAIN)%"), "-");
  EXPECT_EQ(print("%PER_REQUEST_STATE(test.text)% %PER_REQUEST_STATE(test.unknown)%"), "a b -");
  EXPECT_EQ(print("%UPSTREAM_FILTER_STATE(test.text:PLAIN)%"), "-");
  info_.filter_state = nullptr;
  EXPECT_EQ(print("%FILTER_STATE(test.text:PLAIN)%"), "-");
  ConnectionInfo connection(pool_);
  connection.filter_state = &state_;
  info_.connection = &connection;
  EXPECT_EQ(print("%FILTER_STATE(test.text:PLAIN)%"), "a b");
}

TEST_F(MetadataOperatorTest, NothingIsThereWithoutAStream) {
  EXPECT_EQ(print_empty("%DYNAMIC_METADATA(a)% %CLUSTER_METADATA(a)% %UPSTREAM_METADATA(a)% %FILTER_STATE(a)%"),
            "- - - -");
}

TEST_F(MetadataOperatorTest, Errors) {
  EXPECT_EQ(error("%METADATA(COOKIE:a)%"),
            "%METADATA(COOKIE:a)%: the type of metadata comes first (at character 1); it is one of DYNAMIC, CLUSTER, "
            "UPSTREAM_HOST, ROUTE, VIRTUAL_HOST, LISTENER, LISTENER_FILTER");
  EXPECT_EQ(error("%METADATA(ROUTE)%"),
            "%METADATA(ROUTE)%: a namespace is needed (at character 1); write it as in "
            "%METADATA(ROUTE:com.example:key)%");
  EXPECT_EQ(error("%DYNAMIC_METADATA%"),
            "%DYNAMIC_METADATA%: a namespace is needed (at character 1); write it as in "
            "%DYNAMIC_METADATA(com.example:key)%");
  EXPECT_EQ(error(R"(%UPSTREAM_METADATA(["a", b])%)"),
            R"(%UPSTREAM_METADATA(["a", b])%: a namespace is needed (at character 1); write it as in )"
            "%UPSTREAM_METADATA(com.example:key)%");
  EXPECT_EQ(error("%FILTER_STATE()%"),
            "%FILTER_STATE()%: the name of an object is needed (at character 1); write it as in "
            "%FILTER_STATE(name:PLAIN)%");
  EXPECT_EQ(error("%UPSTREAM_FILTER_STATE(:PLAIN)%"),
            "%UPSTREAM_FILTER_STATE(:PLAIN)%: the name of an object is needed (at character 1); write it as in "
            "%UPSTREAM_FILTER_STATE(name:PLAIN)%");
  EXPECT_EQ(error("%PER_REQUEST_STATE%"),
            "%PER_REQUEST_STATE%: the name of an object is needed (at character 1); write it as in "
            "%FILTER_STATE(name:PLAIN)%");
  EXPECT_EQ(error("%FILTER_STATE(a:JSON)%"),
            "%FILTER_STATE(a:JSON)%: \"JSON\" is no form of an object (at character 1); PLAIN, TYPED and FIELD:name "
            "are");
  EXPECT_EQ(error("%FILTER_STAT(a)%"),
            "%FILTER_STAT(a)%: unknown operator (at character 1); did you mean FILTER_STATE?");
}

}  // namespace
}  // namespace weir::stream
