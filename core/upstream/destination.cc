#include "core/upstream/destination.h"

#include <charconv>

#include "core/stream/metadata.h"

namespace weir::upstream {

net::Address parse_destination(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.size() > net::Address::kMaxText) return {};
  std::string_view ip = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0) return {};
  if (ip.starts_with('[') != ip.ends_with(']')) return {};
  if (ip.starts_with('[')) {
    ip = ip.substr(1, ip.size() - 2);
  } else if (ip.find(':') != std::string_view::npos) {
    return {};  // an IPv6 address whose last group may be the port
  }
  auto address = net::Address::from_ip(ip, port);
  return address.ok() ? *address : net::Address();
}

namespace {

std::string_view in_metadata(const OriginalDestination& original, const stream::StreamInfo& info) {
  if (original.metadata.empty() || info.metadata == nullptr) return {};
  const stream::Value* value = info.metadata->root().find(original.metadata);
  return value != nullptr && value->kind() == stream::Value::Kind::kString ? value->string() : std::string_view();
}

std::string_view in_headers(const OriginalDestination& original, const http::HeaderMap* headers) {
  if (!original.header || headers == nullptr) return {};
  return headers->get(*original.header);
}

}  // namespace

net::Address find_destination(const OriginalDestination& original, const stream::StreamInfo& info,
                              const http::HeaderMap* headers) {
  net::Address address;
  for (const std::string_view text : {in_metadata(original, info), in_headers(original, headers)}) {
    if (text.empty()) continue;
    address = parse_destination(text);
    if (!address.empty()) break;
    original.host_invalid.inc();
  }
  // Nothing is known of a connection that came straight here.
  if (address.empty() && !info.downstream_direct_local.empty()) address = info.downstream_local;
  if (!address.is_ip()) return {};
  if (original.port != 0) address.set_port(original.port);
  return address;
}

}  // namespace weir::upstream
