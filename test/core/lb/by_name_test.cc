#include "core/lb/by_name.h"

#include <gtest/gtest.h>

#include <set>

#include "core/lb/host_set.h"

namespace weir::lb {
namespace {

// Rotates, and says of which hosts it was made.
class Rotation final : public Table {
 public:
  explicit Rotation(const BuildInput& input) : usable_(input.usable.begin(), input.usable.end()) {}
  HostIndex pick(const PickInput&, LaneView&, LaneState& state) const noexcept override {
    return usable_[state.position++ % usable_.size()];
  }

 private:
  std::vector<HostIndex> usable_;
};

HostEntry host(const char* ip, const char* name, uint16_t port = 80) {
  HostEntry entry;
  const auto address = *net::Address::from_ip(ip, port);
  entry.host = std::make_shared<Host>(address, address.to_string(), name, 2);
  return entry;
}

class ByNameTest : public testing::Test {
 protected:
  HostIndex pick(const HostSet& set, std::string_view name) {
    states_.resize(set.lane_states());
    per_host_.resize(set.hosts().size());
    LaneView view(1, set.hosts(), per_host_, 0, random_);
    PickInput input;
    input.name = name;
    return set.pick(input, view, states_.data());
  }
  std::vector<LaneState> states_;
  std::vector<LaneView::PerHost> per_host_;
  Random random_{1};
};

TEST_F(ByNameTest, EachNameHasItsHost) {
  HostSet set({host("10.0.0.1", "a.example"), host("10.0.0.2", "b.example"), host("10.0.0.2", "b.example", 81)},
              by_name(), nullptr, {});
  EXPECT_EQ(pick(set, "a.example:80"), 0u);
  EXPECT_EQ(pick(set, "b.example:80"), 1u);
  EXPECT_EQ(pick(set, "b.example:81"), 2u);
  for (std::string_view none : {"", "a.example", "a.example:81", "c.example:80", "A.example:80"})
    EXPECT_EQ(pick(set, none), kNoHost) << none;
}

TEST_F(ByNameTest, APolicyChoosesAmongTheHostsOfAName) {
  PolicyDescriptor rotation;
  rotation.build = [](const BuildInput& input, const void*) {
    EXPECT_EQ(input.usable.size(), input.shares.size());
    return std::make_unique<Rotation>(input);
  };
  const ByName config{&rotation, nullptr};
  HostSet set({host("10.0.0.1", "a.example"), host("10.0.0.2", "b.example"), host("10.0.0.3", "a.example"),
               host("10.0.0.4", "c.example"), host("10.0.0.5", "c.example")},
              by_name(), &config, {});
  std::set<HostIndex> seen;
  for (int i = 0; i < 4; ++i) {
    seen.insert(pick(set, "a.example:80"));
    EXPECT_EQ(pick(set, "b.example:80"), 1u);
  }
  EXPECT_EQ(seen, (std::set<HostIndex>{0, 2}));
  EXPECT_NE(pick(set, "c.example:80"), pick(set, "c.example:80")) << "each rotation has a state of its own";
}

TEST_F(ByNameTest, Empty) {
  EXPECT_EQ(pick(HostSet({}, by_name(), nullptr, {}), "a.example:80"), kNoHost);
  EXPECT_EQ(pick(HostSet({host("10.0.0.1", "a.example")}, no_policy(), nullptr, {}), "a.example:80"), kNoHost);
}

TEST(NameKeyTest, SmallLettersWithoutBrackets) {
  EXPECT_EQ(name_key("Web.Example", 80), "web.example:80");
  EXPECT_EQ(name_key("[2001:DB8::1]", 443), "2001:db8::1:443");
  EXPECT_EQ(name_key("2001:db8::1", 443), "2001:db8::1:443");
}

TEST(TargetTest, ItsHostsAloneArePicked) {
  PolicyDescriptor rotation;
  rotation.build = [](const BuildInput& input, const void*) { return std::make_unique<Rotation>(input); };
  std::vector<HostEntry> hosts = {host("10.0.0.1", ""), host("10.0.0.2", ""), host("10.0.0.3", "")};
  hosts[1].priority = 1;
  hosts[2].health = Health::kDegraded;
  HostSet set(std::move(hosts), rotation, nullptr, {});
  std::vector<LaneState> states(set.lane_states());
  std::vector<LaneView::PerHost> per_host(3);
  Random random(1);
  const auto pick = [&](Target target) {
    LaneView view(1, set.hosts(), per_host, 0, random);
    PickInput input;
    input.target = target;
    std::set<HostIndex> seen;
    for (int i = 0; i < 50; ++i) seen.insert(set.pick(input, view, states.data()));
    return seen;
  };
  EXPECT_EQ(pick({0, false}), (std::set<HostIndex>{0}));
  EXPECT_EQ(pick({0, true}), (std::set<HostIndex>{2}));
  EXPECT_EQ(pick({1, false}), (std::set<HostIndex>{1}));
  EXPECT_EQ(pick({1, true}), (std::set<HostIndex>{1})) << "there are no degraded ones";
  EXPECT_FALSE(pick({7, false}).contains(kNoHost)) << "a level that is not there is no reason to refuse";
}

}  // namespace
}  // namespace weir::lb
