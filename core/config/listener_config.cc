#include "core/config/listener_config.h"

#include "core/config/address_config.h"
#include "core/config/report.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"

namespace weir::config {
namespace {

namespace pb = envoy::config::listener::v3;
using Hcm = envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

// Statistics and Prometheus labels take the address with ':' replaced, as published.
std::string stat_name_of(const net::Address& address) {
  std::string name = address.to_string();
  for (char& c : name) {
    if (c == ':') c = '_';
  }
  return name;
}

// Routes live in a slot of their own: changing them changes no filter chain.
uint64_t chain_fingerprint(const pb::FilterChain& chain) {
  pb::FilterChain copy = chain;
  for (auto& one : *copy.mutable_filters()) {
    Hcm hcm;
    if (one.has_typed_config() && one.typed_config().Is<Hcm>() && one.typed_config().UnpackTo(&hcm)) {
      hcm.mutable_route_config()->Clear();
      one.mutable_typed_config()->PackFrom(hcm);
    }
  }
  return fingerprint(copy);
}

void read_chain(const pb::FilterChain& proto, filter::FactoryScope scope, proxy::ListenerSpec& spec) {
  scope.check_fields(proto, {"name", "filters", "filter_chain_match"}, {"metadata"});
  // An empty match matches everything; anything in it is a later matter.
  scope.below("filter_chain_match").check_fields(proto.filter_chain_match(), {});
  proxy::FilterChain chain;
  chain.name = proto.name();
  chain.fingerprint = chain_fingerprint(proto);
  scope.set_stat_prefix("listener.");
  for (int i = 0; i < proto.filters_size(); ++i) {
    const pb::Filter& one = proto.filters(i);
    auto here = scope.below("filters[" + std::to_string(i) + "]");
    here.check_fields(one, {"name", "typed_config"});
    if (!one.has_typed_config()) {
      here.error("typed_config", "must be set: the type of this message says which filter it is");
      continue;
    }
    auto message = here.report().unpack(one.typed_config(), here.at("typed_config"));
    if (message == nullptr) continue;
    const filter::NetworkFilterDescriptor* descriptor = scope.registry().network_filter(message->GetTypeName());
    if (descriptor == nullptr) {
      here.error("typed_config",
                 message->GetTypeName() + " is not a network filter of this build (weir --list-extensions shows them)");
      continue;
    }
    if (descriptor->terminal && i + 1 != proto.filters_size())
      here.error("", one.name() + " is terminal and must be the last filter");
    if (!descriptor->terminal && i + 1 == proto.filters_size())
      here.error("", one.name() + " is not terminal; the last filter must be");
    auto below = here.below("typed_config");
    auto config = descriptor->make_config(*message, below);
    if (!config.ok()) {
      below.error("", message_of(config.status()));
      continue;
    }
    chain.filters.push_back({descriptor, std::move(*config)});
  }
  if (proto.filters_size() == 0)
    scope.error("filters", "must not be empty: a chain without filters closes every connection");
  spec.chains.push_back(std::move(chain));
}

void read_socket_options(const pb::Listener& proto, ListenerTranslation& out) {
  out.options.transparent = proto.transparent().value();
  out.options.freebind = proto.freebind().value();
  out.options.ipv4_compat = proto.address().socket_address().ipv4_compat();
  if (proto.has_enable_reuse_port()) out.options.reuse_port = proto.enable_reuse_port().value();
  if (!out.address.is_ip()) {
    out.options.reuse_port = false;
    out.options.unix_mode = proto.address().pipe().mode();
  }
  if (proto.has_tcp_backlog_size()) out.options.backlog = static_cast<int>(proto.tcp_backlog_size().value());
}

}  // namespace

ListenerTranslation identify_listener(const pb::Listener& proto, filter::FactoryScope& scope) {
  ListenerTranslation out;
  out.address = translate_address(proto.address(), scope.at("address"), scope.report());
  out.spec.name = proto.name().empty() ? out.address.to_string() : proto.name();
  out.fingerprint = fingerprint(proto);
  read_socket_options(proto, out);
  return out;
}

ListenerTranslation translate_listener(const pb::Listener& proto, filter::FactoryScope& scope) {
  ListenerTranslation out = identify_listener(proto, scope);
  scope.check_fields(
      proto,
      {"name", "address", "stat_prefix", "filter_chains", "default_filter_chain", "per_connection_buffer_limit_bytes",
       "listener_filters", "listener_filters_timeout", "continue_on_listener_filters_timeout", "transparent",
       "freebind", "reuse_port", "enable_reuse_port", "tcp_backlog_size", "max_connections_to_accept_per_socket_event",
       "bind_to_port"},
      {"metadata", "traffic_direction", "drain_type", "bypass_overload_manager", "ignore_global_conn_limit"});
  if (proto.has_bind_to_port() && !proto.bind_to_port().value())
    scope.error("bind_to_port", "false is not supported by weir yet");
  out.stat_name = proto.stat_prefix().empty() ? stat_name_of(out.address) : proto.stat_prefix();
  if (proto.has_per_connection_buffer_limit_bytes())
    out.spec.buffer_limit = proto.per_connection_buffer_limit_bytes().value();
  if (proto.has_max_connections_to_accept_per_socket_event()) {
    out.spec.accepts_per_turn = proto.max_connections_to_accept_per_socket_event().value();
  }
  if (proto.has_listener_filters_timeout()) {
    const auto& timeout = proto.listener_filters_timeout();
    out.spec.listener_filters_timeout = std::chrono::seconds(timeout.seconds()) + Duration(timeout.nanos());
  }
  out.spec.continue_on_listener_filters_timeout = proto.continue_on_listener_filters_timeout();
  for (int i = 0; i < proto.listener_filters_size(); ++i) {
    auto here = scope.below("listener_filters[" + std::to_string(i) + "]");
    const auto& one = proto.listener_filters(i);
    here.check_fields(one, {"name", "typed_config"});
    auto message = here.report().unpack(one.typed_config(), here.at("typed_config"));
    if (message == nullptr) continue;
    const filter::ListenerFilterDescriptor* descriptor = scope.registry().listener_filter(message->GetTypeName());
    if (descriptor == nullptr) {
      here.error("typed_config", message->GetTypeName() +
                                     " is not a listener filter of this build (weir --list-extensions shows them)");
      continue;
    }
    auto below = here.below("typed_config");
    auto config = descriptor->make_config(*message, below);
    if (!config.ok()) {
      below.error("", message_of(config.status()));
      continue;
    }
    out.spec.listener_filters.push_back({descriptor, std::move(*config)});
  }
  filter::FactoryScope inner = scope;
  inner.set_buffer_limit(out.spec.buffer_limit);
  if (proto.filter_chains_size() > 1) {
    scope.error("filter_chains[1]", "several filter chains are not supported by weir yet");
  }
  for (int i = 0; i < proto.filter_chains_size(); ++i) {
    read_chain(proto.filter_chains(i), inner.below("filter_chains[" + std::to_string(i) + "]"), out.spec);
  }
  if (proto.has_default_filter_chain())
    read_chain(proto.default_filter_chain(), inner.below("default_filter_chain"), out.spec);
  if (out.spec.chains.empty()) scope.error("filter_chains", "must not be empty: the listener would serve nobody");
  return out;
}

}  // namespace weir::config
