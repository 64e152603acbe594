// The terminal HTTP filter: takes a request to an upstream and brings the response back. Owns the attempts of one
// request; the first whose response is accepted commits, and until then a failed one may be replaced.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "core/event/slot.h"
#include "core/filter/http_filter.h"
#include "core/filter/stream.h"
#include "core/lb/host.h"
#include "core/proxy/routed_host.h"
#include "core/route/retry_policy.h"
#include "core/upstream/lane_clusters.h"

namespace weir::proxy {

// [immutable]
struct RouterConfig {
  bool suppress_envoy_headers = false;
};

class Router : public filter::HttpFilter,
               private upstream::UpstreamEvents,
               private upstream::RecallWaiter,
               private filter::FlowControl::Reader,
               private DeadlineListener {
 public:
  explicit Router(const RouterConfig& config) : config_(config), waiter_(*this), back_off_(*this) {}
  ~Router() override;

  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_request_data(filter::Stream& stream, Slices& data, bool end) override;
  filter::Action on_request_trailers(filter::Stream& stream, http::HeaderMap& trailers) override;
  void on_complete(filter::Stream& stream) override;

 private:
  class BackOff final : public event::Timer {
   public:
    explicit BackOff(Router& router) : router_(router) {}
    void on_timer() override { router_.start_attempt(); }

   private:
    Router& router_;
  };
  // Why an attempt did not bring an acceptable response.
  struct Failure {
    upstream::ResetReason reason = upstream::ResetReason::kNone;
    std::string_view detail;
  };

  filter::Action forward(const route::Route& route, http::HeaderMap& headers, bool end);
  filter::Action redirect(std::string_view location, int status);
  void prepare_headers(const route::Route& route, http::HeaderMap& headers);
  void read_overrides(const route::ForwardAction& action, http::HeaderMap& headers);
  void start_attempt();
  void try_a_host();
  void send_request();
  void end_attempt();
  void abandon_attempt();
  const upstream::ClusterStats& stats() const { return *cluster_pin_->stats; }
  // A filter has answered, and its answer is on its way: what the upstream says is not wanted any more.
  bool answered_by_others() const { return stream_->answered_locally(); }
  bool may_retry(uint32_t on) const;
  // Another attempt may follow one that has reached an upstream.
  bool may_repeat() const { return retries_left_ > 0 || idempotent_; }
  // What a retry costs beside one of num_retries.
  enum class Charge : uint8_t { kFull, kNothing };
  bool retry(uint32_t on, Charge charge = Charge::kFull);
  bool take_retry_lease();
  void fail(const Failure& failure);
  void time_out_try(DeadlineKind kind);
  // The answer to a request that no upstream has answered. `status` is also what the cluster's statistics count.
  void answer(int status, stream::ResponseFlag flag, std::string_view details, std::string_view body);
  void request_finished();
  void watch_try();
  void watch_idle_try();
  void keep_for_replay(const Slices& data);
  bool retriable_response(http::HeaderMap& headers, int status);

  // UpstreamEvents
  void on_ready(upstream::UpstreamStream& stream) override;
  void on_failed(upstream::ResetReason reason) override;
  http::HeaderMap& begin_response(int status) override;
  void on_informational(BlockRef owner) override;
  void on_upstream_headers(BlockRef owner, bool end) override;
  void on_upstream_data(Slices& data, bool end) override;
  http::HeaderMap& begin_response_trailers() override;
  void on_upstream_trailers() override;
  void on_reset(upstream::ResetReason reason, std::string_view detail) override;
  void on_request_flow(bool blocked) override;
  // RecallWaiter: for max_requests
  bool on_recalled() override;
  // FlowControl::Reader: of the response
  void on_flow(filter::FlowControl& flow, bool blocked) override;
  // DeadlineListener
  void on_deadline(DeadlineKind kind) override;

  static constexpr size_t kRemembered = 8;

  const RouterConfig& config_;
  filter::Stream* stream_ = nullptr;
  RoutedHost* host_ = nullptr;
  upstream::ClusterLocal* cluster_ = nullptr;
  event::Pin<upstream::Cluster> cluster_pin_;     // one version for the whole request: what counts up counts down
  upstream::ConnPool* pool_ = nullptr;            // of the attempt in progress
  upstream::UpstreamStream* upstream_ = nullptr;  // once it is ready
  upstream::Waiter waiter_;
  BackOff back_off_;
  const route::RetryPolicy* policy_ = nullptr;
  Slices body_;  // for replay, or waiting for the upstream
  uint32_t body_limit_ = 0;
  uint32_t attempts_ = 0;
  uint32_t retries_left_ = 0;
  uint32_t retry_on_ = 0;
  Duration timeout_{};
  Duration per_try_timeout_{};
  Duration per_try_idle_timeout_{};
  std::array<const lb::Host*, kRemembered> tried_{};
  uint8_t tried_count_ = 0;
  bool request_end_ : 1 = false;  // the request is complete
  bool has_trailers_ : 1 = false;
  bool replayable_ : 1 = false;  // body_ holds the whole body so far
  bool committed_ : 1 = false;   // a response is being forwarded
  bool request_lease_ : 1 = false;
  bool retry_lease_ : 1 = false;
  bool counted_host_ : 1 = false;
  bool headers_sent_ : 1 = false;
  bool idempotent_ : 1 = false;
  bool replayed_stale_ : 1 = false;
  bool include_attempt_count_ : 1 = false;
  bool include_attempt_in_response_ : 1 = false;
  bool include_timeout_retry_ : 1 = false;
  bool timed_out_try_ : 1 = false;  // the attempt to come replaces one that took too long
  bool overloaded_ : 1 = false;     // a circuit breaker refused
  bool done_ : 1 = false;
  bool auto_host_ : 1 = false;
};

}  // namespace weir::proxy
