#include "core/config/bootstrap_checks.h"

#include <algorithm>
#include <map>
#include <string>

#include "core/config/name_table.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace weir::config {
namespace {

namespace bootstrap_v3 = envoy::config::bootstrap::v3;
using envoy::config::cluster::v3::Cluster;
using envoy::extensions::transport_sockets::tls::v3::Secret;

constexpr std::string_view kClusters = "static_resources.clusters";
constexpr std::string_view kListeners = "static_resources.listeners";
constexpr std::string_view kSecrets = "static_resources.secrets";

std::string item_path(std::string_view list, int index, std::string_view field) {
  std::string path(list);
  append_path_item(path, static_cast<size_t>(index));
  return path.append(".").append(field);
}

// Whatever clients and servers would like better.
bool speaks_http1_alone(const Cluster& cluster) {
  envoy::extensions::upstreams::http::v3::HttpProtocolOptions options;
  for (const auto& [name, any] : cluster.typed_extension_protocol_options()) {
    if (any.UnpackTo(&options))
      return !options.has_auto_config() && !options.has_use_downstream_protocol_config() &&
             !options.explicit_http_config().has_http2_protocol_options();
  }
  return !cluster.has_http2_protocol_options() && cluster.protocol_selection() != Cluster::USE_DOWNSTREAM_PROTOCOL;
}

int hosts_of(const Cluster& cluster) {
  int hosts = 0;
  for (const auto& locality : cluster.load_assignment().endpoints()) hosts += locality.lb_endpoints_size();
  return hosts;
}

uint32_t ejection_percent(const Cluster& cluster) {
  const auto& detection = cluster.outlier_detection();
  return detection.has_max_ejection_percent() ? detection.max_ejection_percent().value() : 10;
}

class Checks {
 public:
  Checks(const bootstrap_v3::Bootstrap& bootstrap, const PositionIndex& positions, Diagnostics& diagnostics)
      : bootstrap_(bootstrap),
        positions_(positions),
        diagnostics_(diagnostics),
        clusters_(std::string(kClusters), positions),
        secrets_(std::string(kSecrets), positions) {}

  void names() {
    const auto& resources = bootstrap_.static_resources();
    unique(resources.clusters(), kClusters, clusters_);
    NameTable listeners(std::string(kListeners), positions_);
    unique(resources.listeners(), kListeners, listeners);
    // Secrets of different kinds may share a name.
    std::map<Secret::TypeCase, NameTable> kinds;
    for (int i = 0; i < resources.secrets_size(); ++i) {
      const Secret& one = resources.secrets(i);
      secrets_.add(one.name(), static_cast<size_t>(i));
      auto of_kind = kinds.try_emplace(one.type_case(), std::string(kSecrets), positions_).first;
      add_name(one.name(), i, kSecrets, of_kind->second);
    }
  }

  void references(const std::vector<Reference>& references) {
    const bool all_clusters = clusters_.complete(diagnostics_);
    const bool all_secrets = secrets_.complete(diagnostics_);
    for (const Reference& reference : references) {
      if (reference.kind == Reference::Kind::kSecret) {
        if (all_secrets && !secrets_.contains(reference.name)) {
          secret(reference);
        }
      } else if (clusters_.contains(reference.name)) {
        const Cluster& one =
            bootstrap_.static_resources().clusters(static_cast<int>(clusters_.index_of(reference.name)));
        if (is_control_plane(reference)) {
          source_cluster(reference, one);
        } else if (reference.path.ends_with(".envoy_grpc.cluster_name")) {
          grpc_cluster(reference, one);
        } else if (reference.path.ends_with(".tcp_cluster_name")) {
          collector_cluster(reference, one);
        }
      } else if (all_clusters) {
        cluster(reference);
      }
    }
  }

  // There is one engine; saying so is allowed.
  void regex_engine() {
    const std::string& url = bootstrap_.default_regex_engine().typed_config().type_url();
    constexpr std::string_view kOurs = "envoy.extensions.regex_engines.v3.GoogleRE2";
    const std::string type = url.substr(url.rfind('/') + 1);
    if (!bootstrap_.has_default_regex_engine() || type == kOurs) return;
    report(Severity::kError, "default_regex_engine.typed_config",
           type.empty() ? "must be set" : type + " is no engine that weir has", type,
           "regular expressions are those of RE2: " + std::string(kOurs));
  }

  void clusters() {
    const auto& list = bootstrap_.static_resources().clusters();
    for (int i = 0; i < list.size(); ++i) {
      load_assignment_name(list[i], i);
      outlier_detection(list[i], i);
      breakers(list[i], i);
      endpoints(list[i], i);
    }
  }

 private:
  // Fills `table`; what has a name that was there already is reported.
  template <typename Items>
  void unique(const Items& items, std::string_view list, NameTable& table) {
    table.reserve(static_cast<size_t>(items.size()));
    for (int i = 0; i < items.size(); ++i) add_name(items.Get(i).name(), i, list, table);
  }

  void add_name(const std::string& name, int index, std::string_view list, NameTable& table) {
    if (table.add(name, static_cast<size_t>(index))) return;
    report(Severity::kError, item_path(list, index, "name"),
           in_quotes(name) + " is the name of " + table.place(name) + " too", name, "");
  }

  static bool is_control_plane(const Reference& reference) {
    return reference.path.find(".grpc_services[") != std::string::npos ||
           reference.path.find(".cluster_names[") != std::string::npos;
  }

  void secret(const Reference& reference) {
    std::string hint = secrets_.nearest(reference.name);
    if (hint.empty()) {
      hint = "add it there, or an sds_config here that says where it comes from";
    }
    report(Severity::kError, reference.path, in_quotes(reference.name) + " is not in static_resources.secrets",
           reference.name, hint);
  }

  void cluster(const Reference& reference) {
    const std::string hint = clusters_.nearest(reference.name);
    const bool over_cds = bootstrap_.dynamic_resources().has_cds_config();
    if (is_control_plane(reference) || reference.path == "cluster_manager.local_cluster_name" ||
        (reference.needed && !over_cds)) {
      report(Severity::kError, reference.path, in_quotes(reference.name) + " is not a cluster of this configuration",
             reference.name, hint);
    } else if (!over_cds) {
      // Not an error in the published proxy, which learns of it when the first request comes.
      report(Severity::kWarning, reference.path,
             in_quotes(reference.name) + " is not a cluster of this configuration; what needs it will fail",
             reference.name, hint);
    }
  }

  // The cluster of a control plane must not need a control plane.
  void source_cluster(const Reference& reference, const Cluster& one) {
    const auto& source = one.eds_cluster_config().eds_config();
    const bool from_file = source.has_path_config_source() || !source.path().empty();
    if (one.has_cluster_type() || one.type() != Cluster::EDS || from_file) return;
    report(Severity::kError, reference.path,
           in_quotes(reference.name) + " gets its endpoints over EDS, and cannot carry the connection they come over",
           reference.name, "use a cluster of type STATIC, STRICT_DNS or LOGICAL_DNS");
  }

  // What connects there has nothing to say about where to.
  void collector_cluster(const Reference& reference, const Cluster& one) {
    const bool by_name = one.has_cluster_type() && one.cluster_type().typed_config().type_url().ends_with(
                                                       ".clusters.dynamic_forward_proxy.v3.ClusterConfig");
    if (!by_name && (one.has_cluster_type() || one.type() != Cluster::ORIGINAL_DST)) return;
    report(Severity::kError, reference.path,
           in_quotes(reference.name) + " goes where its clients want, and a collector has an address of its own",
           reference.name, "use a cluster of type STATIC, STRICT_DNS or LOGICAL_DNS");
  }

  // Calls of gRPC need HTTP/2.
  void grpc_cluster(const Reference& reference, const Cluster& one) {
    if (one.has_cluster_type() || !speaks_http1_alone(one)) return;
    report(Severity::kWarning, reference.path,
           in_quotes(reference.name) + " speaks HTTP/1.1, and gRPC needs HTTP/2: every call will fail", reference.name,
           "give the cluster HttpProtocolOptions with explicit_http_config: {http2_protocol_options: {}}");
  }

  void load_assignment_name(const Cluster& cluster, int index) {
    const std::string& name = cluster.load_assignment().cluster_name();
    if (name.empty() || name == cluster.name() || cluster.name().empty()) {
      return;
    }
    report(
        Severity::kWarning, item_path(kClusters, index, "load_assignment.cluster_name"),
        in_quotes(name) + " is not the name of this cluster, " + in_quotes(cluster.name()) + "; nothing reads it here",
        name, "");
  }

  void breakers(const Cluster& cluster, int index) {
    const auto& thresholds = cluster.circuit_breakers().thresholds();
    for (int i = 1; i < thresholds.size(); ++i) {
      for (int j = 0; j < i; ++j) {
        if (thresholds[i].priority() == thresholds[j].priority()) {
          report(Severity::kWarning,
                 item_path(kClusters, index, "circuit_breakers.thresholds[" + std::to_string(i) + "]"),
                 "has no effect: thresholds[" + std::to_string(j) + "] is for the same priority, and the first counts",
                 "", "set priority");
          break;
        }
      }
    }
  }

  void endpoints(const Cluster& cluster, int index) {
    if (cluster.has_cluster_type() || (cluster.type() != Cluster::STATIC && cluster.type() != Cluster::STRICT_DNS)) {
      return;
    }
    const auto& localities = cluster.load_assignment().endpoints();
    const bool none = std::all_of(localities.begin(), localities.end(),
                                  [](const auto& locality) { return locality.lb_endpoints().empty(); });
    if (none) {
      report(Severity::kWarning, item_path(kClusters, index, "load_assignment"),
             "the cluster has no endpoints; it answers every request with 503", "", "");
    }
  }

  void outlier_detection(const Cluster& cluster, int index) {
    if (!ejects_nobody(cluster)) return;
    const int hosts = hosts_of(cluster);
    const int enough = (100 + hosts - 1) / hosts;
    const std::string percent = std::to_string(ejection_percent(cluster));
    report(
        Severity::kWarning, item_path(kClusters, index, "outlier_detection"),
        "with " + std::to_string(hosts) + " hosts and max_ejection_percent " + percent + " no host can ever be ejected",
        percent, "set always_eject_one_host or " + std::to_string(enough));
  }

  void report(Severity severity, std::string path, std::string what, std::string found, std::string hint) {
    const Position position = positions_.find(path);
    Diagnostic out;
    out.file = position.file;
    out.line = position.line;
    out.column = position.column;
    out.path = std::move(path);
    out.severity = severity;
    out.message = hint.empty() ? std::move(what) : what + "; " + hint;
    out.found = std::move(found);
    out.hint = std::move(hint);
    diagnostics_.add(std::move(out));
  }

  const bootstrap_v3::Bootstrap& bootstrap_;
  const PositionIndex& positions_;
  Diagnostics& diagnostics_;
  NameTable clusters_;
  NameTable secrets_;
};

}  // namespace

// A host may be ejected if that keeps the ejected share within the limit.
bool ejects_nobody(const Cluster& cluster) {
  if (!cluster.has_outlier_detection() || cluster.outlier_detection().always_eject_one_host().value()) return false;
  if (cluster.has_cluster_type() || cluster.type() != Cluster::STATIC) return false;  // hosts come later
  const int hosts = hosts_of(cluster);
  return hosts >= 2 && ejection_percent(cluster) * static_cast<uint32_t>(hosts) < 100;
}

void check_bootstrap(const bootstrap_v3::Bootstrap& bootstrap, const std::vector<Reference>& references,
                     const PositionIndex& positions, Diagnostics& diagnostics) {
  Checks checks(bootstrap, positions, diagnostics);
  checks.names();
  checks.references(references);
  checks.clusters();
  checks.regex_engine();
}

}  // namespace weir::config
