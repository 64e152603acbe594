// A listening socket on this machine; connections are accepted when the test says so.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "core/net/address.h"
#include "core/net/socket.h"

namespace weir::upstream {

class TestListener {
 public:
  TestListener()
      : fd_(*net::open_listen_socket(*net::Address::from_ip("127.0.0.1", 0), {})), address_(net::bound_address(fd_)) {}
  ~TestListener() { stop(); }
  TestListener(const TestListener&) = delete;
  TestListener& operator=(const TestListener&) = delete;
  // Connections are refused from now on.
  void stop() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int fd() const { return fd_; }
  const net::Address& address() const { return address_; }
  // The next one that has come, for the caller to close; -1: there is none.
  int accept() { return accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); }

 private:
  int fd_;
  const net::Address address_;
};

}  // namespace weir::upstream
