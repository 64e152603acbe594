#include "core/proxy/attempt.h"

#include <utility>

#include "core/proxy/router.h"
#include "core/proxy/upstream_chain.h"

namespace weir::proxy {

using upstream::ConnPool;
using upstream::LimitKind;
using upstream::ResetReason;

MonoTime Attempt::now() const { return router_.lane().now(); }

// --- Its way to an upstream ----------------------------------------------------------------------------------------

void Attempt::start() {
  active_ = true;
  back_off_is_over();
  if (!router_.still_wants(*this)) return;
  member_ = router_.choose_member();
  if (member_.cluster == nullptr) {
    router_.on_no_host(*this);
    return;
  }
  if (member_.cluster != &router_.cluster()) [[unlikely]]
    member_pin_ = member_.cluster->pin();
  else if (member_pin_)
    member_pin_.reset();
  if (cluster().requests.acquire()) {
    try_a_host();
  } else if (!cluster().recall(LimitKind::kRequests).wait(*this)) {
    overflow();
  }
}

const upstream::ClusterSpec& Attempt::spec() const { return member_pin_ ? member_pin_->spec : router_.spec(); }
const upstream::ClusterStats& Attempt::stats() const { return member_pin_ ? *member_pin_->stats : router_.stats(); }

void Attempt::overflow() {
  stats().rq_pending_overflow.inc();
  router_.on_attempt_failed(*this, ResetReason::kOverflow, {});
}

bool Attempt::on_recalled() {
  if (!router_.still_wants(*this)) return true;
  if (cluster().requests.acquire()) {
    try_a_host();
    return true;
  }
  overflow();
  return false;
}

// With a share of max_requests.
void Attempt::try_a_host() {
  request_share_ = true;
  pool_ = router_.pick(member_);
  if (pool_ == nullptr) {
    router_.on_no_host(*this);
    return;
  }
  const filter::UpstreamTransportOptions* options = router_.transport_options();
  upstream::Speaks speaks = router_.speaks();
  if (member_pin_) [[unlikely]] {
    options = router_.transport_options_of(member_pin_->spec);
    speaks = router_.speaks_with(member_pin_->spec);
  }
  if (options != nullptr || speaks != upstream::Speaks::kAsConfigured) [[unlikely]]
    pool_ = &pool_->variant(options != nullptr ? *options : filter::UpstreamTransportOptions(), speaks);
  cluster().begin_request(*pool_, stats());
  router_.on_host_chosen(*this, *pool_);

  waiter_.want_unused(router_.speaks_raw());
  upstream::UpstreamStream* ready = nullptr;
  switch (pool_->request(waiter_, *this, ready)) {
    case ConnPool::Start::kReady:
      on_ready(*ready);
      break;
    case ConnPool::Start::kWaiting:
      break;
    case ConnPool::Start::kOverflow:
      router_.on_attempt_failed(*this, ResetReason::kOverflow, {});
      break;
  }
}

bool Attempt::take_retry_share() {
  upstream::ClusterLocal& cluster = router_.cluster();
  const upstream::CircuitBreakers& breakers = router_.breakers();
  if (retry_share_ && !breakers.retry_budget_is_default) return true;  // that of the retry which this one follows
  if (!breakers.has_retry_budget) {
    retry_share_ = cluster.retries.acquire();
    // Not worth a wait: what others give back is there for the next one.
    if (!retry_share_) cluster.recall(LimitKind::kRetries).ask();
    return retry_share_;
  }
  upstream::CircuitBreakers::Load load = cluster.load(router_.cluster_version());
  if (retry_share_) --load.retries;  // a retry that follows another one takes its place
  if (breakers.percentage_allows(load)) {
    cluster.free_retries().take_if_any();
  } else if (breakers.retry_budget_is_default) {
    if (!cluster.free_retries().take(router_.lane().now())) return false;
  } else if (load.retries >= breakers.retry_budget_min) {
    return false;
  }
  // The budget replaces max_retries; the lease only counts.
  if (!retry_share_) retry_share_ = cluster.retries.acquire();
  return true;
}

void Attempt::start_again_in(Duration back_off, bool goes_on) {
  const bool share = retry_share_;
  retry_share_ = false;
  goes_on ? abandon() : end();
  retry_share_ = share;
  active_ = true;
  backs_off_ = share && router_.cluster().waiting_retries.acquire();
  router_.lane().arm_in(*this, back_off);
}

void Attempt::back_off_is_over() {
  if (!backs_off_) return;
  backs_off_ = false;
  router_.cluster().waiting_retries.release();
}

// --- Its end -------------------------------------------------------------------------------------------------------

void Attempt::end() {
  active_ = false;
  waiter_.leave();
  stream_ = nullptr;
  if (chain_ != nullptr) [[unlikely]]
    std::exchange(chain_, nullptr)->leave();
  headers_sent_ = false;
  hedged_ = false;
  end_watch();
  over_at_ = kNever;
  back_off_is_over();
  if (retry_share_) {
    retry_share_ = false;
    router_.cluster().retries.release();
  }
  if (!request_share_) return;
  request_share_ = false;
  cluster().requests.release();
  if (pool_ == nullptr) return;
  if (log_ != nullptr) [[unlikely]] {
    log_->cancel();
    router_.log_attempt(*this, stream::AccessLogType::kUpstreamEnd);
    log_ = nullptr;
  }
  cluster().end_request(*pool_, stats());
  pool_ = nullptr;
}

void Attempt::abandon() {
  if (!active_) return;
  cancel();
  leave_recall();
  waiter_.cancel();
  upstream::UpstreamStream* stream = stream_;
  end();
  if (stream != nullptr) stream->reset();
}

void Attempt::Log::on_timer() { attempt.router_.log_again(attempt); }

// --- How long it may take ------------------------------------------------------------------------------------------

void Attempt::watch(bool answered) {
  const RetryState& retry = router_.retry_state();
  if (!answered && retry.per_try_timeout() > Duration::zero()) try_until_ = now() + retry.per_try_timeout();
  if (retry.per_try_idle_timeout() > Duration::zero()) idle_until_ = now() + retry.per_try_idle_timeout();
}

void Attempt::touch() {
  if (idle_until_ != kNever) idle_until_ = now() + router_.retry_state().per_try_idle_timeout();
}

// --- What the upstream says ----------------------------------------------------------------------------------------

stream::WireBytes& Attempt::wire_bytes() { return router_.upstream_info().wire; }
void Attempt::on_ready(upstream::UpstreamStream& stream) {
  stream_ = &stream;
  if (router_.upstream_filters() != nullptr) [[unlikely]]
    stream_ = chain_ = router_.make_chain(*this, stream);
  upstream::ClusterLocal::count_request(*pool_, stats());
  router_.on_attempt_ready(*this);
}
void Attempt::on_failed(ResetReason reason, std::string_view detail) {
  router_.on_attempt_failed(*this, reason, detail);
}

bool Attempt::upstream_gone() const { return chain_ != nullptr && chain_->gone(); }

http::HeaderMap& Attempt::begin_response(int) {
  if (chain_ != nullptr) [[unlikely]]
    return chain_->begin_response();
  return router_.begin_response(*this);
}

void Attempt::on_informational(http::HeaderMap& headers) {
  if (chain_ != nullptr) [[unlikely]]
    return chain_->on_informational(headers);
  router_.on_informational(*this, headers);
}

void Attempt::on_upstream_headers(BlockRef owner, bool end) {
  if (chain_ != nullptr) [[unlikely]]
    return chain_->on_upstream_headers(std::move(owner), end);
  router_.on_headers(*this, std::move(owner), end);
}

void Attempt::on_upstream_data(Slices& data, bool end) {
  if (chain_ != nullptr) [[unlikely]]
    return chain_->on_upstream_data(data, end);
  router_.on_data(*this, data, end);
}

http::HeaderMap& Attempt::begin_response_trailers() {
  if (chain_ != nullptr) [[unlikely]]
    return chain_->begin_response_trailers();
  return router_.begin_trailers(*this);
}

void Attempt::on_upstream_trailers_held() { router_.on_trailers_held(*this, begin_response_trailers()); }

void Attempt::on_upstream_trailers() {
  if (chain_ != nullptr) [[unlikely]]
    return chain_->on_upstream_trailers();
  router_.on_trailers(*this);
}

void Attempt::on_reset(ResetReason reason, std::string_view detail) {
  router_.on_attempt_failed(*this, reason, detail);
}

void Attempt::on_request_flow(bool blocked) {
  if (chain_ != nullptr) [[unlikely]]
    return chain_->on_upstream_flow(blocked);
  router_.on_request_flow(*this, blocked);
}

}  // namespace weir::proxy
