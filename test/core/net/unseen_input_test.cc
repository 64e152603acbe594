// Input that nobody looks at: it passes from connection to connection through pipes of the kernel.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "core/event/pipe.h"
#include "core/net/connection.h"
#include "test/core/net/ends.h"

namespace weir::net {
namespace {

// Passes what it reads to another connection; `unseen` bytes of it may stay in the kernel.
struct Forwarder final : ConnectionHandler {
  explicit Forwarder(uint64_t bytes) : unseen(bytes) {}
  void on_data(Slices& in, bool end) override {
    for (size_t i = 0; i < in.slice_count(); ++i) {
      const Slice& slice = in.at(i);
      (slice.unseen() ? bytes_unseen : bytes_seen) += slice.size;
    }
    unseen -= std::min<uint64_t>(unseen, in.size());
    if (to != nullptr) {
      to->out().append_all(in);
      to->flush_later();
    }
    in.clear();
    ended = end;
  }
  uint64_t unseen_input() override { return unseen; }
  void on_closed(CloseReason) override { closed = true; }
  Connection* to = nullptr;
  uint64_t unseen;
  size_t bytes_seen = 0;
  size_t bytes_unseen = 0;
  bool ended = false;
  bool closed = false;
};

class UnseenInputTest : public ConnectionTest {
 protected:
  static constexpr size_t kBytes = 1 << 20;

  // What is sent into source_end_ is forwarded to peer_.
  void forward(uint64_t unseen) {
    connect_tcp();
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    source_end_ = fds[1];
    forwarder_.emplace(unseen);
    forwarder_->to = connection_.get();
    source_.emplace(lane_.lane(), fds[0], *Address::from_unix("@source"));
    source_->set_handler(*forwarder_);
    source_->allow_unseen(true);
    source_->start(false);
  }
  // Sends all of `text` and reads what comes out of it, turn by turn.
  std::string pass(std::string_view text) {
    std::string out;
    for (int idle = 0; idle < 10; ++idle) {
      const ssize_t n = send(source_end_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n > 0) text.remove_prefix(static_cast<size_t>(n));
      lane_.turn();
      const std::string piece = peer_reads();
      if (n > 0 || !piece.empty()) idle = 0;
      out += piece;
    }
    return out;
  }
  static std::string pattern(size_t bytes) {
    std::string text(bytes, ' ');
    for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + (i * 7 + i / 4096) % 26);
    return text;
  }
  void TearDown() override {
    if (source_ && source_->open()) source_->close();
    lane_.turn();
    source_.reset();
    if (source_end_ >= 0) close(source_end_);
    ConnectionTest::TearDown();
    lane_.turn();
    EXPECT_EQ(lane_.lane().pipes().used(), 0u);
  }

  std::optional<Forwarder> forwarder_;
  std::optional<Connection> source_;
  int source_end_ = -1;
};

TEST_F(UnseenInputTest, PassesWithoutComingIn) {
  forward(kBytes);
  const std::string text = pattern(kBytes);
  EXPECT_EQ(pass(text), text);
  EXPECT_EQ(source_->bytes_read(), kBytes);
  EXPECT_EQ(connection_->bytes_written(), kBytes);
  EXPECT_GT(forwarder_->bytes_unseen, kBytes / 2);
  EXPECT_EQ(forwarder_->bytes_unseen + forwarder_->bytes_seen, kBytes);
  EXPECT_GT(lane_.lane().pipes().free(), 0u);  // emptied: used again
}

TEST_F(UnseenInputTest, WhatFollowsIsSeen) {
  forward(kBytes / 2);
  const std::string text = pattern(kBytes);
  EXPECT_EQ(pass(text), text);
  EXPECT_GE(forwarder_->bytes_seen, kBytes / 2);
  EXPECT_GT(forwarder_->bytes_unseen, kBytes / 4);
}

TEST_F(UnseenInputTest, LittleIsNotWorthAPipe) {
  forward(10'000);
  const std::string text = pattern(10'000);
  EXPECT_EQ(pass(text), text);
  EXPECT_EQ(forwarder_->bytes_unseen, 0u);
}

TEST_F(UnseenInputTest, ReaderThatEndsLeavesItsBytes) {
  forward(kBytes);
  const std::string text = pattern(20'000);
  ASSERT_EQ(send(source_end_, text.data(), text.size(), 0), 20'000);
  connection_->block_read(ReadBlock::kHandler);
  source_->on_ready(event::kReadable);  // read, but not flushed yet
  ASSERT_EQ(forwarder_->bytes_unseen, 20'000u);
  source_->close();
  lane_.turn();
  source_.reset();
  EXPECT_EQ(peer_reads(), text);
}

TEST_F(UnseenInputTest, WriterThatEndsSpoilsThePipeOnly) {
  forward(kBytes);
  const std::string text = pattern(20'000);
  ASSERT_EQ(send(source_end_, text.data(), text.size(), 0), 20'000);
  source_->on_ready(event::kReadable);
  ASSERT_EQ(lane_.lane().pipes().used(), 1u);
  forwarder_->to = nullptr;
  connection_->close();
  EXPECT_EQ(lane_.lane().pipes().used(), 0u);
  EXPECT_EQ(lane_.lane().pipes().free(), 0u);  // its bytes are nobody's
  ASSERT_EQ(send(source_end_, text.data(), text.size(), 0), 20'000);
  lane_.turns(3);
  EXPECT_EQ(source_->bytes_read(), 40'000u);
}

TEST_F(UnseenInputTest, FullPipeStopsReadingUntilItIsEmpty) {
  forward(16 * kBytes);
  const std::string text = pattern(2 * kBytes);
  size_t sent = 0;
  for (int i = 0; i < 400; ++i) {  // the peer reads nothing
    const ssize_t n = send(source_end_, text.data(), text.size(), MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<size_t>(n);
    lane_.turn();
  }
  EXPECT_EQ(lane_.lane().pipes().used(), 1u);
  EXPECT_LE(connection_->unsent(), static_cast<size_t>(event::PipePool::kBytes));
  std::string rest = pass("");
  EXPECT_EQ(rest.size(), sent);
}

TEST_F(UnseenInputTest, APipeHoldsNoMoreThanBuffersMay) {
  forward(16 * kBytes);
  source_->set_watermarks(100'000, 50'000);
  connection_->block_read(ReadBlock::kHandler);
  const std::string text = pattern(kBytes);
  while (send(source_end_, text.data(), text.size(), MSG_NOSIGNAL) > 0) {
  }
  source_->on_ready(event::kReadable);  // read, but not flushed yet
  EXPECT_GT(forwarder_->bytes_unseen, 0u);
  EXPECT_LE(forwarder_->bytes_unseen, 100'000u);
}

// What is in a pipe is sent without MSG_NOSIGNAL: there is no such flag.
TEST_F(UnseenInputTest, APeerThatHasGoneIsNoSignal) {
  ASSERT_EQ(signal(SIGPIPE, SIG_DFL), SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  forward(kBytes);
  const std::string text = pattern(20'000);
  ASSERT_EQ(send(source_end_, text.data(), text.size(), 0), 20'000);
  source_->on_ready(event::kReadable);
  ASSERT_EQ(forwarder_->bytes_unseen, 20'000u);
  ASSERT_EQ(shutdown(connection_->fd(), SHUT_WR), 0);
  lane_.turns(3);
  EXPECT_FALSE(connection_->open());
}

TEST_F(UnseenInputTest, NoMoreDescriptorsIsNoFailure) {
  forward(2 * kBytes);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;  // those that are open stay open
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::string text = pattern(kBytes);
  EXPECT_EQ(pass(text), text);
  EXPECT_EQ(forwarder_->bytes_unseen, 0u);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(pass(text), text);
  EXPECT_GT(forwarder_->bytes_unseen, 0u);
}

TEST_F(UnseenInputTest, NoPipeIsNoFailure) {
  forward(kBytes);
  std::vector<BlockRef> all;
  while (event::Pipe* pipe = lane_.lane().pipes().take()) {
    all.emplace_back(pipe);
    if (all.size() == event::PipePool::kMaxUsed) break;
  }
  const std::string text = pattern(kBytes);
  EXPECT_EQ(pass(text), text);
  EXPECT_EQ(forwarder_->bytes_unseen, 0u);
}

}  // namespace
}  // namespace weir::net
