// Pools of one lane against a hand-moved server: reuse, limits, stale connections, failures, hosts that leave.
#include "core/upstream/pool.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "core/net/socket.h"
#include "core/stream/stream_info.h"
#include "test/core/upstream/pool_world.h"
#include "test/support/fake_transport_facts.h"

namespace weir::upstream {
namespace {

using event::SlotId;
using event::SlotKind;
using test::TestLane;

class Server {
 public:
  Server() {
    listener_ = *net::open_listen_socket(*net::Address::from_ip("127.0.0.1", 0), {});
    address_ = net::bound_address(listener_);
  }
  ~Server() {
    for (size_t i = 0; i < peers.size(); ++i) close_peer(i);
    stop();
  }
  void stop() {
    if (listener_ >= 0) ::close(std::exchange(listener_, -1));
  }
  const net::Address& address() const { return address_; }
  void accept_all() {
    for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) peers.push_back(fd);
  }
  std::string receive(size_t peer) {
    char buffer[4096];
    ssize_t n = recv(peers[peer], buffer, sizeof(buffer), 0);
    return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : std::string();
  }
  void answer(size_t peer, std::string_view text = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") {
    EXPECT_EQ(send(peers[peer], text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  void close_peer(size_t peer) {
    if (peers[peer] >= 0) ::close(std::exchange(peers[peer], -1));
  }
  std::vector<int> peers;

 private:
  int listener_;
  net::Address address_;
};

// One request through a pool.
class Caller final : public UpstreamEvents {
 public:
  explicit Caller(TestLane& lane) : lane_(lane) {}
  ~Caller() {
    if (stream != nullptr && events.find("end ") == std::string::npos && events.find("reset-") == std::string::npos &&
        !was_reset)
      stream->reset();
  }
  ConnPool::Start start(ConnPool& pool) {
    UpstreamStream* ready = nullptr;
    ConnPool::Start result = pool.request(waiter, *this, ready);
    if (result == ConnPool::Start::kReady) on_ready(*ready);
    return result;
  }
  stream::WireBytes& wire_bytes() override { return wire; }
  void on_ready(UpstreamStream& ready) override {
    stream = &ready;
    events += ready.reused() ? "ready-reused " : "ready ";
    http::HeaderMap request(arena_);
    request.add(http::HeaderId::kMethod, "GET");
    request.add(http::HeaderId::kPath, "/");
    request.add(http::HeaderId::kAuthority, "a");
    EXPECT_TRUE(ready.send_headers(request, true));
  }
  void on_failed(ResetReason reason, std::string_view why) override {
    detail = why;
    events += "failed-" + std::string(reason_text(reason)) + " ";
  }
  http::HeaderMap& begin_response(int) override {
    response_.clear();
    return response_;
  }
  void on_informational(BlockRef) override { events += "info "; }
  void on_upstream_headers(BlockRef, bool end) override { events += end ? "headers. " : "headers "; }
  void on_upstream_data(Slices& data, bool end) override {
    body += data.to_string();
    data.clear();
    if (end) events += "end ";
  }
  http::HeaderMap& begin_response_trailers() override { return response_; }
  void on_upstream_trailers() override { events += "trailers "; }
  void on_reset(ResetReason reason, std::string_view) override {
    events += "reset-" + std::string(reason_text(reason)) + " ";
  }
  void on_request_flow(bool) override {}

  Waiter waiter{*this};
  UpstreamStream* stream = nullptr;
  stream::WireBytes wire;
  std::string events;
  std::string detail;  // of on_failed()
  std::string body;
  bool was_reset = false;

 private:
  TestLane& lane_;
  Arena arena_{lane_.lane().arenas()};
  http::HeaderMap response_{arena_};
};

class PoolTest : public PoolWorld {
 protected:
  PoolTest() { begin(server_.address()); }
  ~PoolTest() override {
    clusters_.shut_down();
    lane_.turns(3);
  }
  // Where nobody listens.
  static net::Address dead_address() {
    Server server;
    server.stop();
    return server.address();
  }
  // Everything that is under way arrives.
  void settle() {
    for (int i = 0; i < 4; ++i) {
      lane_.turn();
      server_.accept_all();
    }
  }
  // One whole exchange on peer number `peer`.
  void exchange(size_t peer) {
    Caller caller(lane_);
    caller.start(pool());
    settle();
    EXPECT_NE(server_.receive(peer), "");
    server_.answer(peer);
    settle();
    EXPECT_TRUE(caller.events.ends_with("headers end ")) << caller.events;
    EXPECT_EQ(caller.body, "ok");
  }

  Server server_;
};

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
  EXPECT_EQ(one.events, "");
  lane_.turns(3);
  EXPECT_EQ(one.events, "failed-connection_failure ");
  EXPECT_EQ(two.events, "failed-connection_failure ");
  EXPECT_EQ(stats_->cx_active.value(), 0);
  EXPECT_EQ(stats_->cx_connect_fail.value(), 2u);
  EXPECT_EQ(cluster().connections.used(), 0u);
  EXPECT_EQ(cluster().pending.used(), 0u);
}

TEST_F(PoolTest, AnotherAddressOfTheHostIsTriedBeforeRequestsFail) {
  publish_addresses({dead_address(), dead_address(), server_.address()});
  Caller one(lane_), two(lane_);
  one.start(pool());
  two.start(pool());
  for (int i = 0; i < 4; ++i) settle();
  EXPECT_EQ(one.events, "ready ");
  EXPECT_EQ(two.events, "ready ");
  EXPECT_EQ(stats_->cx_connect_fail.value(), 4u);
  EXPECT_EQ(stats_->cx_active.value(), 2);
  // And the one that lets in stays the one that is tried.
  Caller three(lane_);
  three.start(pool());
  settle();
  EXPECT_EQ(three.events, "ready ");
  EXPECT_EQ(stats_->cx_connect_fail.value(), 4u);
}

TEST_F(PoolTest, WhenEveryAddressRefusesRequestsFail) {
  publish_addresses({dead_address(), dead_address()});
  for (int i = 1; i <= 2; ++i) {
    Caller caller(lane_);
    caller.start(pool());
    settle();
    settle();
    EXPECT_EQ(caller.events, "failed-connection_failure ");
    EXPECT_EQ(stats_->cx_connect_fail.value(), 2u * static_cast<uint64_t>(i));
  }
  EXPECT_EQ(cluster().connections.used(), 0u);
  EXPECT_EQ(cluster().pending.used(), 0u);
}

TEST_F(PoolTest, WhenEveryAddressRefusesEachRequestHasTriedEachOnce) {
  publish_addresses({dead_address(), dead_address()});
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 50; ++i) callers.emplace_back(std::make_unique<Caller>(lane_))->start(pool());
  for (int i = 0; i < 4; ++i) settle();
  for (const auto& caller : callers) EXPECT_EQ(caller->events, "failed-connection_failure ");
  EXPECT_EQ(stats_->cx_connect_fail.value(), 100u);
}

TEST_F(PoolTest, AnAddressThatLetsInIsKeptWhileItIsAmongThem) {
  const net::Address dead = dead_address();
  publish_addresses({dead, server_.address()});
  Caller one(lane_);
  one.start(pool());
  for (int i = 0; i < 3; ++i) settle();
  EXPECT_EQ(one.events, "ready ");
  publish_addresses({dead_address(), dead, server_.address()});
  Caller two(lane_);
  two.start(pool());
  settle();
  EXPECT_EQ(two.events, "ready ");
  EXPECT_EQ(stats_->cx_connect_fail.value(), 1u);
}

// Whose queue is full: the kernel drops what asks for a connection.
class SilentAddress {
 public:
  SilentAddress() {
    listener_ = *net::open_listen_socket(*net::Address::from_ip("127.0.0.1", 0), {});
    address_ = net::bound_address(listener_);
    listen(listener_, 0);
    sockaddr_storage to;
    const socklen_t size = address_.to_sockaddr(to);
    for (int& fd : fillers_) {
      fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      static_cast<void>(connect(fd, reinterpret_cast<sockaddr*>(&to), size));
    }
  }
  ~SilentAddress() {
    ::close(listener_);
    for (const int fd : fillers_) ::close(fd);
  }
  const net::Address& address() const { return address_; }

 private:
  int listener_;
  int fillers_[3];
  net::Address address_;
};

TEST_F(PoolTest, AnAddressThatIsSilentCostsLittle) {
  SilentAddress silent;
  publish_addresses({silent.address(), server_.address()});
  Caller one(lane_), two(lane_);
  one.start(pool());
  two.start(pool());
  lane_.advance(299ms);
  settle();
  EXPECT_EQ(stats_->cx_total.value(), 2u);
  lane_.advance(1ms);
  settle();
  EXPECT_EQ(one.events, "ready ");
  EXPECT_EQ(two.events, "ready ");
  EXPECT_EQ(stats_->cx_total.value(), 4u);
  // And is not tried again.
  Caller three(lane_);
  three.start(pool());
  settle();
  EXPECT_EQ(three.events, "ready ");
  EXPECT_EQ(stats_->cx_total.value(), 5u);
  lane_.advance(10s);
  settle();
  EXPECT_EQ(stats_->cx_connect_timeout.value(), 2u);
  EXPECT_EQ(stats_->cx_active.value(), 3);
  EXPECT_EQ(cluster().connections.used(), 3u);
}

TEST_F(PoolTest, WhenTheOthersRefuseTheSilentOneIsWaitedFor) {
  SilentAddress silent;
  publish_addresses({silent.address(), dead_address()});
  Caller one(lane_);
  one.start(pool());
  lane_.advance(300ms);
  settle();
  EXPECT_EQ(stats_->cx_connect_fail.value(), 1u);
  EXPECT_EQ(one.events, "");
  lane_.advance(10s);
  settle();
  EXPECT_EQ(one.events, "failed-connection_timeout ");
  EXPECT_EQ(stats_->cx_total.value(), 2u);
  EXPECT_EQ(cluster().connections.used(), 0u);
}

TEST_F(PoolTest, ASilentAddressIsWaitedForWhereTheLimitHasNoMore) {
  limits_->set({.max_connections = 1});
  SilentAddress silent;
  publish_addresses({silent.address(), server_.address()});
  Caller one(lane_);
  one.start(pool());
  lane_.advance(300ms);
  settle();
  EXPECT_EQ(one.events, "");
  EXPECT_EQ(stats_->cx_total.value(), 1u);
  lane_.advance(10s);
  settle();
  EXPECT_EQ(one.events, "failed-connection_timeout ");
}

TEST_F(PoolTest, OpenConnectionsStayWhenTheAddressMoves) {
  Server other;
  publish_addresses({server_.address()});
  exchange(0);
  publish_addresses({other.address()});
  exchange(0);
  EXPECT_EQ(server_.peers.size(), 1u);
  server_.close_peer(0);
  settle();
  Caller caller(lane_);
  caller.start(pool());
  settle();
  other.accept_all();
  EXPECT_EQ(caller.events, "ready ");
  EXPECT_EQ(other.peers.size(), 1u);
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
  EXPECT_EQ(caller.events, "ready ");
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
  caller.stream->reset();
  caller.was_reset = true;
  settle();
  EXPECT_EQ(caller.events, "ready ");  // nothing after reset()
  EXPECT_EQ(stats_->cx_active.value(), 0);
}

TEST_F(PoolTest, GarbageIsAProtocolError) {
  Caller caller(lane_);
  caller.start(pool());
  settle();
  server_.answer(0, "SSH-2.0-hello\r\n");
  settle();
  EXPECT_EQ(caller.events, "ready reset-protocol_error ");
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
  EXPECT_EQ(first.events, "ready ");
  EXPECT_EQ(patient.start(pool()), ConnPool::Start::kWaiting);
  impatient.waiter.want_unused(true);
  impatient.waiter.refuse_at_limit();
  EXPECT_EQ(impatient.start(pool()), ConnPool::Start::kOverflow);
  settle();
  EXPECT_EQ(patient.events + impatient.events, "");
  EXPECT_EQ(stats_->rq_pending_active.value(), 1);
  server_.receive(0);
  server_.answer(0);
  settle();
  EXPECT_EQ(patient.events, "ready-reused ");
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
  EXPECT_EQ(second.events, "ready ");
  EXPECT_EQ(stats_->cx_active.value(), 3);
}

TEST_F(PoolTest, CircuitBreakersRefuse) {
  limits_->set({.max_connections = 1, .max_pending_requests = 1, .max_requests = 1024, .max_retries = 3});
  Caller one(lane_), two(lane_), three(lane_);
  EXPECT_EQ(one.start(pool()), ConnPool::Start::kWaiting);
  EXPECT_EQ(two.start(pool()), ConnPool::Start::kOverflow);  // nobody else may wait
  settle();
  EXPECT_EQ(one.events, "ready ");
  EXPECT_EQ(two.start(pool()), ConnPool::Start::kWaiting);  // for the one connection
  EXPECT_EQ(three.start(pool()), ConnPool::Start::kOverflow);
  server_.receive(0);
  server_.answer(0);
  settle();
  EXPECT_EQ(two.events, "ready-reused ");
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
  EXPECT_EQ(two.events, "failed-overflow ");
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
  server_.receive(0);
  server_.answer(0);
  settle();
  EXPECT_EQ(busy.body, "ok");
  EXPECT_EQ(stats_->cx_active.value(), 1);
  server_.receive(1);
  server_.answer(1);
  settle();
  EXPECT_EQ(second.body, "ok");
  EXPECT_EQ(stats_->cx_active.value(), 0);
  lane_.turns(3);
  EXPECT_TRUE(gone.expired());
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
  EXPECT_EQ(waiting.events, "ready ");
  server_.receive(0);
  server_.answer(0);
  settle();
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
  event::Publisher::Batch batch;
  batch.set(hosts_, std::make_unique<lb::HostSet>(std::move(entries), policy_, nullptr, lb::HostSet::Options{}));
  publisher_.publish(std::move(batch));
  lane_.turns(2);
  pool();
  pool();
  EXPECT_EQ(stats_->lb_healthy_panic.value(), 2u);
}

TEST_F(PoolTest, StatisticsOfARemovedClusterGoWithIt) {
  exchange(0);
  event::Publisher::Batch batch;
  batch.remove(hosts_);
  batch.remove(cluster_);
  publisher_.publish(std::move(batch));
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
  event::Publisher::Batch batch;
  const SlotId later = publisher_.intern(SlotKind::kCluster, "later");
  batch.set(later, std::make_unique<Cluster>(spec, stats_, limits_));
  publisher_.publish(std::move(batch));
  settle();
  ASSERT_NE(clusters_.find_by_name("later"), nullptr);
  EXPECT_EQ(clusters_.find_by_name("later")->current()->spec.name, "later");
  event::Publisher::Batch removal;
  removal.remove(later);
  publisher_.publish(std::move(removal));
  settle();
  EXPECT_EQ(clusters_.find_by_name("later"), nullptr);
}

TEST_F(PoolTest, RemovedClusterIsNotFound) {
  exchange(0);
  event::Publisher::Batch batch;
  batch.remove(hosts_);
  batch.remove(cluster_);
  publisher_.publish(std::move(batch));
  settle();
  EXPECT_EQ(clusters_.find(cluster_), nullptr);
  EXPECT_EQ(clusters_.connection_count(), 0u);
  EXPECT_EQ(publisher_.live_versions(), 0u);
}

// --- Connections with a transport ----------------------------------------------------------------------------------

// Passes bytes as they are, once the peer has said "hi!"; "no!" is a refusal.
class Greeted final : public net::Transport {
 public:
  using Transport::Transport;
  void on_attached(net::Connection&) override {}
  Step handshake() override {
    if (wire_in().size() < 3) return Step::kNeedInput;
    const bool good = wire_in().to_string().starts_with("hi!");
    wire_in().drop_front(3);
    if (!good) failure_ = "it said no";
    return good ? Step::kDone : Step::kFailed;
  }
  Read read(Slices& in, size_t) override {
    in.append_all(wire_in());
    return Read::kNeedInput;
  }
  bool write(Slices& out, size_t) override {
    wire_out().append_all(out);
    return true;
  }
  void on_socket_end() override { failure_ = "it went away"; }
  void shut() override {}
  std::string_view failure() const override { return failure_; }
  net::TransportFacts& facts() override { return facts_; }

 private:
  std::string failure_;
  test::FakeTransportFacts facts_;
};

class Greeting final : public filter::UpstreamTransport {
 public:
  explicit Greeting(std::vector<std::string>& made) : made_(made) {}
  std::unique_ptr<net::Transport> make(event::Lane& lane, std::string_view host,
                                       const filter::UpstreamTransportOptions& options, Slices&) const override {
    std::string text = std::string(host) + "|" + std::string(options.server_name) + "|";
    for (std::string_view name : options.expected_names) text += std::string(name) + ",";
    made_.push_back(text);
    return std::make_unique<Greeted>(lane);
  }

 private:
  std::vector<std::string>& made_;
};

class TransportPoolTest : public PoolTest {
 protected:
  TransportPoolTest() {
    host_ = std::make_shared<lb::Host>(server_.address(), "server", "host.example", 2);
    publish_hosts({host_});
    transport_ = publisher_.intern(SlotKind::kTransport, "cluster/c/");
    publish_transport();
    spec_.transports.otherwise = transport_;
    spec_.transports.fingerprint = 1;
    publish_cluster();
  }
  void publish_transport() {
    event::Publisher::Batch batch;
    batch.set(transport_, std::make_unique<Greeting>(made_));
    publisher_.publish(std::move(batch));
    lane_.turns(2);
  }
  void greet(size_t peer, const char* words = "hi!") {
    server_.answer(peer, words);
    settle();
  }
  ConnPool& pool_of(std::string_view name) { return pool().variant({.server_name = name}); }
  // One exchange on a connection that is there already.
  void exchange_on(ConnPool& pool, size_t peer) {
    Caller caller(lane_);
    EXPECT_EQ(caller.start(pool), ConnPool::Start::kReady);
    settle();
    EXPECT_NE(server_.receive(peer), "");
    server_.answer(peer);
    settle();
    EXPECT_EQ(caller.body, "ok");
  }
  // Opens one.
  void open(ConnPool& pool, size_t peer) {
    Caller caller(lane_);
    EXPECT_EQ(caller.start(pool), ConnPool::Start::kWaiting);
    settle();
    greet(peer);
    EXPECT_NE(server_.receive(peer), "");
    server_.answer(peer);
    settle();
    EXPECT_EQ(caller.body, "ok");
  }

  std::vector<std::string> made_;
  SlotId transport_;
};

TEST_F(TransportPoolTest, ConnectionsAreReadyBehindTheHandshake) {
  Caller caller(lane_);
  EXPECT_EQ(caller.start(pool()), ConnPool::Start::kWaiting);
  settle();
  ASSERT_EQ(server_.peers.size(), 1u);
  EXPECT_EQ(caller.events, "");  // it is connected, and has said nothing
  greet(0);
  EXPECT_NE(server_.receive(0), "");
  server_.answer(0);
  settle();
  EXPECT_EQ(caller.body, "ok");
  exchange_on(pool(), 0);
  EXPECT_EQ(made_, (std::vector<std::string>{"host.example||"}));
}

TEST_F(TransportPoolTest, AFailedHandshakeIsAFailedConnection) {
  Caller refused(lane_), left(lane_);
  refused.start(pool());
  settle();
  greet(0, "no!");
  EXPECT_EQ(refused.events, "failed-connection_failure ");
  EXPECT_EQ(refused.detail, "it said no");
  left.start(pool());
  settle();
  server_.close_peer(1);
  settle();
  EXPECT_EQ(left.detail, "it went away");
  EXPECT_EQ(stats_->cx_connect_fail.value(), 2u);
  EXPECT_EQ(stats_->cx_active.value(), 0);
}

TEST_F(TransportPoolTest, ConnectTimeoutCoversTheHandshake) {
  Caller caller(lane_);
  caller.start(pool());
  settle();
  lane_.advance(spec_.connect_timeout + 1ms);
  settle();
  EXPECT_EQ(caller.events, "failed-connection_timeout ");
}

// What is to be encrypted never goes in plain text instead.
TEST_F(TransportPoolTest, WithoutItsTransportNothingIsSent) {
  event::Publisher::Batch batch;
  batch.remove(transport_);
  publisher_.publish(std::move(batch));
  lane_.turns(2);
  Caller caller(lane_);
  caller.start(pool());
  settle();
  EXPECT_EQ(caller.events, "failed-connection_failure ");
}

// New certificates: connections stay, new ones are made of what is new.
TEST_F(TransportPoolTest, AnotherTransportIsForNewConnections) {
  open(pool(), 0);
  publish_transport();
  exchange_on(pool(), 0);
  EXPECT_EQ(publisher_.live_versions(), 4u);  // a connection keeps the version that made it
  pool().retire_connections();
  settle();
  EXPECT_EQ(publisher_.live_versions(), 3u);
}

// Another configuration of the transport: what was made by the old one carries no new requests.
TEST_F(TransportPoolTest, AnotherConfigurationIsForAllRequests) {
  open(pool(), 0);
  spec_.transports.otherwise.reset();
  spec_.transports.fingerprint = 2;
  publish_cluster();
  exchange(1);  // in plain text, on another connection
  EXPECT_EQ(made_.size(), 1u);
}

// field: TransportSocketMatch.transport_socket
TEST_F(TransportPoolTest, MetadataOfTheHostChooses) {
  Arena arena(lane_.lane().arenas());
  const auto metadata = [&](std::string_view value) {
    const stream::Value inside = stream::make_struct({{"mode", stream::Value::of_string(value)}}, arena);
    return std::make_shared<const stream::StaticMetadata>(
        stream::make_struct({{ClusterTransports::kNamespace, inside}}, arena));
  };
  const auto publish = [&](std::string_view value) {
    std::vector<lb::HostEntry> entries(1);
    entries[0].host = host_;
    entries[0].metadata = metadata(value);
    event::Publisher::Batch batch;
    batch.set(hosts_, std::make_unique<lb::HostSet>(std::move(entries), policy_, nullptr, lb::HostSet::Options{}));
    publisher_.publish(std::move(batch));
    lane_.turns(2);
  };
  spec_.transports.matches.push_back({"plain", metadata("plain"), std::nullopt});
  publish_cluster();
  publish("plain");
  exchange(0);
  EXPECT_EQ(made_.size(), 0u);
  publish("tls");  // the idle connection is not what is wanted any more
  open(pool(), 1);
  EXPECT_EQ(made_.size(), 1u);
}

TEST_F(TransportPoolTest, ConnectionsForOneNameServeNoOther) {
  open(pool_of("a.example"), 0);
  open(pool_of("b.example"), 1);
  open(pool(), 2);
  exchange_on(pool_of("a.example"), 0);
  exchange_on(pool_of("b.example"), 1);
  exchange_on(pool(), 2);
  EXPECT_EQ(made_, (std::vector<std::string>{"host.example|a.example|", "host.example|b.example|", "host.example||"}));
  const std::string_view names[] = {"x", "y"};
  open(pool().variant({.server_name = "a.example", .expected_names = names}), 3);
  EXPECT_EQ(made_.back(), "host.example|a.example|x,y,");
  EXPECT_EQ(host_->totals.cx_active.value(), 4);
}

// The host header is the client's: its pools go with their connections.
TEST_F(TransportPoolTest, PoolsOfNamesThatNobodyUsesGo) {
  ConnPool& base = pool();
  for (int i = 0; i < 1000; ++i) base.variant({.server_name = "n" + std::to_string(i)});
  EXPECT_LE(base.variant_count(), 40u);
  open(pool_of("used.example"), 0);
  server_.close_peer(0);
  settle();
  const size_t left = base.variant_count();
  pool_of("used.example");
  EXPECT_EQ(base.variant_count(), left + 1);  // it had gone
}

TEST_F(TransportPoolTest, PoolsOfNamesDrainWithTheirHost) {
  Caller caller(lane_);
  caller.start(pool_of("a.example"));
  settle();
  greet(0);
  Server other;
  auto next = std::make_shared<lb::Host>(other.address(), "other", "", 2);
  publish_hosts({next});
  EXPECT_NE(server_.receive(0), "");
  server_.answer(0);
  settle();
  EXPECT_EQ(caller.body, "ok");
  EXPECT_EQ(clusters_.connection_count(), 0u);  // and the connection is gone
}

// Idle connections for other names make room.
TEST_F(TransportPoolTest, TheLimitIsOfAllNames) {
  limits_->connections.set_max(1);
  open(pool_of("a.example"), 0);
  open(pool_of("b.example"), 1);
  EXPECT_EQ(stats_->cx_active.value(), 1);
}

}  // namespace
}  // namespace weir::upstream
