// What the benchmark programs share: options, sockets, the body every side can predict, and the ready line that the
// driver reads from standard output. Loopback only; not a library for anything but these programs.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace weir::bench {

[[noreturn]] inline void die(const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", what.c_str(), errno != 0 ? std::strerror(errno) : "error");
  std::exit(2);
}

inline uint64_t now_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000ULL + static_cast<uint64_t>(time.tv_nsec);
}

// Options are `--name=value` or `--name` (value "1"). A name nobody asked for is an error, so that a misspelt option
// cannot quietly measure something else.
class Options {
 public:
  Options(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      std::string_view argument = argv[i];
      if (!argument.starts_with("--")) {
        std::fprintf(stderr, "%s: expected --name=value, found '%s'\n", argv[0], argv[i]);
        std::exit(2);
      }
      argument.remove_prefix(2);
      const size_t equals = argument.find('=');
      values_[std::string(argument.substr(0, equals))] =
          equals == std::string_view::npos ? "1" : std::string(argument.substr(equals + 1));
    }
  }

  std::string text(const std::string& name, const std::string& fallback) {
    const auto found = values_.find(name);
    if (found == values_.end()) return fallback;
    std::string value = found->second;
    values_.erase(found);
    return value;
  }

  int64_t number(const std::string& name, int64_t fallback) {
    const std::string value = text(name, "");
    if (value.empty()) return fallback;
    char* end = nullptr;
    const int64_t parsed = std::strtoll(value.c_str(), &end, 10);
    if (*end != '\0') {
      std::fprintf(stderr, "--%s: '%s' is not a number\n", name.c_str(), value.c_str());
      std::exit(2);
    }
    return parsed;
  }

  double real(const std::string& name, double fallback) {
    const std::string value = text(name, "");
    return value.empty() ? fallback : std::strtod(value.c_str(), nullptr);
  }

  bool flag(const std::string& name) { return text(name, "0") == "1"; }

  // Comma-separated ports.
  std::vector<uint16_t> ports(const std::string& name) {
    std::vector<uint16_t> ports;
    const std::string value = text(name, "");
    for (size_t at = 0; at < value.size();) {
      size_t comma = value.find(',', at);
      if (comma == std::string::npos) comma = value.size();
      ports.push_back(static_cast<uint16_t>(std::atoi(value.substr(at, comma - at).c_str())));
      at = comma + 1;
    }
    return ports;
  }

  void finish() const {
    for (const auto& [name, value] : values_) {
      std::fprintf(stderr, "unknown option --%s\n", name.c_str());
      std::exit(2);
    }
  }

 private:
  std::map<std::string, std::string> values_;
};

inline sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

inline void set_no_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

// A non-blocking listening socket; accepted sockets inherit TCP_NODELAY from it. `port` 0 picks one and stores it.
inline int listen_loopback(uint16_t& port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  set_no_delay(fd);
  sockaddr_in address = loopback(port);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) die("bind");
  if (listen(fd, 4096) != 0) die("listen");
  socklen_t length = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  port = ntohs(address.sin_port);
  return fd;
}

// Connects while blocking (loopback answers at once) and returns a non-blocking socket, or -1.
inline int connect_loopback(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  set_no_delay(fd);
  const sockaddr_in address = loopback(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close(fd);
    return -1;
  }
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return fd;
}

// Ends with the driver, ignores SIGPIPE, and takes every file descriptor the hard limit allows.
inline void prepare_process() {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  std::signal(SIGPIPE, SIG_IGN);
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// The bytes of every body: position i of a body holds byte i % kPeriod of one pseudo-random block. The period is prime,
// so that a block that is lost, repeated or swapped is noticed.
class BodyPattern {
 public:
  static constexpr size_t kPeriod = 65'521;
  static constexpr size_t kWindow = 1 << 20;  // bytes readable from any position

  BodyPattern() : bytes_(kPeriod + kWindow) {
    uint64_t state = 0x9e3779b97f4a7c15ULL;
    for (size_t i = 0; i < kPeriod; ++i) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      bytes_[i] = static_cast<char>('!' + state % 94);
    }
    for (size_t i = kPeriod; i < bytes_.size(); ++i) bytes_[i] = bytes_[i - kPeriod];
  }

  // At least kWindow bytes of a body, from position `offset` on.
  const char* at(uint64_t offset) const { return bytes_.data() + offset % kPeriod; }

 private:
  std::vector<char> bytes_;
};

// A list of records as a shop's API would send it, cut off at `size` bytes: what the gzip scenario packs.
inline std::string json_body(size_t size) {
  constexpr const char* kColours[] = {"red", "green", "blue", "anthracite", "sand"};
  std::string text = "[";
  uint64_t state = 0x2545f4914f6cdd1dULL;
  for (int i = 0; text.size() < size; ++i) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    char record[256];
    std::snprintf(
        record, sizeof(record),
        "{\"id\":%d,\"sku\":\"%08llx\",\"colour\":\"%s\",\"price\":{\"amount\":%llu.%02llu,\"currency\":\"EUR\"},"
        "\"in_stock\":%s,\"updated\":\"2025-10-%02lluT%02llu:%02llu:00Z\"},",
        i, static_cast<unsigned long long>(state >> 32), kColours[state % 5],
        static_cast<unsigned long long>(state % 400), static_cast<unsigned long long>(state % 89),
        state % 3 == 0 ? "false" : "true", static_cast<unsigned long long>(state % 30 + 1),
        static_cast<unsigned long long>(state % 24), static_cast<unsigned long long>(state % 60));
    text += record;
  }
  text.resize(size);
  return text;
}

}  // namespace weir::bench
