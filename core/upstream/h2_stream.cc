#include <string>
#include <utility>

#include "core/crypto/digest.h"
#include "core/crypto/library.h"
#include "core/http/upgrade.h"
#include "core/upstream/h2_connection.h"
#include "core/upstream/lane_clusters.h"

namespace weir::upstream {

using http::HeaderId;
using http::h2::ErrorCode;
using http::h2::StreamEnd;

// --- The request ---------------------------------------------------------------------------------------------------

bool H2Stream::send_headers(const http::HeaderMap& headers, bool end) {
  if (!owner_.codec_.accepts_requests()) [[unlikely]] {  // filters have held it for so long
    drained_ = unprocessed_ = true;
    lane_.at_end_of_turn(*this);  // the caller may be on the stack
    return true;
  }
  if (http::is_upgrade(headers)) {
    request_ = &headers;
    if (!owner_.settings_seen_) {
      waits_for_settings_ = true;  // only they say whether the peer knows extended CONNECT
      return true;
    }
    if (!owner_.codec_.peer_allows_connect()) {
      on_settings();
      return true;
    }
  }
  return begin(headers, end);
}

bool H2Stream::begin(const http::HeaderMap& headers, bool end) {
  if (!owner_.codec_.send_request_head(*this, headers, end)) return false;
  if (stopped_) owner_.codec_.pause(*this);
  return true;
}

void H2Stream::on_settings() {
  waits_for_settings_ = false;
  if (owner_.codec_.peer_allows_connect() && begin(*request_, false)) {
    if (!early_.empty() && !owner_.codec_.send_data(*this, early_, false)) early_.clear();
    if (full_) {
      full_ = false;
      on_flow(http::h2::Stream::above_high_watermark());
    }
    return;
  }
  refused_here_ = true;
  lane_.at_end_of_turn(*this);  // the caller may be on the stack
}

// Raw ones have connections of their own; unless the cluster has come to speak HTTP/2 while they waited for one.
void H2Stream::open_raw() {
  refused_here_ = true;
  lane_.at_end_of_turn(*this);
}

void H2Stream::send_data(Slices& data, bool end) {
  if (waits_for_settings_) {
    early_.append_all(data);
    if (!full_ && early_.size() > owner_.options().high_watermark) {
      full_ = true;
      on_flow(true);
    }
    // Nobody would read an answer to an upgrade whose asker has left: the end is not sent, the caller resets.
    return;
  }
  if (!attached()) {
    data.clear();
    return;
  }
  if (!owner_.codec_.send_data(*this, data, end)) {
    fail(ResetReason::kLocalReset, "request_length_mismatch");
    return;
  }
  if (end && response_over_ && events_ != nullptr && !held_.any()) response_over();
}

void H2Stream::send_trailers(const http::HeaderMap& trailers) {
  if (attached() && !owner_.codec_.send_trailers(*this, trailers))
    fail(ResetReason::kLocalReset, "bad_request_trailers");
}

void H2Stream::reset() {
  if (events_ == nullptr) return;
  account();
  events_ = nullptr;
  owner_.stats().rq_tx_reset.inc();
  release();
}

void H2Stream::fail(ResetReason reason, std::string_view detail) {
  account();
  UpstreamEvents* events = std::exchange(events_, nullptr);
  release();
  if (events != nullptr) events->on_reset(reason, detail);
}

// --- The response --------------------------------------------------------------------------------------------------

void H2Stream::pause_response(bool paused) {
  if (events_ == nullptr || stopped_ == paused) return;
  stopped_ = paused;
  if (attached()) paused ? owner_.codec_.pause(*this) : owner_.codec_.unpause(*this);
  if (!paused && held_.any()) lane_.at_end_of_turn(*this);
}

void H2Stream::on_head(const http::h2::ResponseHead& head) {
  account();
  if (head.tunnel) {
    tunnel_ = true;
    if (request_ != nullptr) answer_upgrade();
  }
  // In a tunnel that is the end of a direction, which is told as one: the head may let the other end first.
  const bool ends_apart = tunnel_ && head.end;
  response_over_ = head.end && (stopped_ || !ends_apart);
  if (stopped_) {
    held_.head = true;
    held_.head_end = head.end && !ends_apart;
    held_.data_end = ends_apart;
    return;
  }
  events_->on_upstream_headers({}, head.end && !ends_apart);
  if (events_ == nullptr) return;
  if (ends_apart) {
    Slices nothing;
    on_data(nothing, true);
  } else if (head.end) {
    response_over();
  }
}

// The codec has made 101 of 200 (RFC 8441 5). A client of HTTP/1 looks for the proof that its upgrade was understood
// (RFC 6455 4.2.2), which servers of HTTP/2 need not give.
void H2Stream::answer_upgrade() {
  static const http::HeaderName kKey("sec-websocket-key");
  static const http::HeaderName kAccept("sec-websocket-accept");
  const std::string_view key = request_->get(kKey);
  if (key.empty() || response_->contains(kAccept)) return;
  if (!crypto::open_library().ok()) return;  // the first one opens it where nothing else needs it
  const std::string proof = crypto::to_base64(crypto::sha1(std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
  response_->add(kAccept, response_->arena().copy(proof));
}

void H2Stream::on_data(Slices& data, bool end) {
  account();
  response_over_ |= end;
  if (stopped_ || held_.any()) {
    held_.data.append_compact(data, lane_.blocks());
    held_.data_end |= end;
    return;
  }
  events_->on_upstream_data(data, end);
  data.clear();
  if (end && events_ != nullptr) response_over();
}

void H2Stream::on_trailers() {
  // RFC 9113 8.5: nothing but data is sent in a tunnel.
  if (tunnel_) {
    owner_.stats().cx_protocol_error.inc();
    return fail(ResetReason::kProtocolError, "http2.trailers_in_tunnel");
  }
  account();
  response_over_ = true;
  if (stopped_ || held_.any()) {
    held_.trailers = true;
    return events_->on_upstream_trailers_held();
  }
  events_->on_upstream_trailers();
  if (events_ != nullptr) response_over();
}

// Inside a tunnel the other direction goes on.
void H2Stream::response_over() {
  if (tunnel_ && !send_complete()) {
    if (attached()) return;
    // It was closed while nobody read: what had come is told now, and that the other direction goes nowhere.
    return fail(ResetReason::kRemoteReset, {});
  }
  account();
  events_ = nullptr;
  // What the server has not waited for is of no use to it any more; in a tunnel it is.
  if (!attached() || (!tunnel_ && !end_sent())) release();
}

void H2Stream::on_closed(const StreamEnd& end) {
  account();
  if (events_ == nullptr) return release();
  const bool in_order = end.cause == StreamEnd::Cause::kComplete ||
                        (end.cause == StreamEnd::Cause::kPeerReset && end.code == ErrorCode::kNoError);
  if (in_order && response_over_ && held_.any()) {
    closed_ = true;
    return;
  }
  switch (end.cause) {
    case StreamEnd::Cause::kComplete:
      // A tunnel of which both directions have ended; its last event was told.
      events_ = nullptr;
      return release();
    case StreamEnd::Cause::kPeerReset:
      owner_.stats().rq_rx_reset.inc();
      wire_bytes_->closed = stream::CloseType::kRemoteReset;
      return fail(ResetReason::kRemoteReset, {});
    case StreamEnd::Cause::kUnprocessed:
      owner_.stats().rq_rx_reset.inc();
      owner_.stats().http2.stream_refused_errors.inc();
      unprocessed_ = true;
      free_repeats_ = owner_.on_refused();
      return fail(ResetReason::kRemoteRefused, {});
    case StreamEnd::Cause::kPeerError:
      owner_.stats().cx_protocol_error.inc();
      return fail(ResetReason::kProtocolError, error_name(end.error));
  }
}

void H2Stream::on_flow(bool above) {
  if (events_ != nullptr) events_->on_request_flow(above);
}

void H2Stream::on_end_of_turn() {
  if (events_ == nullptr) return;
  if (drained_) return fail(ResetReason::kRemoteRefused, {});
  if (refused_here_) {
    return fail(ResetReason::kProtocolError,
                request_ != nullptr ? "http2.extended_connect_not_supported" : "http2.not_for_raw_bytes");
  }
  if (stopped_) return;
  if (std::exchange(held_.head, false)) {
    events_->on_upstream_headers({}, held_.head_end);
    if (events_ == nullptr) return;
    if (held_.head_end) return response_over();
    if (stopped_) return;
  }
  if (!held_.data.empty() || held_.data_end) {
    Slices data;
    data.append_all(held_.data);
    const bool end = std::exchange(held_.data_end, false);
    events_->on_upstream_data(data, end);
    if (events_ == nullptr) return;
    if (end) return response_over();
    if (stopped_) return;
  }
  if (std::exchange(held_.trailers, false)) {
    events_->on_upstream_trailers();
    if (events_ != nullptr) response_over();
  }
}

// --- Its end -------------------------------------------------------------------------------------------------------

void H2Stream::account() {
  const Wire& now = wire();
  if (events_ != nullptr) {
    wire_bytes_->received += now.received - accounted_.received;
    wire_bytes_->sent += now.sent - accounted_.sent;
    wire_bytes_->heads_received += now.heads_received - accounted_.heads_received;
    wire_bytes_->heads_sent += now.heads_sent - accounted_.heads_sent;
    wire_bytes_->set_fields(wire_bytes_->fields_received + now.fields_received - accounted_.fields_received,
                            wire_bytes_->fields_sent + now.fields_sent - accounted_.fields_sent);
  }
  accounted_ = now;
}

void H2Stream::release() {
  if (released_) return;
  released_ = true;
  if (attached()) owner_.codec_.reset(*this, ErrorCode::kCancel);
  owner_.on_stream_over(*this);
}

net::Connection& H2Stream::connection() { return owner_.owner_.connection_; }
ConnectionFacts H2Stream::facts() const { return owner_.owner_.facts_of_connection(); }

void H2Stream::dispose() { LaneClusters::of(lane_).streams().destroy(this); }

}  // namespace weir::upstream
