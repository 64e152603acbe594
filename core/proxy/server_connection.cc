#include "core/proxy/server_connection.h"

#include <algorithm>

#include "core/net/transport_facts.h"
#include "core/proxy/http2_connection.h"
#include "core/proxy/lane_proxy.h"

namespace weir::proxy {

using filter::Action;
using filter::FlowReason;
using stream::ResponseFlag;

// Exchanges of one connection in one turn: a client that pipelines does not keep the lane from the others.
constexpr uint8_t kExchangesPerTurn = 32;

namespace {

bool begins_as_http2(const Slices& input) {
  std::string_view expected = http::h2::kPrefaceStart;
  for (size_t i = 0; i < input.slice_count() && !expected.empty(); ++i) {
    const std::string_view part = input.at(i).view().substr(0, expected.size());
    if (!expected.starts_with(part)) return false;
    expected.remove_prefix(part.size());
  }
  return expected.empty();
}

}  // namespace

ServerConnection::ServerConnection(const ConnectionManagerConfig& config, event::Lane& lane)
    : config_(config),
      lane_(lane),
      deadlines_(lane, *this),
      codec_(*this, lane.blocks(), config.h1),
      longest_idle_(config.idle_timeout),
      born_(lane.now()) {}

ServerConnection::~ServerConnection() { WEIR_ASSERT(stream_ == nullptr); }

Action ServerConnection::on_new_connection(filter::ConnectionHost& host) {
  host_ = &host;
  const ConnectionManagerStats& stats = *config_.stats;
  stats.cx_total.inc();
  stats.cx_active.inc();
  if (is_tls()) {
    stats.cx_ssl_total.inc();
    stats.cx_ssl_active.inc();
  }
  if (config_.codec != CodecType::kAuto) {
    if (config_.codec == CodecType::kHttp2) {
      become_http2();
      return Action::kContinue;
    }
  } else if (host.tls() != nullptr && host.tls()->session(net::SessionFact::kProtocol) == "h2") {
    become_http2();
    return Action::kContinue;
  }
  LaneProxy& lane_proxy = LaneProxy::of(lane_);
  if (lane_proxy.overload().reduces && !host.bypasses_overload()) [[unlikely]] {
    deadlines_.scale_by(lane_proxy.overload());
    lane_proxy.scaled_deadlines().push_back(deadlines_);
  }
  connection().set_watermarks(config_.buffer_limit, config_.buffer_limit / 2);
  deadlines_.set_in(DeadlineKind::kConnectionMax, config_.max_connection_duration);
  await_request();
  return Action::kContinue;
}

void ServerConnection::become_http2() {
  deadlines_.stop();
  codec_.stop();
  host_->replace_filter(std::make_unique<Http2Connection>(config_, lane_, requests_ != 0));
}

void ServerConnection::count_connection() {
  if (counted_) return;
  counted_ = true;
  config_.stats->cx_http1_total.inc();
  config_.stats->cx_http1_active.inc();
}

void ServerConnection::on_counted_request() {
  count_connection();
  const uint32_t most = config_.max_requests_per_connection;
  counts_at_ = most != 0 ? most : UINT32_MAX;
  if (requests_ < counts_at_) return;
  config_.stats->cx_max_requests_reached.inc();
  codec_.close_after_response();
}

void ServerConnection::await_request() { deadlines_.set_in(DeadlineKind::kConnectionIdle, longest_idle_); }

Action ServerConnection::on_data(filter::ConnectionHost&, Slices& data, bool) {
  if (yielded_ && lane_.turns() != turn_) {
    yielded_ = false;
    codec_.unpause();
  }
  if (const Overload& overload = LaneProxy::of(lane_).overload(); overload.acts() && !host_->bypasses_overload())
      [[unlikely]] {
    const bool begins = requests_ == 0 && head_begun_ == MonoTime();
    if ((begins && overload.sheds(ShedPoint::kBeforeCodec, lane_.random())) ||
        overload.sheds(ShedPoint::kHttp1AbortDispatch, lane_.random())) {
      connection().close(net::CloseReason::kLocal);
      return Action::kDone;
    }
  }
  codec_.receive(data);
  connection().hold_reads(yielded_ && !data.empty());
  bool ended = connection().peer_ended() && !codec_.paused();
  if (ended && stream_ == nullptr && codec_.idle()) {
    // The last response may still be on its way out: a client that half-closed waits for it.
    if (connection().unsent() > 0) {
      close_connection();
    } else if (connection().open()) {
      connection().close(net::CloseReason::kRemote);
    }
    return Action::kDone;
  }
  if (ended && !codec_.request_complete() && !codec_.stopped()) {
    unread_head_ = static_cast<uint32_t>(data.size());
    codec_.on_eof();
  }
  if (!connection().open()) return Action::kDone;
  if (ended && stream_ != nullptr) {
    if (stream_->ends_with_client()) {
      connection().close(net::CloseReason::kRemote);
      return Action::kDone;
    }
    connection().probe_peer();
  }
  // A stream that ended inside receive() made room for the next request.
  if (!data.empty() && codec_.request_complete()) {
    connection().block_read(net::ReadBlock::kHandler);  // it waits for its turn
  } else if (stream_ == nullptr && !data.empty() && !discarding_ && !codec_.paused() && !codec_.stopped()) {
    unread_head_ = static_cast<uint32_t>(data.size());
    if (head_begun_ == MonoTime()) begin_head();
  }
  return Action::kContinue;
}

// The published timeouts of a request count from its first byte; an idle connection has none of them.
void ServerConnection::begin_head() {
  const Slices& in = host_->input();
  std::string_view start = in.front().view();
  // RFC 9112 2.2: line breaks in front of a request are no part of it.
  if (start.size() == in.size() && start.find_first_not_of("\r\n") == std::string_view::npos) return;
  head_begun_ = lane_.now();
  deadlines_.clear(DeadlineKind::kConnectionIdle);
  deadlines_.set_in(DeadlineKind::kRequestHeaders, config_.request_headers_timeout);
  deadlines_.set_in(DeadlineKind::kRequest, config_.request_timeout);
  deadlines_.set_in(DeadlineKind::kStreamIdle, config_.stream_idle_timeout);
  deadlines_.set_in(DeadlineKind::kStreamMax, config_.max_stream_duration);
}

// --- Requests ------------------------------------------------------------------------------------------------------

void ServerConnection::describe(stream::StreamInfo& info) { filter::describe_client(*host_, info); }

ServerStream& ServerConnection::make_stream() {
  LaneProxy& lane_proxy = LaneProxy::of(lane_);
  stream_ = lane_proxy.streams().make(*this);
  stream::StreamInfo& info = stream_->stream().info();
  info.stream_id = lane_proxy.next_id();
  if (head_begun_ != MonoTime()) {
    info.start_wall -= info.start - head_begun_;
    info.start = head_begun_;
    head_begun_ = MonoTime();
  }
  ++requests_;
  return *stream_;
}

stream::WireBytes& ServerConnection::wire_bytes() { return stream_->stream().info().wire; }

ServerStream& ServerConnection::make_stream_of_unread_head() {
  count_connection();
  config_.stats->rq_http1_total.inc();
  make_stream().on_unread_head(stream::Protocol::kHttp11);
  wire_bytes().add_received_head(host_->input().empty() ? unread_head_ : host_->input().size());
  return *stream_;
}

http::HeaderMap& ServerConnection::begin_request() { return make_stream().stream().request_headers(); }

void ServerConnection::on_request_head(const http::h1::RequestHead& head, BlockRef owner) {
  if (requests_ >= counts_at_) [[unlikely]]
    on_counted_request();
  config_.stats->rq_http1_total.inc();
  connection().allow_unseen(false);
  wire_bytes().add_received_head(head.head_bytes);
  if (head.invalid != http::h1::ParseError::kNone) [[unlikely]] {
    config_.stats->cx_protocol_error.inc();
    stream_->on_refused_head(head, std::move(owner), http::h1::error_name(head.invalid),
                             http::h1::suggested_status(head.invalid));
    return;
  }
  stream_->on_head(head, std::move(owner));
}

void ServerConnection::on_request_data(Slices& data, bool end) {
  if (stream_ != nullptr) {
    wire_bytes().received += codec_.take_wire_bytes();
    if (!end) account_bytes();
    stream_->on_data(data, end);
  } else if (end) {
    finish_exchange();  // the rest of a request that was answered early
  } else if (data.size() > discard_left_) {
    close_connection();
  } else {
    discard_left_ -= static_cast<uint32_t>(data.size());
  }
}

http::HeaderMap& ServerConnection::begin_trailers() {
  if (stream_ == nullptr) {
    // Trailers of a request that was answered early: parsed into a stream that nobody sees.
    ServerStream& ignored = make_stream();
    ignored.finish();
    release_stream();
    return ignored.stream().make_request_trailers();
  }
  return stream_->stream().make_request_trailers();
}

void ServerConnection::on_request_trailers(http::HeaderMap&) {
  if (stream_ != nullptr) {
    wire_bytes().received += codec_.take_wire_bytes();
    stream_->on_trailers();
  } else {
    finish_exchange();
  }
}

void ServerConnection::on_parse_error(http::h1::ParseError error, int suggested_status) {
  if (error == http::h1::ParseError::kPrematureEof) {
    // Not garbage: the client went away in the middle of its request, which is logged when the connection closes. An
    // answer that is on its way already, to that request or the one before, is still delivered.
    if (stream_ == nullptr && connection().unsent() > 0) {
      if (head_begun_ != MonoTime()) {
        config_.stats->rq_rx_reset.inc();
        make_stream_of_unread_head().on_disconnect(ResponseFlag::kDownstreamConnectionTermination,
                                                   "downstream_remote_disconnect", stream::CloseType::kNormal);
        release_stream();
      }
      close_connection();
    } else {
      connection().close(net::CloseReason::kRemote);
    }
    return;
  }
  if (error == http::h1::ParseError::kUnsupportedVersion && config_.codec == CodecType::kAuto && requests_ == 1 &&
      stream_ != nullptr && begins_as_http2(host_->input())) {
    // Prior knowledge (RFC 9113 3.3). Nobody has heard of the request that this is not.
    stream_->finish();
    release_stream();
    become_http2();
    return;
  }
  config_.stats->cx_protocol_error.inc();
  if (discarding_) {  // answered already
    close_connection();
    return;
  }
  if (stream_ == nullptr) make_stream_of_unread_head();
  // A head that was complete and is refused: it and what has come behind it.
  if (wire_bytes().received == 0) wire_bytes().add_received_head(host_->input().size());
  stream_->on_protocol_error(http::h1::error_name(error), suggested_status);
}

// --- Responses -----------------------------------------------------------------------------------------------------

void ServerConnection::close_by_drain() {
  if (codec_.keep_alive()) config_.stats->cx_drain_close.inc();
  codec_.close_after_response();
}

bool ServerConnection::write_headers(const http::HeaderMap& headers, bool end) {
  if (draining_ || host_->draining()) [[unlikely]]
    close_by_drain();
  const Overload& overload = LaneProxy::of(lane_).overload();
  if (overload.acts() && !host_->bypasses_overload() &&
      overload.hits(OverloadAction::kDisableKeepalive, lane_.random())) [[unlikely]] {
    if (codec_.keep_alive()) config_.stats->cx_overload_disable_keepalive.inc();
    codec_.close_after_response();
  }
  Slices& out = connection().out();
  const size_t before = out.size();
  if (codec_.encode_response_head(headers, end, out) != http::h1::EncodeError::kNone) return false;
  wire_bytes().add_sent_head(out.size() - before);
  connection().flush_later();
  if (codec_.in_tunnel()) [[unlikely]]
    begin_tunnel();
  return true;
}

// What came behind the request has waited for this.
void ServerConnection::begin_tunnel() {
  connection().unblock_read(net::ReadBlock::kHandler);
  host_->deliver_again();
}

void ServerConnection::refuse_tunnel(bool always_close) {
  tunnel_refused_ = true;
  if (always_close || !host_->input().empty()) codec_.close_after_response();
}

void ServerConnection::write_informational(const http::HeaderMap& headers) {
  Slices& out = connection().out();
  const size_t before = out.size();
  if (codec_.encode_informational(headers, out) != http::h1::EncodeError::kNone) return;
  wire_bytes().add_sent_head(out.size() - before);
  connection().flush_later();
}

bool ServerConnection::write_data(Slices& data, bool end) {
  Slices& out = connection().out();
  const size_t before = out.size();
  if (codec_.encode_data(data, end, out) != http::h1::EncodeError::kNone) return false;
  wire_bytes().sent += out.size() - before;
  connection().flush_later();
  if (!end) {
    account_bytes();  // it may go on for days
  } else if (codec_.in_tunnel()) {
    connection().half_close();  // the other direction goes on
  }
  return true;
}

bool ServerConnection::write_trailers(const http::HeaderMap& trailers) {
  Slices& out = connection().out();
  const size_t before = out.size();
  if (codec_.encode_trailers(trailers, out) != http::h1::EncodeError::kNone) return false;
  wire_bytes().sent += out.size() - before;
  connection().flush_later();
  return true;
}

// Cut off without a final chunk or with fewer bytes than promised: the client sees an incomplete message.
void ServerConnection::abort_response() {
  const bool tunnel = stream_ != nullptr && stream_->in_tunnel();
  codec_.stop();
  bool until_close = false;
  if (stream_ != nullptr) {
    const filter::Stream& stream = stream_->stream();
    until_close = stream.info().protocol == stream::Protocol::kHttp10 &&
                  !stream.response_headers().contains(http::HeaderId::kContentLength);
    stream_->finish();
    release_stream();
  }
  if (until_close) {  // an orderly end would say that this was all
    connection().reset();
    return;
  }
  if (tunnel) {  // what came through it is the client's
    close_connection();
    return;
  }
  connection().flush();
  if (connection().open()) connection().close(net::CloseReason::kLocal);
}

void ServerConnection::pause_request(bool paused) {
  if (stream_ == nullptr || !connection().open()) return;
  if (paused) {
    codec_.pause();
    connection().block_read(net::ReadBlock::kWatermark);
  } else {
    codec_.unpause();
    connection().unblock_read(net::ReadBlock::kWatermark);
    host_->deliver_again();
  }
}

// The response is complete. What is left of a request is read and forgotten, so that the connection stays in step,
// unless its client was told that it closes; too much of it closes it all the same.
void ServerConnection::stream_done() {
  const bool rest_will_come = stream_->rest_of_request_will_come();
  if (tunnel_refused_) [[unlikely]] {
    tunnel_refused_ = false;
    if (!host_->input().empty()) codec_.close_after_response();
  }
  stream_->finish();
  release_stream();
  account_bytes();
  if (!connection().open()) return;
  if (!codec_.keep_alive() || codec_.stopped() || !(codec_.request_complete() || rest_will_come)) {
    close_connection();
    return;
  }
  if (codec_.paused()) {
    codec_.unpause();
    connection().unblock_read(net::ReadBlock::kWatermark);
    host_->deliver_again();
  }
  await_request();
  discarding_ = !codec_.request_complete();
  discard_left_ = ServerStream::kShortBodyBytes;
  if (!discarding_) finish_exchange();
}

// Both messages are complete: the next request may come.
void ServerConnection::finish_exchange() {
  discarding_ = false;
  if (!connection().open() || codec_.stopped()) return;
  codec_.next_message();
  await_request();
  // A client that does not read its responses gets no further ones made; on_below_low_watermark goes on.
  if (connection().above_high_watermark()) {
    codec_.pause();
    connection().block_read(net::ReadBlock::kWatermark);
    return;
  }
  connection().unblock_read(net::ReadBlock::kHandler);
  if (turn_ != lane_.turns()) {
    turn_ = lane_.turns();
    in_turn_ = 0;
  }
  if (++in_turn_ >= kExchangesPerTurn) {
    yielded_ = true;
    codec_.pause();
    connection().deliver_next_turn();
    return;
  }
  // Inside receive() the caller goes on with what is left; outside, whatever waits is delivered at the end of the turn.
  if (!host_->input().empty() || connection().peer_ended()) host_->deliver_again();
}

void ServerConnection::release_stream() {
  lane_.defer_delete(*stream_);
  stream_ = nullptr;
}

void ServerConnection::close_connection() {
  // A client that asked for the end of the connection and has nothing under way sends no more: closing right behind the
  // response cannot destroy it by a reset (RFC 9112 9.6), so there is nothing to wait for.
  bool client_is_done = codec_.request_complete() && !codec_.client_keeps_alive() && host_->input().empty();
  codec_.stop();
  deadlines_.stop();
  connection().close_after_flush(client_is_done ? Duration::zero() : config_.delayed_close_timeout,
                                 config_.delayed_close_timeout);
}

void ServerConnection::account_bytes() {
  net::Connection& connection = host_->connection();
  config_.stats->cx_rx_bytes_total.add(connection.bytes_read() - rx_accounted_);
  config_.stats->cx_tx_bytes_total.add(connection.bytes_written() - tx_accounted_);
  rx_accounted_ = connection.bytes_read();
  tx_accounted_ = connection.bytes_written();
}

// --- The connection ------------------------------------------------------------------------------------------------

void ServerConnection::on_above_high_watermark(filter::ConnectionHost&) {
  if (stream_ != nullptr) stream_->stream().response_flow().block(FlowReason::kDownstreamFull);
}

void ServerConnection::on_below_low_watermark(filter::ConnectionHost&) {
  if (stream_ != nullptr) {
    stream_->stream().response_flow().unblock(FlowReason::kDownstreamFull);
    return;
  }
  if (!codec_.paused()) return;
  codec_.unpause();
  connection().unblock_read(net::ReadBlock::kWatermark);
  connection().unblock_read(net::ReadBlock::kHandler);
  if (connection().open()) host_->deliver_again();
}

// Responses say `connection: close` from now on. An idle connection is not closed at once, nor one whose response has
// left without a word of that: the client may be sending a request this very moment, and would see it fail.
void ServerConnection::begin_to_drain() {
  draining_ = true;
  longest_idle_ = config_.idle_timeout > Duration::zero() ? std::min(config_.drain_timeout, config_.idle_timeout)
                                                          : config_.drain_timeout;
}

void ServerConnection::on_drain(filter::ConnectionHost&) {
  if (draining_) return;
  begin_to_drain();
  if (stream_ != nullptr || head_begun_ != MonoTime() || !connection().open()) return;
  deadlines_.set(DeadlineKind::kConnectionIdle, lane_.now() + longest_idle_);
}

void ServerConnection::on_deadline(DeadlineKind kind) {
  const ConnectionManagerStats& stats = *config_.stats;
  switch (kind) {
    case DeadlineKind::kConnectionIdle:
      if (stream_ != nullptr) return;
      (draining_ ? stats.cx_drain_close : stats.cx_idle_timeout).inc();
      close_connection();
      return;
    case DeadlineKind::kRequestHeaders:
      if (stream_ != nullptr) return;
      stats.rq_header_timeout.inc();
      make_stream_of_unread_head();
      codec_.stop();
      codec_.close_after_response();
      stream_->stream().reply_local(408, "request_header_timeout", "request header timeout");
      return;
    case DeadlineKind::kConnectionMax:
      stats.cx_max_duration_reached.inc();
      begin_to_drain();
      if (!codec_.response_started()) codec_.close_after_response();
      if (stream_ == nullptr && !config_.safe_max_connection_duration) close_connection();
      return;
    default:
      if (stream_ == nullptr && head_begun_ != MonoTime()) {
        make_stream_of_unread_head();
        codec_.stop();
      }
      if (stream_ != nullptr) stream_->on_stream_deadline(kind);
  }
}

void ServerConnection::on_closed(filter::ConnectionHost&, net::CloseReason reason) {
  const ConnectionManagerStats& stats = *config_.stats;
  deadlines_.stop();
  codec_.stop();
  if (stream_ == nullptr && head_begun_ != MonoTime()) make_stream_of_unread_head();
  const bool remote = reason != net::CloseReason::kLocal;
  (remote ? stats.cx_destroy_remote : stats.cx_destroy_local).inc();
  if (stream_ != nullptr) {
    (remote ? stats.cx_destroy_remote_active_rq : stats.cx_destroy_local_active_rq).inc();
    if (remote) stats.rq_rx_reset.inc();
    if (net::Transport* transport = connection().transport())
      stream_->stream().info().downstream_failure_reason = transport->failure();
    stream_->on_disconnect(
        remote ? ResponseFlag::kDownstreamConnectionTermination : ResponseFlag::kLocalReset,
        remote ? "downstream_remote_disconnect" : "downstream_local_disconnect",
        reason == net::CloseReason::kReset ? stream::CloseType::kRemoteReset : stream::CloseType::kNormal);
    release_stream();
  }
  account_bytes();
  stats.cx_destroy.inc();
  stats.cx_active.dec();
  if (counted_) stats.cx_http1_active.dec();
  if (is_tls()) stats.cx_ssl_active.dec();
  stats.cx_length_ms.record(static_cast<uint64_t>(to_ms(lane_.now() - born_)));
}

}  // namespace weir::proxy
