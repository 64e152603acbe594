#include "core/server/handed_sockets.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "core/base/log.h"
#include "core/net/socket.h"

namespace weir::server {
namespace {

constexpr char kSeparator = '\x1f';

int option(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof(value);
  return getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

}  // namespace

std::string HandedSocket::to_text() const {
  return kind + kSeparator + owner + kSeparator + address + kSeparator + std::to_string(number);
}

bool HandedSocket::from_text(std::string_view text, HandedSocket& out) {
  std::string_view parts[4];
  for (size_t i = 0; i < 4; ++i) {
    const size_t end = text.find(kSeparator);
    if ((end == std::string_view::npos) != (i == 3)) return false;
    parts[i] = text.substr(0, end);
    text.remove_prefix(i < 3 ? end + 1 : text.size());
  }
  out.kind = parts[0];
  out.owner = parts[1];
  out.address = parts[2];
  auto [end, error] = std::from_chars(parts[3].data(), parts[3].data() + parts[3].size(), out.number);
  return error == std::errc() && end == parts[3].data() + parts[3].size();
}

HandedSockets::~HandedSockets() {
  for (const Entry& entry : sockets_) close(entry.socket.fd);
}

void HandedSockets::add(HandedSocket socket) {
  const bool datagrams = socket.kind == "datagram";
  const int type = option(socket.fd, SOL_SOCKET, SO_TYPE);
  if (type != (datagrams ? SOCK_DGRAM : SOCK_STREAM) ||
      (!datagrams && option(socket.fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)) {
    WEIR_LOG(kWarning, "server", "restart: what the process before handed over for %s is no such socket",
             socket.address.c_str());
    close(socket.fd);
    return;
  }
  fcntl(socket.fd, F_SETFL, fcntl(socket.fd, F_GETFL) | O_NONBLOCK);
  net::Address bound = net::bound_address(socket.fd);
  sockets_.push_back({std::move(socket), std::move(bound)});
}

std::vector<int> HandedSockets::take(std::string_view kind, std::string_view owner, const net::Address& address,
                                     Wanted wanted) {
  const bool any_port = address.is_ip() && address.port() == 0;
  std::vector<Entry> found;
  const auto fits = [&](const Entry& entry) {
    if (entry.socket.kind != kind) return false;
    if (any_port ? entry.socket.address != address.to_string() || entry.socket.owner != owner
                 : !(entry.bound == address))
      return false;
    return address.family() != net::Family::kIpv6 ||
           (option(entry.socket.fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1) == wanted.only_ipv6;
  };
  for (auto it = sockets_.begin(); it != sockets_.end();) {
    if (!fits(*it)) {
      ++it;
      continue;
    }
    found.push_back(std::move(*it));
    it = sockets_.erase(it);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Entry& a, const Entry& b) { return a.socket.number < b.socket.number; });
  std::vector<int> fds;
  for (const Entry& entry : found) fds.push_back(entry.socket.fd);
  return fds;
}

void HandedSockets::adjust_later(std::string owner, int fd, net::ListenAddress at, std::weak_ptr<const void> use) {
  adjustments_.push_back({std::move(owner), fd, std::move(at), std::move(use)});
}

void HandedSockets::adjust() {
  std::set<std::string> told;  // sockets of one address fare alike
  for (const Adjustment& one : std::exchange(adjustments_, {})) {
    if (one.use.expired()) continue;
    const auto kept = net::adjust_listen_socket(one.fd, one.at.address, one.at.options);
    const std::string fault = kept.ok() ? *kept : message_of(kept.status());
    if (fault.empty() || !told.insert(one.owner + fault).second) continue;
    if (kept.ok()) {
      WEIR_LOG(kWarning, "server",
               "%s: the socket options %s cannot be set any more; they are as the process before has set them",
               one.owner.c_str(), fault.c_str());
    } else {
      WEIR_LOG(kError, "server", "%s: %s; it is as the process before has set it", one.owner.c_str(), fault.c_str());
    }
  }
}

std::vector<HandedSocket> HandedSockets::rest() const {
  std::vector<HandedSocket> sockets;
  for (const Entry& entry : sockets_) sockets.push_back(entry.socket);
  return sockets;
}

std::vector<std::string> HandedSockets::drop_rest() {
  std::set<std::string> addresses;
  for (const Entry& entry : sockets_) {
    addresses.insert(entry.bound.to_string());
    close(entry.socket.fd);
  }
  sockets_.clear();
  return {addresses.begin(), addresses.end()};
}

}  // namespace weir::server
