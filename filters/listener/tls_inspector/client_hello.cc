#include "filters/listener/tls_inspector/client_hello.h"

#include <algorithm>
#include <bitset>

namespace weir::filters::tls_inspector {
namespace {

constexpr uint8_t kHandshake = 22;
constexpr uint8_t kClientHello = 1;
constexpr size_t kMessageHeader = 4;

// Extensions (IANA, TLS ExtensionType Values).
constexpr uint32_t kServerName = 0;
constexpr uint32_t kGroups = 10;
constexpr uint32_t kPointFormats = 11;
constexpr uint32_t kSignatureAlgorithms = 13;
constexpr uint32_t kProtocols = 16;
constexpr uint32_t kVersions = 43;

// A list that is the whole extension: not empty, of whole items.
bool read_list(std::string_view extension, size_t size_bytes, size_t item, std::string_view& list) {
  Reader reader(extension);
  list = reader.sized(size_bytes);
  return reader.ok() && reader.done() && !list.empty() && list.size() % item == 0;
}

// RFC 6066 3. One name, of printable ASCII: it is compared, logged, and put into headers.
bool read_server_name(std::string_view extension, std::string_view& name) {
  Reader reader(extension);
  Reader list(reader.sized(2));
  const uint32_t type = list.number(1);
  name = list.sized(2);
  if (!reader.ok() || !reader.done() || !list.ok() || !list.done() || type != 0) return false;
  return !name.empty() && name.size() <= kMaxServerName &&
         std::ranges::all_of(name, [](char c) { return c > 0x20 && c < 0x7f; });
}

// RFC 7301 3.1.
bool read_protocols(std::string_view extension, std::string_view& protocols) {
  Reader reader(extension);
  protocols = reader.sized(2);
  if (!reader.ok() || !reader.done() || protocols.empty()) return false;
  Reader names(protocols);
  while (!names.done()) {
    if (names.sized(1).empty()) return false;
  }
  return names.ok();
}

bool read_extensions(std::string_view extensions, ClientHello& hello) {
  std::bitset<0x10000> seen;
  Reader reader(extensions);
  while (!reader.done()) {
    const uint32_t type = reader.number(2);
    const std::string_view extension = reader.sized(2);
    if (!reader.ok() || seen.test(type)) return false;
    seen.set(type);
    bool good = true;
    switch (type) {
      case kServerName:
        hello.names_server = true;
        good = read_server_name(extension, hello.server_name);
        break;
      case kGroups:
        good = read_list(extension, 2, 2, hello.groups);
        break;
      case kPointFormats:
        good = read_list(extension, 1, 1, hello.point_formats);
        break;
      case kSignatureAlgorithms:
        good = read_list(extension, 2, 2, hello.signature_algorithms);
        break;
      case kProtocols:
        good = read_protocols(extension, hello.protocols);
        break;
      case kVersions:
        good = read_list(extension, 1, 2, hello.versions);
        break;
      default:
        break;
    }
    if (!good) return false;
  }
  return reader.ok();
}

bool read_message(std::string_view message, ClientHello& hello) {
  Reader reader(message);
  hello.version = static_cast<uint16_t>(reader.number(2));
  reader.take(32);  // random
  const std::string_view session = reader.sized(1);
  hello.ciphers = reader.sized(2);
  const std::string_view compressions = reader.sized(1);
  if (!reader.ok() || hello.version >> 8 != 3 || session.size() > 32 || hello.ciphers.empty() ||
      hello.ciphers.size() % 2 != 0 || compressions.empty()) {
    return false;
  }
  if (reader.done()) return true;  // before TLS 1.3 they may be left out
  hello.extensions = reader.sized(2);
  return reader.ok() && reader.done() && read_extensions(hello.extensions, hello);
}

}  // namespace

// A message may begin in one record and end in another (RFC 8446 5.1), and the first bytes say how long it will be.
Parsed parse_client_hello(std::string_view bytes, size_t max_size, ClientHello& hello) {
  std::string_view whole;  // of the message, while one record has it all
  size_t have = 0;         // bytes of the message in the records so far
  size_t wanted = kMessageHeader;
  size_t at = 0;
  uint8_t header[kMessageHeader] = {};
  hello.joined.clear();
  while (true) {
    // Another record must have the rest, at least. Said before its bytes are looked at, which may not have come yet.
    if (at + kRecordHeader + (wanted - have) > max_size) return Parsed::kTooLarge;
    const std::string_view begun = bytes.substr(at, kRecordHeader);
    if (!begun.empty() && static_cast<uint8_t>(begun[0]) != kHandshake)
      return at == 0 ? Parsed::kNoTls : Parsed::kInvalid;
    if (begun.size() > 1 && begun[1] != 3) return at == 0 ? Parsed::kNoTls : Parsed::kInvalid;
    if (begun.size() < kRecordHeader) break;
    const size_t size = static_cast<size_t>(static_cast<uint8_t>(begun[3])) << 8 | static_cast<uint8_t>(begun[4]);
    if (size == 0 || size > kMaxRecord) return Parsed::kInvalid;
    const std::string_view part = bytes.substr(at + kRecordHeader, size);
    for (size_t i = 0; i < part.size() && have + i < kMessageHeader; ++i)
      header[have + i] = static_cast<uint8_t>(part[i]);
    const size_t known = have + part.size();
    if (known > 0 && header[0] != kClientHello) return Parsed::kInvalid;
    if (known >= kMessageHeader) {
      wanted =
          kMessageHeader + (static_cast<size_t>(header[1]) << 16 | static_cast<size_t>(header[2]) << 8 | header[3]);
    }
    if (at + kRecordHeader + (wanted - have) > max_size) return Parsed::kTooLarge;
    const std::string_view mine = part.substr(0, wanted - have);
    if (have == 0) {
      whole = mine;
    } else {
      if (hello.joined.empty()) hello.joined = whole;
      hello.joined += mine;
      whole = hello.joined;
    }
    have += mine.size();
    if (known >= kMessageHeader && have == wanted) {
      hello.size = at + kRecordHeader + mine.size();
      return read_message(whole.substr(kMessageHeader), hello) ? Parsed::kHello : Parsed::kInvalid;
    }
    if (part.size() < size) {
      at += kRecordHeader + part.size();
      // Of the rest this record has some, and what it has not needs a header at least.
      const size_t in_record = size - part.size();
      const size_t missing = wanted - have;
      hello.needed = at + (missing <= in_record ? missing : missing + kRecordHeader);
      return Parsed::kNotYet;
    }
    at += kRecordHeader + size;
  }
  // Whether it is TLS at all is worth a look at each byte: who speaks something else may be waiting.
  hello.needed = at == 0 ? bytes.size() + 1 : at + kRecordHeader + (wanted - have);
  return Parsed::kNotYet;
}

}  // namespace weir::filters::tls_inspector
