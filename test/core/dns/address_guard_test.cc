#include "core/dns/address_guard.h"

#include <gtest/gtest.h>

namespace weir::dns {
namespace {

net::Address ip(const char* text) { return *net::Address::from_ip(text, 0); }

TEST(AddressGuardTest, WhatIsNotForTheInternet) {
  AddressGuard guard{.deny_private = true, .deny = {}, .allow = {}};
  for (const char* text :
       {"0.0.0.0",   "0.1.2.3",     "10.0.0.0",        "10.255.255.255", "100.64.0.1",     "100.127.255.255",
        "127.0.0.1", "127.255.0.1", "169.254.169.254", "172.16.0.1",     "172.31.255.255", "192.0.0.8",
        "192.0.2.1", "192.168.0.1", "198.18.0.1",      "198.19.255.255", "198.51.100.1",   "203.0.113.9",
        "224.0.0.1", "239.1.1.1",   "240.0.0.1",       "255.255.255.255"})
    EXPECT_FALSE(guard.permits(ip(text))) << text;
  for (const char* text : {"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
                           "128.0.0.1", "169.253.1.1", "169.255.0.1", "172.15.0.1", "172.32.0.0", "192.167.255.255",
                           "192.169.0.0", "198.17.0.1", "198.20.0.0", "223.255.255.255"})
    EXPECT_TRUE(guard.permits(ip(text))) << text;
  for (const char* text : {"::", "::1", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1", "fec0::1", "2001:db8::1",
                           "2001::1", "100::1", "64:ff9b:1::1"})
    EXPECT_FALSE(guard.permits(ip(text))) << text;
  for (const char* text : {"2001:4860:4860::8888", "2a00:1450::1", "2606:4700::1111"})
    EXPECT_TRUE(guard.permits(ip(text))) << text;
}

TEST(AddressGuardTest, AddressesInsideOfOthers) {
  AddressGuard guard{.deny_private = true, .deny = {}, .allow = {}};
  for (const char* text : {"::ffff:127.0.0.1", "::ffff:10.1.2.3", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
                           "2002:7f00:1::1", "2002:a00:1::", "2002:c0a8:101::5"})
    EXPECT_FALSE(guard.permits(ip(text))) << text;
  for (const char* text : {"::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"})
    EXPECT_TRUE(guard.permits(ip(text))) << text;
}

TEST(AddressGuardTest, RangesAndExceptions) {
  AddressGuard guard{.deny_private = false, .deny = {{ip("192.0.2.0"), 25}, {ip("2001:db8::"), 33}}, .allow = {}};
  EXPECT_FALSE(guard.permits(ip("192.0.2.127")));
  EXPECT_TRUE(guard.permits(ip("192.0.2.128")));
  EXPECT_FALSE(guard.permits(ip("2001:db8:7fff::1")));
  EXPECT_TRUE(guard.permits(ip("2001:db8:8000::1")));
  EXPECT_TRUE(guard.permits(ip("127.0.0.1")));
  EXPECT_FALSE(guard.permits(ip("64:ff9b::c000:201"))) << "192.0.2.1 inside of an IPv6 address";
  guard.allow = {{ip("192.0.2.1"), 32}};
  EXPECT_TRUE(guard.permits(ip("192.0.2.1")));
  EXPECT_FALSE(guard.permits(ip("192.0.2.2")));
  guard.deny = {{ip("0.0.0.0"), 0}};
  EXPECT_FALSE(guard.permits(ip("8.8.8.8")));
  EXPECT_TRUE(guard.permits(ip("::1"))) << "of the other family";
}

TEST(AddressGuardTest, WithoutRulesEverythingIsAllowed) {
  EXPECT_TRUE(AddressGuard().empty());
  EXPECT_TRUE(AddressGuard().permits(ip("127.0.0.1")));
}

}  // namespace
}  // namespace weir::dns
