#include "filters/network/tcp_proxy/tcp_proxy.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/base/xxhash.h"
#include "core/proxy/auto_names.h"
#include "core/proxy/lane_proxy.h"
#include "core/upstream/destination.h"

namespace weir::filters::tcp_proxy {

using filter::Action;
using proxy::DeadlineKind;
using stream::AccessLogType;
using stream::ResponseFlag;
using upstream::ConnPool;
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

const stream::FilterStateValue* find_in(const filter::ConnectionHost& host, stream::FilterStateName name) {
  const stream::ConnectionInfo* info = host.info_if_any();
  if (info == nullptr || info->filter_state == nullptr) return nullptr;
  const stream::FilterState::Entry* entry = info->filter_state->find(name);
  return entry != nullptr ? &entry->value : nullptr;
}

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

Duration TcpProxy::choose_idle_timeout() const {
  const stream::FilterStateValue* own = find_in(*host_, settings_.idle_timeout_key);
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
    const stream::FilterStateValue* value = find_in(*host_, settings_.hash_key);
    if (value == nullptr || !value->append_plain(text)) return;
    hash_ = xxhash64(text);
    has_hash_ = true;
  }
}

// --- The way to an upstream ----------------------------------------------------------------------------------------

upstream::ClusterLocal* TcpProxy::find_cluster() {
  upstream::LaneClusters& clusters = upstream::LaneClusters::of(lane_);
  const stream::FilterStateValue* own = find_in(*host_, settings_.cluster_key);
  if (own != nullptr && own->kind() == stream::FilterStateValue::Kind::kString) {
    choose_match(settings_.match.get());
    return clusters.find_by_name(own->string());
  }
  const uint64_t point = info_.random % settings_.clusters.back().up_to;
  const auto chosen = std::upper_bound(settings_.clusters.begin(), settings_.clusters.end(), point,
                                       [](uint64_t at, const WeightedCluster& one) { return at < one.up_to; });
  choose_match(chosen->match.get());
  return clusters.find(chosen->slot);
}

// What filters say of the connection counts more.
void TcpProxy::choose_match(const stream::StaticMetadata* match) {
  match_ = match != nullptr ? &match->root() : nullptr;
  const stream::ConnectionInfo* info = host_->info_if_any();
  const stream::Metadata* metadata = info != nullptr ? info->metadata() : nullptr;
  const stream::Value* space = metadata != nullptr ? metadata->find("envoy.lb") : nullptr;
  if (space == nullptr || space->kind() != stream::Value::Kind::kStruct) return;
  ArenaPool pool;
  Arena arena(pool);
  own_match_ = std::make_unique<const stream::StaticMetadata>(
      match_ != nullptr ? stream::with_members(*match_, *space, arena) : *space);
  match_ = &own_match_->root();
}

void TcpProxy::connect() {
  connecting_ = true;
  cluster_ = find_cluster();
  if (cluster_ == nullptr) {
    settings_.stats->cx_no_route.inc();
    fail(ResponseFlag::kNoClusterFound, "cluster_not_found");
    return;
  }
  cluster_pin_ = asked_pin_ = cluster_->pin();
  lb::PickInput input{.hash = hash_,
                      .has_hash = has_hash_,
                      .attempt = attempts_ + 1,
                      .match = match_,
                      .excluded = {tried_.data(), tried_.size()}};
  if (cluster_->aggregates()) [[unlikely]] {
    const upstream::Member member = cluster_->choose_member(input);
    if (member.cluster != nullptr) {
      cluster_ = member.cluster;
      cluster_pin_ = cluster_->pin();
    }
    input.target = member.target;
  }
  char destination[net::Address::kMaxText];
  if (const upstream::OriginalDestination* original = cluster_pin_->spec.original.get()) [[unlikely]] {
    const net::Address wanted = upstream::find_destination(*original, info_, nullptr);
    if (!wanted.empty()) input.name = wanted.to_text(destination);
  } else if (!cluster_pin_->spec.dns_cache.empty()) [[unlikely]] {
    if (!choose_name()) {
      cluster_pin_->stats->cx_none_healthy.inc();
      fail(ResponseFlag::kNoHealthyUpstream, "no_name_to_connect_to");
      return;
    }
    input.name = name_.key;
  }
  pool_ = cluster_->pick(input);
  if (pool_ == nullptr && !cluster_pin_->spec.dns_cache.empty() && !std::exchange(looked_up_, true)) {
    NameLookup::find(lane_, cluster_pin_->spec.dns_cache, name_);
    return;
  }
  if (pool_ == nullptr) {
    cluster_pin_->stats->cx_none_healthy.inc();
    fail(ResponseFlag::kNoHealthyUpstream, "no_healthy_upstream");
    return;
  }
  ++attempts_;
  const upstream::Speaks speaks =
      upstream::speaks_of(cluster_pin_->spec.protocol, settings_.tunnel == nullptr, stream::Protocol::kNone);
  filter::UpstreamTransportOptions options;
  info_.connection = host_->info_if_any();
  if (proxy::asks_for_names(cluster_pin_->spec, info_)) [[unlikely]] {
    if (name_memory_ == nullptr) name_memory_ = std::make_unique<Arena>(lane_.arenas());
    if (cluster_pin_->spec.transports.encrypts) proxy::add_filter_state(info_, options, *name_memory_);
    if (cluster_pin_->spec.transports.tells_client) options.client = proxy::client_of(info_, client_header_);
  }
  pool_ = &pool_->variant(options, speaks);
  cluster_->begin_request(*pool_, *cluster_pin_->stats);
  describe_upstream();
  waiter_.want_unused(settings_.tunnel == nullptr);
  waiter_.refuse_at_limit();
  upstream::UpstreamStream* ready = nullptr;
  switch (pool_->request(waiter_, *this, ready)) {
    case ConnPool::Start::kReady:
      on_ready(*ready);
      break;
    case ConnPool::Start::kWaiting:
      break;
    case ConnPool::Start::kOverflow:
      on_failed(ResetReason::kOverflow, {});
  }
}

// What the client asks for by SNI, or what a filter says that it wants.
bool TcpProxy::choose_name() {
  if (!name_.key.empty()) return true;
  std::string_view wanted = host_->server_name();
  uint16_t port = cluster_pin_->spec.transports.encrypts ? 443 : 80;
  const stream::FilterStateValue* host = find_in(*host_, settings_.dynamic_host_key);
  if (host != nullptr && host->kind() == stream::FilterStateValue::Kind::kString) wanted = host->string();
  const stream::FilterStateValue* own_port = find_in(*host_, settings_.dynamic_port_key);
  if (own_port != nullptr && own_port->kind() == stream::FilterStateValue::Kind::kUnsigned &&
      own_port->number() <= 65535)
    port = static_cast<uint16_t>(own_port->number());
  if (name_memory_ == nullptr) name_memory_ = std::make_unique<Arena>(lane_.arenas());
  return upstream::read_wanted_name(wanted, port, *name_memory_, name_);
}

void TcpProxy::on_name(upstream::NameOutcome outcome) {
  if (over_) return;
  switch (outcome) {
    case upstream::NameOutcome::kKnown:
      connect();
      return;
    case upstream::NameOutcome::kCacheFull:
      fail(ResponseFlag::kUpstreamOverflow, "dns_cache_overflow");
      return;
    case upstream::NameOutcome::kTooMany:
      fail(ResponseFlag::kUpstreamOverflow, "dynamic_forward_proxy_pending_request_overflow");
      return;
    default:
      fail(ResponseFlag::kDnsResolutionFailed, "dns_resolution_failure");
  }
}

void TcpProxy::describe_upstream() {
  upstream_host_ = pool_->shared_host();
  stream::UpstreamInfo& info = info_.upstream;
  const upstream::ClusterSpec& spec = asked_pin_->spec;
  info.cluster = spec.stat_name;
  info.cluster_raw = spec.name == spec.stat_name ? std::string_view() : std::string_view(spec.name);
  info.cluster_metadata = spec.metadata != nullptr ? &spec.metadata->root() : nullptr;
  info.remote = pool_->address();
  info.local = {};
  // Of a host that has several addresses `remote` says which it was.
  info.host_text = pool_->has_addresses() ? std::string_view() : upstream_host_->text();
  info.host_name = upstream_host_->hostname();
  info.attempts = attempts_;
  info.requested = lane_.now();
  const stream::StaticMetadata* metadata = pool_->metadata();
  info.host_metadata = metadata != nullptr ? &metadata->root() : nullptr;
  hosts_ = metadata != nullptr ? cluster_->pin_hosts() : event::Pin<lb::HostSet>();
}

void TcpProxy::on_failed(ResetReason reason, std::string_view detail) {
  transport_failure_ = detail;
  switch (reason) {
    case ResetReason::kConnectFailure:
      attempt_failed(detail.empty() ? "connection_refused" : std::string_view(transport_failure_),
                     "connection_failure");
      break;
    case ResetReason::kConnectTimeout:
      attempt_failed("connection_timeout", "connection_timeout");
      break;
    case ResetReason::kOverflow:
      end_attempt();
      fail(ResponseFlag::kUpstreamOverflow, "upstream_overflow");
      break;
    default:
      end_attempt();
      fail(ResponseFlag::kLocalReset, "local_reset");
  }
}

void TcpProxy::attempt_failed(std::string_view reason, std::string_view why) {
  pool_->host().totals.rq_error.inc();
  if (std::find(tried_.begin(), tried_.end(), &pool_->host()) == tried_.end()) tried_.push_back(&pool_->host());
  end_attempt();
  if (attempts_ < settings_.max_connect_attempts) {
    lane_.arm_in(*this, back_off());
    return;
  }
  cluster_pin_->stats->cx_connect_attempts_exceeded.inc();
  info_.upstream.failure_reason = reason;
  info_.flags.set(ResponseFlag::kUpstreamConnectionFailure);
  fail(ResponseFlag::kUpstreamRetryLimitExceeded, why);
}

// Anything up to a ceiling that doubles with every attempt.
Duration TcpProxy::back_off() {
  const Duration ceiling =
      std::min(settings_.back_off_base * (int64_t{1} << std::min<uint32_t>(attempts_ - 1, 16)), settings_.back_off_max);
  if (ceiling <= Duration::zero()) return Duration::zero();
  return Duration(static_cast<int64_t>(lane_.random().next() % static_cast<uint64_t>(ceiling.count())));
}

void TcpProxy::on_ready(upstream::UpstreamStream& stream) {
  upstream::ClusterLocal::count_request(*pool_, *cluster_pin_->stats);
  stream::UpstreamInfo& info = info_.upstream;
  const upstream::ConnectionFacts facts = stream.facts();
  info.pool_ready = lane_.now();
  if (pool_->has_addresses()) info.remote = stream.connection().remote();
  info.connection_id = facts.id;
  info.connect_begin = facts.connect_begin;
  info.connect_end = facts.connect_end;
  if ((stream::wanted_records() & stream::kConnectionRecords) != 0) info.local = stream.connection().local();
  if (net::Transport* transport = stream.connection().transport()) {
    info.handshake_end = facts.connect_end;
    if ((stream::wanted_records() & stream::kTlsRecords) != 0)
      upstream_tls_ = std::make_unique<const stream::UpstreamTls>(transport->facts());
  }
  info.tls = upstream_tls_.get();
  if (settings_.tunnel != nullptr) {
    ask_for_tunnel(stream);
    return;
  }
  stream.open_raw();
  if (client().takes_unseen()) stream.leave_response_unseen();
  open(stream);
}

void TcpProxy::open(upstream::UpstreamStream& stream) {
  stream_ = &stream;
  pool_->host().totals.rq_success.inc();
  touch();
  if (settings_.access_log_on_connected) log(AccessLogType::kTcpUpstreamConnected);
  client().allow_unseen((settings_.tunnel == nullptr || !settings_.tunnel->post) && stream.connection().takes_unseen());
  client().unblock_read(net::ReadBlock::kHandler);
  if (!host_->input().empty() || client().peer_ended()) pass_on(host_->input());
}

// The cluster's connect timeout is also that of the answer.
void TcpProxy::ask_for_tunnel(upstream::UpstreamStream& stream) {
  info_.upstream.protocol = stream.protocol();
  tunnel_ = std::make_unique<Tunnel>(*settings_.tunnel, stream::LogSubject{info_}, lane_);
  if (!stream.send_headers(tunnel_->request(), false)) {
    stream.reset();
    end_attempt();
    fail(ResponseFlag::kUpstreamConnectionFailure, "invalid_tunnel_request");
    return;
  }
  asking_ = &stream;
  deadlines_.set_in(DeadlineKind::kRoute, cluster_pin_->spec.connect_timeout);
}

http::HeaderMap& TcpProxy::begin_response(int) {
  WEIR_CHECK(tunnel_ != nullptr);
  return tunnel_->begin_response();
}

void TcpProxy::on_upstream_headers(BlockRef, bool end) {
  upstream::UpstreamStream& stream = *std::exchange(asking_, nullptr);
  deadlines_.clear(DeadlineKind::kRoute);
  if (!over_ && !settings_.tunnel->headers_key.text().empty()) {
    keep_answer(settings_.tunnel->headers_key, tunnel_->response(), host_->info());
    info_.connection = host_->info_if_any();
  }
  if (!over_ && !end && tunnel_->status() / 100 == 2) {
    open(stream);
    return;
  }
  stream.reset();
  if (over_) {
    end_attempt();
  } else {
    attempt_failed("tunnel_refused", "tunnel_refused");
  }
}

void TcpProxy::on_upstream_trailers() {
  if (!over_ && !settings_.tunnel->trailers_key.text().empty()) {
    keep_answer(settings_.tunnel->trailers_key, tunnel_->response(), host_->info());
    info_.connection = host_->info_if_any();
  }
  Slices nothing;
  on_upstream_data(nothing, true);
}

void TcpProxy::end_attempt() {
  waiter_.leave();
  if (pool_ == nullptr) return;
  cluster_->end_request(*pool_, *cluster_pin_->stats);
  pool_ = nullptr;
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
