#include "core/stream/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>

#include "core/base/random.h"
#include "core/stream/metadata.h"
#include "test/support/seed.h"

namespace weir::stream {
namespace {

class ValueTest : public testing::Test {
 protected:
  static std::string json(const Value& value) {
    std::string out;
    append_json(value, out);
    return out;
  }
  static std::string number(double value) { return json(Value::of_number(value)); }
  Value structure(std::vector<Field> fields) { return make_struct(std::move(fields), arena_); }
  Value list(std::vector<Value> items) {
    Value* to = static_cast<Value*>(arena_.allocate(items.size() * sizeof(Value), alignof(Value)));
    std::copy(items.begin(), items.end(), to);
    return Value::of_list({to, items.size()});
  }

  ArenaPool pool_;
  Arena arena_{pool_};
};

TEST_F(ValueTest, NumbersArePrintedAsPublished) {
  EXPECT_EQ(number(0), "0");
  EXPECT_EQ(number(5), "5");
  EXPECT_EQ(number(-1), "-1");
  EXPECT_EQ(number(1.5), "1.5");
  EXPECT_EQ(number(0.1), "0.1");
  EXPECT_EQ(number(1e14), "100000000000000");
  EXPECT_EQ(number(1e20), "1e+20");
  EXPECT_EQ(number(1.0 / 3), "0.33333333333333331");
  EXPECT_EQ(number(9007199254740993.0), "9007199254740992");
  EXPECT_EQ(number(std::nan("")), "\"NaN\"");
  EXPECT_EQ(number(INFINITY), "\"Infinity\"");
  EXPECT_EQ(number(-INFINITY), "\"-Infinity\"");
}

TEST_F(ValueTest, JsonSortsEscapesAndNests) {
  Value value = structure({{"b", list({Value(), Value::of_bool(true), Value::of_string("x\"\n")})},
                           {"a\\", structure({{"in", Value::of_number(2)}})}});
  EXPECT_EQ(json(value), R"({"a\\":{"in":2},"b":[null,true,"x\"\n"]})");
  std::string text;
  append_text(Value::of_string("plain \"text\""), text);
  EXPECT_EQ(text, "plain \"text\"");
}

TEST_F(ValueTest, OfTwoFieldsWithOneKeyTheLastCounts) {
  EXPECT_EQ(json(structure({{"k", Value::of_number(1)}, {"a", Value()}, {"k", Value::of_number(2)}})),
            R"({"a":null,"k":2})");
}

TEST_F(ValueTest, PathsStepThroughStructsOnly) {
  Value value = structure({{"a", structure({{"b", Value::of_number(7)}, {"list", list({Value::of_number(1)})}})}});
  std::vector<std::string> path = {"a", "b"};
  ASSERT_NE(value.find(path), nullptr);
  EXPECT_EQ(value.find(path)->number(), 7);
  path = {};
  EXPECT_EQ(value.find(path), &value);
  for (auto missing : std::vector<std::vector<std::string>>{{"b"}, {"a", "c"}, {"a", "b", "c"}, {"a", "list", "0"}}) {
    EXPECT_EQ(value.find(missing), nullptr);
  }
}

TEST_F(ValueTest, MergeGoesIntoStructsAndAppendsLists) {
  Value base = structure({{"keep", Value::of_number(1)},
                          {"list", list({Value::of_number(1)})},
                          {"deep", structure({{"x", Value::of_number(1)}, {"y", Value::of_number(2)}})},
                          {"kind", Value::of_number(1)}});
  Value over = structure({{"list", list({Value::of_string("a")})},
                          {"deep", structure({{"y", Value::of_number(3)}, {"z", Value()}})},
                          {"kind", structure({})},
                          {"new", Value::of_bool(false)}});
  EXPECT_EQ(json(merge(base, over, arena_)),
            R"({"deep":{"x":1,"y":3,"z":null},"keep":1,"kind":{},"list":[1,"a"],"new":false})");
}

// A random tree of values.
Value random_value(Random& random, Arena& arena, int depth) {
  switch (random.below(depth > 0 ? 6 : 4)) {
    case 0:
      return Value();
    case 1:
      return Value::of_bool(random.below(2) == 1);
    case 2:
      return Value::of_number(random.below(1000) / 8.0);
    case 3:
      return Value::of_string(arena.copy(std::string(random.below(20), static_cast<char>('a' + random.below(26)))));
    case 4: {
      size_t count = random.below(4);
      Value* items = static_cast<Value*>(arena.allocate(count * sizeof(Value), alignof(Value)));
      for (size_t i = 0; i < count; ++i) items[i] = random_value(random, arena, depth - 1);
      return Value::of_list({items, count});
    }
    default: {
      std::vector<Field> fields;
      for (uint32_t i = random.below(5); i > 0; --i) {
        fields.push_back({arena.copy(std::string(1, static_cast<char>('a' + random.below(8)))),
                          random_value(random, arena, depth - 1)});
      }
      return make_struct(std::move(fields), arena);
    }
  }
}

TEST_F(ValueTest, CopiesAreEqualAndStandAlone) {
  test::for_each_seed(200, [&](uint64_t seed) {
    Random random(seed);
    auto pool = std::make_unique<ArenaPool>();
    auto scratch = std::make_unique<Arena>(*pool);
    Value value = random_value(random, *scratch, 4);
    std::string text = json(value);
    // A buffer of exactly the promised size: the sanitizer sees a byte too many.
    std::unique_ptr<char[]> bytes(new char[bytes_of(value)]);
    Value copy = copy_into(value, bytes.get());
    EXPECT_EQ(copy, value);
    Value second = copy_into(value, arena_);
    scratch.reset();
    pool.reset();
    EXPECT_EQ(json(copy), text);
    EXPECT_EQ(json(second), text);
  });
}

TEST_F(ValueTest, StaticMetadataOwnsItsCopy) {
  std::unique_ptr<StaticMetadata> metadata;
  {
    std::string text = "value";
    metadata = std::make_unique<StaticMetadata>(structure({{"ns", structure({{"key", Value::of_string(text)}})}}));
    text = "XXXXX";
  }
  EXPECT_EQ(json(metadata->root()), R"({"ns":{"key":"value"}})");
}

TEST_F(ValueTest, DynamicMetadataSetsAndReplaces) {
  Metadata metadata(arena_);
  EXPECT_EQ(json(metadata.root()), "{}");
  std::string text = "one";
  metadata.set("ns.b", "k", Value::of_string(text));
  text = "XXX";
  metadata.set("ns.a", "n", Value::of_number(1));
  metadata.set("ns.a", "n", Value::of_number(2));
  metadata.set_all("ns.a", structure({{"m", Value()}, {"list", list({Value::of_number(1)})}}));
  EXPECT_EQ(json(metadata.root()), R"({"ns.a":{"list":[1],"m":null,"n":2},"ns.b":{"k":"one"}})");
  metadata.merge("ns.a", structure({{"list", list({Value::of_number(2)})}, {"m", Value::of_number(0)}}));
  EXPECT_EQ(json(metadata.root()), R"({"ns.a":{"list":[1,2],"m":0,"n":2},"ns.b":{"k":"one"}})");
  ASSERT_NE(metadata.find("ns.b"), nullptr);
  EXPECT_EQ(metadata.find("ns.c"), nullptr);
}

TEST_F(ValueTest, DynamicMetadataAgreesWithAMap) {
  test::for_each_seed(100, [&](uint64_t seed) {
    Random random(seed);
    Arena arena(pool_);
    Metadata metadata(arena);
    std::map<std::string, std::map<std::string, double>> model;
    for (int i = 0; i < 200; ++i) {
      std::string name = "ns" + std::to_string(random.below(6));
      std::string key = "k" + std::to_string(random.below(40));
      double value = random.below(100);
      metadata.set(name, key, Value::of_number(value));
      model[name][key] = value;
    }
    std::string expected = "{";
    for (const auto& [name, fields] : model) {
      expected += (expected.size() > 1 ? ",\"" : "\"") + name + "\":{";
      bool first = true;
      for (const auto& [key, value] : fields) {
        expected += (first ? "\"" : ",\"") + key + "\":" + std::to_string(static_cast<int>(value));
        first = false;
      }
      expected += "}";
    }
    EXPECT_EQ(json(metadata.root()), expected + "}");
  });
}

}  // namespace
}  // namespace weir::stream
