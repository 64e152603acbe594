// Readiness of sockets: one edge-triggered epoll instance per lane. A descriptor is registered once for everything and
// costs no system call afterwards; the kernel forgets it when it is closed.
#pragma once

#include <sys/epoll.h>

#include <cstdint>

namespace weir::event {

// Readiness bits, as epoll names them.
inline constexpr uint32_t kReadable = EPOLLIN;
inline constexpr uint32_t kWritable = EPOLLOUT;
inline constexpr uint32_t kPeerClosed = EPOLLRDHUP;
inline constexpr uint32_t kHangUp = EPOLLHUP;
inline constexpr uint32_t kError = EPOLLERR;

// What waits on a descriptor. It must outlive the turn in which the descriptor is closed (Lane::defer_delete), because
// an event for it may already have been fetched.
class Pollable {
 public:
  // `ready`: the bits above. [worker] Possibly after close: ignore it then.
  virtual void on_ready(uint32_t ready) = 0;

 protected:
  ~Pollable() = default;
};

class Poller {
 public:
  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Within a turn, those that come first are all told before any other is.
  enum class Order : uint8_t { kAny, kFirst };
  // Edge-triggered, readable + writable + peer closed. Aborts only if the kernel is out of memory.
  void add(int fd, Pollable& target, Order order = Order::kAny);
  // Of one that was added: whether input is told. Told again, it is at once, if there is any.
  void tell_input(int fd, Pollable& target, Order order, bool told);
  // Level-triggered, readable only: listening sockets (accept a bounded number per turn) and nested descriptors.
  void add_level(int fd, Pollable& target);
  void remove(int fd);
  // Waits at most `timeout_ms` (-1: for ever), calls `woken`, then on_ready for each event. Returns how many there
  // were.
  template <class Woken>
  int poll(int timeout_ms, Woken&& woken) {
    epoll_event events[kMaxEvents];
    int count = wait(events, timeout_ms);
    woken();
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u64 & kFirstBit) target(events[i]).on_ready(events[i].events);
    }
    for (int i = 0; i < count; ++i) {
      if (!(events[i].data.u64 & kFirstBit)) target(events[i]).on_ready(events[i].events);
    }
    return count;
  }
  int fd() const { return fd_; }

 private:
  static constexpr int kMaxEvents = 128;
  static constexpr uint64_t kFirstBit = 1;  // of the target's address, which is aligned
  static Pollable& target(const epoll_event& event) {
    return *reinterpret_cast<Pollable*>(event.data.u64 & ~kFirstBit);
  }
  void control(int operation, int fd, Pollable& target, Order order, uint32_t events);
  int wait(epoll_event* events, int timeout_ms);
  int fd_;
};

}  // namespace weir::event
