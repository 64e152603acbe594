#include "core/proxy/request_headers.h"

#include <charconv>
#include <span>
#include <utility>

#include "core/http/chars.h"
#include "core/http/url.h"

namespace weir::proxy {

using http::HeaderId;

namespace {

// The n-th address from the end of an x-forwarded-for list (0: the last); empty if there are fewer.
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

// Headers that tell a proxy what to do: only a request from inside may have them.
constexpr HeaderId kInternalOnly[] = {
    HeaderId::kXEnvoyInternal,
    HeaderId::kXEnvoyRetryOn,
    HeaderId::kXEnvoyRetryGrpcOn,
    HeaderId::kXEnvoyMaxRetries,
    HeaderId::kXEnvoyUpstreamAltStatName,
    HeaderId::kXEnvoyUpstreamRqTimeoutMs,
    HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs,
    HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse,
    HeaderId::kXEnvoyExpectedRqTimeoutMs,
    HeaderId::kXEnvoyForceTrace,
    HeaderId::kXEnvoyIpTags,
    HeaderId::kXEnvoyHedgeOnPerTryTimeout,
    HeaderId::kXEnvoyRetriableHeaderNames,
    HeaderId::kXEnvoyRetriableStatusCodes,
};
// What other proxies of this network say of a request on its way; nobody has before it enters.
constexpr HeaderId kOfTheWay[] = {
    HeaderId::kXEnvoyDownstreamServiceCluster,
    HeaderId::kXEnvoyDownstreamServiceNode,
    HeaderId::kXEnvoyOriginalPath,
    HeaderId::kXEnvoyOriginalHost,
    HeaderId::kXEnvoyDecoratorOperation,
    HeaderId::kXEnvoyAttemptCount,
    HeaderId::kXEnvoyIsTimeoutRetry,
    HeaderId::kXEnvoyExternalAddress,
};

void remove_all(std::span<const HeaderId> ids, http::HeaderMap& headers) {
  for (HeaderId id : ids) {
    if (headers.contains(id)) headers.remove(id);
  }
}

}  // namespace

std::string_view number_text(uint64_t value, Arena& arena) {
  char* text = arena.allocate_bytes(20);
  return {text, static_cast<size_t>(std::to_chars(text, text + 20, value).ptr - text)};
}

void remove_hop_by_hop(http::HeaderMap& headers) {
  // What Connection names goes with it (RFC 9110 7.6.1); there may be several such fields.
  while (headers.contains(HeaderId::kConnection)) {
    std::string_view named = headers.get(HeaderId::kConnection);
    http::for_each_member(named, [&headers](std::string_view token) {
      for (std::string_view own : {"close", "keep-alive", "te", "connection"}) {
        if (http::equals_ignoring_case(token, own)) return;
      }
      headers.remove_if([token](const http::HeaderEntry& entry) {
        return entry.name_size > 0 && entry.name_data[0] != ':' && http::equals_ignoring_case(entry.name(), token);
      });
    });
    bool first = true;
    headers.remove_if([&first](const http::HeaderEntry& entry) {
      return entry.id == HeaderId::kConnection && std::exchange(first, false);
    });
  }
  if (headers.contains(HeaderId::kKeepAlive)) headers.remove(HeaderId::kKeepAlive);
  if (headers.contains(HeaderId::kProxyConnection)) headers.remove(HeaderId::kProxyConnection);
  if (headers.contains(HeaderId::kTransferEncoding)) headers.remove(HeaderId::kTransferEncoding);
  if (headers.contains(HeaderId::kUpgrade)) headers.remove(HeaderId::kUpgrade);
  if (headers.contains(HeaderId::kTe) && !http::equals_ignoring_case(headers.get(HeaderId::kTe), "trailers"))
    headers.remove(HeaderId::kTe);
}

void set_upgrade(http::HeaderMap& headers, std::string_view protocol) {
  headers.set(HeaderId::kConnection, "upgrade");
  headers.set(HeaderId::kUpgrade, protocol);
}

bool is_h2c_offer(const http::HeaderMap& headers) {
  return http::equals_ignoring_case(headers.get(HeaderId::kUpgrade), "h2c");
}

ClientIdentity identify_downstream(const ConnectionManagerConfig& config, bool is_tls, http::HeaderMap& headers,
                                   stream::StreamInfo& info, Arena& arena) {
  ClientIdentity identity;
  const net::Address& peer = info.downstream_direct_remote;
  std::string_view forwarded = headers.get(HeaderId::kXForwardedFor);
  bool single_address = forwarded.find(',') == std::string_view::npos;
  char text[net::Address::kMaxText];
  if (config.use_remote_address) {
    if (config.xff_trusted_hops > 0) {
      net::Address client = parse_forwarded(forwarded_address(forwarded, config.xff_trusted_hops - 1));
      if (!client.empty()) info.downstream_remote = client;
    }
    identity.internal = info.downstream_remote.is_private() && forwarded.empty();
    identity.edge = !identity.internal;
    if (peer.is_ip() && !config.skip_xff_append) {
      std::string_view own = peer.ip_to_text(text);
      if (forwarded.empty()) {
        headers.set(HeaderId::kXForwardedFor, arena.copy(own));
      } else {
        headers.set(HeaderId::kXForwardedFor, arena.concat(forwarded, ",", own));
      }
    }
    if (config.xff_trusted_hops == 0 || !headers.contains(HeaderId::kXForwardedProto)) {
      headers.set(HeaderId::kXForwardedProto, is_tls ? "https" : "http");
    }
  } else {
    net::Address client = parse_forwarded(forwarded_address(forwarded, config.xff_trusted_hops));
    if (!client.empty()) info.downstream_remote = client;
    identity.internal = !client.empty() && client.is_private() && single_address;
    if (!headers.contains(HeaderId::kXForwardedProto))
      headers.add(HeaderId::kXForwardedProto, is_tls ? "https" : "http");
  }
  if (identity.internal) {
    headers.set(HeaderId::kXEnvoyInternal, "true");
    return identity;
  }
  if (headers.contains_any(HeaderId::kXEnvoyAttemptCount, HeaderId::kXEnvoyUpstreamStreamDurationMs)) {
    remove_all(kInternalOnly, headers);
    if (identity.edge) remove_all(kOfTheWay, headers);
  }
  if (identity.edge && info.downstream_remote.is_ip())
    headers.set(HeaderId::kXEnvoyExternalAddress, arena.copy(info.downstream_remote.ip_to_text(text)));
  return identity;
}

void ensure_request_id(http::HeaderMap& headers, bool replace, Random& random, Arena& arena) {
  if (headers.contains(HeaderId::kXRequestId) && !replace) return;
  static constexpr char kHex[] = "0123456789abcdef";
  uint64_t high = (random.next() & ~uint64_t{0xf000}) | 0x4000;                 // version 4
  uint64_t low = (random.next() & ~(uint64_t{3} << 62)) | (uint64_t{2} << 62);  // variant 1
  char* text = arena.allocate_bytes(36);
  char* at = text;
  auto write = [&](uint64_t value, int digits) {
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) *at++ = kHex[(value >> shift) & 15];
  };
  write(high >> 32, 8);
  *at++ = '-';
  write(high >> 16, 4);
  *at++ = '-';
  write(high, 4);
  *at++ = '-';
  write(low >> 48, 4);
  *at++ = '-';
  write(low, 12);
  headers.set(HeaderId::kXRequestId, {text, 36});
}

}  // namespace weir::proxy
