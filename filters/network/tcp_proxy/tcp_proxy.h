// Joins a client's connection with one to a host of a cluster. Bytes pass as they are, each direction ends by itself, a
// slow side stops the other. Configuration is config.h's business.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/event/lane.h"
#include "core/event/slot.h"
#include "core/filter/network_filter.h"
#include "core/net/bulk_input.h"
#include "core/proxy/deadlines.h"
#include "core/stats/store.h"
#include "core/stream/access_logger.h"
#include "core/stream/added_tlv.h"
#include "core/stream/filter_state.h"
#include "core/stream/metadata.h"
#include "core/stream/proxy_header.h"
#include "core/stream/stream_info.h"
#include "core/stream/upstream_tls.h"
#include "core/upstream/lane_clusters.h"
#include "filters/network/tcp_proxy/tunnel.h"

namespace weir::filters::tcp_proxy {

// `tcp.<stat_prefix>.*`. [any]
struct Stats {
  Stats(stats::Store& store, const std::string& prefix);
  std::shared_ptr<stats::Group> group;
  stats::Counter cx_total, cx_no_route, cx_rx_bytes_total, cx_tx_bytes_total, flow_paused_reading, flow_resumed_reading,
      early_data, idle_timeout, max_duration, client_truncated, upstream_truncated;
};

struct WeightedCluster {
  event::SlotId slot;
  uint64_t up_to;  // the sum of the weights to here
  // What its hosts are to have below envoy.lb; null: nothing.
  std::shared_ptr<const stream::StaticMetadata> match = nullptr;
};

enum class HashBy : uint8_t { kNothing, kSourceIp, kFilterState };

// [immutable]
struct Settings {
  std::unique_ptr<const Stats> stats;
  std::vector<WeightedCluster> clusters;  // one or more
  Duration idle_timeout = 1h;             // zero: none
  Duration max_duration{};                // zero: none
  double max_duration_jitter = 0;         // at most so much more of it
  uint32_t max_connect_attempts = 1;
  Duration back_off_base{};  // zero: the next attempt follows at once
  Duration back_off_max{};
  std::vector<std::shared_ptr<const stream::AccessLogger>> access_logs;
  Duration access_log_interval{};  // between lines of a connection that goes on; zero: one at its end
  bool access_log_on_start = false;
  bool access_log_on_connected = false;
  bool connect_on_data = false;                  // not before the client has sent something
  std::optional<uint32_t> max_early_data;        // reading stops at so much before there is an upstream; none: at once
  std::unique_ptr<const TunnelSettings> tunnel;  // null: the cluster gets the bytes as they are
  std::vector<stream::AddedTlv> tlvs;            // of a PROXY header to the upstream, if the client's is not kept
  HashBy hash_by = HashBy::kNothing;
  stream::FilterStateName hash_key;
  std::shared_ptr<const stream::StaticMetadata> match;  // of a cluster that a filter has chosen
  uint32_t buffer_limit = 1024 * 1024;
  // What filters before this one say of a connection.
  stream::FilterStateName cluster_key;
  stream::FilterStateName dynamic_host_key, dynamic_port_key;
  stream::FilterStateName idle_timeout_key;
};

class TcpProxy final : public filter::NetworkFilter,
                       private upstream::UpstreamEvents,
                       private upstream::NameLookup,
                       private proxy::Deadlines::Owner,
                       private event::Timer {
 public:
  // `settings` are kept by whoever pins the listener's configuration for the connection.
  TcpProxy(const Settings& settings, event::Lane& lane);
  ~TcpProxy() override;

  // NetworkFilter
  filter::Action on_new_connection(filter::ConnectionHost& host) override;
  filter::Action on_data(filter::ConnectionHost& host, Slices& data, bool end) override;
  uint64_t unseen_input() override { return bulk_.unseen_input(); }
  void on_above_high_watermark(filter::ConnectionHost& host) override;
  void on_below_low_watermark(filter::ConnectionHost& host) override;
  void on_drain(filter::ConnectionHost& host) override;
  void on_closed(filter::ConnectionHost& host, net::CloseReason reason) override;

 private:
  // UpstreamEvents. A raw connection has no heads, a tunnel begins with one.
  stream::WireBytes& wire_bytes() override { return info_.upstream.wire; }
  void on_ready(upstream::UpstreamStream& stream) override;
  void on_failed(upstream::ResetReason reason, std::string_view detail) override;
  http::HeaderMap& begin_response(int status) override;
  void on_informational(http::HeaderMap&) override {}
  void on_upstream_headers(BlockRef owner, bool end) override;
  void on_upstream_data(Slices& data, bool end) override;
  http::HeaderMap& begin_response_trailers() override { return begin_response(0); }
  void on_upstream_trailers() override;
  void on_reset(upstream::ResetReason reason, std::string_view detail) override;
  void on_request_flow(bool blocked) override;
  // Deadlines::Owner
  void on_deadline(proxy::DeadlineKind kind) override;
  // Timer: the back-off is over
  void on_timer() override { connect(); }

  void describe();
  // What a filter ahead of this one has left for it; null: nothing.
  const stream::FilterStateValue* find_state(stream::FilterStateName name) const;
  Duration choose_idle_timeout() const;
  Duration choose_max_duration();
  void choose_hash();
  bool choose_name();
  void on_name(upstream::NameOutcome outcome) override;
  void choose_match(const stream::StaticMetadata* match);
  upstream::ClusterLocal* find_cluster();
  void connect();
  void describe_upstream();
  void ask_for_tunnel(upstream::UpstreamStream& stream);
  // Bytes may pass.
  void open(upstream::UpstreamStream& stream);
  // The host is passed over, if there may be another attempt. `reason`, `why`: for the log, if there may not.
  void attempt_failed(std::string_view reason, std::string_view why);
  Duration back_off();
  void on_early_data(const Slices& data);
  void pass_on(Slices& data);
  // What a PROXY header to the upstream says. `memory`: for the time of the call.
  const stream::ProxyHeader* client_header(Arena& memory);
  // Bytes have moved.
  void touch();
  bool makes_progress();
  // Both directions have ended.
  void finish();
  // There is no upstream, and will be none.
  void fail(stream::ResponseFlag flag, std::string_view why);
  void close(std::string_view why);
  // What has come for the client is sent, and then it learns that this was not the end.
  void abort(std::string_view why);
  // TLS that ended without saying so (RFC 8446 6.1): nobody knows whether that was all, so nobody is told that it was.
  void end_truncated();
  void end_attempt();
  void log(stream::AccessLogType type);
  net::Connection& client() { return host_->connection(); }

  const Settings& settings_;
  event::Lane& lane_;
  filter::ConnectionHost* host_ = nullptr;
  upstream::ClusterLocal* cluster_ = nullptr;   // of the attempt, as the two that follow
  event::Pin<upstream::Cluster> cluster_pin_;   // what counts up counts down
  event::Pin<upstream::Cluster> asked_pin_;     // that which is configured: the same, or one that stands for it
  upstream::ConnPool* pool_ = nullptr;          // null: between attempts
  upstream::UpstreamStream* stream_ = nullptr;  // null: not connected, or over
  upstream::UpstreamStream* asking_ = nullptr;  // for a tunnel; null: not, or it has answered
  std::unique_ptr<Tunnel> tunnel_;
  upstream::Waiter waiter_{*this};
  std::shared_ptr<lb::Host> upstream_host_;  // of the last attempt: logs print it
  event::Pin<lb::HostSet> hosts_;            // while it has metadata that they may print
  std::vector<const lb::Host*> tried_;       // in vain
  proxy::Deadlines deadlines_;
  Duration idle_timeout_{};
  std::unique_ptr<stream::ProxyHeader> client_header_;       // that is told to the upstream
  std::string transport_failure_;                            // of the last attempt; logs print it
  std::unique_ptr<const stream::UpstreamTls> upstream_tls_;  // the same, if logs want it
  uint64_t written_ = 0;  // of both connections, when the idle timeout was looked at last
  uint64_t hash_ = 0;
  const stream::Value* match_ = nullptr;  // for clusters with subsets
  std::unique_ptr<const stream::StaticMetadata> own_match_;
  upstream::WantedName name_;  // that is connected to, where the cluster's hosts are names
  std::unique_ptr<Arena> name_memory_;
  bool looked_up_ = false;
  uint32_t attempts_ = 0;
  net::BulkInput bulk_;
  bool has_hash_ : 1 = false;
  bool connecting_ : 1 = false;    // or connected
  bool early_data_ : 1 = false;    // some has come
  bool client_ended_ : 1 = false;  // and the upstream has been told
  bool upstream_ended_ : 1 = false;
  bool over_ : 1 = false;  // how it ends is known; nothing more is passed on
  stream::StreamInfo info_;
};

}  // namespace weir::filters::tcp_proxy
