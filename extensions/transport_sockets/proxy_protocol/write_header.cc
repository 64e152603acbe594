#include "extensions/transport_sockets/proxy_protocol/write_header.h"

namespace weir::transport_sockets {
namespace {

constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kMaxBody = 65535;

void append_number(std::string& to, size_t number) {
  to += static_cast<char>(number >> 8);
  to += static_cast<char>(number);
}

// In 16 bytes: an IPv4 address as the IPv6 address that stands for it (RFC 4291 2.5.5.2).
std::string in_ipv6(const net::Address& address) {
  const std::string bytes(reinterpret_cast<const char*>(address.ip_bytes()), address.ip_size());
  return bytes.size() == 16 ? bytes : std::string(10, '\0') + "\xff\xff" + bytes;
}

std::string text_of(const net::Address& address, bool v6) {
  char buffer[net::Address::kMaxText];
  std::string text(address.ip_to_text(buffer));
  return v6 && address.ip_size() == 4 ? "::ffff:" + text : text;
}

}  // namespace

std::string proxy_header_v1(const net::Address& source, const net::Address& destination) {
  if (!source.is_ip() || !destination.is_ip()) return "PROXY UNKNOWN\r\n";
  const bool v6 = source.ip_size() == 16 || destination.ip_size() == 16;
  return std::string("PROXY ") + (v6 ? "TCP6 " : "TCP4 ") + text_of(source, v6) + " " + text_of(destination, v6) + " " +
         std::to_string(source.port()) + " " + std::to_string(destination.port()) + "\r\n";
}

std::string proxy_header_v2(const net::Address& source, const net::Address& destination, std::span<const Tlv> tlvs,
                            size_t& dropped) {
  dropped = 0;
  std::string header(kSignature);
  if (!source.is_ip() || !destination.is_ip()) return header + std::string("\x20\0\0\0", 4);
  const bool v6 = source.ip_size() == 16 || destination.ip_size() == 16;
  std::string body;
  for (const net::Address* address : {&source, &destination}) {
    body +=
        v6 ? in_ipv6(*address) : std::string(reinterpret_cast<const char*>(address->ip_bytes()), address->ip_size());
  }
  append_number(body, source.port());
  append_number(body, destination.port());
  for (size_t i = 0; i < tlvs.size(); ++i) {
    const Tlv& tlv = tlvs[i];
    if (body.size() + 3 + tlv.value.size() > kMaxBody) {
      dropped = tlvs.size() - i;
      break;
    }
    body += static_cast<char>(tlv.type);
    append_number(body, tlv.value.size());
    body += tlv.value;
  }
  header += '\x21';
  header += v6 ? '\x21' : '\x11';
  append_number(header, body.size());
  return header + body;
}

}  // namespace weir::transport_sockets
