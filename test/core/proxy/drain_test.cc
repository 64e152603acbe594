// When the connections of a lane are told to end, and when they are closed.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>

#include "core/event/publisher.h"
#include "core/proxy/lane_listeners.h"
#include "test/support/fake_clock.h"

namespace weir::proxy {
namespace {

using event::SlotId;
using event::SlotKind;

// What became of all connections, in seconds of the test's clock.
struct Seen {
  const test::FakeClock* clock;
  int open = 0, told = 0;
};
Seen* seen;

class Recorder final : public filter::NetworkFilter {
 public:
  filter::Action on_new_connection(filter::ConnectionHost&) override {
    ++seen->open;
    return filter::Action::kContinue;
  }
  filter::Action on_data(filter::ConnectionHost&, Slices&, bool) override { return filter::Action::kContinue; }
  void on_drain(filter::ConnectionHost&) override { ++seen->told; }
  void on_closed(filter::ConnectionHost&, net::CloseReason) override { --seen->open; }
};

class FirstByte final : public filter::ListenerFilter {
 public:
  Verdict inspect(std::string_view, bool, filter::ConnectionFacts&, size_t&) override { return Verdict::kDone; }
};

class DrainTest : public testing::Test {
 protected:
  DrainTest() {
    seen = &seen_;
    descriptor_.terminal = true;
    first_byte_.make = [](const filter::ConfigPtr&) -> std::unique_ptr<filter::ListenerFilter> {
      return std::make_unique<FirstByte>();
    };
    descriptor_.make = [](const filter::ConfigPtr&, event::Lane&) -> std::unique_ptr<filter::NetworkFilter> {
      return std::make_unique<Recorder>();
    };
    slot_ = publisher_.intern(SlotKind::kListener, "in");
    auto fd = net::open_listen_socket(*net::Address::from_ip("127.0.0.1", 0), {});
    EXPECT_TRUE(fd.ok());
    auto sockets = std::make_shared<ListenSockets>();
    sockets->address = net::bound_address(*fd);
    sockets->by_worker = {*fd};
    sockets_ = sockets;
    publish(1);
  }
  ~DrainTest() override {
    worker_.enter();
    listeners_.close_all();
    turns();
    publish(0);
    event::Lane::leave();
  }
  // The listener with a chain of this fingerprint; 0: without the listener.
  void publish(uint64_t fingerprint) {
    event::Publisher::Batch batch;
    if (fingerprint == 0) {
      batch.remove(slot_);
    } else {
      ListenerSpec spec;
      spec.name = "in";
      spec.sockets = sockets_;
      spec.stats = stats_;
      FilterChain chain;
      chain.filters.push_back({&descriptor_, nullptr});
      chain.fingerprint = fingerprint;
      if (looked_at_) spec.listener_filters.push_back({&first_byte_, nullptr, nullptr, 0});
      spec.chains.push_back(std::move(chain));
      batch.set(slot_, std::make_unique<Listener>(std::move(spec)));
    }
    publisher_.publish(std::move(batch));
    turns();
  }
  void turns() {
    for (int i = 0; i < 4; ++i) {
      main_.turn(Duration::zero());
      worker_.turn(Duration::zero());
    }
  }
  void advance(Duration by) {
    clock_.advance(by);
    turns();
  }
  void connect(int count) {
    sockaddr_storage storage;
    socklen_t length = sockets_->address.to_sockaddr(storage);
    for (int i = 0; i < count; ++i) {
      int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&storage), length), 0);
      clients_.push_back(fd);
      if (i % 16 == 0) turns();
    }
    for (int i = 0; i < 20; ++i) turns();
  }
  void TearDown() override {
    for (int fd : clients_) close(fd);
  }

  test::FakeClock clock_;
  Seen seen_{&clock_};
  filter::NetworkFilterDescriptor descriptor_;
  filter::ListenerFilterDescriptor first_byte_;
  bool looked_at_ = false;  // connections wait for their first byte in a listener filter
  event::Lane main_{{.index = 0, .clock = &clock_}};
  event::Lane worker_{{.index = 1, .clock = &clock_}};
  std::shared_ptr<LaneLoads> loads_ = std::make_shared<LaneLoads>(std::vector<event::Lane*>{&worker_});
  LaneListeners listeners_{worker_, loads_};
  event::Publisher publisher_{{&main_, &worker_}};
  stats::Store store_;
  std::shared_ptr<ListenerStats> stats_ = std::make_shared<ListenerStats>(store_, "in");
  std::shared_ptr<const ListenSockets> sockets_;
  SlotId slot_;
  std::vector<int> clients_;
};

TEST_F(DrainTest, GraduallyTheShareThatIsToldFollowsTheTime) {
  listeners_.set_update_plan({.time = 600s, .gradual = true, .close_at_end = true});
  connect(200);
  ASSERT_EQ(seen_.open, 200);
  publish(0);
  EXPECT_LE(seen_.told, 2);
  for (int minute = 1; minute <= 9; ++minute) {
    advance(60s);
    EXPECT_NEAR(seen_.told, minute * 20, 3) << minute;
    EXPECT_EQ(seen_.open, 200);
  }
  advance(60s - 1ms);
  EXPECT_EQ(seen_.told, 200);
  EXPECT_EQ(seen_.open, 200);
  advance(1ms);
  EXPECT_EQ(seen_.open, 0);
}

TEST_F(DrainTest, ImmediatelyAllAreToldAtOnceAndHaveTheWholeTime) {
  listeners_.set_update_plan({.time = 600s, .gradual = false, .close_at_end = true});
  connect(20);
  publish(0);
  EXPECT_EQ(seen_.told, 20);
  advance(599s);
  EXPECT_EQ(seen_.open, 20);
  advance(1s);
  EXPECT_EQ(seen_.open, 0);
}

TEST_F(DrainTest, OnlyConnectionsOfAChangedChainEnd) {
  listeners_.set_update_plan({.time = 10s, .gradual = true, .close_at_end = true});
  connect(10);
  publish(1);  // the same chain
  advance(10s);
  EXPECT_EQ(seen_.told, 0);
  publish(2);
  connect(5);
  advance(10s);
  EXPECT_EQ(seen_.told, 10);
  EXPECT_EQ(seen_.open, 5);
}

TEST_F(DrainTest, ASecondChangeDoesNotProlongTheFirst) {
  listeners_.set_update_plan({.time = 10s, .gradual = true, .close_at_end = true});
  connect(10);
  publish(2);
  advance(6s);
  publish(3);
  advance(4s);
  EXPECT_EQ(seen_.open, 0);
}

// Connections that were to be told, each in its time, are told at once and not closed then.
TEST_F(DrainTest, TheEndOfTheProcessClosesNobodyWhoWasToBeTold) {
  connect(50);
  worker_.post([&] { listeners_.drain({.time = 600s, .gradual = true, .close_at_end = false}); });
  advance(60s);
  EXPECT_LT(seen_.told, 10);
  worker_.post([&] { listeners_.drain({}); });
  turns();
  EXPECT_EQ(seen_.told, 50);
  advance(600s);
  EXPECT_EQ(seen_.open, 50);
}

TEST_F(DrainTest, TheEndOfTheProcessOvertakesALongDrain) {
  listeners_.set_update_plan({.time = 600s, .gradual = true, .close_at_end = true});
  connect(50);
  publish(2);
  advance(60s);
  EXPECT_LT(seen_.told, 10);
  worker_.post([&] { listeners_.drain({}); });
  turns();
  EXPECT_EQ(seen_.told, 50);
  advance(500s);
  EXPECT_EQ(seen_.open, 50);  // the process's deadline is not the lane's business
  // Whoever comes now, from another lane say, is told by its first response.
  connect(1);
  EXPECT_EQ(seen_.told, 50);
  advance(40s);
  EXPECT_EQ(seen_.open, 1);
}

// Which chain serves it is decided after the update, by what was configured when it came.
TEST_F(DrainTest, WhoIsStillLookedAtIsToldWhenItsChainIsChosen) {
  listeners_.set_update_plan({.time = 600s, .gradual = false, .close_at_end = true});
  looked_at_ = true;
  publish(1);
  connect(2);
  EXPECT_EQ(seen_.open, 0);
  ASSERT_EQ(write(clients_[0], "x", 1), 1);
  turns();
  EXPECT_EQ(seen_.open, 1);
  publish(2);
  EXPECT_EQ(seen_.told, 1);
  ASSERT_EQ(write(clients_[1], "x", 1), 1);
  turns();
  EXPECT_EQ(seen_.open, 2);
  EXPECT_EQ(seen_.told, 2);
  advance(600s);
  EXPECT_EQ(seen_.open, 0);
}

}  // namespace
}  // namespace weir::proxy
