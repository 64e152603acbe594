// The rules, one function each; the table is rules.cc. Internal to this folder.
#pragma once

#include "core/config/lint/findings.h"
#include "core/config/lint/model.h"

namespace weir::config::lint {

// rules_edge.cc: what faces clients that nobody vouches for.
void admin_exposed(const Model& model, Findings& findings);
void edge_connection_limit(const Model& model, Findings& findings);
void edge_request_headers_timeout(const Model& model, Findings& findings);
void edge_idle_timeout(const Model& model, Findings& findings);
void edge_concurrent_streams(const Model& model, Findings& findings);
void edge_remote_address(const Model& model, Findings& findings);
void edge_underscores(const Model& model, Findings& findings);
void edge_path_normalization(const Model& model, Findings& findings);
void cors_any_origin(const Model& model, Findings& findings);
void rbac_spoofed_address(const Model& model, Findings& findings);

// rules_routes.cc
void duplicate_domain(const Model& model, Findings& findings);
void unknown_cluster(const Model& model, Findings& findings);
void unreachable_route(const Model& model, Findings& findings);
void impossible_path(const Model& model, Findings& findings);
void weight_zero(const Model& model, Findings& findings);
void regex_for_literal(const Model& model, Findings& findings);
void filter_order(const Model& model, Findings& findings);

// rules_timeouts.cc: time-outs and retries of routes.
void stream_timeout(const Model& model, Findings& findings);
void retry_not_idempotent(const Model& model, Findings& findings);
void per_try_timeout(const Model& model, Findings& findings);
void retries_unbounded(const Model& model, Findings& findings);

// rules_upstream.cc
void circuit_breaker_default(const Model& model, Findings& findings);
void unused_cluster(const Model& model, Findings& findings);
void open_forward_proxy(const Model& model, Findings& findings);
void panic_threshold(const Model& model, Findings& findings);
void health_check_no_traffic(const Model& model, Findings& findings);
void health_check_threshold(const Model& model, Findings& findings);

// rules_tls.cc
void plaintext_upstream(const Model& model, Findings& findings);
void client_certificate_unverified(const Model& model, Findings& findings);
void upstream_tls_unverified(const Model& model, Findings& findings);
void certificate_dates(const Model& model, Findings& findings);

}  // namespace weir::config::lint
