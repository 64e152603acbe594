// The routing configuration of a listener, compiled: from a request to its virtual host, its route, and everything
// that the levels above the route say. Selection allocates nothing and does not slow down with the number of hosts and
// routes; what it finds is what walking the configuration from top to bottom would find first.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/arena.h"
#include "core/base/prefetch.h"
#include "core/base/status.h"
#include "core/event/slot.h"
#include "core/http/header_map.h"
#include "core/route/errors.h"
#include "core/route/host_index.h"
#include "core/route/path_index.h"
#include "core/route/route.h"
#include "core/route/route_stats.h"
#include "core/route/spec.h"
#include "core/stream/stream_info.h"

namespace weir::route {

class RouteTable;

// [immutable]
struct VirtualCluster {
  std::string name;
  std::vector<match::HeaderMatcher> headers;  // none: every request
  std::unique_ptr<const RouteStats> stats;    // null: nobody counts
};

// [immutable]
class alignas(64) VirtualHost {
 public:
  std::string_view name() const { return name_; }
  const std::vector<std::string>& domains() const { return domains_; }
  // With a matcher: the routes of all its actions, one action after another.
  const std::vector<Route>& routes() const { return routes_; }
  TlsRequirement require_tls() const { return require_tls_; }
  bool include_request_attempt_count() const { return include_request_attempt_count_; }
  bool include_attempt_count_in_response() const { return include_attempt_count_in_response_; }
  bool include_is_timeout_retry_header() const { return include_is_timeout_retry_header_; }
  const Mutations* mutations() const { return mutations_.get(); }  // null: none at this level
  // A struct of namespaces; null: none.
  const stream::Value* metadata() const { return metadata_ != nullptr ? &metadata_->root() : nullptr; }
  bool has_matcher() const { return matcher_ != nullptr; }
  const FilterConfigs& filter_configs() const { return *filter_configs_; }  // merged: virtual host over table
  const FilterConfigs& own_filter_configs() const {
    return own_filter_configs_ != nullptr ? *own_filter_configs_ : FilterConfigs::none();
  }
  // Fetches what a request will read of it.
  void prefetch(bool indexed) const {
    weir::prefetch(this, 128);
    if (indexed) weir::prefetch(&paths_, PathIndex::kRead);
  }

 private:
  friend class RouteBuilder;
  friend class RouteTable;
  // Instead of the paths: a tree whose actions are parts of routes_.
  struct Part {
    uint32_t first;
    uint32_t last;
  };
  // What every request reads, in the first 128 bytes, then what those of large hosts do.
  std::vector<Route> routes_;
  std::unique_ptr<const match::Tree> matcher_;
  std::vector<VirtualCluster> virtual_clusters_;  // the last takes what is left
  std::unique_ptr<const Mutations> mutations_;
  TlsRequirement require_tls_ = TlsRequirement::kNone;
  bool include_request_attempt_count_ = false;
  bool include_attempt_count_in_response_ = false;
  bool include_is_timeout_retry_header_ = false;
  bool hedges_ = false;
  bool indexed_ = false;  // there is paths_, which would say so too far away
  const FilterConfigs* filter_configs_ = &FilterConfigs::none();
  std::string name_;
  std::shared_ptr<const stream::StaticMetadata> metadata_;
  std::optional<PathIndex> paths_;  // none: so few routes that walking them is cheaper
  std::vector<std::string> domains_;
  std::vector<Part> parts_;
  std::unique_ptr<const RetryPolicy> retry_;
  std::unique_ptr<const Mirrors> own_mirrors_;
  const Mirrors* mirrors_ = nullptr;  // these or the table's
  std::unique_ptr<const FilterConfigs> own_filter_configs_;
  BodyLimits body_limits_;
};

// What a request came to. Pointers into the table: valid while the stream pins it.
struct Selection {
  const RouteTable* table = nullptr;
  const VirtualHost* virtual_host = nullptr;        // null: no domain matches
  const Route* route = nullptr;                     // null: none matches, or tls_required
  const WeightedCluster* weighted = nullptr;        // null: the route has no weighted clusters
  const VirtualCluster* virtual_cluster = nullptr;  // null: the virtual host has none
  bool tls_required = false;                        // answer with RedirectAction::to_https()
  bool plain = false;                               // the route is plain(): said here, so that it need not be read
  bool mutates = false;                             // some level changes headers

  // What all levels together say to filters; empty without a route. Never null, no work.
  const FilterConfigs& filter_configs() const noexcept {
    if (weighted != nullptr) return *weighted->filter_configs;
    return route != nullptr && !plain ? route->filter_configs() : FilterConfigs::none();
  }
  // Null: it has none of its own.
  const RouteStats* route_stats() const noexcept { return route != nullptr && !plain ? route->stats() : nullptr; }
  // route must be a kForward one.
  ClusterChoice cluster(const http::HeaderMap& request) const noexcept {
    return route->forward().cluster(request, weighted);
  }
  // All levels in the published order. `arena`: of the stream that owns the map.
  void apply_request_mutations(http::HeaderMap& headers, const stream::LogSubject& subject, Arena& arena) const;
  void apply_response_mutations(http::HeaderMap& headers, const stream::LogSubject& subject, Arena& arena) const;
};

// [immutable] Published to lanes in a slot of kind kRouteTable.
class RouteTable final : public event::Versioned {
 public:
  // Gives each cluster name its slot; called once per distinct name, on main. An empty function: all slots stay unset
  // (tests, validation).
  using ResolveCluster = std::function<event::SlotId(std::string_view cluster)>;

  // [main] The status carries the first error; `errors`, if given, gets all of them. Without a store nothing is
  // counted.
  static Result<std::unique_ptr<RouteTable>> build(RouteTableSpec spec, const ResolveCluster& resolve = {},
                                                   std::vector<BuildError>* errors = nullptr,
                                                   stats::Store* store = nullptr);

  Selection select(const http::HeaderMap& request, const SelectInput& input) const noexcept;

  std::string_view name() const { return name_; }
  const std::vector<VirtualHost>& virtual_hosts() const { return virtual_hosts_; }
  const Mutations* mutations() const { return mutations_.get(); }
  const FilterConfigs& filter_configs() const { return filter_configs_; }
  bool most_specific_header_mutations_wins() const { return most_specific_wins_; }
  bool ignore_path_parameters() const { return ignore_path_parameters_; }
  size_t route_count() const;
  // [any] Gone when the table is: when nobody goes by it any more.
  std::weak_ptr<const void> in_use() const { return in_use_; }
  // Removed from requests that come from outside, before a route is selected.
  const std::vector<http::HeaderName>& internal_only_headers() const { return internal_only_headers_; }

  // The two halves of select(), for explanations and tests.
  const VirtualHost* find_virtual_host(const http::HeaderMap& request) const noexcept;
  FoundRoute find_route(const VirtualHost& host, const http::HeaderMap& request,
                        const SelectInput& input) const noexcept;

 private:
  friend class RouteBuilder;
  using KnownClusters = std::unordered_map<std::string, event::SlotId>;
  using KnownCluster = KnownClusters::value_type;
  RouteTable() = default;

  std::string name_;
  std::shared_ptr<const void> in_use_ = std::make_shared<const int>();
  KnownClusters clusters_;  // that routes lead to
  std::vector<VirtualHost> virtual_hosts_;
  HostIndex hosts_;
  std::unique_ptr<const Mirrors> mirrors_;
  std::unique_ptr<const Mutations> mutations_;
  FilterConfigs filter_configs_;
  std::vector<std::unique_ptr<const FilterConfigs>> merged_filter_configs_;
  std::unique_ptr<http::HeaderName> vhost_header_;
  std::vector<http::HeaderName> internal_only_headers_;
  bool most_specific_wins_ = false;
  bool ignore_port_ = false;
  bool ignore_path_parameters_ = false;
  bool any_index_ = false;  // a virtual host has paths_
};

}  // namespace weir::route
