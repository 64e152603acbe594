// The line that makes a class a plugin. Include only in the plugin's .cc file, where its protobuf message is known.
//
//   WEIR_HTTP_FILTER(header_tag, "weir.filters.http.header_tag", Config, Filter)
//
// wants `static Result<std::shared_ptr<const Config>> Config::from_proto(const Message&, FactoryScope&)`, a filter
// constructor `Filter(const Config&)`, and takes, if they exist, `Filter::RouteConfig` with a from_proto of its own,
// `Filter::request_body(const Config&)`, `Filter::response_body(const Config&)`, `Filter::kTerminal` and
// `Filter::kUpstream` (it may stand between the router and an upstream, too).
#pragma once

#include <type_traits>
#include <utility>

#include "core/filter/registry.h"

namespace weir::filter {

// Whether a class declares the hook itself: the type of `&Class::hook` names the class that declares it.
template <class F>
constexpr uint8_t overridden_hooks() {
  uint8_t hooks = 0;
  if (!std::is_same_v<decltype(&F::on_request_headers), decltype(&HttpFilter::on_request_headers)>)
    hooks |= kRequestHeaders;
  if (!std::is_same_v<decltype(&F::on_request_data), decltype(&HttpFilter::on_request_data)>) hooks |= kRequestData;
  if (!std::is_same_v<decltype(&F::on_request_trailers), decltype(&HttpFilter::on_request_trailers)>)
    hooks |= kRequestTrailers;
  if (!std::is_same_v<decltype(&F::on_response_headers), decltype(&HttpFilter::on_response_headers)>)
    hooks |= kResponseHeaders;
  if (!std::is_same_v<decltype(&F::on_response_data), decltype(&HttpFilter::on_response_data)>) hooks |= kResponseData;
  if (!std::is_same_v<decltype(&F::on_response_trailers), decltype(&HttpFilter::on_response_trailers)>)
    hooks |= kResponseTrailers;
  if (!std::is_same_v<decltype(&F::on_complete), decltype(&HttpFilter::on_complete)>) hooks |= kComplete;
  return hooks;
}

namespace internal {

template <class R, class M>
M message_of(R (*)(const M&, FactoryScope&));

// The message type that Config::from_proto takes.
template <class Config>
using ProtoOf = decltype(message_of(&Config::from_proto));

template <class Config>
MakeConfig config_maker() {
  return [](const google::protobuf::Message& message, FactoryScope& scope) -> Result<ConfigPtr> {
    auto result = Config::from_proto(static_cast<const ProtoOf<Config>&>(message), scope);
    if (!result.ok()) return result.status();
    return ConfigPtr(std::move(*result));
  };
}

template <class F>
concept HasRouteConfig = requires {
  typename F::RouteConfig;
};
template <class F, class C>
concept HasRequestBody = requires(const C& c) {
  F::request_body(c);
};
template <class F, class C>
concept HasResponseBody = requires(const C& c) {
  F::response_body(c);
};
template <class F>
concept IsTerminal = requires {
  F::kTerminal;
};
template <class F>
concept MayBeUpstream = requires {
  F::kUpstream;
};

}  // namespace internal

// What a descriptor says of the class itself: everything but names and messages.
template <class Config, class F>
HttpFilterDescriptor describe_class() {
  HttpFilterDescriptor d;
  d.hooks = overridden_hooks<F>();
  d.size = sizeof(F);
  d.alignment = alignof(F);
  d.construct = [](void* memory, const void* config) -> HttpFilter* {
    return new (memory) F(*static_cast<const Config*>(config));
  };
  if constexpr (!std::is_trivially_destructible_v<F>) {
    d.destroy = [](HttpFilter& filter) { static_cast<F&>(filter).~F(); };
  }
  if constexpr (internal::HasRequestBody<F, Config>) {
    d.request_body = [](const void* config) { return F::request_body(*static_cast<const Config*>(config)); };
  }
  if constexpr (internal::HasResponseBody<F, Config>) {
    d.response_body = [](const void* config) { return F::response_body(*static_cast<const Config*>(config)); };
  }
  d.terminal = internal::IsTerminal<F>;
  d.upstream = internal::MayBeUpstream<F>;
  return d;
}

template <class Config, class F>
HttpFilterDescriptor describe_http_filter(std::string_view name) {
  HttpFilterDescriptor d = describe_class<Config, F>();
  d.name = name;
  d.type = internal::ProtoOf<Config>::descriptor()->full_name();
  d.make_config = internal::config_maker<Config>();
  if constexpr (internal::HasRouteConfig<F>) {
    d.route_type = internal::ProtoOf<typename F::RouteConfig>::descriptor()->full_name();
    d.make_route_config = internal::config_maker<typename F::RouteConfig>();
  }
  return d;
}

// F(const Config&, event::Lane&): one per connection. What it was made with outlives it.
template <class Config, class F>
NetworkFilterDescriptor describe_network_filter(std::string_view name) {
  NetworkFilterDescriptor d;
  d.name = name;
  d.type = internal::ProtoOf<Config>::descriptor()->full_name();
  d.terminal = internal::IsTerminal<F>;
  d.make = [](const ConfigPtr& config, event::Lane& lane) -> std::unique_ptr<NetworkFilter> {
    return std::make_unique<F>(*static_cast<const Config*>(config.get()), lane);
  };
  d.make_config = internal::config_maker<Config>();
  return d;
}

// F(const Config&): the same.
template <class Config, class F>
ListenerFilterDescriptor describe_listener_filter(std::string_view name) {
  ListenerFilterDescriptor d;
  d.name = name;
  d.type = internal::ProtoOf<Config>::descriptor()->full_name();
  d.make = [](const ConfigPtr& config) -> std::unique_ptr<ListenerFilter> {
    return std::make_unique<F>(*static_cast<const Config*>(config.get()));
  };
  d.make_config = internal::config_maker<Config>();
  return d;
}

// A plugin of a smaller kind. `Config::from_proto` returns a pointer to the interface of the kind.
template <class Config>
ExtensionDescriptor describe_extension(std::string_view kind, std::string_view name) {
  return {kind, name, internal::ProtoOf<Config>::descriptor()->full_name(), internal::config_maker<Config>()};
}

// The plugin of `kind` that a TypedExtensionConfig names, as the interface T of that kind; nullptr after an error was
// reported. `field`: where it stands below the scope's message.
template <class T, class TypedExtensionConfig>
std::shared_ptr<const T> make_extension(std::string_view kind, const TypedExtensionConfig& proto, FactoryScope& scope,
                                        std::string_view field) {
  FactoryScope below = scope.below(std::string(field) + ".typed_config");
  auto message = scope.report().unpack(proto.typed_config(), below.path());
  if (message == nullptr) return nullptr;
  const ExtensionDescriptor* descriptor = scope.registry().extension(message->GetTypeName());
  if (descriptor == nullptr || descriptor->kind != kind) {
    std::string known;
    for (const Registry::Listed& each : scope.registry().list()) {
      if (each.kind == kind) known += (known.empty() ? "" : ", ") + std::string(each.type);
    }
    below.error("", message->GetTypeName() + " is not a " + std::string(kind) + " of this build; there are: " + known);
    return nullptr;
  }
  auto made = below.made_by(descriptor->make_config, *message);
  return made ? std::static_pointer_cast<const T>(*made) : nullptr;
}

// The transport socket that another one (for clusters) has inside: an envoy.config.core.v3.TransportSocket. nullptr:
// bytes are what they are, or there were errors, all reported.
template <class TransportSocket>
std::unique_ptr<const UpstreamTransport> make_upstream_transport(const TransportSocket& proto, FactoryScope& scope,
                                                                 std::string_view field) {
  FactoryScope below = scope.below(std::string(field) + ".typed_config");
  auto message = scope.report().unpack(proto.typed_config(), below.path());
  if (message == nullptr) return nullptr;
  const TransportSocketDescriptor* descriptor = scope.registry().transport_socket(message->GetTypeName());
  if (descriptor == nullptr || !descriptor->make_upstream) {
    below.error("", message->GetTypeName() + " is no transport socket of this build for clusters");
    return nullptr;
  }
  auto made = below.made_by(descriptor->make_upstream, *message);
  return made ? std::move(*made) : nullptr;
}

}  // namespace weir::filter

#define WEIR_HTTP_FILTER(id, name, Config, Filter)                            \
  namespace weir::plugins {                                                   \
  void http_filter_##id(::weir::filter::RegistryBuilder& registry) {          \
    registry.add(::weir::filter::describe_http_filter<Config, Filter>(name)); \
  }                                                                           \
  }
