// Subsets: which hosts a request's metadata leads to, and what happens where it leads to none.
#include "core/lb/subsets.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/lb/host_set.h"
#include "test/core/lb/any_host.h"

namespace weir::lb {
namespace {

using stream::Value;
using Fallback = SubsetPolicy::Fallback;
using Selector = SubsetPolicy::Selector;

class SubsetsTest : public ::testing::Test {
 protected:
  using Fields = std::vector<stream::Field>;
  static stream::Field text(std::string_view key, std::string_view value) { return {key, Value::of_string(value)}; }
  Value structure(Fields fields) { return stream::make_struct(std::move(fields), arena_); }
  Value list(std::vector<Value> items) {
    auto* out = static_cast<Value*>(arena_.allocate(items.size() * sizeof(Value)));
    std::copy(items.begin(), items.end(), out);
    return Value::of_list({out, items.size()});
  }
  Value texts(std::vector<std::string_view> items) {
    std::vector<Value> values;
    for (std::string_view item : items) values.push_back(Value::of_string(item));
    return list(std::move(values));
  }

  // Hosts are called by their metadata's order: 0, 1, 2.
  void host(Fields fields, Health health = Health::kHealthy, uint32_t priority = 0,
            std::shared_ptr<const Locality> place = nullptr) {
    HostEntry entry;
    const auto port = static_cast<uint16_t>(hosts_.size() + 1);
    entry.host = std::make_shared<Host>(*net::Address::from_ip("10.0.0.1", port), std::to_string(hosts_.size()), "", 2);
    entry.health = health;
    entry.priority = priority;
    entry.place = std::move(place);
    entry.metadata =
        std::make_shared<const stream::StaticMetadata>(structure({{"envoy.lb", structure(std::move(fields))}}));
    hosts_.push_back(std::move(entry));
  }
  void select_by(std::vector<std::string> keys, Fallback fallback = Fallback::kUnset,
                 std::vector<std::string> fallback_keys = {}) {
    policy_.selectors.push_back({std::move(keys), fallback, std::move(fallback_keys), false});
  }
  void default_subset(Fields fields) {
    policy_.default_subset = std::make_shared<const stream::StaticMetadata>(structure(std::move(fields)));
  }

  void build(BalanceOptions options = {}) {
    static const PolicyDescriptor kAny = any_host();
    stats_ = std::make_shared<const SubsetStats>(store_, "c");
    set_ = std::make_unique<HostSet>(hosts_, kAny, nullptr, options,
                                     HostSet::Division{std::make_shared<const SubsetPolicy>(policy_), stats_});
  }
  // Percent of picks by host; "-": none.
  std::map<std::string, int> shares(const Value* match) {
    if (set_ == nullptr) build();
    Random random(1);
    std::vector<LaneView::PerHost> per_host(hosts_.size());
    LaneView view(1, set_->hosts(), per_host, 0, random);
    std::vector<LaneState> states(set_->lane_states());
    PickInput input;
    input.match = match;
    std::map<std::string, int> counts;
    for (int i = 0; i < 10'000; ++i) {
      const HostIndex host = set_->pick(input, view, states.data());
      ++counts[host == kNoHost ? "-" : set_->host(host).host->text()];
    }
    for (auto& [host, count] : counts) count = (count + 50) / 100;
    return counts;
  }
  // Which hosts they lead to, one after another: "0 2".
  std::string hosts_of(const Value* match) {
    std::string out;
    for (const auto& [host, share] : shares(match)) out += (out.empty() ? "" : " ") + host;
    return out;
  }
  std::string hosts_of(Fields fields) {
    const Value match = structure(std::move(fields));
    return hosts_of(&match);
  }

  ArenaPool pool_;
  Arena arena_{pool_};
  stats::Store store_;
  std::vector<HostEntry> hosts_;
  SubsetPolicy policy_;
  std::shared_ptr<const SubsetStats> stats_;
  std::unique_ptr<HostSet> set_;
};

// The published example: seven hosts of two stages, versions and types.
class ExampleTest : public SubsetsTest {
 protected:
  ExampleTest() {
    for (const auto& [stage, version, type, big] :
         std::initializer_list<std::array<std::string_view, 4>>{{"prod", "1.0", "std", ""},
                                                                {"prod", "1.0", "std", ""},
                                                                {"prod", "1.1", "std", ""},
                                                                {"prod", "1.1", "std", ""},
                                                                {"prod", "1.0", "bigmem", ""},
                                                                {"prod", "1.1", "bigmem", ""},
                                                                {"dev", "1.2-pre", "std", "true"}}) {
      Fields fields = {text("stage", stage), text("version", version), text("type", type)};
      if (!big.empty()) fields.push_back(text("xlarge", big));
      host(std::move(fields));
    }
    select_by({"stage", "type"});
    select_by({"stage", "version"});
    select_by({"version"});
    select_by({"version", "xlarge"});
    policy_.fallback = Fallback::kDefault;
    default_subset({text("stage", "prod"), text("type", "std"), text("version", "1.0")});
  }
};

TEST_F(ExampleTest, AsPublished) {
  EXPECT_EQ(hosts_of({text("stage", "prod"), text("version", "1.0")}), "0 1 4");
  EXPECT_EQ(hosts_of({text("stage", "prod"), text("version", "1.1")}), "2 3 5");
  EXPECT_EQ(hosts_of({text("stage", "prod"), text("type", "std")}), "0 1 2 3");
  EXPECT_EQ(hosts_of({text("stage", "prod"), text("type", "bigmem")}), "4 5");
  EXPECT_EQ(hosts_of({text("stage", "dev"), text("type", "std")}), "6");
  EXPECT_EQ(hosts_of({text("version", "1.2-pre"), text("xlarge", "true")}), "6");
  EXPECT_EQ(hosts_of({text("version", "1.0")}), "0 1 4");
  EXPECT_EQ(stats_->selected.value(), 70'000u);
  EXPECT_EQ(stats_->fallback.value(), 0u);
  // No such value, no such selector, nothing asked for.
  EXPECT_EQ(hosts_of({text("version", "2.0")}), "0 1");
  EXPECT_EQ(hosts_of({text("type", "std")}), "0 1");
  EXPECT_EQ(hosts_of(nullptr), "0 1");
  EXPECT_EQ(stats_->selected.value(), 70'000u);
  EXPECT_EQ(stats_->fallback.value(), 30'000u);
  // 3 of stage and type, 3 of stage and version, 3 of version, 1 of version and xlarge.
  std::vector<std::string> names = set_->subset_names();
  EXPECT_EQ(names.size(), 10u);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).count("\"stage\"=\"dev\" \"type\"=\"std\" "), 1u);
}

// field: LbSubsetConfig.fallback_policy
TEST_F(SubsetsTest, Fallbacks) {
  host({text("v", "1")});
  host({text("v", "2")});
  host({});
  select_by({"v"});
  EXPECT_EQ(hosts_of({text("v", "3")}), "-");
  EXPECT_EQ(hosts_of(nullptr), "-");
  EXPECT_EQ(stats_->fallback.value(), 0u);
  set_.reset();
  policy_.fallback = Fallback::kAny;
  EXPECT_EQ(hosts_of({text("v", "3")}), "0 1 2");
  EXPECT_EQ(hosts_of({text("v", "2")}), "1");
  set_.reset();
  policy_.fallback = Fallback::kDefault;
  EXPECT_EQ(hosts_of(nullptr), "0 1 2");  // of nothing in particular
  set_.reset();
  default_subset({text("v", "9")});
  EXPECT_EQ(hosts_of(nullptr), "-");
}

// field: LbSubsetConfig.panic_mode_any
TEST_F(SubsetsTest, PanicModeAny) {
  host({text("v", "1")});
  host({text("v", "2")});
  select_by({"v"});
  policy_.fallback = Fallback::kDefault;
  policy_.panic_mode_any = true;
  default_subset({text("v", "9")});
  EXPECT_EQ(hosts_of({text("v", "3")}), "0 1");
  EXPECT_EQ(stats_->fallback_panic.value(), 10'000u);
  EXPECT_EQ(stats_->fallback.value(), 0u);
  set_.reset();
  default_subset({text("v", "1")});
  EXPECT_EQ(hosts_of({text("v", "3")}), "0");
}

// field: Cluster.LbSubsetConfig.LbSubsetSelector.fallback_policy,
// Cluster.LbSubsetConfig.LbSubsetSelector.fallback_keys_subset
TEST_F(SubsetsTest, FallbacksOfSelectors) {
  host({text("a", "1"), text("b", "1"), text("c", "1"), text("d", "1")});
  host({text("a", "1"), text("b", "2")});
  host({text("a", "2")});
  policy_.fallback = Fallback::kAny;
  default_subset({text("a", "2")});
  select_by({"a"}, Fallback::kNone);
  select_by({"b"}, Fallback::kDefault);
  select_by({"c"}, Fallback::kUnset);
  select_by({"d"}, Fallback::kAny);
  select_by({"a", "b"}, Fallback::kKeys, {"a"});
  select_by({"a", "b", "c"}, Fallback::kKeys, {"a", "b"});
  EXPECT_EQ(hosts_of({text("a", "9")}), "-");
  EXPECT_EQ(hosts_of({text("b", "9")}), "2");
  EXPECT_EQ(hosts_of({text("c", "9")}), "0 1 2");
  EXPECT_EQ(hosts_of({text("d", "9")}), "0 1 2");
  EXPECT_EQ(hosts_of({text("a", "1"), text("b", "2")}), "1");
  EXPECT_EQ(hosts_of({text("a", "1"), text("b", "9")}), "0 1");
  EXPECT_EQ(hosts_of({text("a", "1"), text("b", "2"), text("c", "9")}), "1");
  EXPECT_EQ(hosts_of({text("a", "1"), text("b", "9"), text("c", "9")}), "0 1");
  EXPECT_EQ(hosts_of({text("a", "9"), text("b", "9"), text("c", "9")}), "-");
}

TEST_F(SubsetsTest, ValuesOfAllKinds) {
  host({{"k", Value::of_number(1)}});
  host({{"k", Value::of_bool(true)}});
  host({{"k", Value::of_string("1")}});
  host({{"k", Value()}});
  host({{"k", structure({{"x", Value::of_number(-0.0)}})}});
  host({{"k", texts({"a", "b"})}});
  select_by({"k"});
  EXPECT_EQ(hosts_of({{"k", Value::of_number(1)}}), "0");
  EXPECT_EQ(hosts_of({{"k", Value::of_bool(true)}}), "1");
  EXPECT_EQ(hosts_of({{"k", Value::of_string("1")}}), "2");
  EXPECT_EQ(hosts_of({{"k", Value()}}), "3");
  EXPECT_EQ(hosts_of({{"k", structure({{"x", Value::of_number(0)}})}}), "4");
  EXPECT_EQ(hosts_of({{"k", texts({"a", "b"})}}), "5");
  EXPECT_EQ(hosts_of({{"k", texts({"b", "a"})}}), "-");
  EXPECT_EQ(hosts_of({{"k", Value::of_string("a")}}), "-");
}

// field: LbSubsetConfig.list_as_any
TEST_F(SubsetsTest, ListsAsAny) {
  host({{"k", texts({"a", "b", "a"})}, {"z", texts({"x", "y"})}});
  host({text("k", "b"), text("z", "x")});
  host({{"k", texts({})}, text("z", "x")});
  select_by({"k"});
  select_by({"k", "z"});
  policy_.list_as_any = true;
  policy_.fallback = Fallback::kDefault;
  default_subset({text("z", "y")});
  EXPECT_EQ(hosts_of({text("k", "a")}), "0");
  EXPECT_EQ(hosts_of({text("k", "b")}), "0 1");
  EXPECT_NEAR(shares(nullptr)["0"], 100, 0);
  EXPECT_EQ(hosts_of({text("k", "b"), text("z", "x")}), "0 1");
  EXPECT_EQ(hosts_of({text("k", "b"), text("z", "y")}), "0");
  EXPECT_EQ(Subsets::count_for(*hosts_[0].metadata->root().find("envoy.lb"), policy_.selectors[1], true), 6u);
  EXPECT_EQ(Subsets::count_for(*hosts_[0].metadata->root().find("envoy.lb"), policy_.selectors[1], false), 1u);
}

// field: Subset.allow_redundant_keys
TEST_F(SubsetsTest, RedundantKeys) {
  host({text("a", "1"), text("b", "1"), text("c", "1")});
  host({text("a", "1"), text("b", "2"), text("c", "2")});
  select_by({"a"});
  select_by({"a", "b"});
  select_by({"a", "c"});
  EXPECT_EQ(hosts_of({text("a", "1"), text("x", "1")}), "-");
  set_.reset();
  policy_.allow_redundant_keys = true;
  EXPECT_EQ(hosts_of({text("a", "1"), text("x", "1")}), "0 1");
  EXPECT_EQ(hosts_of({text("a", "1"), text("b", "1"), text("x", "1")}), "0");
  EXPECT_EQ(hosts_of({text("a", "1"), text("b", "1"), text("c", "2")}), "0");  // of two as long ones the first
  EXPECT_EQ(hosts_of({text("x", "1")}), "-");
}

// field: Cluster.LbSubsetConfig.LbSubsetSelector.single_host_per_subset
TEST_F(SubsetsTest, SingleHosts) {
  host({text("id", "a")}, Health::kHealthy, 1);
  host({text("id", "b")});
  host({text("id", "b")});
  host({text("id", "c")}, Health::kUnhealthy);
  select_by({"id"});
  policy_.selectors[0].single_host = true;
  EXPECT_EQ(hosts_of({text("id", "a")}), "0");  // whatever its priority
  EXPECT_EQ(hosts_of({text("id", "b")}), "1");
  EXPECT_EQ(hosts_of({text("id", "c")}), "3");
  EXPECT_EQ(hosts_of({text("id", "d")}), "-");
  EXPECT_EQ(set_->subset_duplicates(), 1u);
  EXPECT_EQ(set_->subset_names().size(), 3u);
}

// field: LbSubsetConfig.metadata_fallback_policy
TEST_F(SubsetsTest, ListsOfFallbacks) {
  host({text("v", "1"), text("s", "x")});
  host({text("v", "2"), text("s", "x")});
  select_by({"v"});
  select_by({"s", "v"});
  const Value all = list({structure({text("v", "3")}), structure({text("v", "2")}), structure({text("v", "1")})});
  EXPECT_EQ(hosts_of({{"fallback_list", all}}), "-");
  set_.reset();
  policy_.fallback_list = true;
  EXPECT_EQ(hosts_of({{"fallback_list", all}}), "1");
  // On top of what is asked for beside it.
  EXPECT_EQ(hosts_of({{"fallback_list", all}, text("s", "x"), text("v", "1")}), "1");
  EXPECT_EQ(hosts_of({{"fallback_list", all}, text("s", "y")}), "-");
  EXPECT_EQ(hosts_of({{"fallback_list", list({})}, text("v", "1")}), "0");
  EXPECT_EQ(hosts_of({text("v", "1")}), "0");
  // What is no struct says nothing more.
  EXPECT_EQ(hosts_of({{"fallback_list", texts({"x"})}, text("v", "1")}), "0");
}

// A subset has the healths, priorities and panics of its own hosts.
TEST_F(SubsetsTest, HealthIsThatOfTheSubset) {
  host({text("v", "1")}, Health::kUnhealthy);
  host({text("v", "1")}, Health::kHealthy, 1);
  host({text("v", "2")}, Health::kUnhealthy);
  host({text("v", "3")}, Health::kHealthy, 2);
  host({text("v", "3")}, Health::kUnhealthy, 2);
  select_by({"v"});
  EXPECT_EQ(hosts_of({text("v", "1")}), "1");
  EXPECT_EQ(hosts_of({text("v", "2")}), "2");  // a panic
  EXPECT_EQ(hosts_of({text("v", "3")}), "3");
}

// field: LbSubsetConfig.locality_weight_aware, LbSubsetConfig.scale_locality_weight
TEST_F(SubsetsTest, LocalitiesInSubsets) {
  const auto a = std::make_shared<const Locality>(Locality{"", "a", "", 50});
  const auto b = std::make_shared<const Locality>(Locality{"", "b", "", 50});
  for (int i = 0; i < 10; ++i) host({text("v", i < 1 ? "1" : "2")}, Health::kHealthy, 0, a);
  for (int i = 0; i < 10; ++i) host({text("v", i < 9 ? "1" : "2")}, Health::kHealthy, 0, b);
  select_by({"v"});
  const Value one = structure({text("v", "1")});
  build();
  EXPECT_NEAR(shares(&one)["0"], 10, 1);
  build({.locality_weighted = true});
  EXPECT_NEAR(shares(&one)["0"], 50, 2);
  build({.locality_weighted = true, .scale_localities = true});
  EXPECT_NEAR(shares(&one)["0"], 10, 1);
}

}  // namespace
}  // namespace weir::lb
