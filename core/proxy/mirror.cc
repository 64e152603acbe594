#include "core/proxy/mirror.h"

#include <utility>

#include "core/proxy/auto_names.h"
#include "core/proxy/lane_proxy.h"
#include "core/route/host_index.h"

namespace weir::proxy {

using http::HeaderId;
using upstream::ConnPool;
using upstream::ResetReason;

Mirror::Mirror(event::Lane& lane, upstream::ClusterLocal& cluster, event::Pin<upstream::Cluster> pin, Duration timeout,
               uint32_t buffer_limit)
    : lane_(lane),
      cluster_(cluster),
      pin_(std::move(pin)),
      start_(lane.now()),
      timeout_(timeout),
      buffer_limit_(buffer_limit),
      waiter_(*this),
      arena_(lane.arenas()),
      head_(arena_),
      trailers_(arena_),
      response_(arena_) {}

Mirror* Mirror::start(event::Lane& lane, const route::Mirror& policy, const stream::LogSubject& subject, bool end,
                      Duration timeout, uint32_t buffer_limit) {
  upstream::LaneClusters& clusters = upstream::LaneClusters::of(lane);
  upstream::ClusterLocal* cluster = policy.header != nullptr
                                        ? clusters.find_by_name(subject.request->get(*policy.header))
                                        : clusters.find(policy.slot);
  if (cluster == nullptr) return nullptr;
  lb::Target target;
  if (cluster->aggregates()) {
    const upstream::Member member = cluster->choose_member({});
    if (member.cluster == nullptr) {
      cluster->stats().cx_none_healthy.inc();
      return nullptr;
    }
    cluster = member.cluster;
    target = member.target;
  }
  event::Pin<upstream::Cluster> pin = cluster->pin();
  if (!pin) return nullptr;
  if (!cluster->requests.acquire()) {
    pin->stats->rq_pending_overflow.inc();
    return nullptr;
  }
  Mirror* mirror = LaneProxy::of(lane).mirrors().make(lane, *cluster, std::move(pin), timeout, buffer_limit);
  mirror->copy_head(policy, subject);
  if (end) mirror->request_finished();
  return mirror->connect(target) ? mirror : nullptr;
}

// "a.example:80" is told apart as "a.example-shadow:80".
void Mirror::copy_head(const route::Mirror& policy, const stream::LogSubject& subject) {
  if (policy.mutations.empty()) {
    subject.request->copy_to(head_);
  } else {
    // What mutations add are views of the route table, which the mirror may outlive.
    http::HeaderMap changed(arena_);
    subject.request->copy_views_to(changed);
    for (const route::MirrorMutation& mutation : policy.mutations) mutation.apply(changed, subject, arena_);
    changed.copy_to(head_);
  }
  if (!policy.host.empty()) {
    head_.set(HeaderId::kAuthority, arena_.copy(policy.host));
    return;
  }
  if (policy.keeps_host) return;
  const std::string_view host = head_.authority();
  const size_t port = host.size() - route::without_port(host).size();
  head_.set(HeaderId::kAuthority,
            arena_.concat(host.substr(0, host.size() - port), "-shadow", host.substr(host.size() - port)));
}

// False: it is over already.
bool Mirror::connect(const lb::Target& target) {
  const upstream::ClusterStats& stats = *pin_->stats;
  lb::PickInput input;
  input.target = target;
  pool_ = cluster_.pick(input);
  if (pool_ == nullptr) {
    stats.cx_none_healthy.inc();
    finish();
    return false;
  }
  const upstream::AutoNames& names = pin_->spec.auto_names;
  const std::string_view told = names.header ? head_.get(*names.header) : std::string_view();
  pool_ = &pool_->variant(names_of(names, head_, told, arena_));
  cluster_.begin_request(*pool_, stats);
  upstream::UpstreamStream* ready = nullptr;
  switch (pool_->request(waiter_, *this, ready)) {
    case ConnPool::Start::kReady:
      on_ready(*ready);
      break;
    case ConnPool::Start::kWaiting:
      break;
    case ConnPool::Start::kOverflow:
      on_failed(ResetReason::kOverflow, {});
      break;
  }
  return !finished_;
}

// --- The request ---------------------------------------------------------------------------------------------------

void Mirror::request_finished() {
  request_end_ = true;
  if (timeout_ > Duration::zero()) lane_.arm_in(*this, timeout_);
}

void Mirror::send_data(const Slices& data, bool end) {
  if (finished_) return;
  data.copy_refs_to(body_);
  if (end) request_finished();
  if (stream_ != nullptr && !blocked_) {
    send();
  } else if (body_.retained() > buffer_limit_) {
    drop();
  }
}

void Mirror::send_trailers(const http::HeaderMap& trailers) {
  if (finished_) return;
  trailers.copy_to(trailers_);
  has_trailers_ = true;
  request_finished();
  if (stream_ != nullptr && !blocked_) send();
}

// What there is goes to the connection.
void Mirror::send() {
  if (request_sent_) return;
  if (!head_sent_) {
    head_sent_ = true;
    request_sent_ = request_end_ && body_.empty() && !has_trailers_;
    if (!stream_->send_headers(head_, request_sent_)) {
      drop();
      return;
    }
    if (request_sent_) return;
  }
  request_sent_ = request_end_;
  const bool end = request_end_ && !has_trailers_;
  if (end || !body_.empty()) stream_->send_data(body_, end);
  if (has_trailers_ && stream_ != nullptr) stream_->send_trailers(trailers_);
}

void Mirror::leave() {
  node_.unlink();
  if (!finished_ && !request_end_) drop();
}

void Mirror::on_ready(upstream::UpstreamStream& stream) {
  stream_ = &stream;
  upstream::ClusterLocal::count_request(*pool_, *pin_->stats);
  send();
}

void Mirror::on_request_flow(bool blocked) {
  blocked_ = blocked;
  if (!blocked && stream_ != nullptr) send();
}

// --- What becomes of it --------------------------------------------------------------------------------------------

http::HeaderMap& Mirror::begin_response(int) {
  response_.clear();
  return response_;
}

void Mirror::on_upstream_headers(BlockRef, bool end) {
  const int status = response_.status_code();
  answered_ = true;
  pin_->stats->codes.inc(status);
  lb::Host::Totals& totals = pool_->host().totals;
  (status >= 500 ? totals.rq_error : totals.rq_success).inc();
  if (end) response_complete();
}

void Mirror::on_upstream_data(Slices& data, bool end) {
  data.clear();
  if (end) response_complete();
}

void Mirror::response_complete() {
  stream_ = nullptr;
  pin_->stats->rq_time.record(static_cast<uint64_t>(to_ms(lane_.now() - start_)));
  finish();
}

void Mirror::on_failed(ResetReason, std::string_view) {
  if (!answered_) {
    pin_->stats->codes.inc(503);
    pool_->host().totals.rq_error.inc();
  }
  finish();
}

void Mirror::on_reset(ResetReason reason, std::string_view detail) {
  stream_ = nullptr;
  on_failed(reason, detail);
}

void Mirror::on_timer() {
  pin_->stats->rq_timeout.inc();
  pool_->host().totals.rq_timeout.inc();
  if (!answered_) pin_->stats->codes.inc(504);
  stop();
}

void Mirror::drop() {
  if (finished_) return;
  pin_->stats->rq_cancelled.inc();
  stop();
}

void Mirror::stop() {
  if (upstream::UpstreamStream* stream = std::exchange(stream_, nullptr)) stream->reset();
  finish();
}

void Mirror::dispose() { LaneProxy::of(lane_).mirrors().destroy(this); }

void Mirror::finish() {
  if (finished_) return;
  finished_ = true;
  node_.unlink();
  cancel();
  waiter_.leave();
  body_.clear();
  cluster_.requests.release();
  if (pool_ != nullptr) cluster_.end_request(*pool_, *pin_->stats);
  lane_.defer_delete(*this);
}

}  // namespace weir::proxy
