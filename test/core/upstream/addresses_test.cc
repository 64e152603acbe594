// Pools of a host that has several addresses: which is tried, when the next one, which is kept.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "test/core/upstream/served_pool.h"

namespace weir::upstream {
namespace {

using AddressesTest = ServedPool;

TEST_F(AddressesTest, AnotherAddressOfTheHostIsTriedBeforeRequestsFail) {
  publish_addresses({dead_address(), dead_address(), server_.address()});
  Caller one(lane_), two(lane_);
  one.start(pool());
  two.start(pool());
  for (int i = 0; i < 4; ++i) settle();
  EXPECT_EQ(one.events, "waiting ready ");
  EXPECT_EQ(two.events, "waiting ready ");
  EXPECT_EQ(stats_->cx_connect_fail.value(), 4u);
  EXPECT_EQ(stats_->cx_active.value(), 2);
  // And the one that lets in stays the one that is tried.
  Caller three(lane_);
  three.start(pool());
  settle();
  EXPECT_EQ(three.events, "waiting ready ");
  EXPECT_EQ(stats_->cx_connect_fail.value(), 4u);
}

TEST_F(AddressesTest, WhenEveryAddressRefusesRequestsFail) {
  publish_addresses({dead_address(), dead_address()});
  for (int i = 1; i <= 2; ++i) {
    Caller caller(lane_);
    caller.start(pool());
    settle();
    settle();
    EXPECT_EQ(caller.events, "waiting failed-connection_failure ");
    EXPECT_EQ(stats_->cx_connect_fail.value(), 2u * static_cast<uint64_t>(i));
  }
  EXPECT_EQ(cluster().connections.used(), 0u);
  EXPECT_EQ(cluster().pending.used(), 0u);
}

TEST_F(AddressesTest, WhenEveryAddressRefusesEachRequestHasTriedEachOnce) {
  publish_addresses({dead_address(), dead_address()});
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 50; ++i) callers.emplace_back(std::make_unique<Caller>(lane_))->start(pool());
  for (int i = 0; i < 4; ++i) settle();
  for (const auto& caller : callers) EXPECT_EQ(caller->events, "waiting failed-connection_failure ");
  EXPECT_EQ(stats_->cx_connect_fail.value(), 100u);
}

TEST_F(AddressesTest, AnAddressThatLetsInIsKeptWhileItIsAmongThem) {
  const net::Address dead = dead_address();
  publish_addresses({dead, server_.address()});
  Caller one(lane_);
  one.start(pool());
  for (int i = 0; i < 3; ++i) settle();
  EXPECT_EQ(one.events, "waiting ready ");
  publish_addresses({dead_address(), dead, server_.address()});
  Caller two(lane_);
  two.start(pool());
  settle();
  EXPECT_EQ(two.events, "waiting ready ");
  EXPECT_EQ(stats_->cx_connect_fail.value(), 1u);
}

// Whose queue is full: the kernel drops what asks for a connection.
class SilentAddress {
 public:
  SilentAddress() {
    listen(listener_.fd(), 0);
    sockaddr_storage to;
    const socklen_t size = address().to_sockaddr(to);
    for (int& fd : fillers_) {
      fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      static_cast<void>(connect(fd, reinterpret_cast<sockaddr*>(&to), size));
    }
  }
  ~SilentAddress() {
    for (const int fd : fillers_) ::close(fd);
  }
  const net::Address& address() const { return listener_.address(); }

 private:
  TestListener listener_;
  int fillers_[3];
};

TEST_F(AddressesTest, AnAddressThatIsSilentCostsLittle) {
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
  EXPECT_EQ(one.events, "waiting ready ");
  EXPECT_EQ(two.events, "waiting ready ");
  EXPECT_EQ(stats_->cx_total.value(), 4u);
  // And is not tried again.
  Caller three(lane_);
  three.start(pool());
  settle();
  EXPECT_EQ(three.events, "waiting ready ");
  EXPECT_EQ(stats_->cx_total.value(), 5u);
  lane_.advance(10s);
  settle();
  EXPECT_EQ(stats_->cx_connect_timeout.value(), 2u);
  EXPECT_EQ(stats_->cx_active.value(), 3);
  EXPECT_EQ(cluster().connections.used(), 3u);
}

TEST_F(AddressesTest, WhenTheOthersRefuseTheSilentOneIsWaitedFor) {
  SilentAddress silent;
  publish_addresses({silent.address(), dead_address()});
  Caller one(lane_);
  one.start(pool());
  lane_.advance(300ms);
  settle();
  EXPECT_EQ(stats_->cx_connect_fail.value(), 1u);
  EXPECT_EQ(one.events, "waiting ");
  lane_.advance(10s);
  settle();
  EXPECT_EQ(one.events, "waiting failed-connection_timeout ");
  EXPECT_EQ(stats_->cx_total.value(), 2u);
  EXPECT_EQ(cluster().connections.used(), 0u);
}

TEST_F(AddressesTest, ASilentAddressIsWaitedForWhereTheLimitHasNoMore) {
  limits_->set({.max_connections = 1});
  SilentAddress silent;
  publish_addresses({silent.address(), server_.address()});
  Caller one(lane_);
  one.start(pool());
  lane_.advance(300ms);
  settle();
  EXPECT_EQ(one.events, "waiting ");
  EXPECT_EQ(stats_->cx_total.value(), 1u);
  lane_.advance(10s);
  settle();
  EXPECT_EQ(one.events, "waiting failed-connection_timeout ");
}

TEST_F(AddressesTest, OpenConnectionsStayWhenTheAddressMoves) {
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
  EXPECT_EQ(caller.events, "waiting ready ");
  EXPECT_EQ(other.peers.size(), 1u);
}

}  // namespace
}  // namespace weir::upstream
