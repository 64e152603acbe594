#include "core/server/configuration.h"

#include "core/config/address_config.h"
#include "core/config/name_table.h"
#include "core/config/report.h"
#include "core/config/route_config.h"
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

// Slots of a configuration that will never be published.
class NumberedSlots final : public SlotNames {
 public:
  event::SlotId intern(event::SlotKind kind, std::string_view name) override {
    auto& names = names_[static_cast<size_t>(kind)];
    auto [it, fresh] = names.try_emplace(std::string(name), static_cast<uint32_t>(names.size()));
    return {kind, it->second};
  }

 private:
  std::map<std::string, uint32_t> names_[event::kSlotKinds];
};

class Routes final : public filter::RouteProvider, public config::RouteConfigEnv {
 public:
  Routes(const config::PositionIndex& positions, const filter::Registry& registry, stats::Store& store,
         SlotNames& slots, Report& report, std::vector<StagedRoute>& staged)
      : positions_(positions), registry_(registry), store_(store), slots_(slots), report_(report), staged_(staged) {}

  // The clusters of the file; `complete`: there are no others, unless they come over CDS.
  void set_clusters(config::NameTable& clusters, bool complete, bool cds) {
    clusters_ = &clusters;
    clusters_complete_ = complete;
    cds_ = cds;
  }

  // RouteProvider
  event::SlotId route_table(const google::protobuf::Message& message, filter::FactoryScope& scope) override {
    const auto& proto = static_cast<const envoy::config::route::v3::RouteConfiguration&>(message);
    StagedRoute staged;
    staged.slot_name = owner_ + "/" + std::to_string(next_of_owner_++);
    staged.fingerprint = config::fingerprint(proto);
    staged.table = config::build_route_table(proto, scope.path(), *this, report_.diagnostics());
    staged.fingerprint += read_outside_;
    event::SlotId slot = slots_.intern(event::SlotKind::kRouteTable, staged.slot_name);
    if (staged.table != nullptr) staged_.push_back(std::move(staged));
    return slot;
  }
  // Route tables are named after the listener that they are part of: the same listener's tables replace each other.
  void begin_owner(const std::string& listener) {
    owner_ = listener;
    next_of_owner_ = 0;
    read_outside_ = 0;
  }

  // RouteConfigEnv
  const config::PositionIndex& positions() const override { return positions_; }
  bool validate_clusters_by_default() const override { return true; }
  bool has_cluster(std::string_view name, std::string& hint) override {
    if (clusters_->contains(name) || !clusters_complete_) return true;
    hint = clusters_->nearest(name);
    if (hint.empty() && cds_) hint = "if it comes over CDS, set validate_clusters: false in the route configuration";
    return false;
  }
  void read_outside(std::string_view content) override {
    read_outside_ = read_outside_ * 31 + std::hash<std::string_view>{}(content) + 1;
  }
  // Whether the listener of begin_owner() did.
  bool reads_outside() const { return read_outside_ != 0; }
  event::SlotId cluster_slot(std::string_view name) override { return intern_cluster(slots_, name); }
  uint32_t filter_id(std::string_view name) override { return filter::Registry::intern_filter_name(name); }
  bool parse_filter_config(std::string_view filter_name, const google::protobuf::Any& any, bool optional,
                           std::string_view path, std::shared_ptr<const void>& config, Diagnostics&) override {
    std::string at(path);
    auto message = report_.unpack(any, at);
    if (message == nullptr) return false;
    const filter::HttpFilterDescriptor* descriptor = registry_.http_filter_by_route_type(message->GetTypeName());
    if (descriptor == nullptr) {
      if (optional) return true;
      report_.error(at,
                    message->GetTypeName() + " is not the per-route configuration of any HTTP filter of this build");
      return false;
    }
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
  config::NameTable* clusters_ = nullptr;
  bool clusters_complete_ = false;
  bool cds_ = false;
  std::string owner_;
  int next_of_owner_ = 0;
  uint64_t read_outside_ = 0;  // a hash of it
};

}  // namespace

Configuration translate_bootstrap(const envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                                  const config::PositionIndex& positions, const filter::Registry& registry,
                                  stats::Store& store, SlotNames& slots, Diagnostics& diagnostics,
                                  const InForce* in_force) {
  Configuration out;
  out.parsed = system_clock().mono_now();
  const size_t found_before = diagnostics.items().size();
  const auto& resources = bootstrap.static_resources();
  config::NameTable clusters("static_resources.clusters", positions);
  for (int i = 0; i < resources.clusters_size(); ++i) {
    const std::string& name = resources.clusters(i).name();
    clusters.add(name, static_cast<size_t>(i));
    out.cluster_names += std::hash<std::string>{}(name);
  }
  const bool all_clusters = clusters.complete(diagnostics);
  Report report(positions, diagnostics);
  report.check_fields(bootstrap, "", {"static_resources", "admin", "node"}, {"stats_flush_interval", "header_prefix"});
  report.check_fields(resources, "static_resources", {"listeners", "clusters"}, {});
  if (bootstrap.has_admin()) {
    report.check_fields(bootstrap.admin(), "admin", {"address"},
                        {"access_log_path", "access_log", "profile_path", "ignore_global_conn_limit"});
    if (bootstrap.admin().has_address())
      out.admin_address = config::translate_address(bootstrap.admin().address(), "admin.address", report);
  }

  Routes routes(positions, registry, store, slots, report, out.routes);
  routes.set_clusters(clusters, all_clusters, bootstrap.dynamic_resources().has_cds_config());
  for (int i = 0; i < resources.clusters_size(); ++i) {
    const auto& proto = resources.clusters(i);
    std::string path = "static_resources.clusters[" + std::to_string(i) + "]";
    if (in_force != nullptr) {
      auto known = config::identify_cluster(proto);
      if (in_force->has_cluster(proto.name(), known.host_fingerprint)) {
        known.unchanged = true;
        out.clusters.push_back(std::move(known));
        continue;
      }
    }
    out.clusters.push_back(config::translate_cluster(proto, path, registry, report));
    intern_cluster(slots, proto.name());
  }
  std::map<std::string, int> addresses;
  for (int i = 0; i < resources.listeners_size(); ++i) {
    std::string path = "static_resources.listeners[" + std::to_string(i) + "]";
    filter::FactoryScope scope(registry, store, routes, report, path);
    const auto& proto = resources.listeners(i);
    std::string owner = proto.name().empty() ? "listener " + std::to_string(i) : proto.name();
    routes.begin_owner(owner);
    // Routes of a listener are checked against the clusters.
    if (in_force != nullptr && in_force->cluster_names == out.cluster_names) {
      auto known = config::identify_listener(proto, scope);
      if (in_force->has_listener(known.spec.name, known.fingerprint)) {
        known.unchanged = true;
        out.unchanged_routes.insert(std::move(owner));
        out.listeners.push_back(std::move(known));
        continue;
      }
    }
    auto listener = config::translate_listener(proto, scope);
    listener.reads_outside = routes.reads_outside();
    if (!listener.address.empty() && !(listener.address.is_ip() && listener.address.port() == 0)) {
      auto [other, new_address] = addresses.try_emplace(listener.address.to_string(), i);
      if (!new_address) {
        std::string first = "listeners[" + std::to_string(other->second) + "]";
        config::Position at = positions.find("static_resources." + first + ".address");
        if (at.line > 0) first += " (" + std::string(at.file) + ":" + std::to_string(at.line) + ")";
        report.error(path + ".address", listener.address.to_string() + " is the address of " + first + " too");
      }
    }
    out.listeners.push_back(std::move(listener));
  }
  diagnostics.drop_consequences(found_before, positions);
  return out;
}

void check_configuration(const envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                         const config::PositionIndex& positions, const filter::Registry& registry, stats::Store& store,
                         Diagnostics& diagnostics) {
  if (diagnostics.unreadable()) return;
  NumberedSlots slots;
  translate_bootstrap(bootstrap, positions, registry, store, slots, diagnostics);
}

}  // namespace weir::server
