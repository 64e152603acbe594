// UDP: what echoes, and what sends and waits for the echo. As for requests, any error voids the run.
#pragma once

#include <algorithm>
#include <vector>

#include "common.h"
#include "histogram.h"

namespace weir::bench {

constexpr size_t kLargestDatagram = 1400;

inline int datagram_socket(uint16_t& port) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  const int bytes = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  sockaddr_in address = loopback(port);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) die("bind");
  socklen_t length = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  port = ntohs(address.sin_port);
  return fd;
}

// Everything that comes goes back, in batches. Never returns.
[[noreturn]] inline void echo_datagrams(int64_t port_count) {
  constexpr unsigned kMost = 64;
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::string ports;
  for (int64_t i = 0; i < port_count; ++i) {
    uint16_t port = 0;
    epoll_event event{.events = EPOLLIN, .data = {.fd = datagram_socket(port)}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
    ports += (i == 0 ? "" : ",") + std::to_string(port);
  }
  std::printf("{\"ports\":[%s]}\n", ports.c_str());
  std::fflush(stdout);
  std::vector<char> bytes(kMost * kLargestDatagram);
  mmsghdr messages[kMost] = {};
  iovec pieces[kMost];
  sockaddr_in peers[kMost];
  while (true) {
    epoll_event events[64];
    const int count = epoll_wait(epoll, events, 64, -1);
    for (int e = 0; e < count; ++e) {
      for (unsigned i = 0; i < kMost; ++i) {
        pieces[i] = {bytes.data() + i * kLargestDatagram, kLargestDatagram};
        messages[i].msg_hdr = {&peers[i], sizeof(peers[i]), &pieces[i], 1, nullptr, 0, 0};
      }
      const int taken = recvmmsg(events[e].data.fd, messages, kMost, MSG_DONTWAIT, nullptr);
      if (taken <= 0) continue;
      for (int i = 0; i < taken; ++i) pieces[i].iov_len = messages[i].msg_len;
      sendmmsg(events[e].data.fd, messages, static_cast<unsigned>(taken), 0);
    }
  }
}

// Each of the sockets has one datagram under way.
inline int load_datagrams(uint16_t port, size_t sockets, size_t size, double seconds, uint64_t requests) {
  constexpr uint64_t kLostNs = 2'000'000'000ULL;
  size = std::clamp<size_t>(size, 8, kLargestDatagram);
  struct Peer {
    int fd;
    uint64_t number;
    uint64_t started_ns;
  };
  std::vector<Peer> peers(sockets);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  const BodyPattern pattern;
  std::string error;
  Histogram latencies;
  uint64_t started = 0, completed = 0, next = 1;
  char sent[kLargestDatagram], got[kLargestDatagram];
  const uint64_t begin = now_ns();
  const uint64_t end = seconds > 0 ? begin + static_cast<uint64_t>(seconds * 1e9) : UINT64_MAX;
  uint64_t now = begin;
  const auto compose = [&](uint64_t number) {
    memcpy(sent, pattern.at(number), size);
    memcpy(sent, &number, sizeof(number));
  };
  const auto start = [&](Peer& peer) {
    if (now >= end || (requests != 0 && started >= requests)) return;
    peer.number = next++;
    peer.started_ns = now;
    compose(peer.number);
    ++started;
    if (send(peer.fd, sent, size, 0) != static_cast<ssize_t>(size)) error = "a datagram could not be sent";
  };
  for (Peer& peer : peers) {
    uint16_t any = 0;
    peer.fd = datagram_socket(any);
    const sockaddr_in to = loopback(port);
    if (connect(peer.fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) die("connect");
    epoll_event event{.events = EPOLLIN, .data = {.ptr = &peer}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, peer.fd, &event);
    start(peer);
  }
  while (completed < started && error.empty()) {
    epoll_event events[256];
    const int count = epoll_wait(epoll, events, 256, static_cast<int>(kLostNs / 1'000'000));
    if (count <= 0) error = "a datagram was lost";
    now = now_ns();
    for (int i = 0; i < count; ++i) {
      Peer& peer = *static_cast<Peer*>(events[i].data.ptr);
      const ssize_t bytes = recv(peer.fd, got, sizeof(got), MSG_DONTWAIT);
      if (bytes < 0 && errno == EAGAIN) continue;
      compose(peer.number);
      if (bytes != static_cast<ssize_t>(size) || memcmp(sent, got, size) != 0) {
        error = bytes < 0 ? "a socket has an error" : "another datagram came back than was sent";
        break;
      }
      latencies.add(now - peer.started_ns);
      ++completed;
      start(peer);
    }
  }
  const double took = static_cast<double>(now_ns() - begin) / 1e9;
  std::printf(
      "{\"requests\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"rps\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
      "\"p999_us\":%.1f,\"max_us\":%.1f,\"errors\":%d,\"error\":\"%s\"}\n",
      static_cast<unsigned long long>(completed), static_cast<unsigned long long>(completed * size), took,
      static_cast<double>(completed) / took, latencies.percentile_us(0.5), latencies.percentile_us(0.99),
      latencies.percentile_us(0.999), latencies.max_us(), error.empty() ? 0 : 1, error.c_str());
  std::fflush(stdout);
  return error.empty() ? 0 : 1;
}

}  // namespace weir::bench
