// A pool's half about connections that carry many requests at a time. The few of them are used to the full before
// another one is opened, the one used last first.
#include <utility>

#include "core/upstream/lane_clusters.h"
#include "core/upstream/pool.h"

namespace weir::upstream {

void ConnPool::on_agreed(ClientConnection& connection) {
  const ClusterStats& stats = connection.stats();
  if (connection.multiplexed()) {
    if (connection.speaks_ == HttpProtocol::kAuto) stats.cx_http2_total.inc();
    if (!knows_room_) expect_room(UINT32_MAX);
    share(connection);
  } else {
    stats.cx_http1_total.inc();
    expect_room(1);
    knows_room_ = true;
    serve(connection);
  }
  make_up();
}

void ConnPool::make_up() {
  if (waiters_.empty() || draining_) return;
  if (!open_missing() && !ask_others()) live_with_limit();
}

void ConnPool::expect_room(uint32_t room) {
  takes_none_ = room == 0;
  const Cluster* cluster = cluster_.current();
  if (cluster != nullptr) {
    room = std::min(room, cluster->spec.h2.max_concurrent_streams);
    if (cluster->spec.max_requests_per_connection != 0)
      room = std::min(room, cluster->spec.max_requests_per_connection);
  }
  room_of_new_ = std::max(1u, room);
}

UpstreamStream& ConnPool::start(ClientConnection& connection, UpstreamEvents& events) {
  if (connection.active() == 0) {
    connection.cancel();  // the idle timeout
    if (connection.ages()) lane_.arm(connection, connection.expires());
  }
  UpstreamStream& stream = connection.h2().start(events);
  list_by_room(connection);
  return stream;
}

void ConnPool::list_by_room(ClientConnection& connection) {
  connection.node_.unlink();
  if (connection.h2().room() > 0)
    idle_.push_front(connection);
  else
    busy_.push_back(connection);
}

void ConnPool::share(ClientConnection& connection) {
  list_by_room(connection);
  while (!waiters_.empty() && connection.h2().room() > 0) {
    UpstreamEvents& events = waiters_.front()->events_;
    waiters_.front()->leave();
    events.on_ready(start(connection, events));
  }
  if (connection.active() == 0 && !connection.h2().closing()) rest(connection);
}

void ConnPool::on_stream_over(ClientConnection& connection) {
  if (connection.h2().closing() || !connection.connection_.open()) return;
  if (cluster_.demand.overdue() && !connection.closes_when_idle()) {
    // A host without a connection has waited too long for this one's requests to end by themselves.
    connection.close_when_idle();
    list_by_room(connection);
  }
  if ((!draining_ || !waiters_.empty()) && !connection.closes_when_idle()) {
    share(connection);
  } else if (connection.active() == 0) {
    connection.shut();
  }
}

bool ConnPool::share_changed(ClientConnection& connection) {
  if (connection.h2().closing() || !connection.connection_.open()) return false;
  knows_room_ = true;
  expect_room(connection.h2().most());
  if (draining_ || connection.closes_when_idle()) return false;
  share(connection);
  return true;
}

void ConnPool::on_room_changed(ClientConnection& connection) {
  if (share_changed(connection)) make_up();
}

// Who waits for a connection that is not up yet is looked after when it is; who was refused comes again.
void ConnPool::on_takes(ClientConnection& connection, uint32_t requests) {
  takes_ = requests;
  share_changed(connection);
}

void ConnPool::retire(ClientConnection& connection) {
  connection.close_when_idle();
  if (connection.active() == 0) {
    connection.shut();
  } else {
    list_by_room(connection);
  }
}

}  // namespace weir::upstream
