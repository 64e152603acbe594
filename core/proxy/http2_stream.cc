// A stream of a connection of HTTP/2: what its ServerStream sees of the connection, and its own end.
#include <utility>

#include "core/proxy/http2_connection.h"
#include "core/proxy/lane_proxy.h"

namespace weir::proxy {

using http::h2::ErrorCode;
using stream::ResponseFlag;

Http2Stream::Http2Stream(Http2Connection& connection)
    : connection_(&connection),
      config_(connection.config_),
      lane_(connection.lane_),
      deadlines_(connection.lane_, *this) {}

Http2Stream::~Http2Stream() { WEIR_ASSERT(stream_ == nullptr && !attached()); }

void Http2Stream::dispose() { LaneProxy::of(lane_).http2_streams().destroy(this); }

void Http2Stream::describe(stream::StreamInfo& info) { filter::describe_client(*connection_->host_, info); }

stream::ConnectionInfo& Http2Stream::connection_info() { return connection_->host_->info(); }

bool Http2Stream::bypasses_overload() const { return connection_->host_->bypasses_overload(); }

bool Http2Stream::is_tls() const { return connection_->host_->tls() != nullptr; }

bool Http2Stream::write_headers(const http::HeaderMap& headers, bool end) {
  if (!takes_more()) return true;
  if (const Overload& overload = LaneProxy::of(lane_).overload();
      overload.acts() && !bypasses_overload() && overload.hits(OverloadAction::kDisableKeepalive, lane_.random()))
      [[unlikely]]
    connection_->disable_keepalive();
  if (!connection_->codec_.send_response_head(*this, headers, end)) return false;
  if (waits_for_tunnel_) [[unlikely]] {
    if (stream_->in_tunnel())
      lane_.at_end_of_turn(*this);  // and not from within the hook of a filter that this head comes from
    else
      stop_waiting();
  }
  return true;
}

// The tunnel is open: what came of it ahead.
void Http2Stream::on_end_of_turn() {
  if (connection_ == nullptr) return;
  if (aborted_) {
    connection_->codec_.reset(*this, ErrorCode::kInternalError);
    release();
    return;
  }
  if (!waits_for_tunnel_) return;
  Slices early;
  early.append_all(early_);
  const bool end = early_end_;
  stop_waiting();
  if (!early.empty() || end) stream_->on_data(early, end);
}

// What came ahead and was not taken is thrown away, like what comes from now on if there is no tunnel.
void Http2Stream::stop_waiting() {
  waits_for_tunnel_ = false;
  early_.clear();
  if (!flow_paused_) connection_->codec_.unpause(*this);
}

void Http2Stream::write_informational(const http::HeaderMap& headers) {
  if (takes_more()) (void)connection_->codec_.send_informational(*this, headers);
}

bool Http2Stream::write_data(Slices& data, bool end) {
  if (!takes_more()) {
    data.clear();
    return true;
  }
  return connection_->codec_.send_data(*this, data, end);
}

bool Http2Stream::write_trailers(const http::HeaderMap& trailers) {
  return !takes_more() || connection_->codec_.send_trailers(*this, trailers);
}

// They are in memory when they come, whatever the windows have room for; filters may make data of them (grpc_web).
bool Http2Stream::keeps_trailers(const http::HeaderMap& trailers) {
  constexpr uint64_t kTrailersFactor = 8;
  if (!takes_more() || kept_trailers_ != 0) return true;
  if (connection_->kept_trailers_ >= kTrailersFactor * config_.h2.buffer_limit) {
    config_.http2_stats->header_overflow.inc();
    return false;
  }
  kept_trailers_ = static_cast<uint32_t>(trailers.byte_size());
  connection_->kept_trailers_ += kept_trailers_;
  return true;
}

// What is kept has left the windows. One stream alone may keep whatever its route allows.
bool Http2Stream::keeps_body(size_t bytes) {
  if (connection_ == nullptr) return true;
  const uint64_t others = connection_->kept_bodies_ - kept_body_ - kept_request_;
  if (bytes > kept_body_ && others > 0 && others + bytes > connection_->most_kept()) return false;
  connection_->kept_bodies_ += bytes - kept_body_;
  kept_body_ = bytes;
  connection_->room_changed();
  return true;
}

// One stream alone may hold whatever its filters need.
bool Http2Stream::may_hold_state(uint64_t bytes) const {
  constexpr uint64_t kStateFactor = 32;
  if (connection_ == nullptr) return true;
  const uint64_t others = connection_->held_state_ - held_state_;
  return others == 0 || connection_->held_state_ + bytes <= kStateFactor * config_.h2.buffer_limit;
}

void Http2Stream::hold_state(int64_t change) {
  if (connection_ == nullptr) return;
  held_state_ += static_cast<uint64_t>(change);
  connection_->held_state_ += static_cast<uint64_t>(change);
}

// What filters hold cannot be given up: its sender has to wait. Those that need no more of it get on without; of those
// that do, one at a time goes on beyond the bound.
bool Http2Stream::keeps_request(size_t bytes, bool collects) {
  if (connection_ == nullptr) return true;
  Http2Connection& connection = *connection_;
  const uint64_t others = connection.kept_bodies_ - kept_body_ - kept_request_;
  connection.kept_bodies_ += bytes - kept_request_;
  kept_request_ = bytes;
  collects_ = collects && bytes > 0;
  if (!collects_ && connection.has_right_ == this) connection.has_right_ = nullptr;
  connection.room_changed();
  bool room = bytes == 0 || others == 0 || others + kept_body_ + bytes <= connection.most_kept();
  if (!room && collects_) {
    if (connection.has_right_ == nullptr) connection.has_right_ = this;
    room = connection.has_right_ == this;
  }
  if (std::exchange(waits_for_room_, !room)) --connection.wait_for_room_;
  if (!room) ++connection.wait_for_room_;
  return room;
}

void Http2Stream::free_room() {
  if (kept_request_ > 0) (void)keeps_request(0, false);
}

// The connection writes at the end of the turn, and a reset takes the place of what waits for that: it comes behind.
void Http2Stream::abort_response() {
  if (!takes_more()) return;
  aborted_ = true;
  lane_.at_end_of_turn(*this);
}

void Http2Stream::pause_request(bool paused) {
  flow_paused_ = paused;
  if (connection_ == nullptr || waits_for_tunnel_) return;
  if (paused)
    connection_->codec_.pause(*this);
  else
    connection_->codec_.unpause(*this);
}

// Nothing more is to be said; what was said is on its way, and with it the stream ends.
void Http2Stream::stream_done() {
  deadlines_.clear_stream();
  deadlines_.set_in(DeadlineKind::kStreamIdle, stream_->flush_timeout());
  if (connection_ == nullptr) return;
  waits_for_tunnel_ = false;
  early_.clear();
  free_room();
  connection_->codec_.unpause(*this);
  connection_->codec_.reset_after_end(*this);
}

void Http2Stream::on_deadline(DeadlineKind kind) {
  if (stream_ == nullptr) return;
  if (!stream_->done()) {
    if (kind != DeadlineKind::kRequestHeaders) {
      stream_->on_stream_deadline(kind);
      return;
    }
    config_.stats->rq_header_timeout.inc();
    stream_->stream().reply_local(408, "request_header_timeout", "request header timeout");
    return;
  }
  if (kind != DeadlineKind::kStreamIdle || connection_ == nullptr) return;
  // A client that gives no room for the rest of a response.
  config_.http2_stats->tx_flush_timeout.inc();
  stream_->stream().info().flags.set(ResponseFlag::kStreamIdleTimeout);
  connection_->codec_.reset(*this, ErrorCode::kCancel);
  release();
}

size_t Http2Stream::held_bytes() const {
  return unsent() + early_.size() + (stream_ != nullptr ? stream_->held_bytes() : 0);
}

void Http2Stream::reset_for_memory() {
  config_.stats->rq_tx_reset.inc();
  note_wire_bytes();
  connection_->codec_.reset(*this, ErrorCode::kEnhanceYourCalm);
  stream_->on_disconnect(ResponseFlag::kOverloadManager, "overload", stream::CloseType::kLocalReset);
  release();
}

void Http2Stream::note_wire_bytes() {
  stream::WireBytes& bytes = stream_->stream().info().wire;
  bytes.received = wire().received;
  bytes.heads_received = wire().heads_received;
  bytes.sent = wire().sent;
  bytes.heads_sent = wire().heads_sent;
  bytes.set_fields(wire().fields_received, wire().fields_sent);
}

void Http2Stream::release() {
  if (stream_ == nullptr) return;
  note_wire_bytes();
  ServerStream& stream = *stream_;
  deadlines_.stop();
  stream.finish();
  stream_ = nullptr;
  lane_.defer_delete(stream);
  lane_.defer_delete(*this);  // behind it
  list_node_.unlink();
  config_.http2_stats->streams_active.dec();
  if (connection_ != nullptr) {
    free_room();
    connection_->kept_trailers_ -= kept_trailers_;
    connection_->kept_bodies_ -= kept_body_;
    connection_->held_state_ -= held_state_;
    connection_->room_changed();
  }
  if (Http2Connection* connection = std::exchange(connection_, nullptr)) connection->stream_gone();
}

}  // namespace weir::proxy
