// net::Connection with a transport that turns bytes into frames of others, moved turn by turn. What comes from the
// socket is cut wherever it can be cut.
#include "core/net/transport.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/event/pipe.h"
#include "core/net/connection.h"
#include "core/net/socket.h"
#include "core/net/transport_facts.h"
#include "test/support/seed.h"
#include "test/support/test_lane.h"

namespace weir::net {
namespace {

using test::TestLane;

// The protocol: each side says "hi!" and waits for that of the other. Then frames: two bytes of size, and so many bytes
// turned over; size 0 is the end, 65535 a mistake, to which the answer is "no!". A client speaks first.
constexpr size_t kMistake = 65535;

std::string turned(std::string_view text) {
  std::string other(text);
  for (char& c : other) c = static_cast<char>(~c);
  return other;
}

std::string frame(std::string_view text) {
  std::string framed;
  framed += static_cast<char>(text.size() >> 8);
  framed += static_cast<char>(text.size() & 255);
  return framed + turned(text);
}

std::string mistake() { return "\xff\xff"; }

// What a peer has understood; `rest` is what was no whole frame.
struct Understood {
  std::string greeting;
  std::string text;
  bool end = false;
  std::string rest;
};

Understood understand(std::string_view wire) {
  Understood all;
  all.greeting = wire.substr(0, 3);
  wire.remove_prefix(std::min<size_t>(3, wire.size()));
  while (wire.size() >= 2) {
    const size_t size = static_cast<size_t>(static_cast<uint8_t>(wire[0])) << 8 | static_cast<uint8_t>(wire[1]);
    if (wire.size() < 2 + size) break;
    if (size == 0) all.end = true;
    all.text += turned(wire.substr(2, size));
    wire.remove_prefix(2 + size);
  }
  all.rest = wire;
  return all;
}

class NoFacts final : public TransportFacts {
 public:
  std::string_view session(SessionFact) override { return {}; }
  std::string_view certificate(End, CertificateFact) override { return {}; }
  const Names& names(End, NameKind) override { return none_; }
  WallTime not_before() override { return {}; }
  WallTime not_after() override { return {}; }
  bool presented() override { return false; }
  bool validated() override { return false; }

 private:
  Names none_;
};

class Framing final : public Transport {
 public:
  Framing(event::Lane& lane, bool speaks_first) : Transport(lane), speaks_first_(speaks_first) {}

  void on_attached(Connection& connection) override { attached_to = connection.remote().to_string(); }
  Step handshake() override {
    ++steps;
    if (later > 0) {
      --later;
      return Step::kLater;
    }
    if (speaks_first_ && !greeted_) greet();
    const std::string has = wire_in().to_string();
    if (has.size() < 3) return Step::kNeedInput;
    wire_in().drop_front(3);
    if (has.substr(0, 3) != "hi!") return fail(), Step::kFailed;
    if (!greeted_) greet();
    return Step::kDone;
  }
  Read read(Slices& in, size_t most) override {
    size_t taken = 0;
    while (true) {
      if (left_ > 0 && !wire_in().empty()) {
        if (taken == most) return Read::kMore;
        const std::string piece = wire_in().to_string().substr(0, std::min(left_, most - taken));
        wire_in().drop_front(piece.size());
        in.append_copy(turned(piece), lane().blocks());
        left_ -= piece.size();
        taken += piece.size();
        continue;
      }
      if (left_ > 0 || wire_in().size() < 2) return Read::kNeedInput;
      const std::string head = wire_in().to_string().substr(0, 2);
      wire_in().drop_front(2);
      left_ = static_cast<size_t>(static_cast<uint8_t>(head[0])) << 8 | static_cast<uint8_t>(head[1]);
      if (left_ == 0) return Read::kEnded;
      if (left_ == kMistake) return fail(), Read::kFailed;
    }
  }
  bool write(Slices& out, size_t most) override {
    while (!out.empty() && wire_out().size() < most) {
      if (held_back > 0) {
        --held_back;
        return true;
      }
      const std::string piece = out.to_string().substr(0, largest_frame);
      wire_out().append_copy(frame(piece), lane().blocks());
      out.drop_front(piece.size());
      ++frames;
    }
    return true;
  }
  void on_socket_end() override {
    ++socket_ends;
    truncated_ = true;
  }
  void shut() override { wire_out().append_copy(frame({}), lane().blocks()); }
  std::string_view failure() const override { return failed ? "a mistake" : ""; }
  TransportFacts& facts() override { return facts_; }

  std::string attached_to;
  int steps = 0;
  int later = 0;
  int frames = 0;
  int held_back = 0;
  int socket_ends = 0;
  size_t largest_frame = 16384;
  bool failed = false;

 private:
  void greet() {
    greeted_ = true;
    wire_out().append_copy("hi!", lane().blocks());
  }
  void fail() {
    failed = true;
    wire_out().append_copy("no!", lane().blocks());
  }

  const bool speaks_first_;
  bool greeted_ = false;
  size_t left_ = 0;
  NoFacts facts_;
};

struct Recorder final : ConnectionHandler {
  void on_connected() override { events += "connected "; }
  void on_data(Slices& in, bool end) override {
    biggest = std::max(biggest, in.size());
    if (block_after_data) connection->block_read(ReadBlock::kHandler);
    if (take) {
      received += in.to_string();
      in.clear();
    }
    if (end) events += "end ";
  }
  void on_drained() override { events += "drained "; }
  void on_closed(CloseReason reason) override { events += "closed" + std::to_string(static_cast<int>(reason)) + " "; }
  Connection* connection = nullptr;
  std::string events;
  std::string received;
  size_t biggest = 0;
  bool take = true;
  bool block_after_data = false;
};

std::string closed(CloseReason reason) { return "closed" + std::to_string(static_cast<int>(reason)) + " "; }

std::string pattern(size_t size) {
  std::string text(size, 'x');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

class TransportTest : public ::testing::Test {
 public:
  void make_pair(int send_buffer = 0) {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    if (send_buffer > 0) setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
    peer_ = fds[1];
    connection_ = std::make_unique<Connection>(lane_.lane(), fds[0], *Address::from_unix("@peer"));
    handler_.connection = connection_.get();
    connection_->set_handler(handler_);
  }
  void set_transport(bool speaks_first = false) {
    auto transport = std::make_unique<Framing>(lane_.lane(), speaks_first);
    transport_ = transport.get();
    connection_->set_transport(std::move(transport));
  }
  // An accepted connection whose handshake is still to come.
  void accept(int send_buffer = 0) {
    make_pair(send_buffer);
    set_transport();
    connection_->start(false);
  }
  void accept_and_greet(int send_buffer = 0) {
    accept(send_buffer);
    peer_sends("hi!");
    lane_.turn();
    ASSERT_EQ(handler_.events, "connected ");
    handler_.events.clear();
    ASSERT_EQ(peer_reads(), "hi!");
  }
  void connect() {
    const int listener = *open_listen_socket(*Address::from_ip("127.0.0.1", 0), {});
    connection_ = std::make_unique<Connection>(lane_.lane(), bound_address(listener), Address());
    handler_.connection = connection_.get();
    connection_->set_handler(handler_);
    set_transport(/*speaks_first=*/true);
    connection_->start(false);
    lane_.turns(2);
    peer_ = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    ASSERT_GE(peer_, 0);
    close(listener);
  }
  void TearDown() override {
    if (connection_ != nullptr && connection_->open()) connection_->close();
    lane_.turn();
    connection_.reset();
    if (peer_ >= 0) close(peer_);
    EXPECT_EQ(lane_.lane().pipes().used(), 0u);
  }
  void close_peer() { close(std::exchange(peer_, -1)); }
  void peer_sends(std::string_view bytes) {
    ASSERT_EQ(send(peer_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  std::string peer_reads() {
    std::string all;
    char bytes[65536];
    ssize_t n = 0;
    while ((n = recv(peer_, bytes, sizeof(bytes), 0)) > 0) all.append(bytes, static_cast<size_t>(n));
    peer_at_end_ = n == 0;
    return all;
  }
  void write(std::string_view text) {
    connection_->out().append_copy(text, lane_.lane().blocks());
    connection_->flush_later();
  }

  TestLane lane_;
  Recorder handler_;
  std::unique_ptr<Connection> connection_;
  Framing* transport_ = nullptr;
  int peer_ = -1;
  bool peer_at_end_ = false;
};

TEST_F(TransportTest, BytesPassBothWays) {
  accept_and_greet();
  EXPECT_FALSE(connection_->handshaking());
  EXPECT_EQ(transport_->attached_to, "@peer");
  peer_sends(frame("hello") + frame(" there"));
  lane_.turn();
  EXPECT_EQ(handler_.received, "hello there");
  write("wor");
  write("ld");
  lane_.turn();
  EXPECT_EQ(peer_reads(), frame("world"));
  EXPECT_EQ(transport_->frames, 1);
  EXPECT_EQ(connection_->bytes_read(), 11u);
  EXPECT_EQ(connection_->bytes_written(), 5u);
}

TEST_F(TransportTest, HandshakeInPieces) {
  accept();
  lane_.turn();
  for (const char* piece : {"h", "i"}) {
    peer_sends(piece);
    lane_.turn();
    EXPECT_EQ(handler_.events, "");
    EXPECT_EQ(peer_reads(), "");
    EXPECT_TRUE(connection_->handshaking());
  }
  peer_sends("!" + frame("early"));
  lane_.turn();
  EXPECT_EQ(handler_.events, "connected ");
  EXPECT_EQ(handler_.received, "early");
  EXPECT_EQ(peer_reads(), "hi!");
}

TEST_F(TransportTest, ConnectedIsSaidAfterTheHandshake) {
  connect();
  EXPECT_EQ(peer_reads(), "hi!");
  EXPECT_EQ(handler_.events, "");
  EXPECT_TRUE(connection_->connecting());
  peer_sends("hi!");
  lane_.turn();
  EXPECT_EQ(handler_.events, "connected ");
  EXPECT_FALSE(connection_->connecting());
  write("request");
  lane_.turn();
  EXPECT_EQ(peer_reads(), frame("request"));
}

TEST_F(TransportTest, WhatIsThereBeforeGoesOutFirst) {
  make_pair();
  auto transport = std::make_unique<Framing>(lane_.lane(), /*speaks_first=*/true);
  transport->wire_out().append_copy("PROXY UNKNOWN\r\n", lane_.lane().blocks());
  connection_->set_transport(std::move(transport));
  connection_->start(false);
  lane_.turn();
  EXPECT_EQ(peer_reads(), "PROXY UNKNOWN\r\nhi!");
}

TEST_F(TransportTest, NothingIsWrittenPlainBeforeTheHandshakeIsOver) {
  accept();
  write("secret");
  lane_.turns(3);
  EXPECT_EQ(peer_reads(), "");
  EXPECT_EQ(connection_->unsent(), 6u);
  peer_sends("hi!");
  lane_.turn();
  EXPECT_EQ(peer_reads(), "hi!" + frame("secret"));
}

// Listener filters have read the first bytes; one of them is on the stack.
TEST_F(TransportTest, BytesThatWereReadBeforeAreItsFirstInput) {
  struct Inspector final : ConnectionHandler {
    void on_data(Slices& in, bool) override {
      if (in.size() < 5) return;
      test->set_transport();
      EXPECT_TRUE(in.empty());
      connection->set_handler(test->handler_);
    }
    void on_closed(CloseReason) override {}
    Connection* connection = nullptr;
    TransportTest* test = nullptr;
  } inspector;
  make_pair();
  inspector.connection = connection_.get();
  inspector.test = this;
  connection_->set_handler(inspector);
  connection_->start(false);
  peer_sends("hi!");
  lane_.turn();
  EXPECT_EQ(connection_->in().to_string(), "hi!");
  peer_sends(frame("data"));
  lane_.turn();
  EXPECT_EQ(handler_.events, "connected ");
  EXPECT_EQ(handler_.received, "data");
  EXPECT_EQ(peer_reads(), "hi!");
}

// As above, for filters that have only looked: everything is still in the socket.
TEST_F(TransportTest, BytesThatAreStillInTheSocketAre) {
  make_pair();
  peer_sends("hi!" + frame("data"));
  set_transport();
  connection_->start(true);
  lane_.turn();
  EXPECT_EQ(handler_.events, "connected ");
  EXPECT_EQ(handler_.received, "data");
}

// The end was read together with the first bytes, by whoever looked at them.
TEST_F(TransportTest, AnEndThatWasReadBeforeEndsTheHandshake) {
  struct Inspector final : ConnectionHandler {
    void on_data(Slices&, bool end) override {
      if (!end) return;
      test->set_transport();
      connection->set_handler(test->handler_);
    }
    void on_closed(CloseReason) override {}
    Connection* connection = nullptr;
    TransportTest* test = nullptr;
  } inspector;
  make_pair();
  inspector.connection = connection_.get();
  inspector.test = this;
  connection_->set_handler(inspector);
  connection_->start(false);
  peer_sends("hi");
  shutdown(peer_, SHUT_WR);
  lane_.turns(2);
  EXPECT_EQ(handler_.events, closed(CloseReason::kRemote));
  EXPECT_EQ(transport_->socket_ends, 1);
}

TEST_F(TransportTest, InputInsideIsDeliveredWhenReadingGoesOn) {
  accept_and_greet();
  handler_.block_after_data = true;
  // More than one helping, all of which has left the socket when the handler stops reading.
  const std::string text = pattern(150'000);
  std::string wire;
  for (size_t at = 0; at < text.size(); at += 10'000) wire += frame(text.substr(at, 10'000));
  peer_sends(wire);
  for (int i = 0; i < 20 && handler_.received.size() < text.size(); ++i) {
    lane_.turn();
    const size_t before = handler_.received.size();
    lane_.turns(2);
    EXPECT_EQ(handler_.received.size(), before) << "delivered while blocked";
    connection_->unblock_read(ReadBlock::kHandler);
  }
  EXPECT_EQ(handler_.received, text);
  EXPECT_LE(handler_.biggest, 64u * 1024);
}

TEST_F(TransportTest, HeldReadsGoOnWithInputInside) {
  accept_and_greet();
  connection_->hold_reads(true);
  peer_sends(frame("one"));
  lane_.turns(2);
  EXPECT_EQ(handler_.received, "");
  connection_->hold_reads(false);
  lane_.turn();
  EXPECT_EQ(handler_.received, "one");
}

TEST_F(TransportTest, LeftInputIsThereAgainWithMore) {
  accept_and_greet();
  handler_.take = false;
  peer_sends(frame("one"));
  lane_.turn();
  EXPECT_EQ(connection_->in().to_string(), "one");
  handler_.take = true;
  peer_sends(frame("two"));
  lane_.turn();
  EXPECT_EQ(handler_.received, "onetwo");
}

TEST_F(TransportTest, AnAnnouncedEndIsAnEnd) {
  accept_and_greet();
  peer_sends(frame("last") + frame({}) + "whatever");
  lane_.turn();
  EXPECT_EQ(handler_.received, "last");
  EXPECT_EQ(handler_.events, "end ");
  EXPECT_TRUE(connection_->peer_ended());
  EXPECT_FALSE(connection_->transport()->truncated());
  // The other direction goes on.
  write("answer");
  lane_.turns(2);
  EXPECT_EQ(peer_reads(), frame("answer"));
  EXPECT_EQ(handler_.events, "end ");
}

TEST_F(TransportTest, AnEndThatNobodyAnnouncedIsSeenToBeOne) {
  accept_and_greet();
  peer_sends(frame("last"));
  shutdown(peer_, SHUT_WR);
  lane_.turns(2);
  EXPECT_EQ(handler_.received, "last");
  EXPECT_EQ(handler_.events, "end ");
  EXPECT_TRUE(connection_->transport()->truncated());
}

TEST_F(TransportTest, AnEndWaitsBehindBlockedInput) {
  accept_and_greet();
  connection_->block_read(ReadBlock::kWatermark);
  peer_sends(frame("last") + frame({}));
  shutdown(peer_, SHUT_WR);
  lane_.turns(3);
  EXPECT_EQ(handler_.events, "");
  connection_->unblock_read(ReadBlock::kWatermark);
  lane_.turn();
  EXPECT_EQ(handler_.received, "last");
  EXPECT_EQ(handler_.events, "end ");
  EXPECT_FALSE(connection_->transport()->truncated());
}

TEST_F(TransportTest, HalfCloseSaysSoBeforeFin) {
  accept_and_greet();
  write("bye");
  connection_->half_close();
  lane_.turn();
  EXPECT_EQ(peer_reads(), frame("bye") + frame({}));
  EXPECT_TRUE(peer_at_end_);
  peer_sends(frame("still here"));
  lane_.turn();
  EXPECT_EQ(handler_.received, "still here");
}

TEST_F(TransportTest, HalfCloseDuringTheHandshakeWaits) {
  accept();
  connection_->half_close();
  lane_.turns(2);
  EXPECT_EQ(peer_reads(), "");
  EXPECT_FALSE(peer_at_end_);
  peer_sends("hi!");
  lane_.turn();
  EXPECT_EQ(peer_reads(), "hi!" + frame({}));
  EXPECT_TRUE(peer_at_end_);
}

TEST_F(TransportTest, CloseSaysGoodbyeOnlyBehindWholeMessages) {
  accept_and_greet();
  connection_->close();
  lane_.turn();
  EXPECT_EQ(peer_reads(), frame({}));
  EXPECT_TRUE(peer_at_end_);
  EXPECT_EQ(handler_.events, closed(CloseReason::kLocal));
}

TEST_F(TransportTest, CloseWithUnsentBytesLooksCutOff) {
  accept_and_greet();
  write("half of a");
  connection_->close();
  lane_.turn();
  EXPECT_EQ(peer_reads(), "");
  EXPECT_TRUE(peer_at_end_);
}

TEST_F(TransportTest, ResetSaysNothing) {
  accept_and_greet();
  connection_->reset();
  lane_.turn();
  EXPECT_EQ(peer_reads(), "");
  EXPECT_EQ(handler_.events, closed(CloseReason::kLocal));
}

TEST_F(TransportTest, CloseAfterFlushSendsEverythingThenTheEnd) {
  accept_and_greet(8192);
  const std::string text = pattern(300'000);
  write(text);
  connection_->close_after_flush(1s);
  std::string wire;
  for (int i = 0; i < 500 && !peer_at_end_; ++i) {
    lane_.turn();
    wire += peer_reads();
  }
  const Understood all = understand("hi!" + wire);
  EXPECT_EQ(all.text, text);
  EXPECT_TRUE(all.end);
  EXPECT_EQ(all.rest, "");
  close_peer();
  lane_.turns(2);
  EXPECT_EQ(handler_.events, closed(CloseReason::kLocal));
}

TEST_F(TransportTest, AFullSocketIsWaitedForWithWhatWasTurned) {
  accept_and_greet(4096);
  const std::string text = pattern(1'000'000);
  write(text);
  connection_->notify_when_drained();
  std::string wire;
  lane_.turn();
  // Not everything is turned at once: what the peer does not take stays as it is.
  EXPECT_GT(connection_->out().size(), 800'000u);
  for (int i = 0; i < 5000 && connection_->unsent() > 0; ++i) {
    lane_.turn();
    wire += peer_reads();
  }
  lane_.turn();
  wire += peer_reads();
  const Understood all = understand("hi!" + wire);
  EXPECT_EQ(all.text, text);
  EXPECT_EQ(all.rest, "");
  EXPECT_EQ(handler_.events, "drained ");
  EXPECT_EQ(connection_->bytes_written(), text.size());
}

TEST_F(TransportTest, BytesThatItHoldsBackGoOutAfterInput) {
  accept_and_greet();
  transport_->held_back = 1;
  write("later");
  lane_.turns(2);
  EXPECT_EQ(peer_reads(), "");
  EXPECT_EQ(connection_->unsent(), 5u);
  peer_sends(frame("go on"));
  lane_.turn();
  EXPECT_EQ(peer_reads(), frame("later"));
}

TEST_F(TransportTest, AFailureIsToldToThePeer) {
  accept_and_greet();
  peer_sends(frame("fine") + mistake() + "more that nobody reads");
  lane_.turn();
  EXPECT_EQ(handler_.received, "fine");
  EXPECT_EQ(handler_.events, closed(CloseReason::kTransportFailed));
  EXPECT_EQ(peer_reads(), "no!");
  EXPECT_TRUE(peer_at_end_);
  EXPECT_EQ(connection_->transport()->failure(), "a mistake");
}

TEST_F(TransportTest, AFailedHandshakeIsToldToThePeer) {
  connect();
  EXPECT_EQ(peer_reads(), "hi!");
  peer_sends("GET / HTTP/1.1\r\n\r\n");
  lane_.turn();
  EXPECT_EQ(handler_.events, closed(CloseReason::kTransportFailed));
  EXPECT_TRUE(connection_->connecting());
  EXPECT_EQ(peer_reads(), "no!");
  EXPECT_TRUE(peer_at_end_);
}

TEST_F(TransportTest, APeerThatLeavesDuringTheHandshake) {
  accept();
  peer_sends("h");
  lane_.turn();
  close_peer();
  lane_.turn();
  EXPECT_EQ(handler_.events, closed(CloseReason::kRemote));
  EXPECT_EQ(transport_->socket_ends, 1);
}

TEST_F(TransportTest, AServerThatResetsDuringTheHandshake) {
  connect();
  linger option{1, 0};
  setsockopt(peer_, SOL_SOCKET, SO_LINGER, &option, sizeof(option));
  close_peer();
  lane_.turn();
  EXPECT_EQ(handler_.events, closed(CloseReason::kReset));
  EXPECT_TRUE(connection_->connecting());
}

TEST_F(TransportTest, CloseAfterFlushDuringTheHandshakeFinishesItFirst) {
  accept();
  write("greeting");
  connection_->close_after_flush(1s);
  lane_.turns(2);
  EXPECT_EQ(peer_reads(), "");
  peer_sends("hi!");
  lane_.turns(2);
  EXPECT_EQ(peer_reads(), "hi!" + frame("greeting") + frame({}));
  EXPECT_TRUE(peer_at_end_);
  EXPECT_EQ(handler_.events, "") << "who has closed hears of nothing but the end";
  close_peer();
  lane_.turn();
  EXPECT_EQ(handler_.events, closed(CloseReason::kLocal));
}

TEST_F(TransportTest, CloseAfterFlushDuringTheHandshakeWithNothingToSayEnds) {
  accept();
  lane_.turn();
  connection_->close_after_flush(1s);
  lane_.turn();
  EXPECT_EQ(handler_.events, closed(CloseReason::kLocal));
  EXPECT_EQ(peer_reads(), "");
  EXPECT_TRUE(peer_at_end_);
}

TEST_F(TransportTest, CloseAfterFlushDuringAHandshakeThatNeverEndsIsGivenUp) {
  for (const Duration stall : {Duration(3s), Duration::zero()}) {
    accept();
    write("greeting");
    connection_->close_after_flush(1s, stall);
    lane_.turns(2);
    lane_.advance(2s);
    EXPECT_EQ(handler_.events, "");
    lane_.advance(9s);
    lane_.turn();
    EXPECT_EQ(handler_.events, closed(CloseReason::kLocal));
    EXPECT_EQ(peer_reads(), "");
    handler_.events.clear();
    close_peer();
  }
}

TEST_F(TransportTest, ResetAfterFlushDuringTheHandshake) {
  accept();
  connection_->reset_after_flush(3s);
  lane_.turn();
  EXPECT_EQ(handler_.events, closed(CloseReason::kLocal));
  EXPECT_EQ(peer_reads(), "");
  handler_.events.clear();
  close_peer();

  accept();
  write("greeting");
  connection_->reset_after_flush(3s);
  lane_.turns(2);
  lane_.advance(4s);
  lane_.turn();
  EXPECT_EQ(handler_.events, closed(CloseReason::kLocal));
  EXPECT_EQ(peer_reads(), "");
}

TEST_F(TransportTest, ResetAfterFlushSendsEverything) {
  connect();
  peer_sends("hi!");
  lane_.turn();
  handler_.events.clear();
  write("last");
  connection_->reset_after_flush(3s);
  lane_.turn();
  EXPECT_EQ(peer_reads(), "hi!" + frame("last"));
  // The kernel acknowledges when it likes.
  char byte;
  int error = EAGAIN;
  for (int i = 0; i < 1000 && error == EAGAIN; ++i) {
    lane_.advance(10ms);
    error = recv(peer_, &byte, 1, 0) < 0 ? errno : 0;
    if (error == EAGAIN) usleep(1000);
  }
  EXPECT_EQ(error, ECONNRESET);
  EXPECT_EQ(handler_.events, closed(CloseReason::kLocal));
}

TEST_F(TransportTest, AStepThatIsPutOffIsTakenAtTheNextTurn) {
  accept();
  transport_->later = 3;
  peer_sends("hi!");
  lane_.turn();
  EXPECT_EQ(handler_.events, "");
  lane_.turns(3);
  EXPECT_EQ(handler_.events, "connected ");
  EXPECT_LE(transport_->steps, 6);
}

TEST_F(TransportTest, BlockedReadingDoesNotStopTheHandshake) {
  accept();
  connection_->block_read(ReadBlock::kHandler);
  peer_sends("hi!" + frame("data"));
  lane_.turns(2);
  EXPECT_EQ(handler_.events, "connected ");
  EXPECT_EQ(peer_reads(), "hi!");
  EXPECT_EQ(handler_.received, "");
  connection_->unblock_read(ReadBlock::kHandler);
  lane_.turn();
  EXPECT_EQ(handler_.received, "data");
}

TEST_F(TransportTest, DeliverAgainDuringTheHandshakeIsNotForgotten) {
  accept();
  connection_->deliver_again();
  connection_->deliver_next_turn();
  lane_.turn();
  peer_sends("hi!" + frame("a"));
  lane_.turn();
  EXPECT_EQ(handler_.received, "a");
  handler_.take = false;
  peer_sends(frame("b"));
  lane_.turn();
  handler_.take = true;
  connection_->deliver_again();
  lane_.turn();
  EXPECT_EQ(handler_.received, "ab");
}

// Bytes that another connection left in the kernel, by a handler that did not ask first.
TEST_F(TransportTest, UnseenSlicesAreFetched) {
  accept_and_greet();
  EXPECT_FALSE(connection_->takes_unseen());
  event::Pipe* pipe = lane_.lane().pipes().take();
  ASSERT_NE(pipe, nullptr);
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  const std::string text = pattern(40'000);
  ASSERT_EQ(send(fds[0], text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  size_t filled = 0;
  {
    BlockRef block(pipe);
    while (filled < text.size()) {
      const ssize_t n = pipe->fill(fds[1], text.size() - filled);
      ASSERT_GT(n, 0);
      filled += static_cast<size_t>(n);
    }
    connection_->out().append_copy("head ", lane_.lane().blocks());
    connection_->out().append(Slice(std::move(block), nullptr, text.size()));
  }
  connection_->out().append_copy(" tail", lane_.lane().blocks());
  connection_->flush_later();
  std::string wire;
  for (int i = 0; i < 20; ++i) {
    lane_.turn();
    wire += peer_reads();
  }
  EXPECT_EQ(understand("hi!" + wire).text, "head " + text + " tail");
  close(fds[0]);
  close(fds[1]);
}

TEST_F(TransportTest, AllowingUnseenInputMeansNothing) {
  accept_and_greet();
  connection_->allow_unseen(true);
  peer_sends(frame(pattern(60'000)));
  lane_.turns(2);
  EXPECT_EQ(handler_.received, pattern(60'000));
}

// Every byte of the wire comes when it will.
TEST_F(TransportTest, RandomPiecesAndPauses) {
  test::for_each_seed(40, [&](uint64_t round) {
    Random random(round);
    accept();
    transport_->largest_frame = 1 + random.below(20'000);
    transport_->later = static_cast<int>(random.below(3));
    const std::string there = pattern(random.below(200'000));
    const std::string back = pattern(random.below(200'000));
    std::string wire = "hi!";
    for (size_t at = 0; at < there.size();) {
      const size_t size = std::min<size_t>(there.size() - at, 1 + random.below(30'000));
      wire += frame(there.substr(at, size));
      at += size;
    }
    const bool announced = random.below(2) == 0;
    if (announced) wire += frame({});
    size_t sent = 0;
    size_t written = 0;
    std::string got;
    bool blocked = false;
    bool peer_done = false;
    for (int turn = 0; turn < 20'000; ++turn) {
      if (sent < wire.size()) {
        const size_t size = std::min<size_t>(wire.size() - sent, 1 + random.below(random.below(4) == 0 ? 3 : 20'000));
        const ssize_t n = send(peer_, wire.data() + sent, size, MSG_NOSIGNAL);
        if (n > 0) sent += static_cast<size_t>(n);
      } else if (!peer_done) {
        shutdown(peer_, SHUT_WR);
        peer_done = true;
      }
      if (written < back.size() && random.below(3) == 0) {
        const size_t size = std::min<size_t>(back.size() - written, 1 + random.below(20'000));
        write(std::string_view(back).substr(written, size));
        written += size;
        if (written == back.size()) connection_->half_close();
      }
      if (back.empty() && turn == 5) connection_->half_close();
      if (random.below(4) == 0) {
        blocked ? connection_->unblock_read(ReadBlock::kHandler) : connection_->block_read(ReadBlock::kHandler);
        blocked = !blocked;
      }
      if (random.below(2) == 0) got += peer_reads();
      lane_.turn();
      if (handler_.events == "connected end " && peer_at_end_) break;
    }
    got += peer_reads();
    const Understood all = understand(got);
    EXPECT_EQ(all.greeting, "hi!") << round;
    EXPECT_TRUE(all.text == back) << round << ": " << all.text.size() << " of " << back.size();
    EXPECT_TRUE(all.end) << round;
    EXPECT_EQ(all.rest, "");
    EXPECT_TRUE(handler_.received == there) << round << ": " << handler_.received.size() << " of " << there.size();
    EXPECT_EQ(handler_.events, "connected end ") << round;
    EXPECT_EQ(connection_->transport()->truncated(), !announced);
    connection_->close();
    lane_.turn();
    handler_ = {};
    close_peer();
    peer_at_end_ = false;
  });
}

}  // namespace
}  // namespace weir::net
