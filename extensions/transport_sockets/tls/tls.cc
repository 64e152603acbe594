// envoy.transport_sockets.tls: contexts of core/tls, for the connections of a filter chain and for those to the hosts
// of a cluster.
#include <map>

#include "core/filter/register.h"
#include "core/tls/stats.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "extensions/transport_sockets/tls/loaded.h"
#include "extensions/transport_sockets/tls/read_context.h"

namespace weir::transport_sockets {
namespace {

namespace pb = envoy::extensions::transport_sockets::tls::v3;

// One for each listener or cluster, whatever its contexts.
std::shared_ptr<const tls::Stats> stats_of(const stats::GroupKind& kind, filter::FactoryScope& scope) {
  static std::map<const stats::Group*, std::weak_ptr<const tls::Stats>> all;
  auto group = scope.store().group(kind, scope.stat_owner());
  std::erase_if(all, [](const auto& one) { return one.second.expired(); });
  auto& known = all[group.get()];
  auto there = known.lock();
  if (there == nullptr) known = there = std::make_shared<const tls::Stats>(std::move(group));
  return there;
}

// Without a count: connections pin the version that owns it.
template <class Context>
std::shared_ptr<const Context> pinned(const std::unique_ptr<const Context>& context) {
  return std::shared_ptr<const Context>(std::shared_ptr<void>(), context.get());
}

void list(const tls::Identity& identity, filter::CertificateVisitor& visitor) {
  std::vector<filter::CertificateInUse> chain;
  for (const crypto::Certificate& one : identity.certificates()) chain.push_back({identity.origin(), one, {}, {}});
  chain.front().ocsp_this_update = identity.ocsp_this_update();
  chain.front().ocsp_next_update = identity.ocsp_next_update();
  visitor.own(chain);
}
void list(const tls::Verifier* verifier, filter::CertificateVisitor& visitor) {
  if (verifier == nullptr) return;
  for (const auto& one : verifier->trusted()) visitor.trusted({one.origin, one.certificate, {}, {}});
}

class Server final : public filter::DownstreamTransport {
 public:
  explicit Server(std::unique_ptr<const tls::ServerContext> context) : context_(std::move(context)) {}
  std::unique_ptr<net::Transport> make(event::Lane& lane) const override {
    return tls::make_server_transport(pinned(context_), lane);
  }
  void list_certificates(filter::CertificateVisitor& visitor) const override {
    list(context_->verifier(), visitor);
    for (const auto& identity : context_->identities()) list(*identity, visitor);
  }

 private:
  const std::unique_ptr<const tls::ServerContext> context_;
};

class Client final : public filter::UpstreamTransport {
 public:
  Client(std::unique_ptr<const tls::ClientContext> context, bool auto_host_sni)
      : context_(std::move(context)), auto_host_sni_(auto_host_sni) {}
  std::unique_ptr<net::Transport> make(event::Lane& lane, std::string_view host_name,
                                       const filter::UpstreamTransportOptions& options, Slices&) const override {
    tls::ClientOptions own;
    own.server_name = !options.server_name.empty() ? options.server_name : auto_host_sni_ ? host_name : "";
    if (!options.offered.empty())
      own.alpn_protocols.assign(options.offered.begin(), options.offered.end());
    else if (!context_->offers_protocols())
      own.alpn_protocols.assign(options.protocols.begin(), options.protocols.end());
    own.expected_names.assign(options.expected_names.begin(), options.expected_names.end());
    return tls::make_client_transport(pinned(context_), lane, own);
  }
  void list_certificates(filter::CertificateVisitor& visitor) const override {
    list(context_->verifier(), visitor);
    if (const tls::Identity* identity = context_->identity()) list(*identity, visitor);
  }

 private:
  const std::unique_ptr<const tls::ClientContext> context_;
  const bool auto_host_sni_;
};

Result<std::unique_ptr<const filter::DownstreamTransport>> make_server(const google::protobuf::Message& message,
                                                                       filter::FactoryScope& scope) {
  static const stats::GroupKind kKind{"listener", "envoy_listener_address", tls::stat_definitions()};
  auto spec = read_server(static_cast<const pb::DownstreamTlsContext&>(message), scope);
  if (!spec.has_value()) return nullptr;
  spec->stats = stats_of(kKind, scope);
  if (spec->session_ticket_keys.empty()) spec->ticket_ring = ticket_ring();
  auto context = tls::ServerContext::build(std::move(*spec));
  if (!context.ok()) {
    report_fault(context.status(), scope);
    return nullptr;
  }
  return std::make_unique<const Server>(std::move(*context));
}

Result<std::unique_ptr<const filter::UpstreamTransport>> make_client(const google::protobuf::Message& message,
                                                                     filter::FactoryScope& scope) {
  static const stats::GroupKind kKind{"cluster", "envoy_cluster_name", tls::stat_definitions()};
  auto reading = read_client(static_cast<const pb::UpstreamTlsContext&>(message), scope);
  if (!reading.has_value()) return nullptr;
  reading->spec.stats = stats_of(kKind, scope);
  auto context = tls::ClientContext::build(std::move(reading->spec));
  if (!context.ok()) {
    report_fault(context.status(), scope);
    return nullptr;
  }
  return std::make_unique<const Client>(std::move(*context), reading->auto_host_sni);
}

}  // namespace
}  // namespace weir::transport_sockets

namespace weir::plugins {
void transport_socket_tls(filter::RegistryBuilder& registry) {
  using namespace transport_sockets;
  filter::TransportSocketDescriptor server;
  server.name = "envoy.transport_sockets.tls";
  server.type = pb::DownstreamTlsContext::descriptor()->full_name();
  server.make_downstream = make_server;
  server.tend = tend_ticket_ring;
  server.save = save_ticket_ring;
  server.restore = restore_ticket_ring;
  registry.add(std::move(server));
  filter::TransportSocketDescriptor client;
  client.name = "envoy.transport_sockets.tls";
  client.type = pb::UpstreamTlsContext::descriptor()->full_name();
  client.make_upstream = make_client;
  registry.add(std::move(client));
}
}  // namespace weir::plugins
