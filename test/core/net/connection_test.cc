// net::Connection over socketpairs and loopback, moved turn by turn.
#include "core/net/connection.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/net/socket.h"
#include "test/core/net/ends.h"
#include "test/support/seed.h"

namespace weir::net {
namespace {

using test::TestLane;

TEST_F(ConnectionTest, ReadsAndWrites) {
  connect_pair();
  peer_sends("hello");
  lane_.turn();
  EXPECT_EQ(handler_.received, "hello");
  write("wor");
  write("ld");
  EXPECT_EQ(peer_reads(), "");  // at the end of the turn, once
  lane_.turn();
  EXPECT_EQ(peer_reads(), "world");
  EXPECT_EQ(connection_->bytes_read(), 5u);
  EXPECT_EQ(connection_->bytes_written(), 5u);
}

TEST_F(ConnectionTest, LeftInputIsThereAgainWithMore) {
  connect_pair();
  handler_.take = false;
  peer_sends("one");
  lane_.turn();
  EXPECT_EQ(connection_->in().to_string(), "one");
  handler_.take = true;
  peer_sends("two");
  lane_.turn();
  EXPECT_EQ(handler_.received, "onetwo");
}

TEST_F(ConnectionTest, FullSocketIsWaitedFor) {
  connect_pair(4096);
  std::string big(1'000'000, 'x');
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>('a' + i % 26);
  write(big);
  connection_->notify_when_drained();
  std::string got;
  for (int i = 0; i < 2000 && got.size() < big.size(); ++i) {
    lane_.turn();
    if (i == 0) {
      EXPECT_GT(connection_->unsent(), 0u);
      EXPECT_EQ(handler_.events, "");
    }
    got += peer_reads(20'000);
  }
  EXPECT_EQ(got, big);
  lane_.turn();
  EXPECT_EQ(handler_.events, "drained ");
}

TEST_F(ConnectionTest, WatermarksTellOfTheQueue) {
  connect_pair(4096);
  connection_->set_watermarks(100'000, 50'000);
  write(std::string(80'000, 'x'));
  lane_.turn();
  EXPECT_EQ(handler_.events, "");
  write(std::string(80'000, 'x'));
  lane_.turn();
  EXPECT_EQ(handler_.events, "above ");
  EXPECT_TRUE(connection_->above_high_watermark());
  for (int i = 0; i < 100 && connection_->unsent() > 0; ++i) {
    peer_reads();
    lane_.turn();
  }
  EXPECT_EQ(handler_.events, "above below ");
  EXPECT_FALSE(connection_->above_high_watermark());
}

TEST_F(ConnectionTest, EndIsToldOnceAndTheOtherDirectionGoesOn) {
  connect_pair();
  peer_sends("last");
  shutdown(peer_, SHUT_WR);
  lane_.turns(3);
  EXPECT_EQ(handler_.received, "last");
  EXPECT_EQ(handler_.events, "end ");
  EXPECT_TRUE(connection_->peer_ended());
  write("answer");
  lane_.turn();
  EXPECT_EQ(peer_reads(), "answer");
  connection_->half_close();
  lane_.turn();
  EXPECT_TRUE(peer_at_end());
  connection_->close(CloseReason::kRemote);
  EXPECT_EQ(handler_.events, "end ");  // never from inside
  lane_.turns(2);
  EXPECT_EQ(handler_.events, "end " + closed(CloseReason::kRemote));
}

TEST_F(ConnectionTest, BlockedReadingDeliversNothingAndThenAll) {
  connect_pair();
  connection_->block_read(ReadBlock::kHandler);
  connection_->block_read(ReadBlock::kWatermark);
  peer_sends("waits");
  shutdown(peer_, SHUT_WR);
  lane_.turns(2);
  EXPECT_EQ(handler_.received, "");
  connection_->unblock_read(ReadBlock::kHandler);
  lane_.turn();
  EXPECT_EQ(handler_.received, "");
  connection_->unblock_read(ReadBlock::kWatermark);
  lane_.turns(2);
  EXPECT_EQ(handler_.received, "waits");
  EXPECT_EQ(handler_.events, "end ");
}

TEST_F(ConnectionTest, ResetIsToldEvenWhileReadingIsBlocked) {
  for (bool blocked : {false, true}) {
    handler_ = Recorder();
    connect_tcp();
    if (blocked) connection_->block_read(ReadBlock::kHandler);
    reset_peer();
    lane_.turns(3);
    EXPECT_EQ(handler_.events, closed(CloseReason::kReset)) << blocked;
    TearDown();
  }
}

// Both sides have sent all that they will: the kernel says hang-up, and nothing is lost.
TEST_F(ConnectionTest, TheEndsOfBothSidesAreNoReset) {
  connect_tcp();
  connection_->half_close();
  lane_.turns(2);
  connection_->block_read(ReadBlock::kHandler);
  peer_sends("last");
  shutdown(peer_, SHUT_WR);
  lane_.turns(3);
  EXPECT_EQ(handler_.events, "");
  connection_->unblock_read(ReadBlock::kHandler);
  lane_.turns(2);
  EXPECT_EQ(handler_.received, "last");
  EXPECT_EQ(handler_.events, "end ");
}

TEST_F(ConnectionTest, AHandlerThatKeepsInputIsCalledForIt) {
  connect_tcp();
  lane_.turns(2);
  connection_->deliver_again();
  lane_.turns(2);
  EXPECT_EQ(handler_.data_calls, 0);
  connection_->keeps_input(true);
  connection_->deliver_again();
  lane_.turns(2);
  EXPECT_EQ(handler_.data_calls, 1);
  connection_->block_read(ReadBlock::kHandler);
  connection_->unblock_read(ReadBlock::kHandler);
  lane_.turns(2);
  EXPECT_EQ(handler_.data_calls, 2);
}

// The kernel throws away what it has not sent yet when a connection is reset.
TEST_F(ConnectionTest, AResetBehindWhatIsQueuedDestroysNothing) {
  connect_tcp();
  const std::string text(6'000'000, 'x');
  write(text);
  connection_->reset_after_flush(60s);
  std::string got;
  int error = 0;
  for (int i = 0; i < 3000 && error == 0; ++i) {
    lane_.advance(10ms);
    char buffer[20'000];
    const ssize_t n = recv(peer_, buffer, sizeof(buffer), 0);
    if (n > 0) got.append(buffer, static_cast<size_t>(n));
    if (n < 0 && errno != EAGAIN) error = errno;
  }
  EXPECT_EQ(got.size(), text.size());
  EXPECT_EQ(error, ECONNRESET);
  EXPECT_EQ(handler_.events.substr(handler_.events.find("closed")), closed(CloseReason::kLocal));
}

TEST_F(ConnectionTest, APeerThatTakesNothingIsResetInTheEnd) {
  connect_tcp();
  write(std::string(8'000'000, 'x'));
  connection_->reset_after_flush(10s);
  lane_.advance(1s);
  EXPECT_TRUE(connection_->open());
  for (int i = 0; i < 30 && connection_->open(); ++i) lane_.advance(1s);
  EXPECT_FALSE(connection_->open());
}

TEST_F(ConnectionTest, ResetBehindTheEndIsTold) {
  connect_tcp();
  peer_sends("last");
  shutdown(peer_, SHUT_WR);
  lane_.turns(3);
  EXPECT_EQ(handler_.events, "end ");
  reset_peer();
  lane_.turns(3);
  EXPECT_EQ(handler_.received, "last");
  EXPECT_EQ(handler_.events, "end " + closed(CloseReason::kReset));
}

// Both in one look at the socket.
TEST_F(ConnectionTest, ResetTogetherWithTheEndIsTold) {
  connect_tcp();
  lane_.turns(2);
  peer_sends("last");
  shutdown(peer_, SHUT_WR);
  reset_peer();
  lane_.turns(4);
  EXPECT_TRUE(handler_.events.ends_with(closed(CloseReason::kReset))) << handler_.events;
}

TEST_F(ConnectionTest, WhatThePeerSaidBeforeItResetIsStillRead) {
  connect_tcp();
  lane_.turn();
  peer_sends("early answer");
  close_peer();                     // with nothing unread: FIN
  write(std::string(10'000, 'x'));  // answered by a reset
  lane_.turns(5);
  EXPECT_EQ(handler_.received, "early answer");
  EXPECT_TRUE(handler_.events.starts_with("end "));
}

TEST_F(ConnectionTest, CloseAfterFlushSendsEverythingThenWaitsForThePeer) {
  connect_pair();
  write("goodbye");
  connection_->close_after_flush(1s);
  lane_.turn();
  EXPECT_EQ(peer_reads(), "goodbye");
  EXPECT_TRUE(peer_at_end());
  peer_sends("ignored");
  lane_.turns(2);
  EXPECT_EQ(handler_.received, "");
  EXPECT_EQ(handler_.events, "");
  close_peer();
  lane_.turns(2);
  EXPECT_EQ(handler_.events, closed(CloseReason::kLocal));
}

TEST_F(ConnectionTest, LingeringEnds) {
  connect_pair();
  write("goodbye");
  connection_->close_after_flush(1s);
  lane_.turn();
  lane_.advance(999ms);
  EXPECT_EQ(handler_.events, "");
  lane_.advance(2ms);
  lane_.turn();
  EXPECT_EQ(handler_.events, closed(CloseReason::kLocal));
}

TEST_F(ConnectionTest, ZeroLingerClosesBehindTheLastByte) {
  connect_pair();
  write("goodbye");
  connection_->close_after_flush(0s);
  lane_.turns(2);
  EXPECT_EQ(handler_.events, closed(CloseReason::kLocal));
  EXPECT_EQ(peer_reads(), "goodbye");
}

// A peer that reads nothing does not hold the connection for ever; one that reads slowly gets all the time it needs.
TEST_F(ConnectionTest, StalledLastBytesAreGivenUp) {
  connect_pair(4096);
  write(std::string(500'000, 'x'));
  connection_->close_after_flush(0s, 1s);
  lane_.turn();
  for (int i = 0; i < 5; ++i) {
    lane_.advance(900ms);
    EXPECT_EQ(handler_.events, "");
    EXPECT_NE(peer_reads(), "");
    lane_.turn();
  }
  lane_.advance(900ms);
  lane_.advance(200ms);
  lane_.turn();
  EXPECT_EQ(handler_.events, closed(CloseReason::kLocal));
}

TEST_F(ConnectionTest, AResetBehindThePeersEndEndsTheLastBytes) {
  connect_tcp();
  shutdown(peer_, SHUT_WR);
  lane_.turns(2);
  write(std::string(32 << 20, 'x'));
  connection_->reset_after_flush(60s);
  lane_.turns(2);
  EXPECT_EQ(handler_.events, "end ");
  close(std::exchange(peer_, -1));  // with bytes that it has not read
  lane_.turns(2);
  EXPECT_EQ(handler_.events, "end " + closed(CloseReason::kLocal));
}

TEST_F(ConnectionTest, ConnectRefused) {
  int listener = *open_listen_socket(*Address::from_ip("127.0.0.1", 0), {});
  Address at = bound_address(listener);
  close(listener);
  connection_ = std::make_unique<Connection>(lane_.lane(), at, BindOptions());
  connection_->set_handler(handler_);
  connection_->start(false);
  EXPECT_EQ(handler_.events, "");
  lane_.turns(3);
  EXPECT_EQ(handler_.events, closed(CloseReason::kConnectFailed));
}

TEST_F(ConnectionTest, ConnectToWhereNothingCanBe) {
  connection_ =
      std::make_unique<Connection>(lane_.lane(), *Address::from_unix("/nonexistent/weir-test.sock"), BindOptions());
  connection_->set_handler(handler_);
  connection_->start(false);
  EXPECT_EQ(handler_.events, "");  // not from inside the constructor
  lane_.turn();
  EXPECT_EQ(handler_.events, closed(CloseReason::kConnectFailed));
}

TEST_F(ConnectionTest, WhatIsWrittenWhileConnectingIsSent) {
  int listener = *open_listen_socket(*Address::from_ip("127.0.0.1", 0), {});
  connection_ = std::make_unique<Connection>(lane_.lane(), bound_address(listener), BindOptions());
  connection_->set_handler(handler_);
  connection_->start(false);
  write("early");
  lane_.turns(3);
  peer_ = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  close(listener);
  EXPECT_EQ(peer_reads(), "early");
  EXPECT_EQ(handler_.events, "connected ");
}

// One busy connection does not keep a turn to itself.
TEST_F(ConnectionTest, ReadsABoundedAmountPerTurn) {
  connect_tcp();
  int room = 8 * 1024 * 1024;
  setsockopt(peer_, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
  setsockopt(connection_->fd(), SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
  std::string block(64 * 1024, 'x');
  size_t sent = 0;
  size_t most_per_turn = 0;
  size_t before = 0;
  for (int i = 0; i < 3000 && handler_.received.size() < 6'000'000; ++i) {
    while (sent < 6'000'000) {
      ssize_t n = send(peer_, block.data(), block.size(), MSG_NOSIGNAL);
      if (n <= 0) break;
      sent += static_cast<size_t>(n);
    }
    lane_.turn();
    most_per_turn = std::max(most_per_turn, handler_.received.size() - before);
    before = handler_.received.size();
  }
  EXPECT_GE(handler_.received.size(), 6'000'000u);
  EXPECT_LE(most_per_turn, 2u * 256 * 1024 + 16u * 16 * 1024);
}

TEST_F(ConnectionTest, IdleConnectionHoldsNoBlock) {
  connect_pair();
  peer_sends("x");
  lane_.turn();
  size_t idle = lane_.lane().blocks().live_bytes();
  peer_sends(std::string(10'000, 'y'));
  lane_.turn();
  EXPECT_EQ(lane_.lane().blocks().live_bytes(), idle);
  EXPECT_EQ(idle, lane_.lane().read_block().capacity());
}

// Random traffic both ways, random pauses, random ends: every byte arrives, in order.
TEST_F(ConnectionTest, RandomTraffic) {
  test::for_each_seed(40, [&](uint64_t seed) {
    Random random(seed);
    handler_ = Recorder();
    connect_pair(4096);
    std::string to_peer, from_peer, at_peer;
    bool blocked = false;
    for (int i = 0; i < 400; ++i) {
      std::string text(1 + random.below(random.below(8) == 0 ? 30'000 : 50), static_cast<char>('a' + random.below(26)));
      if (random.below(2) == 0 && from_peer.size() < 200'000) {
        ssize_t n = send(peer_, text.data(), text.size(), MSG_NOSIGNAL);
        if (n > 0) from_peer += text.substr(0, static_cast<size_t>(n));
      } else if (to_peer.size() < 500'000) {
        write(text);
        to_peer += text;
      }
      if (random.below(3) == 0) at_peer += peer_reads(1 + random.below(20'000));
      if (random.below(6) == 0) {
        blocked = !blocked;
        blocked ? connection_->block_read(ReadBlock::kHandler) : connection_->unblock_read(ReadBlock::kHandler);
      }
      handler_.take = random.below(4) != 0;
      if (random.below(2) == 0) lane_.turn();
    }
    handler_.take = true;
    if (blocked) connection_->unblock_read(ReadBlock::kHandler);
    shutdown(peer_, SHUT_WR);
    connection_->close_after_flush(1s);
    // Input after that is thrown away: compare what came before.
    ASSERT_EQ(handler_.received, from_peer.substr(0, handler_.received.size()));
    for (int i = 0; i < 1000 && at_peer.size() < to_peer.size(); ++i) {
      at_peer += peer_reads();
      lane_.turn();
    }
    ASSERT_EQ(at_peer, to_peer);
    lane_.turns(3);
    ASSERT_TRUE(handler_.events.ends_with(closed(CloseReason::kLocal))) << handler_.events;
    connection_.reset();
    close_peer();
  });
}

// Reading is blocked, the peer says its last and resets.
TEST_F(ConnectionTest, WhatCameBeforeAResetIsLostUnlessAskedFor) {
  for (bool read_first : {false, true}) {
    connect_tcp();
    if (read_first) connection_->read_before_reset();
    connection_->block_read(ReadBlock::kWatermark);
    peer_sends("last words");
    lane_.turn();
    reset_peer();
    lane_.turns(2);
    if (read_first) {
      EXPECT_EQ(handler_.events, "");
      connection_->unblock_read(ReadBlock::kWatermark);
      lane_.turns(2);
      EXPECT_EQ(handler_.received, "last words");
    }
    EXPECT_EQ(handler_.events, closed(CloseReason::kReset));
    TearDown();
    handler_ = Recorder();
  }
}

// The same, noticed by a write that fails.
TEST_F(ConnectionTest, AFailedWriteLeavesWhatCameBefore) {
  connect_tcp();
  connection_->read_before_reset();
  connection_->block_read(ReadBlock::kWatermark);
  peer_sends("last words");
  lane_.turn();
  reset_peer();
  write("too late");
  connection_->flush();
  EXPECT_EQ(handler_.events, "");
  lane_.turns(2);
  EXPECT_EQ(handler_.events, "");
  connection_->unblock_read(ReadBlock::kWatermark);
  lane_.turns(2);
  EXPECT_EQ(handler_.received, "last words");
  EXPECT_EQ(handler_.events, closed(CloseReason::kReset));
}

// The kernel reports a reset once. Whoever reads behind a write that failed must not take it for an orderly end.
TEST_F(ConnectionTest, AResetThatAWriteFoundIsNoEnd) {
  connect_tcp();
  handler_.events.clear();
  peer_sends("half of it");
  reset_peer();
  write("too late");
  connection_->flush();
  lane_.turns(2);
  EXPECT_EQ(handler_.received, "half of it");
  EXPECT_EQ(handler_.events, closed(CloseReason::kReset));
}

TEST_F(ConnectionTest, DeliveryAtTheNextTurn) {
  connect_pair();
  handler_.take = false;
  peer_sends("more than was taken");
  lane_.turn();
  EXPECT_EQ(handler_.data_calls, 1);
  connection_->deliver_next_turn();
  lane_.turn();
  EXPECT_EQ(handler_.data_calls, 1);
  handler_.take = true;
  lane_.turn();
  EXPECT_EQ(handler_.data_calls, 2);
  EXPECT_EQ(handler_.received, "more than was taken");
}

// Out of descriptors: no accepting in vain at every turn, and no connection lost.
TEST(ListenSocketTest, RestsWhenThereAreNoDescriptors) {
#ifdef WEIR_SANITIZED
  GTEST_SKIP() << "UBSan looks classes up with descriptors of its own, and takes their lack for a fault";
#endif
  TestLane lane;
  struct Accepted final : AcceptHandler {
    void on_accepted(int fd, const Address&) override { fds.push_back(fd); }
    std::vector<int> fds;
  } accepted;
  int listening = *open_listen_socket(*Address::from_ip("127.0.0.1", 0), {});
  sockaddr_storage storage;
  socklen_t length = bound_address(listening).to_sockaddr(storage);
  ListenSocket listener(lane, listening, 16, accepted);
  int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;  // those that are open stay open
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  ASSERT_EQ(connect(client, reinterpret_cast<sockaddr*>(&storage), length), 0);
  lane.turns(3);
  EXPECT_EQ(accepted.fds.size(), 0u);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  lane.turns(3);
  EXPECT_EQ(accepted.fds.size(), 0u);  // it does not try at every turn
  lane.advance(100ms);
  lane.turn();
  EXPECT_EQ(accepted.fds.size(), 1u);
  // Paused and resumed while it rests.
  listener.pause();
  listener.resume();
  int second = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(connect(second, reinterpret_cast<sockaddr*>(&storage), length), 0);
  lane.turn();
  EXPECT_EQ(accepted.fds.size(), 2u);
  for (int fd : accepted.fds) close(fd);
  close(client);
  close(second);
}

}  // namespace
}  // namespace weir::net
