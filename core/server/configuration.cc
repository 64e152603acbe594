#include "core/server/configuration.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "core/base/log_format.h"
#include "core/config/address_config.h"
#include "core/config/bootstrap_checks.h"
#include "core/config/google_grpc_config.h"
#include "core/config/name_table.h"
#include "core/config/proto_loader.h"
#include "core/config/report.h"
#include "core/config/route_config.h"
#include "core/config/secret_content.h"
#include "core/config/secret_sources.h"
#include "core/config/secret_store.h"
#include "core/config/shared_messages.h"
#include "core/config/stats_config.h"
#include "core/config/suggest.h"
#include "core/filter/register.h"
#include "core/server/change_plan.h"
#include "core/server/slot_name.h"
#include "core/upstream/aggregate.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/grpc_service.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"

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
         SlotNames& slots, Report& report, std::vector<StagedRoute>& staged, Transports& transports,
         const filter::LocalNode& node)
      : positions_(positions),
        registry_(registry),
        store_(store),
        slots_(slots),
        report_(report),
        staged_(staged),
        transports_(transports),
        node_(node) {}

  using Clusters = google::protobuf::RepeatedPtrField<envoy::config::cluster::v3::Cluster>;
  // The clusters of the file and their names; `complete`: there are no others, unless they come over CDS.
  void set_clusters(const Clusters& messages, config::NameTable& clusters, bool complete, bool cds) {
    cluster_messages_ = &messages;
    clusters_ = &clusters;
    clusters_complete_ = complete;
    cds_ = cds;
  }

  // RouteProvider
  TableSlot route_table(const google::protobuf::Message& message, filter::FactoryScope& scope) override {
    const auto& proto = static_cast<const envoy::config::route::v3::RouteConfiguration&>(message);
    StagedRoute staged;
    staged.config_name = proto.name();
    staged.listener = owner_;
    staged.path = scope.path().substr(std::min(scope.path().size(), owner_path_.size() + 1));
    // A chain that stays keeps its slot, whatever comes beside it. Chains of one listener that are told apart by
    // nothing are an error.
    const std::string number = std::to_string(tables_of_owner_[scope.chain_key()]++);
    staged.key = slot_name({owner_, scope.chain_key(), number});
    staged.shown = owner_ + "/" + scope.chain_key() + (number == "0" ? "" : "." + number);
    staged.chain = scope.chain_version();
    auto [slot_name, use] = slots_.route_slot(staged.key, staged.chain);
    staged.slot_name = std::move(slot_name);
    staged.use = use;
    const TableSlot slot{slots_.intern(event::SlotKind::kRouteTable, staged.slot_name), std::move(use)};
    const uint64_t mark = report_.sources().digest();
    manager_stat_prefix_ = scope.stat_prefix();
    staged.table = config::build_route_table(proto, scope.path(), *this, report_.diagnostics());
    // What the table read counts for the table and not for the listener.
    staged.fingerprint = config::combine(config::fingerprint(proto), report_.sources().take_since(mark));
    if (staged.table != nullptr) staged_.push_back(std::move(staged));
    return slot;
  }
  event::SlotId cluster(std::string_view name) override { return lead_to(name); }
  void may_lead_anywhere() override { leads_to_[owner_].emplace(kAnyCluster); }  // of RouteConfigEnv, too
  std::string cluster_stat_name(std::string_view name) override {
    const auto at = stat_names_.find(name);
    std::string found = at != stat_names_.end() ? at->second : std::string(name);
    // Who asks has read it out of another message than its own: another name is a change of both.
    report_.sources().add_file_content("cluster " + std::string(name), found);
    return found;
  }
  std::string manager_stat_prefix() override {
    report_.sources().add_file_content("the connection manager's stat_prefix", manager_stat_prefix_);
    return manager_stat_prefix_;
  }
  GrpcTarget google_grpc(const google::protobuf::Message& message, filter::FactoryScope& scope) override {
    const auto& proto = static_cast<const envoy::config::core::v3::GrpcService::GoogleGrpc&>(message);
    auto made = config::read_google_grpc(proto, scope);
    if (!made) return {};
    const std::string name = made->cluster.name();
    // Who asks is read again by every reload: its cluster is there as long as somebody asks.
    report_.sources().add_file_content("cluster " + name, "");
    GrpcTarget out{lead_to(name), std::move(made->authority)};
    const uint64_t fingerprint = config::fingerprint(proto);
    const auto [at, fresh] =
        grpc_targets_.try_emplace(name, Target{std::move(made->cluster), fingerprint, scope.path()});
    if (!fresh && at->second.fingerprint != fingerprint)
      scope.error("stat_prefix", "is that of another target, or of other credentials, at " +
                                     std::string(config::short_path(at->second.path)) +
                                     "; each has statistics of its own");
    if (fresh && clusters_->contains(name))
      scope.error("stat_prefix",
                  "a cluster has the name " + config::in_quotes(name) + ", which is to be that of this target");
    return out;
  }
  // Clusters that are in no list of the configuration, by name.
  struct Target {
    envoy::config::cluster::v3::Cluster cluster;
    uint64_t fingerprint;
    std::string path;
  };
  const std::map<std::string, Target>& grpc_targets() const { return grpc_targets_; }
  // Of a cluster whose statistics have another name.
  void set_stat_name(const std::string& cluster, const std::string& stat_name) { stat_names_[cluster] = stat_name; }
  event::SlotId host_set(std::string_view cluster) override {
    return {event::SlotKind::kHostSet, lead_to(cluster).index};
  }
  std::string dns_cache(const google::protobuf::Message& config, filter::FactoryScope& scope) override {
    const auto& proto =
        static_cast<const envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig&>(config);
    if (proto.name().empty()) return {};  // reported already
    const auto at = caches_.find(proto.name());
    if (at == caches_.end()) {
      std::vector<std::string> known;
      for (const auto& [name, cache] : caches_) known.push_back(config::in_quotes(name));
      scope.error("name", config::in_quotes(proto.name()) +
                              " is the cache of no cluster; a cluster of the type "
                              "envoy.clusters.dynamic_forward_proxy has the same dns_cache_config" +
                              (known.empty() ? "" : "; there are " + config::listed(known)));
      return {};
    }
    if (at->second.fingerprint != config::fingerprint(proto)) {
      scope.error({}, "differs from the cache of the same name in cluster " + config::in_quotes(at->second.cluster) +
                          "; the two must be equal");
      return {};
    }
    // The cluster's may change where the text of who asks does not.
    report_.sources().add_file_content("dns cache " + proto.name(), std::to_string(at->second.fingerprint));
    return proto.name();
  }
  // Those of clusters, before filters are made. Two of one name are to be equal.
  void add_cache(const config::ClusterTranslation& cluster, const std::string& path) {
    if (!cluster.dynamic || cluster.dynamic->by_address) return;
    const config::DnsCacheSpec& cache = cluster.dynamic->cache;
    const auto [at, fresh] = caches_.try_emplace(cache.name, Cache{cache.fingerprint, cluster.spec.name});
    if (!fresh && at->second.fingerprint != cache.fingerprint)
      report_.error(path + ".cluster_type.typed_config.dns_cache_config",
                    "differs from the cache of the same name in cluster " + config::in_quotes(at->second.cluster) +
                        "; the two must be equal, or have two names");
  }
  std::optional<event::SlotId> transport_socket(const google::protobuf::Message& config, filter::TransportSide side,
                                                std::string_view cluster, const std::string& name,
                                                filter::FactoryScope& scope) override {
    const bool upstream = side == filter::TransportSide::kUpstream;
    return transports_.make(config, side, upstream ? std::string(cluster) : owner_, name, scope);
  }
  // Route tables are named after the listener that they are part of: the same chain's tables replace each other.
  void begin_owner(const std::string& listener, const std::string& path) {
    owner_ = listener;
    owner_path_ = path;
    tables_of_owner_.clear();
  }
  // The clusters that each of the owners names.
  std::map<std::string, std::set<std::string>> take_leads() {
    leads_to_.erase("");
    return std::move(leads_to_);
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
  bool has_http_filters(std::string_view cluster) override {
    return clusters_->contains(cluster) &&
           config::has_http_filters(cluster_messages_->Get(static_cast<int>(clusters_->index_of(cluster))));
  }
  stats::Store* stats_store() override { return &store_; }
  event::SlotId cluster_slot(std::string_view name) override { return lead_to(name); }
  uint32_t filter_id(std::string_view name) override { return filter::Registry::intern_filter_name(name); }
  bool parse_filter_config(std::string_view filter_name, const google::protobuf::Any& any, bool optional,
                           std::string_view path, route::FilterConfigSpec& spec, Diagnostics&) override {
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
    scope.set_node(node_);
    auto made = scope.made_by(descriptor->make_route_config, *message);
    if (!made || report_.errors() != before) return false;
    spec.config = std::move(*made);
    spec.kind = descriptor->route_kind;
    return true;
  }
  std::shared_ptr<const filter::HttpChainConfig> upstream_filters(const HttpFilters& messages,
                                                                  const std::string& path) override {
    filter::FactoryScope scope(registry_, store_, *this, report_, path);
    scope.set_stat_prefix("http.upstream.");
    scope.set_node(node_);
    return report_.translator().http_filters(messages, filter::ChainSide::kUpstream, scope, "http_filters");
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
  Transports& transports_;
  const filter::LocalNode& node_;
  std::string manager_stat_prefix_;
  std::map<std::string, Target> grpc_targets_;
  struct Cache {
    uint64_t fingerprint;
    std::string cluster;  // the first that has it
  };
  std::map<std::string, Cache> caches_;
  const Clusters* cluster_messages_ = nullptr;
  config::NameTable* clusters_ = nullptr;
  bool clusters_complete_ = false;
  bool cds_ = false;
  std::map<std::string, std::string, std::less<>> stat_names_;
  event::SlotId lead_to(std::string_view cluster) {
    leads_to_[owner_].emplace(cluster);
    return intern_cluster(slots_, cluster);
  }

  std::string owner_;  // empty: none
  std::string owner_path_;
  std::map<std::string, std::set<std::string>> leads_to_;  // by owner
  std::map<std::string, int> tables_of_owner_;             // by the key of their chain
};

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
                                       const std::string& path, const filter::Registry& registry, Routes& env,
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
                                         Routes& env, Report& report) const {
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

WatchdogLimits read_watchdog(const envoy::config::bootstrap::v3::Watchdog& proto) {
  WatchdogLimits limits;
  if (proto.has_miss_timeout()) limits.miss = config::to_duration(proto.miss_timeout());
  if (proto.has_megamiss_timeout()) limits.mega_miss = config::to_duration(proto.megamiss_timeout());
  if (proto.has_kill_timeout()) limits.kill = config::to_duration(proto.kill_timeout());
  if (proto.has_max_kill_timeout_jitter()) limits.kill_jitter = config::to_duration(proto.max_kill_timeout_jitter());
  if (proto.has_multikill_timeout()) limits.multikill = config::to_duration(proto.multikill_timeout());
  limits.multikill_share = proto.multikill_threshold().value() / 100;
  return limits;
}

void read_admin(const envoy::config::bootstrap::v3::Admin& proto, filter::FactoryScope& scope, Report& report,
                AdminPlan& out) {
  if (proto.has_address()) {
    out.address = config::translate_address(proto.address(), scope.at("address"), report);
    config::read_listen_options(proto.address(), out.listen);
  }
  for (int i = 0; i < proto.socket_options_size(); ++i) {
    config::translate_socket_option(
        proto.socket_options(i), config::FieldReport{report, scope.path()}.item("socket_options", i), out.listen.more);
  }
  std::erase_if(out.listen.more,
                [](const net::SocketOption& one) { return one.kind == net::SocketOption::Kind::kDatagram; });
  auto allowed = std::make_shared<std::vector<match::StringMatcher>>();
  for (int i = 0; i < proto.allow_paths_size(); ++i) {
    const config::FieldReport at{report, scope.at("allow_paths[" + std::to_string(i) + "]")};
    if (auto one = config::translate(proto.allow_paths(i), at)) allowed->push_back(std::move(*one));
  }
  if (proto.allow_paths_size() > 0) {
    out.allows_path = [allowed = std::move(allowed)](std::string_view path) {
      return std::any_of(allowed->begin(), allowed->end(), [path](const auto& one) { return one.matches(path); });
    };
  }
  out.profile_path = proto.profile_path();
  out.access_logs = scope.translator().access_loggers(proto.access_log(), scope, "access_log");
  if (proto.access_log_path().empty()) return;
  google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog> older;
  envoy::extensions::access_loggers::file::v3::FileAccessLog file;
  file.set_path(proto.access_log_path());
  envoy::config::accesslog::v3::AccessLog& log = *older.Add();
  log.set_name("envoy.access_loggers.file");
  log.mutable_typed_config()->PackFrom(file);
  const Report::AsOne text(report, scope.at("access_log_path"));
  for (auto& one : scope.translator().access_loggers(older, scope, "access_log_path"))
    out.access_logs.push_back(std::move(one));
}

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

void read_bootstrap_extensions(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, Report& report) {
  constexpr std::string_view kInternalListener = "envoy.extensions.bootstrap.internal_listener.v3.InternalListener";
  for (int i = 0; i < bootstrap.bootstrap_extensions_size(); ++i) {
    const std::string path = "bootstrap_extensions[" + std::to_string(i) + "].typed_config";
    const auto message = report.unpack(bootstrap.bootstrap_extensions(i).typed_config(), path);
    if (message != nullptr && message->GetTypeName() != kInternalListener)
      report.error(path, message->GetTypeName() + " is no extension of the process here; allowed is " +
                             std::string(kInternalListener));
  }
}

// As the inside of a JSON string, and so that nothing in it is a flag if `literal`.
void append_json_pattern(const std::string& text, bool literal, std::string& out) {
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escaped;
      continue;
    } else if (literal && c == '%') {
      out += '%';
    }
    out += c;
  }
}

// A line of the process log that is an object, its members sorted by name.
std::string json_log_pattern(const google::protobuf::Struct& format, const std::string& path, Report& report) {
  const std::map<std::string, google::protobuf::Value> members(format.fields().begin(), format.fields().end());
  std::string out = "{";
  for (const auto& [name, value] : members) {
    const std::string at = path + "." + name;
    const std::string& text = value.string_value();
    if (value.kind_case() != google::protobuf::Value::kStringValue) {
      report.error(at, "must be a text, as %j");
      continue;
    }
    for (size_t i = text.find('%'); i != std::string::npos && i + 1 < text.size(); i = text.find('%', i + 2)) {
      if (text[i + 1] == 'v' || text[i + 1] == '_')
        report.error(at,
                     std::string("%") + text[i + 1] + " may hold what is no JSON; %j is the same text as JSON has it");
    }
    out += out.size() == 1 ? "\"" : ",\"";
    append_json_pattern(name, true, out);
    out += "\":\"";
    append_json_pattern(text, false, out);
    out += '"';
  }
  return out + "}";
}

std::string read_log_format(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, const Options& options,
                            Report& report) {
  if (!bootstrap.application_log_config().has_log_format()) return {};
  const auto& format = bootstrap.application_log_config().log_format();
  std::string path = "application_log_config.log_format";
  if (!options.log_format.empty())
    report.error(path, "is said twice: the command line has --log-format; leave one of them out");
  std::string pattern;
  if (format.has_json_format()) {
    path += ".json_format";
    pattern = json_log_pattern(format.json_format(), path, report);
  } else {
    path += ".text_format";
    pattern = format.text_format();
  }
  auto compiled = log::LineFormat::compile(pattern, options.log_format_escaped);
  if (!compiled.ok()) report.error(path, message_of(compiled.status()));
  return pattern;
}

// Port 0 is another one each time.
bool takes_a_place(const net::Address& address) {
  return !address.empty() && !(address.is_ip() && address.port() == 0);
}

// Clusters that stand for others, and in the end for themselves.
class Circles {
 public:
  using Resources = envoy::config::bootstrap::v3::Bootstrap::StaticResources;
  // `translated`: of all that stand for others. (They are never among those that stay as they are.)
  Circles(const Resources& resources, const std::vector<config::ClusterTranslation>& translated, Report& report)
      : resources_(resources), report_(report), clusters_(static_cast<size_t>(resources.clusters_size())) {
    for (const config::ClusterTranslation& one : translated) {
      if (!one.aggregates.empty()) clusters_[static_cast<size_t>(one.index)].members = &one.aggregates;
    }
    for (size_t i = 0; i < clusters_.size(); ++i) index_.try_emplace(name(i), i);
  }
  void find() {
    for (size_t i = 0; i < clusters_.size(); ++i) {
      if (clusters_[i].members != nullptr && clusters_[i].state == State::kNew) visit(i);
    }
  }

 private:
  enum class State : uint8_t { kNew, kOpen, kDone };
  struct Known {
    const std::vector<std::string>* members = nullptr;  // null: it stands for itself alone
    State state = State::kNew;
  };
  const std::string& name(size_t cluster) const { return resources_.clusters(static_cast<int>(cluster)).name(); }
  void visit(size_t cluster) {
    clusters_[cluster].state = State::kOpen;
    way_.push_back(cluster);
    const std::vector<std::string>& members = *clusters_[cluster].members;
    for (size_t i = 0; i < members.size(); ++i) {
      const auto at = index_.find(members[i]);
      if (at == index_.end()) continue;
      const std::string path = "static_resources.clusters[" + std::to_string(cluster) +
                               "].cluster_type.typed_config.clusters[" + std::to_string(i) + "]";
      const Known& member = clusters_[at->second];
      if (config::finds_hosts(resources_.clusters(static_cast<int>(at->second)))) {
        report_.error(path, "is of type ORIGINAL_DST, which has no hosts before requests come to it");
      } else if (member.state == State::kOpen) {
        report_.error(path, "is a circle: " + circle(at->second));
      } else if (way_.size() > upstream::Aggregate::kDeepest) {
        report_.error(path, "is too deep: clusters may stand for clusters that stand for others " +
                                std::to_string(upstream::Aggregate::kDeepest) + " times");
      } else if (member.state == State::kNew && member.members != nullptr) {
        visit(at->second);
      }
    }
    way_.pop_back();
    clusters_[cluster].state = State::kDone;
  }
  // "a -> b -> a"
  std::string circle(size_t from) const {
    std::string text;
    for (auto at = std::find(way_.begin(), way_.end(), from); at != way_.end(); ++at) text += name(*at) + " -> ";
    return text + name(from);
  }

  const Resources& resources_;
  Report& report_;
  std::vector<Known> clusters_;
  std::map<std::string_view, size_t> index_;
  std::vector<size_t> way_;
};

void find_circles(const Circles::Resources& resources, const std::vector<config::ClusterTranslation>& translated,
                  Report& report) {
  const bool any =
      std::any_of(translated.begin(), translated.end(), [](const auto& one) { return !one.aggregates.empty(); });
  if (any) Circles(resources, translated, report).find();
}

// Whoever leads to a cluster that stands for others leads to those.
void follow_aggregates(const std::vector<config::ClusterTranslation>& translated,
                       std::map<std::string, std::set<std::string>>& leads_to) {
  std::map<std::string_view, const std::vector<std::string>*> members;
  for (const config::ClusterTranslation& one : translated) {
    if (!one.aggregates.empty()) members.emplace(one.spec.name, &one.aggregates);
  }
  if (members.empty()) return;
  for (auto& [listener, clusters] : leads_to) {
    std::vector<std::string> left(clusters.begin(), clusters.end());
    while (!left.empty()) {
      const auto at = members.find(left.back());
      left.pop_back();
      if (at == members.end()) continue;
      for (const std::string& member : *at->second) {
        if (clusters.insert(member).second) left.push_back(member);
      }
    }
  }
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
  Routes routes(positions, registry, store, slots, report, out.routes, transports, node);
  routes.set_clusters(resources.clusters(), clusters, all_clusters, bootstrap.dynamic_resources().has_cds_config());
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
          out.clusters.emplace_back(same.translate(proto, i, path, registry, routes, store, report, slots));
      facts->add(proto.name(), {made.spec_fingerprint, made.host_fingerprint, made.text});
      routes.add_cache(made, path);
    }
    if (!proto.alt_stat_name().empty()) routes.set_stat_name(proto.name(), proto.alt_stat_name());
  }
  {
    filter::FactoryScope scope(registry, store, routes, report, "admin");
    scope.set_node(node);
    read_admin(bootstrap.admin(), scope, report, out.admin);
  }
  if (bootstrap.has_overload_manager()) {
    filter::FactoryScope scope(registry, store, routes, report, "overload_manager");
    scope.set_node(node);
    out.overload = config::translate_overload(bootstrap.overload_manager(), scope);
  }
  find_circles(resources, out.clusters, report);
  std::map<std::string, std::string> addresses;  // and the field that has each
  if (takes_a_place(out.admin.address)) addresses.emplace(out.admin.address.to_string(), "admin.address");
  for (int i = 0; i < resources.listeners_size(); ++i) {
    std::string path = "static_resources.listeners[" + std::to_string(i) + "]";
    filter::FactoryScope scope(registry, store, routes, report, path);
    scope.set_node(node);
    const auto& proto = resources.listeners(i);
    routes.begin_owner(same.listener_name(i), path);
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
  routes.begin_owner("", "");
  out.leads_to = routes.take_leads();
  follow_aggregates(out.clusters, out.leads_to);
  check_internal_addresses(resources, same, report);
  read_bootstrap_extensions(bootstrap, report);
  filter::FactoryScope scope(registry, store, routes, report, "");
  for (int i = 0; i < bootstrap.stats_sinks_size(); ++i) {
    const std::string field = "stats_sinks[" + std::to_string(i) + "]";
    if (auto sink = filter::make_extension<stats::Sink>("stats_sink", bootstrap.stats_sinks(i), scope, field))
      out.flush.sinks.push_back(std::move(sink));
  }
  for (const auto& [name, target] : routes.grpc_targets()) {
    filter::FactoryScope here(registry, store, routes, report, target.path);
    const config::ClusterTranslation& made =
        out.clusters.emplace_back(same.new_cluster(target.cluster, here, routes, report));
    facts->add_unlisted(name, {made.spec_fingerprint, made.host_fingerprint, made.text});
  }
  out.cluster_facts = std::move(facts);
  if (bootstrap.has_stats_flush_interval()) out.flush.interval = config::to_duration(bootstrap.stats_flush_interval());
  if (bootstrap.stats_flush_on_admin()) out.flush.interval = Duration::zero();
  out.log_format = read_log_format(bootstrap, options, report);
  if (bootstrap.has_watchdogs()) {
    out.watchdog.main = read_watchdog(bootstrap.watchdogs().main_thread_watchdog());
    out.watchdog.workers = read_watchdog(bootstrap.watchdogs().worker_watchdog());
  } else {
    out.watchdog.main = out.watchdog.workers = read_watchdog(bootstrap.watchdog());
  }
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
