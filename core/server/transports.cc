#include "core/server/transports.h"

#include <algorithm>

#include "core/config/unknown_extensions.h"
#include "core/filter/registry.h"
#include "core/server/configuration.h"
#include "core/server/slot_name.h"
#include "envoy/config/core/v3/base.pb.h"

namespace weir::server {

using envoy::config::core::v3::TransportSocket;
using filter::TransportSide;

namespace {

constexpr stats::Definition kOfServers[] = {
    {"server_ssl_socket_factory.ssl_context_update_by_sds", stats::Type::kCounter}};
constexpr stats::Definition kOfClients[] = {
    {"client_ssl_socket_factory.ssl_context_update_by_sds", stats::Type::kCounter}};
const stats::GroupKind kListenerKind{"listener", "envoy_listener_address", kOfServers};
const stats::GroupKind kClusterKind{"cluster", "envoy_cluster_name", kOfClients};

}  // namespace

bool Transports::build(const google::protobuf::Message& config, TransportSide side, filter::FactoryScope& scope,
                       StagedTransport& to) {
  const auto& proto = static_cast<const TransportSocket&>(config);
  filter::FactoryScope at = scope.below("typed_config");
  if (!proto.has_typed_config()) {
    at.error({}, "must be set: the type of this message says which transport socket it is");
    return false;
  }
  const std::string_view type = filter::type_of_url(proto.typed_config().type_url());
  const filter::TransportSocketDescriptor* descriptor = scope.registry().transport_socket(type);
  const bool upstream = side == TransportSide::kUpstream;
  // What was meant is worth more than a list, and shown where the type stands.
  if (descriptor == nullptr && !config::suggest_type(type).empty() &&
      at.report().unpack(proto.typed_config(), at.path()) == nullptr)
    return false;
  if (descriptor == nullptr || (upstream ? !descriptor->make_upstream : !descriptor->make_downstream)) {
    std::string known;
    for (const filter::Registry::Listed& each : scope.registry().list()) {
      const auto* one = each.kind == "transport_socket" ? scope.registry().transport_socket(each.type) : nullptr;
      if (one == nullptr || (upstream ? !one->make_upstream : !one->make_downstream)) continue;
      known += (known.empty() ? "" : ", ") + std::string(each.type);
    }
    report_.unsupported(at.path(), std::string(type) + " is no transport socket of this build for " +
                                       (upstream ? "clusters" : "filter chains") + "; there are: " + known);
    return false;
  }
  auto message = at.report().unpack(proto.typed_config(), at.path());
  if (message == nullptr) return false;
  const size_t errors = report_.errors();
  const auto make = [&](const auto& function) {
    if (auto made = at.made_by(function, *message)) to.version = std::move(*made);
  };
  upstream ? make(descriptor->make_upstream) : make(descriptor->make_downstream);
  return to.version != nullptr && report_.errors() == errors;
}

std::optional<event::SlotId> Transports::make(const google::protobuf::Message& config, TransportSide side,
                                              const std::string& owner, const std::string& name,
                                              filter::FactoryScope& scope) {
  StagedTransport staged;
  const bool upstream = side == TransportSide::kUpstream;
  staged.slot_name = slot_name({upstream ? "cluster" : "listener", owner, name});
  staged.facts.owner = (upstream ? "cluster " : "listener ") + owner;
  if (!upstream) staged.listener = owner;
  // Chains, and matches of a cluster, that nothing tells apart are refused elsewhere.
  while (!names_.insert(staged.slot_name).second) staged.slot_name += "'";

  const TransportFacts* goes_on = nullptr;
  if (in_force_ != nullptr) {
    auto at = in_force_->find(staged.slot_name);
    if (at != in_force_->end()) goes_on = &at->second;
  }
  // What it reads counts for it, and not for the chain or the cluster.
  const uint64_t mark = report_.sources().digest();
  const size_t errors = report_.errors();
  if (goes_on != nullptr) report_.diagnostics().demote(std::string(kGoesOn));
  const bool made = build(config, side, scope, staged);
  report_.diagnostics().keep();
  staged.facts.fingerprint = config::combine(config::fingerprint(config), report_.sources().take_since(mark));
  // It counts under that name.
  staged.facts.fingerprint = config::combine(staged.facts.fingerprint, std::hash<std::string>{}(scope.stat_owner()));
  if (!made) {
    if (goes_on == nullptr || report_.errors() == errors) return std::nullopt;
    staged.version = nullptr;
    staged.facts = *goes_on;
  }
  report_.sources().add_dependency();
  staged.facts.updates = scope.store().group(upstream ? kClusterKind : kListenerKind, scope.stat_owner());
  event::SlotId slot = slots_.intern(event::SlotKind::kTransport, staged.slot_name);
  staged_.push_back(std::move(staged));
  return slot;
}

}  // namespace weir::server
