// The terminal HTTP filter: takes a request to an upstream and brings the response back. Owns the attempts of one
// request; the first whose response is accepted commits, and until then a failed one may be replaced.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/event/slot.h"
#include "core/filter/http_filter.h"
#include "core/filter/stream.h"
#include "core/lb/host.h"
#include "core/proxy/attempt.h"
#include "core/proxy/mirror.h"
#include "core/proxy/retry_priorities.h"
#include "core/proxy/retry_state.h"
#include "core/proxy/routed_host.h"
#include "core/stream/access_logger.h"
#include "core/stream/proxy_header.h"
#include "core/stream/upstream_tls.h"
#include "core/upstream/lane_clusters.h"

namespace weir::proxy {

// [immutable]
struct RouterConfig {
  bool suppress_envoy_headers = false;
  bool respect_expected_rq_timeout = false;
  std::vector<http::HeaderId> strict_check_headers;
  std::vector<std::shared_ptr<const stream::AccessLogger>> upstream_logs;
  // Of the lists and options above, for requests that find none: x-envoy-* orders are looked at, lines are written.
  bool looks_at_orders = false;
  stream::Records records = 0;
  static constexpr stream::Records kOwnLog = 0x80;
  std::shared_ptr<const filter::HttpChainConfig> upstream_filters;  // null: none, unless the cluster has some
  bool log_on_stream = false;  // a line once an attempt has its connection, and one at its end
  Duration log_interval{};     // a line each time while it goes on; zero: none
};

class Router : public filter::HttpFilter, private filter::FlowControl::Reader, private DeadlineListener {
 public:
  explicit Router(const RouterConfig& config) : config_(config), first_(*this) {}
  ~Router();

  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_request_data(filter::Stream& stream, Slices& data, bool end) override;
  filter::Action on_request_trailers(filter::Stream& stream, http::HeaderMap& trailers) override;
  void on_complete(filter::Stream& stream) override;

  // --- For its attempts ---
  event::Lane& lane() { return stream_->lane(); }
  stream::UpstreamInfo& upstream_info() { return stream_->info().upstream; }
  upstream::ClusterLocal& cluster() { return *cluster_; }
  const upstream::ClusterSpec& spec() const { return cluster_pin_->spec; }
  const upstream::ClusterStats& stats() const { return *cluster_pin_->stats; }
  const upstream::Cluster& cluster_version() const { return *cluster_pin_; }
  const upstream::CircuitBreakers& breakers() const { return cluster_pin_->spec.breakers_of(cluster_->priority()); }
  const RetryState& retry_state() const { return retry_; }
  // The request ends here, and the upstream gets the bytes of its tunnel alone.
  bool speaks_raw() const { return raw_; }
  // Between it and the upstreams; nullptr: none.
  const filter::HttpChainConfig* upstream_filters() const { return upstream_filters_; }
  UpstreamChain* make_chain(Attempt& attempt, upstream::UpstreamStream& upstream);
  // One of them has answered: that is the answer to the client. `details` and `body`: in the stream's arena.
  void answer_for_filter(const http::HeaderMap& answer, std::string_view details, std::string_view body);
  // False: it has been ended, because nobody waits for it any more.
  bool still_wants(Attempt& attempt);
  // Whose hosts an attempt goes to; nullptr in it: nobody can take it.
  upstream::Member choose_member() {
    if (!cluster_->aggregates()) [[likely]]
      return {cluster_, {}, 0};
    return choose_among_members();
  }
  upstream::ConnPool* pick(const upstream::Member& member);
  // What its connections are asked for; nullptr: nothing but what is configured.
  const filter::UpstreamTransportOptions* transport_options() const { return transport_options_; }
  // What the upstream's connection is to speak, if that is for the request to say.
  upstream::Speaks speaks() const { return speaks_; }
  // The same of a cluster that ours stands for.
  const filter::UpstreamTransportOptions* transport_options_of(const upstream::ClusterSpec& spec);
  upstream::Speaks speaks_with(const upstream::ClusterSpec& spec) const {
    return upstream::speaks_of(spec.protocol, raw_, stream_->info().protocol);
  }
  void on_host_chosen(Attempt& attempt, const upstream::ConnPool& pool);
  void on_no_host(Attempt& attempt);
  void on_attempt_ready(Attempt& attempt);
  // Once, last. `detail`: of a protocol error.
  void on_attempt_failed(Attempt& attempt, upstream::ResetReason reason, std::string_view detail);
  http::HeaderMap& begin_response(Attempt& attempt);
  void on_informational(Attempt& attempt, http::HeaderMap& headers);
  void on_headers(Attempt& attempt, BlockRef owner, bool end);
  void on_data(Attempt& attempt, Slices& data, bool end);
  http::HeaderMap& begin_trailers(Attempt& attempt);
  // They wait, and on_trailers() follows.
  void on_trailers_held(Attempt& attempt, const http::HeaderMap& trailers);
  void on_trailers(Attempt& attempt);
  void on_request_flow(Attempt& attempt, bool blocked);
  // While its host is known. (router_log.cc)
  void log_attempt(Attempt& attempt, stream::AccessLogType type);
  void log_again(Attempt& attempt);

 private:
  // What a retry costs beside one of num_retries.
  enum class Charge : uint8_t { kFull, kNothing };
  // Attempts beside the first one: those of hedging, in the stream's arena.
  struct Another {
    explicit Another(Router& router, Another* next) : attempt(router), next(next) {}
    Attempt attempt;
    Another* next;
  };

  // --- The request ---
  filter::Action forward(const route::Route& route, http::HeaderMap& headers, bool end);
  filter::Action redirect(std::string_view location, int status);
  std::string_view print_direct_response(const route::DirectResponse& answer);
  // The first of the headers that are to be right and is not; kNone: all are.
  http::HeaderId find_wrong_header(const http::HeaderMap& headers) const;
  filter::Action refuse(http::HeaderId wrong);
  // False: a rewrite has made of them what cannot be sent.
  bool prepare_headers(const route::Route& route, http::HeaderMap& headers);
  void tell_expected_timeout(http::HeaderMap& headers);
  void request_finished();
  void leave_unseen(Attempt& attempt);
  // So many bytes of the request's body.
  bool may_keep(size_t bytes);
  bool may_keep_heads();
  size_t heads_kept() const { return stream_->arena().overflow_bytes(); }
  void forgo_replay();
  void forget_body();
  // That so much of a body has come, for logs.
  void record_data(Attempt& attempt, size_t size);
  void response_complete(MonoTime now);
  void abort_for_trailers();
  // The answer, and its time, below the cluster as the request has it. (router_log.cc)
  void count_apart();
  void start_mirrors(const route::Mirrors& policies, bool end);
  void choose_hash(const route::HashPolicies& policies);
  void choose_match(const route::Selection& selection);
  void choose_name();
  const filter::UpstreamTransportOptions* make_transport_options(const upstream::ClusterSpec& spec,
                                                                 const http::HeaderMap& headers, std::string_view name);
  // All that the upstream needs to answer is there: the limits for that count from now on.
  void await_response();
  // Puts what is known of the request on the attempt's connection.
  void send_request(Attempt& attempt);
  // Another attempt may follow one that has reached an upstream.
  bool may_repeat() const { return retry_.left() > 0 || idempotent_ || follows_redirects_; }
  void keep_for_replay(const Slices& data);

  // --- Redirects (router_redirect.cc) ---
  // Follows a redirect instead of passing it on. True: this router is over.
  bool follow_redirect(Attempt& attempt, const http::HeaderMap& response, int status, bool end);
  std::optional<route::Selection> redirected(const route::InternalRedirectPolicy& policy,
                                             const http::HeaderMap& response);
  // --- Tunnels ---
  bool opens_tunnel(int status) const;
  void begin_tunnel(Attempt& attempt);
  void open_raw(Attempt& attempt);
  void end_tunnel();

  // --- Attempts ---
  template <class Visit>
  void for_each_attempt(Visit&& visit) {
    if (first_.active()) visit(first_);
    for (Another* next = others_; next != nullptr; next = next->next) {
      if (next->attempt.active()) visit(next->attempt);
    }
  }
  bool any_attempt();
  bool any_other(const Attempt& attempt);
  void abandon_attempts();
  void abandon_unwanted();
  void watch_attempt(Attempt& attempt);
  void update_try_deadline();
  void end_attempt(Attempt& attempt);
  void abandon_attempt(Attempt& attempt);
  // What attempts bring is not wanted any more: a filter has answered, or we have.
  bool over();
  // Starts it again later, if policy, replay buffer and limits allow. False: nothing has changed.
  // `response`: what it is for, if it is one.
  bool retry(Attempt& attempt, uint32_t conditions, Charge charge, bool goes_on,
             const http::HeaderMap* response = nullptr);
  // Whether policy and limits allow another attempt, which is counted then.
  bool take_retry(Attempt& attempt, uint32_t conditions, Charge charge);
  void count_retry_overflow();
  // Starts one beside the attempt that has timed out. False: as retry().
  bool hedge(Attempt& attempt, uint32_t conditions);
  // Another one is under way in its place.
  bool is_replaced(const Attempt& attempt) { return attempt.hedged() && any_other(attempt); }
  // Its answer is a bad one: there is another to come, or was one under way already.
  bool is_put_off(Attempt& attempt, const http::HeaderMap& response, int status, bool end);
  // This one's answer is forwarded, and what is said about the upstream is about it.
  void leave_others(Attempt& attempt);
  // The client has heard of it: its answer is to be the one, whatever it is.
  void stay_with(Attempt& attempt);
  void describe_host(const upstream::ConnPool& pool, const stream::StaticMetadata* metadata);
  // To which of its host's addresses the attempt is connected.
  void describe_remote(const Attempt& attempt);
  void describe_connection(Attempt& attempt);
  void describe_tls(Attempt& attempt);
  void record_host(Attempt& attempt);
  void record_connection(Attempt& attempt);
  void log_failure(Attempt& attempt, stream::ResponseFlag flag, std::string_view details);
  void rewrite_host(std::string_view host);
  void start_again(Attempt& attempt, Duration back_off, bool goes_on);
  void time_out_try(Attempt& attempt, bool idle);
  void end_too_old(Attempt& attempt);
  void answer_failure(upstream::ResetReason reason, std::string_view detail);
  // "upstream_reset_before_response_started{connection_failure}"
  std::string_view reset_details(upstream::ResetReason reason, std::string_view detail);
  // The answer to a request that no upstream has answered. `status` is also what the cluster's statistics count.
  void answer(int status, stream::ResponseFlag flag, std::string_view details, std::string_view body);

  // FlowControl::Reader: of the response
  void on_flow(filter::FlowControl& flow, bool blocked) override;
  // DeadlineListener
  void on_deadline(DeadlineKind kind) override;
  size_t held_bytes() override;

  // Hosts that were tried; more are kept in the arena.
  static constexpr uint32_t kRemembered = 8;
  void remember(const lb::Host& host) {
    if (tried_count_ > 0) [[unlikely]]
      return remember_another(host);
    tried_[tried_count_++] = &host;
  }
  void remember_another(const lb::Host& host);
  bool was_tried(const lb::Host& host) const;
  void forget(const lb::Host& host);
  upstream::Member choose_among_members();
  lb::PickInput pick_input() const {
    lb::PickInput input;
    input.hash = hash_;
    input.has_hash = has_hash_;
    input.attempt = attempts_ + 1;
    input.match = match_;
    input.excluded = tried();
    input.name = name_;
    return input;
  }
  // Another one than `pool`, if the policy omits that.
  upstream::ConnPool* pick_unomitted(upstream::ClusterLocal& cluster, const route::RetryPolicy& policy,
                                     lb::PickInput input, upstream::ConnPool* pool);
  void note_first_priority(const lb::HostSet& hosts);
  std::span<const lb::Host* const> tried() const { return {tried_, tried_count_}; }

  const RouterConfig& config_;
  filter::Stream* stream_ = nullptr;
  RoutedHost* host_ = nullptr;
  upstream::ClusterLocal* cluster_ = nullptr;
  const filter::HttpChainConfig* upstream_filters_ = nullptr;
  event::Pin<upstream::Cluster> cluster_pin_;  // one version for the whole request: what counts up counts down
  RetryState retry_;
  Attempt first_;
  Another* others_ = nullptr;
  IntrusiveList<HeadlessStream, &HeadlessStream::node_> mirrors_;
  Slices body_;  // for replay, or waiting for an upstream
  uint32_t body_limit_ = 0;
  uint32_t attempts_ = 0;  // begun
  Duration timeout_{};
  std::array<const lb::Host*, kRemembered> first_tried_;  // as many as tried_count_ says
  const lb::Host** tried_ = first_tried_.data();
  uint32_t tried_room_ = kRemembered;
  uint32_t tried_count_ = 0;
  uint64_t hash_ = 0;                     // of the request, for balancers
  const stream::Value* match_ = nullptr;  // what hosts are to have, where the cluster has subsets
  std::string_view name_;                 // of the host that is asked for, where the cluster's hosts are such names
  const route::NewCookie* new_cookies_ = nullptr;  // for the client
  RetryPriorities* priorities_ = nullptr;          // made by a retry whose policy wants it, in the arena
  bool request_end_ : 1 = false;                   // the request is complete
  bool has_trailers_ : 1 = false;
  bool replayable_ : 1 = false;   // body_ holds the whole body so far
  bool too_long_ : 1 = false;     // the body, to be kept
  bool says_canary_ : 1 = false;  // the response itself
  bool committed_ : 1 = false;    // a response is being forwarded: that of the one attempt that is left
  bool idempotent_ : 1 = false;
  bool replayed_stale_ : 1 = false;
  bool include_attempt_count_ : 1 = false;
  bool include_attempt_in_response_ : 1 = false;
  bool include_timeout_retry_ : 1 = false;
  bool tells_grpc_timeout_ : 1 = false;
  bool has_hash_ : 1 = false;
  bool overloaded_ : 1 = false;  // a circuit breaker refused
  bool done_ : 1 = false;
  bool auto_host_ : 1 = false;
  bool forwarded_host_told_ : 1 = false;
  bool original_host_told_ : 1 = false;
  bool follows_redirects_ : 1 = false;
  bool asks_tunnel_ : 1 = false;     // by an upgrade or CONNECT
  bool raw_ : 1 = false;             // CONNECT (or POST) ends here
  bool tunnel_ : 1 = false;          // accepted: each direction ends by itself
  bool response_ended_ : 1 = false;  // of a tunnel whose request has not
  bool hinted_ : 1 = false;          // the client has a 1xx response of the one attempt that is left
  upstream::Speaks speaks_ = upstream::Speaks::kAsConfigured;
  const filter::UpstreamTransportOptions* transport_options_ = nullptr;  // in the arena; null: as configured
  std::unique_ptr<stream::ProxyHeader> client_;                          // of transport_options_
  std::unique_ptr<const stream::UpstreamTls> upstream_tls_;  // of the attempt that brought the answer, if logs want it
  stream::Records records_ = 0;                              // of the whole request
};

}  // namespace weir::proxy
