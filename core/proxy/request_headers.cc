#include "core/proxy/request_headers.h"

#include <algorithm>
#include <span>
#include <utility>

#include "core/base/uuid.h"
#include "core/http/chars.h"
#include "core/http/parameters.h"
#include "core/proxy/client_detection.h"

namespace weir::proxy {

using http::HeaderId;

namespace {

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
    HeaderId::kXEnvoyUpstreamStreamDurationMs,
    HeaderId::kXEnvoyExpectedRqTimeoutMs,
    HeaderId::kXEnvoyOriginalUrl,
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

Duration parse_grpc_timeout(std::string_view text) {
  constexpr size_t kMaxDigits = 8;
  uint64_t number = 0;
  if (text.size() < 2 || text.size() > kMaxDigits + 1 || !http::parse_decimal(text.substr(0, text.size() - 1), number))
    return {};
  const auto count = static_cast<int64_t>(number);
  switch (text.back()) {
    case 'H':
      return std::chrono::hours(std::min<int64_t>(count, 1'000'000));  // a century is for ever
    case 'M':
      return std::chrono::minutes(count);
    case 'S':
      return std::chrono::seconds(count);
    case 'm':
      return std::chrono::milliseconds(count);
    case 'u':
      return std::chrono::microseconds(count);
    case 'n':
      return std::chrono::nanoseconds(count);
    default:
      return {};
  }
}

Duration grpc_timeout(const http::HeaderMap& headers, Duration longest, std::optional<Duration> offset) {
  Duration timeout = parse_grpc_timeout(headers.get(HeaderId::kGrpcTimeout));
  if (offset && timeout > *offset) timeout -= *offset;
  if (longest > Duration::zero() && (timeout == Duration::zero() || timeout > longest)) timeout = longest;
  return timeout;
}

Duration grpc_stream_timeout(Duration granted, Duration longest, Duration offset) {
  if (longest > Duration::zero()) granted = std::min(granted, longest);
  return std::max<Duration>(granted - offset, 1ns);
}

void set_grpc_timeout(http::HeaderMap& headers, Duration timeout, Arena& arena) {
  if (timeout <= Duration::zero()) {
    headers.remove(HeaderId::kGrpcTimeout);
    return;
  }
  constexpr int64_t kMost = 99'999'999;
  const int64_t ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  const std::string text = ms <= kMost ? std::to_string(ms) + "m" : std::to_string(std::min(ms / 1000, kMost)) + "S";
  headers.set(HeaderId::kGrpcTimeout, arena.copy(text));
}

namespace {

// Trailers are what weir and the next one can both do; the codings are each connection's own (RFC 9110 10.1.4). The
// codec of HTTP/1 names TE in Connection; nobody else is to see that.
void keep_only_te_trailers(http::HeaderMap& headers) {
  bool trailers = false;
  headers.for_each([&](const http::HeaderEntry& entry) {
    if (entry.id != HeaderId::kTe) return;
    http::for_each_member(entry.value(), [&](std::string_view member) {
      trailers |= http::equals_ignoring_case(http::without_parameters(member), "trailers");
    });
  });
  if (!trailers) {
    headers.remove(HeaderId::kTe);
    return;
  }
  headers.set(HeaderId::kTe, "trailers");
}

}  // namespace

bool connection_names_too_much(const http::HeaderMap& headers) {
  constexpr size_t kMostNames = 10;
  size_t names = 0;
  bool found = false;
  headers.for_each([&](const http::HeaderEntry& entry) {
    if (entry.id != HeaderId::kConnection) return;
    http::for_each_member(entry.value(), [&](std::string_view token) {
      found |= ++names >= kMostNames || token.front() == ':';
      for (const HeaderId id : {HeaderId::kXForwardedFor, HeaderId::kXForwardedHost, HeaderId::kXForwardedProto})
        found |= http::equals_ignoring_case(token, http::name_of(id));
    });
  });
  return found;
}

void remove_named(http::HeaderMap& headers, std::string_view named) {
  http::for_each_member(named, [&headers](std::string_view token) {
    headers.remove_if([token](const http::HeaderEntry& entry) {
      return entry.name_size > 0 && entry.name_data[0] != ':' && http::equals_ignoring_case(entry.name(), token);
    });
  });
}

void remove_hop_by_hop(http::HeaderMap& headers, std::string* named) {
  // What Connection names goes with it (RFC 9110 7.6.1); there may be several such fields.
  while (headers.contains(HeaderId::kConnection)) {
    http::for_each_member(headers.get(HeaderId::kConnection), [&](std::string_view token) {
      for (std::string_view own : {"close", "keep-alive", "te", "connection"}) {
        if (http::equals_ignoring_case(token, own)) return;
      }
      remove_named(headers, token);
      if (named != nullptr && !http::equals_ignoring_case(token, "upgrade")) named->append(token).append(",");
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
  if (headers.contains(HeaderId::kTe)) [[unlikely]]
    keep_only_te_trailers(headers);
}

void set_upgrade(http::HeaderMap& headers, std::string_view protocol) {
  headers.set(HeaderId::kConnection, "upgrade");
  headers.set(HeaderId::kUpgrade, protocol);
}

bool is_h2c_offer(const http::HeaderMap& headers) {
  return http::equals_ignoring_case(headers.get(HeaderId::kUpgrade), "h2c");
}

namespace {

bool is_internal(const ConnectionManagerConfig& config, const net::Address& address) {
  return config.internal_addresses != nullptr && config.internal_addresses->contains(address);
}

void append_forwarded_for(const ConnectionManagerConfig& config, const net::Address& peer, http::HeaderMap& headers,
                          Arena& arena) {
  char text[net::Address::kMaxText];
  const std::string_view forwarded = headers.get(HeaderId::kXForwardedFor);
  const std::string_view mapped = config.map_ipv4_peers && peer.family() == net::Family::kIpv4 ? "::ffff:" : "";
  const std::string_view own = peer.ip_to_text(text);
  headers.set(HeaderId::kXForwardedFor,
              forwarded.empty() ? arena.concat(mapped, own) : arena.concat(forwarded, ",", mapped, own));
}

std::string_view forwarded_proto(const ConnectionManagerConfig& config, bool is_tls, const stream::StreamInfo& info) {
  if (config.forward_proto != nullptr) {
    const uint16_t port = info.downstream_local.port();
    const auto names = [port](const std::vector<uint16_t>& ports) {
      return std::find(ports.begin(), ports.end(), port) != ports.end();
    };
    if (names(config.forward_proto->https_ports)) return "https";
    if (names(config.forward_proto->http_ports)) return "http";
  }
  return is_tls ? "https" : "http";
}

}  // namespace

namespace {

// Proxies add to the list by a line of their own, too: the first line alone would be what the client has written.
std::string_view join_forwarded_for(http::HeaderMap& headers, Arena& arena) {
  static const http::HeaderName kName(HeaderId::kXForwardedFor);
  if (!headers.contains(HeaderId::kXForwardedFor)) return {};
  const std::string_view all = headers.get_all(kName, arena);
  if (all.data() != headers.get(HeaderId::kXForwardedFor).data()) headers.set(kName, all);
  return all;
}

// One line of this name, and no two opinions.
bool is_said_once(HeaderId id, const http::HeaderMap& headers) {
  return headers.contains(id) && headers.count(http::HeaderName(id)) == 1;
}

}  // namespace

ClientIdentity identify_downstream(const ConnectionManagerConfig& config, bool is_tls, http::HeaderMap& headers,
                                   stream::StreamInfo& info, Arena& arena) {
  ClientIdentity identity;
  const net::Address peer = info.downstream_remote;  // as listener filters have it
  const std::string_view forwarded = join_forwarded_for(headers, arena);
  // What a proxy before this one says of the connection counts, if such a proxy is known.
  const bool overwrites = config.use_remote_address && config.xff_trusted_hops == 0;
  if (config.use_remote_address) {
    if (config.xff_trusted_hops > 0) {
      net::Address client = parse_forwarded(forwarded_address(forwarded, config.xff_trusted_hops - 1));
      if (!client.empty()) info.downstream_remote = client;
    }
    identity.internal = is_internal(config, info.downstream_remote) && forwarded.empty();
    identity.edge = !identity.internal;
    if (peer.is_ip() && !config.skip_xff_append) append_forwarded_for(config, peer, headers, arena);
  } else if (!config.client_detection.empty()) {
    const DetectedClient client = detect_client(config.client_detection, peer, headers);
    identity.reject_status = client.reject_status;
    if (client.reject_status != 0) return identity;
    if (!client.address.empty()) info.downstream_remote = client.address;
    identity.internal = client.may_be_internal && is_internal(config, client.address);
    if (client.append_peer && peer.is_ip()) append_forwarded_for(config, peer, headers, arena);
  } else {
    const bool single_address = forwarded.find(',') == std::string_view::npos;
    net::Address client = parse_forwarded(forwarded_address(forwarded, config.xff_trusted_hops));
    if (!client.empty()) info.downstream_remote = client;
    identity.internal = !client.empty() && is_internal(config, client) && single_address;
  }
  if (overwrites || !is_said_once(HeaderId::kXForwardedProto, headers))
    headers.set(HeaderId::kXForwardedProto, forwarded_proto(config, is_tls, info));
  if (config.append_forwarded_port && (overwrites || !headers.contains(HeaderId::kXForwardedPort)))
    headers.set(HeaderId::kXForwardedPort, arena.number(info.downstream_local.port()));
  if (identity.internal) {
    headers.set(HeaderId::kXEnvoyInternal, "true");
    return identity;
  }
  if (headers.contains_any(HeaderId::kXEnvoyAttemptCount, HeaderId::kXEnvoyUpstreamStreamDurationMs)) {
    remove_all(kInternalOnly, headers);
    if (identity.edge) remove_all(kOfTheWay, headers);
  }
  char text[net::Address::kMaxText];
  if (identity.edge && info.downstream_remote.is_ip())
    headers.set(HeaderId::kXEnvoyExternalAddress, arena.copy(info.downstream_remote.ip_to_text(text)));
  return identity;
}

void ensure_request_id(http::HeaderMap& headers, bool replace, Random& random, Arena& arena) {
  if (headers.contains(HeaderId::kXRequestId) && !replace) return;
  char* text = arena.allocate_bytes(kUuidSize);
  write_uuid(text, random);
  headers.set(HeaderId::kXRequestId, {text, kUuidSize});
}

}  // namespace weir::proxy
