// A cluster whose host speaks HTTP/1 as the test moves it.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/net/socket.h"
#include "test/core/upstream/caller.h"
#include "test/core/upstream/pool_world.h"

namespace weir::upstream {

class Server {
 public:
  Server() {
    listener_ = *net::open_listen_socket(*net::Address::from_ip("127.0.0.1", 0), {});
    address_ = net::bound_address(listener_);
  }
  ~Server() {
    for (size_t i = 0; i < peers.size(); ++i) close_peer(i);
    stop();
  }
  void stop() {
    if (listener_ >= 0) ::close(std::exchange(listener_, -1));
  }
  const net::Address& address() const { return address_; }
  void accept_all() {
    for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) peers.push_back(fd);
  }
  std::string receive(size_t peer) {
    char buffer[4096];
    ssize_t n = recv(peers[peer], buffer, sizeof(buffer), 0);
    return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : std::string();
  }
  void answer(size_t peer, std::string_view text = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") {
    EXPECT_EQ(send(peers[peer], text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  void close_peer(size_t peer) {
    if (peers[peer] >= 0) ::close(std::exchange(peers[peer], -1));
  }
  std::vector<int> peers;

 private:
  int listener_;
  net::Address address_;
};

class ServedPool : public PoolWorld {
 protected:
  ServedPool() { begin(server_.address()); }
  ~ServedPool() override {
    clusters_.shut_down();
    lane_.turns(3);
  }
  // Where nobody listens.
  static net::Address dead_address() {
    Server server;
    server.stop();
    return server.address();
  }
  // Everything that is under way arrives.
  void settle() {
    for (int i = 0; i < 4; ++i) {
      lane_.turn();
      server_.accept_all();
    }
  }
  // One whole exchange on peer number `peer`.
  void exchange(size_t peer) {
    Caller caller(lane_);
    caller.start(pool());
    settle();
    EXPECT_NE(server_.receive(peer), "");
    server_.answer(peer);
    settle();
    EXPECT_TRUE(caller.events.ends_with("headers end ")) << caller.events;
    EXPECT_EQ(caller.body, "ok");
  }

  Server server_;
};

}  // namespace weir::upstream
