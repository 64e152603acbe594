#include "core/proxy/auto_names.h"

#include "core/http/url.h"
#include "core/net/address.h"
#include "core/stream/filter_state.h"
#include "core/stream/proxy_header.h"

namespace weir::proxy {

constexpr size_t kMaxServerName = 255;

filter::UpstreamTransportOptions names_of(const upstream::AutoNames& wanted, const http::HeaderMap& request,
                                          std::string_view told, Arena& arena) {
  filter::UpstreamTransportOptions options;
  if (!wanted.server_name && !wanted.validation) [[likely]]
    return options;
  const std::string_view host_and_port = wanted.header && !told.empty() ? told : request.authority();
  std::string_view host = http::strip_port(host_and_port);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.size() > kMaxServerName) return options;
  host = arena.copy(host);
  const bool address = bracketed || net::Address::from_ip(host, 0).ok();
  if (wanted.server_name && !address) options.server_name = host;  // RFC 6066 3: an address is no name
  if (wanted.validation) options.expected_names = {arena.make<std::string_view>(host), 1};
  return options;
}

const stream::ProxyHeader* client_of(const stream::StreamInfo& info, std::unique_ptr<stream::ProxyHeader>& own) {
  static const stream::FilterStateName kName(stream::kProxyHeaderName);
  std::string_view tlvs;
  const stream::FilterStateValue* kept = stream::find_filter_state(info, kName);
  if (kept != nullptr) {
    const auto* header = static_cast<const stream::ProxyHeader*>(kept->object(stream::kProxyHeaderType));
    if (header != nullptr && !header->source.empty()) return header;
    if (header != nullptr) tlvs = header->tlvs;  // it said no addresses, but other things, perhaps
  }
  own = std::make_unique<stream::ProxyHeader>();
  own->tlvs = tlvs;
  own->source = info.connection_remote != nullptr ? *info.connection_remote : info.downstream_direct_remote;
  own->destination = info.downstream_local;
  return own.get();
}

}  // namespace weir::proxy
