// A name server on 127.0.0.1, UDP and TCP on one port, that says what a test tells it to say, well-formed or not.
// Served by hand, on the test's own thread.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/net/address.h"

namespace weir::test {

constexpr uint16_t kTypeA = 1, kTypeCname = 5, kTypeAaaa = 28;

struct DnsQuery {
  std::string packet;    // as it came
  std::string name;      // with dots
  std::string question;  // its bytes
  uint16_t id = 0;
  uint16_t type = 0;
  bool tcp = false;
  uint32_t edns_payload = 0;
};

struct DnsRecord {
  uint16_t type = kTypeA;
  std::string data;
  uint32_t ttl = 60;
  std::string name = std::string("\xc0\x0c", 2);  // that of the question, by pointer
};

inline void put16(std::string& out, uint32_t value) {
  out += static_cast<char>(value >> 8 & 0xff);
  out += static_cast<char>(value & 0xff);
}
inline uint16_t get16(std::string_view in, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(in[at]) << 8 | static_cast<uint8_t>(in[at + 1]));
}
inline std::string wire_name(std::string_view dotted) {
  std::string out;
  while (!dotted.empty()) {
    const std::string_view label = dotted.substr(0, dotted.find('.'));
    out += static_cast<char>(label.size());
    out += label;
    dotted.remove_prefix(std::min(dotted.size(), label.size() + 1));
  }
  return out + '\0';
}
inline DnsRecord address_record(const std::string& ip, uint32_t ttl = 60) {
  const net::Address address = *net::Address::from_ip(ip, 0);
  DnsRecord record;
  record.type = address.family() == net::Family::kIpv4 ? kTypeA : kTypeAaaa;
  record.data.assign(reinterpret_cast<const char*>(address.ip_bytes()), address.ip_size());
  record.ttl = ttl;
  return record;
}

struct DnsFlags {
  uint8_t rcode = 0;
  bool truncated = false;
};
inline std::string dns_answer(const DnsQuery& query, const std::vector<DnsRecord>& records, DnsFlags flags = {}) {
  std::string out;
  put16(out, query.id);
  put16(out, 0x8180u | (flags.truncated ? 0x0200u : 0u) | flags.rcode);
  put16(out, 1);
  put16(out, static_cast<uint32_t>(records.size()));
  put16(out, 0);
  put16(out, 0);
  out += query.question;
  for (const DnsRecord& record : records) {
    out += record.name;
    put16(out, record.type);
    put16(out, 1);
    put16(out, record.ttl >> 16);
    put16(out, record.ttl & 0xffff);
    put16(out, static_cast<uint32_t>(record.data.size()));
    out += record.data;
  }
  return out;
}

class DnsServer {
 public:
  // The packets to send back, none or several.
  using Handler = std::function<std::vector<std::string>(const DnsQuery&)>;

  DnsServer() {
    for (int tries = 0; tries < 100 && tcp_ < 0; ++tries) {
      udp_ = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      sockaddr_in at{};
      at.sin_family = AF_INET;
      at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      socklen_t size = sizeof at;
      EXPECT_EQ(bind(udp_, reinterpret_cast<sockaddr*>(&at), size), 0);
      getsockname(udp_, reinterpret_cast<sockaddr*>(&at), &size);
      tcp_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (bind(tcp_, reinterpret_cast<sockaddr*>(&at), size) == 0 && listen(tcp_, 16) == 0) {
        address_ = net::Address::from_sockaddr(reinterpret_cast<sockaddr*>(&at), size);
        return;
      }
      close(udp_);
      close(std::exchange(tcp_, -1));
    }
    ADD_FAILURE() << "no port that is free for both protocols";
  }
  ~DnsServer() {
    for (auto& [fd, in] : streams_) close(fd);
    close(udp_);
    close(tcp_);
  }
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  const net::Address& address() const { return address_; }
  void set(Handler handler) { handler_ = std::move(handler); }
  // Everything that was asked.
  std::vector<DnsQuery> queries;

  // Answers what has come.
  void serve() {
    char buffer[65536];
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    ssize_t n;
    while ((n = recvfrom(udp_, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size)) > 0) {
      for (const std::string& packet : handle(std::string(buffer, static_cast<size_t>(n)), false))
        sendto(udp_, packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
      size = sizeof from;
    }
    for (int fd; (fd = accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) streams_.emplace_back(fd, "");
    for (auto& [fd, in] : streams_) {
      while ((n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0) in.append(buffer, static_cast<size_t>(n));
      while (in.size() >= 2 && in.size() >= 2u + get16(in, 0)) {
        const std::string packet = in.substr(2, get16(in, 0));
        in.erase(0, 2 + packet.size());
        for (const std::string& answer : handle(packet, true)) {
          std::string framed;
          put16(framed, static_cast<uint32_t>(answer.size()));
          framed += answer;
          EXPECT_EQ(send(fd, framed.data(), framed.size(), MSG_NOSIGNAL), static_cast<ssize_t>(framed.size()));
        }
      }
    }
  }

 private:
  std::vector<std::string> handle(std::string packet, bool tcp) {
    DnsQuery query;
    query.tcp = tcp;
    query.id = get16(packet, 0);
    size_t at = 12;
    while (packet[at] != 0) {
      const auto size = static_cast<size_t>(packet[at]);
      query.name += (query.name.empty() ? "" : ".") + packet.substr(at + 1, size);
      at += size + 1;
    }
    query.type = get16(packet, at + 1);
    query.question = packet.substr(12, at + 5 - 12);
    if (get16(packet, 10) == 1) query.edns_payload = get16(packet, at + 5 + 3);
    query.packet = std::move(packet);
    queries.push_back(query);
    return handler_ ? handler_(query) : std::vector<std::string>();
  }

  int udp_ = -1;
  int tcp_ = -1;
  net::Address address_;
  Handler handler_;
  std::vector<std::pair<int, std::string>> streams_;
};

}  // namespace weir::test
