// From a listener's message to its sockets: what each field does to them, asked of the kernel.
#include "core/config/listener_config.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/net/socket.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "test/support/plugin_scope.h"
#include "test/support/test_lane.h"

namespace weir::config {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  int option(int level, int name) const {
    int value = -1;
    socklen_t size = sizeof(value);
    EXPECT_EQ(getsockopt(fd_, level, name, &value, &size), 0);
    return value;
  }

 private:
  int fd_;
};

class ListenerConfigTest : public testing::Test {
 protected:
  // With no filter chain, about which there is an error that nobody asks for here.
  ListenerTranslation translate(const std::string& text) {
    google::protobuf::RepeatedPtrField<envoy::config::listener::v3::Listener> all;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, all.Add()));
    return translate_listener(all.Get(0), listener_names(all).front(), plugins_.scope());
  }
  Result<int> open(const std::string& text) {
    auto listener = translate(text);
    return net::open_listen_socket(listener.address, listener.options);
  }

  test::PluginScope plugins_;
  const std::string loopback_ = "address { socket_address { address: '127.0.0.1' port_value: 0 } } ";
  // TEST-NET-1, which no machine has.
  const std::string nowhere_ = "address { socket_address { address: '192.0.2.1' port_value: 0 } } ";
};

TEST_F(ListenerConfigTest, NamesOfThoseWithoutOne) {
  google::protobuf::RepeatedPtrField<envoy::config::listener::v3::Listener> all;
  const std::string udp = "address { socket_address { address: '127.0.0.1' port_value: 0 protocol: UDP } }";
  for (const std::string& text : {loopback_, loopback_, std::string("name: 'named' ") + loopback_,
                                  loopback_ + "name: '127.0.0.1:0#2'", loopback_, udp, udp}) {
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, all.Add()));
  }
  EXPECT_EQ(listener_names(all), (std::vector<std::string>{"127.0.0.1:0", "127.0.0.1:0#3", "named", "127.0.0.1:0#2",
                                                           "127.0.0.1:0#4", "udp 127.0.0.1:0", "udp 127.0.0.1:0#2"}));
}

// field: Listener.enable_reuse_port
TEST_F(ListenerConfigTest, ReusePort) {
  Descriptor by_default(*open(loopback_));
  EXPECT_EQ(by_default.option(SOL_SOCKET, SO_REUSEPORT), 1);
  Descriptor off(*open(loopback_ + "enable_reuse_port { value: false }"));
  EXPECT_EQ(off.option(SOL_SOCKET, SO_REUSEPORT), 0);
}

// field: Listener.freebind
TEST_F(ListenerConfigTest, Freebind) {
  EXPECT_FALSE(open(nowhere_).ok());
  auto fd = open(nowhere_ + "freebind { value: true }");
  ASSERT_TRUE(fd.ok()) << fd.status();
  Descriptor owner(*fd);
}

// field: Listener.transparent
TEST_F(ListenerConfigTest, Transparent) {
  Descriptor probe(socket(AF_INET, SOCK_STREAM, 0));
  int on = 1;
  bool permitted = setsockopt(probe.get(), IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on)) == 0;
  auto fd = open(loopback_ + "transparent { value: true }");
  if (!permitted) {
    EXPECT_NE(fd.status().message().find("cannot set IP_TRANSPARENT for 127.0.0.1:0"), std::string::npos);
    return;
  }
  ASSERT_TRUE(fd.ok()) << fd.status();
  Descriptor owner(*fd);
  EXPECT_EQ(owner.option(IPPROTO_IP, IP_TRANSPARENT), 1);
}

// field: Listener.tcp_backlog_size
TEST_F(ListenerConfigTest, Backlog) {
  Descriptor owner(*open(loopback_ + "tcp_backlog_size { value: 7 }"));
  tcp_info info{};
  socklen_t size = sizeof(info);
  ASSERT_EQ(getsockopt(owner.get(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  EXPECT_EQ(info.tcpi_sacked, 7u);  // of a listening socket: the length of its queue
}

// field: Listener.tcp_keepalive, TcpKeepalive.keepalive_probes, TcpKeepalive.keepalive_time
// field: TcpKeepalive.keepalive_interval
TEST_F(ListenerConfigTest, Keepalive) {
  Descriptor off(*open(loopback_));
  EXPECT_EQ(off.option(SOL_SOCKET, SO_KEEPALIVE), 0);
  Descriptor usual(*open(loopback_ + "tcp_keepalive {}"));
  EXPECT_EQ(usual.option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(usual.option(IPPROTO_TCP, TCP_KEEPCNT), off.option(IPPROTO_TCP, TCP_KEEPCNT));
  Descriptor set(*open(loopback_ + "tcp_keepalive { keepalive_probes { value: 3 } keepalive_time { value: 77 } "
                                   "keepalive_interval { value: 11 } }"));
  EXPECT_EQ(set.option(IPPROTO_TCP, TCP_KEEPCNT), 3);
  EXPECT_EQ(set.option(IPPROTO_TCP, TCP_KEEPIDLE), 77);
  EXPECT_EQ(set.option(IPPROTO_TCP, TCP_KEEPINTVL), 11);
}

std::string socket_option(int level, int name, const std::string& rest) {
  return "socket_options { level: " + std::to_string(level) + " name: " + std::to_string(name) + " " + rest + " } ";
}

// field: Listener.socket_options, SocketOption.level, SocketOption.name, SocketOption.int_value, SocketOption.buf_value
// field: SocketOption.state, SocketOption.description
TEST_F(ListenerConfigTest, SocketOptions) {
  for (const char* state : {"STATE_PREBIND", "STATE_BOUND", "STATE_LISTENING"}) {
    const std::string when = std::string(" description: 'a mark' state: ") + state;
    Descriptor fd(*open(loopback_ + socket_option(SOL_SOCKET, SO_KEEPALIVE, "int_value: 1" + when) +
                        socket_option(SOL_SOCKET, SO_RCVLOWAT, "buf_value: '\\007\\000\\000\\000'" + when)));
    EXPECT_EQ(fd.option(SOL_SOCKET, SO_KEEPALIVE), 1) << state;
    EXPECT_EQ(fd.option(SOL_SOCKET, SO_RCVLOWAT), 7) << state;
  }
  // Before it is bound the kernel has other ideas of this one than behind that.
  const auto only = [](const char* state) {
    return socket_option(IPPROTO_IPV6, IPV6_V6ONLY, std::string("int_value: 1 state: ") + state);
  };
  const std::string six = "address { socket_address { address: '::1' port_value: 0 } } ";
  if (auto fd = open(six); fd.ok()) {
    Descriptor owner(*fd);
    EXPECT_TRUE(open(six + only("STATE_PREBIND")).ok());
    EXPECT_FALSE(open(six + only("STATE_BOUND")).ok());
  }
  auto unknown = open(loopback_ + socket_option(SOL_SOCKET, 32000, "int_value: 1"));
  EXPECT_NE(unknown.status().message().find("cannot set the socket option 1/32000 of 127.0.0.1:0"), std::string::npos);
  translate(loopback_ + socket_option(1, 1, "int_value: 5000000000"));
  EXPECT_EQ(std::ranges::count(plugins_.error_texts(), "socket_options[0].int_value: is a number of 32 bits"), 1);
}

// field: SocketOption.type, SocketType.stream, SocketType.datagram, SocketOption.ip_version
TEST_F(ListenerConfigTest, SocketOptionsOfOtherSockets) {
  const std::pair<const char*, int> cases[] = {{"type { datagram {} }", 0},
                                               {"type { stream {} }", 1},
                                               {"ip_version: SOCKET_IP_VERSION_IPV6", 0},
                                               {"ip_version: SOCKET_IP_VERSION_IPV4", 1}};
  for (const auto& [rest, on] : cases) {
    Descriptor fd(*open(loopback_ + socket_option(SOL_SOCKET, SO_KEEPALIVE, std::string("int_value: 1 ") + rest)));
    EXPECT_EQ(fd.option(SOL_SOCKET, SO_KEEPALIVE), on) << rest;
  }
}

// field: Listener.additional_addresses, listener.v3.AdditionalAddress.address, AdditionalAddress.socket_options
// field: AdditionalAddress.tcp_keepalive, SocketOptionsOverride.socket_options
TEST_F(ListenerConfigTest, AdditionalAddresses) {
  const auto listener = translate(
      loopback_ + "tcp_backlog_size { value: 9 } tcp_keepalive { keepalive_probes { value: 3 } } " +
      socket_option(SOL_SOCKET, SO_RCVLOWAT, "int_value: 5") + "additional_addresses { " + loopback_ +
      "} additional_addresses { " + loopback_ + "tcp_keepalive { keepalive_probes { value: 4 } } socket_options { " +
      socket_option(SOL_SOCKET, SO_RCVLOWAT, "int_value: 6") + "} } additional_addresses { " + loopback_ +
      "socket_options {} } additional_addresses { address { pipe { path: '@x' } } }");
  ASSERT_EQ(listener.more_addresses.size(), 4u);
  const int expected[][2] = {{3, 5}, {4, 6}, {3, 1}};
  for (size_t i = 0; i < 3; ++i) {
    const net::ListenAddress& more = listener.more_addresses[i];
    EXPECT_EQ(more.options.backlog, 9);
    Descriptor fd(*net::open_listen_socket(more.address, more.options));
    EXPECT_EQ(fd.option(IPPROTO_TCP, TCP_KEEPCNT), expected[i][0]) << i;
    EXPECT_EQ(fd.option(SOL_SOCKET, SO_RCVLOWAT), expected[i][1]) << i;
  }
  EXPECT_FALSE(listener.more_addresses[3].options.reuse_port);
}

// field: ListenerFilter.filter_disabled, ListenerFilterChainMatchPredicate.or_match
// field: ListenerFilterChainMatchPredicate.and_match, ListenerFilterChainMatchPredicate.not_match
// field: ListenerFilterChainMatchPredicate.any_match, ListenerFilterChainMatchPredicate.destination_port_range
// field: ListenerFilterChainMatchPredicate.MatchSet.rules, Int32Range.start, Int32Range.end
TEST_F(ListenerConfigTest, FilterDisabled) {
  const auto disabled = [&](const std::string& predicate) {
    const auto listener =
        translate(loopback_ +
                  "listener_filters { name: 'a' typed_config { "
                  "[type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst] "
                  "{} } " +
                  predicate + "}");
    EXPECT_EQ(listener.spec.listener_filters.size(), 1u);
    const auto& ports = listener.spec.listener_filters.front().disabled_ports;
    std::string out;
    for (size_t port : {0, 80, 443, 444, 65535}) {
      if (ports != nullptr && ports->test(port)) out += (out.empty() ? "" : " ") + std::to_string(port);
    }
    return out;
  };
  const std::string some = "destination_port_range { start: 80 end: 444 }";
  const std::string more = "destination_port_range { start: 443 end: 65536 }";
  EXPECT_EQ(disabled(""), "");
  EXPECT_EQ(disabled("filter_disabled { " + some + " }"), "80 443");
  EXPECT_EQ(disabled("filter_disabled { any_match: true }"), "0 80 443 444 65535");
  EXPECT_EQ(disabled("filter_disabled { not_match { " + some + " } }"), "0 444 65535");
  EXPECT_EQ(disabled("filter_disabled { or_match { rules { " + some + " } rules { " + more + " } } }"),
            "80 443 444 65535");
  EXPECT_EQ(disabled("filter_disabled { and_match { rules { " + some + " } rules { " + more + " } } }"), "443");
}

TEST_F(ListenerConfigTest, AbstractSockets) {
  const std::string name = "@weir-listener-config-test-" + std::to_string(getpid());
  Descriptor owner(*open("address { pipe { path: '" + name + "' } }"));
  EXPECT_EQ(net::bound_address(owner.get()).to_string(), name);
}

// field: SocketAddress.ipv4_compat
TEST_F(ListenerConfigTest, Ipv4Compat) {
  const std::string any = "address { socket_address { address: '::' port_value: 0 ";
  auto only = open(any + "} }");
  if (!only.ok()) GTEST_SKIP() << "no IPv6 here: " << only.status();
  Descriptor only_ipv6(*only);
  EXPECT_EQ(only_ipv6.option(IPPROTO_IPV6, IPV6_V6ONLY), 1);
  Descriptor both(*open(any + "ipv4_compat: true } }"));
  EXPECT_EQ(both.option(IPPROTO_IPV6, IPV6_V6ONLY), 0);
}

// field: Address.pipe, Pipe.path, Pipe.mode
TEST_F(ListenerConfigTest, Pipes) {
  const std::string path = "/tmp/weir-listener-config-test-" + std::to_string(getpid());
  Descriptor owner(*open("address { pipe { path: '" + path + "' mode: 432 } }"));
  struct stat file;
  ASSERT_EQ(stat(path.c_str(), &file), 0);
  EXPECT_TRUE(S_ISSOCK(file.st_mode));
  EXPECT_EQ(file.st_mode & 0777u, 0660u);
  unlink(path.c_str());
}

// field: Listener.max_connections_to_accept_per_socket_event
TEST_F(ListenerConfigTest, AcceptsPerTurn) {
  class Accepted final : public net::AcceptHandler {
   public:
    void on_accepted(int fd, const net::Address&) override {
      ++count;
      close(fd);
    }
    int count = 0;
  };
  auto listener = translate(loopback_ + "max_connections_to_accept_per_socket_event { value: 2 }");
  Descriptor fd(*net::open_listen_socket(listener.address, listener.options));
  const net::Address bound = net::bound_address(fd.get());
  test::TestLane lane;
  Accepted accepted;
  net::ListenSocket socket(lane, fd.release(), listener.spec.accepts_per_turn, accepted);
  std::vector<std::unique_ptr<Descriptor>> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(std::make_unique<Descriptor>(::socket(AF_INET, SOCK_STREAM, 0)));
    sockaddr_storage storage;
    socklen_t size = bound.to_sockaddr(storage);
    ASSERT_EQ(connect(clients.back()->get(), reinterpret_cast<sockaddr*>(&storage), size), 0);
  }
  for (int expected : {2, 4, 5}) {
    lane.turn();
    EXPECT_EQ(accepted.count, expected);
  }
}

TEST_F(ListenerConfigTest, WhatIsForConnectionsHasNoEffectOnDatagrams) {
  const auto udp = [](const std::string& port) {
    return "address { socket_address { protocol: UDP address: '127.0.0.1' port_value: " + port + " } } ";
  };
  translate(udp("1") + "tcp_backlog_size { value: 7 } additional_addresses { " + udp("2") + " tcp_keepalive {} }");
  const std::string why = ": has no effect: it is for connections, which a listener of UDP has not";
  EXPECT_EQ(plugins_.warning_texts(),
            (std::vector<std::string>{"tcp_backlog_size" + why, "additional_addresses[0].tcp_keepalive" + why}));
}

// field: Listener.name, Listener.stat_prefix
TEST_F(ListenerConfigTest, TheDefaultChainMatchesNothing) {
  translate(loopback_ + "default_filter_chain { filter_chain_match {} }");
  EXPECT_EQ(plugins_.warning_texts(), std::vector<std::string>{});
  translate(loopback_ + "default_filter_chain { filter_chain_match { server_names: 'a' } }");
  EXPECT_EQ(
      plugins_.warning_texts(),
      std::vector<std::string>{"default_filter_chain.filter_chain_match: has no effect: this chain is for all that "
                               "no other one matches"});
}

TEST_F(ListenerConfigTest, Names) {
  auto plain = translate("address { socket_address { address: '127.0.0.1' port_value: 80 } }");
  EXPECT_EQ(plain.spec.name, "127.0.0.1:80");
  EXPECT_EQ(plain.stat_name, "127.0.0.1_80");
  auto named = translate(loopback_ + "name: 'front' stat_prefix: 'shop'");
  EXPECT_EQ(named.spec.name, "front");
  EXPECT_EQ(named.stat_name, "shop");
}

}  // namespace
}  // namespace weir::config
