#include "filters/listener/proxy_protocol/header.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "core/stream/proxy_header.h"

namespace weir::filters::proxy_protocol {
namespace {

using namespace std::string_view_literals;
constexpr std::string_view kSignature1 = "PROXY "sv;
constexpr std::string_view kSignature2 = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr size_t kHead2 = 16;

bool may_begin(std::string_view bytes, std::string_view signature) {
  const size_t common = std::min(bytes.size(), signature.size());
  return bytes.substr(0, common) == signature.substr(0, common);
}

uint8_t byte_at(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }
uint16_t number_at(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

// Takes a word and the one blank behind it, unless it is the last.
bool take_word(std::string_view& line, bool last, std::string_view& word) {
  const size_t end = line.find(' ');
  if ((end == std::string_view::npos) != last) return false;
  word = line.substr(0, end);
  line.remove_prefix(last ? line.size() : end + 1);
  return !word.empty();
}

bool read_port(std::string_view text, uint16_t& port) {
  if (text.size() > 1 && text[0] == '0') return false;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size();
}

bool read_address(std::string_view ip, std::string_view port_text, bool v6, net::Address& out) {
  uint16_t port = 0;
  if (!read_port(port_text, port) || (ip.find(':') != std::string_view::npos) != v6) return false;
  if (ip.find('%') != std::string_view::npos) return false;  // scopes mean nothing to others
  Result<net::Address> address = net::Address::from_ip(ip, port);
  if (address.ok()) out = *address;
  return address.ok();
}

// Without its line break.
bool parse_line(std::string_view line, Header& header) {
  line.remove_prefix(kSignature1.size());
  // "the receiver must ignore anything presented before the CRLF"
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) {
    header.local = true;
    return true;
  }
  std::string_view family, source, destination, source_port, destination_port;
  if (!take_word(line, false, family) || !take_word(line, false, source) || !take_word(line, false, destination) ||
      !take_word(line, false, source_port) || !take_word(line, true, destination_port))
    return false;
  if (family != "TCP4" && family != "TCP6") return false;
  const bool v6 = family == "TCP6";
  return read_address(source, source_port, v6, header.source) &&
         read_address(destination, destination_port, v6, header.destination);
}

Parsed parse_v1(std::string_view bytes, Header& header) {
  header.version = Version::kV1;
  const std::string_view room = bytes.substr(0, kMaxSizeV1);
  const size_t end = room.find('\n');
  if (end == std::string_view::npos) {
    header.needed = bytes.size() + 1;
    return bytes.size() < kMaxSizeV1 ? Parsed::kNotYet : Parsed::kInvalid;
  }
  if (room[end - 1] != '\r' || !parse_line(room.substr(0, end - 1), header)) return Parsed::kInvalid;
  header.size = end + 1;
  return Parsed::kHeader;
}

net::Address address_at(std::string_view bytes, size_t ip, size_t port, bool v6) {
  if (v6) {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    std::memcpy(&in.sin6_addr, bytes.data() + ip, 16);
    std::memcpy(&in.sin6_port, bytes.data() + port, 2);
    return net::Address::from_sockaddr(reinterpret_cast<sockaddr*>(&in), sizeof in);
  }
  sockaddr_in in{};
  in.sin_family = AF_INET;
  std::memcpy(&in.sin_addr, bytes.data() + ip, 4);
  std::memcpy(&in.sin_port, bytes.data() + port, 2);
  return net::Address::from_sockaddr(reinterpret_cast<sockaddr*>(&in), sizeof in);
}

bool are_whole(std::string_view tlvs) {
  stream::Tlv one;
  while (stream::next_tlv(tlvs, one)) {
  }
  return tlvs.empty();
}

Parsed parse_v2(std::string_view bytes, Header& header) {
  header.version = Version::kV2;
  header.needed = kHead2;
  if (bytes.size() < kHead2) return Parsed::kNotYet;
  const uint8_t command = byte_at(bytes, 12);
  const uint8_t family = byte_at(bytes, 13);
  const size_t length = number_at(bytes, 14);
  // LOCAL with any family, or PROXY of a stream.
  enum : uint8_t { kLocal = 0x20, kProxy = 0x21, kUnspecified = 0x00, kTcp4 = 0x11, kTcp6 = 0x21, kUnixStream = 0x31 };
  if (command != kLocal && command != kProxy) return Parsed::kInvalid;
  size_t addresses = 0;
  if (command == kProxy) {
    switch (family) {
      case kUnspecified:
        break;
      case kTcp4:
        addresses = 12;
        break;
      case kTcp6:
        addresses = 36;
        break;
      case kUnixStream:
        addresses = 216;
        break;
      default:
        return Parsed::kInvalid;
    }
    if (length < addresses) return Parsed::kInvalid;
  }
  header.needed = kHead2 + length;
  if (bytes.size() < header.needed) return Parsed::kNotYet;
  header.size = header.needed;
  header.local = command == kLocal || (family != kTcp4 && family != kTcp6);
  if (command == kLocal) return Parsed::kHeader;  // whatever else it says is to be ignored
  if (!header.local) {
    const bool v6 = family == kTcp6;
    const size_t ip = v6 ? 16 : 4;
    header.source = address_at(bytes, kHead2, kHead2 + 2 * ip, v6);
    header.destination = address_at(bytes, kHead2 + ip, kHead2 + 2 * ip + 2, v6);
  }
  header.tlvs = bytes.substr(kHead2 + addresses, length - addresses);
  return are_whole(header.tlvs) ? Parsed::kHeader : Parsed::kInvalid;
}

}  // namespace

Parsed parse_header(std::string_view bytes, Wanted wanted, Header& header) noexcept {
  header = Header{};
  const bool v1 = wanted.v1 && may_begin(bytes, kSignature1);
  const bool v2 = wanted.v2 && may_begin(bytes, kSignature2);
  if (!v1 && !v2) return Parsed::kAbsent;
  if (v1 && bytes.size() >= kSignature1.size()) return parse_v1(bytes, header);
  if (v2 && bytes.size() >= kSignature2.size()) return parse_v2(bytes, header);
  header.needed = bytes.size() + 1;
  return Parsed::kNotYet;
}

}  // namespace weir::filters::proxy_protocol
