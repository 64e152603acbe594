#include "extensions/dynamic/load_balancer.h"

#include <gtest/gtest.h>

#include "core/lb/host_set.h"
#include "test/extensions/dynamic/scripted_plugin.h"

namespace weir::test {
namespace {

using extensions::dynamic::LbConfig;

std::vector<lb::HostEntry> hosts(std::initializer_list<int> ports) {
  std::vector<lb::HostEntry> list;
  for (int port : ports) {
    lb::HostEntry entry;
    auto address = net::Address::from_ip("10.0.0.1", static_cast<uint16_t>(port));
    entry.host = std::make_shared<lb::Host>(*address, "10.0.0.1:" + std::to_string(port), "", 4);
    list.push_back(std::move(entry));
  }
  return list;
}

lb::PolicyDescriptor policy() {
  lb::PolicyDescriptor descriptor;
  descriptor.build = [](const lb::BuildInput& input, const void* config) {
    return static_cast<const LbConfig*>(config)->build(input);
  };
  return descriptor;
}

class Picker {
 public:
  Picker(std::vector<lb::HostEntry> entries, std::shared_ptr<const LbConfig> config) {
    set = std::make_unique<lb::HostSet>(std::move(entries), policy(), config.get(), lb::HostSet::Options{});
    per_host.resize(set->hosts().size());
  }
  lb::HostIndex pick(std::initializer_list<lb::HostIndex> excluded = {}) {
    std::vector<const lb::Host*> tried;
    for (lb::HostIndex index : excluded) tried.push_back(set->host(index).host.get());
    lb::LaneView view(1, set->hosts(), per_host, 10'000'000, random);
    lb::PickInput input;
    input.excluded = tried;
    return set->pick(input, view, &state);
  }
  std::unique_ptr<lb::HostSet> set;
  std::vector<lb::LaneView::PerHost> per_host;
  lb::LaneState state;
  Random random{1};
};

TEST(DynamicLoadBalancer, FirstHostExample) {
  auto config = LbConfig::make(test_module("first_host_lb"), "", "");
  ASSERT_TRUE(config.ok()) << config.status();
  Picker picker(hosts({30, 10, 20}), *config);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(picker.pick(), 1u);
  EXPECT_EQ(picker.pick({1}), 2u);
  EXPECT_EQ(picker.pick({1, 2}), 0u);
  EXPECT_EQ(picker.pick({0, 1, 2}), 1u) << "nothing better is left";
  auto last = LbConfig::make(test_module("first_host_lb"), "", "last");
  EXPECT_EQ(Picker(hosts({30, 10, 20}), *last).pick(), 0u);
}

TEST(DynamicLoadBalancer, UnhealthyHostsAreNotOffered) {
  auto config = LbConfig::make(test_module("first_host_lb"), "", "");
  auto list = hosts({10, 20, 30});
  list[0].health = lb::Health::kUnhealthy;
  EXPECT_EQ(Picker(std::move(list), *config).pick(), 1u);
}

TEST(DynamicLoadBalancer, Errors) {
  auto config = LbConfig::make(test_module("first_host_lb"), "", "middle");
  EXPECT_EQ(config.status().message(), "config: 'middle': allowed are nothing and \"last\"");
  EXPECT_FALSE(LbConfig::make(test_module("header_delay"), "", "").ok());
}

TEST(DynamicLoadBalancer, OrderOfLifeAndInput) {
  ScriptedPlugin plugin;
  plugin.set_script([&](std::string_view event, uint64_t handle, uint64_t) -> uint32_t {
    if (event == "build") {
      const auto& endpoints = *reinterpret_cast<const weir_endpoints*>(handle);
      EXPECT_EQ(endpoints.count, 2u);
      EXPECT_EQ(endpoints.stride, sizeof(weir_endpoint));
      EXPECT_EQ(std::string(endpoints.items[1].address.data, endpoints.items[1].address.size), "10.0.0.1:20");
    }
    if (event == "pick") {
      const auto& input = *reinterpret_cast<const weir_pick_input*>(handle);
      int64_t requests = -1;
      EXPECT_EQ(plugin.api().pick_in_flight(input.pick, 1, &requests), WEIR_OK);
      EXPECT_EQ(requests, 3);
      EXPECT_EQ(plugin.api().pick_in_flight(input.pick, 2, &requests), WEIR_INVALID);
      EXPECT_EQ(plugin.api().pick_in_flight(input.pick + 1, 1, &requests), WEIR_GONE);
      return static_cast<uint32_t>(++*input.lane_state % 2);
    }
    return WEIR_OK;
  });
  auto config = LbConfig::make(test_module("probe"), "", plugin.text());
  ASSERT_TRUE(config.ok()) << config.status();
  {
    Picker picker(hosts({10, 20}), *config);
    config->reset();  // the table keeps what it needs
    picker.per_host[1].own = 3;
    EXPECT_EQ(picker.pick(), 1u);
    EXPECT_EQ(picker.pick(), 0u);
    EXPECT_EQ(picker.pick(), 1u);
  }
  EXPECT_EQ(plugin.events, (std::vector<std::string>{"config_create", "build", "table_destroy", "config_destroy"}));
}

TEST(DynamicLoadBalancer, NonsenseIsNoHost) {
  for (uint32_t place : {uint32_t{2}, uint32_t{77}, WEIR_NO_ENDPOINT}) {
    ScriptedPlugin plugin;
    plugin.set_script([&](std::string_view event, uint64_t, uint64_t) -> uint32_t {
      return event == "pick" ? place : uint32_t{WEIR_OK};
    });
    auto config = LbConfig::make(test_module("probe"), "", plugin.text());
    EXPECT_EQ(Picker(hosts({10, 20}), *config).pick(), lb::kNoHost);
    config->reset();
  }
}

TEST(DynamicLoadBalancer, FailedBuildIsNoHost) {
  ScriptedPlugin plugin;
  plugin.set_script([&](std::string_view event, uint64_t, uint64_t) -> uint32_t {
    return event == "build" ? uint32_t{WEIR_FAILED} : uint32_t{WEIR_OK};
  });
  auto config = LbConfig::make(test_module("probe"), "", plugin.text());
  EXPECT_EQ(Picker(hosts({10}), *config).pick(), lb::kNoHost);
  config->reset();
  EXPECT_EQ(plugin.events, (std::vector<std::string>{"config_create", "build", "config_destroy"}));
}

}  // namespace
}  // namespace weir::test
