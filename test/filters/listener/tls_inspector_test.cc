#include "filters/listener/tls_inspector/tls_inspector.h"

#include <gtest/gtest.h>

#include "core/crypto/library.h"
#include "core/stream/metadata.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "filters/listener/tls_inspector/client_hello.h"
#include "filters/listener/tls_inspector/fingerprint.h"
#include "test/support/fake_connection.h"

namespace weir::test {
namespace {

using filters::tls_inspector::ClientHello;
using filters::tls_inspector::parse_client_hello;
using filters::tls_inspector::Parsed;
using Proto = envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
using Verdict = filter::ListenerFilter::Verdict;

std::string number(size_t value, int bytes) {
  std::string text;
  while (bytes-- > 0) text += static_cast<char>(value >> (8 * bytes));
  return text;
}
std::string sized(const std::string& text, int bytes) { return number(text.size(), bytes) + text; }
std::string numbers(std::initializer_list<uint16_t> values) {
  std::string text;
  for (uint16_t value : values) text += number(value, 2);
  return text;
}
std::string extension(uint16_t type, const std::string& content) { return number(type, 2) + sized(content, 2); }
std::string server_name(const std::string& name) { return extension(0, sized(number(0, 1) + sized(name, 2), 2)); }
std::string protocols(std::initializer_list<std::string> names) {
  std::string list;
  for (const std::string& name : names) list += sized(name, 1);
  return extension(16, sized(list, 2));
}

// The parts of a message, each of which a test may break.
struct Message {
  std::string version = numbers({0x0303});
  std::string random = std::string(32, 'r');
  std::string session = sized(std::string(32, 's'), 1);
  std::string ciphers = sized(numbers({0x1301, 0xc02f}), 2);
  std::string compressions = sized(std::string(1, '\0'), 1);
  std::string extensions = sized(server_name("a.example") + protocols({"h2", "http/1.1"}), 2);

  std::string text() const {
    return number(1, 1) + sized(version + random + session + ciphers + compressions + extensions, 3);
  }
};

// In records of so many bytes at most.
std::string records(const std::string& message, size_t size = 16384) {
  std::string text;
  for (size_t at = 0; at < message.size(); at += size)
    text += number(22, 1) + numbers({0x0301}) + sized(message.substr(at, size), 2);
  return text;
}

Parsed parse(const std::string& bytes, size_t max_size = 16384) {
  ClientHello hello;
  return parse_client_hello(bytes, max_size, hello);
}
Parsed parse_with(std::string Message::*part, const std::string& text) {
  Message message;
  message.*part = text;
  return parse(records(message.text()));
}
Parsed parse_extensions(const std::string& extensions) {
  return parse_with(&Message::extensions, sized(extensions, 2));
}

TEST(ClientHello, SaysWhatTheClientWants) {
  const std::string bytes = records(Message().text());
  const std::string with_more = bytes + "and more";
  ClientHello hello;  // refers to them
  ASSERT_EQ(parse_client_hello(with_more, 16384, hello), Parsed::kHello);
  EXPECT_EQ(hello.size, bytes.size());
  EXPECT_EQ(hello.version, 0x0303);
  EXPECT_TRUE(hello.names_server);
  EXPECT_EQ(hello.server_name, "a.example");
  EXPECT_EQ(hello.protocols, "\x02h2\x08http/1.1");
  EXPECT_EQ(parse_with(&Message::extensions, ""), Parsed::kHello);
  EXPECT_EQ(parse_with(&Message::extensions, numbers({0})), Parsed::kHello);
  EXPECT_EQ(parse_with(&Message::session, number(0, 1)), Parsed::kHello);
}

TEST(ClientHello, ComesInAnyPieces) {
  const std::string message = Message().text();
  for (size_t size : {size_t{1}, size_t{2}, size_t{3}, size_t{4}, size_t{5}, size_t{50}, message.size() - 1}) {
    const std::string bytes = records(message, size);
    size_t needed = 1;
    for (size_t have = 0; have < bytes.size(); ++have) {
      ClientHello hello;
      ASSERT_EQ(parse_client_hello(std::string_view(bytes).substr(0, have), 16384, hello), Parsed::kNotYet)
          << size << ": " << have;
      EXPECT_GT(hello.needed, have);
      EXPECT_LE(hello.needed, bytes.size());
      EXPECT_GE(hello.needed, needed);
      if (have > 0) needed = hello.needed;
    }
    ClientHello hello;
    ASSERT_EQ(parse_client_hello(bytes, 16384, hello), Parsed::kHello) << size;
    EXPECT_EQ(hello.server_name, "a.example");
    EXPECT_EQ(hello.size, bytes.size());
  }
}

TEST(ClientHello, OthersAreToldAtTheFirstByteThatShowsIt) {
  for (const char* other : {"G", "\x15", "\x80", "\x16G"}) EXPECT_EQ(parse(other), Parsed::kNoTls) << other;
  const std::string header("\x16\x03\x01", 3);
  EXPECT_EQ(parse(header + number(0, 2)), Parsed::kInvalid);            // a record of nothing
  EXPECT_EQ(parse(header + number(16385, 2)), Parsed::kInvalid);        // larger than records are
  EXPECT_EQ(parse(header + number(50, 2) + "\x02"), Parsed::kInvalid);  // a ServerHello
  // What stands between the pieces of a message.
  const std::string begun = header + sized("\x01", 2);
  EXPECT_EQ(parse(begun + "\x17"), Parsed::kInvalid);
  EXPECT_EQ(parse(begun + "\x16\x02"), Parsed::kInvalid);
}

TEST(ClientHello, SizeIsKnownEarly) {
  const std::string bytes = records(Message().text());
  EXPECT_EQ(parse(bytes, bytes.size()), Parsed::kHello);
  EXPECT_EQ(parse(bytes, bytes.size() - 1), Parsed::kTooLarge);
  EXPECT_EQ(parse(bytes.substr(0, 9), bytes.size() - 1), Parsed::kTooLarge);
  EXPECT_EQ(parse(bytes.substr(0, 8), bytes.size() - 1), Parsed::kNotYet);
  // The headers of records count, and a message of 16 MiB is not waited for.
  const std::string pieces = records(Message().text(), 1);
  EXPECT_EQ(parse(pieces, pieces.size()), Parsed::kHello);
  EXPECT_EQ(parse(pieces, pieces.size() - 1), Parsed::kTooLarge);
  EXPECT_EQ(parse(number(22, 1) + numbers({0x0301, 100}) + "\x01\xff\xff\xff"), Parsed::kTooLarge);
}

TEST(ClientHello, WhatDoesNotAddUpIsInvalid) {
  EXPECT_EQ(parse_with(&Message::version, numbers({0x0203})), Parsed::kInvalid);
  EXPECT_EQ(parse_with(&Message::session, sized(std::string(33, 's'), 1)), Parsed::kInvalid);
  EXPECT_EQ(parse_with(&Message::ciphers, numbers({0})), Parsed::kInvalid);
  EXPECT_EQ(parse_with(&Message::ciphers, sized("abc", 2)), Parsed::kInvalid);
  EXPECT_EQ(parse_with(&Message::compressions, number(0, 1)), Parsed::kInvalid);
  EXPECT_EQ(parse_with(&Message::extensions, "\1"), Parsed::kInvalid);
  EXPECT_EQ(parse_with(&Message::extensions, numbers({5})), Parsed::kInvalid);
  EXPECT_EQ(parse_with(&Message::extensions, numbers({0}) + "x"), Parsed::kInvalid);
  EXPECT_EQ(parse_extensions(number(9, 2)), Parsed::kInvalid);
  EXPECT_EQ(parse_extensions(numbers({9, 1})), Parsed::kInvalid);
  EXPECT_EQ(parse_extensions(extension(9, "") + extension(9, "")), Parsed::kInvalid);
  EXPECT_EQ(parse_extensions(extension(9, "") + extension(0xff01, "x")), Parsed::kHello);
  // A message of which every beginning is cut off.
  const std::string message = Message().text().substr(4);
  for (size_t size = 0; size < message.size(); ++size) {
    const Parsed parsed = parse(records(number(1, 1) + sized(message.substr(0, size), 3)));
    const bool before_extensions = size == message.size() - Message().extensions.size();
    EXPECT_EQ(parsed, before_extensions ? Parsed::kHello : Parsed::kInvalid) << size;
  }
}

TEST(ClientHello, OneNameOfPrintableText) {
  const auto names = [](const std::string& list) { return parse_extensions(extension(0, list)); };
  const auto name = [](const std::string& text, int type = 0) { return number(type, 1) + sized(text, 2); };
  EXPECT_EQ(names(sized(name("a_b.example"), 2)), Parsed::kHello);
  EXPECT_EQ(names(""), Parsed::kInvalid);
  EXPECT_EQ(names(sized("", 2)), Parsed::kInvalid);
  EXPECT_EQ(names(sized(name(""), 2)), Parsed::kInvalid);
  EXPECT_EQ(names(sized(name("a", 1), 2)), Parsed::kInvalid);
  EXPECT_EQ(names(sized(name("a") + name("b"), 2)), Parsed::kInvalid);
  EXPECT_EQ(names(sized(name("a"), 2) + "x"), Parsed::kInvalid);
  EXPECT_EQ(names(sized(name(std::string(255, 'a')), 2)), Parsed::kHello);
  EXPECT_EQ(names(sized(name(std::string(256, 'a')), 2)), Parsed::kInvalid);
  for (const std::string& odd : {std::string("a\0b", 3), std::string("a\r\nb"), std::string("a b"), std::string("\x7f"),
                                 std::string("\xc3\xa4")}) {
    EXPECT_EQ(names(sized(name(odd), 2)), Parsed::kInvalid) << odd;
  }
}

TEST(ClientHello, ListsAreWhole) {
  EXPECT_EQ(parse_extensions(extension(16, sized("", 2))), Parsed::kInvalid);
  EXPECT_EQ(parse_extensions(protocols({"h2", ""})), Parsed::kInvalid);
  EXPECT_EQ(parse_extensions(extension(16, sized("\x05h2", 2))), Parsed::kInvalid);
  EXPECT_EQ(parse_extensions(extension(16, sized("\x02h2", 2) + "x")), Parsed::kInvalid);
  for (uint16_t type : {10, 13}) {
    EXPECT_EQ(parse_extensions(extension(type, sized("abcd", 2))), Parsed::kHello);
    EXPECT_EQ(parse_extensions(extension(type, sized("abc", 2))), Parsed::kInvalid);
    EXPECT_EQ(parse_extensions(extension(type, sized("", 2))), Parsed::kInvalid);
  }
  EXPECT_EQ(parse_extensions(extension(11, sized("a", 1))), Parsed::kHello);
  EXPECT_EQ(parse_extensions(extension(11, sized("", 1))), Parsed::kInvalid);
  EXPECT_EQ(parse_extensions(extension(43, sized("ab", 1))), Parsed::kHello);
  EXPECT_EQ(parse_extensions(extension(43, sized("a", 1))), Parsed::kInvalid);
}

// The published examples of both.
TEST(Fingerprint, Ja3) {
  ASSERT_TRUE(crypto::open_library().ok());
  Message message;
  message.version = numbers({769});
  message.ciphers = sized(numbers({0x0a0a, 47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4}), 2);
  message.extensions =
      sized(extension(0xfafa, "") + server_name("a") + extension(10, sized(numbers({0x1a1a, 23, 24, 25}), 2)) +
                extension(11, sized(number(0, 1), 1)),
            2);
  const std::string bytes = records(message.text());
  ClientHello hello;
  ASSERT_EQ(parse_client_hello(bytes, 16384, hello), Parsed::kHello);
  EXPECT_EQ(ja3_text(hello), "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0");
  EXPECT_EQ(ja3(hello), "ada70206e40642a3e4461f35503241d5");
}

TEST(Fingerprint, Ja3OfAClientWithoutExtensions) {
  ASSERT_TRUE(crypto::open_library().ok());
  Message message;
  message.version = numbers({769});
  message.ciphers = sized(numbers({4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99}), 2);
  message.extensions = "";
  const std::string bytes = records(message.text());
  ClientHello hello;
  ASSERT_EQ(parse_client_hello(bytes, 16384, hello), Parsed::kHello);
  EXPECT_EQ(ja3_text(hello), "769,4-5-10-9-100-98-3-6-19-18-99,,,");
  EXPECT_EQ(ja3(hello), "de350869b8c85de67a350c8d186f11e6");
}

std::string ja4_of(const Message& message) {
  const std::string bytes = records(message.text());
  ClientHello hello;
  EXPECT_EQ(parse_client_hello(bytes, 16384, hello), Parsed::kHello);
  return ja4(hello);
}

TEST(Fingerprint, Ja4) {
  ASSERT_TRUE(crypto::open_library().ok());
  Message message;
  message.ciphers = sized(numbers({0x0a0a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8,
                                   0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035}),
                          2);
  message.extensions =
      sized(extension(0x1a1a, "") + extension(0x001b, "") + server_name("a.example") + extension(0x0033, "") +
                protocols({"h2", "http/1.1"}) + extension(0x4469, "") + extension(0x0017, "") + extension(0x002d, "") +
                extension(0x000d, sized(numbers({0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601}), 2)) +
                extension(0x0005, "") + extension(0x0023, "") + extension(0x0012, "") +
                extension(0x002b, sized(numbers({0x2a2a, 0x0303, 0x0304}), 1)) + extension(0xff01, "") +
                extension(0x000b, sized(number(0, 1), 1)) + extension(0x000a, sized(numbers({29}), 2)) +
                extension(0x0015, ""),
            2);
  EXPECT_EQ(ja4_of(message), "t13d1516h2_8daaf6152771_e5627efa2ab1");
}

TEST(Fingerprint, Ja4OfLittle) {
  ASSERT_TRUE(crypto::open_library().ok());
  Message message;
  message.ciphers = sized(numbers({0x0a0a}), 2);
  message.extensions = "";
  EXPECT_EQ(ja4_of(message), "t12i000000_000000000000_000000000000");
  message.version = numbers({0x0301});
  message.extensions = sized(protocols({"\xab\xcd"}), 2);
  EXPECT_EQ(ja4_of(message), "t10i0001ad_000000000000_000000000000");
  std::string many;
  for (uint16_t i = 0; i < 120; ++i) many += numbers({static_cast<uint16_t>(0xc000 + i)});
  message.ciphers = sized(many, 2);
  message.version = numbers({0x0300});
  message.extensions = sized(protocols({"x"}), 2);
  EXPECT_EQ(ja4_of(message).substr(0, 10), "ts3i9901xx");
  message.version = numbers({0x0305});
  EXPECT_EQ(ja4_of(message).substr(0, 3), "t00");
  message.version = numbers({0x0302});
  EXPECT_EQ(ja4_of(message).substr(0, 3), "t11");
}

class TlsInspector : public testing::Test {
 protected:
  // The verdict after all pieces.
  Verdict inspect(FakeConnection& connection, std::initializer_list<std::string> pieces, const Proto& proto = {}) {
    const auto* descriptor = PluginScope::registry().listener_filter(proto.GetTypeName());
    config_ = make_config(plugins_, descriptor->make_config, proto);
    auto filter = descriptor->make(config_);
    EXPECT_EQ(filter->on_accept(connection, connection.facts), Verdict::kNeedMore);
    EXPECT_EQ(filter->wanted(), 1u);
    std::string bytes;
    Verdict verdict = Verdict::kNeedMore;
    size_t consumed = 0;
    for (const std::string& piece : pieces) {
      EXPECT_EQ(verdict, Verdict::kNeedMore) << "before " << piece;
      bytes += piece;
      verdict = filter->inspect(bytes, false, connection.facts, consumed);
      if (verdict == Verdict::kNeedMore) {
        EXPECT_GT(filter->wanted(), bytes.size());
      }
    }
    EXPECT_EQ(consumed, 0u);
    return verdict;
  }
  uint64_t count(const std::string& name) { return plugins_.store().counter("tls_inspector." + name).value(); }
  static std::string why(FakeConnection& connection) {
    const stream::Metadata* metadata = connection.info().metadata();
    if (metadata == nullptr) return "";
    const stream::Value* value =
        metadata->root().find(std::vector<std::string>{"envoy.filters.listener.tls_inspector", "failure_reason"});
    return value != nullptr ? std::string(value->string()) : "";
  }

  PluginScope plugins_;
  TestLane lane_;
  filter::ConfigPtr config_;
};

TEST_F(TlsInspector, TellsWhatTheClientWants) {
  Message message;
  message.extensions = sized(server_name("WWW.Example"), 2);
  FakeConnection without(lane_);
  EXPECT_EQ(inspect(without, {records(message.text())}), Verdict::kDone);
  EXPECT_EQ(without.facts.transport_protocol, "tls");
  EXPECT_EQ(without.facts.server_name, "www.example");
  EXPECT_TRUE(without.facts.application_protocols.empty());
  EXPECT_EQ(without.info().ja3, "");

  message.extensions = sized(protocols({"h2", "http/1.1"}), 2);
  const std::string bytes = records(message.text(), 60);
  FakeConnection with(lane_);
  EXPECT_EQ(inspect(with, {bytes.substr(0, 1), bytes.substr(1, 3), bytes.substr(4, 90), bytes.substr(94)}),
            Verdict::kDone);
  EXPECT_EQ(with.facts.server_name, "");
  EXPECT_EQ(with.facts.application_protocols, (std::vector<std::string>{"h2", "http/1.1"}));
  for (const char* once : {"sni_found", "sni_not_found", "alpn_found", "alpn_not_found"})
    EXPECT_EQ(count(once), 1u) << once;
  EXPECT_EQ(count("tls_found"), 2u);
}

TEST_F(TlsInspector, WhoDoesNotSpeakItGoesOn) {
  FakeConnection plain(lane_);
  EXPECT_EQ(inspect(plain, {"GET / HTTP/1.1\r\n"}), Verdict::kDone);
  EXPECT_EQ(plain.facts.transport_protocol, "");
  EXPECT_EQ(why(plain), "ClientHelloNotDetected");
  Message broken;
  broken.compressions = number(0, 1);
  FakeConnection odd(lane_);
  EXPECT_EQ(inspect(odd, {records(broken.text())}), Verdict::kDone);
  EXPECT_EQ(odd.facts.transport_protocol, "");
  EXPECT_EQ(count("tls_not_found"), 2u);

  Proto strict;
  strict.set_close_connection_on_client_hello_parsing_errors(true);
  for (const std::string& bytes : {std::string("GET / HTTP/1.1\r\n"), records(broken.text())}) {
    FakeConnection closed(lane_);
    EXPECT_EQ(inspect(closed, {bytes}, strict), Verdict::kReject);
  }
}

TEST_F(TlsInspector, TooMuchIsRefused) {
  Message large;
  large.extensions = sized(extension(21, std::string(400, '\0')), 2);
  const std::string bytes = records(large.text());
  Proto proto;
  proto.mutable_max_client_hello_size()->set_value(static_cast<uint32_t>(bytes.size()));
  FakeConnection fits(lane_);
  EXPECT_EQ(inspect(fits, {bytes}, proto), Verdict::kDone);
  proto.mutable_max_client_hello_size()->set_value(static_cast<uint32_t>(bytes.size() - 1));
  FakeConnection refused(lane_);
  EXPECT_EQ(inspect(refused, {bytes.substr(0, 20)}, proto), Verdict::kReject);
  EXPECT_EQ(why(refused), "ClientHelloTooLarge");
  EXPECT_EQ(count("client_hello_too_large"), 1u);
}

TEST_F(TlsInspector, FingerprintsWhenAsked) {
  Proto proto;
  proto.mutable_enable_ja3_fingerprinting()->set_value(true);
  FakeConnection first(lane_);
  EXPECT_EQ(inspect(first, {records(Message().text())}, proto), Verdict::kDone);
  EXPECT_EQ(first.info().ja3.size(), 32u);
  EXPECT_EQ(first.info().ja4, "");
  proto.mutable_enable_ja3_fingerprinting()->set_value(false);
  proto.mutable_enable_ja4_fingerprinting()->set_value(true);
  FakeConnection second(lane_);
  EXPECT_EQ(inspect(second, {records(Message().text())}, proto), Verdict::kDone);
  EXPECT_EQ(second.info().ja3, "");
  EXPECT_EQ(second.info().ja4.substr(0, 10), "t12d0202h2");
}

}  // namespace
}  // namespace weir::test
