#include "core/upstream/pool.h"

#include <algorithm>

#include "core/stream/stream_info.h"
#include "core/upstream/lane_clusters.h"

namespace weir::upstream {

// RFC 8305 section 8 recommends 250 ms.
constexpr Duration kNextAddressAfter = 300ms;

// How long a peer that has ended its side of a tunnel may take none of the last bytes of the other.
constexpr Duration kTunnelFlushStall = 1min;

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

bool Waiter::on_recalled() {
  ConnPool& pool = *std::exchange(pool_, nullptr);
  --pool.outside_;
  return pool.request_again(*this);
}

// --- H1Connection --------------------------------------------------------------------------------------------------

H1Connection::H1Connection(ConnPool& pool, event::Pin<Cluster> cluster)
    : pool_(pool),
      cluster_(std::move(cluster)),
      connection_(pool.lane(), pool.address(), cluster_->spec.source),
      codec_(*this, pool.lane().blocks(), pool.cluster().h1_settings()),
      id_(pool.cluster().lane_clusters().next_connection_id()),
      born_(pool.lane().now()),
      round_(pool.round_) {
  connection_.set_handler(*this);
  connection_.read_before_reset();  // a server may answer, and reset because it does not want the rest of the request
  connection_.set_watermarks(cluster_->spec.buffer_limit, cluster_->spec.buffer_limit / 2);
  bool possible = true;
  Slices first;
  if (auto transport = pool.make_transport(*cluster_, transport_, first, possible))
    connection_.set_transport(std::move(transport));
  connection_.out().append_all(first);
  if (!possible) connection_.close(net::CloseReason::kTransportFailed);
  if (connection_.open()) connection_.start(false);
  pool.lane().arm_in(*this, cluster_->spec.connect_timeout);
}

void H1Connection::attach(UpstreamEvents& events) {
  WEIR_ASSERT(events_ == nullptr);
  events_ = &events;
  wire_ = &events.wire_bytes();
  tx_before_ = connection_.bytes_written();
  connection_.allow_unseen(false);
  ++requests_;
  const Cluster* cluster = pool_.cluster().current();
  uint32_t max = cluster != nullptr ? cluster->spec.max_requests_per_connection : 0;
  if (max != 0 && requests_ >= max) {
    last_request_ = true;
    codec_.close_after_response();
    stats().cx_max_requests.inc();
  }
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

void H1Connection::reset() {
  if (events_ == nullptr) return;
  events_ = nullptr;
  codec_.stop();
  stats().rq_tx_reset.inc();
  stats().cx_destroy_with_active_rq.inc();
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
  connected_ = pool_.lane().now();
  stats().cx_connect_ms.record(static_cast<uint64_t>(to_ms(connected_ - born_)));
  cancel();
  if (!connection_.out().empty()) connection_.flush_later();  // what goes first, also where the server speaks first
  pool_.on_connected(*this);
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
    account_bytes();  // it may stay for days
  }
  codec_.receive(in);
  if (end && events_ != nullptr && !codec_.paused()) codec_.on_eof(connection_.cut_off());
  if (events_ != nullptr && codec_.response_complete()) {
    if (!tunnel_ || codec_.request_complete()) finish_request();
  } else if (end && events_ != nullptr && !codec_.paused()) {
    wire_->closed = stream::CloseType::kNormal;
    fail_active(ResetReason::kConnectionTermination, {});
    connection_.close(net::CloseReason::kRemote);
  }
}

void H1Connection::on_informational(const http::h1::ResponseHead& head, BlockRef owner) {
  if (events_ == nullptr) return;
  wire_->add_received_head(head.head_bytes);
  events_->on_informational(std::move(owner));
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
    fail_active(codec_.response_started() ? ResetReason::kRemoteReset : ResetReason::kConnectionTermination, {});
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

void H1Connection::on_timer() {
  if (connection_.connecting()) {
    timed_out_ = true;
    connection_.close(net::CloseReason::kConnectTimeout);
    return;
  }
  stats().cx_idle_timeout.inc();
  connection_.close();
}

void H1Connection::on_closed(net::CloseReason reason) {
  cancel();
  account_bytes();
  bool never_connected = connection_.connecting();
  if (never_connected) {
    (timed_out_ ? stats().cx_connect_timeout : stats().cx_connect_fail).inc();
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
    if (events_ != nullptr)
      wire_->closed = reason == net::CloseReason::kReset ? stream::CloseType::kRemoteReset : stream::CloseType::kNormal;
    fail_active(ResetReason::kConnectionTermination, detail);
  }
  if (pool.cluster().starving()) {
    pool.cluster().feed_starving();
    pool.cluster().demand.give_what_is_free();
  }
  pool.cluster().lane_clusters().lane().defer_delete(*this);
}

void H1Connection::account_bytes() {
  stats().cx_rx_bytes_total.add(connection_.bytes_read() - rx_accounted_);
  stats().cx_tx_bytes_total.add(connection_.bytes_written() - tx_accounted_);
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

// --- What its connections are made of ------------------------------------------------------------------------------

std::unique_ptr<net::Transport> ConnPool::make_transport(const Cluster& cluster,
                                                         event::Pin<filter::UpstreamTransport>& pin, Slices& first,
                                                         bool& possible) {
  const ClusterTransports& transports = cluster.spec.transports;
  if (transports.matches.empty() && !transports.otherwise) [[likely]]
    return nullptr;
  const std::optional<event::SlotId>& slot = transports.of(metadata_.get());
  if (!slot) return nullptr;
  pin = lane_.slots().pin<filter::UpstreamTransport>(*slot);
  possible = static_cast<bool>(pin);  // never in plain text instead
  if (!possible) return nullptr;
  filter::UpstreamTransportOptions options;
  if (names_ != nullptr) options = {names_->server_name, names_->expected, names_->client.get()};
  return pin->make(lane_, host_->hostname(), options, first);
}

void ConnPool::set_entry(const lb::HostEntry& entry) {
  const Cluster* cluster = cluster_.current();
  const bool other = metadata_ != entry.metadata && cluster != nullptr && !cluster->spec.transports.matches.empty() &&
                     connections_ > 0 &&
                     cluster->spec.transports.of(metadata_.get()) != cluster->spec.transports.of(entry.metadata.get());
  metadata_ = entry.metadata;
  set_addresses(entry.addresses);
  if (other) retire_connections();
  if (variants_ == nullptr) return;
  for (auto& [key, pool] : variants_->pools) pool->set_entry(entry);
}

namespace {
std::string key_of(const filter::UpstreamTransportOptions& options) {
  std::string key(options.server_name);
  for (std::string_view name : options.expected_names) (key += '\0') += name;
  if (options.client != nullptr) {
    for (const net::Address* address : {&options.client->source, &options.client->destination})
      key += std::string("\0\0", 2) + address->to_string();
    (key += '\0') += options.client->tlvs;
  }
  return key;
}
}  // namespace

ConnPool::Names::Names(const filter::UpstreamTransportOptions& options)
    : server_name(options.server_name),
      texts(options.expected_names.begin(), options.expected_names.end()),
      expected(texts.begin(), texts.end()),
      client(options.client != nullptr ? std::make_unique<const stream::ProxyHeader>(*options.client) : nullptr),
      key(key_of(options)) {}

ConnPool& ConnPool::variant(const filter::UpstreamTransportOptions& options) {
  if (options.empty()) return *this;
  if (variants_ == nullptr) variants_ = std::make_unique<Variants>();
  auto [at, fresh] = variants_->pools.try_emplace(key_of(options));
  if (fresh) {
    auto pool = std::make_unique<ConnPool>(lane_, cluster_, host_);
    pool->names_ = std::make_unique<const Names>(options);
    pool->base_ = this;
    pool->metadata_ = metadata_;
    pool->addresses_ = addresses_;
    at->second = std::move(pool);
  }
  ConnPool& found = *at->second;
  found.place_ = place_;
  // Names come from requests: what nobody uses any more goes, also if it has never had a connection.
  if (fresh && variants_->pools.size() > variants_->sweep_at) {
    std::erase_if(variants_->pools, [&](const auto& one) { return one.second.get() != &found && one.second->empty(); });
    variants_->sweep_at = std::max<size_t>(16, 2 * variants_->pools.size());
  }
  return found;
}

void ConnPool::drop_variant(ConnPool& pool) {
  auto at = variants_->pools.find(pool.names_->key);
  if (at != variants_->pools.end() && at->second.get() == &pool) variants_->pools.erase(at);
}

// --- Who gets one --------------------------------------------------------------------------------------------------

// One that was opened for somebody who has left before it was up. Of a pool that serves both kinds, every idle
// connection may be looked at.
H1Connection* ConnPool::idle_unused() {
  H1Connection* found = nullptr;
  idle_.for_each([&](H1Connection& connection) {
    if (found == nullptr && connection.requests_ == 0) found = &connection;
  });
  return found;
}

UpstreamStream* ConnPool::take_idle(const Waiter& waiter, UpstreamEvents& events) {
  while (H1Connection* connection = waiter.unused_ ? idle_unused() : idle_.front()) {
    connection->node_.unlink();
    busy_.push_back(*connection);
    if (!connection->ready()) continue;  // closed in this very turn
    static_cast<event::Timer*>(connection)->cancel();
    connection->attach(events);
    return connection;
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
  return cluster_.current() != nullptr && cluster_.recall(LimitKind::kConnections).wait(*this);
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
  H1Connection* connection = idle_.pop_back();
  if (connection == nullptr) return false;
  busy_.push_back(*connection);
  connection->has_share_ = false;
  connection->shut();
  return true;
}

void ConnPool::give_up(H1Connection& connection) {
  busy_.push_back(connection);
  connection.has_share_ = false;
  cluster_.demand.give_share();
  connection.shut();
}

bool ConnPool::open_connection() {
  event::Pin<Cluster> cluster = cluster_.pin();
  if (!cluster) return false;
  const ClusterStats& stats = *cluster->stats;
  // Idle connections to other hosts count, too: they go first.
  if (!cluster_.connections.acquire() && !cluster_.shed_one()) return false;
  cluster_.connections.announce();
  H1Connection* connection = cluster_.lane_clusters().connections().make(*this, std::move(cluster));
  ++opened_;
  ++connections_;
  ++objects_;
  ++connecting_count_;
  connecting_.push_back(*connection);
  stats.cx_total.inc();
  if (waiters_.empty() || !waiters_.back()->unused_) stats.cx_http1_total.inc();  // who has come last is who lacks one
  stats.cx_active.inc();
  host_->totals.cx_total.inc();
  host_->totals.cx_active.inc();
  if (addresses_ != nullptr && addresses_->size() > 1 && !race_.armed()) lane_.arm_in(race_, kNextAddressAfter);
  return true;
}

void ConnPool::on_connected(H1Connection& connection) {
  if (racing_) on_race_won(connection);
  refused_ = 0;
  if (std::exchange(connection.slow_, false)) --slow_count_;
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
  if (cluster_.demand.overdue() && !waiters_.empty()) {
    give_up(connection);
    return;
  }
  serve(connection);
}

Waiter* ConnPool::waiter_for(const H1Connection& connection) {
  Waiter* found = waiters_.front();
  if (found == nullptr || !found->unused_ || connection.requests_ == 0) return found;
  found = nullptr;
  waiters_.for_each([&](Waiter& waiter) {
    if (found == nullptr && !waiter.unused_) found = &waiter;
  });
  return found;
}

// Gives a free connection to the first waiter, or keeps it.
void ConnPool::serve(H1Connection& connection) {
  if (Waiter* waiter = waiter_for(connection)) {
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
  if (draining_ || connection.last_request_) {
    connection.shut();
  } else if (cluster_.starving()) {
    cluster_.feed_starving();
    cluster_.demand.give_what_is_free();
  }
}

void ConnPool::set_addresses(std::shared_ptr<const std::vector<net::Address>> addresses) {
  if (addresses == addresses_) return;
  uint32_t keep = 0;
  if (next_address_ != 0 && addresses != nullptr) {
    const auto same = std::find(addresses->begin(), addresses->end(), address());
    if (same != addresses->end()) keep = static_cast<uint32_t>(same - addresses->begin());
  }
  addresses_ = std::move(addresses);
  next_address_ = keep;
  refused_ = 0;
}

bool ConnPool::next_address(const H1Connection& failed) {
  if (addresses_ == nullptr || addresses_->size() == 1) return false;
  // Of as many connections as requests waited each is refused: whom this one was for, for him all were tried.
  if (failed.round_ != round_) return false;
  if (!(failed.connection_.remote() == address())) return true;  // another connection has found out before
  next_address_ = (next_address_ + 1) % static_cast<uint32_t>(addresses_->size());
  if (++refused_ < addresses_->size()) return true;
  refused_ = 0;
  ++round_;
  // What is left are those that nobody has answered yet: their waiters wait for them.
  racing_ = false;
  race_.cancel();
  connecting_.for_each([](H1Connection& connection) { connection.slow_ = false; });
  slow_count_ = 0;
  return false;
}

void ConnPool::race() {
  if (addresses_ == nullptr || refused_ + 1 >= addresses_->size()) return;
  const net::Address slow = address();
  const auto counts = [&](const H1Connection& one) {
    return !one.slow_ && one.round_ == round_ && one.connection_.remote() == slow;
  };
  uint32_t count = 0;
  connecting_.for_each([&](const H1Connection& one) { count += counts(one) ? 1 : 0; });
  count = std::min(count, waiting_count_);
  if (count == 0) return;
  racing_ = true;
  ++refused_;
  next_address_ = (next_address_ + 1) % static_cast<uint32_t>(addresses_->size());
  connecting_.for_each([&](H1Connection& one) {
    if (count == 0 || !counts(one)) return;
    // Where the limit has no more, that one is waited for.
    if (!open_connection()) {
      count = 0;
      return;
    }
    one.slow_ = true;
    ++slow_count_;
    --count;
  });
}

void ConnPool::on_race_won(const H1Connection& connection) {
  racing_ = false;
  race_.cancel();
  const auto at = std::find(addresses_->begin(), addresses_->end(), connection.connection_.remote());
  if (at != addresses_->end()) next_address_ = static_cast<uint32_t>(at - addresses_->begin());
}

void ConnPool::on_connect_failed(const H1Connection& connection, ResetReason reason, std::string_view detail) {
  // Who was not answered in time has waited as long as the cluster allows.
  if (next_address(connection) && reason == ResetReason::kConnectFailure && open_missing()) return;
  // As many waiters fail as have no connection on its way any more.
  while (waiting_count_ > connecting_count_) {
    Waiter* waiter = waiters_.front();
    if (waiter == nullptr) return;
    fail(*waiter, reason, detail);
    if (connections_ > connecting_count_) return;  // others are busy and will serve the rest
  }
}

void ConnPool::on_gone(H1Connection& connection) {
  const bool never_connected = connection.connection_.connecting();
  if (never_connected) {
    --connecting_count_;
    if (connection.slow_) --slow_count_;
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
  idle_.for_each([](H1Connection& connection) { connection.shut(); });
  for (List* list : {&busy_, &connecting_}) {
    list->for_each([](H1Connection& connection) { connection.close_when_idle(); });
  }
}

void ConnPool::drain() {
  if (draining_) return;
  draining_ = true;
  retire_connections();
}

void ConnPool::shut_down() {
  draining_ = true;
  while (Waiter* waiter = waiters_.front()) {
    UpstreamEvents& events = waiter->events_;
    waiter->leave();
    events.on_failed(ResetReason::kLocalReset, {});
  }
  for (List* list : {&idle_, &busy_, &connecting_}) {
    list->for_each([](H1Connection& connection) { connection.shut(); });
  }
}

}  // namespace weir::upstream
