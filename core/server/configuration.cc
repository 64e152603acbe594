#include "core/server/configuration.h"

#include <algorithm>
#include <set>

#include "core/config/address_config.h"
#include "core/config/proto_loader.h"
#include "core/config/report.h"
#include "core/config/route_config.h"
#include "core/config/suggest.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/route/v3/route.pb.h"

namespace weir::server {

using config::Diagnostics;
using config::Report;

event::SlotId intern_cluster(SlotNames& slots, std::string_view name) {
  event::SlotId hosts = slots.intern(event::SlotKind::kHostSet, name);
  event::SlotId cluster = slots.intern(event::SlotKind::kCluster, name);
  WEIR_CHECK(hosts.index == cluster.index);
  return cluster;
}

namespace {

class Routes final : public filter::RouteProvider, public config::RouteConfigEnv {
 public:
  Routes(const config::PositionIndex& positions, const filter::Registry& registry, stats::Store& store,
         SlotNames& slots, Report& report, std::vector<StagedRoute>& staged)
      : positions_(positions), registry_(registry), store_(store), slots_(slots), report_(report), staged_(staged) {}

  void add_cluster(const std::string& name) { clusters_.insert(name); }

  // RouteProvider
  event::SlotId route_table(const google::protobuf::Message& message, filter::FactoryScope& scope) override {
    const auto& proto = static_cast<const envoy::config::route::v3::RouteConfiguration&>(message);
    StagedRoute staged;
    staged.slot_name = owner_ + "/" + std::to_string(next_of_owner_++);
    staged.fingerprint = config::fingerprint(proto);
    staged.table = config::build_route_table(proto, scope.path(), *this, report_.diagnostics());
    event::SlotId slot = slots_.intern(event::SlotKind::kRouteTable, staged.slot_name);
    if (staged.table != nullptr) staged_.push_back(std::move(staged));
    return slot;
  }
  // Route tables are named after the listener that they are part of: the same listener's tables replace each other.
  void begin_owner(const std::string& listener) {
    owner_ = listener;
    next_of_owner_ = 0;
  }

  // RouteConfigEnv
  const config::PositionIndex& positions() const override { return positions_; }
  bool validate_clusters_by_default() const override { return true; }
  bool has_cluster(std::string_view name, std::string& nearest) const override {
    if (clusters_.contains(name)) return true;
    config::NearestName best(name);
    for (const std::string& cluster : clusters_) best.offer(cluster);
    nearest = std::string(best.best());
    return false;
  }
  event::SlotId cluster_slot(std::string_view name) override { return intern_cluster(slots_, name); }
  uint32_t filter_id(std::string_view name) override { return filter::Registry::intern_filter_name(name); }
  bool parse_filter_config(std::string_view filter_name, const google::protobuf::Any& any, bool optional,
                           std::string_view path, std::shared_ptr<const void>& config, Diagnostics&) override {
    std::string at(path);
    const filter::HttpFilterDescriptor* descriptor =
        registry_.http_filter_by_route_type(filter::type_of_url(any.type_url()));
    if (descriptor == nullptr) {
      return report_.skip_unknown(
          {.kind = "per-route configuration of an HTTP filter", .name = filter_name, .optional = optional}, any, at);
    }
    auto message = report_.unpack(any, at);
    if (message == nullptr) return false;
    size_t before = report_.errors();
    filter::FactoryScope scope(registry_, store_, *this, report_, at);
    scope.set_stat_prefix("http." + std::string(filter_name) + ".");
    auto made = descriptor->make_route_config(*message, scope);
    if (!made.ok()) report_.error(at, message_of(made.status()));
    if (report_.errors() != before) return false;
    config = std::move(*made);
    return true;
  }

 private:
  const config::PositionIndex& positions_;
  const filter::Registry& registry_;
  stats::Store& store_;
  SlotNames& slots_;
  Report& report_;
  std::vector<StagedRoute>& staged_;
  std::set<std::string, std::less<>> clusters_;
  std::string owner_;
  int next_of_owner_ = 0;
};

Configuration translate_bootstrap(const envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                                  const config::PositionIndex& positions, const filter::Registry& registry,
                                  stats::Store& store, SlotNames& slots, Report& report) {
  Configuration out;
  report.check_fields(bootstrap, "", {"static_resources", "admin", "node"}, {"stats_flush_interval", "header_prefix"});
  const auto& resources = bootstrap.static_resources();
  report.check_fields(resources, "static_resources", {"listeners", "clusters"}, {});
  if (bootstrap.has_admin()) {
    report.check_fields(bootstrap.admin(), "admin", {"address"},
                        {"access_log_path", "access_log", "profile_path", "ignore_global_conn_limit"});
    if (bootstrap.admin().has_address())
      out.admin_address = config::translate_address(bootstrap.admin().address(), "admin.address", report);
  }

  Routes routes(positions, registry, store, slots, report, out.routes);
  std::map<std::string, int> names;
  for (int i = 0; i < resources.clusters_size(); ++i) {
    const auto& proto = resources.clusters(i);
    std::string path = "static_resources.clusters[" + std::to_string(i) + "]";
    out.clusters.push_back(config::translate_cluster(proto, path, registry, report));
    auto [first, fresh] = names.try_emplace(proto.name(), i);
    if (!fresh)
      report.error(path + ".name",
                   "\"" + proto.name() + "\" is the name of clusters[" + std::to_string(first->second) + "] too");
    routes.add_cluster(proto.name());
    intern_cluster(slots, proto.name());
  }
  names.clear();
  std::map<std::string, int> addresses;
  for (int i = 0; i < resources.listeners_size(); ++i) {
    std::string path = "static_resources.listeners[" + std::to_string(i) + "]";
    filter::FactoryScope scope(registry, store, routes, report, path);
    const auto& proto = resources.listeners(i);
    routes.begin_owner(proto.name().empty() ? "listener " + std::to_string(i) : proto.name());
    auto listener = config::translate_listener(proto, scope);
    auto [first, fresh] = names.try_emplace(listener.spec.name, i);
    if (!fresh)
      report.error(path + ".name", "\"" + listener.spec.name + "\" is the name of listeners[" +
                                       std::to_string(first->second) + "] too");
    if (!listener.address.empty() && !(listener.address.is_ip() && listener.address.port() == 0)) {
      auto [other, new_address] = addresses.try_emplace(listener.address.to_string(), i);
      if (!new_address) {
        report.error(path + ".address", listener.address.to_string() + " is the address of listeners[" +
                                            std::to_string(other->second) + "] too");
      }
    }
    out.listeners.push_back(std::move(listener));
  }
  return out;
}

void override_node(const Options& options, envoy::config::bootstrap::v3::Bootstrap& bootstrap) {
  if (!options.service_node.empty()) bootstrap.mutable_node()->set_id(options.service_node);
  if (!options.service_cluster.empty()) bootstrap.mutable_node()->set_cluster(options.service_cluster);
  if (!options.service_zone.empty()) bootstrap.mutable_node()->mutable_locality()->set_zone(options.service_zone);
}

// Of a text that stops in the middle nearly all would be missing.
bool unreadable(const Diagnostics& diagnostics) {
  return std::any_of(diagnostics.items().begin(), diagnostics.items().end(), [](const config::Diagnostic& item) {
    return item.severity == config::Severity::kError && item.path.empty();
  });
}

}  // namespace

Configuration load_configuration(const Options& options, const filter::Registry& registry, stats::Store& store,
                                 SlotNames& slots, envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                                 Diagnostics& diagnostics) {
  config::BootstrapSource source;
  source.path = options.config_path;
  source.overlay = options.config_yaml;
  if (options.allow_unknown_static_fields) source.options.unknown_fields = config::OnUnknown::kWarn;
  // Translating finds them, and knows which places may be left out.
  source.options.unknown_types = config::OnUnknown::kIgnore;
  config::PositionIndex positions;
  config::load_bootstrap(source, bootstrap, positions, diagnostics);
  if (unreadable(diagnostics)) return {};
  override_node(options, bootstrap);
  Report report(positions, diagnostics,
                options.passthrough_unknown_extensions ? config::UnknownExtensions::kPassthrough
                                                       : config::UnknownExtensions::kReject);
  return translate_bootstrap(bootstrap, positions, registry, store, slots, report);
}

}  // namespace weir::server
