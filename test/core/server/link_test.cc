// What goes from one process to the next at a restart: messages with a descriptor, and listening sockets by their
// names.
#include "core/server/link.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/net/socket.h"
#include "core/server/handed_sockets.h"

namespace weir::server {
namespace {

bool is_open(int fd) { return fcntl(fd, F_GETFD) != -1; }

std::pair<Link, Link> links() {
  int fds[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
  return {Link(fds[0]), Link(fds[1])};
}

TEST(LinkMessage, Lines) {
  const LinkMessage message{.kind = "hello", .text = "pid=12\nepoch=\nname=a=b\npidx=3"};
  EXPECT_EQ(message.get("pid"), "12");
  EXPECT_EQ(message.number("pid"), 12u);
  EXPECT_EQ(message.get("name"), "a=b");
  EXPECT_EQ(message.get("epoch"), "");
  EXPECT_EQ(message.number("epoch"), 0u);
  EXPECT_EQ(message.get("absent"), "");
}

TEST(Link, CarriesTextsAndDescriptors) {
  auto [a, b] = links();
  LinkMessage got;
  EXPECT_EQ(b.receive(got), Link::Got::kNothing);
  EXPECT_EQ(b.receive_within(1ms, got), Link::Got::kNothing);
  const std::string long_text(Link::kMaxText, 'x');
  EXPECT_TRUE(a.send("state", long_text));
  EXPECT_FALSE(a.send("state", long_text + "x"));
  int pipe_ends[2];
  ASSERT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
  EXPECT_TRUE(a.send("socket", "one", pipe_ends[1]));
  ASSERT_EQ(b.receive_within(1s, got), Link::Got::kMessage);
  EXPECT_EQ(got.kind, "state");
  EXPECT_EQ(got.text, long_text);
  EXPECT_EQ(got.fd, -1);
  ASSERT_EQ(b.receive(got), Link::Got::kMessage);
  EXPECT_EQ(got.kind, "socket");
  ASSERT_GE(got.fd, 0);
  EXPECT_NE(fcntl(got.fd, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(write(got.fd, "!", 1), 1);
  char byte = 0;
  EXPECT_EQ(read(pipe_ends[0], &byte, 1), 1);
  EXPECT_EQ(byte, '!');
  for (int fd : {pipe_ends[0], pipe_ends[1], got.fd}) close(fd);
  a.close();
  EXPECT_EQ(b.receive(got), Link::Got::kEnd);
  EXPECT_FALSE(b.send("late"));
}

TEST(Link, WhatIsNoMessageIsTheEnd) {
  auto [a, b] = links();
  ASSERT_EQ(send(a.fd(), "no line", 7, 0), 7);
  LinkMessage got;
  EXPECT_EQ(b.receive(got), Link::Got::kEnd);
}

TEST(Link, WhoRefusesAtSightIsHeard) {
  // In whichever order they come: the greeting of one that is not heard must not cost it the answer.
  for (const bool greets_first : {true, false}) {
    auto [serving, successor] = links();
    if (greets_first) {
      EXPECT_TRUE(successor.send("hello", "protocol=1"));
    }
    serving.stop_receiving();
    EXPECT_TRUE(serving.send("refused", "why"));
    if (!greets_first) {
      EXPECT_FALSE(successor.send("hello", "protocol=1"));
    }
    serving.close();
    LinkMessage got;
    ASSERT_EQ(successor.receive(got), Link::Got::kMessage) << greets_first;
    EXPECT_EQ(got.kind, "refused");
    EXPECT_EQ(got.text, "why");
  }
}

TEST(Link, OneProcessAtAnAddress) {
  char name[] = "/tmp/weir-link-XXXXXX";
  const std::string directory = mkdtemp(name);
  const std::string path = directory + "/restart_0";
  EXPECT_EQ(connect_link(path).status().code(), kNobodyThere);
  auto listening = listen_link(path, 0640);
  ASSERT_TRUE(listening.ok()) << listening.status();
  struct stat facts;
  ASSERT_EQ(stat(path.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0640u);
  auto again = listen_link(path, 0640);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(message_of(again.status()), "process " + std::to_string(getpid()) + " waits for its successor at " + path);
  close(*listening);
  EXPECT_EQ(connect_link(path).status().code(), kNobodyThere);  // a file that a crash has left
  listening = listen_link(path, 0600);
  ASSERT_TRUE(listening.ok()) << listening.status();
  close(*listening);
  EXPECT_NE(message_of(listen_link(directory + "/" + std::string(120, 'x'), 0600).status()).find("2 to 107"),
            std::string::npos);
  std::filesystem::remove_all(directory);
}

net::Address any_port(const char* ip = "127.0.0.1") { return *net::Address::from_ip(ip, 0); }

int listening_socket(const char* ip = "127.0.0.1") {
  auto fd = net::open_listen_socket(any_port(ip), net::ListenOptions{});
  EXPECT_TRUE(fd.ok()) << fd.status();
  return *fd;
}

TEST(HandedSocket, Texts) {
  const HandedSocket one{.kind = "stream", .owner = "a b", .address = "[::1]:80", .number = 7};
  HandedSocket read;
  ASSERT_TRUE(HandedSocket::from_text(one.to_text(), read));
  EXPECT_EQ(read.kind, "stream");
  EXPECT_EQ(read.owner, "a b");
  EXPECT_EQ(read.address, "[::1]:80");
  EXPECT_EQ(read.number, 7u);
  for (const char* wrong : {"", "stream",
                            "stream\x1f"
                            "a\x1f"
                            "b",
                            "stream\x1f"
                            "a\x1f"
                            "b\x1f",
                            "stream\x1f"
                            "a\x1f"
                            "b\x1f"
                            "7x",
                            "stream\x1f"
                            "a\x1f"
                            "b\x1f"
                            "7\x1f"})
    EXPECT_FALSE(HandedSocket::from_text(wrong, read)) << wrong;
}

TEST(HandedSockets, ByBoundAddressOrByTheListenerThatGotAPort) {
  HandedSockets sockets;
  const int one = listening_socket(), two = listening_socket();
  const net::Address bound = net::bound_address(one);
  sockets.add({.kind = "stream", .owner = "fixed", .address = bound.to_string(), .number = 0, .fd = one});
  sockets.add({.kind = "stream", .owner = "any", .address = "127.0.0.1:0", .number = 0, .fd = two});
  EXPECT_TRUE(sockets.take("admin", "fixed", bound).empty());
  EXPECT_TRUE(sockets.take("stream", "other", any_port()).empty());
  EXPECT_EQ(sockets.take("stream", "renamed", bound), std::vector<int>{one});
  EXPECT_EQ(sockets.take("stream", "any", any_port()), std::vector<int>{two});
  EXPECT_EQ(sockets.size(), 0u);
  close(one);
  close(two);
}

TEST(HandedSockets, InTheOrderOfTheWorkers) {
  HandedSockets sockets;
  const int first = listening_socket(), second = dup(first);
  const net::Address bound = net::bound_address(first);
  sockets.add({.kind = "stream", .owner = "a", .address = bound.to_string(), .number = 1, .fd = second});
  sockets.add({.kind = "stream", .owner = "a", .address = bound.to_string(), .number = 0, .fd = first});
  EXPECT_EQ(sockets.take("stream", "a", bound), (std::vector<int>{first, second}));
  close(first);
  close(second);
}

TEST(HandedSockets, WhatIsNoSuchSocketIsClosed) {
  HandedSockets sockets;
  const int connected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int listening = listening_socket();
  sockets.add({.kind = "stream", .owner = "", .address = "127.0.0.1:1", .number = 0, .fd = connected});
  sockets.add({.kind = "stream", .owner = "", .address = "127.0.0.1:1", .number = 0, .fd = file});
  sockets.add({.kind = "datagram", .owner = "", .address = "127.0.0.1:1", .number = 0, .fd = listening});
  EXPECT_EQ(sockets.size(), 0u);
  for (int fd : {connected, file, listening}) EXPECT_FALSE(is_open(fd));
}

TEST(HandedSockets, APropertyThatCannotChangeStays) {
  HandedSockets sockets;
  const int fd = listening_socket("::1");
  const net::Address bound = net::bound_address(fd);
  int only_ipv6 = 0;
  socklen_t size = sizeof(only_ipv6);
  ASSERT_EQ(getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_ipv6, &size), 0);
  sockets.add({.kind = "stream", .owner = "a", .address = bound.to_string(), .number = 0, .fd = fd});
  EXPECT_TRUE(sockets.take("stream", "a", bound, {.only_ipv6 = only_ipv6 == 0}).empty());
  EXPECT_EQ(sockets.drop_rest(), std::vector<std::string>{bound.to_string()});
  EXPECT_FALSE(is_open(fd));
}

}  // namespace
}  // namespace weir::server
