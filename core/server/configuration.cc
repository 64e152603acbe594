#include "core/server/configuration.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/config/address_config.h"
#include "core/config/bootstrap_checks.h"
#include "core/config/proto_loader.h"
#include "core/config/secret_content.h"
#include "core/config/secret_sources.h"
#include "core/config/secret_store.h"
#include "core/config/shared_messages.h"
#include "core/config/stats_config.h"
#include "core/config/suggest.h"
#include "core/filter/register.h"
#include "core/server/aggregates.h"
#include "core/server/change_plan.h"
#include "core/server/process_settings.h"
#include "core/server/translation_env.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/core/v3/base.pb.h"
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

// What clusters get that do not say it themselves.
struct ClusterDefaults {
  ClusterDefaults(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, Report& report)
      : resolver(config::read_default_resolver(bootstrap, report)) {
    if (!bootstrap.cluster_manager().has_upstream_bind_config()) return;
    const auto& proto = bootstrap.cluster_manager().upstream_bind_config();
    bind = config::translate_bind_config(proto, {report, "cluster_manager.upstream_bind_config"});
    bind_fingerprint = config::fingerprint(proto);
  }
  const config::DefaultResolver resolver;
  std::optional<net::BindOptions> bind;
  uint64_t bind_fingerprint = 0;
  // Together with that of a cluster.
  uint64_t with(uint64_t text) const {
    if (text == 0) return 0;
    if (resolver.options) text = config::combine(text, resolver.fingerprint);
    if (bind) text = config::combine(text, bind_fingerprint);
    return text;
  }
};

// What is in force, and which messages of the new configuration say the same.
class InForce {
 public:
  InForce(const envoy::config::bootstrap::v3::Bootstrap::StaticResources& resources,
          const config::PositionIndex& positions, const Inventory* inventory, const ClusterDefaults& defaults)
      : defaults_(defaults), listener_names_(config::listener_names(resources.listeners())) {
    const auto clusters = static_cast<size_t>(resources.clusters_size());
    cluster_texts_ = positions.digests_of("static_resources.clusters", clusters);
    for (uint64_t& text : cluster_texts_) text = defaults.with(text);
    for (const auto& cluster : resources.clusters()) {
      if (config::ejects_nobody(cluster)) known_.insert(&cluster.outlier_detection());
    }
    listener_texts_ =
        positions.digests_of("static_resources.listeners", static_cast<size_t>(resources.listeners_size()));
    if (inventory == nullptr) return;
    const ClusterTable& in_force = *inventory->clusters;
    size_t staying = 0;
    size_t near = 0;
    clusters_.reserve(clusters);
    known_.reserve(clusters);
    for (int i = 0; i < resources.clusters_size(); ++i) {
      const auto& cluster = resources.clusters(i);
      const size_t at = in_force.find(cluster.name(), near);
      clusters_.push_back(nullptr);
      if (at == ClusterTable::kNone) continue;
      ++staying;
      const ClusterFacts& facts = in_force.rows()[at].facts;
      if (facts.text == 0 || facts.text != cluster_texts_[static_cast<size_t>(i)]) continue;
      clusters_.back() = &facts;
      known_.insert(&cluster);
    }
    // The routes of a listener that stays may lead to a cluster that goes.
    if (staying < in_force.listed()) return;
    for (int i = 0; i < resources.listeners_size(); ++i) {
      const auto& listener = resources.listeners(i);
      const auto at = inventory->listeners.find(listener_names_[static_cast<size_t>(i)]);
      listeners_.push_back(nullptr);
      if (at == inventory->listeners.end() || at->second.text == 0 ||
          at->second.text != listener_texts_[static_cast<size_t>(i)])
        continue;
      listeners_.back() = &at->second;
      known_.insert(&listener);
    }
  }

  const config::KnownMessages& known() const { return known_; }
  const std::string& listener_name(int index) const { return listener_names_[static_cast<size_t>(index)]; }
  // nullptr: it does not stay as it is.
  const ClusterFacts* cluster(int index) const {
    return clusters_.empty() ? nullptr : clusters_[static_cast<size_t>(index)];
  }
  config::ClusterTranslation translate(const envoy::config::cluster::v3::Cluster& proto, int index,
                                       const std::string& path, const filter::Registry& registry, TranslationEnv& env,
                                       stats::Store& store, Report& report, SlotNames& slots) const {
    const size_t reads = report.sources().count();
    filter::FactoryScope scope(registry, store, env, report, path);
    config::ClusterTranslation out = new_cluster(proto, scope, env, report);
    out.index = index;
    if (report.sources().count() == reads && !out.names_clusters) out.text = cluster_texts_[static_cast<size_t>(index)];
    intern_cluster(slots, proto.name());
    return out;
  }
  config::ClusterTranslation new_cluster(const envoy::config::cluster::v3::Cluster& proto, filter::FactoryScope& scope,
                                         TranslationEnv& env, Report& report) const {
    config::ClusterTranslation out = config::translate_cluster(proto, scope, env, report);
    if (const auto& resolver = defaults_.resolver; resolver.options && out.dns && !out.dns->own_resolver) {
      out.dns->resolver = *resolver.options;
      out.spec_fingerprint = config::combine(out.spec_fingerprint, resolver.fingerprint);
      out.host_fingerprint = config::combine(out.host_fingerprint, resolver.fingerprint);
    }
    if (defaults_.bind && !proto.has_upstream_bind_config()) {
      out.spec.bind = *defaults_.bind;
      out.spec_fingerprint = config::combine(out.spec_fingerprint, defaults_.bind_fingerprint);
    }
    return out;
  }
  config::ListenerTranslation listener(const envoy::config::listener::v3::Listener& proto, int index,
                                       filter::FactoryScope& scope, Report& report) const {
    const auto i = static_cast<size_t>(index);
    config::ListenerTranslation out;
    if (!listeners_.empty() && listeners_[i] != nullptr) {
      out.spec.name = listener_names_[i];
      out.address = listeners_[i]->address;
      out.options = listeners_[i]->options;
      out.more_addresses = listeners_[i]->more_addresses;
      out.unchanged = true;
      return out;
    }
    const size_t reads = report.sources().count();
    out = config::translate_listener(proto, listener_names_[i], scope);
    if (report.sources().count() == reads) out.text = listener_texts_[i];
    return out;
  }

 private:
  const ClusterDefaults& defaults_;
  const std::vector<std::string> listener_names_;
  std::vector<uint64_t> cluster_texts_, listener_texts_;  // 0: not known
  std::vector<const ClusterFacts*> clusters_;             // of those that stay as they are, nullptr for others
  std::vector<const ListenerFacts*> listeners_;
  config::KnownMessages known_;
};

// Endpoints that are internal listeners name one that is there. (A cluster that has such endpoints is never one that
// stays as it is.)
void check_internal_addresses(const envoy::config::bootstrap::v3::Bootstrap::StaticResources& resources,
                              const InForce& same, Report& report) {
  std::set<std::string, std::less<>> names;
  for (const auto& listener : resources.listeners()) {
    if (listener.has_internal_listener()) names.insert(listener.name());
  }
  for (int c = 0; c < resources.clusters_size(); ++c) {
    if (same.cluster(c) != nullptr) continue;
    const auto& assignment = resources.clusters(c).load_assignment();
    for (int e = 0; e < assignment.endpoints_size(); ++e) {
      for (int k = 0; k < assignment.endpoints(e).lb_endpoints_size(); ++k) {
        const auto& address = assignment.endpoints(e).lb_endpoints(k).endpoint().address();
        if (!address.has_envoy_internal_address()) continue;
        const std::string& name = address.envoy_internal_address().server_listener_name();
        if (names.contains(name)) continue;
        const std::string known = names.empty() ? "" : "; there are " + config::listed({names.begin(), names.end()});
        report.error("static_resources.clusters[" + std::to_string(c) + "].load_assignment.endpoints[" +
                         std::to_string(e) + "].lb_endpoints[" + std::to_string(k) +
                         "].endpoint.address.envoy_internal_address.server_listener_name",
                     config::in_quotes(name) + " is no listener with internal_listener" + known);
      }
    }
  }
}

// Port 0 is another one each time.
bool takes_a_place(const net::Address& address) {
  return !address.empty() && !(address.is_ip() && address.port() == 0);
}

}  // namespace

Configuration translate_bootstrap(const envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                                  const config::PositionIndex& positions, const Options& options,
                                  const filter::Registry& registry, stats::Store& store, SlotNames& slots,
                                  Diagnostics& diagnostics, const Inventory* in_force,
                                  const envoy::config::core::v3::Node* started_as, const config::SecretStore* keep) {
  Configuration out;
  if (diagnostics.unreadable()) return out;
  const size_t found_before = diagnostics.items().size();
  const auto& resources = bootstrap.static_resources();
  config::NameTable clusters("static_resources.clusters", positions);
  clusters.reserve(static_cast<size_t>(resources.clusters_size()));
  for (int i = 0; i < resources.clusters_size(); ++i) {
    clusters.add(resources.clusters(i).name(), static_cast<size_t>(i));
  }
  const bool all_clusters = clusters.complete(diagnostics);
  Report report(positions, diagnostics,
                options.passthrough_unknown_extensions ? config::UnknownExtensions::kPassthrough
                                                       : config::UnknownExtensions::kReject);
  config::SecretSources secret_sources;
  report.set_secrets(secret_sources);
  {
    // Before anything makes statistics.
    stats::Rules rules;
    if (bootstrap.has_stats_config())
      rules = config::translate_stats_config(bootstrap.stats_config(), {report, "stats_config"}, options.stats_tags);
    rules.of_all = options.stats_tags;
    store.set_rules(std::move(rules));
  }
  const ClusterDefaults defaults(bootstrap, report);
  const InForce same(resources, positions, in_force, defaults);
  report.check(bootstrap, "", same.known());
  out.runtime =
      config::translate_runtime(bootstrap.layered_runtime(), "layered_runtime", options.service_cluster, report);
  std::map<config::SecretKey, int> secrets;
  for (int i = 0; i < resources.secrets_size(); ++i) {
    const auto& proto = resources.secrets(i);
    std::string path = "static_resources.secrets[" + std::to_string(i) + "]";
    const config::SecretKey key = config::key_of(proto);
    auto [first, fresh] = secrets.try_emplace(key, i);
    if (!fresh && !proto.name().empty())
      report.error(path + ".name",
                   "\"" + proto.name() + "\" is the name of secrets[" + std::to_string(first->second) + "] too");
    secret_sources.add(proto, path);
    const SecretFacts* goes_on = nullptr;
    if (keep != nullptr) {
      auto at = in_force->secrets.find(key);
      if (at != in_force->secrets.end() && keep->find(key) != nullptr) goes_on = &at->second;
    }
    if (goes_on != nullptr) diagnostics.demote(std::string(kGoesOn));
    auto secret = config::translate_secret(proto, path, report);
    // Whoever uses it says what is wrong with it, and goes on with what is here, too.
    if (secret.has_value() && goes_on != nullptr && secret->fingerprint != goes_on->fingerprint &&
        !config::is_usable(proto, *secret->content) && config::is_usable(proto, *keep->find(key)))
      secret.reset();
    if (secret.has_value()) {
      out.secrets.push_back(std::move(*secret));
    } else if (goes_on != nullptr) {
      out.secrets.push_back({key, keep->find(key), goes_on->fingerprint});
    }
    diagnostics.keep();
  }
  if (started_as == nullptr) started_as = &bootstrap.node();
  const filter::LocalNode node{started_as->id(), started_as->cluster()};
  out.local_cluster = bootstrap.cluster_manager().local_cluster_name();
  const auto& place = started_as->locality();
  out.place = {place.region(), place.zone(), place.sub_zone()};
  Transports transports(slots, report, out.transports, keep != nullptr ? &in_force->transports : nullptr);
  TranslationEnv env(positions, registry, store, slots, report, out.routes, transports, node);
  env.set_clusters(resources.clusters(), clusters, all_clusters, bootstrap.dynamic_resources().has_cds_config());
  auto facts = std::make_shared<ClusterTable>();
  facts->reserve(static_cast<size_t>(resources.clusters_size()));
  if (in_force == nullptr) out.clusters.reserve(static_cast<size_t>(resources.clusters_size()));
  for (int i = 0; i < resources.clusters_size(); ++i) {
    const auto& proto = resources.clusters(i);
    if (const ClusterFacts* stays = same.cluster(i)) {
      facts->add(proto.name(), *stays);
    } else {
      const std::string path = "static_resources.clusters[" + std::to_string(i) + "]";
      const config::ClusterTranslation& made =
          out.clusters.emplace_back(same.translate(proto, i, path, registry, env, store, report, slots));
      facts->add(proto.name(), {made.spec_fingerprint, made.host_fingerprint, made.text});
      env.add_cache(made, path);
    }
    if (!proto.alt_stat_name().empty()) env.set_stat_name(proto.name(), proto.alt_stat_name());
  }
  {
    filter::FactoryScope scope(registry, store, env, report, "admin");
    scope.set_node(node);
    read_admin(bootstrap.admin(), scope, report, out.admin);
  }
  if (bootstrap.has_overload_manager()) {
    filter::FactoryScope scope(registry, store, env, report, "overload_manager");
    scope.set_node(node);
    out.overload = config::translate_overload(bootstrap.overload_manager(), scope);
  }
  find_circles(resources, out.clusters, report);
  std::map<std::string, std::string> addresses;  // and the field that has each
  if (takes_a_place(out.admin.address)) addresses.emplace(out.admin.address.to_string(), "admin.address");
  for (int i = 0; i < resources.listeners_size(); ++i) {
    std::string path = "static_resources.listeners[" + std::to_string(i) + "]";
    filter::FactoryScope scope(registry, store, env, report, path);
    scope.set_node(node);
    const auto& proto = resources.listeners(i);
    env.begin_owner(same.listener_name(i), path);
    auto listener = same.listener(proto, i, scope, report);
    const auto place = [&](const net::Address& address, const std::string& at) {
      if (!takes_a_place(address)) return;
      const std::string_view transport = listener.options.datagrams ? "udp " : "";
      auto [other, fresh] = addresses.try_emplace(std::string(transport) + address.to_string(), at);
      if (fresh) return;
      std::string first(config::short_path(config::parent_path(other->second)));
      config::Position position = positions.find(other->second);
      if (position.line > 0) first += " (" + std::string(position.file) + ":" + std::to_string(position.line) + ")";
      report.error(at, address.to_string() + " is the address of " + first + " too");
    };
    place(listener.address, path + ".address");
    for (size_t k = 0; k < listener.more_addresses.size(); ++k) {
      place(listener.more_addresses[k].address, path + ".additional_addresses[" + std::to_string(k) + "].address");
    }
    out.listeners.push_back(std::move(listener));
  }
  env.begin_owner("", "");
  out.leads_to = env.take_leads();
  follow_aggregates(out.clusters, out.leads_to);
  check_internal_addresses(resources, same, report);
  read_bootstrap_extensions(bootstrap, report);
  filter::FactoryScope scope(registry, store, env, report, "");
  for (int i = 0; i < bootstrap.stats_sinks_size(); ++i) {
    const std::string field = "stats_sinks[" + std::to_string(i) + "]";
    if (auto sink = filter::make_extension<stats::Sink>("stats_sink", bootstrap.stats_sinks(i), scope, field))
      out.flush.sinks.push_back(std::move(sink));
  }
  for (const auto& [name, target] : env.grpc_targets()) {
    filter::FactoryScope here(registry, store, env, report, target.path);
    const config::ClusterTranslation& made =
        out.clusters.emplace_back(same.new_cluster(target.cluster, here, env, report));
    facts->add_unlisted(name, {made.spec_fingerprint, made.host_fingerprint, made.text});
  }
  out.cluster_facts = std::move(facts);
  if (bootstrap.has_stats_flush_interval()) out.flush.interval = config::to_duration(bootstrap.stats_flush_interval());
  if (bootstrap.stats_flush_on_admin()) out.flush.interval = Duration::zero();
  out.log_format = read_log_format(bootstrap, options, report);
  out.watchdog = read_watchdogs(bootstrap);
  // A reload leaves out what stays as it is, and does not see who uses what.
  for (int i = 0; in_force == nullptr && i < resources.secrets_size(); ++i) {
    const auto& proto = resources.secrets(i);
    const config::SecretKey key = config::key_of(proto);
    const auto read =
        std::find_if(out.secrets.begin(), out.secrets.end(), [&](const auto& one) { return one.key == key; });
    if (read == out.secrets.end() || secret_sources.is_used(key)) continue;
    config::doubt_unused_secret(proto, *read->content, "static_resources.secrets[" + std::to_string(i) + "]", report);
  }
  out.watched = report.sources().directories();
  diagnostics.drop_consequences(found_before, positions);
  return out;
}

}  // namespace weir::server
