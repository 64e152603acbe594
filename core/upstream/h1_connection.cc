#include "core/upstream/h1_connection.h"

#include "core/net/transport_facts.h"
#include "core/stream/stream_info.h"
#include "core/upstream/lane_clusters.h"

namespace weir::upstream {

// How long a peer that has ended its side of a tunnel may take none of the last bytes of the other.
constexpr Duration kTunnelFlushStall = 1min;

H1Connection::H1Connection(ConnPool& pool, event::Pin<Cluster> cluster)
    : ClientConnection(pool, std::move(cluster)),
      UpstreamStream(stream::Protocol::kHttp11),
      codec_(*this, pool.lane().blocks(), pool.cluster().h1_settings()) {}

void H1Connection::on_up() {
  if (speaks_ != HttpProtocol::kHttp1 && peer_speaks_h2()) [[unlikely]]
    h2_ = std::make_unique<H2Connection>(*this);
  pool_.on_connected(*this);
}

bool H1Connection::peer_speaks_h2() const {
  if (speaks_ == HttpProtocol::kHttp2) return true;
  net::Transport* transport = connection_.transport();
  return transport != nullptr && transport->facts().session(net::SessionFact::kProtocol) == "h2";
}

void H1Connection::fail_requests(net::CloseReason reason, std::string_view detail) {
  if (h2_ != nullptr) {
    h2_->fail_all(ResetReason::kConnectionTermination, detail,
                  reason == net::CloseReason::kReset ? stream::CloseType::kRemoteReset : stream::CloseType::kNormal);
    return;
  }
  if (events_ != nullptr)
    wire_->closed = reason == net::CloseReason::kReset ? stream::CloseType::kRemoteReset : stream::CloseType::kNormal;
  fail_active(ResetReason::kConnectionTermination, detail);
}

void H1Connection::attach(UpstreamEvents& events) {
  WEIR_ASSERT(events_ == nullptr);
  events_ = &events;
  wire_ = &events.wire_bytes();
  tx_before_ = connection_.bytes_written();
  connection_.allow_unseen(false);
  if (begin_request(pool_.cluster().current())) codec_.close_after_response();
}

bool H1Connection::send_headers(const http::HeaderMap& headers, bool end) {
  const size_t before = connection_.out().size();
  if (codec_.encode_request_head(headers, end, connection_.out()) != http::h1::EncodeError::kNone) {
    return false;
  }
  wire_->add_sent_head(connection_.out().size() - before);
  connection_.flush_later();
  return true;
}

void H1Connection::open_raw() {
  tunnel_ = raw_ = true;
  codec_.enter_tunnel();
}

void H1Connection::send_data(Slices& data, bool end) {
  const size_t before = connection_.out().size();
  if (codec_.encode_data(data, end, connection_.out()) != http::h1::EncodeError::kNone) {
    // More or fewer bytes than the head declared: the message cannot be completed.
    fail_active(ResetReason::kLocalReset, "request_length_mismatch");
    connection_.close();
    return;
  }
  if (events_ != nullptr) wire_->sent += connection_.out().size() - before;
  connection_.flush_later();
  if (connection_.out().size() > 64 * 1024) connection_.flush();
  if (!end) account_bytes();  // it may go on for days
  if (tunnel_ && end && events_ != nullptr) codec_.response_complete() ? finish_request() : connection_.half_close();
}

void H1Connection::send_trailers(const http::HeaderMap& trailers) {
  const size_t before = connection_.out().size();
  if (codec_.encode_trailers(trailers, connection_.out()) != http::h1::EncodeError::kNone) {
    fail_active(ResetReason::kLocalReset, "bad_request_trailers");
    connection_.close();
    return;
  }
  if (events_ != nullptr) wire_->sent += connection_.out().size() - before;
  connection_.flush_later();
}

bool H1Connection::forget_request() {
  if (events_ == nullptr) return false;
  events_ = nullptr;
  codec_.stop();
  stats().rq_tx_reset.inc();
  stats().cx_destroy_with_active_rq.inc();
  return true;
}

void H1Connection::reset() {
  if (forget_request()) connection_.close();
}

void H1Connection::reset_after_data(Duration stall) {
  if (forget_request()) connection_.reset_after_flush(stall);
}

void H1Connection::pause_response(bool paused) {
  if (events_ == nullptr) return;
  if (paused) {
    codec_.pause();
    connection_.block_read(net::ReadBlock::kHandler);
  } else {
    codec_.unpause();
    connection_.unblock_read(net::ReadBlock::kHandler);
    connection_.deliver_again();
  }
}

void H1Connection::on_data(Slices& in, bool) {
  bool end = connection_.peer_ended();  // possibly told before, while the response was paused
  if (events_ == nullptr) {
    // Nothing was asked: bytes or an end here mean that the connection is of no use any more.
    if (connection_.open()) connection_.close(end ? net::CloseReason::kRemote : net::CloseReason::kLocal);
    return;
  }
  if (raw_) {
    bulk_.saw(in.size());
    account_bytes();
  }
  codec_.receive(in);
  if (end && events_ != nullptr && !codec_.paused()) codec_.on_eof(connection_.cut_off());
  // Filters between the caller and us may hold the request: then this is no response that is complete.
  const auto asked = [this] { return tunnel_ || !request_unsent() || !connection_.out().empty(); };
  if (events_ != nullptr && codec_.response_complete() && asked()) {
    if (!tunnel_ || codec_.request_complete()) finish_request();
  } else if (end && events_ != nullptr && !codec_.paused()) {
    wire_->closed = stream::CloseType::kNormal;
    fail_active(ResetReason::kConnectionTermination, {});
    connection_.close(net::CloseReason::kRemote);
  }
}

// `owner` keeps the bytes until then.
void H1Connection::on_informational(http::HeaderMap& headers, const http::h1::ResponseHead& head, BlockRef) {
  if (events_ == nullptr) return;
  wire_->add_received_head(head.head_bytes);
  events_->on_informational(headers);
  headers.clear();
}

void H1Connection::on_response_head(const http::h1::ResponseHead& head, BlockRef owner) {
  if (events_ == nullptr) return;
  wire_->add_received_head(head.head_bytes);
  tunnel_ = codec_.in_tunnel();
  events_->on_upstream_headers(std::move(owner), head.end_stream);
}

void H1Connection::on_response_data(Slices& data, bool end) {
  if (events_ == nullptr) return;
  wire_->received += codec_.take_wire_bytes();
  if (!end) account_bytes();
  events_->on_upstream_data(data, end);
}

void H1Connection::on_response_trailers(http::HeaderMap&) {
  if (events_ == nullptr) return;
  wire_->received += codec_.take_wire_bytes();
  events_->on_upstream_trailers();
}

void H1Connection::on_parse_error(http::h1::ParseError error) {
  if (error == http::h1::ParseError::kPrematureEof) {
    wire_->closed = stream::CloseType::kNormal;
    // Not garbage: the connection ended. What has begun to answer is not asked again as if nothing had happened.
    fail_active(codec_.response_started() ? ResetReason::kResponseCut : ResetReason::kConnectionTermination, {});
  } else {
    stats().cx_protocol_error.inc();
    fail_active(ResetReason::kProtocolError, http::h1::error_name(error));
  }
  connection_.close();
}

// The response is complete and its caller has been told. The connection goes back to the pool if it can.
void H1Connection::finish_request() {
  events_ = nullptr;
  account_bytes();
  if (!connection_.open()) return;
  if (codec_.reusable() && !last_request_ && !connection_.peer_ended() && connection_.in().empty()) {
    pool_.on_idle(*this);
  } else if (tunnel_) {
    connection_.close_after_flush(Duration::zero(), kTunnelFlushStall);
  } else {
    connection_.close();
  }
}

void H1Connection::fail_active(ResetReason reason, std::string_view detail) {
  codec_.stop();
  UpstreamEvents* events = std::exchange(events_, nullptr);
  if (events == nullptr) return;
  stats().cx_destroy_with_active_rq.inc();
  if (reason == ResetReason::kConnectionTermination) stats().rq_rx_reset.inc();
  events->on_reset(reason, detail);
}

void H1Connection::on_above_high_watermark() {
  if (events_ != nullptr) events_->on_request_flow(true);
}
void H1Connection::on_below_low_watermark() {
  if (events_ != nullptr) events_->on_request_flow(false);
}

void H1Connection::dispose() {
  ConnPool& pool = pool_;
  pool.cluster().lane_clusters().connections().destroy(this);
  --pool.objects_;
  pool.cluster().on_pool_maybe_empty(pool);
}

}  // namespace weir::upstream
