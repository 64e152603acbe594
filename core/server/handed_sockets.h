// Listening sockets that another process has opened and handed over: a table by kind, name, configured address and
// number. Sockets of any kind go through it, so that both sides agree on one thing only: the text that names an entry.
// [main]
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/net/address.h"
#include "core/net/socket.h"

namespace weir::server {

struct HandedSocket {
  std::string kind;     // "stream", "datagram", "admin"
  std::string owner;    // the listener; empty: there are no names
  std::string address;  // as configured: "127.0.0.1:0"
  uint32_t number = 0;  // among those of the address: the index of the worker
  int fd = -1;

  std::string to_text() const;
  static bool from_text(std::string_view text, HandedSocket& out);
};

class HandedSockets {
 public:
  HandedSockets() = default;
  ~HandedSockets();
  HandedSockets(const HandedSockets&) = delete;
  HandedSockets& operator=(const HandedSockets&) = delete;

  // Owned from then on. One that is not what its text says is closed and told.
  void add(HandedSocket socket);
  // All of one address, by number; the caller's from then on. Empty: none. With port 0, those that this listener got
  // for it before. What is bound with other properties than `wanted`, which cannot change any more, stays here.
  struct Wanted {
    bool only_ipv6 = true;  // of an IPv6 address
  };
  std::vector<int> take(std::string_view kind, std::string_view owner, const net::Address& address, Wanted wanted);
  std::vector<int> take(std::string_view kind, std::string_view owner, const net::Address& address) {
    return take(kind, owner, address, Wanted{});
  }
  // What a socket that was taken is to be like. Until this process serves it is the other one's, too, and stays as it
  // is. `owner`: for the log; `use`: gone when it is closed.
  void adjust_later(std::string owner, int fd, net::ListenAddress at, std::weak_ptr<const void> use);
  // Now it is. What the kernel refuses is logged, and stays.
  void adjust();
  // What nobody has taken.
  std::vector<HandedSocket> rest() const;
  // Closes it; its addresses.
  std::vector<std::string> drop_rest();
  size_t size() const { return sockets_.size(); }

 private:
  struct Entry {
    HandedSocket socket;
    net::Address bound;
  };
  struct Adjustment {
    std::string owner;
    int fd;
    net::ListenAddress at;
    std::weak_ptr<const void> use;
  };
  std::vector<Entry> sockets_;
  std::vector<Adjustment> adjustments_;
};

}  // namespace weir::server
