#include "core/proxy/router.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/proxy/auto_names.h"
#include "core/proxy/request_headers.h"
#include "core/route/cluster_policies.h"
#include "core/route/retry_policy.h"
#include "core/stream/grpc_status.h"

namespace weir::proxy {

using filter::Action;
using filter::FlowReason;
using http::HeaderId;
using stream::ResponseFlag;

namespace {

// RFC 9110 9.2.2; these may be sent again without the client's knowledge.
bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE" || method == "PUT" ||
         method == "DELETE";
}

}  // namespace

// --- The route's action --------------------------------------------------------------------------------------------

Action Router::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) {
  stream_ = &stream;
  // Hosts of chains that end in this filter are RoutedHosts (routed_host.h).
  host_ = static_cast<RoutedHost*>(&stream.host());
  request_end_ = end;
  const route::Selection& selection = host_->selection();
  if (selection.tls_required) {
    host_->config().stats->rq_redirect.inc();
    const stream::LogSubject subject{stream.info(), &headers};
    return redirect(route::RedirectAction::to_https().location(subject, {}, false, stream.arena()), 301);
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
    case route::ActionKind::kRedirect: {
      const stream::LogSubject subject{stream.info(), &headers};
      const std::string_view location = route.redirect_location(subject, stream.arena());
      if (location.empty()) return stream.reply_local(400, "invalid_rewrite");
      host_->config().stats->rq_redirect.inc();
      return redirect(location, route.redirect().status());
    }
    case route::ActionKind::kDirectResponse: {
      host_->config().stats->rq_direct_response.inc();
      const route::DirectResponse& answer = route.direct_response();
      return stream.reply_local(
          answer.status, "direct_response", answer.format ? print_direct_response(answer) : answer.body,
          [](http::HeaderMap& reply, filter::Stream&, const void* user) {
            const auto& answer = *static_cast<const route::DirectResponse*>(user);
            if (answer.format) reply.set(HeaderId::kContentType, answer.content_type);
          },
          &answer);
    }
    case route::ActionKind::kNonForwarding:
      return stream.reply_local(404, "route_not_forwarding");
  }
  return Action::kDone;
}

std::string_view Router::print_direct_response(const route::DirectResponse& answer) {
  stream::StreamInfo& info = stream_->info();
  // What prints it takes it for the response; it is one only when it is sent.
  const uint16_t before = std::exchange(info.response_code, static_cast<uint16_t>(answer.status));
  const stream::LogSubject subject{info, &stream_->request_headers(), nullptr, nullptr, answer.body};
  const std::string_view body = stream::print(*answer.format, subject, stream_->arena());
  info.response_code = before;
  return body;
}

Action Router::redirect(std::string_view location, int status) {
  return stream_->reply_local(
      status, "direct_response", {},
      [](http::HeaderMap& reply, filter::Stream&, const void* user) {
        reply.add(HeaderId::kLocation, *static_cast<const std::string_view*>(user));
      },
      stream_->arena().make<std::string_view>(location));
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
  if (action.high_priority()) [[unlikely]]
    cluster_ = &cluster_->high_priority();
  cluster_pin_ = cluster_->pin();
  upstream::describe(cluster_pin_->spec, stream_->info().upstream);
  records_ = stream::wanted_records() | config_.records;
  upstream_filters_ = cluster_pin_->spec.http_filters.get();
  if (upstream_filters_ == nullptr) upstream_filters_ = config_.upstream_filters.get();
  timeout_ = action.timeout();
  if (auto longest = action.grpc_timeout_header_max();
      longest && !action.grpc_timeout_is_of_stream() && stream::is_grpc_type(headers.get(HeaderId::kContentType)))
      [[unlikely]] {
    timeout_ = grpc_timeout(headers, *longest, action.grpc_timeout_header_offset());
    tells_grpc_timeout_ = true;
  }
  if (config_.looks_at_orders) [[unlikely]] {
    if (const HeaderId wrong = find_wrong_header(headers); wrong != HeaderId::kNone) return refuse(wrong);
    if (config_.respect_expected_rq_timeout && headers.contains(HeaderId::kXEnvoyExpectedRqTimeoutMs))
      headers.set(HeaderId::kXEnvoyUpstreamRqTimeoutMs, headers.get(HeaderId::kXEnvoyExpectedRqTimeoutMs));
  }
  const route::RetryPolicy* retries = action.retry();
  const route::Mirrors* mirrors = action.mirrors();
  if (const route::ClusterPolicies* own = cluster_pin_->spec.policies.get()) [[unlikely]] {
    if (own->retry != nullptr) retries = own->retry.get();
    if (own->mirrors != nullptr) mirrors = own->mirrors.get();
  }
  const route::HashPolicies* hash_policies = cluster_pin_->spec.hash_policies.get();
  if (hash_policies == nullptr) hash_policies = action.hash_policies();
  if (hash_policies != nullptr) [[unlikely]]
    choose_hash(*hash_policies);
  if (cluster_pin_->spec.divided) [[unlikely]]
    choose_match(selection);
  if (cluster_pin_->asked_by_name) [[unlikely]]
    choose_name();
  retry_.set_policy(retries, headers);
  retry_.set_hedges(action.hedges());
  retry_.read_overrides(headers, timeout_);
  idempotent_ = is_idempotent(headers.method());
  replayable_ = true;
  body_limit_ = action.body_limits().apply(std::min(stream_->buffer_limit(), cluster_pin_->spec.buffer_limit));
  include_attempt_count_ = selection.virtual_host->include_request_attempt_count();
  include_attempt_in_response_ = selection.virtual_host->include_attempt_count_in_response();
  include_timeout_retry_ = selection.virtual_host->include_is_timeout_retry_header();
  follows_redirects_ = action.internal_redirect() != nullptr;
  auto_host_ =
      action.auto_host_rewrite() && (selection.weighted == nullptr || selection.weighted->host_rewrite_literal.empty());
  const upstream::ClusterSpec& spec = cluster_pin_->spec;
  std::string_view name;  // before it is removed, perhaps
  if (spec.auto_names.header) [[unlikely]]
    name = headers.get(*spec.auto_names.header);
  if (!prepare_headers(route, headers)) return stream_->reply_local(400, "invalid_rewrite");
  if (asks_for_names(spec, stream_->info())) [[unlikely]]
    transport_options_ = make_transport_options(spec, headers, name);
  host_->set_deadline_listener(this);
  stream_->response_flow().set_reader(this);
  if (end) {
    request_finished();
  } else if (host_->asks_for_tunnel()) {
    asks_tunnel_ = true;
    await_response();
  }
  // What ends a tunnel here sends no message.
  raw_ = action.ends_connect() && (headers.method() == "CONNECT" || (action.ends_post() && headers.method() == "POST"));
  if (raw_) [[unlikely]]
    upstream_filters_ = nullptr;
  if (cluster_pin_->spec.protocol != upstream::HttpProtocol::kHttp1) [[unlikely]]
    speaks_ = upstream::speaks_of(cluster_pin_->spec.protocol, raw_, stream_->info().protocol);
  if (mirrors != nullptr && !asks_tunnel_ && !raw_) [[unlikely]]
    start_mirrors(*mirrors, end);
  first_.start();
  return Action::kContinue;
}

HeaderId Router::find_wrong_header(const http::HeaderMap& headers) const {
  for (HeaderId id : config_.strict_check_headers) {
    if (!headers.contains(id)) continue;
    const std::string_view value = headers.get(id);
    bool right;
    if (id == HeaderId::kXEnvoyRetryOn || id == HeaderId::kXEnvoyRetryGrpcOn) {
      std::string_view unknown;
      right = route::parse_retry_on(value, &unknown) != 0 && unknown.data() == nullptr;
    } else {
      uint64_t number;
      right = http::parse_decimal(value, number);
    }
    if (!right) return id;
  }
  return HeaderId::kNone;
}

Action Router::refuse(HeaderId wrong) {
  Arena& arena = stream_->arena();
  const std::string_view name = http::name_of(wrong);
  stream_->info().flags.set(ResponseFlag::kInvalidEnvoyRequestHeaders);
  const std::string_view start = arena.concat("invalid header '", name, "' with value '");
  return stream_->reply_local(400, arena.concat("request_headers_failed_strict_check{", name, "}"),
                              arena.concat(start, stream_->request_headers().get(wrong), "'"));
}

// --- The request ---------------------------------------------------------------------------------------------------

bool Router::prepare_headers(const route::Route& route, http::HeaderMap& headers) {
  Arena& arena = stream_->arena();
  const route::Selection& selection = host_->selection();
  const route::ForwardAction& action = route.forward();
  tell_expected_timeout(headers);
  if (host_->config().scheme == SchemeHeader::kMatchUpstream)
    headers.set(HeaderId::kScheme, cluster_pin_->spec.transports.encrypts ? "https" : "http");
  upstream_info().attempts = 1;  // also of one that gets no host
  stream::LogSubject subject{stream_->info(), &headers, nullptr, nullptr};
  selection.apply_request_mutations(headers, subject, arena);
  const route::Rewritten host = action.rewrite_host(subject, selection.weighted, arena);
  if (host.data() != nullptr) {
    if (host.empty()) return false;
    rewrite_host(host);
  }
  if (action.has_path_rewrite()) {
    const route::Rewritten path = route.rewrite_path(subject, arena);
    if (path.data() != nullptr) {
      if (path.empty()) return false;
      if (!config_.suppress_envoy_headers) headers.set(HeaderId::kXEnvoyOriginalPath, headers.path());
      headers.set(HeaderId::kPath, path);
    }
  }
  return true;
}

// So long is waited for an answer: for one attempt, if those are limited, and not longer than there is time for all.
void Router::tell_expected_timeout(http::HeaderMap& headers) {
  const bool for_all = retry_.per_try_timeout() == Duration::zero() || retry_.hedges();
  Duration expected = for_all ? timeout_ : retry_.per_try_timeout();
  if (expected <= Duration::zero() || (config_.suppress_envoy_headers && !tells_grpc_timeout_)) return;
  if (attempts_ > 1 && timeout_ > Duration::zero() && request_end_) {
    const Duration left = timeout_ - (stream_->lane().now() - stream_->info().request_end);
    expected = std::min(expected, std::max<Duration>(left, 1ms));
  }
  if (tells_grpc_timeout_) [[unlikely]]
    set_grpc_timeout(headers, expected, stream_->arena());
  if (!config_.suppress_envoy_headers)
    headers.set(HeaderId::kXEnvoyExpectedRqTimeoutMs, stream_->arena().number(static_cast<uint64_t>(to_ms(expected))));
}

// What the client asked for is told once, and not again where a proxy before us has told it.
void Router::rewrite_host(std::string_view host) {
  http::HeaderMap& headers = stream_->request_headers();
  if (!original_host_told_ && !config_.suppress_envoy_headers) {
    original_host_told_ = true;
    headers.set(HeaderId::kXEnvoyOriginalHost, headers.authority());
  }
  if (!forwarded_host_told_ && host_->selection().route->forward().append_x_forwarded_host()) {
    static const http::HeaderName kForwardedHost(HeaderId::kXForwardedHost);
    forwarded_host_told_ = true;
    std::string_view last;
    headers.for_each([&](const http::HeaderEntry& entry) {
      if (entry.id == HeaderId::kXForwardedHost) last = entry.value();
    });
    last = http::trim_spaces(last.substr(last.rfind(',') + 1));
    if (last != headers.authority()) headers.append_value(kForwardedHost, headers.authority());
  }
  headers.set(HeaderId::kAuthority, host);
}

void Router::start_mirrors(const route::Mirrors& policies, bool end) {
  event::Lane& lane = stream_->lane();
  for (const route::Mirror& policy : policies) {
    if (!policy.fraction.enabled(lane.slots(), lane.random().next())) continue;
    if (HeadlessStream* mirror =
            start_mirror(lane, policy, {stream_->info(), &stream_->request_headers()}, end, timeout_, body_limit_))
      mirrors_.push_back(*mirror);
  }
}

void Router::request_finished() {
  request_end_ = true;
  if (!tunnel_) await_response();
}

void Router::await_response() {
  host_->deadlines().set_in(DeadlineKind::kRoute, timeout_);
  for_each_attempt([this](Attempt& attempt) {
    if (attempt.stream() != nullptr) watch_attempt(attempt);
  });
}

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

// Short ones are always kept: nobody counts those of many requests.
constexpr size_t kShort = 16 * 1024;

bool Router::may_keep(size_t bytes) {
  return bytes <= body_limit_ && (bytes <= kShort || host_->keeps_body(bytes + heads_kept()));
}

// The heads of answers that were not the last stay in the stream's memory, beside the request's.
bool Router::may_keep_heads() {
  const size_t heads = heads_kept();
  return heads <= kShort || host_->keeps_body(body_.size() + heads);
}

void Router::forgo_replay() {
  replayable_ = false;
  if (too_long_ && may_repeat()) stats().retry_or_shadow_abandoned.inc();
}

void Router::forget_body() {
  body_.clear();
  host_->keeps_body(heads_kept() > kShort ? heads_kept() : 0);
}

Action Router::on_request_data(filter::Stream& stream, Slices& data, bool end) {
  if (end) request_finished();
  mirrors_.for_each([&](HeadlessStream& mirror) { mirror.send_copy(data, end); });
  if (done_) {
    data.clear();
    return Action::kContinue;
  }
  Attempt* sending = nullptr;
  bool unsent = true;
  for_each_attempt([&](Attempt& attempt) {
    if (!attempt.headers_sent()) return;
    sending = &attempt;
    unsent &= attempt.stream()->request_unsent();
  });
  if (sending == nullptr) {
    keep_for_replay(data);
    data.clear();
    if (body_.retained() > body_limit_ || !may_keep(body_.size()))
      stream.request_flow().block(FlowReason::kUpstreamConnecting);
    return Action::kContinue;
  }
  if (replayable_ && !committed_) {
    too_long_ = !may_keep(body_.size() + data.size());
    if (too_long_ || (!may_repeat() && !unsent)) {
      forgo_replay();  // retries end here; the request goes on
      forget_body();
    } else {
      keep_for_replay(data);
    }
  }
  for_each_attempt([&](Attempt& attempt) {
    if (!attempt.headers_sent()) return;
    if (attempt.log() != nullptr) [[unlikely]]
      attempt.log()->bytes_sent += data.size();
    if (&attempt == sending) return;
    Slices refs;
    data.copy_refs_to(refs);
    attempt.stream()->send_data(refs, end);
  });
  if (sending->headers_sent()) {
    if (!end && (!replayable_ || committed_) && mirrors_.empty() && upstream_filters_ == nullptr &&
        sending->log() == nullptr && sending->stream()->connection().takes_unseen())
      stream.leave_request_unseen();
    sending->stream()->send_data(data, end);
  }
  data.clear();
  if (tunnel_ && end && response_ended_ && !done_) [[unlikely]]
    end_tunnel();
  return Action::kContinue;
}

Action Router::on_request_trailers(filter::Stream& stream, http::HeaderMap& trailers) {
  if (raw_ || tunnel_ || asks_tunnel_) {  // they end a direction, and have no place behind it
    Slices nothing;
    return on_request_data(stream, nothing, true);
  }
  has_trailers_ = true;
  request_finished();
  mirrors_.for_each([&](HeadlessStream& mirror) { mirror.send_trailers(trailers); });
  for_each_attempt([&](Attempt& attempt) {
    if (!done_ && attempt.headers_sent()) attempt.stream()->send_trailers(trailers);
  });
  return Action::kContinue;
}

void Router::on_complete(filter::Stream&) {
  if (stream_ == nullptr) return;
  done_ = true;
  abandon_unwanted();
  mirrors_.for_each([](HeadlessStream& mirror) { mirror.leave(); });
  host_->set_deadline_listener(nullptr);
  if (retry_.counts_apart()) [[unlikely]]
    count_apart();
}

void Router::on_attempt_ready(Attempt& attempt) {
  describe_remote(attempt);
  upstream_info().protocol = attempt.stream()->protocol();
  if (records_ != 0) [[unlikely]]
    record_connection(attempt);
  if (stream_->response_flow().blocked()) attempt.stream()->pause_response(true);
  const Duration longest = retry_.max_stream_duration().value_or(attempt.spec().max_stream_duration);
  if (longest > Duration::zero()) [[unlikely]] {
    attempt.limit_whole(longest);
    update_try_deadline();
  }
  send_request(attempt);
}

void Router::send_request(Attempt& attempt) {
  if (raw_) [[unlikely]] {
    open_raw(attempt);
    return;
  }
  http::HeaderMap& headers = stream_->request_headers();
  Arena& arena = stream_->arena();
  upstream::UpstreamStream& upstream = *attempt.stream();
  if (include_attempt_count_) headers.set(HeaderId::kXEnvoyAttemptCount, arena.number(attempts_));
  if (attempts_ > 1) [[unlikely]]
    tell_expected_timeout(headers);
  if (include_timeout_retry_ && attempts_ > 1)
    headers.set(HeaderId::kXEnvoyIsTimeoutRetry, attempt.after_timeout() ? "true" : "false");
  if (auto_host_ && !attempt.host()->hostname().empty()) rewrite_host(arena.copy(attempt.host()->hostname()));
  const bool nothing_follows = request_end_ && body_.empty() && !has_trailers_;
  if (!upstream.send_headers(headers, nothing_follows)) {
    done_ = true;
    abandon_attempts();
    stream_->reply_local(400, "invalid_request_headers");
    return;
  }
  if (attempt.stream() == nullptr) [[unlikely]]
    return;  // a filter has answered
  attempt.set_headers_sent();
  stream_->info().upstream.first_tx = attempt.times().first_tx;
  if (!body_.empty()) {
    Slices sending;
    // A reused connection may be dead already: what it never took can go to another one, whatever the method.
    too_long_ = !may_keep(body_.size());
    if (too_long_ || (!may_repeat() && !upstream.reused())) forgo_replay();
    if (attempt.log() != nullptr) [[unlikely]]
      attempt.log()->bytes_sent = body_.size();
    if (replayable_) {
      body_.copy_refs_to(sending);
    } else {
      sending.append_all(body_);
      forget_body();
    }
    upstream.send_data(sending, request_end_ && !has_trailers_);
  } else if (request_end_ && !nothing_follows && !has_trailers_) {
    Slices nothing;
    upstream.send_data(nothing, true);
  }
  if (attempt.stream() != nullptr && has_trailers_) upstream.send_trailers(*stream_->request_trailers());
  stream_->request_flow().unblock(FlowReason::kUpstreamConnecting);
  if ((request_end_ || asks_tunnel_) && attempt.stream() != nullptr) watch_attempt(attempt);
}

void Router::on_request_flow(Attempt&, bool blocked) {
  if (blocked) {
    stream_->request_flow().block(FlowReason::kUpstreamFull);
  } else {
    stream_->request_flow().unblock(FlowReason::kUpstreamFull);
  }
}

// --- The response --------------------------------------------------------------------------------------------------

http::HeaderMap& Router::begin_response(Attempt&) {
  if (stream_->answered_locally()) return *stream_->arena().make<http::HeaderMap>(stream_->arena());  // dropped
  stream_->response_headers().clear();
  return stream_->response_headers();
}

void Router::on_informational(Attempt& attempt, http::HeaderMap& headers) {
  if (done_ || stream_->answered_locally()) return;
  const int status = headers.status_code();
  stats().codes.inc(status);  // as published, beside that of the answer
  if (attempt.pool()->canary()) [[unlikely]]
    stats().canary().codes.inc(status);
  // 100 was answered by the connection manager already, unless it lets the upstream do so.
  if (status == 100 && !host_->config().proxy_100_continue) return;
  if (!hinted_) stay_with(attempt);
  stream_->respond_informational(headers);
}

void Router::on_headers(Attempt& attempt, BlockRef owner, bool end) {
  if (over()) return;
  stream::StreamInfo& info = stream_->info();
  MonoTime now = stream_->lane().now();
  info.upstream.first_rx = now;
  host_->touch();
  http::HeaderMap& headers = stream_->response_headers();
  int status = headers.status_code();
  if (records_ != 0 && attempt.log() != nullptr) [[unlikely]]
    attempt.log()->status = static_cast<uint16_t>(status);
  lb::Host::Totals& totals = attempt.host()->totals;
  (status >= 500 ? totals.rq_error : totals.rq_success).inc();
  if (retry_.enabled() && is_put_off(attempt, headers, status, end)) {
    headers.clear();  // what it views goes with `owner`
    return;
  }
  if (owner) stream_->hold(std::move(owner));
  if (headers.contains(HeaderId::kXEnvoyUpstreamCanary)) [[unlikely]] {
    says_canary_ = headers.get(HeaderId::kXEnvoyUpstreamCanary) == "true";
    if (says_canary_) retry_.count_apart();
  }
  if (follows_redirects_ && follow_redirect(attempt, headers, status, end)) return;
  stats().codes.inc(status);
  if (attempts_ > 1 && status < 500 && !info.flags.has(ResponseFlag::kUpstreamRetryLimitExceeded))
    stats().rq_retry_success.inc();
  committed_ = true;
  if (others_ != nullptr) [[unlikely]]
    leave_others(attempt);
  if ((asks_tunnel_ || raw_) && opens_tunnel(status)) [[unlikely]]
    begin_tunnel(attempt);
  if (attempt.deadline() != Attempt::kNever) {
    attempt.lift_try_limit();
    attempt.touch();
    update_try_deadline();
  }
  if (!body_.empty()) forget_body();
  Arena& arena = stream_->arena();
  // As published: from the end of the request, of whose time the client had its part; not before that.
  if (!config_.suppress_envoy_headers && request_end_) {
    headers.set(HeaderId::kXEnvoyUpstreamServiceTime,
                arena.number(static_cast<uint64_t>(to_ms(now - info.request_end))));
  }
  info.response_code = static_cast<uint16_t>(status);  // what the headers that follow print
  info.details = "via_upstream";
  if (include_attempt_in_response_) headers.set(HeaderId::kXEnvoyAttemptCount, arena.number(attempts_));
  stream::LogSubject subject{info, &stream_->request_headers(), &headers, nullptr};
  for (const route::NewCookie* cookie = new_cookies_; cookie != nullptr; cookie = cookie->next)
    headers.add(HeaderId::kSetCookie, cookie->set_cookie);
  host_->selection().apply_response_mutations(headers, subject, arena);
  if (end) {
    response_complete(now);
    done_ = true;
    end_attempt(attempt);
  }
  stream_->respond_headers(end);
  if (!done_) leave_unseen(attempt);
}

// What comes next of the response may bypass us if nobody wants to see it.
void Router::leave_unseen(Attempt& attempt) {
  // Logs tell when the first bytes came, and how many.
  if (records_ != 0 && (attempt.log() != nullptr || ((records_ & stream::kConnectionRecords) != 0 &&
                                                     upstream_info().first_body_rx == MonoTime{}))) [[unlikely]]
    return;
  if (attempt.stream() != nullptr && stream_->takes_unseen_response()) attempt.stream()->leave_response_unseen();
}

void Router::on_data(Attempt& attempt, Slices& data, bool end) {
  if (over()) {
    data.clear();
    return;
  }
  host_->touch();
  if (records_ != 0) [[unlikely]]
    record_data(attempt, data.size());
  if (end) {
    response_complete(stream_->lane().now());
    if (tunnel_ && !request_end_) {
      response_ended_ = true;
    } else if (tunnel_) {
      end_tunnel();
    } else {
      done_ = true;
      end_attempt(attempt);
    }
  } else if (attempt.deadline() != Attempt::kNever) {
    attempt.touch();
    update_try_deadline();
  }
  if (!done_) leave_unseen(attempt);
  stream_->respond_data(data, end);
}

void Router::record_data(Attempt& attempt, size_t size) {
  if ((records_ & stream::kConnectionRecords) != 0 && upstream_info().first_body_rx == MonoTime{})
    upstream_info().first_body_rx = stream_->lane().now();
  if (attempt.log() != nullptr) attempt.log()->bytes_received += size;
}

inline void Router::response_complete(MonoTime now) {
  upstream_info().last_rx = now;
  if (request_end_) stats().rq_time.record(static_cast<uint64_t>(to_ms(now - stream_->info().request_end)));
}

http::HeaderMap& Router::begin_trailers(Attempt&) { return stream_->make_response_trailers(); }

void Router::on_trailers_held(Attempt& attempt, const http::HeaderMap& trailers) {
  if (done_ || host_->keeps_trailers(trailers)) return;
  done_ = true;
  abandon_attempt(attempt);
  abort_for_trailers();
}

void Router::on_trailers(Attempt& attempt) {
  if (done_) return;
  response_complete(stream_->lane().now());
  done_ = true;
  end_attempt(attempt);
  if (host_->keeps_trailers(*stream_->response_trailers()))
    stream_->respond_trailers();
  else
    abort_for_trailers();
}

void Router::abort_for_trailers() {
  stream_->info().flags.set(ResponseFlag::kLocalReset);
  stream_->respond_abort("response_trailers_not_read");
}

// --- Tunnels -------------------------------------------------------------------------------------------------------

bool Router::opens_tunnel(int status) const {
  return raw_ || status == 101 || (status / 100 == 2 && stream_->request_headers().method() == "CONNECT");
}

// The idle timeout of the stream, and the limits on its whole time, are all that is left of its deadlines.
void Router::begin_tunnel(Attempt& attempt) {
  tunnel_ = true;
  host_->deadlines().clear(DeadlineKind::kRoute);
  attempt.end_watch();
  update_try_deadline();
}

// The connection is there, and that is the answer.
void Router::open_raw(Attempt& attempt) {
  replayable_ = false;
  attempt.stream()->open_raw();
  attempt.set_headers_sent();
  upstream_info().first_tx = attempt.times().first_tx;
  if (!body_.empty() || request_end_) attempt.stream()->send_data(body_, request_end_);
  stream_->request_flow().unblock(FlowReason::kUpstreamConnecting);
  if (attempt.stream() == nullptr) return;
  begin_response(attempt).add(HeaderId::kStatus, "200");
  on_headers(attempt, {}, false);
}

void Router::end_tunnel() {
  done_ = true;
  for_each_attempt([this](Attempt& attempt) { end_attempt(attempt); });
  host_->on_tunnel_end();
}

// What is kept for a replay and what waits for the upstream are the same bytes.
size_t Router::held_bytes() {
  size_t held = 0;
  for_each_attempt([&](Attempt& attempt) {
    if (attempt.stream() != nullptr) held = std::max(held, attempt.stream()->held_bytes());
  });
  return std::max(held, body_.size());
}

void Router::on_flow(filter::FlowControl&, bool blocked) {
  for_each_attempt([&](Attempt& attempt) {
    if (attempt.stream() != nullptr) attempt.stream()->pause_response(blocked);
  });
}

}  // namespace weir::proxy
