#include "core/event/poller.h"

#include <unistd.h>

#include <cerrno>

#include "core/base/assert.h"

namespace weir::event {

Poller::Poller() : fd_(epoll_create1(EPOLL_CLOEXEC)) { WEIR_CHECK(fd_ >= 0); }
Poller::~Poller() { close(fd_); }

void Poller::control(int operation, int fd, Pollable& target, Order order, uint32_t events) {
  static_assert(alignof(Pollable) > kFirstBit);
  epoll_event event{};
  event.events = events;
  event.data.u64 = reinterpret_cast<uint64_t>(&target) | (order == Order::kFirst ? kFirstBit : 0);
  WEIR_CHECK(epoll_ctl(fd_, operation, fd, &event) == 0);
}

constexpr uint32_t kWithoutInput = EPOLLOUT | EPOLLRDHUP | EPOLLET;

void Poller::add(int fd, Pollable& target, Order order) {
  control(EPOLL_CTL_ADD, fd, target, order, EPOLLIN | kWithoutInput);
}

void Poller::tell_input(int fd, Pollable& target, Order order, bool told) {
  control(EPOLL_CTL_MOD, fd, target, order, told ? EPOLLIN | kWithoutInput : kWithoutInput);
}

void Poller::add_level(int fd, Pollable& target) { control(EPOLL_CTL_ADD, fd, target, Order::kAny, EPOLLIN); }

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
