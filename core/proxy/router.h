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
    bool after_request_sent = false;
  };

  filter::Action forward(const route::Route& route, http::HeaderMap& headers, bool end);
  filter::Action redirect(std::string_view location, int status);
  void prepare_headers(const route::Route& route, http::HeaderMap& headers);
  void read_overrides(const route::ForwardAction& action, http::HeaderMap& headers);
  void start_attempt();
  void send_request();
  void end_attempt();
  void abandon_attempt();
  // A filter has answered, and its answer is on its way: what the upstream says is not wanted any more.
  bool answered_by_others() const { return stream_->answered_locally(); }
  bool may_retry(uint32_t on) const;
  bool retry(uint32_t on);
  bool take_retry_lease();
  void fail(const Failure& failure);
  void request_finished();
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
  // FlowControl::Reader: of the response
  void on_flow(filter::FlowControl& flow, bool blocked) override;
  // DeadlineListener
  void on_deadline(DeadlineKind kind) override;

  static constexpr size_t kRemembered = 8;

  const RouterConfig& config_;
  filter::Stream* stream_ = nullptr;
  RoutedHost* host_ = nullptr;
  upstream::ClusterLocal* cluster_ = nullptr;
  event::Pin<upstream::Cluster> cluster_pin_;
  event::Pin<lb::HostSet> hosts_pin_;             // while the host's metadata is of interest
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
  bool done_ : 1 = false;
  bool auto_host_ : 1 = false;
};

}  // namespace weir::proxy
