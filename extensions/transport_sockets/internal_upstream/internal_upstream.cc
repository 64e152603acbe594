// envoy.transport_sockets.internal_upstream: towards an internal listener, what another transport socket makes of it.
#include "core/filter/register.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/extensions/transport_sockets/internal_upstream/v3/internal_upstream.pb.h"

namespace weir::plugins {
void transport_socket_internal_upstream(filter::RegistryBuilder& registry) {
  using Proto = envoy::extensions::transport_sockets::internal_upstream::v3::InternalUpstreamTransport;
  filter::TransportSocketDescriptor descriptor;
  descriptor.name = "envoy.transport_sockets.internal_upstream";
  descriptor.type = Proto::descriptor()->full_name();
  descriptor.make_upstream = [](const google::protobuf::Message& message, filter::FactoryScope& scope) {
    return Result<std::unique_ptr<const filter::UpstreamTransport>>(filter::make_upstream_transport(
        static_cast<const Proto&>(message).transport_socket(), scope, "transport_socket"));
  };
  registry.add(std::move(descriptor));
}
}  // namespace weir::plugins
