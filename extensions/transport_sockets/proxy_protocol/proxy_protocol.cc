// envoy.transport_sockets.upstream_proxy_protocol: a PROXY header in front of what another transport socket sends.
#include <algorithm>
#include <array>
#include <vector>

#include "core/base/block.h"
#include "core/filter/config_translator.h"
#include "core/filter/register.h"
#include "core/stream/added_tlv.h"
#include "core/stream/proxy_header.h"
#include "core/stream/stream_info.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/proxy_protocol.pb.h"
#include "envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.pb.h"
#include "extensions/transport_sockets/proxy_protocol/write_header.h"

namespace weir::transport_sockets {
namespace {

using envoy::config::core::v3::ProxyProtocolConfig;
using envoy::config::core::v3::ProxyProtocolPassThroughTLVs;
using Proto = envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;

// [immutable]
struct Settings {
  bool v2 = false;
  std::array<bool, 256> passed = {};  // types of TLVs of the client's own header
  std::vector<stream::AddedTlv> added;
  stats::Counter v2_tlvs_exceed_max_length;
};

class ProxyProtocol final : public filter::UpstreamTransport {
 public:
  ProxyProtocol(Settings settings, std::unique_ptr<const filter::UpstreamTransport> inner)
      : settings_(std::move(settings)), inner_(std::move(inner)) {}

  std::unique_ptr<net::Transport> make(event::Lane& lane, std::string_view host_name,
                                       const filter::UpstreamTransportOptions& options, Slices& first) const override {
    const std::string header = header_for(options, lane);
    std::unique_ptr<net::Transport> transport =
        inner_ != nullptr ? inner_->make(lane, host_name, options, first) : nullptr;
    (transport != nullptr ? transport->wire_out() : first).append_copy(header, lane.blocks());
    return transport;
  }
  void list_certificates(filter::CertificateVisitor& visitor) const override {
    if (inner_ != nullptr) inner_->list_certificates(visitor);
  }

 private:
  std::string header_for(const filter::UpstreamTransportOptions& options, event::Lane& lane) const {
    const stream::ProxyHeader* client = options.client;
    static const net::Address kNone;
    const net::Address& source = client != nullptr ? client->source : kNone;
    const net::Address& destination = client != nullptr ? client->destination : kNone;
    if (!settings_.v2) return proxy_header_v1(source, destination);
    std::vector<Tlv> tlvs;
    const std::string added = added_for(source, destination, options.host_tlvs, lane);
    std::string_view left = added;
    for (stream::Tlv tlv; stream::next_tlv(left, tlv);) tlvs.push_back(tlv);
    if (client != nullptr) {
      left = client->tlvs;
      for (stream::Tlv tlv; stream::next_tlv(left, tlv);) {
        if (settings_.passed[tlv.type] && !has_type(options.host_tlvs, tlv.type)) tlvs.push_back(tlv);
      }
    }
    size_t dropped = 0;
    std::string header = proxy_header_v2(source, destination, tlvs, dropped);
    if (dropped > 0) settings_.v2_tlvs_exceed_max_length.inc();
    return header;
  }

  static bool has_type(const stream::HostTlvs* host, uint8_t type) {
    return host != nullptr &&
           std::ranges::any_of(host->entries, [type](const stream::AddedTlv& one) { return one.type == type; });
  }

  // Those of the host, and what else is configured. Formats print what is known of a connection that is about to be
  // opened: the client's addresses, the time, weir.
  std::string added_for(const net::Address& source, const net::Address& destination, const stream::HostTlvs* host,
                        event::Lane& lane) const {
    std::string added;
    if (settings_.added.empty() && host == nullptr) return added;
    stream::StreamInfo info;
    info.start = lane.now();
    info.start_wall = lane.wall_now();
    info.downstream_remote = source;
    info.downstream_local = destination;
    Arena arena(lane.arenas());
    if (host != nullptr) {
      for (const stream::AddedTlv& one : host->entries) one.append_to(added, {info}, arena);
    }
    for (const stream::AddedTlv& one : settings_.added) {
      if (!has_type(host, one.type)) one.append_to(added, {info}, arena);
    }
    return added;
  }

  const Settings settings_;
  const std::unique_ptr<const filter::UpstreamTransport> inner_;  // null: bytes as they are
};

Settings read_settings(const ProxyProtocolConfig& proto, filter::FactoryScope& scope) {
  Settings settings;
  settings.v2 = proto.version() == ProxyProtocolConfig::V2;
  if (proto.has_pass_through_tlvs()) {
    settings.passed.fill(proto.pass_through_tlvs().match_type() == ProxyProtocolPassThroughTLVs::INCLUDE_ALL);
    for (uint32_t type : proto.pass_through_tlvs().tlv_type()) settings.passed[type & 0xff] = true;
  }
  settings.added = filter::translate_all(scope.translator(), &filter::ConfigTranslator::tlv, proto.added_tlvs(),
                                         scope.below("config").at("added_tlvs"));
  for (const stream::AddedTlv& one : settings.added) settings.passed[one.type] = false;  // ours counts
  if (!settings.v2 && (!settings.added.empty() || proto.has_pass_through_tlvs()))
    scope.error("config.version", "V1 carries no TLVs; write V2");
  settings.v2_tlvs_exceed_max_length = scope.store().counter("upstream.proxyprotocol.v2_tlvs_exceed_max_length");
  return settings;
}

Result<std::unique_ptr<const filter::UpstreamTransport>> make(const google::protobuf::Message& message,
                                                              filter::FactoryScope& scope) {
  const auto& proto = static_cast<const Proto&>(message);
  const size_t errors = scope.report().errors();
  Settings settings = read_settings(proto.config(), scope);
  auto inner = filter::make_upstream_transport(proto.transport_socket(), scope, "transport_socket");
  if (scope.report().errors() != errors) return nullptr;
  return std::make_unique<const ProxyProtocol>(std::move(settings), std::move(inner));
}

}  // namespace
}  // namespace weir::transport_sockets

namespace weir::plugins {
void transport_socket_proxy_protocol(filter::RegistryBuilder& registry) {
  filter::TransportSocketDescriptor descriptor;
  descriptor.name = "envoy.transport_sockets.upstream_proxy_protocol";
  descriptor.type = transport_sockets::Proto::descriptor()->full_name();
  descriptor.make_upstream = transport_sockets::make;
  registry.add(std::move(descriptor));
}
}  // namespace weir::plugins
