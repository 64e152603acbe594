#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/server/admin/endpoints.h"
#include "core/server/admin/json.h"
#include "core/server/admin/load_assignment.h"
#include "envoy/admin/v3/clusters.pb.h"
#include "envoy/admin/v3/listeners.pb.h"

namespace weir::admin {
namespace {

struct Number {
  std::string_view name;
  bool gauge;
  uint64_t value;
};

// In the published order.
template <class Visit>
void for_each_number(const lb::Host& host, Visit&& visit) {
  const auto& totals = host.totals;
  auto gauge = [](stats::Gauge g) { return static_cast<uint64_t>(std::max<int64_t>(g.value(), 0)); };
  for (const Number& number :
       {Number{"cx_active", true, gauge(totals.cx_active)},
        Number{"cx_connect_fail", false, totals.cx_connect_fail.value()},
        Number{"cx_total", false, totals.cx_total.value()}, Number{"rq_active", true, gauge(totals.rq_active)},
        Number{"rq_error", false, totals.rq_error.value()}, Number{"rq_success", false, totals.rq_success.value()},
        Number{"rq_timeout", false, totals.rq_timeout.value()}, Number{"rq_total", false, totals.rq_total.value()}}) {
    visit(number);
  }
}

std::string_view health_flags(lb::Health health) {
  switch (health) {
    case lb::Health::kHealthy:
      return "healthy";
    case lb::Health::kDegraded:
      return "/degraded_eds_health";
    case lb::Health::kUnhealthy:
      return "/failed_eds_health";
    case lb::Health::kDraining:
      return "/eds_status_draining";
  }
  return "healthy";
}

std::string_view observability_name(const ClusterView& cluster) {
  return cluster.observability_name.empty() ? cluster.name : cluster.observability_name;
}

std::string text_of(const lb::HostEntry& entry) {
  if (entry.addresses == nullptr && !entry.host->text().starts_with('@')) return std::string(entry.host->text());
  return address_text(entry.address());
}

class ClusterText {
 public:
  ClusterText(const ClusterView& cluster, std::string& out) : out_(out) {
    head_ = std::string(cluster.name) + "::";
    line("observability_name", observability_name(cluster));
    breakers("default_priority", cluster.default_priority);
    breakers("high_priority", cluster.high_priority);
    line("added_via_api", cluster.added_via_api ? "true" : "false");
    if (!cluster.eds_service_name.empty()) line("eds_service_name", cluster.eds_service_name);
    for (const lb::HostEntry& entry : cluster.hosts) {
      head_ = std::string(cluster.name) + "::" + text_of(entry) + "::";
      host(entry);
    }
  }

 private:
  void line(std::string_view key, std::string_view value) {
    out_ += head_;
    out_ += key;
    out_ += "::";
    out_ += value;
    out_ += '\n';
  }
  void breakers(const std::string& priority, const BreakerView& limits) {
    line(priority + "::max_connections", std::to_string(limits.max_connections));
    line(priority + "::max_pending_requests", std::to_string(limits.max_pending_requests));
    line(priority + "::max_requests", std::to_string(limits.max_requests));
    line(priority + "::max_retries", std::to_string(limits.max_retries));
  }
  void host(const lb::HostEntry& entry) {
    for_each_number(*entry.host, [&](const Number& number) { line(number.name, std::to_string(number.value)); });
    line("hostname", entry.host->hostname());
    line("health_flags", health_flags(entry.health));
    line("weight", std::to_string(entry.weight));
    line("region", entry.locality().region);
    line("zone", entry.locality().zone);
    line("sub_zone", entry.locality().sub_zone);
    const bool canary = entry.metadata != nullptr && lb::is_canary(entry.metadata->root());
    line("canary", canary ? "true" : "false");
    line("priority", std::to_string(entry.priority));
    line("success_rate", "-1");
    line("local_origin_success_rate", "-1");
  }

  std::string& out_;
  std::string head_;
};

void fill_breakers(const BreakerView& limits, envoy::config::core::v3::RoutingPriority priority,
                   envoy::config::cluster::v3::CircuitBreakers& out) {
  auto& thresholds = *out.add_thresholds();
  thresholds.set_priority(priority);
  thresholds.mutable_max_connections()->set_value(limits.max_connections);
  thresholds.mutable_max_pending_requests()->set_value(limits.max_pending_requests);
  thresholds.mutable_max_requests()->set_value(limits.max_requests);
  thresholds.mutable_max_retries()->set_value(limits.max_retries);
}

void fill_host(const lb::HostEntry& entry, envoy::admin::v3::HostStatus& out) {
  fill_address(entry.address(), *out.mutable_address());
  for_each_number(*entry.host, [&](const Number& number) {
    auto& metric = *out.add_stats();
    metric.set_name(std::string(number.name));
    metric.set_type(number.gauge ? envoy::admin::v3::SimpleMetric::GAUGE : envoy::admin::v3::SimpleMetric::COUNTER);
    metric.set_value(number.value);
  });
  out.mutable_health_status()->set_eds_health_status(health_status(entry.health));
  out.set_weight(entry.weight);
  out.set_hostname(entry.host->hostname());
  out.set_priority(entry.priority);
  auto& locality = *out.mutable_locality();
  locality.set_region(entry.locality().region);
  locality.set_zone(entry.locality().zone);
  locality.set_sub_zone(entry.locality().sub_zone);
}

void fill_cluster(const ClusterView& cluster, envoy::admin::v3::ClusterStatus& status) {
  status.set_name(std::string(cluster.name));
  status.set_added_via_api(cluster.added_via_api);
  status.set_observability_name(std::string(observability_name(cluster)));
  status.set_eds_service_name(std::string(cluster.eds_service_name));
  fill_breakers(cluster.default_priority, envoy::config::core::v3::DEFAULT, *status.mutable_circuit_breakers());
  fill_breakers(cluster.high_priority, envoy::config::core::v3::HIGH, *status.mutable_circuit_breakers());
  for (const lb::HostEntry& entry : cluster.hosts) fill_host(entry, *status.add_host_statuses());
}

// What hosts have counted is read a slice at a time; all of it is put together, and thrown away, beside the lanes.
void clusters(const AdminSource& source, const AdminRequest& request, AdminResponse& response) {
  auto after = std::make_shared<std::string>();
  if (request.wants_json()) {
    auto all = std::make_shared<std::unique_ptr<envoy::admin::v3::Clusters>>(new envoy::admin::v3::Clusters);
    response.prepare = [&source, after, all] {
      return source.next_clusters(
          *after, [&](const ClusterView& cluster) { fill_cluster(cluster, *(*all)->add_cluster_statuses()); });
    };
    response.work = [all](AdminResponse& to) { answer_json(*std::exchange(*all, nullptr), Defaults::kOmit, to); };
    return;
  }
  auto pieces = std::make_shared<std::vector<std::string>>();
  response.prepare = [&source, after, pieces] {
    std::string& piece = pieces->emplace_back();
    return source.next_clusters(*after, [&](const ClusterView& cluster) { ClusterText(cluster, piece); });
  };
  response.work = [pieces](AdminResponse& to) {
    size_t bytes = 0;
    for (const std::string& piece : *pieces) bytes += piece.size();
    to.body.reserve(bytes);
    for (const std::string& piece : *pieces) to.body += piece;
    pieces->clear();
  };
}

void listeners(const AdminSource& source, const AdminRequest& request, AdminResponse& response) {
  if (!request.wants_json()) {
    source.for_each_listener([&](const ListenerView& listener) {
      for (const net::Address& address : listener.addresses) {
        response.body += std::string(listener.name) + "::" + address_text(address) + "\n";
      }
    });
    return;
  }
  envoy::admin::v3::Listeners all;
  source.for_each_listener([&](const ListenerView& listener) {
    auto& status = *all.add_listener_statuses();
    status.set_name(std::string(listener.name));
    for (const net::Address& address : listener.addresses) {
      fill_address(address, &address == &listener.addresses.front() ? *status.mutable_local_address()
                                                                    : *status.add_additional_local_addresses());
    }
  });
  answer_json(all, Defaults::kOmit, response);
}

}  // namespace

void add_cluster_endpoints(AdminServer& server, AdminSource& source) {
  server.add("/clusters", {.help = "clusters and their hosts"},
             [&source](const AdminRequest& request, AdminResponse& response) { clusters(source, request, response); });
  server.add("/listeners", {.help = "listeners and their addresses"},
             [&source](const AdminRequest& request, AdminResponse& response) { listeners(source, request, response); });
}

}  // namespace weir::admin
