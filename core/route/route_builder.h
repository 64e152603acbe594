// Turns a RouteTableSpec into a RouteTable, collecting every error. [main] Lives for one build.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/route/cluster_policies.h"
#include "core/route/errors.h"
#include "core/route/route_table.h"
#include "core/route/spec.h"

namespace weir::route {

class RouteBuilder {
 public:
  RouteBuilder(const RouteTable::ResolveCluster& resolve, ErrorSink& errors, stats::Store* store)
      : resolve_(resolve), errors_(errors), store_(store) {}
  // The table means nothing if there were errors.
  std::unique_ptr<RouteTable> build(RouteTableSpec spec);
  std::shared_ptr<const ClusterPolicies> build(ClusterPoliciesSpec spec);

 private:
  // Fewer routes than this are walked: an index would cost more than it saves.
  static constexpr size_t kIndexFrom = 9;

  void build_virtual_host(VirtualHostSpec spec, uint32_t index);
  void build_virtual_clusters(std::vector<VirtualClusterSpec> specs, VirtualHost& host);
  std::unique_ptr<const RouteStats> make_stats(const VirtualHost& host, RouteStats::Kind kind, const std::string& name);
  void build_matcher(VirtualHostSpec& spec, VirtualHost& host);
  void build_route(RouteSpec spec, VirtualHost& host, uint32_t index);
  void build_match(RouteMatchSpec spec, Route& route);
  static Route::More& more_of(Route& route) {
    if (route.more_ == nullptr) route.more_ = std::make_unique<Route::More>();
    return *route.more_;
  }
  void build_forward(ForwardSpec spec, const BodyLimits& body_limits, const VirtualHost& host, Route& route);
  std::unique_ptr<const PathRewrite> build_path_rewrite(ForwardSpec& spec, const Route& route);
  void build_weighted(ForwardSpec& spec, ForwardAction::Special& special, const FilterConfigs& route);
  void build_specified(std::shared_ptr<const ClusterSpecifier> specifier, ForwardAction::Special& special,
                       const FilterConfigs& route);
  void build_host_rewrite(HostRewriteSpec spec, ForwardAction::Special& special);
  // nullptr: none.
  std::unique_ptr<const Mirrors> build_mirrors(std::vector<MirrorSpec> specs);
  HeaderMutationStep build_mirror_mutation(MirrorMutationSpec spec);
  std::unique_ptr<http::HeaderName> header_name(const std::string& text, std::string_view field);
  // `own` over `general`; kept by the table. `general` itself if there is nothing to add.
  const FilterConfigs* merge(const FilterConfigs& general, const std::vector<FilterConfigSpec>& specs,
                             std::unique_ptr<const FilterConfigs>& own);
  // Its name, for as long as the table is there, and its slot.
  const RouteTable::KnownCluster& known(const std::string& cluster);
  event::SlotId slot_of(const std::string& cluster) { return known(cluster).second; }

  const RouteTable::ResolveCluster& resolve_;
  ErrorSink& errors_;
  stats::Store* store_;
  std::unique_ptr<RouteTable> table_;
  RouteTable::KnownClusters clusters_;
  match::RegexPool regexes_;
};

}  // namespace weir::route
