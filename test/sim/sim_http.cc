#include "test/sim/sim_http.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "core/base/assert.h"

namespace weir::sim {

std::string pattern(uint64_t id, size_t size) {
  std::string text(size, ' ');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (id * 31 + i * 7 + i / 26) % 26);
  return text;
}

namespace {
sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}
}  // namespace

int listen_on_loopback(uint16_t& port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // accepted sockets inherit it
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address = loopback(0);
  WEIR_CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  WEIR_CHECK(listen(fd, 128) == 0);
  socklen_t length = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  port = ntohs(address.sin_port);
  return fd;
}

bool Socket::connect(uint16_t port) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  // The kernel must not wait for real milliseconds while the simulated clock runs on.
  int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  sockaddr_in address = loopback(port);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 || errno == EINPROGRESS) return true;
  failed_ = true;
  close();
  return false;
}

bool Socket::send_some(size_t most) {
  if (fd_ < 0 || out.empty() || most == 0) return false;
  ssize_t n = send(fd_, out.data(), std::min(most, out.size()), MSG_NOSIGNAL);
  if (n > 0) {
    out.erase(0, static_cast<size_t>(n));
    return true;
  }
  if (n < 0 && errno != EAGAIN && errno != ENOTCONN) {
    failed_ = true;
    out.clear();
  }
  return false;
}

bool Socket::receive_some(size_t most) {
  if (fd_ < 0 || peer_ended_ || most == 0) return false;
  char buffer[65536];
  ssize_t n = recv(fd_, buffer, std::min(most, sizeof(buffer)), 0);
  if (n > 0) {
    in.append(buffer, static_cast<size_t>(n));
    return true;
  }
  if (n == 0) {
    peer_ended_ = true;
    return true;
  }
  if (errno == EAGAIN || errno == ENOTCONN) return false;
  failed_ = true;
  peer_ended_ = true;
  return true;
}

void Socket::half_close() {
  if (fd_ >= 0) shutdown(fd_, SHUT_WR);
}

void Socket::reset() {
  if (fd_ < 0) return;
  linger option{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &option, sizeof(option));
  close();
}

void Socket::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void MessageReader::read(std::string& in, bool ended) {
  while (state_ == State::kHead && in.find("\r\n\r\n") != std::string::npos) read_head(in);
  if (state_ == State::kBody) read_body(in, ended);
}

void MessageReader::read_head(std::string& in) {
  size_t end = in.find("\r\n\r\n");
  std::string head = in.substr(0, end + 2);
  in.erase(0, end + 4);
  size_t line_end = head.find("\r\n");
  first_line_ = head.substr(0, line_end);
  headers_.clear();
  for (size_t at = line_end + 2; at < head.size();) {
    size_t next = head.find("\r\n", at);
    std::string line = head.substr(at, next - at);
    at = next + 2;
    size_t colon = line.find(':');
    if (colon == std::string::npos) {
      state_ = State::kBad;
      return;
    }
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    size_t value = line.find_first_not_of(" \t", colon + 1);
    headers_[name] = value == std::string::npos ? "" : line.substr(value);
  }
  bool no_body = false;
  if (role_ == Role::kResponses) {
    if (!first_line_.starts_with("HTTP/1.1 ")) {
      state_ = State::kBad;
      return;
    }
    status_ = std::atoi(first_line_.c_str() + 9);
    if (status_ < 200 && status_ != 101) {
      ++informational_;
      return;  // the real one follows
    }
    no_body = method_ == "HEAD" || status_ == 204 || status_ == 304;
  } else {
    size_t space = first_line_.find(' ');
    method_ = first_line_.substr(0, space);
    path_ = first_line_.substr(space + 1, first_line_.rfind(' ') - space - 1);
  }
  state_ = State::kBody;
  if (in_tunnel()) {
    framing_ = Framing::kUntilClose;
  } else if (no_body) {
    framing_ = Framing::kNone;
  } else if (has_header("transfer-encoding")) {
    framing_ = Framing::kChunked;
  } else if (has_header("content-length")) {
    framing_ = Framing::kLength;
    left_ = std::strtoull(header("content-length").c_str(), nullptr, 10);
  } else {
    framing_ = role_ == Role::kResponses ? Framing::kUntilClose : Framing::kNone;
  }
  state_ = framing_ == Framing::kNone || (framing_ == Framing::kLength && left_ == 0) ? State::kDone : State::kBody;
}

void MessageReader::read_body(std::string& in, bool ended) {
  if (framing_ == Framing::kLength) {
    size_t taken = std::min(left_, in.size());
    body_.append(in, 0, taken);
    in.erase(0, taken);
    left_ -= taken;
    if (left_ == 0) state_ = State::kDone;
    return;
  }
  if (framing_ == Framing::kUntilClose) {
    body_ += in;
    in.clear();
    if (ended) state_ = State::kDone;
    return;
  }
  while (true) {  // whole chunks only
    size_t line = in.find("\r\n");
    if (line == std::string::npos) return;
    size_t size = std::strtoull(in.c_str(), nullptr, 16);
    if (size == 0) {
      size_t end = in.compare(line, 4, "\r\n\r\n") == 0 ? line : in.find("\r\n\r\n", line);
      if (end == std::string::npos) return;
      in.erase(0, end + 4);
      state_ = State::kDone;
      return;
    }
    if (in.size() < line + 2 + size + 2) return;
    body_.append(in, line + 2, size);
    if (in.compare(line + 2 + size, 2, "\r\n") != 0) {
      state_ = State::kBad;
      return;
    }
    in.erase(0, line + 2 + size + 2);
  }
}

}  // namespace weir::sim
