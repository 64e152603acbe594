#include "core/config/listener_config.h"

#include <algorithm>
#include <bitset>
#include <memory>
#include <unordered_set>
#include <utility>

#include "core/config/address_config.h"
#include "core/config/chain_choice_config.h"
#include "core/config/report.h"
#include "core/config/shared_messages.h"
#include "core/filter/config_translator.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/listener/original_dst/v3/original_dst.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"

namespace weir::config {
namespace {

namespace listener_v3 = envoy::config::listener::v3;
using Hcm = envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

// Statistics and Prometheus labels take the address with ':' replaced, as published.
std::string stat_name_of(const net::Address& address) {
  std::string name = address.to_string();
  for (char& c : name) {
    if (c == ':') c = '_';
  }
  return name;
}

template <class Options>
void read_socket_options(const Options& protos, const FieldReport& at, net::ListenOptions& options) {
  for (int i = 0; i < protos.size(); ++i)
    translate_socket_option(protos.Get(i), at.item("socket_options", i), options.more);
  const auto other = options.datagrams ? net::SocketOption::Kind::kStream : net::SocketOption::Kind::kDatagram;
  std::erase_if(options.more, [other](const net::SocketOption& one) { return one.kind == other; });
}

using Ports = std::bitset<65536>;

// Where the predicate holds: ports are all that it can ask about.
std::shared_ptr<const Ports> ports_of(const listener_v3::ListenerFilterChainMatchPredicate& proto) {
  using Predicate = listener_v3::ListenerFilterChainMatchPredicate;
  auto ports = std::make_shared<Ports>();
  switch (proto.rule_case()) {
    case Predicate::kOrMatch:
      for (const auto& rule : proto.or_match().rules()) *ports |= *ports_of(rule);
      break;
    case Predicate::kAndMatch:
      ports->set();
      for (const auto& rule : proto.and_match().rules()) *ports &= *ports_of(rule);
      break;
    case Predicate::kNotMatch:
      *ports = ~*ports_of(proto.not_match());
      break;
    case Predicate::kAnyMatch:
      ports->set();
      break;
    case Predicate::kDestinationPortRange: {
      const auto& range = proto.destination_port_range();
      for (int port = std::max(range.start(), 0); port < std::min(range.end(), 65536); ++port)
        ports->set(static_cast<size_t>(port));
      break;
    }
    case Predicate::RULE_NOT_SET:  // the rules have said so
      break;
  }
  return ports;
}

// Of a filter's configuration. Routes live in slots of their own: changing them changes no filter chain.
uint64_t filter_fingerprint(google::protobuf::Message& message) {
  auto* hcm = google::protobuf::DynamicCastToGenerated<Hcm>(&message);
  if (hcm == nullptr || !hcm->has_route_config()) return fingerprint(message);
  envoy::config::route::v3::RouteConfiguration routes;
  routes.Swap(hcm->mutable_route_config());
  const uint64_t all = fingerprint(message);
  routes.Swap(hcm->mutable_route_config());
  return all;
}

bool speaks_http1_alone(const google::protobuf::Message& filter) {
  const auto* manager = google::protobuf::DynamicCastToGenerated<Hcm>(&filter);
  return manager != nullptr && manager->codec_type() == Hcm::HTTP1;
}

void read_chain(const listener_v3::FilterChain& proto, const std::string& address, filter::FactoryScope scope,
                proxy::ListenerSpec& spec) {
  struct Read {
    int index;
    const filter::NetworkFilterDescriptor* descriptor;
    std::unique_ptr<google::protobuf::Message> message;
  };
  std::vector<Read> filters;
  proxy::FilterChain chain;
  chain.name = proto.name();
  listener_v3::FilterChain rest = proto;
  for (auto& filter : *rest.mutable_filters()) filter.clear_typed_config();
  // The default chain is another one than the same chain in the list, and what came in elsewhere came to another one.
  chain.fingerprint = combine(fingerprint(rest), std::hash<std::string>{}(scope.chain_key()));
  chain.fingerprint = combine(chain.fingerprint, std::hash<std::string>{}(address));
  const auto place = [&](int index) { return scope.below("filters[" + std::to_string(index) + "]"); };
  for (int i = 0; i < proto.filters_size(); ++i) {
    const listener_v3::Filter& one = proto.filters(i);
    auto here = place(i);
    if (!one.has_typed_config()) {
      // Of config_discovery the table of fields has said that there is none.
      if (!one.has_config_discovery())
        here.error("typed_config", "must be set: the type of this message says which filter it is");
      continue;
    }
    const filter::NetworkFilterDescriptor* descriptor =
        scope.registry().network_filter(filter::type_of_url(one.typed_config().type_url()));
    if (descriptor == nullptr) {
      // The last filter serves the connection; without any other the chain does nothing.
      here.report().skip_unknown(
          {.kind = "network filter", .name = one.name(), .may_skip = i + 1 != proto.filters_size()}, one.typed_config(),
          here.at("typed_config"));
      continue;
    }
    auto message = here.report().unpack(one.typed_config(), here.at("typed_config"));
    if (message == nullptr) continue;
    if (descriptor->terminal && i + 1 != proto.filters_size())
      here.error("", one.name() + " is terminal and must be the last filter");
    if (!descriptor->terminal && i + 1 == proto.filters_size())
      here.error("", one.name() + " is not terminal; the last filter must be");
    chain.fingerprint = combine(chain.fingerprint, filter_fingerprint(*message));
    filters.push_back({i, descriptor, std::move(message)});
  }
  // What the files of filters hold is not in it, whose routes may be another version's then, too.
  scope.set_chain_version(chain.fingerprint);
  scope.set_stat_prefix("listener.");
  const uint64_t read_before = scope.report().sources_digest();
  if (proto.has_transport_socket_connect_timeout())
    chain.handshake_timeout = to_duration(proto.transport_socket_connect_timeout());
  auto transport = scope.below("transport_socket");
  for (Read& one : filters) {
    transport.set_serves_http1_alone(speaks_http1_alone(*one.message));
    auto config = place(one.index).below("typed_config").made_by(one.descriptor->make_config, *one.message);
    if (config) chain.filters.push_back({one.descriptor, std::move(*config)});
  }
  // Behind the filters: the last of them says what may be offered in a handshake.
  if (proto.has_transport_socket()) {
    chain.transport = transport.routes().transport_socket(proto.transport_socket(), filter::TransportSide::kDownstream,
                                                          {}, scope.chain_key(), transport);
  }
  // Files that its filters have read are part of it.
  chain.fingerprint = combine(chain.fingerprint, scope.report().sources_digest() - read_before);
  if (proto.filters_size() == 0)
    scope.error("filters", "must not be empty: a chain without filters closes every connection");
  spec.chains.push_back(std::move(chain));
}

bool is_udp(const envoy::config::core::v3::Address& proto) {
  return proto.socket_address().protocol() == envoy::config::core::v3::SocketAddress::UDP;
}

// What a listener for datagrams has no use for.
void check_udp(const listener_v3::Listener& proto, const FieldReport& at) {
  const auto refuse = [&](std::string_view field, bool is_set) {
    if (is_set)
      at.error_at(field,
                  "is for connections, which a listener of UDP has not; its listener_filters take the datagrams");
  };
  refuse("filter_chains", !proto.filter_chains().empty());
  refuse("default_filter_chain", proto.has_default_filter_chain());
  refuse("filter_chain_matcher", proto.has_filter_chain_matcher());
  refuse("use_original_dst", proto.use_original_dst().value());
  refuse("access_log", !proto.access_log().empty());
  if (proto.has_bind_to_port() && !proto.bind_to_port().value())
    at.error_at("bind_to_port", "must not be false: nobody hands datagrams over to a listener of UDP");
  const auto warn_at = [](const FieldReport& place) {
    place.warning("has no effect: it is for connections, which a listener of UDP has not");
  };
  const auto warn = [&](std::string_view field, bool is_set) {
    if (is_set) warn_at(at.below(field));
  };
  warn("listener_filters_timeout", proto.has_listener_filters_timeout());
  warn("continue_on_listener_filters_timeout", proto.continue_on_listener_filters_timeout());
  warn("per_connection_buffer_limit_bytes", proto.has_per_connection_buffer_limit_bytes());
  warn("tcp_backlog_size", proto.has_tcp_backlog_size());
  warn("tcp_keepalive", proto.has_tcp_keepalive());
  warn("connection_balance_config", proto.has_connection_balance_config());
  warn("max_connections_to_accept_per_socket_event", proto.has_max_connections_to_accept_per_socket_event());
  warn("ignore_global_conn_limit", proto.ignore_global_conn_limit());
  warn("bypass_overload_manager", proto.bypass_overload_manager());
  for (int i = 0; i < proto.additional_addresses_size(); ++i) {
    if (proto.additional_addresses(i).has_tcp_keepalive())
      warn_at(at.item("additional_addresses", i).below("tcp_keepalive"));
  }
  for (int i = 0; i < proto.listener_filters_size(); ++i) {
    if (proto.listener_filters(i).has_filter_disabled())
      at.item("listener_filters", i)
          .error_at("filter_disabled", "is for connections: a filter of UDP sees all datagrams");
  }
}

void read_udp(const listener_v3::Listener& proto, filter::FactoryScope& scope, ListenerTranslation& out) {
  const FieldReport at{scope.report(), scope.path()};
  auto udp = std::make_shared<proxy::UdpSpec>();
  // Of QUIC the table of fields has said that it is not supported: it is what has connections over UDP.
  if (proto.udp_listener_config().has_quic_options()) {
    out.spec.udp = std::move(udp);
    return;
  }
  check_udp(proto, at);
  const envoy::config::core::v3::UdpSocketConfig& socket = proto.udp_listener_config().downstream_socket_config();
  if (socket.has_max_rx_datagram_size())
    udp->options.max_size = static_cast<uint32_t>(socket.max_rx_datagram_size().value());
  udp->options.gro = socket.prefer_gro().value();
  udp->stats = std::make_shared<const proxy::UdpListenerStats>(scope.store(), out.stat_name);
  filter::FactoryScope inner = scope;
  inner.set_stat_prefix("listener.");
  inner.set_stat_owner(out.stat_name);
  for (int i = 0; i < proto.listener_filters_size(); ++i) {
    const auto& one = proto.listener_filters(i);
    auto here = inner.below("listener_filters[" + std::to_string(i) + "]");
    const std::string_view type = filter::type_of_url(one.typed_config().type_url());
    const filter::UdpFilterDescriptor* descriptor = scope.registry().udp_filter(type);
    if (descriptor == nullptr && scope.registry().listener_filter(type) != nullptr) {
      here.error("typed_config", std::string(type) +
                                     " is for connections; a listener of UDP takes filters of UDP, as " +
                                     "envoy.filters.udp_listener.udp_proxy");
      continue;
    }
    if (descriptor == nullptr) {
      here.report().skip_unknown(
          {.kind = "UDP filter", .name = one.name(), .may_skip = proto.listener_filters_size() > 1}, one.typed_config(),
          here.at("typed_config"));
      continue;
    }
    auto message = here.report().unpack(one.typed_config(), here.at("typed_config"));
    if (message == nullptr) continue;
    const uint64_t read_before = scope.report().sources_digest();
    auto config = here.below("typed_config").made_by(descriptor->make_config, *message);
    if (!config) continue;
    // Files that it has read are part of it.
    const uint64_t read = scope.report().sources_digest() - read_before;
    udp->filters.push_back({descriptor, std::move(*config), combine(fingerprint(one), read)});
  }
  if (proto.listener_filters().empty())
    scope.error("listener_filters", "must not be empty: nobody would take what comes to a listener of UDP");
  out.spec.udp = std::move(udp);
}

// Nobody outside of this process connects to it, so there is nothing to say about how.
void read_internal(const listener_v3::Listener& proto, filter::FactoryScope& scope, ListenerTranslation& out) {
  if (proto.name().empty()) scope.error("name", "must not be empty: endpoints name an internal listener");
  for (const auto& [set, field] :
       {std::pair(proto.has_address(), "address"),
        std::pair(proto.additional_addresses_size() > 0, "additional_addresses"),
        std::pair(proto.has_bind_to_port(), "bind_to_port"), std::pair(proto.has_transparent(), "transparent"),
        std::pair(proto.has_freebind(), "freebind"), std::pair(proto.has_use_original_dst(), "use_original_dst"),
        std::pair(proto.has_udp_listener_config(), "udp_listener_config"),
        std::pair(proto.has_tcp_keepalive(), "tcp_keepalive"),
        std::pair(proto.socket_options_size() > 0, "socket_options"),
        std::pair(proto.has_enable_reuse_port(), "enable_reuse_port")}) {
    if (set) scope.error(field, "is not for an internal listener, which has no address; remove it");
  }
  out.address = internal_listener_address(proto.name());
  out.stat_name = proto.stat_prefix().empty() ? "internal_" + proto.name() : proto.stat_prefix();
  out.spec.internal = true;
}

// Puts a listener filter that `field` needs behind all others, with its defaults. False: it is there already, or cannot
// be had.
bool add_listener_filter(const google::protobuf::Message& message, std::string_view name, const std::string& field,
                         filter::FactoryScope& scope, proxy::ListenerSpec& spec) {
  const filter::ListenerFilterDescriptor* descriptor = scope.registry().listener_filter(message.GetTypeName());
  if (descriptor == nullptr) {
    scope.error(field, "needs the listener filter " + std::string(name));
    return false;
  }
  for (const proxy::ListenerFilterEntry& entry : spec.listener_filters) {
    if (entry.descriptor == descriptor) return false;
  }
  auto config = scope.made_by(descriptor->make_config, message);
  if (config) spec.listener_filters.push_back({descriptor, std::move(*config), nullptr, 0});
  return config.has_value();
}

// As published: use_original_dst, and chains that are chosen by what only a ClientHello says, bring the listener filter
// that finds it out.
void add_implied_filters(const listener_v3::Listener& proto, filter::FactoryScope& scope, proxy::ListenerSpec& spec) {
  if (spec.hands_over)
    add_listener_filter(envoy::extensions::filters::listener::original_dst::v3::OriginalDst(),
                        "envoy.filters.listener.original_dst", "use_original_dst", scope, spec);
  for (int i = 0; i < proto.filter_chains_size(); ++i) {
    const listener_v3::FilterChainMatch& match = proto.filter_chains(i).filter_chain_match();
    const bool any = match.transport_protocol().empty();
    const char* const field = match.transport_protocol() == "tls"             ? "transport_protocol"
                              : any && match.server_names_size() > 0          ? "server_names"
                              : any && match.application_protocols_size() > 0 ? "application_protocols"
                                                                              : nullptr;
    if (field == nullptr) continue;
    constexpr std::string_view kInspector = "envoy.filters.listener.tls_inspector";
    const std::string place = "filter_chains[" + std::to_string(i) + "].filter_chain_match." + field;
    if (add_listener_filter(envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector(), kInspector, place,
                            scope, spec))
      scope.warning(place, "needs the listener filter " + std::string(kInspector) +
                               ", which is not in listener_filters; it runs behind those that are");
    return;
  }
}

std::string name_by_address(const listener_v3::Listener& proto) {
  PositionIndex none;
  Diagnostics unread;
  Report report(none, unread);
  const std::string name = translate_address(proto.address(), "", report, Transport::kTcpOrUdp).to_string();
  return is_udp(proto.address()) ? "udp " + name : name;
}

}  // namespace

std::vector<std::string> listener_names(const google::protobuf::RepeatedPtrField<listener_v3::Listener>& listeners) {
  std::unordered_set<std::string> taken;
  for (const auto& listener : listeners) taken.insert(listener.name());
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(listeners.size()));
  for (const auto& listener : listeners) {
    if (!listener.name().empty() || listener.has_internal_listener()) {
      names.push_back(listener.name());
      continue;
    }
    const std::string address = name_by_address(listener);
    std::string name = address;
    for (size_t i = 2; !taken.insert(name).second; ++i) name = address + "#" + std::to_string(i);
    names.push_back(std::move(name));
  }
  return names;
}

ListenerTranslation translate_listener(const listener_v3::Listener& proto, std::string name,
                                       filter::FactoryScope& scope) {
  ListenerTranslation out;
  const uint64_t read_before = scope.report().sources_digest();
  if (!proto.has_internal_listener())
    out.address = translate_address(proto.address(), scope.at("address"), scope.report(), Transport::kTcpOrUdp);
  out.options.datagrams = is_udp(proto.address());
  if (proto.has_udp_listener_config() && !out.options.datagrams)
    scope.warning("udp_listener_config", "has no effect: the protocol of the listener's address is TCP");
  out.spec.name = std::move(name);
  out.spec.most_connections = runtime::Key("envoy.resource_limits.listener." + out.spec.name + ".connection_limit");
  if (proto.has_metadata()) out.spec.metadata = translate(proto.metadata());
  out.stat_name = proto.stat_prefix().empty() ? stat_name_of(out.address) : proto.stat_prefix();
  if (proto.has_internal_listener()) read_internal(proto, scope, out);
  out.options.transparent = proto.transparent().value();
  out.options.freebind = proto.freebind().value();
  out.options.bind_to_port = !proto.has_bind_to_port() || proto.bind_to_port().value();
  out.spec.hands_over = proto.use_original_dst().value();
  read_listen_options(proto.address(), out.options);
  if (proto.has_enable_reuse_port()) out.options.reuse_port = proto.enable_reuse_port().value();
  if (!out.address.is_ip()) out.options.reuse_port = false;
  out.spec.inbound = proto.traffic_direction() == envoy::config::core::v3::INBOUND;
  if (proto.has_tcp_keepalive()) out.options.keepalive = to_keepalive(proto.tcp_keepalive());
  read_socket_options(proto.socket_options(), {scope.report(), scope.path()}, out.options);
  if (proto.has_tcp_backlog_size()) out.options.backlog = static_cast<int>(proto.tcp_backlog_size().value());
  for (int i = 0; i < proto.additional_addresses_size(); ++i) {
    const auto& more = proto.additional_addresses(i);
    const FieldReport here = FieldReport{scope.report(), scope.path()}.item("additional_addresses", i);
    net::ListenAddress one{
        translate_address(more.address(), here.below("address").path, scope.report(), Transport::kTcpOrUdp),
        out.options};
    if (is_udp(more.address()) != out.options.datagrams)
      here.below("address")
          .below("socket_address")
          .error_at("protocol", "must be that of the listener's address: one listener serves one of TCP and UDP");
    read_listen_options(more.address(), one.options);
    one.options.reuse_port =
        one.address.is_ip() && (!proto.has_enable_reuse_port() || proto.enable_reuse_port().value());
    if (more.has_tcp_keepalive()) one.options.keepalive = to_keepalive(more.tcp_keepalive());
    if (more.has_socket_options()) {
      one.options.more.clear();
      read_socket_options(more.socket_options().socket_options(), here.below("socket_options"), one.options);
    }
    out.more_addresses.push_back(std::move(one));
  }
  if (proto.has_per_connection_buffer_limit_bytes())
    out.spec.buffer_limit = proto.per_connection_buffer_limit_bytes().value();
  if (proto.has_max_connections_to_accept_per_socket_event()) {
    out.spec.accepts_per_turn = proto.max_connections_to_accept_per_socket_event().value();
  }
  if (out.options.datagrams) {
    read_udp(proto, scope, out);
    out.fingerprint = combine(fingerprint(proto), scope.report().sources_digest() - read_before);
    return out;
  }
  out.spec.ignore_global_limit = proto.ignore_global_conn_limit();
  out.spec.bypass_overload = proto.bypass_overload_manager();
  out.spec.drains_with_health = proto.drain_type() == listener_v3::Listener::DEFAULT;
  out.spec.exact_balance = proto.connection_balance_config().has_exact_balance();
  if (proto.has_listener_filters_timeout())
    out.spec.listener_filters_timeout = to_duration(proto.listener_filters_timeout());
  out.spec.continue_on_listener_filters_timeout = proto.continue_on_listener_filters_timeout();
  for (int i = 0; i < proto.listener_filters_size(); ++i) {
    auto here = scope.below("listener_filters[" + std::to_string(i) + "]");
    const auto& one = proto.listener_filters(i);
    const filter::ListenerFilterDescriptor* descriptor =
        scope.registry().listener_filter(filter::type_of_url(one.typed_config().type_url()));
    if (descriptor == nullptr) {
      here.report().skip_unknown({.kind = "listener filter", .name = one.name()}, one.typed_config(),
                                 here.at("typed_config"));
      continue;
    }
    auto message = here.report().unpack(one.typed_config(), here.at("typed_config"));
    if (message == nullptr) continue;
    auto config = here.below("typed_config").made_by(descriptor->make_config, *message);
    if (!config) continue;
    out.spec.listener_filters.push_back({descriptor, std::move(*config), nullptr, fingerprint(one)});
    if (one.has_filter_disabled()) out.spec.listener_filters.back().disabled_ports = ports_of(one.filter_disabled());
  }
  out.spec.access_logs = scope.translator().access_loggers(proto.access_log(), scope, "access_log");
  add_implied_filters(proto, scope, out.spec);
  filter::FactoryScope inner = scope;
  inner.set_buffer_limit(out.spec.buffer_limit);
  inner.set_stat_owner(out.stat_name);
  const std::vector<std::string> keys = chain_keys(proto);
  const std::string address = out.address.to_string();
  for (int i = 0; i < proto.filter_chains_size(); ++i) {
    const listener_v3::FilterChain& chain = proto.filter_chains(i);
    inner.set_chain_key(keys[static_cast<size_t>(i)]);
    read_chain(chain, address, inner.below("filter_chains[" + std::to_string(i) + "]"), out.spec);
  }
  if (proto.has_default_filter_chain()) {
    if (proto.default_filter_chain().filter_chain_match().ByteSizeLong() > 0)
      FieldReport{scope.report(), scope.path()}
          .below("default_filter_chain")
          .below("filter_chain_match")
          .warning("has no effect: this chain is for all that no other one matches");
    inner.set_chain_key(std::string(kDefaultChainKey));
    read_chain(proto.default_filter_chain(), address, inner.below("default_filter_chain"), out.spec);
  }
  translate_chain_choice(proto, {scope.report(), scope.path()}, out.spec);
  if (out.spec.chains.empty()) scope.error("filter_chains", "must not be empty: the listener would serve nobody");
  listener_v3::Listener rest = proto;
  rest.clear_filter_chains();
  rest.clear_default_filter_chain();
  out.fingerprint = combine(fingerprint(rest), static_cast<uint64_t>(proto.filter_chains_size()));
  out.fingerprint = combine(out.fingerprint, scope.report().sources_digest() - read_before);
  for (const proxy::FilterChain& chain : out.spec.chains) out.fingerprint = combine(out.fingerprint, chain.fingerprint);
  return out;
}

}  // namespace weir::config
