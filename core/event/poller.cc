#include "core/event/poller.h"

#include <unistd.h>

#include <cerrno>

#include "core/base/assert.h"

namespace weir::event {

Poller::Poller() : fd_(epoll_create1(EPOLL_CLOEXEC)) { WEIR_CHECK(fd_ >= 0); }
Poller::~Poller() { close(fd_); }

void Poller::add(int fd, Pollable& target, Order order) {
  static_assert(alignof(Pollable) > kFirstBit);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = reinterpret_cast<uint64_t>(&target) | (order == Order::kFirst ? kFirstBit : 0);
  WEIR_CHECK(epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) == 0);
}

void Poller::add_level(int fd, Pollable& target) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = reinterpret_cast<uint64_t>(&target);
  WEIR_CHECK(epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) == 0);
}

void Poller::remove(int fd) {
  epoll_event event{};
  epoll_ctl(fd_, EPOLL_CTL_DEL, fd, &event);
}

int Poller::wait(epoll_event* events, int timeout_ms) {
  int count = epoll_wait(fd_, events, kMaxEvents, timeout_ms);
  if (count < 0) {
    WEIR_CHECK(errno == EINTR);
    return 0;
  }
  return count;
}

}  // namespace weir::event
