#include "core/net/socket.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "core/base/log.h"
#include "core/net/port_holder.h"

namespace weir::net {

constexpr Duration kRest = 100ms;
constexpr Duration kSilence = 10s;

namespace {

Status failed(const char* what, const Address& address, int error, bool datagrams = false) {
  std::string text = std::string("cannot ") + what + " " + address.to_string() + ": " + strerror(error);
  if (error == EADDRINUSE) text += "; " + describe_holder(address, datagrams);
  if (error == EPERM) text += "; it needs root or CAP_NET_ADMIN";
  if (error == EACCES) text += "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
  if (error == EADDRNOTAVAIL) text += "; no interface of this machine has that address (freebind would allow it)";
  return unavailable(text);
}

bool set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

// Whether a socket has that option already. (Numbers come back in their own size, texts with the NUL behind them.)
bool has_option(int fd, int level, int name, std::string_view value) {
  char current[256];
  socklen_t size = sizeof(current);
  if (value.size() > sizeof(current) || getsockopt(fd, level, name, current, &size) != 0) return false;
  const auto trimmed = [](std::string_view text) { return text.substr(0, text.find_last_not_of('\0') + 1); };
  return trimmed({current, size}) == trimmed(value);
}

bool has_option(int fd, int level, int name, int value) {
  return has_option(fd, level, name, std::string_view(reinterpret_cast<const char*>(&value), sizeof(value)));
}

// Gives the file of a Unix socket that mode; 0 and abstract names: nothing to do.
Status set_mode(const Address& address, uint32_t mode) {
  const std::string path(address.unix_path());
  if (mode == 0 || path[0] == '\0') return absl::OkStatus();
  struct stat file;
  const bool there = stat(path.c_str(), &file) == 0;
  if (there && (file.st_mode & 07777) == mode) return absl::OkStatus();
  if (chmod(path.c_str(), mode) == 0) return absl::OkStatus();
  if (errno != EPERM || !there) return failed("set the mode of", address, errno);
  return unavailable("cannot set the mode of " + path + ": it belongs to user " + std::to_string(file.st_uid) +
                     ", and only that user and root may");
}

// The option that the kernel refuses; nullptr: none.
const SocketOption* set_options(int fd, Family family, SocketOption::Kind kind,
                                const std::vector<SocketOption>& options, SocketOption::When when) {
  for (const SocketOption& one : options) {
    if (one.when != when || (one.family != Family::kNone && one.family != family)) continue;
    if (one.kind != SocketOption::Kind::kAny && one.kind != kind) continue;
    if (setsockopt(fd, one.level, one.name, one.value.data(), static_cast<socklen_t>(one.value.size())) != 0)
      return &one;
  }
  return nullptr;
}

std::string text_of(const SocketOption& option) {
  return std::to_string(option.level) + "/" + std::to_string(option.name);
}

// What sockets of IP have in common before they are bound. False: IP_TRANSPARENT is refused.
bool set_ip_options(int fd, const Address& address, const ListenOptions& options) {
  if (options.reuse_port) set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (address.family() == Family::kIpv6) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv4_compat ? 0 : 1);
  if (options.freebind) set_option(fd, IPPROTO_IP, IP_FREEBIND, 1);
  return !options.transparent || set_option(fd, IPPROTO_IP, IP_TRANSPARENT, 1);
}

}  // namespace

bool set_keepalive(int fd, const Keepalive& keepalive) {
  const auto number = [&](int name, uint32_t value) {
    return value == 0 || set_option(fd, IPPROTO_TCP, name, static_cast<int>(std::min<uint32_t>(value, INT_MAX)));
  };
  return set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) && number(TCP_KEEPCNT, keepalive.probes) &&
         number(TCP_KEEPIDLE, keepalive.idle_seconds) && number(TCP_KEEPINTVL, keepalive.interval_seconds);
}

Result<int> open_listen_socket(const Address& address, const ListenOptions& options) {
  auto fd = open_bound_socket(address, options);
  if (!fd.ok()) return fd;
  if (Status status = begin_to_listen(*fd, address, options); !status.ok()) {
    close(*fd);
    return status;
  }
  return fd;
}

Status begin_to_listen(int fd, const Address& address, const ListenOptions& options) {
  if (listen(fd, options.backlog) != 0) return failed("listen on", address, errno);
  const SocketOption* refused =
      set_options(fd, address.family(), SocketOption::Kind::kStream, options.more, SocketOption::When::kListening);
  if (refused == nullptr) return absl::OkStatus();
  return failed(("set the socket option " + text_of(*refused) + " of").c_str(), address, errno);
}

Result<int> open_bound_socket(const Address& address, const ListenOptions& options) {
  sockaddr_storage storage;
  socklen_t length = address.to_sockaddr(storage);
  int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed("open a socket for", address, errno);
  auto fail = [&](const char* what) {
    int error = errno;
    close(fd);
    return failed(what, address, error);
  };
  auto refused = [&](SocketOption::When when) -> Status {
    const SocketOption* option = set_options(fd, address.family(), SocketOption::Kind::kStream, options.more, when);
    if (option == nullptr) return absl::OkStatus();
    return fail(("set the socket option " + text_of(*option) + " of").c_str());
  };
  if (address.is_ip()) {
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (options.keepalive.on && !set_keepalive(fd, options.keepalive)) return fail("set keepalive probes for");
    if (!set_ip_options(fd, address, options)) return fail("set IP_TRANSPARENT for");
    // Accepted sockets inherit it, which saves a call per connection.
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  } else {
    auto* un = reinterpret_cast<sockaddr_un*>(&storage);
    struct stat existing;
    // A socket file that a dead process left behind is in the way; any other file is not ours to remove.
    if (un->sun_path[0] != '\0' && lstat(un->sun_path, &existing) == 0 && S_ISSOCK(existing.st_mode)) {
      int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      bool alive = connect(probe, reinterpret_cast<sockaddr*>(&storage), length) == 0;
      close(probe);
      if (!alive) unlink(un->sun_path);
    }
  }
  if (Status status = refused(SocketOption::When::kBeforeBind); !status.ok()) return status;
  if (bind(fd, reinterpret_cast<sockaddr*>(&storage), length) != 0) return fail("bind");
  if (!address.is_ip()) {
    if (Status status = set_mode(address, options.unix_mode); !status.ok()) {
      close(fd);
      return status;
    }
  }
  if (Status status = refused(SocketOption::When::kBound); !status.ok()) return status;
  return fd;
}

namespace {

// To hear what the kernel drops, and where datagrams went that came to any address. False: errno says why.
bool set_datagram_options(int fd, const Address& address) {
  set_option(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
  if (!address.is_any()) return true;
  return address.family() == Family::kIpv6 ? set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
                                           : set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
}

}  // namespace

Result<int> open_datagram_socket(const Address& address, const ListenOptions& options) {
  auto fd = make_datagram_socket(address, options);
  if (!fd.ok()) return fd;
  if (Status status = bind_datagram_socket(*fd, address, options); !status.ok()) {
    close(*fd);
    return status;
  }
  return fd;
}

Result<int> make_datagram_socket(const Address& address, const ListenOptions& options) {
  sockaddr_storage storage;
  address.to_sockaddr(storage);
  const int fd = socket(storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed("open a socket for", address, errno);
  auto fail = [&](const std::string& what) {
    const int error = errno;
    close(fd);
    return failed(what.c_str(), address, error, true);
  };
  if (!set_ip_options(fd, address, options)) return fail("set IP_TRANSPARENT for");
  if (!set_datagram_options(fd, address)) return fail("ask for the local addresses of datagrams of");
  if (const SocketOption* option = set_options(fd, address.family(), SocketOption::Kind::kDatagram, options.more,
                                               SocketOption::When::kBeforeBind))
    return fail("set the socket option " + text_of(*option) + " of");
  return fd;
}

Status bind_datagram_socket(int fd, const Address& address, const ListenOptions& options) {
  sockaddr_storage storage;
  const socklen_t length = address.to_sockaddr(storage);
  if (bind(fd, reinterpret_cast<sockaddr*>(&storage), length) != 0) return failed("bind", address, errno, true);
  for (const SocketOption::When when : {SocketOption::When::kBound, SocketOption::When::kListening}) {
    if (const SocketOption* option =
            set_options(fd, address.family(), SocketOption::Kind::kDatagram, options.more, when))
      return failed(("set the socket option " + text_of(*option) + " of").c_str(), address, errno, true);
  }
  return absl::OkStatus();
}

bool is_open(int fd, bool datagrams) {
  if (datagrams) return bound_address(fd).port() != 0;
  int listens = 0;
  socklen_t size = sizeof listens;
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

// What is as it should be is not set again: this process may have given up the right to (--user).
Result<std::string> adjust_listen_socket(int fd, const Address& address, const ListenOptions& options) {
  std::string kept;
  if (options.datagrams && !set_datagram_options(fd, address))
    return failed("ask for the local addresses of datagrams of", address, errno);
  if (address.is_ip()) {
    const bool probes = options.keepalive.on && !options.datagrams;
    if (probes && !set_keepalive(fd, options.keepalive)) return failed("set keepalive probes for", address, errno);
    if (!probes) set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
    set_option(fd, IPPROTO_IP, IP_FREEBIND, options.freebind ? 1 : 0);
    if (options.transparent && !has_option(fd, IPPROTO_IP, IP_TRANSPARENT, 1) &&
        !set_option(fd, IPPROTO_IP, IP_TRANSPARENT, 1))
      return failed("set IP_TRANSPARENT for", address, errno);
  } else if (Status status = set_mode(address, options.unix_mode); !status.ok()) {
    return status;
  }
  for (const SocketOption& one : options.more) {
    if (one.family != Family::kNone && one.family != address.family()) continue;
    if (one.kind == (options.datagrams ? SocketOption::Kind::kStream : SocketOption::Kind::kDatagram)) continue;
    if (has_option(fd, one.level, one.name, one.value)) continue;
    if (setsockopt(fd, one.level, one.name, one.value.data(), static_cast<socklen_t>(one.value.size())) == 0) continue;
    if (one.when != SocketOption::When::kBeforeBind)
      return failed(("set the socket option " + text_of(one) + " of").c_str(), address, errno);
    (kept += kept.empty() ? "" : ", ") += text_of(one);
  }
  if (!options.datagrams && listen(fd, options.backlog) != 0) return failed("listen on", address, errno);
  return kept;
}

Status bind_towards(int fd, const Address& remote, SocketOption::Kind kind, const BindOptions& options,
                    const Address& source) {
  const auto refused = [&](const std::string& what) {
    const int error = errno;
    std::string text = "cannot " + what + " of a socket to " + remote.to_string() + ": " + strerror(error);
    if (error == EPERM) text += "; it needs root or CAP_NET_ADMIN";
    if (error == EADDRNOTAVAIL && !source.empty() && source.port() == 0)
      text += "; no interface of this machine has that address (freebind would allow it)";
    return unavailable(text);
  };
  using When = SocketOption::When;
  if (options.freebind && !set_option(fd, IPPROTO_IP, IP_FREEBIND, 1)) return refused("set IP_FREEBIND");
  const auto set = [&](When when) -> Status {
    const SocketOption* option = set_options(fd, remote.family(), kind, options.more, when);
    return option == nullptr ? absl::OkStatus() : refused("set the socket option " + text_of(*option));
  };
  if (Status status = set(When::kBeforeBind); !status.ok()) return status;
  if (!source.empty()) {
    sockaddr_storage from;
    const socklen_t length = source.to_sockaddr(from);
    set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (bind(fd, reinterpret_cast<sockaddr*>(&from), length) != 0) return refused("bind the end " + source.to_string());
  }
  return set(When::kBound);
}

SocketFile SocketFile::of(const Address& address) {
  const std::string path(address.family() == Family::kUnix ? address.unix_path() : std::string_view());
  return path.empty() || path[0] == '\0' ? SocketFile() : at(path);
}

SocketFile SocketFile::at(const std::string& path) {
  SocketFile file;
  struct statx found {};
  if (statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_INO | STATX_BTIME, &found) != 0 ||
      !S_ISSOCK(found.stx_mode))
    return file;
  file.path_ = path;
  file.device_ = makedev(found.stx_dev_major, found.stx_dev_minor);
  file.number_ = found.stx_ino;
  if ((found.stx_mask & STATX_BTIME) != 0)
    file.born_ = found.stx_btime.tv_sec * 1'000'000'000 + static_cast<int64_t>(found.stx_btime.tv_nsec);
  return file;
}

void SocketFile::remove() {
  if (!path_.empty() && at(path_) == *this) unlink(path_.c_str());
  path_.clear();
}

Address bound_address(int fd) {
  sockaddr_storage storage;
  socklen_t length = sizeof(storage);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
}

ListenSocket::ListenSocket(event::Lane& lane, int fd, uint32_t accepts_per_turn, AcceptHandler& handler)
    : lane_(lane), fd_(fd), accepts_per_turn_(accepts_per_turn), handler_(&handler) {
  lane_.poller().add_level(fd_, *this);
}

// Another process may hold the same socket (a restart): then the kernel does not take a closed descriptor out of the
// poller by itself, and would go on telling of it.
ListenSocket::~ListenSocket() {
  if (fd_ < 0) return;
  if (watching()) lane_.poller().remove(fd_);
  close(fd_);
}

void ListenSocket::on_ready(uint32_t) {
  for (uint32_t i = 0; i < accepts_per_turn_ && watching(); ++i) {
    if (!accept_one()) return;
  }
}

bool ListenSocket::accept_one() {
  sockaddr_storage storage;
  socklen_t length = sizeof(storage);
  int fd = accept4(fd_, reinterpret_cast<sockaddr*>(&storage), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == ECONNABORTED || errno == EINTR) return true;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) rest(errno);
    return false;
  }
  handler_->on_accepted(fd, Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length));
  return true;
}

void ListenSocket::pause() {
  if (watching()) lane_.poller().remove(fd_);
  paused_ = true;
}

void ListenSocket::resume() {
  if (!paused_) return;
  paused_ = false;
  if (watching()) lane_.poller().add_level(fd_, *this);
}

// A level-triggered socket that nobody can accept from would be ready at every turn.
void ListenSocket::rest(int error) {
  if (lane_.now() >= silent_until_) {
    silent_until_ = lane_.now() + kSilence;
    WEIR_LOG(kError, "net", "accept: %s; trying again every %d ms", strerror(error), static_cast<int>(to_ms(kRest)));
  }
  if (watching()) lane_.poller().remove(fd_);
  resting_ = true;
  lane_.arm_in(*this, kRest);
}

void ListenSocket::on_timer() {
  resting_ = false;
  if (watching()) lane_.poller().add_level(fd_, *this);
}

void ListenSocket::drain_and_close() {
  if (fd_ < 0) return;
  pause();
  while (accept_one()) {
  }
  cancel();
  close(fd_);
  fd_ = -1;
}

}  // namespace weir::net
