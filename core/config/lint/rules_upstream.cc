// Clusters: whether anything uses them, and what their health checks really do.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cstdint>
#include <unordered_set>

#include "core/config/lint/rules.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.pb.h"
#include "envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections.pb.h"
#include "weir/extensions/network/dns_resolver/v1/guarded.pb.h"

namespace weir::config::lint {
namespace {

using envoy::config::cluster::v3::Cluster;
using google::protobuf::Message;

int endpoints_of(const Cluster& cluster) {
  int count = 0;
  for (const auto& locality : cluster.load_assignment().endpoints()) {
    count += locality.lb_endpoints_size();
    if (locality.has_leds_cluster_locality_config()) return -1;  // they come over the wire
  }
  return count;
}

bool knows_its_endpoints(const Cluster& cluster) {
  return !cluster.has_cluster_type() && (cluster.type() == Cluster::STATIC || cluster.type() == Cluster::STRICT_DNS ||
                                         cluster.type() == Cluster::LOGICAL_DNS);
}

// Every text of a configuration that may be the name of a cluster, and those that may be programs or tables with names
// in them.
class Texts final : public Visitor {
 public:
  bool message(const Message& message, const std::string&) override {
    // An endpoint is no cluster, even if it has the same name; and there may be very many.
    return google::protobuf::DynamicCastToGenerated<envoy::config::endpoint::v3::ClusterLoadAssignment>(&message) ==
           nullptr;
  }
  void text(const google::protobuf::FieldDescriptor& field, const std::string& text) override {
    // What these fields hold names something else, which is often called the same.
    static const std::unordered_set<std::string> kOwnNames = {
        "envoy.config.cluster.v3.Cluster.name",
        "envoy.config.cluster.v3.Cluster.alt_stat_name",
        "envoy.config.cluster.v3.Cluster.EdsClusterConfig.service_name",
        "envoy.config.listener.v3.FilterChain.name",
        "envoy.config.listener.v3.Listener.name",
        "envoy.config.listener.v3.Listener.stat_prefix",
        "envoy.config.route.v3.Route.name",
        "envoy.config.route.v3.RouteConfiguration.name",
        "envoy.config.route.v3.VirtualHost.domains",
        "envoy.config.route.v3.VirtualHost.name",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.stat_prefix"};
    constexpr size_t kName = 256;
    if (kOwnNames.contains(field.full_name())) return;
    // A line of a program is no name, and has names in it.
    const bool program = text.size() > kName || text.find_first_of("\n()'\"") != std::string::npos;
    (program ? long_ : short_).insert(text);
  }
  // Of a message that nobody here can read it is not known what it names.
  void unknown(std::string_view) override { unread_ = true; }
  bool unread() const { return unread_; }
  bool mention(const std::string& name) const {
    if (short_.contains(name)) return true;
    for (const std::string& text : long_) {
      if (text.find(name) != std::string::npos) return true;
    }
    return false;
  }

 private:
  std::unordered_set<std::string> short_, long_;
  bool unread_ = false;
};

// A request may choose its cluster itself.
bool chosen_by_requests(const Model& model) {
  for (const auto& listener : model.bootstrap().static_resources().listeners()) {
    const auto chooses = [](const auto& chain) {
      return std::any_of(chain.filters().begin(), chain.filters().end(), [](const auto& filter) {
        return type_name(filter.typed_config()) == "envoy.extensions.filters.network.sni_cluster.v3.SniCluster" ||
               filter.name() == "envoy.filters.network.sni_cluster";
      });
    };
    if (chooses(listener.default_filter_chain()) ||
        std::any_of(listener.filter_chains().begin(), listener.filter_chains().end(), chooses))
      return true;
  }
  const auto mirrors = [](const auto& message) {
    return std::any_of(message.request_mirror_policies().begin(), message.request_mirror_policies().end(),
                       [](const auto& one) { return !one.cluster_header().empty(); });
  };
  for (const RouteTable& table : model.tables()) {
    if (mirrors(*table.routes)) return true;
    for (const auto& host : table.routes->virtual_hosts()) {
      if (mirrors(host)) return true;
      for (const auto& route : host.routes()) {
        const auto& action = route.route();
        if (mirrors(action) || !action.cluster_header().empty() || action.has_inline_cluster_specifier_plugin() ||
            !action.cluster_specifier_plugin().empty())
          return true;
        for (const auto& one : action.weighted_clusters().clusters()) {
          if (!one.cluster_header().empty()) return true;
        }
      }
    }
  }
  return false;
}

std::unordered_set<std::string> routed_clusters(const Model& model) {
  std::unordered_set<std::string> routed;
  for (const RouteTable& table : model.tables()) {
    for (const auto& host : table.routes->virtual_hosts()) {
      for (const auto& route : host.routes()) {
        routed.insert(route.route().cluster());
        for (const auto& one : route.route().weighted_clusters().clusters()) routed.insert(one.name());
      }
    }
  }
  return routed;
}

// How many connections the listeners take in all; 0: nothing in the file says it.
int64_t admitted_connections(const Model& model) {
  using envoy::extensions::resource_monitors::downstream_connections::v3::DownstreamConnectionsConfig;
  const auto unlimited = [](const HttpManager& manager) { return manager.listener->bypass_overload_manager(); };
  if (std::ranges::all_of(model.managers(), unlimited)) return 0;
  for (const auto& monitor : model.bootstrap().overload_manager().resource_monitors()) {
    if (auto config = unpack<DownstreamConnectionsConfig>(monitor.typed_config()))
      return config->max_active_downstream_connections();
  }
  return 0;
}

}  // namespace

void unused_cluster(const Model& model, Findings& findings) {
  if (findings.has_errors() || model.dynamic_routes() || chosen_by_requests(model)) return;
  Texts texts;
  visit(model.bootstrap(), "", texts);
  if (texts.unread()) return;
  for (const ClusterEntry& entry : model.clusters()) {
    if (!texts.mention(entry.cluster->name()))
      findings.add(entry.path, "nothing in this file names cluster " + shown(entry.cluster->name()), "remove it");
  }
}

// The limits of the default priority: 1024 connections, waiting requests and requests (CircuitBreakers.Thresholds).
void circuit_breaker_default(const Model& model, Findings& findings) {
  constexpr uint32_t kDefault = 1024;
  const int64_t admitted = admitted_connections(model);
  const auto routed = routed_clusters(model);
  const bool chosen = chosen_by_requests(model);
  for (const ClusterEntry& entry : model.clusters()) {
    // Connections of tcp_proxy are no requests.
    if (!routed.contains(entry.cluster->name()) && !chosen) continue;
    const auto& thresholds = entry.cluster->circuit_breakers().thresholds();
    const auto own = std::find_if(thresholds.begin(), thresholds.end(),
                                  [](const auto& one) { return one.priority() == envoy::config::core::v3::DEFAULT; });
    if (own != thresholds.end()) {
      if (own->has_max_requests() || own->max_connections().value() <= kDefault) continue;
      const std::string connections = std::to_string(own->max_connections().value());
      findings.add(
          entry.path + ".circuit_breakers.thresholds[" + std::to_string(own - thresholds.begin()) + "].max_connections",
          "max_requests is not set: of " + connections +
              " connections 1024 have a request at a time, and "
              "further requests get 503",
          "set max_requests: " + connections + ", too");
    } else if (admitted > kDefault) {
      findings.add(entry.path,
                   "1024 requests at a time is the default limit, and the listeners admit " + std::to_string(admitted) +
                       " connections: further requests get 503",
                   "set circuit_breakers.thresholds: max_connections, max_pending_requests and max_requests");
    }
  }
}

void panic_threshold(const Model& model, Findings& findings) {
  for (const ClusterEntry& entry : model.clusters()) {
    const Cluster& cluster = *entry.cluster;
    if (cluster.health_checks().empty() || cluster.common_lb_config().has_healthy_panic_threshold()) continue;
    if (knows_its_endpoints(cluster) && cluster.type() == Cluster::STATIC && endpoints_of(cluster) == 1)
      continue;  // with one host there is nothing to choose
    findings.add(entry.path + ".health_checks",
                 "with less than 50 % of the hosts healthy their verdict is ignored, and dead hosts get traffic again",
                 "set common_lb_config.healthy_panic_threshold to what the healthy ones can carry, or to 0: never");
  }
}

void health_check_no_traffic(const Model& model, Findings& findings) {
  for (const ClusterEntry& entry : model.clusters()) {
    for (int i = 0; i < entry.cluster->health_checks_size(); ++i) {
      const auto& check = entry.cluster->health_checks(i);
      if (check.has_no_traffic_interval() || !check.has_interval() || seconds(check.interval()) >= 60) continue;
      findings.add(entry.path + ".health_checks[" + std::to_string(i) + "]",
                   "until the cluster gets its first request, hosts are checked every 60s and not every " +
                       seconds_text(check.interval()),
                   "set no_traffic_interval: " + seconds_text(check.interval()));
    }
  }
}

void health_check_threshold(const Model& model, Findings& findings) {
  for (const ClusterEntry& entry : model.clusters()) {
    for (int i = 0; i < entry.cluster->health_checks_size(); ++i) {
      const auto& check = entry.cluster->health_checks(i);
      if (!check.has_http_health_check() || check.unhealthy_threshold().value() < 2 ||
          check.http_health_check().retriable_statuses_size() > 0)
        continue;
      findings.add(entry.path + ".health_checks[" + std::to_string(i) + "].unhealthy_threshold",
                   "only checks without an answer wait for " + std::to_string(check.unhealthy_threshold().value()) +
                       " failures: one answer of another status makes a host unhealthy at once",
                   "name the statuses that shall count up in http_health_check.retriable_statuses");
    }
  }
}

void open_forward_proxy(const Model& model, Findings& findings) {
  namespace dfp = envoy::extensions::clusters::dynamic_forward_proxy::v3;
  using weir::extensions::network::dns_resolver::v1::GuardedDnsResolverConfig;
  for (const ClusterEntry& entry : model.clusters()) {
    const auto config = unpack<dfp::ClusterConfig>(entry.cluster->cluster_type().typed_config());
    if (config == nullptr) continue;
    const auto& resolver = config->has_sub_clusters_config() ? entry.cluster->typed_dns_resolver_config()
                                                             : config->dns_cache_config().typed_dns_resolver_config();
    if (unpack<GuardedDnsResolverConfig>(resolver.typed_config()) != nullptr) continue;
    findings.add(entry.path + ".cluster_type",
                 "clients choose where weir connects to, and may choose this machine, the network behind it, or the "
                 "metadata service of a cloud",
                 "let typed_dns_resolver_config be a " + GuardedDnsResolverConfig::descriptor()->full_name() +
                     " with deny_private: true");
  }
}

}  // namespace weir::config::lint
