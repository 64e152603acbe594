// The server stream's half about tunnels: upgrades (RFC 9110 7.8) and CONNECT (9.3.6), who may have one, and what the
// response makes of it.
#include <algorithm>
#include <array>
#include <cstring>

#include "core/crypto/digest.h"
#include "core/http/chars.h"
#include "core/proxy/request_headers.h"
#include "core/proxy/server_stream.h"

namespace weir::proxy {

using http::HeaderId;

namespace {
const http::HeaderName kWebSocketKey("sec-websocket-key");
const http::HeaderName kWebSocketAccept("sec-websocket-accept");
}  // namespace

// The route's word counts more than the connection manager's, and needs none there.
bool ServerStream::allows_upgrade(std::string_view protocol, const filter::HttpChainConfig*& chain) const {
  bool allowed = false;
  for (const UpgradeConfig& one : config_.upgrades) {
    if (!http::equals_ignoring_case(one.type, protocol)) continue;
    allowed = one.enabled;
    if (one.chain != nullptr) chain = one.chain.get();
  }
  const route::Route* route = selection_.route;
  if (route == nullptr || route->action() != route::ActionKind::kForward) return allowed;
  for (const route::UpgradeSpec& one : route->forward().upgrades()) {
    if (http::equals_ignoring_case(one.type, protocol)) allowed = one.enabled;
  }
  return allowed;
}

// RFC 9110 7.8: a server may ignore what it is offered. False: nothing else is left.
bool ServerStream::drop_ignored_upgrades() {
  http::HeaderMap& headers = stream_.request_headers();
  auto is_ignored = [this](std::string_view protocol) {
    return std::any_of(config_.ignored_upgrades.begin(), config_.ignored_upgrades.end(),
                       [protocol](const match::StringMatcher& one) { return one.matches(protocol); });
  };
  std::string_view rest;
  bool dropped = false;
  headers.for_each([&](const http::HeaderEntry& entry) {
    if (entry.id != HeaderId::kUpgrade) return;
    http::for_each_member(entry.value(), [&](std::string_view protocol) {
      if (is_ignored(protocol))
        dropped = true;
      else
        rest = rest.empty() ? protocol : stream_.arena().concat(rest, ", ", protocol);
    });
  });
  if (dropped && !rest.empty()) headers.set(HeaderId::kUpgrade, rest);
  return !rest.empty();
}

// RFC 8441 5.1: over HTTP/2 nobody proves by a key that the other end speaks WebSocket; servers of HTTP/1 ask for one.
void ServerStream::add_websocket_key(http::HeaderMap& headers, std::string_view protocol) {
  if (!http::equals_ignoring_case(protocol, "websocket") || headers.contains(kWebSocketKey)) return;
  std::array<uint8_t, 16> key;
  for (size_t i = 0; i < key.size(); i += sizeof(uint64_t)) {
    const uint64_t random = stream_.lane().random().next();
    std::memcpy(&key[i], &random, sizeof(random));
  }
  headers.set_copy(kWebSocketKey, crypto::to_base64(key));
}

const filter::HttpChainConfig* ServerStream::chain_for_tunnel(const http::RequestHead& head) {
  const filter::HttpChainConfig* chain = config_.chain.get();
  http::HeaderMap& headers = stream_.request_headers();
  bool allowed = false;
  if (head.is_connect) {
    allowed = allows_upgrade("CONNECT", chain);
  } else {
    // The first of several that is allowed; the server is not offered the others.
    std::string_view chosen;
    http::for_each_member(headers.get(HeaderId::kUpgrade), [&](std::string_view protocol) {
      if (allowed) return;
      const filter::HttpChainConfig* its_chain = config_.chain.get();
      if (!allows_upgrade(protocol, its_chain)) return;
      allowed = true;
      chosen = protocol;
      chain = its_chain;
    });
    if (allowed) headers.set(HeaderId::kUpgrade, chosen);
    // "0", for there is no body. What the upstream's codec is to read as an upgrade must not have one.
    headers.remove(HeaderId::kContentLength);
  }
  if (allowed) return chain;
  connection_.close_after_response();
  stream_.reply_local(403, "upgrade_failed");
  return nullptr;
}

// RFC 9110 9.3.6: to CONNECT, any 2xx says that the target is at the other end from here on. The client would take the
// body for the target's, and send it what only the target may know.
void ServerStream::refuse_local_tunnel(http::HeaderMap& headers, Slices& body) {
  if (stream_.request_headers().method() != "CONNECT" || headers.status_code() / 100 != 2) return;
  headers.set(HeaderId::kStatus, "403");
  headers.remove(HeaderId::kContentType);
  body.clear();
  stream_.info().details = "connect_answered_locally";
}

bool ServerStream::begin_tunnel_response(http::HeaderMap& headers, std::string_view protocol) {
  const int status = headers.status_code();
  const bool connect = stream_.request_headers().method() == "CONNECT";
  if (connect ? status / 100 == 2 : status == 101) {
    if (local_reply_) return false;                  // nobody is there to speak to
    if (!connect && protocol.empty()) return false;  // RFC 9110 15.2.2: it must say what it switches to
    tunnel_ = true;
    if (!connect) set_upgrade(headers, protocol);
    // It answers the key, which no client of HTTP/2 has sent.
    if (stream_.info().protocol == stream::Protocol::kHttp2) headers.remove(kWebSocketAccept);
    config_.stats->cx_upgrades_total.inc();
    config_.stats->cx_upgrades_active.inc();
    if (config_.access_log_on_tunnel) log(stream::AccessLogType::kDownstreamTunnelSuccessfullyEstablished);
    return true;
  }
  // Clients may not wait for the answer to CONNECT: one that refuses is the connection's last (the same request would
  // otherwise let a page smuggle requests to a proxy).
  connection_.refuse_tunnel(connect);
  return status != 101;
}

void ServerStream::on_tunnel_end() {
  tunnel_over_ = true;
  maybe_done();
}

}  // namespace weir::proxy
