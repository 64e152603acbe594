// How connections with a transport end: what is said, what is still sent, what failures leave.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "core/net/connection.h"
#include "core/net/transport.h"
#include "test/core/net/framing.h"

namespace weir::net {
namespace {

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
    pollfd told{peer_, POLLIN, 0};
    if (error == EAGAIN) poll(&told, 1, 1);
  }
  EXPECT_EQ(error, ECONNRESET);
  EXPECT_EQ(handler_.events, closed(CloseReason::kLocal));
}

}  // namespace
}  // namespace weir::net
