#include "core/upstream/pool.h"

#include <utility>

#include "core/upstream/lane_clusters.h"

namespace weir::upstream {

// --- Waiter --------------------------------------------------------------------------------------------------------

void Waiter::leave() {
  if (pool_ == nullptr) return;
  ConnPool& pool = *std::exchange(pool_, nullptr);
  if (node_.linked()) {
    node_.unlink();
    --pool.waiting_count_;
    pool.cluster_.pending.release();
    cluster_->stats->rq_pending_active.dec();
  } else {
    leave_recall();
    --pool.outside_;
  }
  cluster_.reset();
}

void Waiter::cancel() {
  if (pool_ == nullptr) return;
  cluster_->stats->rq_cancelled.inc();
  leave();
}

bool Waiter::on_recalled() {
  ConnPool& pool = *std::exchange(pool_, nullptr);
  --pool.outside_;
  return pool.request_again(*this);
}

// --- ConnPool ------------------------------------------------------------------------------------------------------

ConnPool::ConnPool(event::Lane& lane, ClusterLocal& cluster, std::shared_ptr<lb::Host> host)
    : lane_(lane), cluster_(cluster), host_(std::move(host)) {}

ConnPool::~ConnPool() { WEIR_ASSERT(empty()); }

// --- Who gets one --------------------------------------------------------------------------------------------------

// One that was opened for somebody who has left before it was up. Of a pool that serves both kinds, every idle
// connection may be looked at.
ClientConnection* ConnPool::idle_unused() {
  ClientConnection* found = nullptr;
  idle_.for_each([&](ClientConnection& connection) {
    if (found == nullptr && connection.unused()) found = &connection;
  });
  return found;
}

UpstreamStream* ConnPool::take_idle(const Waiter& waiter, UpstreamEvents& events) {
  while (ClientConnection* connection = waiter.unused_ ? idle_unused() : idle_.front()) {
    if (connection->multiplexed()) [[unlikely]] {
      if (connection->ready() && connection->h2().room() > 0) return &start(*connection, events);
      connection->node_.unlink();
      busy_.push_back(*connection);
      continue;
    }
    connection->node_.unlink();
    busy_.push_back(*connection);
    if (!connection->ready()) continue;  // closed in this very turn
    connection->cancel();
    auto& h1 = static_cast<H1Connection&>(*connection);
    h1.attach(events);
    return &h1;
  }
  return nullptr;
}

ConnPool::Start ConnPool::request(Waiter& waiter, UpstreamEvents& events, UpstreamStream*& stream) {
  stream = take_idle(waiter, events);
  if (stream != nullptr) return Start::kReady;
  waiter.cluster_ = cluster_.pin();
  if (cluster_.pending.acquire()) return enqueue(waiter) ? Start::kWaiting : Start::kOverflow;
  if (cluster_.recall(LimitKind::kPending).wait(waiter)) {
    waiter.pool_ = this;
    ++outside_;
    return Start::kWaiting;
  }
  waiter.cluster_->stats->rq_pending_overflow.inc();
  waiter.cluster_.reset();
  return Start::kOverflow;
}

bool ConnPool::request_again(Waiter& waiter) {
  UpstreamEvents& events = waiter.events_;
  if (UpstreamStream* stream = take_idle(waiter, events)) {
    waiter.cluster_.reset();
    events.on_ready(*stream);
    return true;
  }
  if (cluster_.pending.acquire()) {
    if (enqueue(waiter)) return true;
  } else {
    waiter.cluster_->stats->rq_pending_overflow.inc();
    waiter.cluster_.reset();
  }
  events.on_failed(ResetReason::kOverflow, {});
  return false;
}

bool ConnPool::enqueue(Waiter& waiter) {
  waiter.pool_ = this;
  const ClusterStats& stats = *waiter.cluster_->stats;
  stats.rq_pending_total.inc();
  stats.rq_pending_active.inc();
  waiters_.push_back(waiter);
  ++waiting_count_;
  if (open_missing() || ask_others()) return true;
  stats.cx_overflow.inc();
  if (!waiter.impatient_ && wait_for_free()) return true;
  waiter.leave();
  return false;
}

bool ConnPool::open_missing() {
  while (missing() > 0) {
    if (open_connection()) continue;
    if (!starving_node_.linked()) cluster_.starving_.push_back(*this);
    return false;
  }
  starving_node_.unlink();
  return true;
}

bool ConnPool::ask_others() {
  if (in_recall()) return true;
  opened_before_ = opened_;
  return cluster_.recall(LimitKind::kConnections).wait(*this);
}

bool ConnPool::on_recalled() {
  if (open_missing()) return true;
  // Not enough, possibly for those that came while the others were asked: as long as something comes, ask again.
  if (opened_ != opened_before_ && ask_others()) return true;
  live_with_limit();
  return false;
}

void ConnPool::live_with_limit() {
  waiters_.front()->cluster_->stats->cx_overflow.add(missing());
  refuse_impatient();
  if (missing() > 0 && !wait_for_free()) fail_waiters(ResetReason::kOverflow);
}

void ConnPool::refuse_impatient() {
  while (missing() > 0) {
    Waiter* first = waiters_.front();
    if (!first->impatient_) {
      first = nullptr;
      waiters_.for_each([&](Waiter& waiter) {
        if (first == nullptr && waiter.impatient_) first = &waiter;
      });
      if (first == nullptr) return;
    }
    fail(*first, ResetReason::kOverflow);
  }
}

bool ConnPool::wait_for_free() {
  if (connections_ > 0) return true;  // one of them will come free
  if (cluster_.hopeless()) return false;
  cluster_.demand.start();
  return true;
}

bool ConnPool::shed_idle() {
  ClientConnection* connection = idle_.back();
  if (connection == nullptr) return false;
  if (connection->active() > 0) [[unlikely]] {
    connection = nullptr;
    idle_.for_each([&](ClientConnection& one) {
      if (one.active() == 0) connection = &one;
    });
    if (connection == nullptr) return false;
  }
  connection->node_.unlink();
  busy_.push_back(*connection);
  connection->has_share_ = false;
  connection->shut();
  return true;
}

void ConnPool::give_up(ClientConnection& connection) {
  busy_.push_back(connection);
  connection.has_share_ = false;
  cluster_.demand.give_share();
  connection.shut();
}

bool ConnPool::open_connection() {
  event::Pin<Cluster> cluster = cluster_.pin();
  // Who came before the cluster was removed is served by what it was then.
  if (Waiter* first = waiters_.front(); !cluster && first != nullptr) cluster = first->cluster_;
  if (!cluster) return false;
  const ClusterStats& stats = *cluster->stats;
  // Idle connections to other hosts count, too: they go first.
  if (!cluster_.connections.acquire() && !cluster_.shed_one()) return false;
  cluster_.connections.announce();
  ClientConnection* connection = cluster_.lane_clusters().connections().make(*this, std::move(cluster));
  ++opened_;
  ++connections_;
  ++objects_;
  ++connecting_count_;
  connecting_.push_back(*connection);
  stats.cx_total.inc();
  const HttpProtocol protocol = connection->speaks_;
  if (protocol != HttpProtocol::kHttp1) [[unlikely]] {
    if (protocol == HttpProtocol::kHttp2) stats.cx_http2_total.inc();
    if (room_of_new_ == 1 && !knows_room_) expect_room(UINT32_MAX);
  } else if (waiters_.empty() || !waiters_.back()->unused_) {  // who has come last is who lacks one
    stats.cx_http1_total.inc();
  }
  stats.cx_active.inc();
  host_->totals.cx_total.inc();
  host_->totals.cx_active.inc();
  race_.on_opened();
  return true;
}

void ConnPool::on_connected(ClientConnection& connection) {
  race_.on_connected(connection);
  --connecting_count_;
  connection.node_.unlink();
  if (connection.speaks_ != HttpProtocol::kHttp1) [[unlikely]] {
    on_agreed(connection);
    return;
  }
  serve(connection);
}

void ConnPool::on_idle(ClientConnection& connection) {
  connection.node_.unlink();
  if (connection.ages() && connection.expired()) [[unlikely]] {
    connection.stats().cx_max_duration_reached.inc();
    connection.close_when_idle();
  }
  if (connection.closes_when_idle()) {
    busy_.push_back(connection);
    connection.shut();
    return;
  }
  if (cluster_.demand.overdue() && !waiters_.empty()) {
    give_up(connection);
    return;
  }
  serve(connection);
}

Waiter* ConnPool::waiter_for(const ClientConnection& connection) {
  Waiter* found = waiters_.front();
  if (found == nullptr || !found->unused_ || connection.unused()) return found;
  found = nullptr;
  waiters_.for_each([&](Waiter& waiter) {
    if (found == nullptr && !waiter.unused_) found = &waiter;
  });
  return found;
}

// Gives a free connection to the first waiter, or keeps it.
void ConnPool::serve(ClientConnection& connection) {
  if (Waiter* waiter = waiter_for(connection)) {
    UpstreamEvents& events = waiter->events_;
    waiter->leave();
    busy_.push_back(connection);
    auto& h1 = static_cast<H1Connection&>(connection);
    h1.attach(events);
    events.on_ready(h1);
    return;
  }
  idle_.push_front(connection);
  rest(connection);
}

void ConnPool::rest(ClientConnection& connection) {
  const Cluster* cluster = cluster_.current();
  Duration timeout = cluster != nullptr ? cluster->spec.idle_timeout : Duration::zero();
  if (timeout > Duration::zero()) lane_.arm_in(connection, timeout);
  if (connection.ages() && (!connection.armed() || connection.expires() < connection.deadline())) [[unlikely]]
    lane_.arm(connection, connection.expires());
  if (draining_ || connection.closes_when_idle()) {
    connection.shut();
  } else if (cluster_.starving()) {
    cluster_.feed_starving();
    cluster_.demand.give_what_is_free();
  }
}

void ConnPool::on_connect_failed(const ClientConnection& connection, ResetReason reason, std::string_view detail) {
  // Who was not answered in time has waited as long as the cluster allows.
  if (race_.on_refused(connection) && reason == ResetReason::kConnectFailure && open_missing()) return;
  // As many waiters fail as have no connection on its way any more.
  while (waiting_count_ > served_by(connecting_count_)) {
    Waiter* waiter = waiters_.front();
    if (waiter == nullptr) return;
    fail(*waiter, reason, detail);
    if (connections_ > connecting_count_) return;  // others are busy and will serve the rest
  }
}

void ConnPool::on_gone(ClientConnection& connection) {
  const bool never_connected = connection.connection_.connecting();
  if (never_connected) {
    --connecting_count_;
    race_.forget(connection);
  }
  connection.node_.unlink();
  --connections_;
  if (connection.has_share_) cluster_.connections.release();
  connection.stats().cx_active.dec();
  connection.stats().cx_destroy.inc();
  host_->totals.cx_active.dec();
  if (cluster_.demand.overdue()) cluster_.demand.give_what_is_free();
  // Requests that waited for this connection's turn need another one.
  if (!never_connected && !open_missing() && !ask_others()) live_with_limit();
}

// Nothing will come that could serve them.
void ConnPool::fail_waiters(ResetReason reason) {
  while (Waiter* waiter = waiters_.front()) fail(*waiter, reason);
}

void ConnPool::fail(Waiter& waiter, ResetReason reason, std::string_view detail) {
  UpstreamEvents& events = waiter.events_;
  waiter.cluster_->stats->rq_pending_failure_eject.inc();
  waiter.leave();
  events.on_failed(reason, detail);
}

void ConnPool::retire_connections() {
  idle_.for_each([this](ClientConnection& connection) { retire(connection); });
  for (List* list : {&busy_, &connecting_}) {
    list->for_each([](ClientConnection& connection) { connection.close_when_idle(); });
  }
}

void ConnPool::drain() {
  if (draining_) return;
  draining_ = true;
  // Those that are busy, or not up yet, first serve who waits for them already; then nothing keeps them (rest()).
  idle_.for_each([this](ClientConnection& connection) { retire(connection); });
}

void ConnPool::shut_down() {
  draining_ = true;
  while (Waiter* waiter = waiters_.front()) {
    UpstreamEvents& events = waiter->events_;
    waiter->leave();
    events.on_failed(ResetReason::kLocalReset, {});
  }
  for (List* list : {&idle_, &busy_, &connecting_}) {
    list->for_each([](ClientConnection& connection) { connection.shut(); });
  }
}

}  // namespace weir::upstream
