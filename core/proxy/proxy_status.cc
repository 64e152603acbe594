#include "core/proxy/proxy_status.h"

#include <algorithm>

#include "core/http/chars.h"
#include "core/proxy/request_headers.h"

namespace weir::proxy {

using http::HeaderId;
using stream::ResponseFlag;

namespace {

// RFC 9209 2.3, with the status code that each recommends (0: none).
struct ProxyError {
  std::string_view type;
  uint16_t status;
};
constexpr ProxyError kConnectionTimeout{"connection_timeout", 504};
constexpr ProxyError kHttpResponseTimeout{"http_response_timeout", 504};

struct FlagError {
  ResponseFlag flag;
  ProxyError error;
};
// The first flag that is set counts: causes before what came of them.
constexpr FlagError kErrors[] = {
    {ResponseFlag::kDnsResolutionFailed, {"dns_error", 502}},
    {ResponseFlag::kFailedLocalHealthCheck, {"destination_unavailable", 503}},
    {ResponseFlag::kNoHealthyUpstream, {"destination_unavailable", 503}},
    {ResponseFlag::kNoClusterFound, {"destination_unavailable", 503}},
    {ResponseFlag::kNoRouteFound, {"destination_not_found", 500}},
    {ResponseFlag::kUpstreamRequestTimeout, kHttpResponseTimeout},
    {ResponseFlag::kUpstreamMaxStreamDurationReached, kHttpResponseTimeout},
    {ResponseFlag::kStreamIdleTimeout, kHttpResponseTimeout},
    {ResponseFlag::kDurationTimeout, kHttpResponseTimeout},
    {ResponseFlag::kUpstreamConnectionFailure, {"connection_refused", 502}},
    {ResponseFlag::kUpstreamConnectionTermination, {"connection_terminated", 502}},
    {ResponseFlag::kUpstreamRemoteReset, {"connection_terminated", 502}},
    {ResponseFlag::kLocalReset, kConnectionTimeout},
    {ResponseFlag::kUpstreamProtocolError, {"http_protocol_error", 502}},
    {ResponseFlag::kUpstreamOverflow, {"connection_limit_reached", 503}},
    {ResponseFlag::kUpstreamRetryLimitExceeded, {"destination_unavailable", 503}},
    {ResponseFlag::kRateLimited, {"connection_limit_reached", 503}},
    {ResponseFlag::kRateLimitServiceError, {"connection_limit_reached", 503}},
    {ResponseFlag::kOverloadManager, {"connection_limit_reached", 503}},
    {ResponseFlag::kNoFilterConfigFound, {"proxy_configuration_error", 500}},
    {ResponseFlag::kInvalidEnvoyRequestHeaders, {"http_request_error", 0}},
    {ResponseFlag::kDownstreamProtocolError, {"http_request_error", 0}},
};

const ProxyError* error_of(const stream::StreamInfo& info) {
  for (const FlagError& one : kErrors) {
    if (!info.flags.has(one.flag)) continue;
    // Nothing was sent yet: it is the connection that did not come.
    if (one.flag == ResponseFlag::kUpstreamRequestTimeout && info.upstream.first_tx == MonoTime{})
      return &kConnectionTimeout;
    return &one.error;
  }
  return nullptr;
}

// Inside quotes (RFC 8941 3.3.3): visible ASCII and spaces; what is none becomes "?".
void append_quoted(std::string_view text, std::string& out) {
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c >= 0x20 && c < 0x7f ? c : '?';
  }
}

// Where values are put together before they move to the arena. Keeps its room; one per thread.
thread_local std::string value;

}  // namespace

std::string proxy_status_name(std::string_view name) {
  const bool starts_well =
      !name.empty() && (name[0] == '*' || (name[0] >= 'a' && name[0] <= 'z') || (name[0] >= 'A' && name[0] <= 'Z'));
  if (starts_well && http::is_token(name)) return std::string(name);
  std::string quoted = "\"";
  append_quoted(name, quoted);
  return quoted += '"';
}

void add_proxy_status(const ProxyStatusConfig& config, const stream::StreamInfo& info, http::HeaderMap& headers,
                      Arena& arena) {
  const ProxyError* error = error_of(info);
  if (error == nullptr) return;
  value.assign(config.name).append("; error=").append(error->type);
  if (config.details && !info.details.empty()) {
    value += "; details=\"";
    append_quoted(info.details, value);
    if (config.connection_details && !info.connection_details.empty()) {
      value += "; ";
      append_quoted(info.connection_details, value);
    }
    if (config.response_flags) {
      value += "; ";
      bool first = true;
      for (int i = 0; i < static_cast<int>(ResponseFlag::kCount); ++i) {
        if (!info.flags.has(static_cast<ResponseFlag>(i))) continue;
        if (!first) value += ',';
        first = false;
        value += stream::short_name(static_cast<ResponseFlag>(i));
      }
    }
    value += '"';
  }
  static const http::HeaderName kProxyStatus("proxy-status");
  const std::string_view before = headers.get(kProxyStatus);
  headers.set(kProxyStatus, before.empty() ? arena.copy(value) : arena.concat(before, ", ", value));
  if (config.recommended_code && error->status != 0) headers.set(HeaderId::kStatus, arena.number(error->status));
}

}  // namespace weir::proxy
