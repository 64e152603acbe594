// The kernel's part of a simulated world: TCP between the descriptors of one process, the readiness of them, and what
// pipes carry from one to another. Every choice that a kernel and a network have (how much of a send is taken, when
// bytes arrive and how they are cut, which of the sockets on a port gets a connection, in which order descriptors are
// ready, what a reset destroys) is made by one seeded generator, so that a seed is a world, exactly.
//
// The linker sends the calls of the test program here (sim_syscalls.cc). What is not modelled: IPv6, options other than
// those that change what happens (SO_REUSEPORT, SO_LINGER), urgent data, blocking. Time does not pass in it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/random.h"

struct epoll_event;

namespace weir::sim {

class SimNetwork {
 public:
  // Only one at a time: it takes the place of the kernel's.
  explicit SimNetwork(uint64_t seed);
  ~SimNetwork();
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;
  static SimNetwork* current();

  // Bytes, ends and connections on their way arrive, or not yet. True if something moved.
  bool step();
  // Nothing is lost or late any more.
  void set_calm() { calm_ = true; }
  size_t open_descriptors() const { return sockets_.size(); }
  // Changes with everything that was ever asked and answered: the same for the same world.
  uint64_t digest() const { return digest_; }

  // The calls, for descriptors of this network: as the system's, with errno. Numbers begin where the kernel's never
  // are.
  static constexpr int kFirstDescriptor = 1 << 24;
  bool owns(int fd) const { return fd >= kFirstDescriptor; }
  int socket();
  int set_option(int fd, int level, int name, const void* value);
  int take_error(int fd);
  int bind(int fd, uint16_t port);
  int listen(int fd, int backlog);
  int connect(int fd, uint16_t port);
  int accept(int fd, uint16_t& remote_port);
  ssize_t send(int fd, std::string_view bytes);
  ssize_t receive(int fd, char* to, size_t room);
  int shutdown_write(int fd);
  int close(int fd);
  uint16_t port_of(int fd);
  // From a socket into the system's pipe of that number, or out of it into a socket.
  ssize_t fill_pipe(uint64_t pipe, int from, size_t most);
  ssize_t drain_pipe(uint64_t pipe, int to, size_t most);
  int watch(int epoll, int fd, const epoll_event& wanted);
  int change_watch(int epoll, int fd, const epoll_event& wanted);
  int forget(int epoll, int fd);
  void forget_poller(int epoll) { watched_.erase(epoll); }
  int ready(int epoll, epoll_event* events, int room);

 private:
  // kClosed: by its owner, but the other end is not, and may have bytes to come.
  enum class State : uint8_t { kNew, kListening, kConnecting, kConnected, kClosed };
  // One end of a connection. `peer` is the number of the other one; ends have numbers of their own, because they
  // outlive their descriptors.
  struct Socket {
    int fd = -1;  // -1: not accepted yet, or closed
    State state = State::kNew;
    uint16_t port = 0;
    uint16_t target = 0;  // kConnecting
    uint64_t peer = 0;    // 0: gone
    uint32_t wait = 0;    // kConnecting: steps
    bool reuse_port = false;
    bool abort_on_close = false;
    size_t backlog = 0;
    std::deque<uint64_t> queue;  // kListening: connections to accept
    std::string received;        // to be read here
    std::string flight;          // on its way here
    size_t capacity = 0;         // of both together
    bool end_in_flight = false;  // the peer has said that it sends no more
    bool ended = false;          // and that has arrived
    bool shut = false;           // we have said so
    bool reset = false;
    bool refused_bytes = false;  // a send found no room: readiness is told when there is some
    int error = 0;               // to be told once
  };
  struct Watch {
    uint32_t events;
    void* data;
    bool pending;  // something has happened since it was last reported
    uint64_t order;
  };

  static bool is_closed(const Socket& socket) { return socket.state == State::kClosed; }
  Socket* find(int fd);
  uint64_t id_of(int fd) const;
  int open(uint64_t id);
  uint32_t readiness(const Socket& socket) const;
  size_t room_towards(const Socket& peer) const;
  void wake(const Socket& socket);
  void offer_room(Socket& sender, const Socket& receiver);
  void reset_peer(Socket& socket);
  bool step_connect(Socket& socket);
  bool step_arrival(uint64_t id, Socket& socket);
  Socket* pick_listener(uint16_t port);
  void note(uint64_t what);
  int fail(int error);

  Random random_;
  bool calm_ = false;
  uint64_t digest_ = 0;
  uint64_t next_id_ = 1;
  uint64_t next_order_ = 1;
  uint16_t next_port_ = 20'000;
  std::map<uint64_t, Socket> ends_;
  std::map<int, uint64_t> sockets_;              // by descriptor
  std::map<uint64_t, std::string> pipes_;        // by the system's number, which it gives only once
  std::map<int, std::map<int, Watch>> watched_;  // by poller, by descriptor
};

}  // namespace weir::sim
