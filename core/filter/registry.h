// Every plugin of the binary, by the type URL of its configuration message. The table is generated from the build
// (tools/cmake/WeirBuild.cmake) and handed around as `const Registry&`; tests make smaller ones.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/filter/factory.h"
#include "core/filter/http_filter.h"
#include "core/filter/listener_filter.h"
#include "core/filter/network_filter.h"
#include "core/filter/transport_socket.h"
#include "core/filter/udp_filter.h"
#include "core/stream/access_logger.h"

namespace weir::lb {
struct PolicyDescriptor;
}

namespace weir::filter {

using ConfigPtr = std::shared_ptr<const void>;
using MakeConfig = std::function<Result<ConfigPtr>(const google::protobuf::Message& message, FactoryScope& scope)>;

struct HttpFilterDescriptor {
  std::string_view name;        // "envoy.filters.http.buffer"
  std::string_view type;        // full name of the configuration message
  std::string_view route_type;  // of the per-route message; empty: none
  uint32_t route_kind = 0;      // the same as a number; by RegistryBuilder::add()
  bool terminal = false;
  bool downstream = true;  // may stand in a connection manager
  bool upstream = false;   // may stand between the router and an upstream
  uint8_t hooks = 0;       // Hook bits that the class overrides
  uint32_t size = 0;
  uint32_t alignment = 1;
  HttpFilter* (*construct)(void* memory, const void* config) = nullptr;
  void (*destroy)(HttpFilter& filter) = nullptr;  // nullptr: nothing to destroy
  BodyMode (*request_body)(const void* config) = nullptr;
  BodyMode (*response_body)(const void* config) = nullptr;
  MakeConfig make_config;
  MakeConfig make_route_config;
};

struct NetworkFilterDescriptor {
  std::string_view name;
  std::string_view type;
  bool terminal = false;
  // Makes the filter of a new connection. [worker] Destroyed with the connection.
  std::unique_ptr<NetworkFilter> (*make)(const ConfigPtr& config, event::Lane& lane) = nullptr;
  MakeConfig make_config;
};

struct ListenerFilterDescriptor {
  std::string_view name;
  std::string_view type;
  std::unique_ptr<ListenerFilter> (*make)(const ConfigPtr& config) = nullptr;
  MakeConfig make_config;
};

// Among the listener filters of a UDP listener.
struct UdpFilterDescriptor {
  std::string_view name;  // "envoy.filters.udp_listener.udp_proxy"
  std::string_view type;
  // [worker] It keeps what it needs of the configuration.
  std::unique_ptr<UdpFilter> (*make)(const ConfigPtr& config, DatagramHost& host) = nullptr;
  MakeConfig make_config;
};

struct AccessLoggerDescriptor {
  std::string_view name;  // "envoy.access_loggers.file"
  std::string_view type;
  std::function<Result<std::shared_ptr<const stream::AccessLogger>>(const google::protobuf::Message& message,
                                                                    FactoryScope& scope)>
      make_logger;
};

// What stands between sockets and bytes, of one of the sides or of both. What a function makes is published by itself
// and replaced by itself, when the certificates that it has read change. An empty pointer: bytes are what they are.
struct TransportSocketDescriptor {
  std::string_view name;  // "envoy.transport_sockets.tls"
  std::string_view type;
  std::function<Result<std::unique_ptr<const DownstreamTransport>>(const google::protobuf::Message& message,
                                                                   FactoryScope& scope)>
      make_downstream;
  std::function<Result<std::unique_ptr<const UpstreamTransport>>(const google::protobuf::Message& message,
                                                                 FactoryScope& scope)>
      make_upstream;
  // Now and then: what changes with time alone. [main] nullptr: nothing does.
  void (*tend)(MonoTime now) = nullptr;
  // What a process that takes over from this one had better know (keys of session tickets), and its side. May be
  // secret. [main] nullptr: nothing. An empty text: nothing now.
  std::string (*save)() = nullptr;
  Status (*restore)(std::string_view saved) = nullptr;
};

// A plugin of one of the smaller kinds, which other plugins use: "compressor_library", ... What make_config returns
// points at the interface of that kind, which is said where the interface is.
struct ExtensionDescriptor {
  std::string_view kind;
  std::string_view name;
  std::string_view type;
  MakeConfig make_config;
};

class RegistryBuilder;

// "type.googleapis.com/a.B" -> "a.B": what plugins are registered by.
inline std::string_view type_of_url(std::string_view type_url) { return type_url.substr(type_url.rfind('/') + 1); }

class Registry {
 public:
  const HttpFilterDescriptor* http_filter(std::string_view type) const { return find(http_filters_, type); }
  const HttpFilterDescriptor* http_filter_by_route_type(std::string_view type) const {
    return find(http_route_types_, type);
  }
  const NetworkFilterDescriptor* network_filter(std::string_view type) const { return find(network_filters_, type); }
  const ListenerFilterDescriptor* listener_filter(std::string_view type) const { return find(listener_filters_, type); }
  const UdpFilterDescriptor* udp_filter(std::string_view type) const { return find(udp_filters_, type); }
  const AccessLoggerDescriptor* access_logger(std::string_view type) const { return find(access_loggers_, type); }
  const TransportSocketDescriptor* transport_socket(std::string_view type) const {
    return find(transport_sockets_, type);
  }
  void tend_transport_sockets(MonoTime now) const {
    for (const auto& [type, descriptor] : transport_sockets_) {
      if (descriptor->tend != nullptr) descriptor->tend(now);
    }
  }
  // visit(type, saved) for each that has something to save.
  template <class Visit>
  void save_transport_sockets(Visit&& visit) const {
    for (const auto& [type, descriptor] : transport_sockets_) {
      if (descriptor->save == nullptr) continue;
      if (const std::string saved = descriptor->save(); !saved.empty())
        visit(std::string_view(type), std::string_view(saved));
    }
  }
  Status restore_transport_socket(std::string_view type, std::string_view saved) const {
    const TransportSocketDescriptor* descriptor = transport_socket(type);
    if (descriptor == nullptr || descriptor->restore == nullptr) return absl::OkStatus();
    return descriptor->restore(saved);
  }
  const ExtensionDescriptor* extension(std::string_view type) const { return find(extensions_, type); }
  const lb::PolicyDescriptor* lb_policy(std::string_view type) const { return find(lb_policies_, type); }
  // "http_filter", "envoy.filters.http.buffer", "envoy.extensions...": what --list-extensions prints.
  struct Listed {
    std::string_view kind, name, type;
  };
  const std::vector<Listed>& list() const { return list_; }

  // Per-route configuration refers to filters by their configured names. [main]
  static uint32_t intern_filter_name(std::string_view name);

 private:
  friend class RegistryBuilder;
  template <class T>
  using Map = std::map<std::string, T, std::less<>>;
  template <class T>
  static const T* find(const Map<std::shared_ptr<const T>>& map, std::string_view type) {
    auto it = map.find(type);
    return it != map.end() ? it->second.get() : nullptr;
  }
  Map<std::shared_ptr<const HttpFilterDescriptor>> http_filters_;
  Map<std::shared_ptr<const HttpFilterDescriptor>> http_route_types_;
  Map<std::shared_ptr<const NetworkFilterDescriptor>> network_filters_;
  Map<std::shared_ptr<const ListenerFilterDescriptor>> listener_filters_;
  Map<std::shared_ptr<const UdpFilterDescriptor>> udp_filters_;
  Map<std::shared_ptr<const AccessLoggerDescriptor>> access_loggers_;
  Map<std::shared_ptr<const TransportSocketDescriptor>> transport_sockets_;
  Map<std::shared_ptr<const ExtensionDescriptor>> extensions_;
  Map<std::shared_ptr<const lb::PolicyDescriptor>> lb_policies_;
  std::vector<Listed> list_;
};

class RegistryBuilder {
 public:
  RegistryBuilder& add(HttpFilterDescriptor descriptor);
  RegistryBuilder& add(NetworkFilterDescriptor descriptor);
  RegistryBuilder& add(ListenerFilterDescriptor descriptor);
  RegistryBuilder& add(UdpFilterDescriptor descriptor);
  RegistryBuilder& add(AccessLoggerDescriptor descriptor);
  RegistryBuilder& add(TransportSocketDescriptor descriptor);
  RegistryBuilder& add(ExtensionDescriptor descriptor);
  RegistryBuilder& add(std::shared_ptr<const lb::PolicyDescriptor> descriptor, std::string_view name,
                       std::string_view type);
  Registry build() { return std::move(registry_); }

 private:
  Registry registry_;
};

}  // namespace weir::filter

namespace weir {
// The generated table.
void register_built_in_plugins(filter::RegistryBuilder& registry);
}  // namespace weir
