#include "core/proxy/http2_connection.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "core/net/transport.h"
#include "core/proxy/lane_proxy.h"
#include "core/runtime/runtime.h"

namespace weir::proxy {

using filter::Action;
using filter::FlowReason;
using http::h2::Error;
using http::h2::ErrorCode;
using http::h2::StreamEnd;
using stream::ResponseFlag;

namespace {

// Published, names and numbers: a connection half of whose requests, or of so many, are taken back within so many
// seconds is not worth serving.
const runtime::Key kResetCountKey("overload.premature_reset_total_stream_count");
constexpr uint64_t kResetCount = 500;
const runtime::Key kResetSecondsKey("overload.premature_reset_min_stream_lifetime_seconds");
constexpr uint64_t kResetSeconds = 1;

constexpr uint32_t kMemoryClasses = 8;
constexpr size_t kMostHeavy = 50;  // streams at a time: memory comes back before it is looked at again

uint64_t whole(event::Lane& lane, runtime::Key key, uint64_t otherwise) {
  const runtime::Value* value = runtime::find(lane.slots(), key);
  return value != nullptr && value->has_whole ? value->whole : otherwise;
}

}  // namespace

// --- The connection --------------------------------------------------------------------------------------------------

Http2Connection::Http2Connection(const ConnectionManagerConfig& config, event::Lane& lane, bool admitted)
    : config_(config),
      lane_(lane),
      deadlines_(lane, *this),
      codec_(*this, lane.blocks(), config.h2),
      born_(lane.now()),
      admitted_(admitted) {}

Http2Connection::~Http2Connection() { WEIR_ASSERT(streams_.empty()); }

Action Http2Connection::on_new_connection(filter::ConnectionHost& host) {
  host_ = &host;
  config_.stats->cx_http2_total.inc();
  config_.stats->cx_http2_active.inc();
  scale(deadlines_);
  if (LaneProxy& lane_proxy = LaneProxy::of(lane_);
      lane_proxy.overload().smallest_account != 0 && !host.bypasses_overload())
    lane_proxy.weighed_connections().push_back(*this);
  connection().set_watermarks(config_.buffer_limit, config_.buffer_limit / 2);
  deadlines_.set_in(DeadlineKind::kConnectionMax, config_.max_connection_duration);
  deadlines_.set_in(DeadlineKind::kConnectionIdle, config_.idle_timeout);
  schedule_ping();
  want_flush();  // SETTINGS
  return Action::kContinue;
}

Action Http2Connection::on_data(filter::ConnectionHost&, Slices& data, bool) {
  if (closing_) {
    data.clear();
    return Action::kContinue;
  }
  if (const Overload& overload = LaneProxy::of(lane_).overload(); overload.acts() && !host_->bypasses_overload())
      [[unlikely]] {
    if (!admitted_ && overload.sheds(ShedPoint::kBeforeCodec, lane_.random())) {
      connection().close(net::CloseReason::kLocal);
      return Action::kDone;
    }
    shed(overload);
  }
  admitted_ = true;
  if (!data.empty()) {
    codec_.receive(data);
    watch_settings();
  }
  if (!connection().open()) return Action::kDone;
  if (connection().peer_ended() && !closing_) {
    // RFC 9113 has no half-closed connections: nobody would read the rest.
    if (connection().unsent() > 0 && streams_.empty()) {
      close_connection();
    } else {
      connection().close(net::CloseReason::kRemote);
      return Action::kDone;
    }
  }
  return Action::kContinue;
}

void Http2Connection::on_end_of_turn() {
  if (host_ == nullptr || !connection().open() || closing_) return;
  if (wait_for_room_ > 0) [[unlikely]]
    give_room();
  Slices& out = connection().out();
  const bool more = codec_.flush(out);
  if (!out.empty()) connection().flush_later();
  account();
  if (codec_.failed() || codec_.finished()) {
    close_connection();
    return;
  }
  if (more) connection().notify_when_drained();
}

void Http2Connection::on_drained(filter::ConnectionHost&) { want_flush(); }

void Http2Connection::close_connection() {
  if (closing_) return;
  closing_ = true;
  codec_.stop();
  deadlines_.stop();
  drain_timer_.cancel();
  ping_timer_.cancel();
  ping_timeout_.cancel();
  settings_timeout_.cancel();
  connection().close_after_flush(config_.delayed_close_timeout, config_.delayed_close_timeout);
}

// --- Requests --------------------------------------------------------------------------------------------------------

http::h2::Stream* Http2Connection::begin_request(http::HeaderMap*& fields) {
  LaneProxy& lane_proxy = LaneProxy::of(lane_);
  Http2Stream& stream = *lane_proxy.http2_streams().make(*this);
  stream.stream_ = lane_proxy.streams().make(stream);
  stream.stream_->stream().info().stream_id = lane_proxy.next_id();
  scale(stream.deadlines_);
  streams_.push_back(stream);
  config_.http2_stats->streams_active.inc();
  deadlines_.clear(DeadlineKind::kConnectionIdle);
  // From its first byte it is a request like any other: counted, timed, logged.
  config_.stats->rq_http2_total.inc();
  stream.stream_->on_unread_head(stream::Protocol::kHttp2);
  stream.deadlines_.set_in(DeadlineKind::kRequestHeaders, config_.request_headers_timeout);
  stream.deadlines_.set_in(DeadlineKind::kRequest, config_.request_timeout);
  stream.deadlines_.set_in(DeadlineKind::kStreamIdle, config_.stream_idle_timeout);
  stream.deadlines_.set_in(DeadlineKind::kStreamMax, config_.max_stream_duration);
  ++requests_;
  if (config_.max_requests_per_connection != 0 && requests_ >= config_.max_requests_per_connection && !draining_) {
    config_.stats->cx_max_requests_reached.inc();
    begin_drain();
  }
  fields = &stream.stream_->stream().request_headers();
  return &stream;
}

void Http2Connection::on_request_head(http::h2::Stream& from, const http::h2::RequestHead& head) {
  Http2Stream& stream = of(from);
  if (stream.stream_->done()) return;  // it took too long, and was answered
  if (host_->draining()) begin_drain();
  if (draining_) config_.stats->cx_drain_close.inc();
  if (head.refusal != http::h2::Refusal::kNone) [[unlikely]] {
    config_.stats->cx_protocol_error.inc();
    stream.stream_->on_refused_head(head, BlockRef(), http::h2::refusal_name(head.refusal),
                                    http::h2::refusal_status(head.refusal));
    return;
  }
  if (head.is_connect || head.upgrade) [[unlikely]] {
    stream.waits_for_tunnel_ = true;
    codec_.pause(stream);
  }
  stream.stream_->on_head(head, BlockRef());
}

void Http2Connection::on_request_data(http::h2::Stream& from, Slices& data, bool end) {
  Http2Stream& stream = of(from);
  if (stream.stream_ == nullptr || stream.stream_->done()) return;
  if (stream.waits_for_tunnel_) [[unlikely]] {
    stream.early_.append_compact(data, lane_.blocks());
    stream.early_end_ |= end;
    return;
  }
  stream.stream_->on_data(data, end);
}

http::HeaderMap& Http2Connection::begin_trailers(http::h2::Stream& stream) {
  return of(stream).stream_->stream().make_request_trailers();
}

void Http2Connection::on_request_trailers(http::h2::Stream& from, http::HeaderMap&) {
  Http2Stream& stream = of(from);
  if (stream.stream_ == nullptr || stream.stream_->done()) return;
  if (stream.waits_for_tunnel_) [[unlikely]] {  // a tunnel has none: they are its end
    stream.early_end_ = true;
    return;
  }
  stream.stream_->on_trailers();
}

void Http2Connection::on_stream_closed(http::h2::Stream& from, const StreamEnd& end) {
  Http2Stream& stream = of(from);
  if (stream.stream_ == nullptr) return;
  stream.deadlines_.stop();
  stream.note_wire_bytes();
  switch (end.cause) {
    case StreamEnd::Cause::kComplete:
      break;
    case StreamEnd::Cause::kPeerReset:
    case StreamEnd::Cause::kUnprocessed:
      config_.stats->rq_rx_reset.inc();
      count_premature_reset(stream);
      stream.stream_->on_disconnect(
          ResponseFlag::kDownstreamRemoteReset,
          end.code == ErrorCode::kRefusedStream ? "http2.remote_refuse" : "http2.remote_reset",
          stream::CloseType::kRemoteReset);
      break;
    case StreamEnd::Cause::kPeerError:
      config_.stats->cx_protocol_error.inc();
      config_.stats->rq_tx_reset.inc();
      if (!end.no_room) count_premature_reset(stream);
      stream.stream_->on_disconnect(ResponseFlag::kDownstreamProtocolError, http::h2::error_name(end.error),
                                    stream::CloseType::kLocalReset);
      break;
  }
  stream.release();
}

// Rapid reset: a request costs its sender nothing when it is taken back at once, and us the way to its upstream; also
// where the sender makes us reset it. Of one whose answer has begun, as published, the client may have seen enough.
void Http2Connection::count_premature_reset(const Http2Stream& stream) {
  if (stream.stream_->response_head_sent()) return;
  const uint64_t seconds = std::min<uint64_t>(whole(lane_, kResetSecondsKey, kResetSeconds), UINT32_MAX);
  if (lane_.now() - stream.stream_->stream().info().start >= std::chrono::seconds(seconds)) return;
  ++premature_resets_;
  const uint64_t of = std::max<uint64_t>(requests_, whole(lane_, kResetCountKey, kResetCount));
  if (uint64_t{premature_resets_} * 2 >= of) codec_.fail(Error::kResets);
}

void Http2Connection::on_stream_flow(http::h2::Stream& from, bool above) {
  Http2Stream& stream = of(from);
  if (stream.stream_ == nullptr) return;
  if (stream.stream_->done()) {
    // It moves.
    stream.deadlines_.set_in(DeadlineKind::kStreamIdle, stream.stream_->flush_timeout());
    return;
  }
  filter::FlowControl& flow = stream.stream_->stream().response_flow();
  if (above)
    flow.block(FlowReason::kDownstreamFull);
  else
    flow.unblock(FlowReason::kDownstreamFull);
}

void Http2Connection::stream_gone() {
  if (!streams_.empty() || closing_) return;
  if (host_ == nullptr || !connection().open()) return;
  deadlines_.set_in(DeadlineKind::kConnectionIdle, config_.idle_timeout);
  want_flush();  // the connection may be finished
}

// All that wait once much has gone; and one that a filter collects in any case.
void Http2Connection::give_room() {
  const bool much = kept_bodies_ <= most_kept() / 2;
  streams_.for_each([this, much](Http2Stream& stream) {
    if (!stream.waits_for_room_ || stream.stream_ == nullptr) return;
    if (much || (stream.collects_ && has_right_ == nullptr)) stream.stream_->stream().look_for_room();
  });
}

// --- Its end ---------------------------------------------------------------------------------------------------------

void Http2Connection::on_connection_error(Error error) {
  const Http2Stats& stats = *config_.http2_stats;
  if (error == Error::kOverload) [[unlikely]] {  // which is not the client's fault
    disconnect_streams(ResponseFlag::kOverloadManager, "overload", stream::CloseType::kNormal);
    want_flush();
    return;
  }
  config_.stats->cx_protocol_error.inc();
  stats.count(error);
  switch (error) {
    case Error::kContinuations:
      stats.inbound_continuation_flood.inc();
      break;
    case Error::kStrayData:
      stats.inbound_stray_data_flood.inc();
      break;
    case Error::kResets:
      config_.stats->rq_too_many_premature_resets.inc();
      break;
    default:
      break;
  }
  disconnect_streams(ResponseFlag::kDownstreamProtocolError, http::h2::error_name(error), stream::CloseType::kNormal);
  want_flush();
}

void Http2Connection::disconnect_streams(ResponseFlag flag, std::string_view detail, stream::CloseType how) {
  while (Http2Stream* stream = streams_.front()) {
    stream->note_wire_bytes();
    stream->stream_->on_disconnect(flag, detail, how);
    stream->release();
  }
}

void Http2Connection::begin_drain() {
  if (draining_ || closing_) return;
  draining_ = true;
  codec_.announce_shutdown();
  lane_.arm_in(drain_timer_, config_.drain_timeout);
}

void Http2Connection::end_drain() {
  if (!closing_) codec_.shut_down();
}

void Http2Connection::disable_keepalive() {
  if (draining_) return;
  config_.stats->cx_overload_disable_keepalive.inc();
  begin_drain();
}

void Http2Connection::shed(const Overload& overload) {
  if (overload.sheds(ShedPoint::kHttp2GoAwayAndClose, lane_.random())) {
    codec_.fail(Error::kOverload);  // its input is dropped
  } else if (!draining_ && overload.sheds(ShedPoint::kHttp2GoAway, lane_.random())) {
    begin_drain();
  }
}

void Http2Connection::reset_heavy(event::Lane& lane, double share) {
  LaneProxy& lane_proxy = LaneProxy::of(lane);
  const Overload& overload = lane_proxy.overload();
  const uint32_t classes = std::min(static_cast<uint32_t>(share * kMemoryClasses) + 1, kMemoryClasses);
  const uint64_t least = uint64_t{1} << (overload.smallest_account + kMemoryClasses - classes);
  std::vector<std::pair<size_t, Http2Stream*>> heavy;
  lane_proxy.weighed_connections().for_each([&](Http2Connection& connection) {
    connection.streams_.for_each([&](Http2Stream& stream) {
      if (const size_t bytes = stream.held_bytes(); bytes >= least) heavy.emplace_back(bytes, &stream);
    });
  });
  std::sort(heavy.begin(), heavy.end(), std::greater<>());
  if (heavy.size() > kMostHeavy) heavy.resize(kMostHeavy);
  for (auto& [bytes, stream] : heavy) {
    if (stream->stream_ == nullptr) continue;  // with the end of another, which lives until that of the turn
    stream->reset_for_memory();
    overload.streams_reset.inc();
  }
}

void Http2Connection::scale(Deadlines& deadlines) {
  LaneProxy& lane_proxy = LaneProxy::of(lane_);
  if (!lane_proxy.overload().reduces || host_->bypasses_overload()) return;
  deadlines.scale_by(lane_proxy.overload());
  lane_proxy.scaled_deadlines().push_back(deadlines);
}

void Http2Connection::on_drain(filter::ConnectionHost&) {
  if (draining_) return;
  if (streams_.empty()) config_.stats->cx_drain_close.inc();
  begin_drain();
}

void Http2Connection::on_deadline(DeadlineKind kind) {
  switch (kind) {
    case DeadlineKind::kConnectionIdle:
      if (!streams_.empty()) return;
      if (!draining_) config_.stats->cx_idle_timeout.inc();
      begin_drain();
      return;
    case DeadlineKind::kConnectionMax:
      config_.stats->cx_max_duration_reached.inc();
      begin_drain();
      return;
    default:
      return;
  }
}

void Http2Connection::schedule_ping() {
  const http::h2::Options::Keepalive& keepalive = config_.h2.keepalive;
  if (keepalive.interval > Duration::zero()) lane_.arm_in(ping_timer_, keepalive.wait(lane_.random()));
}

void Http2Connection::ping() {
  codec_.ping();
  lane_.arm_in(ping_timeout_, config_.h2.keepalive.timeout);
}

void Http2Connection::on_ping_answered() {
  ping_timeout_.cancel();
  if (!closing_) schedule_ping();
}

void Http2Connection::on_ping_timeout() {
  config_.http2_stats->keepalive_timeout.inc();
  connection().close(net::CloseReason::kLocal);
}

void Http2Connection::watch_settings() {
  if (!codec_.awaits_settings_ack()) [[likely]]
    return settings_timeout_.cancel();
  if (!settings_timeout_.armed() && !closing_) lane_.arm_in(settings_timeout_, http::h2::kSettingsTimeout);
}

void Http2Connection::on_settings_timeout() {
  if (codec_.awaits_settings_ack()) codec_.fail(Error::kSettingsTimeout);
}

void Http2Connection::account() {
  config_.http2_stats->count(codec_.counts(), accounted_);
  net::Connection& connection = host_->connection();
  config_.stats->cx_rx_bytes_total.add(connection.bytes_read() - rx_accounted_);
  config_.stats->cx_tx_bytes_total.add(connection.bytes_written() - tx_accounted_);
  rx_accounted_ = connection.bytes_read();
  tx_accounted_ = connection.bytes_written();
}

void Http2Connection::on_closed(filter::ConnectionHost&, net::CloseReason reason) {
  const ConnectionManagerStats& stats = *config_.stats;
  codec_.stop();
  closing_ = true;
  deadlines_.stop();
  drain_timer_.cancel();
  ping_timer_.cancel();
  ping_timeout_.cancel();
  settings_timeout_.cancel();
  const bool remote = reason != net::CloseReason::kLocal;
  (remote ? stats.cx_destroy_remote : stats.cx_destroy_local).inc();
  if (!streams_.empty()) {
    (remote ? stats.cx_destroy_remote_active_rq : stats.cx_destroy_local_active_rq).inc();
    if (remote) stats.rq_rx_reset.add(streams_.count());
    const std::string_view failure =
        connection().transport() != nullptr ? connection().transport()->failure() : std::string_view();
    streams_.for_each([&](Http2Stream& stream) {
      stream.stream_->stream().info().downstream_failure_reason = failure;
      codec_.forget(stream);
    });
    disconnect_streams(
        remote ? ResponseFlag::kDownstreamConnectionTermination : ResponseFlag::kLocalReset,
        remote ? "downstream_remote_disconnect" : "downstream_local_disconnect",
        reason == net::CloseReason::kReset ? stream::CloseType::kRemoteReset : stream::CloseType::kNormal);
  }
  account();
  stats.cx_destroy.inc();
  stats.cx_active.dec();
  stats.cx_http2_active.dec();
  if (host_->tls() != nullptr) stats.cx_ssl_active.dec();
  stats.cx_length_ms.record(static_cast<uint64_t>(to_ms(lane_.now() - born_)));
}

}  // namespace weir::proxy
