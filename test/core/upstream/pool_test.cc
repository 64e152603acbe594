// Pools of one lane against a hand-moved server: reuse, limits, stale connections, failures, hosts that leave.
#include "core/upstream/pool.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "test/core/upstream/served_pool.h"

namespace weir::upstream {
namespace {

using event::SlotId;
using event::SlotKind;

using PoolTest = ServedPool;

TEST_F(PoolTest, AConnectionIsReused) {
  exchange(0);
  exchange(0);
  exchange(0);
  EXPECT_EQ(server_.peers.size(), 1u);
  EXPECT_EQ(stats_->cx_total.value(), 1u);
  EXPECT_EQ(stats_->cx_active.value(), 1);
  EXPECT_EQ(stats_->rq_pending_active.value(), 0);
}

TEST_F(PoolTest, MostRecentlyUsedFirst) {
  Caller one(lane_), two(lane_);
  one.start(pool());
  two.start(pool());
  settle();
  ASSERT_EQ(server_.peers.size(), 2u);
  server_.receive(0);
  server_.receive(1);
  server_.answer(0);
  settle();
  server_.answer(1);
  settle();
  exchange(1);  // the one that became idle last
  exchange(1);
}

TEST_F(PoolTest, MaxRequestsPerConnection) {
  spec_.max_requests_per_connection = 2;
  publish_cluster();
  exchange(0);
  exchange(0);
  settle();
  EXPECT_EQ(stats_->cx_active.value(), 0);
  exchange(1);
  EXPECT_EQ(stats_->cx_max_requests.value(), 1u);
}

TEST_F(PoolTest, RefusedConnectionFailsItsWaiters) {
  server_.stop();
  Caller one(lane_), two(lane_);
  EXPECT_EQ(one.start(pool()), ConnPool::Start::kWaiting);
  two.start(pool());
  EXPECT_EQ(one.events, "waiting ");
  lane_.turns(3);
  EXPECT_EQ(one.events, "waiting failed-connection_failure ");
  EXPECT_EQ(two.events, "waiting failed-connection_failure ");
  EXPECT_EQ(stats_->cx_active.value(), 0);
  EXPECT_EQ(stats_->cx_connect_fail.value(), 2u);
  EXPECT_EQ(cluster().connections.used(), 0u);
  EXPECT_EQ(cluster().pending.used(), 0u);
}

TEST_F(PoolTest, AWaiterThatLeavesIsForgotten) {
  {
    Caller gone(lane_);
    gone.start(pool());
  }
  settle();
  EXPECT_EQ(stats_->rq_pending_active.value(), 0);
  exchange(0);  // the connection that was made for it
  EXPECT_EQ(server_.peers.size(), 1u);
}

TEST_F(PoolTest, IdleConnectionClosedByThePeerIsNotUsed) {
  exchange(0);
  server_.close_peer(0);
  settle();
  EXPECT_EQ(stats_->cx_active.value(), 0);
  exchange(1);
}

// The end of an idle connection and the next request may arrive in the same turn.
TEST_F(PoolTest, ConnectionThatEndsInThisTurnIsNotHandedOut) {
  exchange(0);
  server_.close_peer(0);
  Caller caller(lane_);
  lane_.lane().post([&] { caller.start(pool()); });  // runs after the turn's readiness events
  settle();
  EXPECT_EQ(caller.events, "waiting ready ");
  ASSERT_EQ(server_.peers.size(), 2u);
  server_.answer(1);
  settle();
  EXPECT_EQ(caller.body, "ok");
}

TEST_F(PoolTest, StaleConnectionResetsAsReused) {
  exchange(0);
  Caller caller(lane_);
  caller.start(pool());
  EXPECT_EQ(caller.events, "ready-reused ");
  server_.close_peer(0);
  settle();
  EXPECT_EQ(caller.events, "ready-reused reset-connection_termination ");
}

TEST_F(PoolTest, UnaskedBytesEndAnIdleConnection) {
  exchange(0);
  server_.answer(0);
  settle();
  EXPECT_EQ(stats_->cx_active.value(), 0);
}

TEST_F(PoolTest, ResetClosesTheConnection) {
  Caller caller(lane_);
  caller.start(pool());
  settle();
  caller.reset();
  settle();
  EXPECT_EQ(caller.events, "waiting ready ");  // nothing after reset()
  EXPECT_EQ(stats_->cx_active.value(), 0);
}

TEST_F(PoolTest, GarbageIsAProtocolError) {
  Caller caller(lane_);
  caller.start(pool());
  settle();
  server_.answer(0, "SSH-2.0-hello\r\n");
  settle();
  EXPECT_EQ(caller.events, "waiting ready reset-protocol_error ");
  EXPECT_EQ(stats_->cx_protocol_error.value(), 1u);
  EXPECT_EQ(stats_->cx_active.value(), 0);
}

TEST_F(PoolTest, IdleTimeout) {
  spec_.idle_timeout = 10s;
  publish_cluster();
  exchange(0);
  lane_.advance(9s);
  EXPECT_EQ(stats_->cx_active.value(), 1);
  lane_.advance(2s);
  settle();
  EXPECT_EQ(stats_->cx_active.value(), 0);
  EXPECT_EQ(stats_->cx_idle_timeout.value(), 1u);
}

// Connections of their kind do not come free: better a refusal at once than a wait for hours. The others wait.
TEST_F(PoolTest, TheLimitRefusesThoseWhoDoNotWait) {
  limits_->set({.max_connections = 1, .max_pending_requests = 10, .max_requests = 1024, .max_retries = 3});
  publish_cluster();
  Caller first(lane_), patient(lane_), impatient(lane_);
  first.start(pool());
  settle();
  EXPECT_EQ(first.events, "waiting ready ");
  EXPECT_EQ(patient.start(pool()), ConnPool::Start::kWaiting);
  impatient.waiter.want_unused(true);
  impatient.waiter.refuse_at_limit();
  EXPECT_EQ(impatient.start(pool()), ConnPool::Start::kOverflow);
  settle();
  EXPECT_EQ(patient.events + impatient.events, "waiting overflow ");
  EXPECT_EQ(stats_->rq_pending_active.value(), 1);
  serve(0);
  EXPECT_EQ(patient.events, "waiting ready-reused ");
}

// Who wants an unused connection gets one that was opened for somebody who has left, and not one that carried a
// request.
TEST_F(PoolTest, ConnectionsThatNobodyWaitedForAreUsed) {
  exchange(0);
  ASSERT_EQ(stats_->cx_active.value(), 1);
  {
    Caller gone(lane_);
    gone.waiter.want_unused(true);
    EXPECT_EQ(gone.start(pool()), ConnPool::Start::kWaiting);
  }
  settle();
  ASSERT_EQ(stats_->cx_active.value(), 2);
  Caller first(lane_), second(lane_);
  first.waiter.want_unused(true);
  second.waiter.want_unused(true);
  EXPECT_EQ(first.start(pool()), ConnPool::Start::kReady);
  EXPECT_EQ(first.events, "ready ");
  EXPECT_EQ(second.start(pool()), ConnPool::Start::kWaiting);
  settle();
  EXPECT_EQ(second.events, "waiting ready ");
  EXPECT_EQ(stats_->cx_active.value(), 3);
}

TEST_F(PoolTest, CircuitBreakersRefuse) {
  limits_->set({.max_connections = 1, .max_pending_requests = 1, .max_requests = 1024, .max_retries = 3});
  Caller one(lane_), two(lane_), three(lane_);
  EXPECT_EQ(one.start(pool()), ConnPool::Start::kWaiting);
  EXPECT_EQ(two.start(pool()), ConnPool::Start::kOverflow);  // nobody else may wait
  settle();
  EXPECT_EQ(one.events, "waiting ready ");
  EXPECT_EQ(two.start(pool()), ConnPool::Start::kWaiting);  // for the one connection
  EXPECT_EQ(three.start(pool()), ConnPool::Start::kOverflow);
  serve(0);
  EXPECT_EQ(two.events, "overflow waiting ready-reused ");
  EXPECT_EQ(stats_->rq_pending_overflow.value(), 2u);
  EXPECT_EQ(stats_->cx_overflow.value(), 1u);
}

// Whoever waits for a connection's turn does not wait for ever when it goes and no other may be opened.
TEST_F(PoolTest, WaitersFailWhenTheirLastHopeGoes) {
  limits_->set({.max_connections = 1, .max_pending_requests = 10, .max_requests = 1024, .max_retries = 3});
  Caller one(lane_), two(lane_);
  one.start(pool());
  settle();
  two.start(pool());
  limits_->set({.max_connections = 0, .max_pending_requests = 10, .max_requests = 1024, .max_retries = 3});
  server_.close_peer(0);
  settle();
  EXPECT_EQ(two.events, "waiting failed-overflow ");
}

TEST_F(PoolTest, HostThatLeavesIsDrained) {
  exchange(0);  // idle
  Caller busy(lane_);
  busy.start(pool());
  Caller second(lane_);
  second.start(pool());
  settle();
  ASSERT_EQ(server_.peers.size(), 2u);
  std::weak_ptr<lb::Host> gone = host_;
  host_.reset();
  publish_hosts({});
  EXPECT_EQ(cluster().pick({}), nullptr);
  serve(0);
  EXPECT_EQ(busy.body, "ok");
  EXPECT_EQ(stats_->cx_active.value(), 1);
  serve(1);
  EXPECT_EQ(second.body, "ok");
  EXPECT_EQ(stats_->cx_active.value(), 0);
  lane_.turns(3);
  EXPECT_TRUE(gone.expired());
}

// Whose turn comes behind the update, on the connection that is there or on another one.
TEST_F(PoolTest, WhoWaitsWhenTheClusterGoesIsServed) {
  limits_->set({.max_connections = 1, .max_pending_requests = 10, .max_requests = 1024, .max_retries = 3});
  Caller one(lane_), two(lane_), three(lane_), four(lane_);
  for (Caller* caller : {&one, &two, &three, &four}) caller->start(pool());
  settle();
  remove({hosts_, cluster_});
  EXPECT_EQ(two.events, "waiting ");
  serve(0);
  EXPECT_EQ(one.body, "ok");
  EXPECT_EQ(two.events, "waiting ready-reused ");
  server_.close_peer(0);
  settle();
  EXPECT_EQ(three.events, "waiting ready ");
  ASSERT_EQ(server_.peers.size(), 2u);
  serve(1);
  EXPECT_EQ(three.body, "ok");
  EXPECT_EQ(four.events, "waiting ready-reused ");
  EXPECT_EQ(stats_->cx_active.value(), 1);
  serve(1);
  EXPECT_EQ(four.body, "ok");
  EXPECT_EQ(clusters_.connection_count(), 0u);
  EXPECT_EQ(stats_->cx_active.value(), 0);
  EXPECT_EQ(stats_->rq_pending_active.value(), 0);
  EXPECT_EQ(limits_->connections.taken(), 0);
  EXPECT_EQ(publisher_.live_versions(), 0u);
}

// The same while the cluster stays: its connections serve those that were there, and nobody else.
TEST_F(PoolTest, WhoWaitsWhenTheHostLeavesGetsTheConnectionThatIsThere) {
  limits_->set({.max_connections = 1, .max_pending_requests = 10, .max_requests = 1024, .max_retries = 3});
  Caller one(lane_), two(lane_);
  one.start(pool());
  two.start(pool());
  settle();
  publish_hosts({});
  serve(0);
  EXPECT_EQ(two.events, "waiting ready-reused ");
  serve(0);
  EXPECT_EQ(two.body, "ok");
  EXPECT_EQ(server_.peers.size(), 1u);
  EXPECT_EQ(stats_->cx_active.value(), 0);
}

// A host that comes back while its old connections drain: counts go on and end at zero.
TEST_F(PoolTest, HostThatComesBackKeepsItsCounts) {
  Caller busy(lane_);
  ConnPool& first = pool();
  cluster().begin_request(first, *stats_);
  busy.start(first);
  settle();
  publish_hosts({});
  EXPECT_EQ(host_->active(), 1);
  publish_hosts({host_});
  exchange(1);
  server_.receive(0);
  server_.answer(0);
  cluster().end_request(first, *stats_);
  settle();
  EXPECT_EQ(busy.body, "ok");
  EXPECT_EQ(host_->active(), 0);
}

// Filters between the router and the host may hold a response whose connection has gone.
TEST_F(PoolTest, ThePoolOfAHostThatHasLeftStaysForARequestWithoutAConnection) {
  ConnPool& first = pool();
  cluster().begin_request(first, *stats_);
  exchange(0);
  const std::weak_ptr<lb::Host> left = host_;
  host_ = std::make_shared<lb::Host>(server_.address(), "other", "", 2);
  publish_hosts({host_});
  settle();
  EXPECT_EQ(clusters_.connection_count(), 0u);
  ASSERT_FALSE(left.expired());  // it is the pool's
  cluster().end_request(first, *stats_);
  publish_hosts({host_});
  EXPECT_TRUE(left.expired());
}

// alt_stat_name changes while connections are idle, busy and wanted: each gauge goes down where it went up.
TEST_F(PoolTest, GaugesGoDownUnderTheNameTheyWentUpUnder) {
  limits_->set({.max_connections = 2, .max_pending_requests = 10, .max_requests = 1024, .max_retries = 3});
  Caller first(lane_), second(lane_), waiting(lane_);
  first.start(pool());
  second.start(pool());
  settle();
  ASSERT_EQ(server_.peers.size(), 2u);
  server_.receive(0);
  server_.answer(0);
  settle();  // one idle, one busy
  Caller third(lane_);
  third.start(pool());
  EXPECT_EQ(waiting.start(pool()), ConnPool::Start::kWaiting);
  auto before = stats_;
  EXPECT_EQ(before->cx_active.value(), 2);
  EXPECT_EQ(before->rq_pending_active.value(), 1);
  stats_ = std::make_shared<ClusterStats>(store_, "renamed");
  publish_cluster();
  EXPECT_EQ(before->cx_active.value(), 2);
  EXPECT_EQ(stats_->cx_active.value(), 0);
  server_.receive(1);
  server_.answer(1);
  settle();  // the connection of the old name has had its last request: another one serves who waits
  EXPECT_EQ(second.body, "ok");
  EXPECT_EQ(before->rq_pending_active.value(), 0);
  EXPECT_EQ(waiting.events, "waiting ready ");
  serve(0);
  EXPECT_EQ(third.body, "ok");
  EXPECT_EQ(before->cx_active.value(), 0);
  EXPECT_EQ(before->cx_total.value(), before->cx_destroy.value());
  EXPECT_EQ(stats_->cx_active.value(), 1);
  EXPECT_EQ(stats_->rq_pending_active.value(), 0);
  std::weak_ptr<ClusterStats> old = before;
  before.reset();
  lane_.turns(2);
  EXPECT_TRUE(old.expired());  // nothing holds the old version any more
}

TEST_F(PoolTest, PicksInPanicAreCounted) {
  pool();
  EXPECT_EQ(stats_->lb_healthy_panic.value(), 0u);
  std::vector<lb::HostEntry> entries(1);
  entries[0].host = host_;
  entries[0].health = lb::Health::kUnhealthy;
  publish_entries(std::move(entries));
  pool();
  pool();
  EXPECT_EQ(stats_->lb_healthy_panic.value(), 2u);
}

TEST_F(PoolTest, StatisticsOfARemovedClusterGoWithIt) {
  exchange(0);
  remove({hosts_, cluster_});
  settle();
  std::weak_ptr<ClusterStats> gone = stats_;
  stats_.reset();
  EXPECT_TRUE(gone.expired());
}

// What a lane has of a cluster it makes when it first uses it, whatever has changed until then.
TEST_F(PoolTest, AClusterIsMadeAtItsFirstUse) {
  EXPECT_EQ(LaneClusters::find_part(lane_.lane(), ClusterPart{cluster_.index, Priority::kDefault}), nullptr)
      << "published, and not used";
  Server other;
  auto host = std::make_shared<lb::Host>(other.address(), "other", "", 2);
  host->add_active(0, 3);  // counted by this lane before its cluster was removed, say
  publish_hosts({host});
  spec_.max_requests_per_connection = 7;
  publish_cluster();

  ClusterLocal* local = clusters_.find(cluster_);
  ASSERT_NE(local, nullptr);
  EXPECT_EQ(LaneClusters::find_part(lane_.lane(), ClusterPart{cluster_.index, Priority::kDefault}), local);
  EXPECT_EQ(local->current()->spec.max_requests_per_connection, 7u);
  EXPECT_EQ(&local->pick({})->host(), host.get());
  EXPECT_EQ(clusters_.find({SlotKind::kCluster, cluster_.index + 1}), nullptr);
}

TEST_F(PoolTest, AClusterIsFoundByNameWheneverItCame) {
  EXPECT_EQ(clusters_.find_by_name("later"), nullptr);
  EXPECT_EQ(clusters_.find_by_name("c"), clusters_.find(cluster_));
  ClusterSpec spec = spec_;
  spec.name = "later";
  const SlotId later = publisher_.intern(SlotKind::kCluster, "later");
  publish(later, std::make_unique<Cluster>(spec, stats_, limits_));
  ASSERT_NE(clusters_.find_by_name("later"), nullptr);
  EXPECT_EQ(clusters_.find_by_name("later")->current()->spec.name, "later");
  remove({later});
  EXPECT_EQ(clusters_.find_by_name("later"), nullptr);
}

TEST_F(PoolTest, RemovedClusterIsNotFound) {
  exchange(0);
  remove({hosts_, cluster_});
  settle();
  EXPECT_EQ(clusters_.find(cluster_), nullptr);
  EXPECT_EQ(clusters_.connection_count(), 0u);
  EXPECT_EQ(publisher_.live_versions(), 0u);
}

}  // namespace
}  // namespace weir::upstream
