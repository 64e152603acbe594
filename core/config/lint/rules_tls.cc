// Where encryption ends, and certificates.
#include <google/protobuf/message.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/config/data_source.h"
#include "core/config/diagnostics.h"
#include "core/config/lint/certificate_dates.h"
#include "core/config/lint/peer_check.h"
#include "core/config/lint/rules.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/clusters/aggregate/v3/cluster.pb.h"
#include "envoy/extensions/filters/http/ext_authz/v3/ext_authz.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace weir::config::lint {
namespace {

namespace tls_v3 = envoy::extensions::transport_sockets::tls::v3;
using google::protobuf::Message;

constexpr std::chrono::days kSoon{30};  // time enough to notice that renewal does not work

using ProxyProtocolSocket = envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;

bool plain(const envoy::config::core::v3::TransportSocket& socket) {
  if (const auto around = unpack<ProxyProtocolSocket>(socket.typed_config())) return plain(around->transport_socket());
  return socket.name() == "envoy.transport_sockets.raw_buffer" ||
         type_name(socket.typed_config()).starts_with("envoy.extensions.transport_sockets.raw_buffer.");
}

// Whether metadata say all that the match wants.
bool fits(const google::protobuf::Struct& wanted, const google::protobuf::Struct& said) {
  return std::all_of(wanted.fields().begin(), wanted.fields().end(), [&](const auto& field) {
    const auto at = said.fields().find(field.first);
    return at != said.fields().end() && at->second.SerializeAsString() == field.second.SerializeAsString();
  });
}

bool plain(const envoy::config::cluster::v3::Cluster& cluster, const envoy::config::core::v3::Metadata& of_endpoint) {
  const auto& all = of_endpoint.filter_metadata();
  const auto said = all.find("envoy.transport_socket_match");
  for (const auto& one : cluster.transport_socket_matches()) {
    if (fits(one.match(), said != all.end() ? said->second : google::protobuf::Struct::default_instance()))
      return plain(one.transport_socket());
  }
  return !cluster.has_transport_socket() || plain(cluster.transport_socket());
}

// The first endpoint that is another machine's and gets plain text; nullptr: none, or they are not known.
const envoy::config::core::v3::Address* plain_remote_endpoint(const envoy::config::cluster::v3::Cluster& cluster) {
  for (const auto& locality : cluster.load_assignment().endpoints()) {
    for (const auto& one : locality.lb_endpoints()) {
      if (one.endpoint().has_address() && !stays_on_this_machine(one.endpoint().address()) &&
          plain(cluster, one.metadata()))
        return &one.endpoint().address();
    }
  }
  return nullptr;
}

// The encrypted listeners that lead to clusters.
using Routed = std::map<std::string, std::string>;

// Whoever authorises requests gets their headers.
void add_authorizer(const HttpManager& manager, Routed& routed) {
  using envoy::extensions::filters::http::ext_authz::v3::ExtAuthz;
  for (const auto& filter : manager.hcm->http_filters()) {
    const auto authorizer = unpack<ExtAuthz>(filter.typed_config());
    if (authorizer == nullptr) continue;
    routed.try_emplace(authorizer->grpc_service().envoy_grpc().cluster_name(), manager.listener_name());
    routed.try_emplace(authorizer->http_service().server_uri().cluster(), manager.listener_name());
  }
}

// What leads to an aggregate leads to its members.
void add_members(const Model& model, Routed& routed) {
  using envoy::extensions::clusters::aggregate::v3::ClusterConfig;
  std::vector<std::pair<std::string, std::string>> next(routed.begin(), routed.end());
  while (!next.empty()) {
    const auto [name, listener] = std::move(next.back());
    next.pop_back();
    const ClusterEntry* entry = model.cluster(name);
    if (entry == nullptr) continue;
    const auto aggregate = unpack<ClusterConfig>(entry->cluster->cluster_type().typed_config());
    if (aggregate == nullptr) continue;
    for (const std::string& member : aggregate->clusters()) {
      if (routed.try_emplace(member, listener).second) next.emplace_back(member, listener);
    }
  }
}

// The clusters that tcp_proxy joins its connections with.
void add_joined(const envoy::config::listener::v3::Listener& listener,
                const envoy::config::listener::v3::FilterChain& chain, Routed& routed) {
  if (unpack<tls_v3::DownstreamTlsContext>(chain.transport_socket().typed_config()) == nullptr) return;
  for (const auto& filter : chain.filters()) {
    const auto proxy = unpack<envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy>(filter.typed_config());
    if (proxy == nullptr) continue;
    if (!proxy->cluster().empty()) routed.try_emplace(proxy->cluster(), listener.name());
    for (const auto& one : proxy->weighted_clusters().clusters()) routed.try_emplace(one.name(), listener.name());
  }
}

// Names by HTTP's ":authority", one for each connection.
bool names_hosts_by_requests(const envoy::config::cluster::v3::Cluster& cluster) {
  using envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
  for (const auto& [key, any] : cluster.typed_extension_protocol_options()) {
    // Beside them the field of the cluster says nothing.
    if (const auto options = unpack<HttpProtocolOptions>(any))
      return options->upstream_http_protocol_options().auto_sni();
  }
  return cluster.upstream_http_protocol_options().auto_sni();
}

// A filter, wherever it stands.
bool names_hosts_by_state(const Model& model) {
  return model.bootstrap().SerializePartialAsString().find("envoy.network.upstream_server_name") != std::string::npos;
}

// Requests with certificates that nobody vouches for go elsewhere, or may: then they are let in on purpose.
bool routes_by_verification(const Model& model) {
  class Matches final : public Visitor {
   public:
    bool message(const Message& message, const std::string&) override {
      using Options = envoy::config::route::v3::RouteMatch::TlsContextMatchOptions;
      const auto* options = google::protobuf::DynamicCastToGenerated<Options>(&message);
      found = found || (options != nullptr && options->has_validated());
      return !found;
    }
    bool found = false;
  };
  if (model.dynamic_routes()) return true;
  Matches matches;
  visit_listeners(model, matches);
  return matches.found;
}

std::string day_text(std::chrono::sys_seconds time) {
  const std::chrono::year_month_day date(std::chrono::floor<std::chrono::days>(time));
  char text[32];
  snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
           static_cast<unsigned>(date.day()));
  return text;
}

}  // namespace

void plaintext_upstream(const Model& model, Findings& findings) {
  Routed routed;
  for (const HttpManager& manager : model.managers()) {
    if (manager.encrypted) add_authorizer(manager, routed);
  }
  for (const RouteTable& table : model.tables()) {
    if (!table.manager->encrypted) continue;
    for (const auto& host : table.routes->virtual_hosts()) {
      for (const auto& route : host.routes()) {
        routed.try_emplace(route.route().cluster(), table.manager->listener_name());
        for (const auto& one : route.route().weighted_clusters().clusters())
          routed.try_emplace(one.name(), table.manager->listener_name());
        for (const auto& one : route.route().request_mirror_policies())
          routed.try_emplace(one.cluster(), table.manager->listener_name());
      }
    }
  }
  for (const auto& listener : model.bootstrap().static_resources().listeners()) {
    for (const auto& chain : listener.filter_chains()) add_joined(listener, chain, routed);
    if (listener.has_default_filter_chain()) add_joined(listener, listener.default_filter_chain(), routed);
  }
  add_members(model, routed);
  for (const ClusterEntry& entry : model.clusters()) {
    auto from = routed.find(entry.cluster->name());
    if (from == routed.end()) continue;
    const auto* endpoint = plain_remote_endpoint(*entry.cluster);
    if (endpoint == nullptr) continue;
    findings.add(
        entry.path,
        "what listener " + shown(from->second) + " gets over TLS goes to " + address_text(*endpoint) + " in plain text",
        "set transport_socket with an UpstreamTlsContext");
  }
}

void client_certificate_unverified(const Model& model, Findings& findings) {
  class Contexts final : public Visitor {
   public:
    Contexts(const Model& model, Findings& findings) : model_(model), findings_(findings), checks_(model) {}
    bool message(const Message& message, const std::string& path) override {
      const auto* tls = google::protobuf::DynamicCastToGenerated<tls_v3::DownstreamTlsContext>(&message);
      if (tls == nullptr || !tls->require_client_certificate().value()) return true;
      const auto missing = checks_.missing(tls->common_tls_context());
      if (!missing.has_value() || (missing->untrusted && on_purpose())) return true;
      findings_.add(path + ".require_client_certificate", missing->why + ", also one that a client has signed itself",
                    missing->now_what);
      return true;
    }

   private:
    bool on_purpose() {
      if (!on_purpose_) on_purpose_ = routes_by_verification(model_);
      return *on_purpose_;
    }

    const Model& model_;
    Findings& findings_;
    PeerChecks checks_;
    std::optional<bool> on_purpose_;
  };
  Contexts contexts(model, findings);
  visit_listeners(model, contexts);
}

void upstream_tls_unverified(const Model& model, Findings& findings) {
  std::optional<bool> by_state;
  const auto named_by_state = [&] {
    if (!by_state) by_state = names_hosts_by_state(model);
    return *by_state;
  };
  PeerChecks checks(model);
  const auto look_at = [&](const ClusterEntry& entry, const envoy::config::core::v3::TransportSocket& outer,
                           std::string path) {
    const auto* socket = &outer;
    const auto around = unpack<ProxyProtocolSocket>(outer.typed_config());
    if (around != nullptr) {
      socket = &around->transport_socket();
      path += ".typed_config.transport_socket";
    }
    const bool by_name = !socket->has_typed_config() && socket->name() == "envoy.transport_sockets.tls";
    const auto tls = by_name ? std::make_shared<tls_v3::UpstreamTlsContext>()
                             : unpack<tls_v3::UpstreamTlsContext>(socket->typed_config());
    if (tls == nullptr) return;
    if (tls->auto_sni_san_validation() && tls->sni().empty() && !tls->auto_host_sni() &&
        !names_hosts_by_requests(*entry.cluster) && !entry.cluster->has_cluster_type() && !named_by_state())
      findings.add(path + ".typed_config.auto_sni_san_validation",
                   "no server name is sent, and so no certificate is good enough",
                   "set sni, or auto_host_sni, or auto_sni of upstream_http_protocol_options");
    const auto missing = checks.missing(tls->common_tls_context());
    if (!missing.has_value()) return;
    findings.add(path, missing->why + ": whoever is in between can read and change everything",
                 missing->now_what + (missing->untrusted ? "" : " and match_typed_subject_alt_names"));
  };
  for (const ClusterEntry& entry : model.clusters()) {
    look_at(entry, entry.cluster->transport_socket(), entry.path + ".transport_socket");
    for (int i = 0; i < entry.cluster->transport_socket_matches_size(); ++i)
      look_at(entry, entry.cluster->transport_socket_matches(i).transport_socket(),
              entry.path + ".transport_socket_matches[" + std::to_string(i) + "].transport_socket");
  }
}

void certificate_dates(const Model& model, Findings& findings) {
  class Certificates final : public Visitor {
   public:
    explicit Certificates(Findings& findings)
        : findings_(findings), now_(std::chrono::floor<std::chrono::seconds>(findings.now())) {}
    bool message(const Message& message, const std::string& path) override {
      if (const auto* own = google::protobuf::DynamicCastToGenerated<tls_v3::TlsCertificate>(&message)) {
        if (own->has_certificate_chain()) chain(own->certificate_chain(), path + ".certificate_chain");
      } else if (const auto* peers =
                     google::protobuf::DynamicCastToGenerated<tls_v3::CertificateValidationContext>(&message)) {
        if (peers->has_trusted_ca()) authorities(peers->trusted_ca(), path + ".trusted_ca");
      } else if (const auto* named = google::protobuf::DynamicCastToGenerated<tls_v3::SdsSecretConfig>(&message)) {
        if (named->has_sds_config()) secret_of_file(*named, path + ".sds_config");
      }
      return google::protobuf::DynamicCastToGenerated<envoy::config::endpoint::v3::ClusterLoadAssignment>(&message) ==
             nullptr;
    }

   private:
    void secret_of_file(const tls_v3::SdsSecretConfig& named, const std::string& path) {
      const std::string file = sds_file(named.sds_config());
      for (const tls_v3::Secret& secret : secrets_in(file)) {
        if (secret.name() != named.name()) continue;
        within_ = " of secret " + shown(secret.name()) + " in " + file;
        if (secret.tls_certificate().has_certificate_chain()) chain(secret.tls_certificate().certificate_chain(), path);
        if (secret.validation_context().has_trusted_ca()) authorities(secret.validation_context().trusted_ca(), path);
        within_.clear();
      }
    }
    static std::vector<CertificateDates> read(const envoy::config::core::v3::DataSource& source) {
      SourceFault fault;  // who loads it tells of it
      auto pem = read_data_source(source, {size_t{1} << 20}, fault);
      return pem.has_value() ? dates_in_pem(*pem) : std::vector<CertificateDates>();
    }
    void chain(const envoy::config::core::v3::DataSource& source, const std::string& path) {
      const auto all = read(source);
      for (size_t i = 0; i < all.size(); ++i) {
        std::string which = "the certificate";
        if (all.size() > 1) which = "certificate " + std::to_string(i + 1) + " of " + std::to_string(all.size());
        one(which, all[i], path);
      }
    }
    // Bundles hold what has expired for years; it is enough that one of them is good.
    void authorities(const envoy::config::core::v3::DataSource& source, const std::string& path) {
      const auto all = read(source);
      if (all.empty()) return;
      one(all.size() == 1 ? "the certificate" : "the last of " + std::to_string(all.size()) + " certificates",
          *std::max_element(all.begin(), all.end(),
                            [](const auto& a, const auto& b) { return a.not_after < b.not_after; }),
          path);
    }
    void one(const std::string& what, const CertificateDates& dates, const std::string& path) {
      const std::string which = what + within_;
      if (dates.not_after < now_) {
        findings_.add(path, which + " has expired on " + day_text(dates.not_after), "renew it");
      } else if (dates.not_before > now_) {
        findings_.add(path, which + " is not valid before " + day_text(dates.not_before),
                      "wait until then, or check the clock of this machine");
      } else if (dates.not_after < now_ + kSoon) {
        const auto left = std::chrono::duration_cast<std::chrono::days>(dates.not_after - now_).count();
        findings_.add(path,
                      which + " expires on " + day_text(dates.not_after) + ", " +
                          (left == 0 ? "within a day" : "in " + std::to_string(left) + (left == 1 ? " day" : " days")),
                      "renew it");
      }
    }

    Findings& findings_;
    const std::chrono::sys_seconds now_;
    std::string within_;  // where the certificate is, if not at the path
  };
  Certificates certificates(findings);
  visit(model.bootstrap(), "", certificates);
}

}  // namespace weir::config::lint
