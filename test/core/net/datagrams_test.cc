#include "core/net/datagrams.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "test/support/test_lane.h"

namespace weir::net {
namespace {

Address loopback(uint16_t port = 0) { return *Address::from_ip("127.0.0.1", port); }

// A plain socket of the other side.
class Peer {
 public:
  Peer() : fd_(*open_datagram_socket(loopback(), {.datagrams = true})), address_(bound_address(fd_)) {
    timeval patience{5, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~Peer() { close(fd_); }
  const Address& address() const { return address_; }
  int fd() const { return fd_; }
  void send(const Address& to, std::string_view bytes) {
    sockaddr_storage storage;
    const socklen_t length = to.to_sockaddr(storage);
    ASSERT_EQ(sendto(fd_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&storage), length),
              static_cast<ssize_t>(bytes.size()));
  }
  // All that is there.
  std::vector<std::string> received() {
    std::vector<std::string> all;
    char buffer[65536];
    for (ssize_t size; (size = recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT)) >= 0;)
      all.emplace_back(buffer, static_cast<size_t>(size));
    return all;
  }

 private:
  int fd_;
  Address address_;
};

struct Recorder : DatagramHandler {
  void on_datagrams(const Address& peer, const Address& local, const Datagrams& datagrams) override {
    peers.push_back(peer);
    locals.push_back(local);
    seen.emplace_back(datagrams.bytes);
    counts.push_back(datagrams.count());
  }
  void on_batch_end() override { ++batches; }
  void on_dropped(uint64_t datagrams) override { dropped += datagrams; }
  void on_receive_failed() override { ++receive_failed; }
  void on_send_failed(const Address& to, const Address&, uint64_t sender, uint32_t datagrams) override {
    failed += datagrams;
    failures.push_back({to.to_string(), sender, datagrams});
  }
  struct Failure {
    std::string to;
    uint64_t sender = 0;
    uint32_t datagrams = 0;
    bool operator==(const Failure&) const = default;
  };
  std::vector<Failure> failures;
  std::vector<Address> peers, locals;
  std::vector<std::string> seen;
  std::vector<uint32_t> counts;
  int batches = 0;
  uint64_t dropped = 0, failed = 0, receive_failed = 0;
};

struct DatagramSocketTest : testing::Test {
  std::unique_ptr<DatagramSocket> open(const char* ip, const DatagramOptions& options = {}) {
    auto fd = open_datagram_socket(*Address::from_ip(ip, 0), {.datagrams = true});
    EXPECT_TRUE(fd.ok()) << fd.status();
    return std::make_unique<DatagramSocket>(lane.lane(), *fd, bound_address(*fd), options, reader, recorder);
  }
  test::TestLane lane;
  DatagramReader reader;
  Recorder recorder;
  Peer peer;
};

TEST_F(DatagramSocketTest, ReadsInBatchesAndSaysWhoSent) {
  auto socket = open("127.0.0.1");
  for (int i = 0; i < 40; ++i) peer.send(socket->local(), std::to_string(i));
  lane.turn();
  EXPECT_EQ(recorder.seen.size(), DatagramReader::kMost);
  lane.turn();
  ASSERT_EQ(recorder.seen.size(), 40U);
  EXPECT_EQ(recorder.batches, 2);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(recorder.seen[static_cast<size_t>(i)], std::to_string(i));
  EXPECT_EQ(recorder.peers[0], peer.address());
  EXPECT_TRUE(recorder.locals[0].empty());
}

TEST_F(DatagramSocketTest, SaysWhereADatagramWasSentToIfItIsBoundToEveryAddress) {
  auto socket = open("0.0.0.0");
  peer.send(*Address::from_ip("127.0.0.5", socket->local().port()), "x");
  lane.turn();
  ASSERT_EQ(recorder.locals.size(), 1U);
  EXPECT_EQ(recorder.locals[0].to_string(), "127.0.0.5:0");
  socket->send(peer.address(), recorder.locals[0], {"back", 0});
  lane.turn();
  char buffer[16];
  sockaddr_storage from;
  socklen_t length = sizeof from;
  ASSERT_EQ(recvfrom(peer.fd(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &length), 4);
  EXPECT_EQ(Address::from_sockaddr(reinterpret_cast<sockaddr*>(&from), length).ip_to_string(), "127.0.0.5");
}

TEST_F(DatagramSocketTest, DropsWhatIsLargerThanItMayBe) {
  auto socket = open("127.0.0.1", {.max_size = 100});
  peer.send(socket->local(), std::string(101, 'x'));
  peer.send(socket->local(), std::string(100, 'y'));
  lane.turn();
  EXPECT_EQ(recorder.seen, std::vector<std::string>{std::string(100, 'y')});
  EXPECT_EQ(recorder.dropped, 1U);
}

TEST_F(DatagramSocketTest, CountsWhatTheKernelHadNoRoomFor) {
  auto socket = open("127.0.0.1");
  const int small = 4096;
  setsockopt(socket->fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  for (int i = 0; i < 200; ++i) peer.send(socket->local(), std::string(1000, 'x'));
  for (int i = 0; i < 10; ++i) lane.turn();
  peer.send(socket->local(), "the one that tells");
  lane.turn();
  EXPECT_EQ(recorder.seen.size() + recorder.dropped, 201U);
  EXPECT_GT(recorder.dropped, 0U);
}

TEST_F(DatagramSocketTest, SendsAtTheEndOfTheTurnEachAsItWas) {
  auto socket = open("127.0.0.1");
  Peer other;
  std::vector<std::string> expected;
  for (int i = 0; i < 200; ++i) {
    // Of one size, shorter ones between, empty ones, large ones.
    std::string bytes(i % 7 == 0     ? 30U
                      : i % 11 == 0  ? 0U
                      : i % 50 == 49 ? 9000U
                                     : 64U,
                      static_cast<char>('a' + i % 26));
    socket->send(peer.address(), {}, {bytes, 0});
    expected.push_back(bytes);
    if (i % 5 == 0) socket->send(other.address(), {}, {"other", 0});
  }
  lane.turn();
  EXPECT_EQ(peer.received(), expected);
  EXPECT_EQ(other.received(), std::vector<std::string>(40, "other"));
  EXPECT_EQ(recorder.failed, 0U);
}

TEST_F(DatagramSocketTest, WhatCameTogetherIsSentApart) {
  auto socket = open("127.0.0.1");
  std::string bytes;
  std::vector<std::string> expected;
  for (int i = 0; i < 40; ++i) expected.push_back(std::string(i == 39 ? 10 : 1000, static_cast<char>('a' + i % 26)));
  for (const std::string& one : expected) bytes += one;
  socket->send(peer.address(), {}, {bytes, 1000});
  lane.turn();
  EXPECT_EQ(peer.received(), expected);
}

TEST_F(DatagramSocketTest, CountsWhatCannotBeSent) {
  auto socket = open("127.0.0.1");
  socket->send(*Address::from_ip("::1", 9), {}, {"another family", 0});
  socket->send(peer.address(), {}, {"fine", 0});
  lane.turn();
  EXPECT_EQ(recorder.failed, 1U);
  EXPECT_EQ(peer.received(), std::vector<std::string>{"fine"});
}

TEST_F(DatagramSocketTest, SaysWhoseCannotBeSent) {
  auto socket = open("127.0.0.1");
  const Address elsewhere = *Address::from_ip("::1", 9);
  for (const uint64_t sender : {7, 7, 8}) socket->send(elsewhere, {}, {"x", 0}, sender);
  socket->send(peer.address(), {}, {"fine", 0}, 9);
  socket->send(elsewhere, {}, {std::string(5000, 'x'), 0}, 10);  // at once
  lane.turn();
  EXPECT_EQ(recorder.failures,
            (std::vector<Recorder::Failure>{{"[::1]:9", 7, 2}, {"[::1]:9", 8, 1}, {"[::1]:9", 10, 1}}));
}

// Bound sockets have no errors of peers: that of a pipe, which is no socket, stands for the kernel's.
TEST_F(DatagramSocketTest, SaysThatItCouldNotReceive) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  {
    DatagramSocket socket(lane.lane(), ends[0], {}, {}, reader, recorder);
    ASSERT_EQ(write(ends[1], "x", 1), 1);
    lane.turn();
    EXPECT_EQ(recorder.receive_failed, 1U);
  }
  close(ends[1]);
}

TEST_F(DatagramSocketTest, ReadsWhatIsThereBeforeItCloses) {
  auto socket = open("127.0.0.1");
  for (int i = 0; i < 50; ++i) peer.send(socket->local(), "x");
  EXPECT_TRUE(socket->stop_reading(true));
  socket->shut();
  EXPECT_EQ(recorder.seen.size(), 50U);
  EXPECT_EQ(socket->fd(), -1);
}

TEST_F(DatagramSocketTest, SendsAlthoughItDoesNotReadAnyMore) {
  for (const bool shared : {true, false}) {
    for (const char* host : {"127.0.0.1", "0.0.0.0"}) {
      auto socket = open(host);
      const Address at = *Address::from_ip("127.0.0.1", socket->local().port());
      peer.send(at, "before");
      EXPECT_TRUE(socket->stop_reading(shared));
      EXPECT_EQ(recorder.seen.size(), 1U);
      recorder.seen.clear();
      peer.send(at, "behind");
      socket->send(peer.address(), *Address::from_ip("127.0.0.1", 0), {"answer", 0});
      lane.turn();
      EXPECT_TRUE(recorder.seen.empty());
      EXPECT_EQ(peer.received(), std::vector<std::string>{"answer"});
      EXPECT_EQ(recorder.failed, 0U);
    }
  }
}

TEST_F(DatagramSocketTest, PutsTogetherWhatTheKernelPutsTogether) {
  auto socket = open("127.0.0.1", {.max_size = 1500, .gro = true});
  Peer sender;
  sockaddr_storage storage;
  const socklen_t length = socket->local().to_sockaddr(storage);
  ASSERT_EQ(connect(sender.fd(), reinterpret_cast<sockaddr*>(&storage), length), 0);
  std::string bytes(10 * 1000, 'x');
  iovec pieces[10];
  for (size_t i = 0; i < 10; ++i) pieces[i] = {bytes.data() + i * 1000, 1000};
  const ConnectedSender::Outcome outcome = ConnectedSender::send(sender.fd(), pieces, 10);
  EXPECT_EQ(outcome.failed, 0U);
  lane.turn();
  uint32_t datagrams = 0;
  std::string all;
  for (size_t i = 0; i < recorder.seen.size(); ++i) {
    datagrams += recorder.counts[i];
    all += recorder.seen[i];
  }
  EXPECT_EQ(datagrams, 10U);
  EXPECT_EQ(all, bytes);
}

TEST(ConnectedSenderTest, SendsPiecesOfAnySizes) {
  Peer from, to;
  sockaddr_storage storage;
  const socklen_t length = to.address().to_sockaddr(storage);
  ASSERT_EQ(connect(from.fd(), reinterpret_cast<sockaddr*>(&storage), length), 0);
  const std::vector<std::string> sizes = {"a", "", "cccc", std::string(1400, 'd')};
  iovec pieces[4];
  for (size_t i = 0; i < 4; ++i) pieces[i] = {const_cast<char*>(sizes[i].data()), sizes[i].size()};
  EXPECT_EQ(ConnectedSender::send(from.fd(), pieces, 4).failed, 0U);
  EXPECT_EQ(to.received(), sizes);
}

TEST(OpenDatagramSocketTest, SaysWhoHoldsThePort) {
  Peer holder;
  const auto taken = open_datagram_socket(holder.address(), {.datagrams = true, .reuse_port = false});
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(message_of(taken.status()),
            "cannot bind " + holder.address().to_string() + ": Address already in use; held by this process itself");
}

}  // namespace
}  // namespace weir::net
