#include "core/proxy/client_detection.h"

#include "core/http/chars.h"
#include "core/http/url.h"

namespace weir::proxy {

std::string_view forwarded_address(std::string_view list, uint32_t from_end) {
  while (true) {
    size_t comma = list.rfind(',');
    std::string_view last = http::trim_spaces(comma == std::string_view::npos ? list : list.substr(comma + 1));
    if (from_end == 0) return last;
    if (comma == std::string_view::npos) return {};
    --from_end;
    list = list.substr(0, comma);
  }
}

net::Address parse_forwarded(std::string_view text) {
  if (text.empty()) return {};
  auto parsed = net::Address::from_ip(text, 0);
  if (parsed.ok()) return *parsed;
  // Some proxies write the port too.
  http::HostPort parts;
  if (!http::split_host_port(text, parts)) return {};
  std::string_view host = parts.host;
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  parsed = net::Address::from_ip(host, http::port_number(parts.port));
  return parsed.ok() ? *parsed : net::Address();
}

namespace {

// The last address that is none of a trusted proxy: it is what the first untrusted one has connected from. If all are
// trusted, the first of the list.
net::Address first_untrusted(const match::AddressRanges& trusted, std::string_view list) {
  net::Address client;
  for (uint32_t from_end = 0;; ++from_end) {
    const std::string_view text = forwarded_address(list, from_end);
    if (text.empty()) return client;
    client = parse_forwarded(text);
    if (client.empty() || !trusted.contains(client)) return client;
  }
}

}  // namespace

DetectedClient detect_client(const std::vector<ClientDetection>& ways, const net::Address& peer,
                             const http::HeaderMap& headers) {
  DetectedClient found;
  for (const ClientDetection& way : ways) {
    if (way.kind == ClientDetection::Kind::kHeader) {
      // Of several lines the first may be the client's own.
      if (headers.count(way.header) == 1) found.address = parse_forwarded(http::trim_spaces(headers.get(way.header)));
      found.may_be_internal = way.may_be_internal;
      if (found.address.empty() && way.reject_status != 0) {
        found.reject_status = way.reject_status;
        return found;
      }
    } else {
      const std::string_view list = headers.get(http::HeaderId::kXForwardedFor);
      if (way.kind == ClientDetection::Kind::kForwardedFor) {
        found.address = parse_forwarded(forwarded_address(list, way.trusted_hops));
      } else if (way.trusted.contains(peer)) {
        found.address = first_untrusted(way.trusted, list);
      }
      found.may_be_internal = list.find(',') == std::string_view::npos;
      found.append_peer = way.append_peer;
    }
    if (!found.address.empty()) return found;
  }
  return {};
}

}  // namespace weir::proxy
