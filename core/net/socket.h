// Listening sockets and their options, and those of sockets that go to others.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/event/lane.h"
#include "core/net/address.h"

namespace weir::net {

// One setsockopt() call. Accepted connections inherit what the kernel lets them inherit.
struct SocketOption {
  enum class When : uint8_t { kBeforeBind, kBound, kListening };
  enum class Kind : uint8_t { kAny, kStream, kDatagram };
  int level = 0;
  int name = 0;
  std::string value;  // its bytes, as the kernel wants them
  When when = When::kBeforeBind;
  Family family = Family::kNone;  // of that family alone; kNone: any
  Kind kind = Kind::kAny;         // likewise
  bool operator==(const SocketOption&) const = default;
};

// Probes of idle connections. 0: as the system has it.
struct Keepalive {
  bool on = false;
  uint32_t probes = 0;
  uint32_t idle_seconds = 0;
  uint32_t interval_seconds = 0;
  bool operator==(const Keepalive&) const = default;
};
// Of a TCP socket. False: errno says why.
bool set_keepalive(int fd, const Keepalive& keepalive);

struct ListenOptions {
  bool datagrams = false;  // UDP
  int backlog = 4096;
  bool reuse_port = true;  // ignored for Unix addresses
  bool freebind = false;
  bool transparent = false;
  bool bind_to_port = true;
  bool ipv4_compat = false;  // an IPv6 any-address takes IPv4 too
  uint32_t unix_mode = 0;    // 0: the process's default
  Keepalive keepalive = {};
  std::vector<SocketOption> more = {};
  bool operator==(const ListenOptions&) const = default;
};

// How a socket that is to go to others is bound: nothing of it, and the kernel does it.
struct BindOptions {
  Address source;  // empty: the kernel chooses
  bool freebind = false;
  std::vector<SocketOption> more = {};
  bool empty() const { return source.empty() && !freebind && more.empty(); }
  bool operator==(const BindOptions&) const = default;
};
// Sets the options of a socket of IP that has not been connected yet, and binds it; `source` instead of that of the
// options. An error says what the kernel refuses. Makes system calls only for what is set.
Status bind_towards(int fd, const Address& remote, SocketOption::Kind kind, const BindOptions& options,
                    const Address& source);

// Where to listen, and how.
struct ListenAddress {
  Address address;
  ListenOptions options;
  bool operator==(const ListenAddress&) const = default;
};

// A bound and listening, non-blocking socket. On failure the message names the address, the reason, and for a port that
// is taken who holds it, as far as the system tells. [main]
Result<int> open_listen_socket(const Address& address, const ListenOptions& options);
// The two halves of it: the kernel gives connections to a socket from the second one on.
Result<int> open_bound_socket(const Address& address, const ListenOptions& options);
Status begin_to_listen(int fd, const Address& address, const ListenOptions& options);
// The same for datagrams: a bound UDP socket, which tells where each was sent to if it is bound to every address, and
// how many the kernel had no room for. [main]
Result<int> open_datagram_socket(const Address& address, const ListenOptions& options);
// The two halves of it: it has its share of what comes from the second one on.
Result<int> make_datagram_socket(const Address& address, const ListenOptions& options);
Status bind_datagram_socket(int fd, const Address& address, const ListenOptions& options);
// Whether it listens, or, one for datagrams, is bound. [any]
bool is_open(int fd, bool datagrams);
// For a socket that another process has opened, with other options perhaps: what can still change does. Returns the
// socket options (level/name) that this one had to have before it was bound, and does not take now. [main]
Result<std::string> adjust_listen_socket(int fd, const Address& address, const ListenOptions& options);
// The file that a Unix socket was bound to. [main]
class SocketFile {
 public:
  SocketFile() = default;
  // As it is now; empty for other addresses, abstract ones among them.
  static SocketFile of(const Address& address);
  bool empty() const { return path_.empty(); }
  // Once, and unless another socket has taken its place.
  void remove();

 private:
  static SocketFile at(const std::string& path);
  bool operator==(const SocketFile&) const = default;

  std::string path_;
  uint64_t device_ = 0, number_ = 0;
  int64_t born_ = 0;  // ns; the number may be that of a file that is gone. 0: the file system does not know
};
// The address a socket is bound to (port 0 resolved).
Address bound_address(int fd);

// Told of each accepted connection. [worker]
class AcceptHandler {
 public:
  virtual void on_accepted(int fd, const Address& remote) = 0;

 protected:
  ~AcceptHandler() = default;
};

// One listening descriptor on one lane. Accepts a bounded number of connections per turn. Out of descriptors or memory
// it rests for a moment: those that wait stay in the kernel's queue.
class ListenSocket final : public event::Pollable, private event::Timer {
 public:
  // `fd` is owned.
  ListenSocket(event::Lane& lane, int fd, uint32_t accepts_per_turn, AcceptHandler& handler);
  ~ListenSocket();
  ListenSocket(const ListenSocket&) = delete;
  ListenSocket& operator=(const ListenSocket&) = delete;

  // Another listener's configuration serves it from now on, or the same one's next version.
  void serve_by(AcceptHandler& handler, uint32_t accepts_per_turn) {
    handler_ = &handler;
    accepts_per_turn_ = accepts_per_turn;
  }
  // Stops and starts accepting; connections wait in the kernel's queue meanwhile.
  void pause();
  void resume();
  // Accepts what is queued until the kernel has none, then closes: closing first would reset the queued ones.
  void drain_and_close();
  int fd() const { return fd_; }

  void on_ready(uint32_t ready) override;

 private:
  bool accept_one();
  void rest(int error);
  void on_timer() override;
  bool watching() const { return fd_ >= 0 && !paused_ && !resting_; }
  event::Lane& lane_;
  int fd_;
  uint32_t accepts_per_turn_;
  bool paused_ = false;
  bool resting_ = false;
  MonoTime silent_until_{};  // one line in the log for many failures
  AcceptHandler* handler_;
};

}  // namespace weir::net
