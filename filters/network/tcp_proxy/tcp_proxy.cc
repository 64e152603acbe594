#include "filters/network/tcp_proxy/tcp_proxy.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/base/xxhash.h"
#include "core/proxy/lane_proxy.h"

namespace weir::filters::tcp_proxy {

using filter::Action;
using proxy::DeadlineKind;
using stream::AccessLogType;
using stream::ResponseFlag;
using upstream::ResetReason;

namespace {

using stats::Type;

constexpr stats::Definition kDefinitions[] = {
    {"downstream_cx_total", Type::kCounter},
    {"downstream_cx_no_route", Type::kCounter},
    {"downstream_cx_rx_bytes_total", Type::kCounter},
    {"downstream_cx_tx_bytes_total", Type::kCounter},
    {"downstream_flow_control_paused_reading_total", Type::kCounter},
    {"downstream_flow_control_resumed_reading_total", Type::kCounter},
    {"early_data_received_count_total", Type::kCounter},
    {"idle_timeout", Type::kCounter},
    {"max_downstream_connection_duration", Type::kCounter},
    {"downstream_cx_truncated", Type::kCounter},
    {"upstream_cx_truncated", Type::kCounter},
};
const stats::GroupKind kKind{"tcp", "envoy_tcp_prefix", kDefinitions};

// How long a client may take none of the last bytes; and how long it may go on sending when nobody reads any more.
constexpr Duration kFlushStall = 1min;
constexpr Duration kLinger = 1s;

// The names that logs print (%DOWNSTREAM_LOCAL_CLOSE_REASON%, %UPSTREAM_LOCAL_CLOSE_REASON%).
constexpr std::string_view kIdle = "tcp_session_idle_timeout";
constexpr std::string_view kMaxDuration = "max_connection_duration_reached";
constexpr std::string_view kDrained = "drained_before_first_data";
constexpr std::string_view kNothingCame = "closed_before_first_data";
constexpr std::string_view kClientClosed = "closing_upstream_tcp_connection_due_to_downstream_remote_close";
constexpr std::string_view kClosedHere = "closing_upstream_tcp_connection_due_to_downstream_local_close";
constexpr std::string_view kClientReset = "closing_upstream_tcp_connection_due_to_downstream_reset_close";
constexpr std::string_view kClientTruncated = "closing_upstream_tcp_connection_due_to_downstream_truncated_close";
constexpr std::string_view kUpstreamReset = "upstream_connection_termination";
constexpr std::string_view kUpstreamTruncated = "upstream_connection_truncated";

}  // namespace

Stats::Stats(stats::Store& store, const std::string& prefix) : group(store.group(kKind, prefix)) {
  size_t next = 0;
  for (stats::Counter* counter :
       {&cx_total, &cx_no_route, &cx_rx_bytes_total, &cx_tx_bytes_total, &flow_paused_reading, &flow_resumed_reading,
        &early_data, &idle_timeout, &max_duration, &client_truncated, &upstream_truncated}) {
    *counter = group->counter(next++);
  }
}

TcpProxy::TcpProxy(const Settings& settings, event::Lane& lane)
    : settings_(settings), lane_(lane), deadlines_(lane, *this) {}

TcpProxy::~TcpProxy() { WEIR_ASSERT(stream_ == nullptr && asking_ == nullptr && pool_ == nullptr); }

// --- A new connection ----------------------------------------------------------------------------------------------

Action TcpProxy::on_new_connection(filter::ConnectionHost& host) {
  host_ = &host;
  settings_.stats->cx_total.inc();
  describe();
  client().set_watermarks(settings_.buffer_limit, settings_.buffer_limit / 2);
  // Whoever writes and closes there is gone at once, for the kernel; what it has written counts all the same.
  if (client().local().family() == net::Family::kUnix) client().read_before_reset();
  idle_timeout_ = choose_idle_timeout();
  touch();
  deadlines_.set_in(DeadlineKind::kConnectionMax, choose_max_duration());
  if (!settings_.access_logs.empty()) deadlines_.set_in(DeadlineKind::kAccessLog, settings_.access_log_interval);
  choose_hash();
  if (!settings_.max_early_data) client().block_read(net::ReadBlock::kHandler);
  if (settings_.access_log_on_start) log(AccessLogType::kTcpConnectionStart);
  if (!settings_.connect_on_data) connect();
  return over_ ? Action::kDone : Action::kContinue;
}

void TcpProxy::describe() {
  info_.start = lane_.now();
  info_.start_wall = lane_.wall_now();
  info_.random = lane_.random().next();
  info_.stream_id = proxy::LaneProxy::of(lane_).next_id();
  filter::describe(*host_, info_);
}

const stream::FilterStateValue* TcpProxy::find_state(stream::FilterStateName name) const {
  const stream::ConnectionInfo* info = host_->info_if_any();
  if (info == nullptr || info->filter_state == nullptr) return nullptr;
  const stream::FilterState::Entry* entry = info->filter_state->find(name);
  return entry != nullptr ? &entry->value : nullptr;
}

Duration TcpProxy::choose_idle_timeout() const {
  const stream::FilterStateValue* own = find_state(settings_.idle_timeout_key);
  if (own == nullptr || own->kind() != stream::FilterStateValue::Kind::kUnsigned) return settings_.idle_timeout;
  return std::chrono::milliseconds(std::min<uint64_t>(own->number(), UINT32_MAX));
}

Duration TcpProxy::choose_max_duration() {
  const auto longest = static_cast<double>(settings_.max_duration.count());
  const double more =
      longest * settings_.max_duration_jitter * static_cast<double>(lane_.random().next() >> 11) * 0x1p-53;
  return settings_.max_duration + Duration(static_cast<int64_t>(more));
}

void TcpProxy::choose_hash() {
  if (settings_.hash_by == HashBy::kSourceIp) {
    const net::Address& address = host_->remote();
    if (!address.is_ip()) return;
    char text[net::Address::kMaxText];
    hash_ = xxhash64(address.ip_to_text(text));
    has_hash_ = true;
  } else if (settings_.hash_by == HashBy::kFilterState) {
    std::string text;
    const stream::FilterStateValue* value = find_state(settings_.hash_key);
    if (value == nullptr || !value->append_plain(text)) return;
    hash_ = xxhash64(text);
    has_hash_ = true;
  }
}

// --- Bytes ---------------------------------------------------------------------------------------------------------

Action TcpProxy::on_data(filter::ConnectionHost&, Slices& data, bool) {
  if (over_) {
    data.clear();
  } else if (stream_ == nullptr) {
    on_early_data(data);
  } else if (!data.empty() || (client().peer_ended() && !client_ended_)) {
    pass_on(data);
  }
  return over_ ? Action::kDone : Action::kContinue;
}

// It waits where it is.
void TcpProxy::on_early_data(const Slices& data) {
  if (!data.empty() && !early_data_) {
    early_data_ = true;
    settings_.stats->early_data.inc();
  }
  if (!data.empty() && data.size() >= settings_.max_early_data.value_or(0))
    client().block_read(net::ReadBlock::kHandler);
  if (connecting_) return;
  if (!data.empty()) {
    touch();
    connect();
  } else if (client().peer_ended()) {
    close(kNothingCame);
  }
}

void TcpProxy::pass_on(Slices& data) {
  const size_t bytes = data.size();
  bulk_.saw(bytes);
  info_.bytes_received += bytes;
  info_.wire.received += bytes;
  settings_.stats->cx_rx_bytes_total.add(bytes);
  touch();
  if (info_.upstream.first_tx == MonoTime{}) info_.upstream.first_tx = lane_.now();
  info_.upstream.last_tx = lane_.now();
  const bool end = client().peer_ended();
  if (end) {
    client_ended_ = true;
    info_.request_end = lane_.now();
  }
  const bool truncated = end && client().cut_off();
  if (truncated) settings_.stats->client_truncated.inc();
  // An upstream that has said its last does not wait for more; and a stream of HTTP/2 cannot be reset behind its data.
  const bool reset = truncated && !upstream_ended_ && stream_->protocol() != stream::Protocol::kHttp2;
  stream_->send_data(data, end && !reset);
  if (reset && !over_) {
    end_truncated();
  } else if (end && upstream_ended_ && !over_) {
    finish();
  }
}

void TcpProxy::end_truncated() {
  over_ = true;
  info_.flags.set(ResponseFlag::kDownstreamConnectionTermination);
  info_.upstream.local_close_reason = kClientTruncated;
  info_.upstream.wire.closed = stream::CloseType::kLocalReset;
  std::exchange(stream_, nullptr)->reset_after_data(kFlushStall);
  end_attempt();
  deadlines_.stop();
  client().close_after_flush(Duration::zero(), kFlushStall);
}

void TcpProxy::on_upstream_data(Slices& data, bool end) {
  if (over_) {
    data.clear();
    return;
  }
  const size_t bytes = data.size();
  info_.bytes_sent += bytes;
  info_.wire.sent += bytes;
  settings_.stats->cx_tx_bytes_total.add(bytes);
  touch();
  stream::UpstreamInfo& info = info_.upstream;
  if (info.first_rx == MonoTime{}) {
    info.first_rx = info.first_body_rx = info_.response_first_tx = lane_.now();
  }
  info.last_rx = lane_.now();
  client().out().append_compact(data, lane_.blocks());
  client().flush_later();
  if (!end) return;
  upstream_ended_ = true;
  info.wire.closed = stream::CloseType::kNormal;
  if (stream_->protocol() != stream::Protocol::kHttp2 && stream_->connection().cut_off()) [[unlikely]] {
    settings_.stats->upstream_truncated.inc();
    info_.flags.set(ResponseFlag::kUpstreamConnectionTermination);
    std::exchange(stream_, nullptr)->reset();
    end_attempt();
    abort(kUpstreamTruncated);
    return;
  }
  // A response that is complete is the end of its request, too.
  client_ended_ || (settings_.tunnel != nullptr && settings_.tunnel->post) ? finish() : client().half_close();
}

void TcpProxy::on_above_high_watermark(filter::ConnectionHost&) {
  if (stream_ != nullptr) stream_->pause_response(true);
}

void TcpProxy::on_below_low_watermark(filter::ConnectionHost&) {
  if (over_) return;
  touch();
  if (stream_ != nullptr) stream_->pause_response(false);
}

void TcpProxy::on_request_flow(bool blocked) {
  if (over_) return;
  if (blocked) {
    settings_.stats->flow_paused_reading.inc();
    client().block_read(net::ReadBlock::kWatermark);
  } else {
    settings_.stats->flow_resumed_reading.inc();
    touch();
    client().unblock_read(net::ReadBlock::kWatermark);
  }
}

// --- Time ----------------------------------------------------------------------------------------------------------

void TcpProxy::touch() { deadlines_.set_in(DeadlineKind::kConnectionIdle, idle_timeout_); }

// A peer that takes little at a time is slow and not idle.
bool TcpProxy::makes_progress() {
  if (stream_ == nullptr || client().unsent() + stream_->connection().unsent() == 0) return false;
  const uint64_t written = client().bytes_written() + stream_->connection().bytes_written();
  return std::exchange(written_, written) != written;
}

void TcpProxy::on_deadline(DeadlineKind kind) {
  switch (kind) {
    case DeadlineKind::kConnectionIdle:
      if (makes_progress()) {
        touch();
        return;
      }
      settings_.stats->idle_timeout.inc();
      info_.flags.set(ResponseFlag::kStreamIdleTimeout);
      close(kIdle);
      return;
    case DeadlineKind::kConnectionMax:
      settings_.stats->max_duration.inc();
      info_.flags.set(ResponseFlag::kDurationTimeout);
      close(kMaxDuration);
      return;
    case DeadlineKind::kRoute:
      std::exchange(asking_, nullptr)->reset();
      cluster_pin_->stats->cx_connect_timeout.inc();
      attempt_failed("tunnel_timeout", "tunnel_timeout");
      return;
    case DeadlineKind::kAccessLog:
      log(AccessLogType::kTcpPeriodic);
      deadlines_.set_in(DeadlineKind::kAccessLog, settings_.access_log_interval);
      return;
    default:
      break;
  }
}

// --- The end -------------------------------------------------------------------------------------------------------

void TcpProxy::finish() {
  over_ = true;
  stream_ = nullptr;
  end_attempt();
  deadlines_.stop();
  client().close_after_flush(client_ended_ ? Duration::zero() : kLinger, kFlushStall);
}

void TcpProxy::fail(ResponseFlag flag, std::string_view why) {
  info_.flags.set(flag);
  close(why);
}

void TcpProxy::close(std::string_view why) {
  over_ = true;
  info_.connection_details = info_.downstream_close_reason = why;
  if (stream_ != nullptr) info_.upstream.local_close_reason = why;
  deadlines_.stop();
  event::Timer::cancel();
  client().close();
}

void TcpProxy::abort(std::string_view why) {
  over_ = true;
  deadlines_.stop();
  info_.connection_details = info_.downstream_close_reason = why;
  info_.downstream_close_type = stream::CloseType::kLocalReset;
  client().reset_after_flush(kFlushStall);
}

void TcpProxy::on_reset(ResetReason reason, std::string_view detail) {
  if (reason == ResetReason::kConnectionTermination && !detail.empty()) {
    transport_failure_ = detail;
    info_.upstream.failure_reason = transport_failure_;
  }
  if (upstream::UpstreamStream* asked = std::exchange(asking_, nullptr); asked != nullptr && !over_) {
    deadlines_.clear(DeadlineKind::kRoute);
    if (!asked->reused() || asked->response_started()) {
      attempt_failed("connection_termination", "connection_termination");
      return;
    }
    // It was stale. Another one is no other attempt.
    end_attempt();
    --attempts_;
    lane_.arm_in(*this, Duration::zero());
    return;
  }
  stream_ = nullptr;
  end_attempt();
  if (over_) return;
  info_.flags.set(ResponseFlag::kUpstreamConnectionTermination);
  abort(kUpstreamReset);
}

// Nobody but its ends knows when a connection is idle: it goes on until they, or the drain, end it. One that has not
// said a word is not missed.
void TcpProxy::on_drain(filter::ConnectionHost&) {
  if (!over_ && !connecting_ && !early_data_) close(kDrained);
}

void TcpProxy::on_closed(filter::ConnectionHost&, net::CloseReason reason) {
  event::Timer::cancel();
  deadlines_.stop();
  using stream::CloseType;
  const bool reset = reason == net::CloseReason::kReset;
  if (reset || info_.downstream_close_type == CloseType::kNone)
    info_.downstream_close_type = reset ? CloseType::kRemoteReset : CloseType::kNormal;
  if (!over_) {
    over_ = true;
    const bool here = reason == net::CloseReason::kLocal;
    if (!here) info_.flags.set(ResponseFlag::kDownstreamConnectionTermination);
    if (stream_ != nullptr)
      info_.upstream.local_close_reason = reset ? kClientReset : here ? kClosedHere : kClientClosed;
  }
  if (stream_ != nullptr) {
    info_.upstream.wire.closed = reset ? CloseType::kLocalReset : CloseType::kNormal;
    upstream::UpstreamStream& stream = *std::exchange(stream_, nullptr);
    // What it has got is not all. (Of a connection of HTTP/2 there are other users.)
    if (reset && stream.protocol() != stream::Protocol::kHttp2) stream.connection().reset();
    stream.reset();
  }
  if (asking_ != nullptr) std::exchange(asking_, nullptr)->reset();
  end_attempt();
  log(AccessLogType::kTcpConnectionEnd);
}

void TcpProxy::log(AccessLogType type) {
  info_.end = lane_.now();
  if (net::Transport* transport = client().transport()) info_.downstream_failure_reason = transport->failure();
  filter::describe(*host_, info_);  // filters before this one may have said more meanwhile
  const stream::LogSubject subject{info_, nullptr, nullptr, nullptr, {}, type};
  for (const auto& one : settings_.access_logs) one->log(subject, lane_);
}

}  // namespace weir::filters::tcp_proxy
