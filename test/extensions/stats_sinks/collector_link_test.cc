// The link to a collector that the test plays: nothing is cut within a line, nothing waits without a limit, nothing is
// lost uncounted.
#include "extensions/stats_sinks/statsd/collector_link.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/net/socket.h"
#include "test/core/upstream/pool_world.h"

namespace weir::extensions::statsd {
namespace {

class CollectorLinkTest : public upstream::PoolWorld {
 protected:
  CollectorLinkTest() {
    listen(*net::Address::from_ip("127.0.0.1", 0));
    begin(address_);
  }
  ~CollectorLinkTest() override {
    link_.reset();
    clusters_.shut_down();
    lane_.turns(3);
    hang_up();
    stop_listening();
  }
  void listen(const net::Address& address) {
    listener_ = *net::open_listen_socket(address, {});
    address_ = net::bound_address(listener_);
  }
  void stop_listening() {
    if (listener_ >= 0) close(std::exchange(listener_, -1));
  }
  void hang_up() {
    if (peer_ >= 0) close(std::exchange(peer_, -1));
  }
  void make_link(size_t most_waiting = CollectorLink::kMostWaiting) {
    link_ = std::make_unique<CollectorLink>(lane_.lane(), cluster_, counters_, most_waiting);
  }
  void settle() {
    for (int i = 0; i < 6; ++i) {
      lane_.turn();
      if (listener_ < 0) continue;
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) continue;
      hang_up();
      peer_ = fd;
      ++accepted_;
    }
  }
  // What the collector has got since it was asked last.
  std::string received() {
    std::string all;
    char buffer[65536];
    for (int quiet = 0; quiet < 3;) {
      settle();
      const ssize_t n = peer_ >= 0 ? recv(peer_, buffer, sizeof buffer, 0) : -1;
      if (n > 0) all.append(buffer, static_cast<size_t>(n));
      quiet = n > 0 ? 0 : quiet + 1;
    }
    return all;
  }
  static size_t count_lines(std::string_view text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  net::Address address_;
  int listener_ = -1;
  int peer_ = -1;
  int accepted_ = 0;
  const LinkCounters counters_{store_.counter("sent"), store_.counter("dropped")};
  std::unique_ptr<CollectorLink> link_;
};

TEST_F(CollectorLinkTest, OneConnectionForAll) {
  make_link();
  settle();
  EXPECT_EQ(accepted_, 0);  // there is nothing to say yet
  link_->send("a:1|c\nb:2|c\n");
  EXPECT_EQ(received(), "a:1|c\nb:2|c\n");
  link_->send("c:3|c\n");
  EXPECT_EQ(received(), "c:3|c\n");
  EXPECT_EQ(accepted_, 1);
  EXPECT_EQ(counters_.sent.value(), 3u);
  EXPECT_EQ(counters_.dropped.value(), 0u);
  EXPECT_EQ(stats_->rq_total.value(), 1u);
  EXPECT_EQ(stats_->rq_active.value(), 1);
  link_.reset();
  settle();
  EXPECT_EQ(stats_->rq_active.value(), 0);
  EXPECT_EQ(stats_->cx_active.value(), 0);
}

TEST_F(CollectorLinkTest, WhatACollectorSaysGoesNowhere) {
  make_link();
  link_->send("a:1|c\n");
  received();
  ASSERT_GT(send(peer_, "hello\n", 6, MSG_NOSIGNAL), 0);
  settle();
  link_->send("b:1|c\n");
  EXPECT_EQ(received(), "b:1|c\n");
  EXPECT_EQ(accepted_, 1);
}

TEST_F(CollectorLinkTest, ComesBackAfterAPause) {
  make_link();
  link_->send("a:1|c\n");
  EXPECT_EQ(received(), "a:1|c\n");
  hang_up();
  settle();
  link_->send("b:1|c\n");
  EXPECT_EQ(received(), "");
  lane_.advance(CollectorLink::kFirstPause / 2 - 1ms);
  EXPECT_EQ(received(), "");
  lane_.advance(CollectorLink::kFirstPause / 2 + 2ms);
  EXPECT_EQ(received(), "b:1|c\n");
  EXPECT_EQ(accepted_, 2);
  EXPECT_EQ(counters_.sent.value(), 2u);
  EXPECT_EQ(counters_.dropped.value(), 0u);
}

TEST_F(CollectorLinkTest, PausesGrow) {
  stop_listening();
  make_link();
  link_->send("a:1|c\n");
  settle();
  Duration all{};
  while (all < 5 * 60s) {
    lane_.advance(100ms);
    settle();
    all += 100ms;
    link_->send("a:1|c\n");
  }
  // 0.5 + 1 + 2 + ... + 16 s at most, then every 15 to 30 s; without growing it would be 600 or more.
  EXPECT_GE(stats_->cx_connect_fail.value(), 13u);
  EXPECT_LE(stats_->cx_connect_fail.value(), 30u);
  listen(address_);
  lane_.advance(CollectorLink::kLongestPause + 1ms);
  EXPECT_EQ(count_lines(received()), 3001u);
  EXPECT_EQ(counters_.dropped.value(), 0u);
}

TEST_F(CollectorLinkTest, WhatHasNoRoomIsDroppedByWholeLines) {
  stop_listening();
  make_link(20);
  link_->send("a:1|c\nb:2|c\n");           // 12 bytes
  link_->send("c:3|c\nd:4|c\nabc:5|c\n");  // 8 more: one line
  EXPECT_EQ(counters_.dropped.value(), 2u);
  link_->send("e:6|c\n");
  EXPECT_EQ(counters_.dropped.value(), 3u);
  settle();
  listen(address_);
  lane_.advance(CollectorLink::kFirstPause);
  EXPECT_EQ(received(), "a:1|c\nb:2|c\nc:3|c\n");
  link_->send("f:7|c\n");
  EXPECT_EQ(received(), "f:7|c\n");
  EXPECT_EQ(counters_.sent.value(), 4u);
}

TEST_F(CollectorLinkTest, ACollectorThatDoesNotReadCostsNoMoreThanItsLimit) {
  constexpr size_t kLimit = size_t{8} * 1024 * 1024;
  make_link(kLimit);
  std::string lines;
  while (lines.size() < 1024 * 1024) lines += "cluster.some.name:1|c\n";
  const size_t in_each = count_lines(lines);
  for (int i = 0; i < 40; ++i) {
    link_->send(lines);
    settle();
  }
  const uint64_t dropped = counters_.dropped.value();
  EXPECT_GT(dropped, 0u);
  EXPECT_LT(dropped, 40 * in_each);
  // What is not dropped arrives, and in whole lines.
  const std::string all = received();
  EXPECT_EQ(count_lines(all), 40 * in_each - dropped);
  EXPECT_EQ(all.size(), count_lines(all) * std::string_view("cluster.some.name:1|c\n").size());
  link_->send("x:1|c\n");
  EXPECT_EQ(received(), "x:1|c\n");
  EXPECT_EQ(counters_.sent.value(), 40 * in_each - dropped + 1);
}

TEST_F(CollectorLinkTest, WhatMayBeLostWithAConnectionIsCounted) {
  make_link();
  std::string lines;
  while (lines.size() < size_t{12} * 1024 * 1024) lines += "cluster.some.name:1|c\n";
  link_->send(lines);
  settle();
  hang_up();
  settle();
  lane_.advance(CollectorLink::kFirstPause);
  const std::string rest = received();
  EXPECT_EQ(accepted_, 2);
  EXPECT_GT(counters_.dropped.value(), 0u);
  link_->send("x:1|c\n");  // what the kernel has taken is counted at the next occasion
  EXPECT_EQ(received(), "x:1|c\n");
  EXPECT_EQ(counters_.dropped.value() + counters_.sent.value(), count_lines(lines) + 1);
  EXPECT_TRUE(rest.starts_with("cluster."));
}

TEST_F(CollectorLinkTest, AClusterWithoutHostsIsAskedAgain) {
  publish_hosts({});
  make_link();
  link_->send("a:1|c\n");
  settle();
  EXPECT_GE(stats_->cx_none_healthy.value(), 1u);
  publish_hosts({host_});
  lane_.advance(CollectorLink::kFirstPause);
  EXPECT_EQ(received(), "a:1|c\n");
}

}  // namespace
}  // namespace weir::extensions::statsd
