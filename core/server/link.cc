#include "core/server/link.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "core/server/options.h"

namespace weir::server {
namespace {

constexpr int kWaitingLinks = 16;

Result<socklen_t> to_sockaddr(const std::string& address, sockaddr_un& out) {
  out = {};
  out.sun_family = AF_UNIX;
  if (address.size() < 2 || address.size() >= sizeof(out.sun_path))
    return invalid("--socket-path: " + address + " has " + std::to_string(address.size()) +
                   " bytes; a Unix socket's name has 2 to " + std::to_string(sizeof(out.sun_path) - 1));
  std::memcpy(out.sun_path, address.data(), address.size());
  if (address[0] == '@') {
    out.sun_path[0] = '\0';
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  }
  return static_cast<socklen_t>(sizeof(out));
}

ucred credentials(int fd) {
  ucred peer{0, static_cast<uid_t>(-1), static_cast<gid_t>(-1)};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    peer = {0, static_cast<uid_t>(-1), static_cast<gid_t>(-1)};
  return peer;
}

bool ready(int fd, short events, Duration wait) {
  pollfd one{fd, events, 0};
  return poll(&one, 1, static_cast<int>(to_ms(wait))) > 0;
}

}  // namespace

std::string restart_version(const Options& options) {
  return options.hot_restart ? "weir." + std::string(kRestartProtocol) : "disabled";
}

std::string restart_address(const Options& options) {
  return options.socket_path + "_" + std::to_string(options.base_id);
}

std::string LinkMessage::get(std::string_view name) const {
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == '=')
      return std::string(line.substr(name.size() + 1));
  }
  return {};
}

uint64_t LinkMessage::number(std::string_view name) const {
  const std::string value = get(name);
  uint64_t number = 0;
  std::from_chars(value.data(), value.data() + value.size(), number);
  return number;
}

Link::~Link() { close(); }

Link& Link::operator=(Link&& other) noexcept {
  if (this == &other) return *this;
  close();
  fd_ = other.release();
  return *this;
}

int Link::release() {
  const int fd = fd_;
  fd_ = -1;
  return fd;
}

void Link::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

pid_t Link::peer_pid() const { return credentials(fd_).pid; }
uid_t Link::peer_user() const { return credentials(fd_).uid; }

bool Link::send(std::string_view kind, std::string_view text, int fd, Duration wait) {
  if (fd_ < 0 || text.size() > kMaxText) return false;
  char newline = '\n';
  iovec parts[3] = {
      {const_cast<char*>(kind.data()), kind.size()}, {&newline, 1}, {const_cast<char*>(text.data()), text.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 3;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof(int));
  }
  for (;;) {
    if (sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return true;
    if (errno == EINTR) continue;
    if (errno != EAGAIN || wait <= Duration::zero() || !ready(fd_, POLLOUT, wait)) return false;
    wait = Duration::zero();
  }
}

Link::Got Link::receive(LinkMessage& out) {
  if (fd_ < 0) return Got::kEnd;
  std::string text(kMaxText + 64, '\0');
  iovec part{text.data(), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 8)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t size;
  do {
    size = recvmsg(fd_, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0 && errno == EAGAIN) return Got::kNothing;
  out = {};
  for (cmsghdr* header = size >= 0 ? CMSG_FIRSTHDR(&message) : nullptr; header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      if (out.fd >= 0) ::close(out.fd);
      out.fd = fd;
    }
  }
  const size_t end = size > 0 ? text.find('\n') : std::string::npos;
  if (end == std::string::npos || end >= static_cast<size_t>(size) || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
    if (out.fd >= 0) ::close(out.fd);
    out.fd = -1;
    return Got::kEnd;
  }
  out.kind = text.substr(0, end);
  out.text = text.substr(end + 1, static_cast<size_t>(size) - end - 1);
  return Got::kMessage;
}

Link::Got Link::receive_within(Duration time, LinkMessage& out) {
  const MonoTime end = system_clock().mono_now() + time;
  for (;;) {
    const Got got = receive(out);
    const Duration left = end - system_clock().mono_now();
    if (got != Got::kNothing || left <= Duration::zero()) return got;
    ready(fd_, POLLIN, left + 1ms);
  }
}

void Link::stop_receiving() {
  if (fd_ < 0) return;
  shutdown(fd_, SHUT_RD);
  LinkMessage message;
  while (receive(message) == Got::kMessage) {
    if (message.fd >= 0) ::close(message.fd);
  }
}

Result<Link> connect_link(const std::string& address) {
  sockaddr_un to;
  auto length = to_sockaddr(address, to);
  if (!length.ok()) return length.status();
  Link link(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!link.open()) return unavailable("cannot open a socket for " + address + ": " + strerror(errno));
  const timeval wait{.tv_sec = 5, .tv_usec = 0};  // a queue that nobody empties is full one day
  setsockopt(link.fd(), SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
  if (connect(link.fd(), reinterpret_cast<sockaddr*>(&to), *length) != 0) {
    if (errno == ECONNREFUSED || errno == ENOENT)
      return Status(kNobodyThere, "no process waits for a successor at " + address);
    return unavailable("cannot connect to " + address + ": " + strerror(errno));
  }
  return link;
}

Result<int> listen_link(const std::string& address, uint32_t mode) {
  sockaddr_un at;
  auto length = to_sockaddr(address, at);
  if (!length.ok()) return length.status();
  auto holder = connect_link(address);
  if (holder.ok())
    return unavailable("process " + std::to_string(holder->peer_pid()) + " waits for its successor at " + address);
  if (holder.status().code() != kNobodyThere) return holder.status();
  const bool file = address[0] != '@';
  struct stat existing;
  if (file && lstat(address.c_str(), &existing) == 0 && S_ISSOCK(existing.st_mode)) unlink(address.c_str());
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return unavailable("cannot open a socket for " + address + ": " + strerror(errno));
  const mode_t before = umask(0777 & ~mode);
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&at), *length) == 0;
  umask(before);
  if (!bound || listen(fd, kWaitingLinks) != 0) {
    const int error = errno;
    ::close(fd);
    return unavailable("cannot listen at " + address + ": " + strerror(error));
  }
  return fd;
}

// The kernel keeps who called listen() last. Of whom a new process may take something is decided by the user.
void claim_link(int listening) {
  if (credentials(listening).uid == geteuid()) (void)listen(listening, kWaitingLinks);
}

Link accept_link(int listening) { return Link(accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)); }

}  // namespace weir::server
