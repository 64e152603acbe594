#include "core/server/configuration.h"

#include <algorithm>
#include <set>

#include "core/config/address_config.h"
#include "core/config/report.h"
#include "core/config/route_config.h"
#include "core/config/suggest.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

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
    staged.config_name = proto.name();
    staged.listener = owner_;
    staged.path = scope.path().substr(std::min(scope.path().size(), owner_path_.size() + 1));
    const uint64_t mark = report_.sources().digest();
    staged.table = config::build_route_table(proto, scope.path(), *this, report_.diagnostics());
    // What the table read counts for the table and not for the listener.
    staged.fingerprint = config::combine(config::fingerprint(proto), report_.sources().take_since(mark));
    event::SlotId slot = slots_.intern(event::SlotKind::kRouteTable, staged.slot_name);
    if (staged.table != nullptr) staged_.push_back(std::move(staged));
    return slot;
  }
  // Route tables are named after the listener that they are part of: the same listener's tables replace each other.
  void begin_owner(const std::string& listener, const std::string& path) {
    owner_ = listener;
    owner_path_ = path;
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
  std::optional<std::string> read_source(const envoy::config::core::v3::DataSource& source, std::string_view path,
                                         config::SourceLimit limit, Diagnostics&) override {
    return report_.read_source(source, std::string(path), limit);
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
  std::string owner_path_;
  int next_of_owner_ = 0;
};

template <class Facts>
const Facts* find(const std::map<std::string, Facts>& all, const std::string& name) {
  auto at = all.find(name);
  return at != all.end() && !at->second.reads_sources ? &at->second : nullptr;
}

config::ClusterTranslation cluster(const envoy::config::cluster::v3::Cluster& proto, const std::string& path,
                                   const filter::Registry& registry, Report& report, const Inventory* in_force) {
  const ClusterFacts* known = in_force != nullptr ? find(in_force->clusters, proto.name()) : nullptr;
  if (known != nullptr && known->hosts == config::fingerprint(proto)) {
    auto same = config::unchanged_cluster(proto);
    same.spec_fingerprint = known->settings;
    same.host_fingerprint = known->hosts;
    return same;
  }
  const size_t reads = report.sources().count();
  const uint64_t mark = report.sources().digest();
  auto made = config::translate_cluster(proto, path, registry, report);
  made.reads_sources = report.sources().count() != reads;
  if (made.reads_sources) {
    const uint64_t read = report.sources().take_since(mark);
    made.spec_fingerprint = config::combine(made.spec_fingerprint, read);
    made.host_fingerprint = config::combine(made.host_fingerprint, read);
  }
  return made;
}

config::ListenerTranslation one_listener(const envoy::config::listener::v3::Listener& proto,
                                         filter::FactoryScope& scope, Report& report, const Inventory* in_force) {
  const std::string name = config::listener_name(proto);
  const uint64_t whole = config::fingerprint(proto);
  const ListenerFacts* known = in_force != nullptr ? find(in_force->listeners, name) : nullptr;
  config::ListenerTranslation out;
  if (known != nullptr && known->whole == whole) {
    out.spec.name = name;
    out.address = known->address;
    out.options = known->options;
    out.fingerprint = known->fingerprint;
    out.unchanged = true;
  } else {
    const size_t reads = report.sources().count();
    out = config::translate_listener(proto, scope);
    out.reads_sources = report.sources().count() != reads;
  }
  out.whole = whole;
  return out;
}

}  // namespace

Configuration translate_bootstrap(const envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                                  const config::PositionIndex& positions, const filter::Registry& registry,
                                  stats::Store& store, SlotNames& slots, Diagnostics& diagnostics,
                                  const Inventory* in_force) {
  Configuration out;
  Report report(positions, diagnostics);
  report.check_fields(bootstrap, "", {"static_resources", "admin", "node"}, {"stats_flush_interval", "header_prefix"});
  const auto& resources = bootstrap.static_resources();
  report.check_fields(resources, "static_resources", {"listeners", "clusters", "secrets"}, {});
  if (bootstrap.has_admin()) {
    report.check_fields(bootstrap.admin(), "admin", {"address"},
                        {"access_log_path", "access_log", "profile_path", "ignore_global_conn_limit"});
    if (bootstrap.admin().has_address())
      out.admin_address = config::translate_address(bootstrap.admin().address(), "admin.address", report);
  }

  std::map<std::string, int> names;
  for (int i = 0; i < resources.secrets_size(); ++i) {
    const auto& proto = resources.secrets(i);
    std::string path = "static_resources.secrets[" + std::to_string(i) + "]";
    auto [first, fresh] = names.try_emplace(proto.name(), i);
    if (!fresh && !proto.name().empty())
      report.error(path + ".name",
                   "\"" + proto.name() + "\" is the name of secrets[" + std::to_string(first->second) + "] too");
    if (auto secret = config::translate_secret(proto, path, report)) out.secrets.push_back(std::move(*secret));
  }
  names.clear();
  Routes routes(positions, registry, store, slots, report, out.routes);
  for (int i = 0; i < resources.clusters_size(); ++i) {
    const auto& proto = resources.clusters(i);
    std::string path = "static_resources.clusters[" + std::to_string(i) + "]";
    out.clusters.push_back(cluster(proto, path, registry, report, in_force));
    auto [first, fresh] = names.try_emplace(proto.name(), i);
    if (!fresh)
      report.error(path + ".name",
                   "\"" + proto.name() + "\" is the name of clusters[" + std::to_string(first->second) + "] too");
    routes.add_cluster(proto.name());
    intern_cluster(slots, proto.name());
  }
  // Routes of a listener that stays may lead to a cluster that goes.
  const bool same_clusters =
      in_force != nullptr && std::all_of(in_force->clusters.begin(), in_force->clusters.end(),
                                         [&](const auto& entry) { return names.contains(entry.first); });
  names.clear();
  std::map<std::string, int> addresses;
  for (int i = 0; i < resources.listeners_size(); ++i) {
    std::string path = "static_resources.listeners[" + std::to_string(i) + "]";
    filter::FactoryScope scope(registry, store, routes, report, path);
    const auto& proto = resources.listeners(i);
    routes.begin_owner(config::listener_name(proto), path);
    auto listener = one_listener(proto, scope, report, same_clusters ? in_force : nullptr);
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
  out.watched = report.sources().directories();
  return out;
}

}  // namespace weir::server
