// net::Connection with a transport that turns bytes into frames of others, moved turn by turn. What comes from the
// socket is cut wherever it can be cut.
#include "core/net/transport.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/event/pipe.h"
#include "core/net/connection.h"
#include "test/core/net/framing.h"
#include "test/support/seed.h"

namespace weir::net {
namespace {

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

// Listener filters look at the first bytes: the one that has enough of them is on the stack when the transport is set.
class Inspector final : public ConnectionHandler {
 public:
  Inspector(TransportTest& test, size_t enough) : test_(test), enough_(enough) {}
  void on_data(Slices& in, bool end) override {
    if (in.size() < enough_ && !end) return;
    test_.set_transport();
    EXPECT_TRUE(in.empty());
    test_.hand_over();
  }
  void on_closed(CloseReason) override {}

 private:
  TransportTest& test_;
  const size_t enough_;
};

TEST_F(TransportTest, BytesThatWereReadBeforeAreItsFirstInput) {
  make_pair();
  Inspector inspector(*this, 5);
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
  make_pair();
  Inspector inspector(*this, SIZE_MAX);
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
