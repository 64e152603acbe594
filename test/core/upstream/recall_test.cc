// Limits over several lanes on one fake clock: what one lane holds and does not use, another gets before it is refused.
#include "core/upstream/recall.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "core/event/publisher.h"
#include "core/upstream/lane_clusters.h"
#include "test/core/upstream/caller.h"
#include "test/core/upstream/test_listener.h"
#include "test/support/fake_clock.h"

namespace weir::upstream {
namespace {

using event::SlotId;
using event::SlotKind;

// Whichever host the test wants next.
class ChosenHost final : public lb::Table {
 public:
  explicit ChosenHost(const lb::HostIndex& next) : next_(next) {}
  lb::HostIndex pick(const lb::PickInput&, lb::LaneView&, lb::LaneState&) const noexcept override { return next_; }

 private:
  const lb::HostIndex& next_;
};

// A server that accepts, reads and answers when it is told to.
class Server {
 public:
  ~Server() {
    for (int fd : peers_) ::close(fd);
  }
  const net::Address& address() const { return listener_.address(); }
  // Answers every request that has come. How many connections are open.
  size_t step(bool answer) {
    for (int fd; (fd = listener_.accept()) >= 0;) peers_.push_back(fd);
    std::erase_if(peers_, [&](int fd) {
      char buffer[4096];
      ssize_t n = recv(fd, buffer, sizeof(buffer), answer ? 0 : MSG_PEEK);
      if (n == 0) {
        ::close(fd);
        return true;
      }
      constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
      if (n > 0 && answer) {
        EXPECT_EQ(send(fd, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL), ssize_t{kAnswer.size()});
      }
      return false;
    });
    return peers_.size();
  }

 private:
  TestListener listener_;
  std::vector<int> peers_;
};

class RecallTest : public ::testing::Test {
 protected:
  struct Worker {
    Worker(uint32_t index, Clock& clock) : lane({.index = index, .clock = &clock, .random_seed = index + 1}) {}
    event::Lane lane;
    LaneClusters clusters{lane};
  };
  static constexpr uint32_t kLanes = 4;  // main and three workers

  RecallTest() {
    policy_.build = [this](const lb::BuildInput&, const void*) { return std::make_unique<ChosenHost>(next_host_); };
    std::vector<event::Lane*> lanes;
    for (uint32_t i = 0; i < kLanes; ++i) {
      workers_.push_back(std::make_unique<Worker>(i, clock_));
      lanes.push_back(&workers_.back()->lane);
    }
    lanes[0]->enter();
    publisher_ = std::make_unique<event::Publisher>(lanes);
    hosts_ = publisher_->intern(SlotKind::kHostSet, "c");
    cluster_ = publisher_->intern(SlotKind::kCluster, "c");
  }
  ~RecallTest() override {
    for (auto& worker : workers_) worker->clusters.shut_down();
    settle();
    publisher_.reset();
    workers_.clear();
    event::Lane::leave();
  }
  void publish(const CircuitBreakers& breakers) {
    limits_ = std::make_shared<ClusterLimits>(breakers, kLanes);
    ClusterSpec spec;
    spec.name = spec.stat_name = "c";
    spec.breakers = breakers;
    std::vector<lb::HostEntry> entries;
    for (Server& server : servers_)
      entries.emplace_back().host = std::make_shared<lb::Host>(server.address(), "server", "", kLanes);
    event::Publisher::Batch batch;
    batch.set(cluster_, std::make_unique<Cluster>(std::move(spec), stats_, limits_));
    batch.set(hosts_, std::make_unique<lb::HostSet>(std::move(entries), policy_, nullptr, lb::HostSet::Options{}));
    publisher_->publish(std::move(batch));
    settle();
  }
  void publish_no_hosts() {
    event::Publisher::Batch batch;
    batch.set(hosts_,
              std::make_unique<lb::HostSet>(std::vector<lb::HostEntry>(), policy_, nullptr, lb::HostSet::Options{}));
    publisher_->publish(std::move(batch));
    settle();
  }
  void remove_cluster() {
    event::Publisher::Batch batch;
    batch.remove(hosts_);
    batch.remove(cluster_);
    publisher_->publish(std::move(batch));
    settle();
  }
  event::Lane& lane(uint32_t index) { return workers_[index]->lane; }
  ClusterLocal& on(uint32_t index) { return *workers_[index]->clusters.find(cluster_); }
  ConnPool& pool(uint32_t lane, lb::HostIndex host = 0) {
    next_host_ = host;
    return *on(lane).pick({});
  }
  void settle() {
    for (int i = 0; i < 8; ++i) {
      for (auto& worker : workers_) worker->lane.turn(Duration::zero());
      size_t open = 0;
      for (Server& server : servers_) open += server.step(answering_);
      most_open_ = std::max(most_open_, open);
    }
  }
  static void expect_served_late(const Caller& caller) {
    EXPECT_TRUE(caller.events == "waiting ready headers end " || caller.events == "waiting ready-reused headers end ")
        << caller.events;
  }
  // A whole exchange on this lane.
  std::string exchange(uint32_t index, lb::HostIndex host = 0) {
    Caller caller(lane(index));
    caller.start(pool(index, host));
    settle();
    return caller.events;
  }

  test::FakeClock clock_;
  Server servers_[3];
  bool answering_ = true;
  size_t most_open_ = 0;
  stats::Store store_;
  std::shared_ptr<ClusterStats> stats_ = std::make_shared<ClusterStats>(store_, "c");
  std::shared_ptr<ClusterLimits> limits_;
  lb::PolicyDescriptor policy_;
  lb::HostIndex next_host_ = 0;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<event::Publisher> publisher_;
  SlotId hosts_, cluster_;
};

TEST_F(RecallTest, AnIdleConnectionElsewhereIsGivenUp) {
  publish({.max_connections = 1});
  EXPECT_EQ(exchange(1), "waiting ready headers end ");
  EXPECT_EQ(exchange(2), "waiting ready headers end ");
  EXPECT_EQ(exchange(3), "waiting ready headers end ");
  EXPECT_EQ(exchange(1), "waiting ready headers end ");
  EXPECT_EQ(most_open_, 1u);
  EXPECT_EQ(stats_->cx_overflow.value(), 0u);
  EXPECT_EQ(stats_->rq_pending_overflow.value(), 0u);
  EXPECT_EQ(stats_->cx_active.value(), 1);
}

TEST_F(RecallTest, EveryLaneCanHaveAllOfThem) {
  publish({.max_connections = 3});
  for (uint32_t round = 0; round < 3; ++round) {
    for (uint32_t index : {1u, 2u, 3u}) {
      answering_ = false;
      Caller one(lane(index)), two(lane(index)), three(lane(index));
      one.start(pool(index));
      two.start(pool(index));
      three.start(pool(index));
      settle();
      answering_ = true;
      settle();
      for (Caller* caller : {&one, &two, &three})
        EXPECT_TRUE(caller->events.ends_with("headers end ")) << caller->events;
    }
  }
  EXPECT_EQ(most_open_, 3u);
  EXPECT_EQ(stats_->cx_overflow.value(), 0u);
  EXPECT_EQ(stats_->rq_pending_active.value(), 0);
}

TEST_F(RecallTest, WhatIsInUseElsewhereIsNotTaken) {
  publish({.max_connections = 1});
  answering_ = false;
  Caller busy(lane(1)), waiting(lane(2));
  busy.start(pool(1));
  settle();
  waiting.start(pool(2));
  settle();
  EXPECT_EQ(waiting.events, "waiting ");
  EXPECT_EQ(stats_->cx_overflow.value(), 1u);
  EXPECT_EQ(stats_->rq_pending_active.value(), 1);
  Caller later(lane(2));
  EXPECT_EQ(later.start(pool(2)), ConnPool::Start::kWaiting);
  settle();
  EXPECT_EQ(most_open_, 1u);
  // It comes over when it is free, without anybody asking again.
  answering_ = true;
  settle();
  EXPECT_EQ(busy.events, "waiting ready headers end ");
  EXPECT_EQ(waiting.events, "waiting ready headers end ");
  EXPECT_EQ(later.events, "waiting ready-reused headers end ");
  EXPECT_EQ(most_open_, 1u);
  EXPECT_EQ(stats_->rq_pending_active.value(), 0);
  EXPECT_EQ(limits_->connections.taken(), 1);
}

TEST_F(RecallTest, OpenCircuitBreakersAreShown) {
  ClusterSpec spec;
  spec.breakers = {.max_connections = 2, .max_pending_requests = 1, .max_requests = 3, .max_retries = 1};
  publish(spec.breakers);
  auto shown = [&](Priority priority = Priority::kDefault) {
    stats_->show(*limits_, spec);
    std::string text;
    const ClusterStats::Open& open = priority == Priority::kHigh ? stats_->high_open : stats_->open;
    for (stats::Gauge gauge : {open.cx, open.rq_pending, open.rq, open.rq_retry}) text += std::to_string(gauge.value());
    return text;
  };
  EXPECT_EQ(shown(), "0000");
  answering_ = false;
  Caller one(lane(1)), two(lane(2)), three(lane(3));
  one.start(pool(1));
  EXPECT_EQ(shown(), "0100");
  settle();
  EXPECT_EQ(shown(), "0000");
  two.start(pool(2));
  settle();
  EXPECT_EQ(shown(), "1000");  // over all lanes
  three.start(pool(3));
  EXPECT_EQ(shown(), "1100");
  for (uint32_t index : {1u, 2u, 3u}) ASSERT_TRUE(on(index).requests.acquire());
  ASSERT_TRUE(on(1).retries.acquire());
  EXPECT_EQ(shown(), "1111");
  EXPECT_EQ(shown(Priority::kHigh), "0000");
  on(2).requests.release();
  on(1).retries.release();
  EXPECT_EQ(shown(), "1100");
  limits_->set({.max_connections = 4, .max_pending_requests = 1, .max_requests = 2, .max_retries = 1});
  EXPECT_EQ(shown(), "0110");  // as the limits are now
  for (uint32_t index : {1u, 3u}) on(index).requests.release();
  answering_ = true;
  clock_.advance(ConnectionDemand::kAskAgain + 1ms);
  settle();
  EXPECT_EQ(shown(), "0000");
  // A budget for retries instead of a number: two, or half of the requests under way.
  CircuitBreakers budget{
      .max_requests = 20, .has_retry_budget = true, .retry_budget_percent = 50, .retry_budget_min = 2};
  limits_->set(budget);
  ASSERT_TRUE(on(1).retries.acquire());
  ASSERT_TRUE(on(2).retries.acquire());
  spec.breakers = budget;
  EXPECT_EQ(shown(), "0001");
  stats_->rq_active.add(8);
  EXPECT_EQ(shown(), "0001");  // of the other priority
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(on(1).requests.acquire());
  EXPECT_EQ(shown(), "0001");  // two of the seven are the retries
  ASSERT_TRUE(on(1).requests.acquire());
  EXPECT_EQ(shown(), "0000");
  for (int i = 0; i < 8; ++i) on(1).requests.release();
  stats_->rq_active.add(-8);
  on(1).retries.release();
  EXPECT_EQ(shown(), "0000");
  ASSERT_TRUE(on(1).retries.acquire());
  for (uint32_t index : {1u, 2u}) on(index).retries.release();
  stats_->open.cx.set(1);
  stats_->high_open.cx.set(1);
  stats_->clear_main_gauges();
  EXPECT_EQ(stats_->open.cx.value(), 0);
  EXPECT_EQ(stats_->high_open.cx.value(), 0);
}

// Each priority has its limits and its connections; lanes give back what is of the same priority.
TEST_F(RecallTest, PrioritiesDoNotShare) {
  publish({.max_connections = 1});
  limits_->high.set({.max_connections = 1, .max_requests = 2});
  auto high_pool = [&](uint32_t index) -> ConnPool& { return *on(index).high_priority().pick({}); };
  auto high_exchange = [&](uint32_t index) {
    Caller caller(lane(index));
    caller.start(high_pool(index));
    settle();
    return caller.events;
  };
  EXPECT_EQ(exchange(1), "waiting ready headers end ");
  EXPECT_EQ(high_exchange(1), "waiting ready headers end ");  // not over the idle connection of the other
  EXPECT_EQ(most_open_, 2u);
  EXPECT_EQ(high_exchange(2), "waiting ready headers end ");  // lane 1 gives up that of this priority
  EXPECT_EQ(exchange(1), "ready-reused headers end ");
  EXPECT_EQ(most_open_, 2u);
  EXPECT_EQ(limits_->connections.taken(), 1);
  EXPECT_EQ(limits_->high.connections.taken(), 1);
  ASSERT_TRUE(on(1).high_priority().requests.acquire());
  ASSERT_TRUE(on(1).high_priority().requests.acquire());
  EXPECT_FALSE(on(1).high_priority().requests.acquire());
  EXPECT_TRUE(on(1).requests.acquire());
  for (ClusterLocal* local : {&on(1).high_priority(), &on(1).high_priority(), &on(1)}) local->requests.release();
  // What balancing by load sees of a host is the requests of both.
  ConnPool& usual = pool(1);
  ConnPool& high = high_pool(1);
  on(1).begin_request(usual, *stats_);
  on(1).high_priority().begin_request(high, *stats_);
  EXPECT_EQ(usual.host().active_on(1), 2);
  on(1).end_request(usual, *stats_);
  on(1).high_priority().end_request(high, *stats_);
  // Hosts come and go for both.
  publish_no_hosts();
  EXPECT_EQ(on(1).high_priority().pick({}), nullptr);
  EXPECT_EQ(stats_->cx_active.value(), 0);
}

// Fewer connections than lanes, and far more requests: all are answered.
TEST_F(RecallTest, EveryLaneGetsItsTurn) {
  publish({.max_connections = 2, .max_pending_requests = 100});
  answering_ = false;
  std::vector<std::unique_ptr<Caller>> callers;
  for (uint32_t i = 0; i < 12; ++i) {
    callers.push_back(std::make_unique<Caller>(lane(1 + i % 3)));
    callers.back()->start(pool(1 + i % 3, i % 2));
    settle();
  }
  answering_ = true;
  for (int i = 0; i < 40; ++i) {
    settle();
    clock_.advance(20ms);
  }
  for (auto& caller : callers) expect_served_late(*caller);
  EXPECT_LE(most_open_, 2u);
  EXPECT_EQ(stats_->rq_pending_active.value(), 0);
  EXPECT_EQ(stats_->rq_pending_overflow.value(), 0u);
}

// A lane that always has requests of its own gives its connection up when another one has waited long enough, and not
// before.
TEST_F(RecallTest, ABusyLaneDoesNotStarveOthers) {
  publish({.max_connections = 1, .max_pending_requests = 100});
  answering_ = false;
  std::vector<std::unique_ptr<Caller>> own;
  auto one_more = [&] {
    own.push_back(std::make_unique<Caller>(lane(1)));
    own.back()->start(pool(1));
  };
  one_more();
  settle();
  one_more();
  Caller other(lane(2));
  other.start(pool(2));
  settle();
  auto finish_one = [&] {
    one_more();
    servers_[0].step(true);
    settle();
  };
  finish_one();
  finish_one();
  EXPECT_EQ(stats_->cx_total.value(), 1u);
  EXPECT_EQ(other.events, "waiting ");
  clock_.advance(ConnectionDemand::kPatience);
  settle();
  finish_one();
  settle();
  EXPECT_EQ(other.events, "waiting ready ");
  EXPECT_EQ(most_open_, 1u);
  answering_ = true;
  for (int i = 0; i < 4; ++i) settle();
  for (auto& caller : own) expect_served_late(*caller);
}

TEST_F(RecallTest, WhoWaitsForAnotherLaneMayLeave) {
  publish({.max_connections = 1});
  answering_ = false;
  Caller busy(lane(1));
  busy.start(pool(1));
  settle();
  {
    Caller gone(lane(2));
    gone.start(pool(2));
    settle();
  }
  Caller third(lane(3));
  third.start(pool(3));
  settle();
  answering_ = true;
  settle();
  EXPECT_EQ(third.events, "waiting ready headers end ");
  EXPECT_EQ(stats_->rq_pending_active.value(), 0);
  EXPECT_EQ(limits_->connections.taken(), 1);
}

// Behind those of the lane that has the connection, whose own request was first.
TEST_F(RecallTest, WhoWaitsForAnotherLaneIsServedAlsoWhenTheClusterGoes) {
  publish({.max_connections = 1});
  answering_ = false;
  Caller busy(lane(1)), next(lane(1)), waiting(lane(2)), third(lane(3));
  busy.start(pool(1));
  settle();
  next.start(pool(1));
  waiting.start(pool(2));
  third.start(pool(3));
  settle();
  remove_cluster();
  clock_.advance(ConnectionDemand::kAskAgain + 1ms);
  settle();
  EXPECT_EQ(waiting.events, "waiting ");
  answering_ = true;
  for (int i = 0; i < 8; ++i) {
    settle();
    clock_.advance(ConnectionDemand::kAskAgain + 1ms);
  }
  for (Caller* caller : {&busy, &next, &waiting, &third}) expect_served_late(*caller);
  EXPECT_EQ(most_open_, 1u);
  EXPECT_EQ(limits_->connections.taken(), 0);
  EXPECT_EQ(stats_->rq_pending_active.value(), 0);
}

TEST_F(RecallTest, AHigherLimitServesWhoWaits) {
  publish({.max_connections = 1});
  answering_ = false;
  Caller busy(lane(1)), waiting(lane(2));
  busy.start(pool(1));
  settle();
  waiting.start(pool(2));
  settle();
  limits_->set({.max_connections = 2});
  clock_.advance(ConnectionDemand::kAskAgain + 1ms);
  settle();
  EXPECT_EQ(waiting.events, "waiting ready ");
  answering_ = true;
  settle();
}

// A second request comes when the first one's share has been given back, but the answer that says so has not come yet.
TEST_F(RecallTest, WhoTakesWhatWasGivenToAnotherDoesNotEndTheAsking) {
  publish({.max_connections = 2});
  answering_ = false;
  {
    Caller one(lane(1)), two(lane(1));
    one.start(pool(1));
    two.start(pool(1));
    settle();
    answering_ = true;
    settle();
  }
  answering_ = false;
  Caller first(lane(2)), second(lane(2));
  first.start(pool(2));
  lane(1).turn(Duration::zero());  // gives one back, and says so
  second.start(pool(2));           // takes it
  settle();
  EXPECT_EQ(first.events, "waiting ready ");
  EXPECT_EQ(second.events, "waiting ready ");
  EXPECT_EQ(stats_->cx_overflow.value(), 0u);
  answering_ = true;
  settle();
}

// While a lane has connections of its own, a request waits for them; but it need not if others lie idle.
TEST_F(RecallTest, IdleOnesElsewhereServeWhoWouldWaitForABusyOne) {
  publish({.max_connections = 2});
  EXPECT_EQ(exchange(1), "waiting ready headers end ");
  answering_ = false;
  Caller busy(lane(2)), second(lane(2)), third(lane(2));
  busy.start(pool(2));
  settle();
  second.start(pool(2));
  settle();
  EXPECT_EQ(second.events, "waiting ready ");
  third.start(pool(2));
  settle();
  EXPECT_EQ(third.events, "waiting ");
  EXPECT_EQ(stats_->cx_overflow.value(), 1u);
  answering_ = true;
  settle();
  EXPECT_EQ(third.events, "waiting ready-reused headers end ");
  EXPECT_EQ(most_open_, 2u);
}

TEST_F(RecallTest, OwnIdleConnectionsToOtherHostsGoFirst) {
  publish({.max_connections = 1});
  EXPECT_EQ(exchange(1, 0), "waiting ready headers end ");
  EXPECT_EQ(exchange(1, 1), "waiting ready headers end ");
  EXPECT_EQ(exchange(1, 2), "waiting ready headers end ");
  EXPECT_EQ(exchange(1, 0), "waiting ready headers end ");
  EXPECT_EQ(most_open_, 1u);
  EXPECT_EQ(stats_->cx_total.value(), 4u);
  EXPECT_EQ(stats_->cx_overflow.value(), 0u);
}

// The connections of a host are all busy for long, then one to another host becomes idle.
TEST_F(RecallTest, AWaiterGetsWhatBecomesIdleOnItsLane) {
  publish({.max_connections = 2});
  answering_ = false;
  Caller slow(lane(1)), quick(lane(1)), waiting(lane(1));
  slow.start(pool(1, 0));
  quick.start(pool(1, 1));
  settle();
  waiting.start(pool(1, 0));
  settle();
  EXPECT_EQ(waiting.events, "waiting ");
  servers_[1].step(true);
  settle();
  EXPECT_EQ(quick.events, "waiting ready headers end ");
  EXPECT_EQ(waiting.events, "waiting ready ");
  EXPECT_EQ(slow.events, "waiting ready ");
  EXPECT_EQ(most_open_, 2u);
  answering_ = true;
  settle();
}

TEST_F(RecallTest, UnusedSharesOfALaneThatDidMuchBefore) {
  publish({.max_connections = 4000, .max_pending_requests = 4000, .max_requests = 640});
  // One lane was busy, and keeps some shares for its next requests.
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(on(1).requests.acquire());
  for (int i = 0; i < 100; ++i) on(1).requests.release();
  ASSERT_GT(limits_->requests.taken(), 0);
  uint32_t got = 0;
  while (on(2).requests.acquire()) ++got;
  EXPECT_LT(got, 640u);
  struct Counter final : RecallWaiter {
    bool on_recalled() override {
      ++called;
      return true;
    }
    int called = 0;
  } counter;
  ASSERT_TRUE(on(2).recall(LimitKind::kRequests).wait(counter));
  EXPECT_EQ(counter.called, 0);
  settle();
  EXPECT_EQ(counter.called, 1);
  while (on(2).requests.acquire()) ++got;
  EXPECT_EQ(got, 640u);
  while (on(2).requests.used() > 0) on(2).requests.release();
}

// Small limits are counted one by one: nobody holds what it does not use, and there is nothing to wait for.
TEST_F(RecallTest, NobodyIsAskedForWhatNobodyKeeps) {
  publish({.max_requests = 2});
  ASSERT_TRUE(on(1).requests.acquire());
  ASSERT_TRUE(on(1).requests.acquire());
  ASSERT_FALSE(on(2).requests.acquire());
  struct Nobody final : RecallWaiter {
    bool on_recalled() override { return true; }
  } nobody;
  EXPECT_FALSE(on(2).recall(LimitKind::kRequests).wait(nobody));
  on(1).requests.release();
  on(1).requests.release();
}

TEST_F(RecallTest, APlaceInTheQueueIsAskedFor) {
  publish({.max_connections = 4000, .max_pending_requests = 640, .max_requests = 4000});
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(on(1).pending.acquire());
  for (int i = 0; i < 100; ++i) on(1).pending.release();
  uint32_t got = 0;
  while (on(2).pending.acquire()) ++got;
  ASSERT_LT(got, 640u);
  EXPECT_EQ(exchange(2), "waiting ready headers end ");
  EXPECT_EQ(stats_->rq_pending_overflow.value(), 0u);
  while (on(2).pending.acquire()) ++got;
  clock_.advance(2ms);
  settle();
  EXPECT_EQ(exchange(2, 1), "waiting failed-overflow ");
  EXPECT_EQ(stats_->rq_pending_overflow.value(), 1u);
  while (on(2).pending.used() > 0) on(2).pending.release();
}

TEST_F(RecallTest, WhoLeavesMeanwhileIsForgotten) {
  publish({.max_connections = 1, .max_pending_requests = 640});
  EXPECT_EQ(exchange(1), "waiting ready headers end ");
  {
    Caller gone(lane(2));
    gone.start(pool(2));
  }
  while (on(2).pending.acquire()) {
  }
  ASSERT_EQ(on(1).pending.used(), 0u);
  settle();
  while (on(2).pending.used() > 0) on(2).pending.release();
  EXPECT_EQ(exchange(2), "waiting ready headers end ");
  EXPECT_EQ(stats_->rq_pending_active.value(), 0);
  EXPECT_EQ(most_open_, 1u);
}

// The cluster is removed while a request waits for the other lanes.
TEST_F(RecallTest, AClusterThatGoesMeanwhileServesWhoWaits) {
  publish({.max_connections = 1});
  answering_ = false;
  Caller busy(lane(1)), waiting(lane(2));
  busy.start(pool(1));
  settle();
  waiting.start(pool(2));
  remove_cluster();
  EXPECT_EQ(waiting.events, "waiting ");
  answering_ = true;
  settle();
  settle();
  EXPECT_EQ(busy.events, "waiting ready headers end ");
  EXPECT_EQ(waiting.events, "waiting ready headers end ");
  EXPECT_EQ(limits_->connections.taken(), 0);
}

}  // namespace
}  // namespace weir::upstream
