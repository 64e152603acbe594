#include "core/proxy/connection_manager.h"

#include "core/proxy/client_detection.h"
#include "core/proxy/local_reply.h"

namespace weir::proxy {
namespace {

using stats::Type;
using stats::Unit;

// The order is that of the assignments below.
constexpr stats::Definition kDefinitions[] = {
    {"downstream_cx_total", Type::kCounter},
    {"downstream_cx_http1_total", Type::kCounter},
    {"downstream_cx_http2_total", Type::kCounter},
    {"downstream_cx_ssl_total", Type::kCounter},
    {"downstream_cx_destroy", Type::kCounter},
    {"downstream_cx_destroy_remote", Type::kCounter},
    {"downstream_cx_destroy_local", Type::kCounter},
    {"downstream_cx_destroy_remote_active_rq", Type::kCounter},
    {"downstream_cx_destroy_local_active_rq", Type::kCounter},
    {"downstream_cx_idle_timeout", Type::kCounter},
    {"downstream_cx_protocol_error", Type::kCounter},
    {"downstream_cx_rx_bytes_total", Type::kCounter},
    {"downstream_cx_tx_bytes_total", Type::kCounter},
    {"downstream_cx_drain_close", Type::kCounter},
    {"downstream_cx_max_duration_reached", Type::kCounter},
    {"downstream_cx_max_requests_reached", Type::kCounter},
    {"downstream_cx_overload_disable_keepalive", Type::kCounter},
    {"downstream_rq_total", Type::kCounter},
    {"downstream_rq_http1_total", Type::kCounter},
    {"downstream_rq_http2_total", Type::kCounter},
    {"downstream_rq_too_many_premature_resets", Type::kCounter},
    {"downstream_rq_rx_reset", Type::kCounter},
    {"downstream_rq_tx_reset", Type::kCounter},
    {"downstream_rq_timeout", Type::kCounter},
    {"downstream_rq_idle_timeout", Type::kCounter},
    {"downstream_rq_header_timeout", Type::kCounter},
    {"downstream_rq_max_duration_reached", Type::kCounter},
    {"downstream_rq_too_large", Type::kCounter},
    {"downstream_rs_too_large", Type::kCounter},
    {"downstream_rq_failed_path_normalization", Type::kCounter},
    {"downstream_rq_redirected_with_normalized_path", Type::kCounter},
    {"downstream_rq_rejected_underscore", Type::kCounter},
    {"downstream_rq_dropped_underscore", Type::kCounter},
    {"downstream_flow_control_paused_reading_total", Type::kCounter},
    {"downstream_flow_control_resumed_reading_total", Type::kCounter},
    {"downstream_rq_overload_close", Type::kCounter},
    {"no_route", Type::kCounter},
    {"no_cluster", Type::kCounter},
    {"rq_redirect", Type::kCounter},
    {"rq_direct_response", Type::kCounter},
    {"passthrough_internal_redirect_bad_location", Type::kCounter},
    {"passthrough_internal_redirect_unsafe_scheme", Type::kCounter},
    {"passthrough_internal_redirect_too_many_redirects", Type::kCounter},
    {"passthrough_internal_redirect_no_route", Type::kCounter},
    {"passthrough_internal_redirect_predicate", Type::kCounter},
    {"downstream_cx_upgrades_total", Type::kCounter},
    {"downstream_cx_active", Type::kGauge},
    {"downstream_cx_http1_active", Type::kGauge},
    {"downstream_cx_http2_active", Type::kGauge},
    {"downstream_cx_ssl_active", Type::kGauge},
    {"downstream_rq_active", Type::kGauge},
    {"downstream_cx_upgrades_active", Type::kGauge},
    {"downstream_cx_length_ms", Type::kHistogram, Unit::kMilliseconds},
    {"downstream_rq_time", Type::kHistogram, Unit::kMilliseconds},
};

const stats::GroupKind kKind{"http", "envoy_http_conn_manager_prefix", kDefinitions};

constexpr stats::Definition kHttp2Definitions[] = {
    {"goaway_sent", Type::kCounter},
    {"header_overflow", Type::kCounter},
    {"inbound_continuation_flood", Type::kCounter},
    {"inbound_empty_frames_flood", Type::kCounter},
    {"inbound_priority_frames_flood", Type::kCounter},
    {"inbound_stray_data_flood", Type::kCounter},
    {"inbound_window_update_frames_flood", Type::kCounter},
    {"keepalive_timeout", Type::kCounter},
    {"outbound_control_flood", Type::kCounter},
    {"outbound_flood", Type::kCounter},
    {"rx_messaging_error", Type::kCounter},
    {"rx_reset", Type::kCounter},
    {"settings_timeout", Type::kCounter},
    {"stream_refused_errors", Type::kCounter},
    {"trailers", Type::kCounter},
    {"tx_flush_timeout", Type::kCounter},
    {"tx_reset", Type::kCounter},
    {"windows_narrowed", Type::kCounter},
    {"streams_active", Type::kGauge},
};

// Its name stands in front, and says nothing that a label could.
const stats::GroupKind kHttp2Kind{"", "", kHttp2Definitions};

}  // namespace

ConnectionManagerStats::ConnectionManagerStats(stats::Store& store, const std::string& prefix)
    : group(store.group(kKind, prefix)), codes(*group, "downstream_rq", stats::CodeCounters::Detail::kClasses) {
  size_t next = 0;
  for (stats::Counter* counter : {&cx_total,
                                  &cx_http1_total,
                                  &cx_http2_total,
                                  &cx_ssl_total,
                                  &cx_destroy,
                                  &cx_destroy_remote,
                                  &cx_destroy_local,
                                  &cx_destroy_remote_active_rq,
                                  &cx_destroy_local_active_rq,
                                  &cx_idle_timeout,
                                  &cx_protocol_error,
                                  &cx_rx_bytes_total,
                                  &cx_tx_bytes_total,
                                  &cx_drain_close,
                                  &cx_max_duration_reached,
                                  &cx_max_requests_reached,
                                  &cx_overload_disable_keepalive,
                                  &rq_total,
                                  &rq_http1_total,
                                  &rq_http2_total,
                                  &rq_too_many_premature_resets,
                                  &rq_rx_reset,
                                  &rq_tx_reset,
                                  &rq_timeout,
                                  &rq_idle_timeout,
                                  &rq_header_timeout,
                                  &rq_max_duration_reached,
                                  &rq_too_large,
                                  &rs_too_large,
                                  &rq_failed_path_normalization,
                                  &rq_redirected_with_normalized_path,
                                  &rq_rejected_underscore,
                                  &dropped_underscore,
                                  &flow_paused_reading,
                                  &flow_resumed_reading,
                                  &rq_overload_close,
                                  &no_route,
                                  &no_cluster,
                                  &rq_redirect,
                                  &rq_direct_response,
                                  &redirect_bad_location,
                                  &redirect_unsafe_scheme,
                                  &redirect_too_many,
                                  &redirect_no_route,
                                  &redirect_predicate,
                                  &cx_upgrades_total}) {
    *counter = group->counter(next++);
  }
  for (stats::Gauge* gauge :
       {&cx_active, &cx_http1_active, &cx_http2_active, &cx_ssl_active, &rq_active, &cx_upgrades_active})
    *gauge = group->gauge(next++);
  for (stats::Histogram* histogram : {&cx_length_ms, &rq_time}) *histogram = group->histogram(next++);
}

Http2Stats::Http2Stats(stats::Store& store) : group(store.group(kHttp2Kind, "http2")) {
  size_t next = 0;
  for (stats::Counter* counter :
       {&goaway_sent, &header_overflow, &inbound_continuation_flood, &inbound_empty_frames_flood,
        &inbound_priority_frames_flood, &inbound_stray_data_flood, &inbound_window_update_frames_flood,
        &keepalive_timeout, &outbound_control_flood, &outbound_flood, &rx_messaging_error, &rx_reset, &settings_timeout,
        &stream_refused_errors, &trailers, &tx_flush_timeout, &tx_reset, &windows_narrowed})
    *counter = group->counter(next++);
  streams_active = group->gauge(next);
}

ConnectionManagerConfig::ConnectionManagerConfig() = default;
ConnectionManagerConfig::~ConnectionManagerConfig() = default;

}  // namespace weir::proxy
