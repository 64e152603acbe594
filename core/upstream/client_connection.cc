#include "core/upstream/client_connection.h"

#include "core/upstream/lane_clusters.h"

namespace weir::upstream {

ClientConnection::ClientConnection(ConnPool& pool, event::Pin<Cluster> cluster)
    : pool_(pool),
      cluster_(std::move(cluster)),
      connection_(pool.lane(), pool.address(), cluster_->spec.bind),
      speaks_(pool.protocol_on(*cluster_)),
      id_(pool.cluster().lane_clusters().next_connection_id()),
      born_(pool.lane().now()),
      round_(pool.round()) {
  if (cluster_->spec.keepalive.on && connection_.fd() >= 0 && connection_.remote().is_ip())
    net::set_keepalive(connection_.fd(), cluster_->spec.keepalive);
  connection_.set_handler(*this);
  connection_.read_before_reset();  // a server may answer, and reset because it does not want the rest of the request
  connection_.set_watermarks(cluster_->spec.buffer_limit, cluster_->spec.buffer_limit / 2);
  bool possible = true;
  Slices first;
  if (auto transport = pool.make_transport(*cluster_, speaks_, transport_, first, possible))
    connection_.set_transport(std::move(transport));
  connection_.out().append_all(first);
  if (!possible) connection_.close(net::CloseReason::kTransportFailed);
  if (connection_.open()) connection_.start(false);
  pool.lane().arm_in(*this, cluster_->spec.connect_timeout);
}

void ClientConnection::on_connected() {
  connected_ = pool_.lane().now();
  stats().cx_connect_ms.record(static_cast<uint64_t>(to_ms(connected_ - born_)));
  cancel();
  if (cluster_->spec.max_connection_duration > Duration::zero()) {
    ages_ = true;
    expires_ = connected_ + cluster_->spec.max_connection_duration;
  }
  if (!connection_.out().empty()) connection_.flush_later();  // what goes first, also where the server speaks first
  on_up();
}

void ClientConnection::on_timer() {
  if (connection_.connecting()) {
    timed_out_ = true;
    connection_.close(net::CloseReason::kConnectTimeout);
    return;
  }
  if (expired()) {
    stats().cx_max_duration_reached.inc();
    pool_.retire(*this);
    return;
  }
  stats().cx_idle_timeout.inc();
  shut();
}

bool ClientConnection::expired() const { return expires_ <= pool_.lane().now(); }

void ClientConnection::begin_last_request() {
  last_request_ = true;
  stats().cx_max_requests.inc();
}

void ClientConnection::on_closed(net::CloseReason reason) {
  cancel();
  account_bytes();
  bool never_connected = connection_.connecting();
  if (never_connected) {
    stats().cx_connect_fail.inc();
    if (timed_out_) stats().cx_connect_timeout.inc();
    pool_.host().totals.cx_connect_fail.inc();
  }
  const std::string_view detail =
      connection_.transport() != nullptr ? connection_.transport()->failure() : std::string_view();
  stats().cx_length_ms.record(static_cast<uint64_t>(to_ms(pool_.lane().now() - born_)));
  ConnPool& pool = pool_;
  pool.on_gone(*this);
  if (never_connected) {
    pool.on_connect_failed(
        *this,
        reason == net::CloseReason::kConnectTimeout ? ResetReason::kConnectTimeout : ResetReason::kConnectFailure,
        detail);
  } else {
    fail_requests(reason, detail);
  }
  if (pool.cluster().starving()) {
    pool.cluster().feed_starving();
    pool.cluster().demand.give_what_is_free();
  }
  pool.cluster().lane_clusters().lane().defer_delete(*this);
}

void ClientConnection::account_bytes() {
  stats().cx_rx_bytes_total.add(connection_.bytes_read() - rx_accounted_);
  stats().cx_tx_bytes_total.add(connection_.bytes_written() - tx_accounted_);
  rx_accounted_ = connection_.bytes_read();
  tx_accounted_ = connection_.bytes_written();
}

}  // namespace weir::upstream
