// The calls that the linker sends here instead of to the C library (--wrap in CMakeLists.txt): those about TCP go to
// the simulated network while there is one, all others on to the system.
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "test/sim/sim_network.h"

using weir::sim::SimNetwork;

namespace {

SimNetwork* network_of(int fd) {
  SimNetwork* network = SimNetwork::current();
  return network != nullptr && network->owns(fd) ? network : nullptr;
}

uint16_t port_in(const sockaddr* address) { return ntohs(reinterpret_cast<const sockaddr_in*>(address)->sin_port); }

void put_address(uint16_t port, sockaddr* address, socklen_t* length) {
  if (address == nullptr) return;
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::memcpy(address, &out, std::min<size_t>(*length, sizeof(out)));
  *length = sizeof(out);
}

std::string join(const iovec* pieces, size_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) bytes.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
  return bytes;
}

// Both ends of a pipe have one number.
uint64_t number_of(int fd) {
  struct stat status {};
  fstat(fd, &status);
  return status.st_ino;
}

}  // namespace

extern "C" {

int __real_socket(int domain, int type, int protocol);
int __real_setsockopt(int fd, int level, int name, const void* value, socklen_t length);
int __real_getsockopt(int fd, int level, int name, void* value, socklen_t* length);
int __real_bind(int fd, const sockaddr* address, socklen_t length);
int __real_listen(int fd, int backlog);
int __real_connect(int fd, const sockaddr* address, socklen_t length);
int __real_accept4(int fd, sockaddr* address, socklen_t* length, int flags);
ssize_t __real_recv(int fd, void* to, size_t room, int flags);
ssize_t __real_readv(int fd, const iovec* pieces, int count);
ssize_t __real_send(int fd, const void* from, size_t size, int flags);
ssize_t __real_sendmsg(int fd, const msghdr* message, int flags);
int __real_shutdown(int fd, int how);
int __real_close(int fd);
int __real_getsockname(int fd, sockaddr* address, socklen_t* length);
int __real_epoll_ctl(int epoll, int operation, int fd, epoll_event* event);
ssize_t __real_splice(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t most, unsigned flags);
int __real_epoll_wait(int epoll, epoll_event* events, int room, int timeout);

int __wrap_socket(int domain, int type, int protocol) {
  SimNetwork* network = SimNetwork::current();
  return network != nullptr && domain == AF_INET ? network->socket() : __real_socket(domain, type, protocol);
}
int __wrap_setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  SimNetwork* network = network_of(fd);
  return network != nullptr ? network->set_option(fd, level, name, value)
                            : __real_setsockopt(fd, level, name, value, length);
}
int __wrap_getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
  SimNetwork* network = network_of(fd);
  if (network == nullptr) return __real_getsockopt(fd, level, name, value, length);
  *static_cast<int*>(value) = level == SOL_SOCKET && name == SO_ERROR ? network->take_error(fd) : 0;
  return 0;
}
int __wrap_bind(int fd, const sockaddr* address, socklen_t length) {
  SimNetwork* network = network_of(fd);
  return network != nullptr ? network->bind(fd, port_in(address)) : __real_bind(fd, address, length);
}
int __wrap_listen(int fd, int backlog) {
  SimNetwork* network = network_of(fd);
  return network != nullptr ? network->listen(fd, backlog) : __real_listen(fd, backlog);
}
int __wrap_connect(int fd, const sockaddr* address, socklen_t length) {
  SimNetwork* network = network_of(fd);
  return network != nullptr ? network->connect(fd, port_in(address)) : __real_connect(fd, address, length);
}
int __wrap_accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  SimNetwork* network = network_of(fd);
  if (network == nullptr) return __real_accept4(fd, address, length, flags);
  uint16_t port = 0;
  int accepted = network->accept(fd, port);
  if (accepted >= 0) put_address(port, address, length);
  return accepted;
}
ssize_t __wrap_recv(int fd, void* to, size_t room, int flags) {
  SimNetwork* network = network_of(fd);
  return network != nullptr ? network->receive(fd, static_cast<char*>(to), room) : __real_recv(fd, to, room, flags);
}
ssize_t __wrap_readv(int fd, const iovec* pieces, int count) {
  SimNetwork* network = network_of(fd);
  if (network == nullptr) return __real_readv(fd, pieces, count);
  size_t room = 0;
  for (int i = 0; i < count; ++i) room += pieces[i].iov_len;
  std::string bytes(room, '\0');
  ssize_t size = network->receive(fd, bytes.data(), room);
  for (size_t at = 0, i = 0; size > 0 && at < static_cast<size_t>(size); ++i) {
    size_t piece = std::min(pieces[i].iov_len, static_cast<size_t>(size) - at);
    std::memcpy(pieces[i].iov_base, bytes.data() + at, piece);
    at += piece;
  }
  return size;
}
ssize_t __wrap_send(int fd, const void* from, size_t size, int flags) {
  SimNetwork* network = network_of(fd);
  return network != nullptr ? network->send(fd, {static_cast<const char*>(from), size})
                            : __real_send(fd, from, size, flags);
}
ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
  SimNetwork* network = network_of(fd);
  return network != nullptr ? network->send(fd, join(message->msg_iov, message->msg_iovlen))
                            : __real_sendmsg(fd, message, flags);
}
int __wrap_shutdown(int fd, int how) {
  SimNetwork* network = network_of(fd);
  return network != nullptr ? network->shutdown_write(fd) : __real_shutdown(fd, how);
}
int __wrap_close(int fd) {
  SimNetwork* network = network_of(fd);
  if (network != nullptr) return network->close(fd);
  if (SimNetwork::current() != nullptr) SimNetwork::current()->forget_poller(fd);
  return __real_close(fd);
}
int __wrap_getsockname(int fd, sockaddr* address, socklen_t* length) {
  SimNetwork* network = network_of(fd);
  if (network == nullptr) return __real_getsockname(fd, address, length);
  put_address(network->port_of(fd), address, length);
  return 0;
}
int __wrap_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  SimNetwork* network = network_of(fd);
  if (network == nullptr) return __real_epoll_ctl(epoll, operation, fd, event);
  switch (operation) {
    case EPOLL_CTL_ADD:
      return network->watch(epoll, fd, *event);
    case EPOLL_CTL_MOD:
      return network->change_watch(epoll, fd, *event);
    default:
      return network->forget(epoll, fd);
  }
}
ssize_t __wrap_splice(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t most, unsigned flags) {
  if (SimNetwork* network = network_of(from)) return network->fill_pipe(number_of(to), from, most);
  if (SimNetwork* network = network_of(to)) return network->drain_pipe(number_of(from), to, most);
  return __real_splice(from, from_offset, to, to_offset, most, flags);
}
// The system's descriptors first (libuv's own), then those of the network. Nothing waits: the simulator's turns do not.
int __wrap_epoll_wait(int epoll, epoll_event* events, int room, int timeout) {
  SimNetwork* network = SimNetwork::current();
  if (network == nullptr) return __real_epoll_wait(epoll, events, room, timeout);
  int count = __real_epoll_wait(epoll, events, room, 0);
  if (count < 0) return count;
  return count + network->ready(epoll, events + count, room - count);
}
}
