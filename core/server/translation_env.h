// What translating the parts of a bootstrap needs to know of the others: where names lead, which route tables and
// transport sockets come of it, and what is shared. [main]
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/name_table.h"
#include "core/config/report.h"
#include "core/config/route_config.h"
#include "core/filter/factory.h"
#include "core/server/configuration.h"
#include "envoy/config/cluster/v3/cluster.pb.h"

namespace weir::server {

class TranslationEnv final : public filter::RouteProvider, public config::RouteConfigEnv {
 public:
  TranslationEnv(const config::PositionIndex& positions, const filter::Registry& registry, stats::Store& store,
                 SlotNames& slots, config::Report& report, std::vector<StagedRoute>& staged, Transports& transports,
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
  void set_clusters(const Clusters& messages, config::NameTable& clusters, bool complete, bool cds);

  // RouteProvider
  TableSlot route_table(const google::protobuf::Message& message, filter::FactoryScope& scope) override;
  event::SlotId cluster(std::string_view name) override { return lead_to(name); }
  void may_lead_anywhere() override { leads_to_[owner_].emplace(kAnyCluster); }  // of RouteConfigEnv, too
  std::string cluster_stat_name(std::string_view name) override;
  std::string manager_stat_prefix() override;
  GrpcTarget google_grpc(const google::protobuf::Message& message, filter::FactoryScope& scope) override;
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
  std::string dns_cache(const google::protobuf::Message& config, filter::FactoryScope& scope) override;
  // Those of clusters, before filters are made. Two of one name are to be equal.
  void add_cache(const config::ClusterTranslation& cluster, const std::string& path);
  std::optional<event::SlotId> transport_socket(const google::protobuf::Message& config, filter::TransportSide side,
                                                std::string_view cluster, const std::string& name,
                                                filter::FactoryScope& scope) override;
  // Route tables are named after the listener that they are part of: the same chain's tables replace each other.
  void begin_owner(const std::string& listener, const std::string& path);
  // The clusters that each of the owners names.
  std::map<std::string, std::set<std::string>> take_leads();

  // RouteConfigEnv
  const config::PositionIndex& positions() const override { return positions_; }
  bool validate_clusters_by_default() const override { return true; }
  bool has_cluster(std::string_view name, std::string& hint) override;
  bool has_http_filters(std::string_view cluster) override;
  stats::Store* stats_store() override { return &store_; }
  event::SlotId cluster_slot(std::string_view name) override { return lead_to(name); }
  uint32_t filter_id(std::string_view name) override { return filter::Registry::intern_filter_name(name); }
  bool parse_filter_config(std::string_view filter_name, const google::protobuf::Any& any, bool optional,
                           std::string_view path, route::FilterConfigSpec& spec, config::Diagnostics&) override;
  std::shared_ptr<const filter::HttpChainConfig> upstream_filters(const HttpFilters& messages,
                                                                  const std::string& path) override;
  std::optional<std::string> read_source(const envoy::config::core::v3::DataSource& source, std::string_view path,
                                         config::SourceLimit limit, config::Diagnostics&) override;

 private:
  const config::PositionIndex& positions_;
  const filter::Registry& registry_;
  stats::Store& store_;
  SlotNames& slots_;
  config::Report& report_;
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
  event::SlotId lead_to(std::string_view cluster);

  std::string owner_;  // empty: none
  std::string owner_path_;
  std::map<std::string, std::set<std::string>> leads_to_;  // by owner
  std::map<std::string, int> tables_of_owner_;             // by the key of their chain
};

}  // namespace weir::server
