#include "core/upstream/cluster.h"

#include <algorithm>
#include <memory>

#include "core/stats/dynamic.h"

namespace weir::upstream {
namespace {

using stats::Type;
using stats::Unit;

// One line per statistic: the order is that of the cells, and of Field below.
constexpr stats::Definition kDefinitions[] = {
    {"upstream_cx_total", Type::kCounter},
    {"upstream_cx_http1_total", Type::kCounter},
    {"upstream_cx_connect_fail", Type::kCounter},
    {"upstream_cx_connect_timeout", Type::kCounter},
    {"upstream_cx_overflow", Type::kCounter},
    {"upstream_cx_idle_timeout", Type::kCounter},
    {"upstream_cx_none_healthy", Type::kCounter},
    {"upstream_cx_destroy", Type::kCounter},
    {"upstream_cx_destroy_with_active_rq", Type::kCounter},
    {"upstream_cx_max_requests", Type::kCounter},
    {"upstream_cx_protocol_error", Type::kCounter},
    {"upstream_cx_rx_bytes_total", Type::kCounter},
    {"upstream_cx_tx_bytes_total", Type::kCounter},
    {"upstream_cx_connect_attempts_exceeded", Type::kCounter},
    {"upstream_cx_http2_total", Type::kCounter},
    {"upstream_cx_max_duration_reached", Type::kCounter},
    {"upstream_cx_close_notify", Type::kCounter},
    {"http2.goaway_sent", Type::kCounter},
    {"http2.header_overflow", Type::kCounter},
    {"http2.inbound_empty_frames_flood", Type::kCounter},
    {"http2.inbound_priority_frames_flood", Type::kCounter},
    {"http2.inbound_window_update_frames_flood", Type::kCounter},
    {"http2.keepalive_timeout", Type::kCounter},
    {"http2.outbound_control_flood", Type::kCounter},
    {"http2.outbound_flood", Type::kCounter},
    {"http2.rx_messaging_error", Type::kCounter},
    {"http2.rx_reset", Type::kCounter},
    {"http2.settings_timeout", Type::kCounter},
    {"http2.stream_refused_errors", Type::kCounter},
    {"http2.trailers", Type::kCounter},
    {"http2.tx_reset", Type::kCounter},
    {"http2.windows_narrowed", Type::kCounter},
    {"upstream_rq_total", Type::kCounter},
    {"upstream_rq_pending_total", Type::kCounter},
    {"upstream_rq_pending_overflow", Type::kCounter},
    {"upstream_rq_pending_failure_eject", Type::kCounter},
    {"upstream_rq_timeout", Type::kCounter},
    {"upstream_rq_per_try_timeout", Type::kCounter},
    {"upstream_rq_per_try_idle_timeout", Type::kCounter},
    {"upstream_rq_cancelled", Type::kCounter},
    {"upstream_rq_rx_reset", Type::kCounter},
    {"upstream_rq_tx_reset", Type::kCounter},
    {"upstream_rq_retry", Type::kCounter},
    {"upstream_rq_retry_success", Type::kCounter},
    {"upstream_rq_retry_overflow", Type::kCounter},
    {"upstream_rq_retry_limit_exceeded", Type::kCounter},
    {"upstream_rq_retry_backoff_exponential", Type::kCounter},
    {"upstream_rq_retry_backoff_ratelimited", Type::kCounter},
    {"retry_or_shadow_abandoned", Type::kCounter},
    {"upstream_internal_redirect_succeeded_total", Type::kCounter},
    {"upstream_internal_redirect_failed_total", Type::kCounter},
    {"upstream_rq_max_duration_reached", Type::kCounter},
    {"membership_change", Type::kCounter},
    {"update_attempt", Type::kCounter},
    {"update_success", Type::kCounter},
    {"update_failure", Type::kCounter},
    {"update_empty", Type::kCounter},
    {"update_no_rebuild", Type::kCounter},
    {"lb_healthy_panic", Type::kCounter},
    {"upstream_cx_active", Type::kGauge},
    {"upstream_rq_active", Type::kGauge},
    {"upstream_rq_pending_active", Type::kGauge},
    {"membership_total", Type::kGauge},
    {"membership_healthy", Type::kGauge},
    {"membership_degraded", Type::kGauge},
    {"membership_excluded", Type::kGauge},
    {"circuit_breakers.default.cx_open", Type::kGauge},
    {"circuit_breakers.default.rq_open", Type::kGauge},
    {"circuit_breakers.default.rq_pending_open", Type::kGauge},
    {"circuit_breakers.default.rq_retry_open", Type::kGauge},
    {"circuit_breakers.high.cx_open", Type::kGauge},
    {"circuit_breakers.high.rq_open", Type::kGauge},
    {"circuit_breakers.high.rq_pending_open", Type::kGauge},
    {"circuit_breakers.high.rq_retry_open", Type::kGauge},
    {"warming_state", Type::kGauge},
    {"http2.streams_active", Type::kGauge},
    // Nothing is written to these: pools are not limited.
    {"circuit_breakers.default.cx_pool_open", Type::kGauge},
    {"circuit_breakers.high.cx_pool_open", Type::kGauge},
    {"upstream_cx_connect_ms", Type::kHistogram, Unit::kMilliseconds},
    {"upstream_cx_length_ms", Type::kHistogram, Unit::kMilliseconds},
    {"upstream_rq_time", Type::kHistogram, Unit::kMilliseconds},
};

const stats::GroupKind kKind{"cluster", "envoy_cluster_name", kDefinitions};

constexpr stats::LateNames<ClusterStats::kAuthorizations> kAuthorizationNames = {
    "ext_authz.ok", "ext_authz.denied", "ext_authz.error", "ext_authz.failure_mode_allowed"};

constexpr stats::Definition kOriginalDefinitions[] = {{"original_dst_host_invalid", Type::kCounter}};
const stats::GroupKind kOriginalKind{"cluster", "envoy_cluster_name", kOriginalDefinitions};

}  // namespace

std::shared_ptr<OriginalDestination> make_original_destination(stats::Store& store, const std::string& stat_name) {
  auto made = std::make_shared<OriginalDestination>();
  made->group = store.group(kOriginalKind, stat_name);
  made->host_invalid = made->group->counter(0);
  return made;
}

ClusterStats::ClusterStats(stats::Store& store, const std::string& name)
    : group(store.group(kKind, name)),
      codes(*group, "upstream_rq"),
      retry_codes(*group, "retry.upstream_rq"),
      authorization(*group, kAuthorizationNames) {
  size_t next = 0;
  for (stats::Counter* counter : {&cx_total,
                                  &cx_http1_total,
                                  &cx_connect_fail,
                                  &cx_connect_timeout,
                                  &cx_overflow,
                                  &cx_idle_timeout,
                                  &cx_none_healthy,
                                  &cx_destroy,
                                  &cx_destroy_with_active_rq,
                                  &cx_max_requests,
                                  &cx_protocol_error,
                                  &cx_rx_bytes_total,
                                  &cx_tx_bytes_total,
                                  &cx_connect_attempts_exceeded,
                                  &cx_http2_total,
                                  &cx_max_duration_reached,
                                  &cx_close_notify,
                                  &http2.goaway_sent,
                                  &http2.header_overflow,
                                  &http2.inbound_empty_frames_flood,
                                  &http2.inbound_priority_frames_flood,
                                  &http2.inbound_window_update_frames_flood,
                                  &http2.keepalive_timeout,
                                  &http2.outbound_control_flood,
                                  &http2.outbound_flood,
                                  &http2.rx_messaging_error,
                                  &http2.rx_reset,
                                  &http2.settings_timeout,
                                  &http2.stream_refused_errors,
                                  &http2.trailers,
                                  &http2.tx_reset,
                                  &http2.windows_narrowed,
                                  &rq_total,
                                  &rq_pending_total,
                                  &rq_pending_overflow,
                                  &rq_pending_failure_eject,
                                  &rq_timeout,
                                  &rq_per_try_timeout,
                                  &rq_per_try_idle_timeout,
                                  &rq_cancelled,
                                  &rq_rx_reset,
                                  &rq_tx_reset,
                                  &rq_retry,
                                  &rq_retry_success,
                                  &rq_retry_overflow,
                                  &rq_retry_limit_exceeded,
                                  &rq_retry_backoff_exponential,
                                  &rq_retry_backoff_ratelimited,
                                  &retry_or_shadow_abandoned,
                                  &internal_redirect_succeeded,
                                  &internal_redirect_failed,
                                  &rq_max_duration_reached,
                                  &membership_change,
                                  &update_attempt,
                                  &update_success,
                                  &update_failure,
                                  &update_empty,
                                  &update_no_rebuild,
                                  &lb_healthy_panic}) {
    *counter = group->counter(next++);
  }
  for (stats::Gauge* gauge :
       {&cx_active, &rq_active, &rq_pending_active, &membership_total, &membership_healthy, &membership_degraded,
        &membership_excluded, &open.cx, &open.rq, &open.rq_pending, &open.rq_retry, &high_open.cx, &high_open.rq,
        &high_open.rq_pending, &high_open.rq_retry, &warming_state, &http2.streams_active}) {
    *gauge = group->gauge(next++);
  }
  next += 2;  // those that are 0
  for (stats::Histogram* histogram : {&cx_connect_ms, &cx_length_ms, &rq_time}) *histogram = group->histogram(next++);
}

ClusterStats::~ClusterStats() { delete canary_.load(std::memory_order_relaxed); }

CanaryStats::CanaryStats(const stats::Group& cluster)
    : codes(cluster, "canary.upstream_rq"),
      rq_time(stats::dynamic_histogram(cluster, stats::Family::kConfigured, "canary.upstream_rq_time")) {}

// Several lanes may come at once.
const CanaryStats& ClusterStats::canary() const {
  const CanaryStats* there = canary_.load(std::memory_order_acquire);
  if (there != nullptr) [[likely]]
    return *there;
  auto made = std::make_unique<const CanaryStats>(*group);
  if (canary_.compare_exchange_strong(there, made.get(), std::memory_order_acq_rel)) return *made.release();
  return *there;
}

void ClusterStats::show(const ClusterLimits& limits, const ClusterSpec& spec) const {
  auto reached = [](const SharedLimit& limit) { return limit.taken() >= limit.max() ? 1 : 0; };
  auto show_one = [&](const Open& open, const PriorityLimits& limits, const CircuitBreakers& breakers) {
    open.cx.set(reached(limits.connections));
    open.rq_pending.set(reached(limits.pending));
    open.rq.set(reached(limits.requests));
    if (breakers.has_retry_budget) {
      open.rq_retry.set(breakers.budget_allows(limits.load(*this)) ? 0 : 1);
    } else {
      open.rq_retry.set(reached(limits.retries));
    }
  };
  show_one(open, limits, spec.breakers);
  show_one(high_open, limits.high, spec.high_breakers);
}

void ClusterStats::clear_main_gauges() const {
  for (const stats::Gauge& gauge : {membership_total, membership_healthy, membership_degraded, warming_state})
    gauge.set(0);
  for (const Open& one : {open, high_open}) {
    for (const stats::Gauge& gauge : {one.cx, one.rq, one.rq_pending, one.rq_retry}) gauge.set(0);
  }
}

const std::optional<event::SlotId>& ClusterTransports::of(const stream::StaticMetadata* host) const {
  const stream::Value* has = host != nullptr ? host->root().find(kNamespace) : nullptr;
  for (const Match& match : matches) {
    const stream::Value* wanted = match.members->root().find(kNamespace);
    const bool fits = std::ranges::all_of(wanted->fields(), [&](const stream::Field& field) {
      const stream::Value* value = has != nullptr ? has->find(field.key) : nullptr;
      return value != nullptr && *value == field.value;
    });
    if (fits) return match.slot;
  }
  return otherwise;
}

}  // namespace weir::upstream
