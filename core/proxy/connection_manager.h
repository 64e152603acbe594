// The configuration of one HTTP connection manager, as the plugin builds it: plain and immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/event/slot.h"
#include "core/filter/chain_config.h"
#include "core/http/h1/message.h"
#include "core/http/h2/options.h"
#include "core/http/path.h"
#include "core/match/string_matcher.h"
#include "core/proxy/client_certificate.h"
#include "core/route/header_mutations.h"
#include "core/stats/code_counters.h"
#include "core/stats/store.h"
#include "core/stream/access_logger.h"
#include "core/upstream/http2_stats.h"

namespace weir::proxy {

// `http.<stat_prefix>.*`. [any]
struct ConnectionManagerStats {
  ConnectionManagerStats(stats::Store& store, const std::string& prefix);
  std::shared_ptr<stats::Group> group;
  stats::Counter cx_total, cx_http1_total, cx_http2_total, cx_ssl_total, cx_destroy, cx_destroy_remote,
      cx_destroy_local, cx_destroy_remote_active_rq, cx_destroy_local_active_rq, cx_idle_timeout, cx_protocol_error,
      cx_rx_bytes_total, cx_tx_bytes_total, cx_drain_close, cx_max_duration_reached, cx_max_requests_reached,
      cx_overload_disable_keepalive;
  stats::Counter rq_total, rq_http1_total, rq_http2_total, rq_too_many_premature_resets, rq_rx_reset, rq_tx_reset,
      rq_timeout, rq_idle_timeout, rq_header_timeout, rq_max_duration_reached, rq_too_large, rs_too_large,
      rq_failed_path_normalization, rq_redirected_with_normalized_path, rq_rejected_underscore, dropped_underscore,
      flow_paused_reading, flow_resumed_reading, rq_overload_close;
  stats::Counter no_route, no_cluster, rq_redirect, rq_direct_response, redirect_bad_location, redirect_unsafe_scheme,
      redirect_too_many, redirect_no_route, redirect_predicate, cx_upgrades_total;
  stats::Gauge cx_active, cx_http1_active, cx_http2_active, cx_ssl_active, rq_active, cx_upgrades_active;
  stats::Histogram cx_length_ms, rq_time;
  stats::CodeCounters codes;
};

// `http2.*`, of all connections from clients. [any]
struct Http2Stats : upstream::Http2Stats {
  explicit Http2Stats(stats::Store& store);
  std::shared_ptr<stats::Group> group;
  stats::Counter inbound_continuation_flood, inbound_stray_data_flood, tx_flush_timeout;
};

// What a connection is taken for. kAuto: what TLS has agreed on (ALPN), else by its first bytes.
enum class CodecType : uint8_t { kAuto, kHttp1, kHttp2 };

enum class ServerHeader : uint8_t { kOverwrite, kAppendIfAbsent, kPassThrough };
enum class UnderscoreAction : uint8_t { kAllow, kReject, kDrop };

struct UpgradeConfig {
  std::string type;  // as in `upgrade`; case is ignored. "CONNECT" for that method
  bool enabled = true;
  std::shared_ptr<const filter::HttpChainConfig> chain{};  // null: that of the connection manager
};

struct ClientDetection;
struct InternalAddresses;
struct LocalReplyConfig;

enum class SchemeHeader : uint8_t { kKeep, kOverwrite, kMatchUpstream };

// What x-forwarded-proto says of connections to these ports, instead of whether they are encrypted here.
struct ForwardProto {
  std::vector<uint16_t> https_ports;
  std::vector<uint16_t> http_ports;
};

// The proxy-status header (RFC 9209) of responses that tell of an error.
struct ProxyStatusConfig {
  std::string name;  // a token, or a string in quotes
  bool details = true;
  bool connection_details = true;
  bool response_flags = true;
  bool recommended_code = false;  // the error's status code replaces that of the response
};

struct ConnectionManagerConfig {
  ConnectionManagerConfig();
  ~ConnectionManagerConfig();
  std::string stat_prefix;
  std::unique_ptr<const ConnectionManagerStats> stats;
  std::shared_ptr<const filter::HttpChainConfig> chain;
  std::vector<match::StringMatcher> ignored_upgrades;  // what requests ask for with `upgrade`, and nobody shall see
  std::vector<UpgradeConfig> upgrades;  // those that are not listed are refused, unless the route allows them
  event::SlotId route_table;
  std::vector<std::shared_ptr<const stream::AccessLogger>> access_logs;
  Duration access_log_interval{};               // between lines of a request that goes on; zero: one at its end
  bool access_log_on_request = false;           // and one when its headers have come
  bool access_log_on_tunnel = false;            // and one when its tunnel opens
  std::shared_ptr<const void> route_table_use;  // it is there for as long as somebody has this
  std::unique_ptr<const LocalReplyConfig> local_replies;  // null: they stay as they are
  CodecType codec = CodecType::kAuto;
  http::h1::Settings h1;
  http::h2::Options h2;
  std::unique_ptr<const Http2Stats> http2_stats;
  http::PathOptions path;
  UnderscoreAction underscores = UnderscoreAction::kAllow;

  std::string server_name = "weir";
  ServerHeader server_header = ServerHeader::kOverwrite;
  std::string via;
  bool use_remote_address = false;
  bool skip_xff_append = false;
  uint32_t xff_trusted_hops = 0;
  std::vector<ClientDetection> client_detection;  // without use_remote_address only; empty: x-forwarded-for as it is
  std::unique_ptr<const InternalAddresses> internal_addresses;  // null: nobody is
  std::unique_ptr<const ForwardProto> forward_proto;            // null: as the connection is
  std::unique_ptr<const ProxyStatusConfig> proxy_status;        // null: no such header
  std::vector<route::HeaderMutationStep> early_mutations;       // of requests, before anything looks at them
  ForwardClientCert forward_client_cert = ForwardClientCert::kSanitize;
  ClientCertDetails client_cert_details;
  bool append_forwarded_port = false;
  bool map_ipv4_peers = false;  // in x-forwarded-for: "::ffff:10.0.0.1"
  std::string user_agent;       // add_user_agent: of requests that have none, and the downstream service; empty: off
  std::string service_node;     // then, if not empty: its node
  SchemeHeader scheme = SchemeHeader::kKeep;
  std::string_view scheme_text = {};  // kOverwrite; static
  bool generate_request_id = true;
  bool preserve_external_request_id = false;
  bool always_set_request_id_in_response = false;
  bool proxy_100_continue = false;
  bool strip_any_host_port = false;
  bool strip_matching_host_port = false;
  bool strip_trailing_host_dot = false;
  bool append_local_overload = false;      // a header of answers to requests that are shed
  bool suppress_upstream_headers = false;  // set by the router's configuration

  Duration idle_timeout = 1h;
  Duration max_connection_duration{};
  bool safe_max_connection_duration = false;  // the next response says so, and an idle connection waits for it
  Duration max_stream_duration{};
  Duration stream_idle_timeout = 5min;
  // For a response that is complete and that the client does not take (HTTP/2); unset: as long as a stream may be idle.
  std::optional<Duration> stream_flush_timeout;
  Duration request_timeout{};
  Duration request_headers_timeout{};
  Duration drain_timeout = 5s;
  Duration delayed_close_timeout = 1s;
  uint32_t max_requests_per_connection = 0;
  uint32_t buffer_limit = 1024 * 1024;  // the listener's per_connection_buffer_limit_bytes
};

}  // namespace weir::proxy
