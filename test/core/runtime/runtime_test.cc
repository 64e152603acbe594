#include "core/runtime/runtime.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/runtime/layers.h"

namespace weir::runtime {
namespace {

// A lane's slots with a snapshot of these layers.
class RuntimeTest : public testing::Test {
 protected:
  void show(const Layers& layers) {
    snapshots_.push_back(layers.snapshot());
    slots_.apply({{kSlot, snapshots_.back().get()}});
  }
  void show(Entries entries) {
    Layers layers;
    std::vector<Layer> all(1);
    all[0] = {"one", false, std::move(entries)};
    layers.set(std::move(all));
    show(layers);
  }
  std::vector<std::unique_ptr<const Snapshot>> snapshots_;
  event::SlotTable slots_;
};

Entry number(double value) { return {std::to_string(value), Value::of_number(value)}; }

TEST_F(RuntimeTest, KeysAreInterned) {
  Key a("runtime_test.a"), b("runtime_test.b");
  EXPECT_EQ(Key("runtime_test.a").id(), a.id());
  EXPECT_NE(a.id(), b.id());
  EXPECT_EQ(a.text(), "runtime_test.a");
  EXPECT_TRUE(Key("").empty());
  EXPECT_EQ(Key().text(), "");
}

TEST_F(RuntimeTest, DefaultsCountWithoutKeyOrValue) {
  RuntimeFraction fraction{{1, 2}, Key("runtime_test.none")};
  RuntimeFraction keyless{{1, 2}};
  RuntimeDouble number{2.5, Key("runtime_test.none")};
  RuntimeUnsigned whole{7, Key("runtime_test.none")};
  RuntimeFlag flag{true, Key("runtime_test.none")};
  for (int round = 0; round < 2; ++round) {  // without a snapshot, then with one that knows nothing
    EXPECT_EQ(fraction.get(slots_), (Fraction{1, 2}));
    EXPECT_TRUE(fraction.enabled(slots_, 2));
    EXPECT_FALSE(fraction.enabled(slots_, 3));
    EXPECT_TRUE(keyless.enabled(slots_, 0));
    EXPECT_EQ(number.get(slots_), 2.5);
    EXPECT_EQ(whole.get(slots_), 7u);
    EXPECT_TRUE(flag.get(slots_));
    show(Entries{});
  }
}

TEST_F(RuntimeTest, AKeyThatIsAskedForLaterFindsItsValue) {
  show({{"runtime_test.later", number(3)}});
  RuntimeUnsigned later{1, Key("runtime_test.later")};
  EXPECT_EQ(later.get(slots_), 3u);
}

TEST_F(RuntimeTest, FormsThatDoNotFitLeaveTheDefault) {
  show({{"runtime_test.text", {"words", {}}},
        {"runtime_test.flag", {"true", Value::of_boolean(true)}},
        {"runtime_test.minus", number(-1)},
        {"runtime_test.huge", number(1e30)},
        {"runtime_test.large", number(5e9)}});
  for (const char* key : {"runtime_test.text", "runtime_test.flag"}) {
    EXPECT_EQ((RuntimeDouble{2, Key(key)}.get(slots_)), 2) << key;
    EXPECT_EQ((RuntimeUnsigned{2, Key(key)}.get(slots_)), 2u) << key;
    EXPECT_EQ((RuntimeFraction{{1, 3}, Key(key)}.get(slots_)), (Fraction{1, 3})) << key;
  }
  EXPECT_FALSE((RuntimeFlag{false, Key("runtime_test.text")}.get(slots_)));
  EXPECT_TRUE((RuntimeFlag{false, Key("runtime_test.flag")}.get(slots_)));
  EXPECT_EQ((RuntimeDouble{2, Key("runtime_test.minus")}.get(slots_)), -1);
  EXPECT_EQ((RuntimeUnsigned{2, Key("runtime_test.minus")}.get(slots_)), 2u);
  EXPECT_EQ((RuntimeUnsigned{2, Key("runtime_test.huge")}.get(slots_)), 2u);
  EXPECT_EQ((RuntimeUnsigned{2, Key("runtime_test.large")}.get(slots_)), UINT32_MAX);
  EXPECT_FALSE((RuntimeFlag{false, Key("runtime_test.minus")}.get(slots_)));
}

TEST_F(RuntimeTest, APlainNumberIsAPercentage) {
  show({{"runtime_test.percent", number(30.9)},
        {"runtime_test.all", number(101)},
        {"runtime_test.exact", {"f", Value::of_fraction({1, 1'000'000})}}});
  RuntimeFraction percent{{0, 100}, Key("runtime_test.percent")};
  EXPECT_TRUE(percent.enabled(slots_, 29));
  EXPECT_FALSE(percent.enabled(slots_, 30));
  EXPECT_TRUE(percent.enabled(slots_, 129));
  EXPECT_TRUE((RuntimeFraction{{0, 100}, Key("runtime_test.all")}.enabled(slots_, 99)));
  RuntimeFraction exact{{0, 100}, Key("runtime_test.exact")};
  EXPECT_TRUE(exact.enabled(slots_, 1'000'000));
  EXPECT_FALSE(exact.enabled(slots_, 1));
}

TEST_F(RuntimeTest, LaterLayersCountAndOverridesSurviveReloads) {
  auto layers_of = [](double base) {
    std::vector<Layer> layers(3);
    layers[0] = {"base", false, {{"runtime_test.x", number(base)}, {"runtime_test.y", number(1)}}};
    layers[1] = {"disk", false, {{"runtime_test.y", number(2)}}};
    layers[2] = {"admin", true, {}};
    return layers;
  };
  Layers layers;
  layers.set(layers_of(1));
  RuntimeUnsigned x{0, Key("runtime_test.x")}, y{0, Key("runtime_test.y")};
  show(layers);
  EXPECT_EQ(x.get(slots_), 1u);
  EXPECT_EQ(y.get(slots_), 2u);
  EXPECT_EQ(layers.key_count(), 2u);
  EXPECT_EQ(layers.override_count(), 0u);
  EXPECT_TRUE(layers.override_value("runtime_test.y", number(9)));
  show(layers);
  EXPECT_EQ(y.get(slots_), 9u);
  layers.set(layers_of(5));
  show(layers);
  EXPECT_EQ(x.get(slots_), 5u);
  EXPECT_EQ(y.get(slots_), 9u);
  EXPECT_EQ(layers.override_count(), 1u);
  EXPECT_TRUE(layers.override_value("runtime_test.y", {}));
  EXPECT_TRUE(layers.override_value("runtime_test.never", {}));
  show(layers);
  EXPECT_EQ(y.get(slots_), 2u);
  EXPECT_EQ(layers.final_entry("runtime_test.y")->value.number, 2);
  EXPECT_EQ(layers.final_entry("runtime_test.never"), nullptr);
}

TEST_F(RuntimeTest, WithoutAnAdminLayerNothingIsOverridden) {
  Layers layers;
  std::vector<Layer> base(1);
  base[0].name = "base";
  layers.set(std::move(base));
  EXPECT_FALSE(layers.has_admin_layer());
  EXPECT_FALSE(layers.override_value("runtime_test.x", number(1)));
}

}  // namespace
}  // namespace weir::runtime
