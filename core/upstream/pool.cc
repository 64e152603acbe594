#include "core/upstream/pool.h"

#include "core/upstream/lane_clusters.h"

namespace weir::upstream {

std::string_view reason_text(ResetReason reason) {
  switch (reason) {
    case ResetReason::kNone:
      return "";
    case ResetReason::kConnectFailure:
      return "connection_failure";
    case ResetReason::kConnectTimeout:
      return "connection_timeout";
    case ResetReason::kConnectionTermination:
      return "connection_termination";
    case ResetReason::kProtocolError:
      return "protocol_error";
    case ResetReason::kOverflow:
      return "overflow";
    case ResetReason::kLocalReset:
      return "local_reset";
    case ResetReason::kRemoteReset:
      return "remote_reset";
  }
  return "";
}

// --- Waiter --------------------------------------------------------------------------------------------------------

void Waiter::leave() {
  if (pool_ == nullptr) return;
  node_.unlink();
  --pool_->waiting_count_;
  pool_->cluster_.pending.release();
  pool_->cluster_.stats().rq_pending_active.dec();
  pool_ = nullptr;
}

// --- H1Connection --------------------------------------------------------------------------------------------------

H1Connection::H1Connection(ConnPool& pool, const Cluster& cluster)
    : pool_(pool),
      connection_(pool.lane(), pool.host().address(), cluster.spec.source),
      codec_(*this, pool.lane().blocks(), pool.cluster().h1_settings()),
      born_(pool.lane().now()) {
  connection_.set_handler(*this);
  connection_.set_watermarks(cluster.spec.buffer_limit, cluster.spec.buffer_limit / 2);
  if (connection_.open()) connection_.start(false);
  pool.lane().arm_in(*this, cluster.spec.connect_timeout);
}

void H1Connection::attach(UpstreamEvents& events) {
  WEIR_ASSERT(events_ == nullptr);
  events_ = &events;
  ++requests_;
  const Cluster* cluster = pool_.cluster().current();
  uint32_t max = cluster != nullptr ? cluster->spec.max_requests_per_connection : 0;
  if (max != 0 && requests_ >= max) {
    last_request_ = true;
    codec_.close_after_response();
    pool_.cluster().stats().cx_max_requests.inc();
  }
}

bool H1Connection::send_headers(const http::HeaderMap& headers, bool end) {
  if (codec_.encode_request_head(headers, end, connection_.out()) != http::h1::EncodeError::kNone) {
    return false;
  }
  connection_.flush_later();
  return true;
}

void H1Connection::send_data(Slices& data, bool end) {
  if (codec_.encode_data(data, end, connection_.out()) != http::h1::EncodeError::kNone) {
    // More or fewer bytes than the head declared: the message cannot be completed.
    fail_active(ResetReason::kLocalReset, "request_length_mismatch");
    connection_.close();
    return;
  }
  connection_.flush_later();
  if (connection_.out().size() > 64 * 1024) connection_.flush();
}

void H1Connection::send_trailers(const http::HeaderMap& trailers) {
  if (codec_.encode_trailers(trailers, connection_.out()) != http::h1::EncodeError::kNone) {
    fail_active(ResetReason::kLocalReset, "bad_request_trailers");
    connection_.close();
    return;
  }
  connection_.flush_later();
}

void H1Connection::reset() {
  if (events_ == nullptr) return;
  events_ = nullptr;
  codec_.stop();
  pool_.cluster().stats().rq_tx_reset.inc();
  pool_.cluster().stats().cx_destroy_with_active_rq.inc();
  connection_.close();
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

void H1Connection::on_connected() {
  pool_.cluster().stats().cx_connect_ms.record(static_cast<uint64_t>(to_ms(pool_.lane().now() - born_)));
  cancel();
  pool_.on_connected(*this);
}

void H1Connection::on_data(Slices& in, bool) {
  bool end = connection_.peer_ended();  // possibly told before, while the response was paused
  if (events_ == nullptr) {
    // Nothing was asked: bytes or an end here mean that the connection is of no use any more.
    if (connection_.open()) connection_.close(end ? net::CloseReason::kRemote : net::CloseReason::kLocal);
    return;
  }
  codec_.receive(in);
  if (end && events_ != nullptr && !codec_.paused()) codec_.on_eof();
  if (events_ != nullptr && codec_.response_complete()) {
    finish_request();
  } else if (end && events_ != nullptr && !codec_.paused()) {
    fail_active(ResetReason::kConnectionTermination, {});
    connection_.close(net::CloseReason::kRemote);
  }
}

void H1Connection::on_informational(const http::h1::ResponseHead&, BlockRef owner) {
  if (events_ != nullptr) events_->on_informational(std::move(owner));
}

void H1Connection::on_response_head(const http::h1::ResponseHead& head, BlockRef owner) {
  if (events_ == nullptr) return;
  UpstreamEvents* events = events_;
  events->on_upstream_headers(std::move(owner), head.end_stream);
}

void H1Connection::on_response_data(Slices& data, bool end) {
  if (events_ != nullptr) events_->on_upstream_data(data, end);
}

void H1Connection::on_response_trailers(http::HeaderMap&) {
  if (events_ != nullptr) events_->on_upstream_trailers();
}

void H1Connection::on_parse_error(http::h1::ParseError error) {
  if (error == http::h1::ParseError::kPrematureEof) {
    // Not garbage: the connection ended. What has begun to answer is not asked again as if nothing had happened.
    fail_active(codec_.response_started() ? ResetReason::kRemoteReset : ResetReason::kConnectionTermination, {});
  } else {
    pool_.cluster().stats().cx_protocol_error.inc();
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
  } else {
    connection_.close();
  }
}

void H1Connection::fail_active(ResetReason reason, std::string_view detail) {
  codec_.stop();
  UpstreamEvents* events = std::exchange(events_, nullptr);
  if (events == nullptr) return;
  pool_.cluster().stats().cx_destroy_with_active_rq.inc();
  if (reason == ResetReason::kConnectionTermination) pool_.cluster().stats().rq_rx_reset.inc();
  events->on_reset(reason, detail);
}

void H1Connection::on_above_high_watermark() {
  if (events_ != nullptr) events_->on_request_flow(true);
}
void H1Connection::on_below_low_watermark() {
  if (events_ != nullptr) events_->on_request_flow(false);
}

void H1Connection::on_timer() {
  if (connection_.connecting()) {
    timed_out_ = true;
    connection_.close(net::CloseReason::kConnectTimeout);
    return;
  }
  pool_.cluster().stats().cx_idle_timeout.inc();
  connection_.close();
}

void H1Connection::on_closed(net::CloseReason reason) {
  cancel();
  account_bytes();
  const ClusterStats& stats = pool_.cluster().stats();
  bool never_connected = connection_.connecting();
  if (never_connected) {
    (timed_out_ ? stats.cx_connect_timeout : stats.cx_connect_fail).inc();
    pool_.host().totals.cx_connect_fail.inc();
  }
  stats.cx_length_ms.record(static_cast<uint64_t>(to_ms(pool_.lane().now() - born_)));
  ConnPool& pool = pool_;
  pool.on_gone(*this);
  if (never_connected) {
    pool.on_connect_failed(reason == net::CloseReason::kConnectTimeout ? ResetReason::kConnectTimeout
                                                                       : ResetReason::kConnectFailure);
  } else {
    fail_active(ResetReason::kConnectionTermination, {});
  }
  pool.cluster().lane_clusters().lane().defer_delete(*this);
}

void H1Connection::account_bytes() {
  const ClusterStats& stats = pool_.cluster().stats();
  stats.cx_rx_bytes_total.add(connection_.bytes_read() - rx_accounted_);
  stats.cx_tx_bytes_total.add(connection_.bytes_written() - tx_accounted_);
  rx_accounted_ = connection_.bytes_read();
  tx_accounted_ = connection_.bytes_written();
}

void H1Connection::dispose() {
  ConnPool& pool = pool_;
  pool.cluster().lane_clusters().connections().destroy(this);
  --pool.objects_;
  pool.cluster().on_pool_maybe_empty(pool);
}

// --- ConnPool ------------------------------------------------------------------------------------------------------

ConnPool::ConnPool(event::Lane& lane, ClusterLocal& cluster, std::shared_ptr<lb::Host> host)
    : lane_(lane), cluster_(cluster), host_(std::move(host)) {}

ConnPool::~ConnPool() { WEIR_ASSERT(empty()); }

ConnPool::Start ConnPool::request(Waiter& waiter, UpstreamEvents& events, UpstreamStream*& stream) {
  const ClusterStats& stats = cluster_.stats();
  while (H1Connection* connection = idle_.pop_front()) {
    if (!connection->ready()) {  // closed in this very turn
      busy_.push_back(*connection);
      continue;
    }
    static_cast<event::Timer*>(connection)->cancel();
    busy_.push_back(*connection);
    connection->attach(events);
    stream = connection;
    return Start::kReady;
  }
  if (!cluster_.pending.acquire()) {
    stats.rq_pending_overflow.inc();
    return Start::kOverflow;
  }
  stats.rq_pending_total.inc();
  stats.rq_pending_active.inc();
  waiter.pool_ = this;
  waiters_.push_back(waiter);
  ++waiting_count_;
  if (connecting_count_ < waiting_count_ && !open_connection()) {
    if (connections_ == 0) {
      waiter.leave();
      return Start::kOverflow;
    }
  }
  return Start::kWaiting;
}

bool ConnPool::open_connection() {
  const Cluster* cluster = cluster_.current();
  if (cluster == nullptr) return false;
  const ClusterStats& stats = cluster_.stats();
  if (!cluster_.connections.acquire()) {
    stats.cx_overflow.inc();
    return false;
  }
  H1Connection* connection = cluster_.lane_clusters().connections().make(*this, *cluster);
  ++connections_;
  ++objects_;
  ++connecting_count_;
  connecting_.push_back(*connection);
  stats.cx_total.inc();
  stats.cx_http1_total.inc();
  stats.cx_active.inc();
  host_->totals.cx_total.inc();
  host_->totals.cx_active.inc();
  return true;
}

void ConnPool::on_connected(H1Connection& connection) {
  --connecting_count_;
  connection.node_.unlink();
  serve(connection);
}

void ConnPool::on_idle(H1Connection& connection) {
  connection.node_.unlink();
  if (draining_) {
    busy_.push_back(connection);
    connection.shut();
    return;
  }
  serve(connection);
}

// Gives a free connection to the first waiter, or keeps it.
void ConnPool::serve(H1Connection& connection) {
  if (Waiter* waiter = waiters_.front()) {
    UpstreamEvents& events = waiter->events_;
    waiter->leave();
    busy_.push_back(connection);
    connection.attach(events);
    events.on_ready(connection);
    return;
  }
  idle_.push_front(connection);
  const Cluster* cluster = cluster_.current();
  Duration timeout = cluster != nullptr ? cluster->spec.idle_timeout : Duration::zero();
  if (timeout > Duration::zero()) lane_.arm_in(connection, timeout);
  if (draining_) connection.shut();
}

void ConnPool::on_connect_failed(ResetReason reason) {
  // As many waiters fail as have no connection on its way any more.
  while (waiting_count_ > connecting_count_) {
    Waiter* waiter = waiters_.front();
    if (waiter == nullptr) return;
    UpstreamEvents& events = waiter->events_;
    waiter->leave();
    cluster_.stats().rq_pending_failure_eject.inc();
    events.on_failed(reason);
    if (connections_ > connecting_count_) return;  // others are busy and will serve the rest
  }
}

void ConnPool::on_gone(H1Connection& connection) {
  if (connection.connection_.connecting()) --connecting_count_;
  connection.node_.unlink();
  --connections_;
  cluster_.connections.release();
  const ClusterStats& stats = cluster_.stats();
  stats.cx_active.dec();
  stats.cx_destroy.inc();
  host_->totals.cx_active.dec();
  // Requests that waited for this connection's turn need another one.
  if (connecting_count_ < waiting_count_ && !connection.connection_.connecting() && !open_connection() &&
      connections_ == 0) {
    fail_waiters(ResetReason::kOverflow);
  }
}

// Nothing will come that could serve them.
void ConnPool::fail_waiters(ResetReason reason) {
  while (Waiter* waiter = waiters_.front()) {
    UpstreamEvents& events = waiter->events_;
    waiter->leave();
    cluster_.stats().rq_pending_failure_eject.inc();
    events.on_failed(reason);
  }
}

void ConnPool::drain() {
  if (draining_) return;
  draining_ = true;
  idle_.for_each([](H1Connection& connection) { connection.shut(); });
  busy_.for_each([](H1Connection& connection) { connection.close_when_idle(); });
}

void ConnPool::shut_down() {
  draining_ = true;
  while (Waiter* waiter = waiters_.front()) {
    UpstreamEvents& events = waiter->events_;
    waiter->leave();
    events.on_failed(ResetReason::kLocalReset);
  }
  for (List* list : {&idle_, &busy_, &connecting_}) {
    list->for_each([](H1Connection& connection) { connection.shut(); });
  }
}

}  // namespace weir::upstream
