// A cluster whose host speaks HTTP/1 as the test moves it.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "test/core/upstream/caller.h"
#include "test/core/upstream/pool_world.h"
#include "test/core/upstream/test_listener.h"

namespace weir::upstream {

// Answers on each connection what the test says.
class Server {
 public:
  ~Server() {
    for (size_t i = 0; i < peers.size(); ++i) close_peer(i);
  }
  void stop() { listener_.stop(); }
  const net::Address& address() const { return listener_.address(); }
  void accept_all() {
    for (int fd; (fd = listener_.accept()) >= 0;) peers.push_back(fd);
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
  TestListener listener_;
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
  // Peer number `peer` answers what it has been asked.
  void serve(size_t peer) {
    EXPECT_NE(server_.receive(peer), "");
    server_.answer(peer);
    settle();
  }
  // One whole exchange on peer number `peer`.
  void exchange(size_t peer) {
    Caller caller(lane_);
    caller.start(pool());
    settle();
    serve(peer);
    EXPECT_TRUE(caller.events.ends_with("headers end ")) << caller.events;
    EXPECT_EQ(caller.body, "ok");
  }

  Server server_;
};

}  // namespace weir::upstream
