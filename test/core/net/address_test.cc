#include "core/net/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>

namespace weir::net {
namespace {

Address ip(std::string_view text, uint16_t port = 0) {
  auto address = Address::from_ip(text, port);
  EXPECT_TRUE(address.ok()) << text << ": " << address.status().ToString();
  return address.ok() ? *address : Address();
}

Address through_sockaddr(const Address& address) {
  sockaddr_storage storage;
  socklen_t length = address.to_sockaddr(storage);
  return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
}

TEST(Address, Ipv4) {
  Address address = ip("10.1.2.3", 8080);
  EXPECT_EQ(address.family(), Family::kIpv4);
  EXPECT_EQ(address.to_string(), "10.1.2.3:8080");
  EXPECT_EQ(address.ip_to_string(), "10.1.2.3");
  EXPECT_EQ(address.ip_size(), 4u);
  EXPECT_EQ(through_sockaddr(address), address);
}

TEST(Address, Ipv6) {
  Address address = ip("2001:DB8:0:0::1", 65535);
  EXPECT_EQ(address.family(), Family::kIpv6);
  EXPECT_EQ(address.to_string(), "[2001:db8::1]:65535");
  EXPECT_EQ(address.ip_to_string(), "2001:db8::1");
  EXPECT_EQ(through_sockaddr(address), address);
  Address longest = ip("fedc:ba98:7654:3210:fedc:ba98:7654:3210%4294967295", 65535);
  EXPECT_EQ(longest.to_string(), "[fedc:ba98:7654:3210:fedc:ba98:7654:3210%4294967295]:65535");
}

TEST(Address, ScopeIds) {
  Address address = ip("fe80::1%7", 80);
  EXPECT_EQ(address.scope_id(), 7u);
  EXPECT_EQ(address.to_string(), "[fe80::1%7]:80");
  EXPECT_EQ(through_sockaddr(address), address);
  EXPECT_FALSE(address == ip("fe80::1%8", 80));
  EXPECT_FALSE(address == ip("fe80::1", 80));
  EXPECT_NE(ip("fe80::1%lo", 80).scope_id(), 0u);
  EXPECT_FALSE(Address::from_ip("fe80::1%no-such-if", 80).ok());
  EXPECT_FALSE(Address::from_ip("fe80::1%", 80).ok());
  EXPECT_FALSE(Address::from_ip("10.0.0.1%1", 80).ok());
}

TEST(Address, MappedIpv6IsIpv4) {
  Address address = ip("::ffff:10.0.0.1", 80);
  EXPECT_EQ(address, ip("10.0.0.1", 80));
  EXPECT_EQ(address.to_string(), "10.0.0.1:80");
  EXPECT_TRUE(ip("::ffff:127.0.0.1").is_loopback());
  // As a dual-stack listener's accept() gives it.
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(80);
  ASSERT_EQ(inet_pton(AF_INET6, "::ffff:10.0.0.1", &in.sin6_addr), 1);
  EXPECT_EQ(Address::from_sockaddr(reinterpret_cast<sockaddr*>(&in), sizeof in), address);
  EXPECT_EQ(ip("::10.0.0.1").family(), Family::kIpv6);  // "compatible", which is another thing
}

TEST(Address, WhatIsNotAnAddress) {
  for (std::string_view text :
       {"", "localhost", "10.0.0", "10.0.0.256", "010.0.0.1x", "1:2", "::1::", "[::1]", " 10.0.0.1", "10.0.0.1:80",
        "::ffff:1.2.3.4.5", "11111111111111111111111111111111111111111111111111111111"}) {
    auto address = Address::from_ip(text, 0);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_NE(message_of(address.status()).find(text), std::string::npos) << text;
  }
  EXPECT_FALSE(Address::from_ip(std::string_view("10.0.0.1\0", 9), 0).ok());
}

TEST(Address, Unix) {
  auto address = Address::from_unix("/run/weir.sock");
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(address->family(), Family::kUnix);
  EXPECT_EQ(address->to_string(), "/run/weir.sock");
  EXPECT_EQ(through_sockaddr(*address), *address);
  EXPECT_FALSE(address->is_ip());
  EXPECT_FALSE(address->is_loopback());

  EXPECT_TRUE(Address::from_unix(std::string(107, 'p')).ok());
  EXPECT_FALSE(Address::from_unix(std::string(108, 'p')).ok());
  EXPECT_FALSE(Address::from_unix("").ok());
  EXPECT_FALSE(Address::from_unix("@").ok());
  EXPECT_FALSE(Address::from_unix(std::string_view("/a\0b", 4)).ok());
}

TEST(Address, AbstractUnix) {
  auto address = Address::from_unix("@weir");
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(address->to_string(), "@weir");
  EXPECT_EQ(address->unix_path(), std::string_view("\0weir", 5));
  EXPECT_EQ(through_sockaddr(*address), *address);
  sockaddr_storage storage;
  EXPECT_EQ(address->to_sockaddr(storage), offsetof(sockaddr_un, sun_path) + 5);
  EXPECT_FALSE(*address == *Address::from_unix("weir"));

  auto longest = Address::from_unix("@" + std::string(107, 'n'));
  ASSERT_TRUE(longest.ok());
  EXPECT_EQ(through_sockaddr(*longest), *longest);
  EXPECT_EQ(longest->to_string().size(), 108u);
  EXPECT_FALSE(Address::from_unix("@" + std::string(108, 'n')).ok());
}

TEST(Address, FromSockaddrIsTotal) {
  EXPECT_TRUE(Address::from_sockaddr(nullptr, 0).empty());
  sockaddr_storage storage{};
  auto* any = reinterpret_cast<sockaddr*>(&storage);
  any->sa_family = AF_INET;
  EXPECT_TRUE(Address::from_sockaddr(any, sizeof(sa_family_t)).empty());
  any->sa_family = AF_INET6;
  EXPECT_TRUE(Address::from_sockaddr(any, sizeof(sockaddr_in)).empty());
  any->sa_family = AF_NETLINK;
  EXPECT_TRUE(Address::from_sockaddr(any, sizeof storage).empty());
  // A client's Unix socket has no name; a path may fill the room to its last byte without a NUL.
  any->sa_family = AF_UNIX;
  Address unnamed = Address::from_sockaddr(any, sizeof(sa_family_t));
  EXPECT_EQ(unnamed.family(), Family::kUnix);
  EXPECT_EQ(unnamed.to_string(), "");
  EXPECT_EQ(through_sockaddr(unnamed), unnamed);
  auto* un = reinterpret_cast<sockaddr_un*>(&storage);
  std::memset(un->sun_path, 'x', sizeof un->sun_path);
  Address full = Address::from_sockaddr(any, sizeof storage);
  EXPECT_EQ(full.to_string(), std::string(sizeof un->sun_path, 'x'));
  EXPECT_EQ(through_sockaddr(full), full);
}

TEST(Address, Empty) {
  Address none;
  sockaddr_storage storage;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.to_string(), "");
  EXPECT_EQ(none.to_sockaddr(storage), 0u);
  EXPECT_EQ(none, Address());
  EXPECT_FALSE(none.is_any());
  EXPECT_FALSE(none.same_ip(none));
}

TEST(Address, Kinds) {
  for (auto text : {"127.0.0.1", "127.255.0.1", "::1"}) EXPECT_TRUE(ip(text).is_loopback()) << text;
  for (auto text : {"126.255.255.255", "128.0.0.1", "::2", "::"}) EXPECT_FALSE(ip(text).is_loopback()) << text;
  for (auto text : {"0.0.0.0", "::"}) EXPECT_TRUE(ip(text).is_any()) << text;
  EXPECT_FALSE(ip("0.0.0.1").is_any());
}

TEST(Address, Comparing) {
  EXPECT_EQ(ip("10.0.0.1", 80), ip("10.0.0.1", 80));
  EXPECT_FALSE(ip("10.0.0.1", 80) == ip("10.0.0.1", 81));
  EXPECT_TRUE(ip("10.0.0.1", 80).same_ip(ip("10.0.0.1", 81)));
  EXPECT_FALSE(ip("10.0.0.1").same_ip(ip("10.0.0.2")));
  EXPECT_FALSE(ip("0.0.0.0").same_ip(ip("::")));
}

TEST(Address, Masked) {
  EXPECT_EQ(ip("10.1.10.23", 80).masked(16).to_string(), "10.1.0.0:0");
  EXPECT_EQ(ip("10.1.10.23").masked(12).ip_to_string(), "10.0.0.0");
  EXPECT_EQ(ip("255.255.255.255").masked(0).ip_to_string(), "0.0.0.0");
  EXPECT_EQ(ip("255.255.255.255").masked(99).ip_to_string(), "255.255.255.255");
  EXPECT_EQ(ip("2001:db8:1234:5678:9abc:def0:1234:5678").masked(64).ip_to_string(), "2001:db8:1234:5678::");
}

}  // namespace
}  // namespace weir::net
