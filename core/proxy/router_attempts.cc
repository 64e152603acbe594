// The router's half about attempts: when there is another one, and what the client is told when there is none.
#include <algorithm>

#include "core/proxy/request_headers.h"
#include "core/proxy/router.h"

namespace weir::proxy {

using filter::FlowReason;
using http::HeaderId;
using stream::ResponseFlag;
using upstream::ResetReason;
namespace retry_on = route::retry_on;

// --- Which are under way -------------------------------------------------------------------------------------------

Router::~Router() {
  for (Another* next = others_; next != nullptr; next = next->next) next->attempt.~Attempt();
}

bool Router::any_attempt() {
  bool any = false;
  for_each_attempt([&](Attempt&) { any = true; });
  return any;
}

bool Router::any_other(const Attempt& attempt) {
  bool any = false;
  for_each_attempt([&](const Attempt& other) { any |= &other != &attempt; });
  return any;
}

void Router::end_attempt(Attempt& attempt) {
  // What its connection's queue was full of went with it.
  stream_->request_flow().unblock(FlowReason::kUpstreamFull);
  const bool timed = attempt.deadline() != Attempt::kNever;
  attempt.end();
  if (timed) update_try_deadline();
}

void Router::abandon_attempt(Attempt& attempt) {
  stream_->request_flow().unblock(FlowReason::kUpstreamFull);
  const bool timed = attempt.deadline() != Attempt::kNever;
  attempt.abandon();
  if (timed) update_try_deadline();
}

void Router::abandon_attempts() {
  for_each_attempt([this](Attempt& attempt) { abandon_attempt(attempt); });
}

bool Router::over() {
  if (done_) return true;
  if (!stream_->answered_locally()) return false;
  done_ = true;
  abandon_unwanted();
  return true;
}

// Not for what they did: their own log says what has ended the stream.
void Router::abandon_unwanted() {
  const stream::StreamInfo& info = stream_->info();
  for_each_attempt([&](Attempt& attempt) {
    if (attempt.log() != nullptr) {
      attempt.log()->flags = info.flags;
      attempt.log()->details = info.details;
    }
    abandon_attempt(attempt);
  });
}

bool Router::still_wants(Attempt& attempt) {
  if (done_) {
    attempt.end();
    return false;
  }
  if (over()) return false;
  if (cluster_->current() != nullptr) return true;
  // It was removed while we waited.
  attempt.end();
  stream_->info().flags.set(ResponseFlag::kNoClusterFound);
  done_ = true;
  stream_->reply_local(503, "cluster_not_found");
  return false;
}

upstream::Member Router::choose_among_members() {
  lb::PickInput input = pick_input();
  const route::RetryPolicy* policy = retry_.policy();
  if (policy != nullptr && policy->priority_update_frequency > 0) {
    // What is passed over are levels of all members.
    if (priorities_ == nullptr) {
      priorities_ = stream_->arena().make<RetryPriorities>();
    } else {
      input.passed_over = &priorities_->next(policy->priority_update_frequency, cluster_->aggregate());
    }
  }
  const upstream::Member chosen = cluster_->choose_member(input);
  if (priorities_ != nullptr && chosen.cluster != nullptr) priorities_->use(chosen.level);
  return chosen;
}

upstream::ConnPool* Router::pick(const upstream::Member& member) {
  upstream::ClusterLocal& cluster = *member.cluster;
  lb::PickInput input = pick_input();
  input.target = member.target;
  const route::RetryPolicy* policy = retry_.policy();
  if (attempts_ == 0 || policy == nullptr) [[likely]]
    return cluster.pick(input);
  const bool own_priorities = policy->priority_update_frequency > 0 && &cluster == cluster_;
  if (own_priorities && cluster.hosts() != nullptr) {
    const lb::HostSet& hosts = *cluster.hosts();
    if (priorities_ == nullptr) {
      priorities_ = stream_->arena().make<RetryPriorities>();
      if (tried_count_ > 0) note_first_priority(hosts);
    }
    input.passed_over = &priorities_->next(policy->priority_update_frequency, hosts);
  }
  upstream::ConnPool* pool = cluster.pick(input);
  if (!policy->omitted_hosts.empty()) pool = pick_unomitted(cluster, *policy, input, pool);
  if (own_priorities && priorities_ != nullptr && pool != nullptr && pool->place() != lb::kNoHost)
    priorities_->use(cluster.hosts()->host(pool->place()).priority);
  return pool;
}

upstream::ConnPool* Router::pick_unomitted(upstream::ClusterLocal& cluster, const route::RetryPolicy& policy,
                                           lb::PickInput input, upstream::ConnPool* pool) {
  const uint32_t tried_hosts = tried_count_;
  const auto omitted = [&](const upstream::ConnPool& one) { return policy.omits(one.metadata()); };
  // As published: so many times another one is looked for, and then the last is taken as it is. Once all have been
  // picked, tried ones come again: better such a one than one that is to be avoided.
  const size_t most = pool == nullptr ? 0 : 2 * cluster.hosts()->hosts().size();
  for (size_t i = 0; i < std::min<size_t>(policy.host_selection_max_attempts, most) && omitted(*pool); ++i) {
    remember(pool->host());
    input.excluded = tried();
    upstream::ConnPool* other = cluster.pick(input);
    if (other == nullptr) break;
    if (!was_tried(other->host()) || !omitted(*other)) pool = other;
  }
  tried_count_ = tried_hosts;  // those that were passed over may be asked another time
  return pool;
}

void Router::note_first_priority(const lb::HostSet& hosts) {
  for (const lb::HostEntry& entry : hosts.hosts()) {
    if (entry.host.get() == tried_[0]) return priorities_->use(entry.priority);
  }
}

bool Router::was_tried(const lb::Host& host) const {
  return std::find(tried_, tried_ + tried_count_, &host) != tried_ + tried_count_;
}

void Router::remember_another(const lb::Host& host) {
  if (was_tried(host)) return;
  if (tried_count_ == tried_room_) {
    const uint32_t room = tried_room_ * 2;
    auto* more = static_cast<const lb::Host**>(stream_->arena().allocate(room * sizeof(tried_[0])));
    std::copy_n(tried_, tried_count_, more);
    tried_ = more;
    tried_room_ = room;
  }
  tried_[tried_count_++] = &host;
}

void Router::forget(const lb::Host& host) {
  tried_count_ = static_cast<uint32_t>(std::remove(tried_, tried_ + tried_count_, &host) - tried_);
}

[[gnu::always_inline]] inline void Router::describe_host(const upstream::ConnPool& pool,
                                                         const stream::StaticMetadata* metadata) {
  const lb::Host& host = pool.host();
  stream::UpstreamInfo& info = upstream_info();
  info.remote = pool.address();
  if (attempts_ > 1) {  // what is known of the attempt before
    info.local = {};
    info.host_name = {};
    info.wire.closed = {};
    info.connection_id = 0;
    info.connect_begin = info.connect_end = {};
  }
  // The host may be gone before the stream is logged. Of one that has several addresses `remote` says which it was.
  info.host_text = pool.has_addresses() ? std::string_view() : stream_->arena().copy(host.text());
  if (!host.hostname().empty()) info.host_name = stream_->arena().copy(host.hostname());
  info.host_metadata = metadata != nullptr ? &metadata->root() : nullptr;
}

void Router::describe_remote(const Attempt& attempt) {
  if (!attempt.pool()->has_addresses() || attempt.upstream_gone()) return;
  const net::Address& remote = attempt.stream()->connection().remote();
  upstream_info().remote = remote;
  if (attempt.times().entry != nullptr) attempt.times().entry->address = remote;
  if (attempt.log() != nullptr) attempt.log()->remote = remote;
}

void Router::on_host_chosen(Attempt& attempt, const upstream::ConnPool& pool) {
  upstream_info().attempts = ++attempts_;
  const stream::StaticMetadata* metadata = pool.metadata();
  if (metadata != nullptr) [[unlikely]] {
    attempt.set_host_metadata(metadata, attempt.cluster().pin_hosts());
    if (pool.canary()) retry_.count_apart();
  } else {
    attempt.set_host_metadata(nullptr, {});
  }
  remember(pool.host());
  describe_host(pool, metadata);
  if (records_ != 0) [[unlikely]]
    record_host(attempt);
}

void Router::leave_others(Attempt& attempt) {
  for_each_attempt([&](Attempt& other) {
    if (&other != &attempt) other.abandon();
  });
  describe_host(*attempt.pool(), attempt.host_metadata());
  describe_remote(attempt);
  if ((records_ & stream::kConnectionRecords) != 0) describe_connection(attempt);
  if ((records_ & stream::kTlsRecords) != 0) describe_tls(attempt);
  stream::UpstreamInfo& info = upstream_info();
  const Attempt::Times& times = attempt.times();
  info.requested = times.requested;
  info.pool_ready = times.pool_ready;
  info.first_tx = times.first_tx;
  info.last_tx = times.last_tx;
}

void Router::stay_with(Attempt& attempt) {
  hinted_ = true;
  if (others_ != nullptr) leave_others(attempt);
  if (attempt.deadline() == Attempt::kNever) return;
  attempt.lift_try_limit();
  attempt.touch();
  update_try_deadline();
}

// --- How long they may take ----------------------------------------------------------------------------------------

void Router::watch_attempt(Attempt& attempt) {
  upstream_info().last_tx = attempt.times().last_tx = stream_->lane().now();
  attempt.watch(committed_);
  if (attempt.deadline() != Attempt::kNever) update_try_deadline();
}

void Router::update_try_deadline() {
  MonoTime next = Attempt::kNever;
  for_each_attempt([&](Attempt& attempt) { next = std::min(next, attempt.deadline()); });
  host_->deadlines().set(DeadlineKind::kPerTry, next);
}

void Router::on_deadline(DeadlineKind kind) {
  if (over()) return;
  if (kind == DeadlineKind::kPerTry) {
    MonoTime now = stream_->lane().now();
    for_each_attempt([&](Attempt& attempt) {
      if (done_ || attempt.deadline() > now) return;
      attempt.too_old(now) ? end_too_old(attempt) : time_out_try(attempt, attempt.timed_out_idle(now));
    });
    if (!done_) update_try_deadline();
    return;
  }
  if (kind != DeadlineKind::kRoute) return;
  stats().rq_timeout.inc();
  const std::string_view details =
      committed_ ? "upstream_response_timeout_after_response_started" : "upstream_response_timeout";
  for_each_attempt([&](Attempt& attempt) {
    if (attempt.host() != nullptr) attempt.host()->totals.rq_timeout.inc();
    log_failure(attempt, ResponseFlag::kUpstreamRequestTimeout, details);
  });
  abandon_attempts();
  answer(retry_.timeout_status(), ResponseFlag::kUpstreamRequestTimeout, details, "upstream request timeout");
}

void Router::time_out_try(Attempt& attempt, bool idle) {
  if (hinted_ && !idle) return attempt.lift_try_limit();
  (idle ? stats().rq_per_try_idle_timeout : stats().rq_per_try_timeout).inc();
  attempt.host()->totals.rq_timeout.inc();
  constexpr uint32_t kConditions = retry_on::k5xx | retry_on::kGatewayError | retry_on::kReset;
  const std::string_view details = idle ? "upstream_per_try_idle_timeout" : "upstream_per_try_timeout";
  if (!idle && retry_.hedges()) {
    // As published: alone or in company, it may still answer, and whatever retries are for, there is another one.
    if (!hedge(attempt, ~0u)) attempt.lift_try_limit();
    return;
  }
  log_failure(attempt, ResponseFlag::kUpstreamRequestTimeout, details);
  if (!is_replaced(attempt) && retry(attempt, kConditions, Charge::kFull, true)) {
    attempt.set_after_timeout(true);
    return;
  }
  abandon_attempt(attempt);
  if (any_attempt()) return;
  answer(retry_.timeout_status(), ResponseFlag::kUpstreamRequestTimeout, details, "upstream request timeout");
}

// The cluster's max_stream_duration: also within its response.
void Router::end_too_old(Attempt& attempt) {
  constexpr std::string_view kDetails = "upstream_max_stream_duration_reached";
  constexpr ResponseFlag kFlag = ResponseFlag::kUpstreamMaxStreamDurationReached;
  attempt.stats().rq_max_duration_reached.inc();
  log_failure(attempt, kFlag, kDetails);
  constexpr uint32_t kConditions = retry_on::k5xx | retry_on::kGatewayError | retry_on::kReset;
  if (!is_replaced(attempt) && retry(attempt, kConditions, Charge::kFull, true)) return;
  abandon_attempt(attempt);
  if (any_attempt()) return;
  answer(request_end_ || asks_tunnel_ ? 504 : 408, kFlag, kDetails, "upstream max stream duration reached");
}

// --- Failures and retries ------------------------------------------------------------------------------------------

namespace {

struct Failure {
  int status;
  ResponseFlag flag;
};
Failure failure_of(ResetReason reason) {
  switch (reason) {
    case ResetReason::kOverflow:
      return {503, ResponseFlag::kUpstreamOverflow};
    case ResetReason::kConnectFailure:
    case ResetReason::kConnectTimeout:
      return {503, ResponseFlag::kUpstreamConnectionFailure};
    case ResetReason::kProtocolError:
      return {502, ResponseFlag::kUpstreamProtocolError};
    case ResetReason::kRemoteReset:
    case ResetReason::kRemoteRefused:
      return {503, ResponseFlag::kUpstreamRemoteReset};
    case ResetReason::kLocalReset:
      return {503, ResponseFlag::kLocalReset};
    default:
      return {503, ResponseFlag::kUpstreamConnectionTermination};
  }
}

// As bodies of answers have it.
std::string_view in_words(ResetReason reason, Arena& arena) {
  const std::string_view name = upstream::reason_text(reason);
  char* const text = arena.allocate_bytes(name.size());
  std::replace_copy(name.begin(), name.end(), text, '_', ' ');
  return {text, name.size()};
}

}  // namespace

void Router::count_retry_overflow() {
  stats().rq_retry_overflow.inc();
  const route::Selection& selection = host_->selection();
  if (const route::RouteStats* own = selection.route_stats()) own->count_retry_overflow();
  if (selection.virtual_cluster != nullptr && selection.virtual_cluster->stats != nullptr)
    selection.virtual_cluster->stats->count_retry_overflow();
}

bool Router::take_retry(Attempt& attempt, uint32_t conditions, Charge charge) {
  if (!retry_.covers(conditions) || committed_ || hinted_ || too_long_) return false;
  if (retry_.left() == 0) {
    stats().rq_retry_limit_exceeded.inc();
    stream_->info().flags.set(ResponseFlag::kUpstreamRetryLimitExceeded);
    return false;
  }
  if (!replayable_) return false;
  if (charge == Charge::kFull && !attempt.take_retry_share()) {
    count_retry_overflow();
    stream_->info().flags.set(ResponseFlag::kUpstreamOverflow);
    return false;
  }
  retry_.use_one();
  stats().rq_retry.inc();
  return true;
}

bool Router::retry(Attempt& attempt, uint32_t conditions, Charge charge, bool goes_on,
                   const http::HeaderMap* response) {
  if (response != nullptr && retry_.left() > 0 && !may_keep_heads()) {
    stats().retry_or_shadow_abandoned.inc();
    return false;
  }
  if (!take_retry(attempt, conditions, charge)) return false;
  event::Lane& lane = stream_->lane();
  Duration wait{};
  if (response != nullptr) wait = retry_.back_off_of(*response, lane.wall_now(), lane.random());
  if (wait > Duration::zero()) {
    stats().rq_retry_backoff_ratelimited.inc();
  } else {
    stats().rq_retry_backoff_exponential.inc();
    wait = retry_.back_off(attempts_, lane.random());
  }
  start_again(attempt, wait, goes_on);
  return true;
}

bool Router::hedge(Attempt& attempt, uint32_t conditions) {
  Another* idle = others_;
  while (idle != nullptr && idle->attempt.active()) idle = idle->next;
  if (idle == nullptr) idle = others_ = stream_->arena().make<Another>(*this, others_);
  // Its own share: the other one goes on.
  if (!take_retry(idle->attempt, conditions, Charge::kFull)) return false;
  attempt.set_hedged();
  idle->attempt.set_after_timeout(true);
  idle->attempt.start();
  return true;
}

bool Router::is_put_off(Attempt& attempt, const http::HeaderMap& response, int status, bool end) {
  const uint32_t conditions = retry_.conditions_of(response, status);
  if (!retry_.covers(conditions)) {
    if (status < 500) cluster_->note_answer();
    return false;
  }
  if (is_replaced(attempt) || !retry(attempt, conditions, Charge::kFull, !end, &response)) {
    if (!any_other(attempt)) return false;
    end ? end_attempt(attempt) : abandon_attempt(attempt);
  }
  stats().retry_codes.inc(status);
  return true;
}

void Router::start_again(Attempt& attempt, Duration back_off, bool goes_on) {
  stream_->request_flow().unblock(FlowReason::kUpstreamFull);
  const bool timed = attempt.deadline() != Attempt::kNever;
  attempt.set_after_timeout(false);
  attempt.start_again_in(back_off, goes_on);
  if (timed) update_try_deadline();
}

void Router::on_no_host(Attempt& attempt) {
  stats().cx_none_healthy.inc();
  end_attempt(attempt);
  if (any_attempt()) return;
  answer(503, ResponseFlag::kNoHealthyUpstream, "no_healthy_upstream", "no healthy upstream");
}

void Router::on_attempt_failed(Attempt& attempt, ResetReason reason, std::string_view detail) {
  if (attempt.host() != nullptr && !committed_) attempt.host()->totals.rq_error.inc();
  if (over()) {
    attempt.end();
    return;
  }
  if (attempt.log() != nullptr) [[unlikely]]
    log_failure(attempt, failure_of(reason).flag, reset_details(reason, detail));
  const upstream::UpstreamStream* upstream = attempt.stream();
  // A pooled connection that the peer closed before it answered anything was stale. It must be safe to repeat the
  // request, or not a byte of it have gone out.
  // One that a server of HTTP/2 has not looked at, and says so, is safe to repeat (RFC 9113 8.7).
  const bool refused = reason == ResetReason::kRemoteRefused;
  using upstream::FreeRepeats;
  const FreeRepeats repeats = refused && upstream != nullptr ? upstream->free_repeats() : FreeRepeats::kOne;
  const bool stale = (refused && repeats != FreeRepeats::kNone) ||
                     (reason == ResetReason::kConnectionTermination && upstream != nullptr && upstream->reused() &&
                      !upstream->response_started() && (idempotent_ || upstream->request_unsent()));
  if (committed_) {
    end_attempt(attempt);
    done_ = true;
    stream_->info().flags.set(failure_of(reason).flag);
    stream_->respond_abort(reset_details(reason, detail));
    return;
  }
  // Once, the request goes out again on another connection, without using up a retry (RFC 9112 9.3.1); and where a
  // server takes no more at a time, until one has room.
  constexpr uint32_t kMostTries = 8;
  const bool again = !replayed_stale_ || (repeats == FreeRepeats::kAny && attempts_ < kMostTries);
  if (stale && again && replayable_ && !hinted_ && !is_replaced(attempt)) {
    replayed_stale_ = true;
    forget(*attempt.host());
    if (priorities_ != nullptr) priorities_->forget_last();
    stats().rq_retry.inc();
    start_again(attempt, Duration::zero(), false);
    return;
  }
  constexpr uint32_t kAfterReset = retry_on::kReset | retry_on::k5xx | retry_on::kGatewayError;
  uint32_t conditions = 0;
  Charge charge = Charge::kFull;
  switch (reason) {
    case ResetReason::kConnectFailure:
    case ResetReason::kConnectTimeout:
      // The default budget keeps retries from adding to an upstream's load. A host that took no connection had none of
      // it (but for what a handshake costs), and one that was not tried yet gets no more than if it had been picked
      // first.
      if (breakers().retry_budget_is_default && !attempt.spec().transports.encrypts &&
          cluster_->has_other_hosts(tried()))
        charge = Charge::kNothing;
      conditions = retry_on::kConnectFailure | retry_on::k5xx | retry_on::kGatewayError |
                   retry_on::kResetBeforeRequest | retry_on::kReset;
      break;
    case ResetReason::kRemoteRefused:
      conditions = retry_on::kRefusedStream | retry_on::kResetBeforeRequest;
      [[fallthrough]];
    case ResetReason::kConnectionTermination:
    case ResetReason::kResponseCut:
    case ResetReason::kRemoteReset:
    case ResetReason::kProtocolError:
      conditions |= kAfterReset;
      break;
    default:
      break;
  }
  if (!is_replaced(attempt) && retry(attempt, conditions, charge, false)) return;
  end_attempt(attempt);
  if (!any_attempt()) answer_failure(reason, detail);
}

void Router::answer_failure(ResetReason reason, std::string_view detail) {
  const Failure failure = failure_of(reason);
  overloaded_ |= reason == ResetReason::kOverflow;
  if (reason == ResetReason::kConnectFailure) stream_->info().upstream.failure_reason = "connection_refused";
  // Of a protocol error the detail is one of HTTP's.
  std::string_view transport;
  if (reason == ResetReason::kConnectFailure || reason == ResetReason::kConnectionTermination) transport = detail;
  if (!transport.empty()) stream_->info().upstream.failure_reason = stream_->arena().copy(transport);
  if (reason == ResetReason::kConnectTimeout) stream_->info().upstream.failure_reason = "connection_timeout";
  answer(failure.status, failure.flag, reset_details(reason, detail),
         stream_->arena().concat(attempts_ > 1 ? "upstream connect error or disconnect/reset before headers. retried "
                                                 "and the latest reset reason: "
                                               : "upstream connect error or disconnect/reset before headers. reset "
                                                 "reason: ",
                                 in_words(reason, stream_->arena()),
                                 transport.empty() ? "" : ", transport failure reason: ", transport));
}

std::string_view Router::reset_details(ResetReason reason, std::string_view detail) {
  Arena& arena = stream_->arena();
  return arena.concat(committed_ ? "upstream_reset_after_response_started{" : "upstream_reset_before_response_started{",
                      upstream::reason_text(reason), detail.empty() ? std::string_view() : arena.concat("|", detail),
                      "}");
}

void Router::answer(int status, ResponseFlag flag, std::string_view details, std::string_view body) {
  done_ = true;
  stream_->info().flags.set(flag);
  if (!committed_) stats().codes.inc(status);
  stream_->reply_local(
      status, details, body,
      [](http::HeaderMap& reply, filter::Stream& stream, const void* user) {
        auto& router = *static_cast<const Router*>(user);
        if (router.overloaded_ && !router.config_.suppress_envoy_headers)
          reply.add(HeaderId::kXEnvoyOverloaded, "true");
        // One that got no host counts, too.
        if (router.include_attempt_in_response_)
          reply.set(HeaderId::kXEnvoyAttemptCount, stream.arena().number(std::max(router.attempts_, 1U)));
      },
      this);
}

}  // namespace weir::proxy
