// The sequences of priorities that attempts use.
#include "core/proxy/retry_priorities.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace weir::proxy {
namespace {

class First final : public lb::Table {
 public:
  explicit First(lb::HostIndex host) : host_(host) {}
  lb::HostIndex pick(const lb::PickInput&, lb::LaneView&, lb::LaneState&) const noexcept override { return host_; }

 private:
  lb::HostIndex host_;
};

// A host for each priority.
lb::HostSet make(std::vector<lb::Health> healths) {
  std::vector<lb::HostEntry> hosts;
  for (lb::Health health : healths) {
    lb::HostEntry& entry = hosts.emplace_back();
    const auto number = static_cast<uint16_t>(hosts.size());
    entry.host = std::make_shared<lb::Host>(*net::Address::from_ip("10.0.0.1", number), "host", "", 2);
    entry.priority = number - 1u;
    entry.health = health;
  }
  lb::PolicyDescriptor policy;
  policy.build = [](const lb::BuildInput& input, const void*) { return std::make_unique<First>(input.usable.front()); };
  return lb::HostSet(std::move(hosts), policy, nullptr, {});
}

std::vector<uint32_t> sequence(const lb::HostSet& hosts, uint32_t frequency, size_t attempts) {
  Random random(1);
  std::vector<lb::LaneView::PerHost> per_host(hosts.hosts().size());
  lb::LaneView view(1, hosts.hosts(), per_host, 0, random);
  lb::LaneState state;
  RetryPriorities priorities;
  std::vector<uint32_t> used;
  while (used.size() < attempts) {
    const lb::PickInput input{.excluded = {}, .passed_over = &priorities.next(frequency, hosts)};
    used.push_back(hosts.host(hosts.pick(input, view, &state)).priority);
    priorities.use(used.back());
  }
  return used;
}

using Priorities = std::vector<uint32_t>;
constexpr auto kUp = lb::Health::kHealthy;
constexpr auto kDown = lb::Health::kUnhealthy;

TEST(RetryPriorities, GoThroughThemAndBeginAnew) {
  EXPECT_EQ(sequence(make({kUp, kUp, kUp}), 1, 7), (Priorities{0, 1, 2, 0, 1, 2, 0}));
  EXPECT_EQ(sequence(make({kUp, kDown, kUp}), 1, 5), (Priorities{0, 2, 0, 2, 0}));
  EXPECT_EQ(sequence(make({kUp}), 1, 3), (Priorities{0, 0, 0}));
  EXPECT_EQ(sequence(make({kDown}), 1, 3), (Priorities{0, 0, 0}));  // several that all panic share by their size
}

TEST(RetryPriorities, ChangeAfterSoManyAttempts) {
  EXPECT_EQ(sequence(make({kUp, kUp, kUp}), 2, 8), (Priorities{0, 0, 1, 1, 2, 2, 0, 0}));
  EXPECT_EQ(sequence(make({kUp, kUp}), 3, 7), (Priorities{0, 0, 0, 1, 1, 1, 0}));
}

TEST(RetryPriorities, AnAttemptThatWasNoneIsForgotten) {
  lb::HostSet hosts = make({kUp, kUp, kUp});
  RetryPriorities priorities;
  priorities.forget_last();
  priorities.use(0);
  priorities.forget_last();
  EXPECT_TRUE(priorities.next(1, hosts).none());
  priorities.use(0);
  priorities.use(0);
  priorities.forget_last();  // the one before has used it too
  EXPECT_EQ(priorities.next(1, hosts), lb::PrioritySet(1));
}

}  // namespace
}  // namespace weir::proxy
