#include "core/proxy/auto_names.h"

#include <algorithm>
#include <new>

#include "core/http/chars.h"
#include "core/http/url.h"
#include "core/net/address.h"
#include "core/stream/filter_state.h"
#include "core/stream/proxy_header.h"

namespace weir::proxy {

constexpr size_t kMaxServerName = 255;
// Stands for what is no name: certificates cannot have it, and so nothing is let through unchecked.
constexpr std::string_view kNoName = "(not a name)";

// Names are made before there is more than one thread.
const stream::FilterStateName kServerName("envoy.network.upstream_server_name");
const stream::FilterStateName kProtocols("envoy.network.application_protocols");
const stream::FilterStateName kExpected("envoy.network.upstream_subject_alt_names");
const stream::FilterStateName kClient(stream::kProxyHeaderName);

namespace {

// The parser's errors take heap, and of the names that are asked for with every request nearly all are no addresses.
bool is_address(std::string_view host) {
  const bool may_be =
      host.find_first_not_of("0123456789.") == std::string_view::npos || host.find(':') != std::string_view::npos;
  return may_be && net::Address::from_ip(host, 0).ok();
}

}  // namespace

filter::UpstreamTransportOptions names_of(const upstream::AutoNames& wanted, const http::HeaderMap& request,
                                          std::string_view told, Arena& arena) {
  filter::UpstreamTransportOptions options;
  if (!wanted.server_name && !wanted.validation) [[likely]]
    return options;
  const std::string_view host_and_port = wanted.header && !told.empty() ? told : request.authority();
  std::string_view host = http::strip_port(host_and_port);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.size() > kMaxServerName) {
    if (wanted.validation) options.expected_names = {&kNoName, 1};
    return options;
  }
  host = arena.copy(host);
  const bool address = bracketed || is_address(host);
  if (wanted.server_name && !address) options.server_name = host;  // RFC 6066 3: an address is no name
  if (wanted.validation) options.expected_names = {arena.make<std::string_view>(host), 1};
  return options;
}

namespace {

// `too_long`: takes the place of a part that is longer than any name; empty: nothing does.
std::span<const std::string_view> parts_of(std::string_view list, std::string_view too_long, Arena& arena) {
  const auto most = static_cast<size_t>(std::count(list.begin(), list.end(), ',')) + 1;
  auto* parts =
      static_cast<std::string_view*>(arena.allocate(most * sizeof(std::string_view), alignof(std::string_view)));
  size_t count = 0;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    std::string_view part = http::trim_spaces(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    if (part.size() > kMaxServerName) part = too_long;
    if (!part.empty()) new (&parts[count++]) std::string_view(arena.copy(part));
  }
  return {parts, count};
}

std::string_view text_in(const stream::StreamInfo& info, stream::FilterStateName name) {
  const stream::FilterStateValue* value = stream::find_filter_state(info, name);
  return value != nullptr && value->kind() == stream::FilterStateValue::Kind::kString ? value->string()
                                                                                      : std::string_view();
}

}  // namespace

void add_filter_state(const stream::StreamInfo& info, filter::UpstreamTransportOptions& options, Arena& arena) {
  const std::string_view name = text_in(info, kServerName);
  if (!name.empty() && name.size() <= kMaxServerName) options.server_name = arena.copy(name);
  if (const auto protocols = parts_of(text_in(info, kProtocols), {}, arena); !protocols.empty())
    options.offered = protocols;
  if (const std::string_view list = text_in(info, kExpected); !list.empty()) {
    const auto names = parts_of(list, kNoName, arena);
    if (!names.empty()) {
      options.expected_names = names;
    } else if (options.expected_names.empty()) {
      options.expected_names = {&kNoName, 1};
    }
  }
}

const stream::ProxyHeader* client_of(const stream::StreamInfo& info, std::unique_ptr<stream::ProxyHeader>& own) {
  std::string_view tlvs;
  const stream::FilterStateValue* kept = stream::find_filter_state(info, kClient);
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
