// A cluster's configuration and statistics. Membership is published apart (lb::HostSet), so that a change of hosts
// touches nothing here.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "core/event/slot.h"
#include "core/http/h1/message.h"
#include "core/http/h2/options.h"
#include "core/http/header_map.h"
#include "core/lb/policy.h"
#include "core/net/socket.h"
#include "core/stats/code_counters.h"
#include "core/stats/late_counters.h"
#include "core/stats/store.h"
#include "core/stream/metadata.h"
#include "core/stream/stream_info.h"
#include "core/upstream/http2_stats.h"
#include "core/upstream/limits.h"

namespace weir::route {
struct ClusterPolicies;
class HashPolicies;
}  // namespace weir::route

namespace weir::filter {
class HttpChainConfig;
}

namespace weir::upstream {

struct ClusterLimits;
struct ClusterSpec;

// `cluster.<name>.canary.upstream_rq_*`: of responses of hosts that are canaries, beside the others. [any]
struct CanaryStats {
  explicit CanaryStats(const stats::Group& cluster);
  stats::CodeCounters codes;
  stats::Histogram rq_time;
};

// The published statistics of a cluster that weir keeps so far. [any]
struct ClusterStats {
  ClusterStats(stats::Store& store, const std::string& name);
  ~ClusterStats();
  // [main] Sets circuit_breakers.*_open: 1 while all shares of a limit are taken. Called before statistics are
  // read, so requests pay nothing for it. Of a limit above 32 per lane, lanes may be keeping up to an eighth unused,
  // which they give to whoever would be refused (recall.h).
  void show(const ClusterLimits& limits, const ClusterSpec& spec) const;
  // [main] Of a name that no cluster has any more: what main alone writes, so that what is under way shows nothing
  // else.
  void clear_main_gauges() const;
  // Made when a canary first answers.
  const CanaryStats& canary() const;

  std::shared_ptr<stats::Group> group;
  stats::Counter cx_total, cx_http1_total, cx_connect_fail, cx_connect_timeout, cx_overflow, cx_idle_timeout,
      cx_none_healthy, cx_destroy, cx_destroy_with_active_rq, cx_max_requests, cx_protocol_error, cx_rx_bytes_total,
      cx_tx_bytes_total, cx_connect_attempts_exceeded, cx_http2_total, cx_max_duration_reached, cx_close_notify;
  Http2Stats http2;  // of connections to it
  stats::Counter rq_total, rq_pending_total, rq_pending_overflow, rq_pending_failure_eject, rq_timeout,
      rq_per_try_timeout, rq_per_try_idle_timeout, rq_cancelled, rq_rx_reset, rq_tx_reset, rq_retry, rq_retry_success,
      rq_retry_overflow, rq_retry_limit_exceeded, rq_retry_backoff_exponential, rq_retry_backoff_ratelimited,
      retry_or_shadow_abandoned, internal_redirect_succeeded, internal_redirect_failed, rq_max_duration_reached;
  // Of members that come from elsewhere (names); those of the configuration count as update_success alone. Empty: an
  // answer without addresses. No rebuild: an answer that changes nothing.
  stats::Counter update_attempt, update_failure, update_empty;
  // membership_excluded stays 0: no host is kept out of the count of panic.
  stats::Counter membership_change, update_success, update_no_rebuild, lb_healthy_panic;
  stats::Gauge cx_active, rq_active, rq_pending_active, membership_total, membership_healthy, membership_degraded,
      membership_excluded, warming_state;
  struct Open {
    stats::Gauge cx, rq, rq_pending, rq_retry;
  };
  Open open, high_open;  // by priority
  stats::Histogram cx_connect_ms, cx_length_ms, rq_time;
  stats::CodeCounters codes;
  stats::CodeCounters retry_codes;  // of responses that a retry replaced
  // What became of requests for this cluster that an authorization service was asked about.
  enum Authorization : uint8_t { kAuthorized, kDenied, kAuthorizationError, kAllowedByFailure, kAuthorizations };
  stats::LateCounters<kAuthorizations> authorization;

 private:
  mutable std::atomic<const CanaryStats*> canary_{nullptr};
};

// The limits of one priority (default or high).
struct CircuitBreakers {
  uint32_t max_connections = 1024;
  uint32_t max_pending_requests = 1024;
  uint32_t max_requests = 1024;
  uint32_t max_retries = 3;
  // Instead of max_retries: percent of the requests under way that are no retries, and a floor.
  bool has_retry_budget = false;
  bool retry_budget_is_default = false;  // nobody has configured a limit on retries
  double retry_budget_percent = 20;
  uint32_t retry_budget_min = 3;
  uint32_t retry_limit() const { return has_retry_budget ? UINT32_MAX : max_retries; }
  // Of all lanes. `retries` are those under way and those that `waiting` counts, which are no active requests until
  // their back-off is over.
  struct Load {
    int64_t active, retries, waiting;
  };
  // Whether there may be one more. Retries do not make room for more of themselves: a fleet of which everything fails
  // gets that percentage more than is asked of it, and not the percentage of the percentage, too.
  bool budget_allows(const Load& load) const { return load.retries < retry_budget_min || percentage_allows(load); }
  // Its floor left alone.
  bool percentage_allows(const Load& load) const {
    const auto first_tries = static_cast<double>(load.active + load.waiting - load.retries);
    return static_cast<double>(load.retries + 1) <= first_tries * retry_budget_percent / 100;
  }
};

struct PriorityLimits {
  PriorityLimits(const CircuitBreakers& breakers, uint32_t lanes)
      : connections(breakers.max_connections, lanes),
        pending(breakers.max_pending_requests, lanes),
        requests(breakers.max_requests, lanes),
        retries(breakers.retry_limit(), lanes, 1),
        waiting_retries(UINT32_MAX, lanes, 1) {}
  CircuitBreakers::Load load(const ClusterStats& stats) const {
    // The gauge counts both priorities, and the shares some that nobody uses.
    return {std::min<int64_t>(stats.rq_active.value(), requests.taken()), retries.taken(), waiting_retries.taken()};
  }
  void set(const CircuitBreakers& breakers) {
    connections.set_max(breakers.max_connections);
    pending.set_max(breakers.max_pending_requests);
    requests.set_max(breakers.max_requests);
    retries.set_max(breakers.retry_limit());
  }
  SharedLimit connections, pending, requests, retries;
  SharedLimit waiting_retries;  // those of `retries` whose back-off is not over; counted, not limited
  FreeRetries free_retries;
};

// Those of the default priority, and beside them those of the high one. Kept over updates of the cluster: what is in
// use stays counted.
struct ClusterLimits : PriorityLimits {
  ClusterLimits(const CircuitBreakers& breakers, uint32_t lanes, const CircuitBreakers& high_breakers = {})
      : PriorityLimits(breakers, lanes), high(high_breakers, lanes) {}
  PriorityLimits& of(Priority priority) { return priority == Priority::kHigh ? high : *this; }
  PriorityLimits high;
};

// How connections to hosts are made. The slots show filter::UpstreamTransport; none: bytes are what they are.
struct ClusterTransports {
  // Of hosts whose metadata has all of these members, in the namespace kNamespace.
  struct Match {
    std::string name;
    std::shared_ptr<const stream::StaticMetadata> members;  // in that namespace
    std::optional<event::SlotId> slot;
  };
  static constexpr std::string_view kNamespace = "envoy.transport_socket_match";
  std::vector<Match> matches;  // the first that fits counts
  std::optional<event::SlotId> otherwise;
  bool encrypts = false;      // some of them do
  bool tells_client = false;  // some of them tell who the client is: requests of one share no connection with others
  uint64_t fingerprint = 0;   // of the configuration, without what is in the files that it names

  // `host`: its metadata, null if it has none.
  const std::optional<event::SlotId>& of(const stream::StaticMetadata* host) const;
};

// What requests say of the names in certificates (UpstreamHttpProtocolOptions).
struct AutoNames {
  bool server_name = false;                     // the request's host is that which is asked for (SNI)
  bool validation = false;                      // and that which the server's certificate has to have
  std::optional<http::HeaderName> header = {};  // instead of the host
};

// What hosts are spoken to in.
enum class HttpProtocol : uint8_t {
  kHttp1,
  kHttp2,       // without asking whether they know it
  kAuto,        // as their TLS agrees to (ALPN)
  kDownstream,  // as the client of the request speaks
};

// Where the requests of an ORIGINAL_DST cluster say that they are to go: what is found first of these, and else where
// the client's connection was going before it was redirected.
struct OriginalDestination {
  std::vector<std::string> metadata;            // of the request: the namespace, then keys; empty: not there
  std::optional<http::HeaderName> header = {};  // "10.0.0.1:80", "[::1]:80"
  uint16_t port = 0;                            // instead of the one that was found; 0: that one
  std::shared_ptr<stats::Group> group;          // `cluster.<name>.*`
  stats::Counter host_invalid;                  // what was found is no address
};
std::shared_ptr<OriginalDestination> make_original_destination(stats::Store& store, const std::string& stat_name);

struct ClusterSpec {
  std::string name;
  std::string stat_name;  // alt_stat_name, else the name
  Duration connect_timeout = 5s;
  Duration idle_timeout = 1h;                // of pooled connections; zero: none
  Duration max_connection_duration{};        // zero: no limit
  Duration max_stream_duration{};            // of an attempt, from when it has its connection; zero: no limit
  uint32_t max_requests_per_connection = 0;  // 0: no limit
  uint32_t buffer_limit = 1024 * 1024;
  uint32_t max_response_headers_kb = 60;
  CircuitBreakers breakers;
  CircuitBreakers high_breakers;  // of requests of high priority
  const CircuitBreakers& breakers_of(Priority priority) const {
    return priority == Priority::kHigh ? high_breakers : breakers;
  }
  HttpProtocol protocol = HttpProtocol::kHttp1;
  http::h1::Settings h1;
  http::h2::Options h2;
  ClusterTransports transports;
  AutoNames auto_names;
  net::BindOptions bind;                                   // of sockets to hosts
  net::Keepalive keepalive;                                // of connections to hosts
  std::shared_ptr<const stream::StaticMetadata> metadata;  // null: none
  // Instead of those of routes, whose reader (the router) knows what is in them; null: none.
  std::shared_ptr<const route::ClusterPolicies> policies;
  std::shared_ptr<const route::HashPolicies> hash_policies;     // likewise
  std::shared_ptr<const filter::HttpChainConfig> http_filters;  // between the router and its hosts; null: the router's
  std::shared_ptr<const OriginalDestination> original;          // null: its hosts are configured, or names
  bool divided = false;                                         // its hosts are in subsets, which requests are to match
  // Not empty: it has no hosts, and its requests go to those of these clusters (aggregate.h). Slots of clusters.
  std::vector<event::SlotId> members;
  std::string dns_cache;  // its hosts are names that requests bring, which this cache resolves; empty: they are not
};

// What logs say of the cluster. The texts are the specification's: whoever holds the one pins the other.
inline void describe(const ClusterSpec& spec, stream::UpstreamInfo& info) {
  info.cluster = spec.stat_name;
  info.cluster_raw = spec.name;
  if (spec.metadata != nullptr) info.cluster_metadata = &spec.metadata->root();
}

// [immutable]
class Cluster final : public event::Versioned {
 public:
  Cluster(ClusterSpec spec, std::shared_ptr<ClusterStats> stats, std::shared_ptr<ClusterLimits> limits)
      : spec(std::move(spec)), stats(std::move(stats)), limits(std::move(limits)) {}
  const ClusterSpec spec;
  // Requests say which of its hosts they want, or may have to, of a member (lb::PickInput::name).
  const bool asked_by_name = spec.original != nullptr || !spec.dns_cache.empty() || !spec.members.empty();
  const std::shared_ptr<ClusterStats> stats;
  const std::shared_ptr<ClusterLimits> limits;
};

}  // namespace weir::upstream
