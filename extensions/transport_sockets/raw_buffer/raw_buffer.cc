// envoy.transport_sockets.raw_buffer: bytes as they are.
#include "core/filter/register.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"

namespace weir::plugins {
void transport_socket_raw_buffer(filter::RegistryBuilder& registry) {
  filter::TransportSocketDescriptor descriptor;
  descriptor.name = "envoy.transport_sockets.raw_buffer";
  descriptor.type = envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer::descriptor()->full_name();
  // Nothing stands in between.
  descriptor.make_downstream = [](const google::protobuf::Message&, filter::FactoryScope&) {
    return Result<std::unique_ptr<const filter::DownstreamTransport>>(nullptr);
  };
  descriptor.make_upstream = [](const google::protobuf::Message&, filter::FactoryScope&) {
    return Result<std::unique_ptr<const filter::UpstreamTransport>>(nullptr);
  };
  registry.add(std::move(descriptor));
}
}  // namespace weir::plugins
