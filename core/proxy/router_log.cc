// The router's half about records: what formats ask for, and its own log (upstream_log), which has a line for each
// attempt that has chosen a host.
#include <string>

#include "core/net/transport.h"
#include "core/proxy/router.h"
#include "core/stats/code_counters.h"
#include "core/stats/dynamic.h"

namespace weir::proxy {

using stream::AccessLogType;
using stream::ResponseFlag;
using upstream::ResetReason;

// --- What somebody wants to know -----------------------------------------------------------------------------------

void Router::record_host(Attempt& attempt) {
  stream::UpstreamInfo& info = upstream_info();
  attempt.times() = {};
  const MonoTime now = stream_->lane().now();
  if ((records_ & stream::kConnectionRecords) != 0) info.requested = attempt.times().requested = now;
  if ((records_ & stream::kAttemptRecords) != 0) {
    auto* entry = stream_->arena().make<stream::AttemptedHost>();
    entry->address = info.remote;
    entry->text = info.host_text;
    entry->name = info.host_name;
    (info.attempted == nullptr ? info.attempted : info.last_attempted->next) = entry;
    info.last_attempted = attempt.times().entry = entry;
  }
  if ((records_ & RouterConfig::kOwnLog) != 0) {
    auto* log = stream_->arena().make<Attempt::Log>(attempt);
    log->begin = now;
    log->remote = info.remote;
    log->wire_before = info.wire;
    attempt.set_log(log);
    if (config_.log_interval > Duration::zero()) lane().arm_in(*log, config_.log_interval);
  }
}

void Router::count_apart() {
  const stream::StreamInfo& info = stream_->info();
  if (info.response_code == 0) return;
  const bool timed = committed_ && request_end_ && info.upstream.last_rx != MonoTime{};
  const uint64_t time = timed ? static_cast<uint64_t>(to_ms(info.upstream.last_rx - info.request_end)) : 0;
  if (says_canary_ || (info.upstream.host_metadata != nullptr && lb::is_canary(*info.upstream.host_metadata))) {
    const upstream::CanaryStats& canary = stats().canary();
    canary.codes.inc(info.response_code);
    if (timed) canary.rq_time.record(time);
  }
  if (retry_.stat_name().empty()) return;
  const stats::Group& group = *stats().group;
  const std::string prefix = std::string(retry_.stat_name()).append(".upstream_rq");
  stats::CodeCounters::inc_of_peer(group, prefix, info.response_code);
  if (timed) stats::dynamic_histogram(group, stats::Family::kOfPeers, prefix + "_time").record(time);
}

void Router::record_connection(Attempt& attempt) {
  if ((records_ & stream::kConnectionRecords) != 0) {
    upstream_info().pool_ready = attempt.times().pool_ready = stream_->lane().now();
    describe_connection(attempt);
  }
  if ((records_ & stream::kTlsRecords) != 0) describe_tls(attempt);
  if (attempt.times().entry != nullptr) attempt.times().entry->connection_id = attempt.stream()->facts().id;
  if (config_.log_on_stream && attempt.log() != nullptr) log_attempt(attempt, AccessLogType::kUpstreamPoolReady);
}

void Router::describe_connection(Attempt& attempt) {
  stream::UpstreamInfo& info = upstream_info();
  info.local = attempt.stream()->connection().local();
  const upstream::ConnectionFacts facts = attempt.stream()->facts();
  info.connection_id = facts.id;
  info.connect_begin = facts.connect_begin;
  info.connect_end = facts.connect_end;
  if (attempt.stream()->connection().transport() != nullptr) info.handshake_end = facts.connect_end;
}

void Router::describe_tls(Attempt& attempt) {
  net::Transport* transport = attempt.stream()->connection().transport();
  upstream_tls_ = transport != nullptr ? std::make_unique<const stream::UpstreamTls>(transport->facts()) : nullptr;
  upstream_info().tls = upstream_tls_.get();
}

// --- The router's own log ------------------------------------------------------------------------------------------

void Router::log_failure(Attempt& attempt, ResponseFlag flag, std::string_view details) {
  Attempt::Log* log = attempt.log();
  if (log == nullptr) return;
  log->flags.set(flag);
  log->details = details;
}

void Router::log_again(Attempt& attempt) {
  log_attempt(attempt, AccessLogType::kUpstreamPeriodic);
  lane().arm_in(*attempt.log(), config_.log_interval);
}

void Router::log_attempt(Attempt& attempt, AccessLogType type) {
  const Attempt::Log& log = *attempt.log();
  const lb::Host& host = *attempt.host();
  const Attempt::Times& times = attempt.times();
  // The stream's facts, with those of the attempt where it has its own.
  stream::StreamInfo info = stream_->info();
  info.start = log.begin;
  info.start_wall += log.begin - stream_->info().start;
  if (type == AccessLogType::kUpstreamEnd) info.end = stream_->lane().now();
  info.bytes_sent = log.bytes_sent;
  info.bytes_received = log.bytes_received;
  info.response_code = log.status;
  info.flags = log.flags;
  info.details = log.details.empty() && log.status != 0 ? "via_upstream" : log.details;
  stream::UpstreamInfo& upstream = info.upstream;
  upstream.remote = log.remote;
  upstream.host_text = attempt.pool()->has_addresses() ? std::string_view() : host.text();
  upstream.host_name = host.hostname();
  upstream.host_metadata = attempt.host_metadata() != nullptr ? &attempt.host_metadata()->root() : nullptr;
  upstream.requested = times.requested;
  upstream.pool_ready = times.pool_ready;
  upstream.first_tx = times.first_tx;
  upstream.last_tx = times.last_tx;
  if (log.status == 0) upstream.first_rx = upstream.first_body_rx = upstream.last_rx = {};
  upstream.wire.received -= log.wire_before.received;
  upstream.wire.sent -= log.wire_before.sent;
  upstream.wire.heads_received -= log.wire_before.heads_received;
  upstream.wire.heads_sent -= log.wire_before.heads_sent;
  upstream.wire.set_fields(upstream.wire.fields_received - log.wire_before.fields_received,
                           upstream.wire.fields_sent - log.wire_before.fields_sent);
  const stream::LogSubject subject{info,
                                   &stream_->request_headers(),
                                   log.status != 0 ? &stream_->response_headers() : nullptr,
                                   log.status != 0 ? stream_->response_trailers() : nullptr,
                                   {},
                                   type};
  for (const auto& logger : config_.upstream_logs) logger->log(subject, stream_->lane());
}

}  // namespace weir::proxy
