#include "core/proxy/router.h"

#include <algorithm>
#include <charconv>

#include "core/base/log.h"

namespace weir::proxy {

using filter::Action;
using filter::FlowReason;
using http::HeaderId;
using stream::ResponseFlag;
using upstream::ConnPool;
using upstream::ResetReason;
namespace retry_on = route::retry_on;

namespace {

// RFC 9110 9.2.2; these may be sent again without the client's knowledge.
bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE" || method == "PUT" ||
         method == "DELETE";
}

bool parse_number(std::string_view text, uint64_t& value) {
  if (text.empty()) return false;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::string_view number_text(uint64_t value, Arena& arena) {
  char* text = arena.allocate_bytes(20);
  return {text, static_cast<size_t>(std::to_chars(text, text + 20, value).ptr - text)};
}

constexpr HeaderId kOverrides[] = {
    HeaderId::kXEnvoyRetryOn,
    HeaderId::kXEnvoyRetryGrpcOn,
    HeaderId::kXEnvoyMaxRetries,
    HeaderId::kXEnvoyUpstreamRqTimeoutMs,
    HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs,
    HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse,
    HeaderId::kXEnvoyUpstreamAltStatName,
    HeaderId::kXEnvoyRetriableStatusCodes,
    HeaderId::kXEnvoyRetriableHeaderNames,
    HeaderId::kXEnvoyHedgeOnPerTryTimeout,
};

}  // namespace

Router::~Router() { abandon_attempt(); }

Action Router::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) {
  stream_ = &stream;
  // Hosts of chains that end in this filter are RoutedHosts (routed_host.h).
  host_ = static_cast<RoutedHost*>(&stream.host());
  request_end_ = end;
  const route::Selection& selection = host_->selection();
  if (selection.tls_required) {
    return redirect(route::RedirectAction::to_https().location(headers, {}, false, stream.arena()), 301);
  }
  if (selection.route == nullptr) {
    host_->config().stats->no_route.inc();
    stream.info().flags.set(ResponseFlag::kNoRouteFound);
    return stream.reply_local(404, "route_not_found");
  }
  const route::Route& route = *selection.route;
  switch (route.action()) {
    case route::ActionKind::kForward:
      return forward(route, headers, end);
    case route::ActionKind::kRedirect:
      host_->config().stats->rq_redirect.inc();
      return redirect(route.redirect_location(headers, stream.arena()), route.redirect().status());
    case route::ActionKind::kDirectResponse: {
      host_->config().stats->rq_direct_response.inc();
      const route::DirectResponse& answer = route.direct_response();
      return stream.reply_local(
          answer.status, "direct_response", answer.body,
          [](http::HeaderMap& reply, filter::Stream& s, const void* user) {
            auto& router = *static_cast<const Router*>(user);
            stream::LogSubject subject{s.info(), &s.request_headers(), &reply, nullptr};
            router.host_->selection().apply_response_mutations(reply, subject, s.arena());
          },
          this);
    }
    case route::ActionKind::kNonForwarding:
      return stream.reply_local(404, "route_not_forwarding");
  }
  return Action::kDone;
}

Action Router::redirect(std::string_view location, int status) {
  struct Where {
    Router* router;
    std::string_view location;
  };
  auto* where = stream_->arena().make<Where>(Where{this, location});
  return stream_->reply_local(
      status, "direct_response", {},
      [](http::HeaderMap& reply, filter::Stream& s, const void* user) {
        auto& at = *static_cast<const Where*>(user);
        reply.add(HeaderId::kLocation, at.location);
        stream::LogSubject subject{s.info(), &s.request_headers(), &reply, nullptr};
        at.router->host_->selection().apply_response_mutations(reply, subject, s.arena());
      },
      where);
}

Action Router::forward(const route::Route& route, http::HeaderMap& headers, bool end) {
  const route::Selection& selection = host_->selection();
  const route::ForwardAction& action = route.forward();
  upstream::LaneClusters& clusters = upstream::LaneClusters::of(stream_->lane());
  route::ClusterChoice choice = selection.cluster(headers);
  cluster_ = choice.has_slot ? clusters.find(choice.slot) : clusters.find_by_name(choice.name);
  if (cluster_ == nullptr) {
    host_->config().stats->no_cluster.inc();
    stream_->info().flags.set(ResponseFlag::kNoClusterFound);
    return stream_->reply_local(action.cluster_not_found_status(), "cluster_not_found");
  }
  cluster_pin_ = cluster_->pin();
  stream_->info().upstream.cluster = cluster_pin_->spec.name;
  timeout_ = action.timeout();
  policy_ = action.retry();
  if (policy_ != nullptr && policy_->request_may_retry(headers)) {
    retry_on_ = policy_->on;
    retries_left_ = policy_->num_retries;
    per_try_timeout_ = policy_->per_try_timeout;
    per_try_idle_timeout_ = policy_->per_try_idle_timeout;
  }
  read_overrides(action, headers);
  if (auto idle = action.idle_timeout()) host_->set_stream_idle_timeout(*idle);
  if (auto longest = action.max_stream_duration()) host_->deadlines().set_in(DeadlineKind::kStreamMax, *longest);
  idempotent_ = is_idempotent(headers.method());
  replayable_ = true;
  body_limit_ = std::min(stream_->buffer_limit(), cluster_pin_->spec.buffer_limit);
  include_attempt_count_ = selection.virtual_host->include_request_attempt_count();
  include_attempt_in_response_ = selection.virtual_host->include_attempt_count_in_response();
  include_timeout_retry_ = selection.virtual_host->include_is_timeout_retry_header();
  auto_host_ =
      action.auto_host_rewrite() && (selection.weighted == nullptr || selection.weighted->host_rewrite_literal.empty());
  prepare_headers(route, headers);
  host_->set_deadline_listener(this);
  stream_->response_flow().set_reader(this);
  if (end) request_finished();
  start_attempt();
  return Action::kContinue;
}

// x-envoy-* headers of trusted clients change timeouts and retries of this request; none of them goes further.
void Router::read_overrides(const route::ForwardAction&, http::HeaderMap& headers) {
  uint64_t number;
  for (HeaderId id : kOverrides) {
    if (!headers.contains(id)) continue;
    std::string_view value = headers.get(id);
    switch (id) {
      case HeaderId::kXEnvoyRetryOn:
      case HeaderId::kXEnvoyRetryGrpcOn:
        retry_on_ |= route::parse_retry_on(value);
        if (retries_left_ == 0) retries_left_ = 1;
        break;
      case HeaderId::kXEnvoyMaxRetries:
        if (parse_number(value, number)) retries_left_ = static_cast<uint32_t>(std::min<uint64_t>(number, 100));
        break;
      case HeaderId::kXEnvoyUpstreamRqTimeoutMs:
        if (parse_number(value, number)) timeout_ = std::chrono::milliseconds(std::min<uint64_t>(number, 86'400'000));
        break;
      case HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs:
        if (parse_number(value, number))
          per_try_timeout_ = std::chrono::milliseconds(std::min<uint64_t>(number, 86'400'000));
        break;
      default:
        break;
    }
    headers.remove(id);
  }
  // A try that may last as long as the whole is no limit.
  if (timeout_ > Duration::zero() && per_try_timeout_ >= timeout_) per_try_timeout_ = Duration::zero();
}

void Router::prepare_headers(const route::Route& route, http::HeaderMap& headers) {
  Arena& arena = stream_->arena();
  const route::Selection& selection = host_->selection();
  const route::ForwardAction& action = route.forward();
  if (timeout_ > Duration::zero() && !config_.suppress_envoy_headers) {
    headers.set(HeaderId::kXEnvoyExpectedRqTimeoutMs, number_text(static_cast<uint64_t>(to_ms(timeout_)), arena));
  }
  stream::LogSubject subject{stream_->info(), &headers, nullptr, nullptr};
  selection.apply_request_mutations(headers, subject, arena);
  std::string_view host = action.rewrite_host(headers, selection.weighted, arena);
  if (host.data() != nullptr) {
    static const http::HeaderName kForwardedHost(HeaderId::kXForwardedHost);
    if (action.append_x_forwarded_host()) headers.append_value(kForwardedHost, headers.authority());
    headers.set(HeaderId::kAuthority, host);
  }
  if (action.has_path_rewrite()) {
    std::string_view path = route.rewrite_path(headers.path(), arena);
    if (path.data() != nullptr) {
      if (!config_.suppress_envoy_headers) headers.set(HeaderId::kXEnvoyOriginalPath, headers.path());
      headers.set(HeaderId::kPath, path);
    }
  }
}

void Router::request_finished() {
  request_end_ = true;
  host_->deadlines().set_in(DeadlineKind::kRoute, timeout_);
  if (upstream_ != nullptr) watch_try();
}

// The limits of a try count from when both the whole request and a connection are there, as published: neither a slow
// client nor a full pool is the server's fault.
void Router::watch_try() {
  if (per_try_timeout_ > Duration::zero()) host_->deadlines().set_in(DeadlineKind::kPerTry, per_try_timeout_);
  if (per_try_idle_timeout_ > Duration::zero()) watch_idle_try();
}

void Router::watch_idle_try() { host_->deadlines().set_in(DeadlineKind::kPerTryIdle, per_try_idle_timeout_); }

// Small pieces are copied: a body that drips in must not keep a block alive for each drop.
void Router::keep_for_replay(const Slices& data) {
  for (size_t i = 0; i < data.slice_count(); ++i) {
    const Slice& slice = data.at(i);
    if (slice.block && !body_.empty() && slice.size < slice.block->capacity() / 4) {
      body_.append_copy(slice.view(), stream_->lane().blocks());
    } else {
      body_.append(Slice(slice.block, slice.data, slice.size));
    }
  }
}

Action Router::on_request_data(filter::Stream& stream, Slices& data, bool end) {
  if (end) request_finished();
  if (done_) {
    data.clear();
    return Action::kContinue;
  }
  if (upstream_ != nullptr && headers_sent_) {
    if (replayable_ && !committed_) {
      if (body_.size() + data.size() > body_limit_ || (!may_repeat() && !upstream_->request_unsent())) {
        replayable_ = false;  // retries end here; the request goes on
        body_.clear();
      } else {
        keep_for_replay(data);
      }
    }
    if (per_try_idle_timeout_ > Duration::zero()) watch_idle_try();
    upstream_->send_data(data, end);
    return Action::kContinue;
  }
  keep_for_replay(data);
  data.clear();
  if (body_.retained() > body_limit_) stream.request_flow().block(FlowReason::kUpstreamConnecting);
  return Action::kContinue;
}

Action Router::on_request_trailers(filter::Stream&, http::HeaderMap& trailers) {
  has_trailers_ = true;
  request_finished();
  if (!done_ && upstream_ != nullptr && headers_sent_) upstream_->send_trailers(trailers);
  return Action::kContinue;
}

void Router::on_complete(filter::Stream&) {
  if (stream_ == nullptr) return;
  done_ = true;
  if (cluster_ != nullptr && pool_ != nullptr) stats().rq_cancelled.inc();
  abandon_attempt();
  host_->set_deadline_listener(nullptr);
}

// --- Attempts ------------------------------------------------------------------------------------------------------

void Router::start_attempt() {
  if (done_ || answered_by_others()) {
    done_ = true;
    abandon_attempt();
    return;
  }
  if (cluster_->current() == nullptr) {  // removed while we waited
    stream_->info().flags.set(ResponseFlag::kNoClusterFound);
    done_ = true;
    stream_->reply_local(503, "cluster_not_found");
    return;
  }
  if (cluster_->requests.acquire()) {
    try_a_host();
  } else if (!cluster_->recall(upstream::LimitKind::kRequests).wait(*this)) {
    stats().rq_pending_overflow.inc();
    fail({ResetReason::kOverflow, {}});
  }
}

bool Router::on_recalled() {
  if (done_ || answered_by_others()) {
    done_ = true;
    return true;
  }
  if (cluster_->requests.acquire()) {
    try_a_host();
    return true;
  }
  stats().rq_pending_overflow.inc();
  fail({ResetReason::kOverflow, {}});
  return false;
}

// With a share of max_requests, which is released with the attempt.
void Router::try_a_host() {
  request_lease_ = true;
  pool_ = cluster_->pick(0, false, attempts_ + 1, {tried_.data(), tried_count_});
  if (pool_ == nullptr) {
    stats().cx_none_healthy.inc();
    end_attempt();
    answer(503, ResponseFlag::kNoHealthyUpstream, "no_healthy_upstream", "no healthy upstream");
    return;
  }
  ++attempts_;
  headers_sent_ = false;
  stats().rq_total.inc();
  stats().rq_active.inc();
  lb::Host& host = pool_->host();
  host.totals.rq_total.inc();
  host.totals.rq_active.inc();
  cluster_->begin_request(*pool_);
  counted_host_ = true;
  stream::UpstreamInfo& info = stream_->info().upstream;
  info.remote = host.address();
  info.host_text = stream_->arena().copy(host.text());  // the host may be gone before the stream is logged
  info.attempts = attempts_;
  if (tried_count_ < kRemembered) tried_[tried_count_++] = &host;

  upstream::UpstreamStream* ready = nullptr;
  switch (pool_->request(waiter_, *this, ready)) {
    case ConnPool::Start::kReady:
      on_ready(*ready);
      break;
    case ConnPool::Start::kWaiting:
      break;
    case ConnPool::Start::kOverflow:
      fail({ResetReason::kOverflow, {}});
      break;
  }
}

void Router::on_ready(upstream::UpstreamStream& stream) {
  upstream_ = &stream;
  if (stream_->response_flow().blocked()) stream.pause_response(true);
  send_request();
}

void Router::send_request() {
  http::HeaderMap& headers = stream_->request_headers();
  Arena& arena = stream_->arena();
  if (include_attempt_count_) headers.set(HeaderId::kXEnvoyAttemptCount, number_text(attempts_, arena));
  if (include_timeout_retry_ && attempts_ > 1) {
    if (timed_out_try_) {
      headers.set(HeaderId::kXEnvoyIsTimeoutRetry, "true");
    } else {
      headers.remove(HeaderId::kXEnvoyIsTimeoutRetry);
    }
  }
  timed_out_try_ = false;
  if (auto_host_ && !pool_->host().hostname().empty())
    headers.set(HeaderId::kAuthority, arena.copy(pool_->host().hostname()));
  stream_->info().upstream.first_tx = stream_->lane().now();
  bool nothing_follows = request_end_ && body_.empty() && !has_trailers_;
  if (!upstream_->send_headers(headers, nothing_follows)) {
    done_ = true;
    abandon_attempt();
    stream_->reply_local(400, "invalid_request_headers");
    return;
  }
  headers_sent_ = true;
  if (!body_.empty()) {
    Slices sending;
    // A reused connection may be dead already: what it never took can go to another one, whatever the method.
    if (body_.size() > body_limit_ || (!may_repeat() && !upstream_->reused())) replayable_ = false;
    if (replayable_) {
      body_.copy_refs_to(sending);
    } else {
      sending.append_all(body_);
    }
    upstream_->send_data(sending, request_end_ && !has_trailers_);
  } else if (request_end_ && !nothing_follows && !has_trailers_) {
    Slices nothing;
    upstream_->send_data(nothing, true);
  }
  if (upstream_ != nullptr && has_trailers_) upstream_->send_trailers(*stream_->request_trailers());
  stream_->request_flow().unblock(FlowReason::kUpstreamConnecting);
  if (request_end_ && upstream_ != nullptr) watch_try();
}

// The attempt holds nothing any more; counts go back.
void Router::end_attempt() {
  waiter_.leave();
  upstream_ = nullptr;
  // What that connection's queue was full of went with it.
  if (stream_ != nullptr) stream_->request_flow().unblock(FlowReason::kUpstreamFull);
  if (request_lease_) {
    request_lease_ = false;
    cluster_->requests.release();
  }
  if (retry_lease_) {
    retry_lease_ = false;
    cluster_->retries.release();
  }
  if (counted_host_) {
    counted_host_ = false;
    stats().rq_active.dec();
    pool_->host().totals.rq_active.dec();
    cluster_->end_request(*pool_);
  }
  pool_ = nullptr;
  if (host_ != nullptr) {
    host_->deadlines().clear(DeadlineKind::kPerTry);
    host_->deadlines().clear(DeadlineKind::kPerTryIdle);
  }
}

void Router::abandon_attempt() {
  back_off_.cancel();
  leave_recall();
  upstream::UpstreamStream* stream = upstream_;
  if (pool_ != nullptr || request_lease_ || retry_lease_) end_attempt();
  if (stream != nullptr) stream->reset();
}

// --- Failures and retries ------------------------------------------------------------------------------------------

bool Router::may_retry(uint32_t on) const { return (retry_on_ & on) != 0 && !committed_ && replayable_; }

bool Router::take_retry_lease() {
  if (retry_lease_) return true;  // that of the retry which this one follows
  const upstream::CircuitBreakers& breakers = cluster_pin_->spec.breakers;
  if (breakers.has_retry_budget) {
    double allowed =
        std::max<double>(breakers.retry_budget_min, cluster_->active_requests() * breakers.retry_budget_percent / 100);
    if (cluster_->retries.used() >= allowed) return false;
    // The budget replaces max_retries; the lease only counts.
    retry_lease_ = cluster_->retries.acquire();
    return true;
  }
  retry_lease_ = cluster_->retries.acquire();
  // Not worth a wait: what others give back is there for the next one.
  if (!retry_lease_) cluster_->recall(upstream::LimitKind::kRetries).ask();
  return retry_lease_;
}

// Starts another attempt later, if policy, replay buffer and limits allow. The failed one has ended.
bool Router::retry(uint32_t on, Charge charge) {
  if (!may_retry(on)) return false;
  if (retries_left_ == 0) {
    stats().rq_retry_limit_exceeded.inc();
    stream_->info().flags.set(ResponseFlag::kUpstreamRetryLimitExceeded);
    return false;
  }
  if (charge == Charge::kFull && !take_retry_lease()) {
    stats().rq_retry_overflow.inc();
    stream_->info().flags.set(ResponseFlag::kUpstreamOverflow);
    return false;
  }
  --retries_left_;
  stats().rq_retry.inc();
  stats().rq_retry_backoff_exponential.inc();
  Duration base = policy_ != nullptr ? policy_->back_off_base : Duration(25ms);
  Duration most = policy_ != nullptr ? policy_->back_off_max : Duration(250ms);
  uint32_t exponent = std::min<uint32_t>(attempts_, 16);
  Duration ceiling = std::min<Duration>(base * ((1u << exponent) - 1), most);
  auto jittered = Duration(static_cast<int64_t>(stream_->lane().random().next() %
                                                static_cast<uint64_t>(std::max<int64_t>(1, ceiling.count()))));
  stream_->lane().arm_in(back_off_, jittered);
  return true;
}

void Router::fail(const Failure& failure) {
  if (done_) return;
  stream::StreamInfo& info = stream_->info();
  if (pool_ != nullptr) pool_->host().totals.rq_error.inc();
  const bool silent =
      failure.reason == ResetReason::kConnectionTermination && upstream_ != nullptr && !upstream_->response_started();
  const bool stale = silent && upstream_->reused() && (idempotent_ || upstream_->request_unsent());
  end_attempt();
  if (answered_by_others()) {
    done_ = true;
    return;
  }
  if (committed_) {
    done_ = true;
    if (failure.reason == ResetReason::kProtocolError) {
      info.flags.set(ResponseFlag::kUpstreamProtocolError);
      stream_->respond_abort("upstream_reset_after_response_started{protocol_error}");
    } else {
      info.flags.set(ResponseFlag::kUpstreamConnectionTermination);
      stream_->respond_abort("upstream_reset_after_response_started{connection_termination}");
    }
    return;
  }
  uint32_t on = 0;
  Charge charge = Charge::kFull;
  switch (failure.reason) {
    case ResetReason::kConnectFailure:
    case ResetReason::kConnectTimeout:
      // Limits on retries keep them from adding to an upstream's load. A host that took no connection had none of it,
      // and one that was not tried yet gets no more than if it had been picked first.
      if (cluster_->has_other_hosts({tried_.data(), tried_count_})) charge = Charge::kNothing;
      on = retry_on::kConnectFailure | retry_on::k5xx | retry_on::kGatewayError | retry_on::kResetBeforeRequest |
           retry_on::kReset;
      break;
    case ResetReason::kConnectionTermination:
    case ResetReason::kRemoteReset:
    case ResetReason::kProtocolError:
      on = retry_on::kReset | retry_on::k5xx | retry_on::kGatewayError;
      break;
    default:
      break;
  }
  // A pooled connection that the peer closed before it answered anything was stale: once, the request goes out again
  // on another one, without using up a retry (RFC 9112 9.3.1). It must be safe to repeat or not have gone out at all.
  if (stale && replayable_ && !replayed_stale_) {
    replayed_stale_ = true;
    if (tried_count_ > 0) --tried_count_;
    stats().rq_retry.inc();
    stream_->lane().arm_in(back_off_, Duration::zero());
    return;
  }
  if (retry(on, charge)) return;
  switch (failure.reason) {
    case ResetReason::kOverflow:
      overloaded_ = true;
      answer(503, ResponseFlag::kUpstreamOverflow, "upstream_reset_before_response_started{overflow}",
             "upstream connect error or disconnect/reset before headers. reset reason: overflow");
      break;
    case ResetReason::kConnectFailure:
      info.upstream.failure_reason = "connection_refused";
      answer(503, ResponseFlag::kUpstreamConnectionFailure,
             "upstream_reset_before_response_started{connection_failure}",
             "upstream connect error or disconnect/reset before headers. reset reason: connection failure");
      break;
    case ResetReason::kConnectTimeout:
      info.upstream.failure_reason = "connection_timeout";
      answer(503, ResponseFlag::kUpstreamConnectionFailure,
             "upstream_reset_before_response_started{connection_timeout}",
             "upstream connect error or disconnect/reset before headers. reset reason: connection timeout");
      break;
    case ResetReason::kProtocolError:
      answer(502, ResponseFlag::kUpstreamProtocolError,
             failure.detail.empty() ? "upstream_reset_before_response_started{protocol_error}"
                                    : stream_->arena().concat("upstream_reset_before_response_started{protocol_error|",
                                                              failure.detail, "}"),
             "upstream connect error or disconnect/reset before headers. reset reason: protocol error");
      break;
    default:
      answer(503, ResponseFlag::kUpstreamConnectionTermination,
             "upstream_reset_before_response_started{connection_termination}",
             "upstream connect error or disconnect/reset before headers. reset reason: connection termination");
  }
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
        if (router.include_attempt_in_response_ && router.attempts_ > 0)
          reply.set(HeaderId::kXEnvoyAttemptCount, number_text(router.attempts_, stream.arena()));
      },
      this);
}

void Router::on_failed(ResetReason reason) { fail({reason, {}}); }

void Router::on_reset(ResetReason reason, std::string_view detail) { fail({reason, detail}); }

void Router::on_deadline(DeadlineKind kind) {
  if (done_) return;
  if (answered_by_others()) {
    done_ = true;
    abandon_attempt();
    return;
  }
  if (kind == DeadlineKind::kPerTry || kind == DeadlineKind::kPerTryIdle) {
    time_out_try(kind);
    return;
  }
  if (kind != DeadlineKind::kRoute) return;
  stats().rq_timeout.inc();
  if (pool_ != nullptr) pool_->host().totals.rq_timeout.inc();
  abandon_attempt();
  answer(504, ResponseFlag::kUpstreamRequestTimeout,
         committed_ ? "upstream_response_timeout_after_response_started" : "upstream_response_timeout",
         "upstream request timeout");
}

void Router::time_out_try(DeadlineKind kind) {
  const bool idle = kind == DeadlineKind::kPerTryIdle;
  if (committed_ && !idle) return;
  (idle ? stats().rq_per_try_idle_timeout : stats().rq_per_try_timeout).inc();
  if (pool_ != nullptr) pool_->host().totals.rq_timeout.inc();
  abandon_attempt();
  timed_out_try_ = true;
  if (!retry(retry_on::k5xx | retry_on::kGatewayError | retry_on::kReset)) {
    answer(504, ResponseFlag::kUpstreamRequestTimeout,
           idle ? "upstream_per_try_idle_timeout" : "upstream_per_try_timeout", "upstream request timeout");
  }
}

// --- The response --------------------------------------------------------------------------------------------------

http::HeaderMap& Router::begin_response(int) {
  if (answered_by_others()) return *stream_->arena().make<http::HeaderMap>(stream_->arena());  // dropped
  stream_->response_headers().clear();
  return stream_->response_headers();
}

void Router::on_informational(BlockRef owner) {
  if (done_ || answered_by_others()) return;
  if (owner) stream_->hold(std::move(owner));
  // 100 was answered by the connection manager already, unless it lets the upstream do so.
  if (stream_->response_headers().status_code() == 100 && !host_->config().proxy_100_continue) return;
  stream_->respond_informational();
}

bool Router::retriable_response(http::HeaderMap& headers, int status) {
  uint32_t on = 0;
  if (status >= 500) on |= retry_on::k5xx;
  if (status == 502 || status == 503 || status == 504) on |= retry_on::kGatewayError;
  if (status == 409) on |= retry_on::kRetriable4xx;
  if (headers.contains(HeaderId::kXEnvoyRatelimited)) {
    on &= ~(retry_on::k5xx | retry_on::kGatewayError);
    on |= retry_on::kEnvoyRatelimited;
  }
  if (policy_ != nullptr) {
    if (policy_->status_is_retriable(status)) on |= retry_on::kRetriableStatusCodes;
    if ((retry_on_ & retry_on::kRetriableHeaders) && policy_->response_is_retriable(headers))
      on |= retry_on::kRetriableHeaders;
  }
  if (!may_retry(on)) return false;
  return retry(on);
}

void Router::on_upstream_headers(BlockRef owner, bool end) {
  if (done_) return;
  if (answered_by_others()) {
    done_ = true;
    abandon_attempt();
    return;
  }
  if (owner) stream_->hold(std::move(owner));
  stream::StreamInfo& info = stream_->info();
  MonoTime now = stream_->lane().now();
  info.upstream.first_rx = now;
  host_->touch();
  host_->deadlines().clear(DeadlineKind::kPerTry);
  if (per_try_idle_timeout_ > Duration::zero()) watch_idle_try();
  http::HeaderMap& headers = stream_->response_headers();
  int status = headers.status_code();
  if (pool_ != nullptr) (status >= 500 ? pool_->host().totals.rq_error : pool_->host().totals.rq_success).inc();
  if (retry_on_ != 0 && retriable_response(headers, status)) {
    upstream::UpstreamStream* stream = upstream_;
    bool lease = retry_lease_;  // belongs to the attempt to come
    retry_lease_ = false;
    end_attempt();
    retry_lease_ = lease;
    if (stream != nullptr && !end) stream->reset();
    stats().retry_codes.inc(status);
    return;
  }
  stats().codes.inc(status);
  if (attempts_ > 1 && status < 500) stats().rq_retry_success.inc();
  committed_ = true;
  body_.clear();
  Arena& arena = stream_->arena();
  if (!config_.suppress_envoy_headers) {
    headers.set(HeaderId::kXEnvoyUpstreamServiceTime,
                number_text(static_cast<uint64_t>(to_ms(now - info.upstream.first_tx)), arena));
  }
  if (include_attempt_in_response_) headers.set(HeaderId::kXEnvoyAttemptCount, number_text(attempts_, arena));
  stream::LogSubject subject{info, &stream_->request_headers(), &headers, nullptr};
  host_->selection().apply_response_mutations(headers, subject, arena);
  if (end) {
    info.upstream.last_rx = now;
    stats().rq_time.record(static_cast<uint64_t>(to_ms(now - info.start)));
    done_ = true;
    end_attempt();
  }
  stream_->respond_headers(end);
}

void Router::on_upstream_data(Slices& data, bool end) {
  if (!done_ && answered_by_others()) {
    done_ = true;
    abandon_attempt();
  }
  if (done_) {
    data.clear();
    return;
  }
  host_->touch();
  if (per_try_idle_timeout_ > Duration::zero()) watch_idle_try();
  if (end) {
    stream::StreamInfo& info = stream_->info();
    info.upstream.last_rx = stream_->lane().now();
    stats().rq_time.record(static_cast<uint64_t>(to_ms(info.upstream.last_rx - info.start)));
    done_ = true;
    end_attempt();
  }
  stream_->respond_data(data, end);
}

http::HeaderMap& Router::begin_response_trailers() { return stream_->make_response_trailers(); }

void Router::on_upstream_trailers() {
  if (done_) return;
  done_ = true;
  end_attempt();
  stream_->respond_trailers();
}

void Router::on_request_flow(bool blocked) {
  if (blocked) {
    stream_->request_flow().block(FlowReason::kUpstreamFull);
  } else {
    stream_->request_flow().unblock(FlowReason::kUpstreamFull);
  }
}

void Router::on_flow(filter::FlowControl&, bool blocked) {
  if (upstream_ != nullptr) upstream_->pause_response(blocked);
}

}  // namespace weir::proxy
