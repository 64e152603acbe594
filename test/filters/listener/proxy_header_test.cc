#include "core/stream/proxy_header.h"

#include <gtest/gtest.h>

#include "filters/listener/proxy_protocol/header.h"
#include "test/support/choices.h"
#include "test/support/seed.h"

namespace weir::filters::proxy_protocol {
namespace {

using namespace std::string_literals;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string v2(uint8_t command, uint8_t family, const std::string& rest) {
  std::string out = kSignature;
  out += static_cast<char>(command);
  out += static_cast<char>(family);
  out += static_cast<char>(rest.size() >> 8);
  out += static_cast<char>(rest.size());
  return out + rest;
}
const std::string kTcp4 = "\x0a\x01\x02\x03\x0a\x09\x08\x07\x12\x34\x00\x50"s;
std::string tlv(uint8_t type, const std::string& value) {
  return std::string{static_cast<char>(type), static_cast<char>(value.size() >> 8), static_cast<char>(value.size())} +
         value;
}

struct Read {
  Parsed parsed;
  Header header;
};
Read read(const std::string& bytes, Wanted wanted = {}) {
  Read out;
  out.parsed = parse_header(bytes, wanted, out.header);
  return out;
}

TEST(ProxyHeader, Version1) {
  const Read four = read("PROXY TCP4 10.1.2.3 10.9.8.7 4660 80\r\nGET /");
  ASSERT_EQ(four.parsed, Parsed::kHeader);
  EXPECT_EQ(four.header.source.to_string(), "10.1.2.3:4660");
  EXPECT_EQ(four.header.destination.to_string(), "10.9.8.7:80");
  EXPECT_EQ(four.header.size, 38u);
  EXPECT_FALSE(four.header.local);
  const Read six = read("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n");
  ASSERT_EQ(six.parsed, Parsed::kHeader);
  EXPECT_EQ(six.header.source.to_string(), "[2001:db8::1]:65535");
  EXPECT_EQ(six.header.destination.to_string(), "[::1]:0");
  for (const char* text : {"PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 anything 1 2\r\n"}) {
    const Read unknown = read(text);
    EXPECT_EQ(unknown.parsed, Parsed::kHeader) << text;
    EXPECT_TRUE(unknown.header.local) << text;
  }
}

TEST(ProxyHeader, Version1Hostile) {
  for (const char* text : {
           "PROXY \r\n",
           "PROXY TCP4\r\n",
           "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
           "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
           "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
           "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
           "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
           "PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n",
           "PROXY TCP4 1.2.3.4 1.2.3.4 1 +2\r\n",
           "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
           "PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n",
           "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
           "PROXY TCP4 ::1 ::1 1 2\r\n",
           "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
           "PROXY TCP6 fe80::1%1 ::1 1 2\r\n",
           "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
           "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
           "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
           "PROXY \n",
           "PROXY UNKNOWNX\r\n",
           "PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n",
           "PROXY TCP4 [::1] ::1 1 2\r\n",
       }) {
    EXPECT_EQ(read(text).parsed, Parsed::kInvalid) << text;
  }
  EXPECT_EQ(read("PROXY " + std::string(200, 'x')).parsed, Parsed::kInvalid);
  EXPECT_EQ(read("PROXY UNKNOWN" + std::string(200, ' ') + "\r\n").parsed, Parsed::kInvalid);
  EXPECT_EQ(read("PROXY TCP4 1.2.3.4 1.2.3.4 1 "s + '\0' + "\r\n").parsed, Parsed::kInvalid);
}

TEST(ProxyHeader, Version2) {
  const Read four = read(v2(0x21, 0x11, kTcp4) + "GET /");
  ASSERT_EQ(four.parsed, Parsed::kHeader);
  EXPECT_EQ(four.header.source.to_string(), "10.1.2.3:4660");
  EXPECT_EQ(four.header.destination.to_string(), "10.9.8.7:80");
  EXPECT_EQ(four.header.size, 28u);
  const std::string one(15, '\0');
  const Read six = read(v2(0x21, 0x21, one + "\x01" + one + "\x02" + "\x00\x07\x01\xbb"s));
  ASSERT_EQ(six.parsed, Parsed::kHeader);
  EXPECT_EQ(six.header.source.to_string(), "[::1]:7");
  EXPECT_EQ(six.header.destination.to_string(), "[::2]:443");
  // LOCAL: whatever it says beyond that is ignored, also what is no TLV.
  const Read local = read(v2(0x20, 0x00, "") + "x");
  EXPECT_EQ(local.parsed, Parsed::kHeader);
  EXPECT_TRUE(local.header.local);
  EXPECT_EQ(local.header.size, 16u);
  EXPECT_EQ(read(v2(0x20, 0xff, "\x01\xff\xff")).parsed, Parsed::kHeader);
  // Nothing that is an address of ours: the connection speaks for itself, the TLVs stay.
  for (const std::string& bytes : {v2(0x21, 0x00, tlv(5, "u")), v2(0x21, 0x31, std::string(216, 'p') + tlv(5, "u"))}) {
    const Read other = read(bytes);
    EXPECT_EQ(other.parsed, Parsed::kHeader);
    EXPECT_TRUE(other.header.local);
    EXPECT_EQ(other.header.tlvs, tlv(5, "u"));
  }
}

TEST(ProxyHeader, Version2Tlvs) {
  const std::string bytes = v2(0x21, 0x11, kTcp4 + tlv(1, "h2") + tlv(0xff, "") + tlv(0xea, std::string(300, 'v')));
  const Read all = read(bytes);
  ASSERT_EQ(all.parsed, Parsed::kHeader);
  std::string_view left = all.header.tlvs;
  stream::Tlv one;
  ASSERT_TRUE(stream::next_tlv(left, one));
  EXPECT_EQ(std::pair(one.type, one.value), std::pair(uint8_t{1}, std::string_view("h2")));
  ASSERT_TRUE(stream::next_tlv(left, one));
  EXPECT_EQ(std::pair(one.type, one.value), std::pair(uint8_t{0xff}, std::string_view("")));
  ASSERT_TRUE(stream::next_tlv(left, one));
  EXPECT_EQ(one.value.size(), 300u);
  EXPECT_FALSE(stream::next_tlv(left, one));
}

TEST(ProxyHeader, Version2Hostile) {
  const std::string cases[] = {
      v2(0x11, 0x11, kTcp4),                             // version 1 in the binary form
      v2(0x31, 0x11, kTcp4),                             // version 3
      v2(0x22, 0x11, kTcp4),                             // no command
      v2(0x21, 0x12, kTcp4),                             // datagrams
      v2(0x21, 0x41, kTcp4),                             // no family
      v2(0x21, 0x10, kTcp4),                             // no transport
      v2(0x21, 0x11, kTcp4.substr(1)),                   // too short for its addresses
      v2(0x21, 0x21, kTcp4),                             // the same
      v2(0x21, 0x31, std::string(215, 'p')),             // the same
      v2(0x21, 0x11, kTcp4 + "\x01"),                    // half a TLV
      v2(0x21, 0x11, kTcp4 + "\x01\x00\x02x"s),          // a TLV beyond the end
      v2(0x21, 0x11, kTcp4 + tlv(1, "a") + "\x01\x00"s)  // the second one
  };
  for (const std::string& bytes : cases) EXPECT_EQ(read(bytes).parsed, Parsed::kInvalid);
  EXPECT_EQ(read(v2(0x21, 0x11, kTcp4 + tlv(4, std::string(65535 - 15, '\0')))).parsed, Parsed::kHeader);
}

TEST(ProxyHeader, OtherBytes) {
  for (const char* text :
       {"GET / HTTP/1.1\r\n", "PROXZ", "proxy TCP4", "\r\n\r\nGET", "\r\n\r\n\r\n", "P ", "\x16\x03"}) {
    EXPECT_EQ(read(text).parsed, Parsed::kAbsent) << text;
  }
  EXPECT_EQ(read("").parsed, Parsed::kNotYet);
  EXPECT_EQ(read("PROX", {.v1 = false}).parsed, Parsed::kAbsent);
  EXPECT_EQ(read("\r\n", {.v2 = false}).parsed, Parsed::kAbsent);
}

// Whatever the pieces it comes in: the same answer, and never one before the bytes that it asked for are there.
TEST(ProxyHeader, PieceByPiece) {
  const std::string wholes[] = {"PROXY TCP4 10.1.2.3 10.9.8.7 4660 80\r\n", "PROXY UNKNOWN\r\n",
                                v2(0x21, 0x11, kTcp4 + tlv(1, "h2")), v2(0x20, 0x00, ""),
                                v2(0x21, 0x00, tlv(4, std::string(300, '\0')))};
  for (const std::string& whole : wholes) {
    for (size_t size = 0; size < whole.size(); ++size) {
      const Read part = read(whole.substr(0, size));
      ASSERT_EQ(part.parsed, Parsed::kNotYet) << size;
      ASSERT_GT(part.header.needed, size);
      ASSERT_LE(part.header.needed, whole.size());
    }
    const Read all = read(whole + "PROXY");
    EXPECT_EQ(all.parsed, Parsed::kHeader);
    EXPECT_EQ(all.header.size, whole.size());
  }
}

}  // namespace
}  // namespace weir::filters::proxy_protocol
