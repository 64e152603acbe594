// One try of a request at one host: the wait for a connection, the upstream's stream, the shares of limits and the
// counts that go with it, and how long it may take. The router decides when there is one and what becomes of its
// outcome; several of one request do not know of each other.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "core/base/block.h"
#include "core/base/time.h"
#include "core/event/slot.h"
#include "core/event/timer.h"
#include "core/http/header_map.h"
#include "core/stream/stream_info.h"
#include "core/upstream/lane_clusters.h"

namespace weir::proxy {

class Router;
class UpstreamChain;

class Attempt final : private upstream::UpstreamEvents, private upstream::RecallWaiter, private event::Timer {
 public:
  explicit Attempt(Router& router) : router_(router), waiter_(*this) {}
  ~Attempt() { abandon(); }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  // From its start until end() or abandon(), back-offs included.
  bool active() const { return active_; }
  void start();
  // It has failed, or the response was not what was wanted: the same once more, at another host if there is one. The
  // upstream is told if it `goes_on` with its response.
  void start_again_in(Duration back_off, bool goes_on);

  // The request's way: nullptr until there is a connection, and once it is over.
  upstream::UpstreamStream* stream() const { return stream_; }
  bool headers_sent() const { return headers_sent_; }
  void set_headers_sent() {
    headers_sent_ = true;
    times_.first_tx = now();
  }
  // For the log of the attempt that brings the answer.
  struct Times {
    MonoTime requested{};  // these two only with kConnectionRecords
    MonoTime pool_ready{};
    MonoTime first_tx{};
    MonoTime last_tx{};
    stream::AttemptedHost* entry = nullptr;  // of the list, if there is one
  };
  Times& times() { return times_; }
  const Times& times() const { return times_; }
  // For a line of its own. In the stream's arena; nullptr: nobody writes one.
  struct Log final : event::Timer {
    explicit Log(Attempt& of) : attempt(of) {}
    void on_timer() override;  // another line, of one that goes on

    Attempt& attempt;
    MonoTime begin{};
    net::Address remote;
    stream::WireBytes wire_before;
    uint64_t bytes_sent = 0, bytes_received = 0;  // of bodies
    uint16_t status = 0;                          // 0: no response has begun
    stream::ResponseFlags flags;
    std::string_view details;
  };
  Log* log() const { return log_; }
  void set_log(Log* log) { log_ = log; }
  // Its upstream has finished, and its connection may serve others; filters still hold some of the response.
  bool upstream_gone() const;
  // Both nullptr: none has been chosen, or it is over.
  const upstream::ConnPool* pool() const { return pool_; }
  // Whose hosts it goes to: the router's, unless that stands for others. Behind start().
  upstream::ClusterLocal& cluster() { return *member_.cluster; }
  // Of cluster(), in the version in which they began to count this attempt.
  const upstream::ClusterSpec& spec() const;
  const upstream::ClusterStats& stats() const;
  lb::Host* host() const { return pool_ != nullptr ? &pool_->host() : nullptr; }
  // Of the host chosen last, over or not; nullptr: it has none. Lives in the version of the hosts that is kept.
  const stream::StaticMetadata* host_metadata() const { return host_metadata_; }
  void set_host_metadata(const stream::StaticMetadata* metadata, event::Pin<lb::HostSet> hosts) {
    host_metadata_ = metadata;
    hosts_ = std::move(hosts);
  }

  // It replaces one that took too long.
  bool after_timeout() const { return after_timeout_; }
  void set_after_timeout(bool timed_out) { after_timeout_ = timed_out; }

  // Another one goes out beside it, because it takes so long: it may still bring the answer, but no failure.
  bool hedged() const { return hedged_; }
  void set_hedged() {
    hedged_ = true;
    lift_try_limit();
  }

  // A retry's share of max_retries or of the budget; false: there is none. Kept when it starts again, released when it
  // is over.
  bool take_retry_share();

  // The limits of a try count from when both the whole request and a connection are there, as published: neither a slow
  // client nor a full pool is the server's fault. `answered`: the response has begun, and only its pauses are watched.
  void watch(bool answered);
  // Bytes of the response have come.
  void touch();
  // It may take as long as the route's timeout lets it.
  void lift_try_limit() { try_until_ = kNever; }
  void end_watch() { try_until_ = idle_until_ = kNever; }
  // With its response, and whatever a tunnel brings.
  void limit_whole(Duration longest) { over_at_ = now() + longest; }
  bool too_old(MonoTime at) const { return over_at_ <= at; }
  // The earliest of them; kNever: none.
  MonoTime deadline() const { return std::min({try_until_, idle_until_, over_at_}); }
  bool timed_out_idle(MonoTime at) const { return idle_until_ <= at; }

  // It holds nothing any more; what was counted up is counted down. The upstream has ended it.
  void end();
  // The same for one that goes on: nobody wants its outcome.
  void abandon();

  static constexpr MonoTime kNever = MonoTime::max();

 private:
  // UpstreamEvents: to the router, with this attempt's name on them.
  stream::WireBytes& wire_bytes() override;
  void on_ready(upstream::UpstreamStream& stream) override;
  void on_failed(upstream::ResetReason reason, std::string_view detail) override;
  http::HeaderMap& begin_response(int status) override;
  void on_informational(http::HeaderMap& headers) override;
  void on_upstream_headers(BlockRef owner, bool end) override;
  void on_upstream_data(Slices& data, bool end) override;
  http::HeaderMap& begin_response_trailers() override;
  void on_upstream_trailers_held() override;
  void on_upstream_trailers() override;
  void on_reset(upstream::ResetReason reason, std::string_view detail) override;
  void on_request_flow(bool blocked) override;
  // RecallWaiter: for max_requests
  bool on_recalled() override;
  // Timer: the back-off is over
  void on_timer() override { start(); }

  void try_a_host();
  void overflow();
  void back_off_is_over();
  MonoTime now() const;

  Router& router_;
  upstream::Waiter waiter_;
  upstream::Member member_;
  event::Pin<upstream::Cluster> member_pin_;  // null: it is the router's
  upstream::ConnPool* pool_ = nullptr;
  upstream::UpstreamStream* stream_ = nullptr;
  UpstreamChain* chain_ = nullptr;  // between stream_, which it is then, and the connection; null: no filters there
  const stream::StaticMetadata* host_metadata_ = nullptr;
  event::Pin<lb::HostSet> hosts_;
  Times times_;
  Log* log_ = nullptr;
  MonoTime try_until_ = kNever;
  MonoTime idle_until_ = kNever;
  MonoTime over_at_ = kNever;
  bool active_ : 1 = false;
  bool headers_sent_ : 1 = false;
  bool after_timeout_ : 1 = false;
  bool request_share_ : 1 = false;
  bool retry_share_ : 1 = false;
  bool hedged_ : 1 = false;
  bool backs_off_ : 1 = false;  // and is counted among waiting_retries
};

}  // namespace weir::proxy
