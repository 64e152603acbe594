#include "core/server/translation_env.h"

#include <algorithm>

#include "core/config/google_grpc_config.h"
#include "core/config/shared_messages.h"
#include "core/config/suggest.h"
#include "core/filter/register.h"
#include "core/server/slot_name.h"
#include "envoy/config/core/v3/grpc_service.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache.pb.h"

namespace weir::server {

void TranslationEnv::set_clusters(const Clusters& messages, config::NameTable& clusters, bool complete, bool cds) {
  cluster_messages_ = &messages;
  clusters_ = &clusters;
  clusters_complete_ = complete;
  cds_ = cds;
}

filter::RouteProvider::TableSlot TranslationEnv::route_table(const google::protobuf::Message& message,
                                                             filter::FactoryScope& scope) {
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

std::string TranslationEnv::cluster_stat_name(std::string_view name) {
  const auto at = stat_names_.find(name);
  std::string found = at != stat_names_.end() ? at->second : std::string(name);
  // Who asks has read it out of another message than its own: another name is a change of both.
  report_.sources().add_file_content("cluster " + std::string(name), found);
  return found;
}

std::string TranslationEnv::manager_stat_prefix() {
  report_.sources().add_file_content("the connection manager's stat_prefix", manager_stat_prefix_);
  return manager_stat_prefix_;
}

filter::RouteProvider::GrpcTarget TranslationEnv::google_grpc(const google::protobuf::Message& message,
                                                              filter::FactoryScope& scope) {
  const auto& proto = static_cast<const envoy::config::core::v3::GrpcService::GoogleGrpc&>(message);
  auto made = config::read_google_grpc(proto, scope);
  if (!made) return {};
  const std::string name = made->cluster.name();
  // Who asks is read again by every reload: its cluster is there as long as somebody asks.
  report_.sources().add_file_content("cluster " + name, "");
  GrpcTarget out{lead_to(name), std::move(made->authority)};
  const uint64_t fingerprint = config::fingerprint(proto);
  const auto [at, fresh] = grpc_targets_.try_emplace(name, Target{std::move(made->cluster), fingerprint, scope.path()});
  if (!fresh && at->second.fingerprint != fingerprint)
    scope.error("stat_prefix", "is that of another target, or of other credentials, at " +
                                   std::string(config::short_path(at->second.path)) +
                                   "; each has statistics of its own");
  if (fresh && clusters_->contains(name))
    scope.error("stat_prefix",
                "a cluster has the name " + config::in_quotes(name) + ", which is to be that of this target");
  return out;
}

std::string TranslationEnv::dns_cache(const google::protobuf::Message& config, filter::FactoryScope& scope) {
  const auto& proto = static_cast<const envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig&>(config);
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

void TranslationEnv::add_cache(const config::ClusterTranslation& cluster, const std::string& path) {
  if (!cluster.dynamic || cluster.dynamic->by_address) return;
  const config::DnsCacheSpec& cache = cluster.dynamic->cache;
  const auto [at, fresh] = caches_.try_emplace(cache.name, Cache{cache.fingerprint, cluster.spec.name});
  if (!fresh && at->second.fingerprint != cache.fingerprint)
    report_.error(path + ".cluster_type.typed_config.dns_cache_config",
                  "differs from the cache of the same name in cluster " + config::in_quotes(at->second.cluster) +
                      "; the two must be equal, or have two names");
}

std::optional<event::SlotId> TranslationEnv::transport_socket(const google::protobuf::Message& config,
                                                              filter::TransportSide side, std::string_view cluster,
                                                              const std::string& name, filter::FactoryScope& scope) {
  const bool upstream = side == filter::TransportSide::kUpstream;
  return transports_.make(config, side, upstream ? std::string(cluster) : owner_, name, scope);
}

void TranslationEnv::begin_owner(const std::string& listener, const std::string& path) {
  owner_ = listener;
  owner_path_ = path;
  tables_of_owner_.clear();
}

std::map<std::string, std::set<std::string>> TranslationEnv::take_leads() {
  leads_to_.erase("");
  return std::move(leads_to_);
}

bool TranslationEnv::has_cluster(std::string_view name, std::string& hint) {
  if (clusters_->contains(name) || !clusters_complete_) return true;
  hint = clusters_->nearest(name);
  if (hint.empty() && cds_) hint = "if it comes over CDS, set validate_clusters: false in the route configuration";
  return false;
}

bool TranslationEnv::has_http_filters(std::string_view cluster) {
  return clusters_->contains(cluster) &&
         config::has_http_filters(cluster_messages_->Get(static_cast<int>(clusters_->index_of(cluster))));
}

bool TranslationEnv::parse_filter_config(std::string_view filter_name, const google::protobuf::Any& any, bool optional,
                                         std::string_view path, route::FilterConfigSpec& spec, config::Diagnostics&) {
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

std::shared_ptr<const filter::HttpChainConfig> TranslationEnv::upstream_filters(const HttpFilters& messages,
                                                                                const std::string& path) {
  filter::FactoryScope scope(registry_, store_, *this, report_, path);
  scope.set_stat_prefix("http.upstream.");
  scope.set_node(node_);
  return report_.translator().http_filters(messages, filter::ChainSide::kUpstream, scope, "http_filters");
}

std::optional<std::string> TranslationEnv::read_source(const envoy::config::core::v3::DataSource& source,
                                                       std::string_view path, config::SourceLimit limit,
                                                       config::Diagnostics&) {
  return report_.read_source(source, std::string(path), limit);
}

event::SlotId TranslationEnv::lead_to(std::string_view cluster) {
  leads_to_[owner_].emplace(cluster);
  return intern_cluster(slots_, cluster);
}

}  // namespace weir::server
