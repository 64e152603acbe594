// What tests of connections have in common: a connection, its peer's descriptor, and what the handler was told.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "core/net/connection.h"
#include "core/net/socket.h"
#include "test/support/test_lane.h"

namespace weir::net {

struct Recorder final : ConnectionHandler {
  void on_connected() override { events += "connected "; }
  void on_data(Slices& in, bool end) override {
    ++data_calls;
    biggest = std::max(biggest, in.size());
    if (block_after_data) connection->block_read(ReadBlock::kHandler);
    if (take) {
      received += in.to_string();
      in.clear();
    }
    if (end) events += "end ";
  }
  void on_above_high_watermark() override { events += "above "; }
  void on_below_low_watermark() override { events += "below "; }
  void on_drained() override { events += "drained "; }
  void on_closed(CloseReason reason) override { events += "closed" + std::to_string(static_cast<int>(reason)) + " "; }
  Connection* connection = nullptr;
  std::string events;
  std::string received;
  size_t biggest = 0;
  int data_calls = 0;
  bool take = true;
  bool block_after_data = false;
};

inline std::string closed(CloseReason reason) { return "closed" + std::to_string(static_cast<int>(reason)) + " "; }

class EndsTest : public ::testing::Test {
 protected:
  // Both over a pair of sockets; it is not started yet.
  void make_pair(int send_buffer = 0) {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    if (send_buffer > 0) setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
    peer_ = fds[1];
    adopt(std::make_unique<Connection>(lane_.lane(), fds[0], *Address::from_unix("@peer")));
  }
  // Over TCP, where resets exist. `prepare` comes before it is started.
  template <class Prepare>
  void open_tcp(Prepare prepare) {
    const int listener = *open_listen_socket(*Address::from_ip("127.0.0.1", 0), {});
    adopt(std::make_unique<Connection>(lane_.lane(), bound_address(listener), BindOptions()));
    prepare();
    connection_->start(false);
    lane_.turns(2);
    peer_ = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    close(listener);
    ASSERT_GE(peer_, 0);
  }
  void TearDown() override {
    if (connection_ != nullptr && connection_->open()) connection_->close();
    lane_.turn();
    connection_.reset();
    close_peer();
  }
  void close_peer() {
    if (peer_ >= 0) close(std::exchange(peer_, -1));
  }
  void reset_peer() {
    linger option{1, 0};
    setsockopt(peer_, SOL_SOCKET, SO_LINGER, &option, sizeof(option));
    close_peer();
  }
  void peer_sends(std::string_view bytes) {
    ASSERT_EQ(send(peer_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  // All that there is, or so much of it.
  std::string peer_reads(size_t most = SIZE_MAX) {
    std::string all;
    char bytes[65536];
    ssize_t n = 1;
    while (all.size() < most && (n = recv(peer_, bytes, std::min(sizeof(bytes), most - all.size()), 0)) > 0)
      all.append(bytes, static_cast<size_t>(n));
    peer_at_end_ = n == 0;
    return all;
  }
  bool peer_at_end() {
    char byte;
    return recv(peer_, &byte, 1, 0) == 0;
  }
  void write(std::string_view text) {
    connection_->out().append_copy(text, lane_.lane().blocks());
    connection_->flush_later();
  }

  test::TestLane lane_;
  Recorder handler_;
  std::unique_ptr<Connection> connection_;
  int peer_ = -1;
  bool peer_at_end_ = false;

 private:
  void adopt(std::unique_ptr<Connection> connection) {
    connection_ = std::move(connection);
    handler_.connection = connection_.get();
    connection_->set_handler(handler_);
  }
};

class ConnectionTest : public EndsTest {
 protected:
  void connect_pair(int send_buffer = 0) {
    make_pair(send_buffer);
    connection_->start(false);
  }
  void connect_tcp() {
    open_tcp([] {});
    ASSERT_EQ(handler_.events, "connected ");
    handler_.events.clear();
  }
};

}  // namespace weir::net
