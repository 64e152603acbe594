#include "core/filter/registry.h"

#include <unordered_map>

namespace weir::filter {

uint32_t Registry::intern_filter_name(std::string_view name) {
  static std::unordered_map<std::string, uint32_t> ids;  // [main] only
  auto [it, fresh] = ids.try_emplace(std::string(name), static_cast<uint32_t>(ids.size() + 1));
  return it->second;
}

RegistryBuilder& RegistryBuilder::add(HttpFilterDescriptor descriptor) {
  if (!descriptor.route_type.empty()) descriptor.route_kind = Registry::intern_filter_name(descriptor.route_type);
  auto shared = std::make_shared<const HttpFilterDescriptor>(std::move(descriptor));
  registry_.list_.push_back({"http_filter", shared->name, shared->type});
  if (!shared->route_type.empty()) registry_.http_route_types_.emplace(shared->route_type, shared);
  registry_.http_filters_.emplace(shared->type, std::move(shared));
  return *this;
}

RegistryBuilder& RegistryBuilder::add(NetworkFilterDescriptor descriptor) {
  auto shared = std::make_shared<const NetworkFilterDescriptor>(std::move(descriptor));
  registry_.list_.push_back({"network_filter", shared->name, shared->type});
  registry_.network_filters_.emplace(shared->type, std::move(shared));
  return *this;
}

RegistryBuilder& RegistryBuilder::add(ListenerFilterDescriptor descriptor) {
  auto shared = std::make_shared<const ListenerFilterDescriptor>(std::move(descriptor));
  registry_.list_.push_back({"listener_filter", shared->name, shared->type});
  registry_.listener_filters_.emplace(shared->type, std::move(shared));
  return *this;
}

RegistryBuilder& RegistryBuilder::add(UdpFilterDescriptor descriptor) {
  auto shared = std::make_shared<const UdpFilterDescriptor>(std::move(descriptor));
  registry_.list_.push_back({"udp_filter", shared->name, shared->type});
  registry_.udp_filters_.emplace(shared->type, std::move(shared));
  return *this;
}

RegistryBuilder& RegistryBuilder::add(AccessLoggerDescriptor descriptor) {
  auto shared = std::make_shared<const AccessLoggerDescriptor>(std::move(descriptor));
  registry_.list_.push_back({"access_logger", shared->name, shared->type});
  registry_.access_loggers_.emplace(shared->type, std::move(shared));
  return *this;
}

RegistryBuilder& RegistryBuilder::add(TransportSocketDescriptor descriptor) {
  auto shared = std::make_shared<const TransportSocketDescriptor>(std::move(descriptor));
  registry_.list_.push_back({"transport_socket", shared->name, shared->type});
  registry_.transport_sockets_.emplace(shared->type, std::move(shared));
  return *this;
}

RegistryBuilder& RegistryBuilder::add(ExtensionDescriptor descriptor) {
  auto shared = std::make_shared<const ExtensionDescriptor>(std::move(descriptor));
  registry_.list_.push_back({shared->kind, shared->name, shared->type});
  registry_.extensions_.emplace(shared->type, std::move(shared));
  return *this;
}

RegistryBuilder& RegistryBuilder::add(std::shared_ptr<const lb::PolicyDescriptor> descriptor, std::string_view name,
                                      std::string_view type) {
  registry_.list_.push_back({"load_balancer", name, type});
  registry_.lb_policies_.emplace(type, std::move(descriptor));
  return *this;
}

}  // namespace weir::filter
