// A copy of a request that goes to another cluster, whose answer nobody waits for (request_mirror_policies). It lives
// as long as that exchange takes, usually longer than the stream it copies, whose speed it never changes: what it
// cannot take in time is dropped, and the copy with it.
#pragma once

#include <cstdint>

#include "core/base/arena.h"
#include "core/base/block.h"
#include "core/base/intrusive_list.h"
#include "core/base/slab.h"
#include "core/event/lane.h"
#include "core/event/timer.h"
#include "core/http/header_map.h"
#include "core/route/mirror.h"
#include "core/stream/stream_info.h"
#include "core/upstream/lane_clusters.h"

namespace weir::proxy {

// [worker] Destroys itself at the end of the turn in which its exchange is over.
class Mirror final : public event::Deferred, private upstream::UpstreamEvents, private event::Timer {
 public:
  // `subject`: the request, with headers as they go to its own upstream. `timeout` counts from the end of the request;
  // zero: none. `buffer_limit`: bytes of the body that it may keep. nullptr: its cluster is not there, has no host or
  // is full.
  static Mirror* start(event::Lane& lane, const route::Mirror& policy, const stream::LogSubject& subject, bool end,
                       Duration timeout, uint32_t buffer_limit);

  void send_data(const Slices& data, bool end);
  void send_trailers(const http::HeaderMap& trailers);
  // No more will be sent: lets an exchange whose request is complete run on, and ends another.
  void leave();

  ListNode node_;  // in the router's list; unlinked when it is over

 private:
  friend class Slab<Mirror>;
  Mirror(event::Lane& lane, upstream::ClusterLocal& cluster, event::Pin<upstream::Cluster> pin, Duration timeout,
         uint32_t buffer_limit);
  ~Mirror() = default;
  void copy_head(const route::Mirror& policy, const stream::LogSubject& subject);
  bool connect(const lb::Target& target);
  void send();
  void request_finished();
  // Nobody waits for it any more.
  void drop();
  // Sends nothing more and wants nothing more.
  void stop();
  void response_complete();
  void finish();

  // UpstreamEvents
  stream::WireBytes& wire_bytes() override { return wire_; }
  void on_ready(upstream::UpstreamStream& stream) override;
  void on_failed(upstream::ResetReason reason, std::string_view detail) override;
  http::HeaderMap& begin_response(int status) override;
  void on_informational(BlockRef) override {}
  void on_upstream_headers(BlockRef owner, bool end) override;
  void on_upstream_data(Slices& data, bool end) override;
  http::HeaderMap& begin_response_trailers() override { return begin_response(0); }
  void on_upstream_trailers() override { response_complete(); }
  void on_reset(upstream::ResetReason reason, std::string_view detail) override;
  void on_request_flow(bool blocked) override;
  void on_timer() override;
  void dispose() override;

  event::Lane& lane_;
  upstream::ClusterLocal& cluster_;
  const event::Pin<upstream::Cluster> pin_;  // one version for the whole exchange: what counts up counts down
  const MonoTime start_;
  const Duration timeout_;
  const uint32_t buffer_limit_;
  upstream::Waiter waiter_;
  upstream::ConnPool* pool_ = nullptr;
  upstream::UpstreamStream* stream_ = nullptr;
  stream::WireBytes wire_;
  Arena arena_;
  http::HeaderMap head_;
  http::HeaderMap trailers_;
  http::HeaderMap response_;  // of each head in turn, dropped at once
  Slices body_;               // what the connection has not got yet
  bool head_sent_ : 1 = false;
  bool has_trailers_ : 1 = false;
  bool request_end_ : 1 = false;
  bool request_sent_ : 1 = false;  // all of it
  bool answered_ : 1 = false;      // its head has come, and is counted
  bool blocked_ : 1 = false;       // the connection holds as much as it should
  bool finished_ : 1 = false;
};

}  // namespace weir::proxy
