// The connection to a collector that is a cluster: main's lane holds one, made when there is something to say, and made
// again, with growing pauses, when it breaks. What it cannot take in time is dropped by whole lines, and counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/event/lane.h"
#include "core/event/slot.h"
#include "core/event/timer.h"
#include "core/stats/handles.h"
#include "core/stream/stream_info.h"
#include "core/upstream/lane_clusters.h"

namespace weir::extensions::statsd {

// Of lines.
struct LinkCounters {
  stats::Counter sent;     // the kernel has taken them
  stats::Counter dropped;  // no room, or they may have got lost with their connection
};

// [main]
class CollectorLink final : private upstream::UpstreamEvents, private event::Timer {
 public:
  // Of what has not been sent: about what all statistics of ten thousand clusters take.
  static constexpr size_t kMostWaiting = size_t{16} * 1024 * 1024;
  static constexpr Duration kFirstPause = 500ms;  // at most, and at least half of it; doubles with each failure
  static constexpr Duration kLongestPause = 30s;

  CollectorLink(event::Lane& lane, event::SlotId cluster, LinkCounters counters, size_t most_waiting = kMostWaiting)
      : lane_(lane), slot_(cluster), counters_(counters), most_waiting_(most_waiting) {}
  ~CollectorLink() override;

  // Whole lines, each with its end. Never waits.
  void send(std::string_view lines);

 private:
  // UpstreamEvents: the connection is raw, and nothing on it is a head.
  stream::WireBytes& wire_bytes() override { return wire_; }
  void on_ready(upstream::UpstreamStream& stream) override;
  void on_failed(upstream::ResetReason reason, std::string_view detail) override;
  http::HeaderMap& begin_response(int status) override;
  void on_informational(http::HeaderMap&) override {}
  void on_upstream_headers(BlockRef, bool) override {}
  void on_upstream_data(Slices& data, bool end) override;
  http::HeaderMap& begin_response_trailers() override { return begin_response(0); }
  void on_upstream_trailers() override {}
  void on_reset(upstream::ResetReason reason, std::string_view detail) override;
  void on_request_flow(bool blocked) override;
  // Timer: the pause is over.
  void on_timer() override;

  upstream::ClusterLocal* find_cluster() const;
  bool has_waiting() const { return start_ < waiting_.size(); }
  void connect();
  void connect_later();
  void push();
  // What was handed over, if the kernel has it by now.
  void confirm();
  // The connection is over, or is to be.
  void lose();
  void end_attempt();

  event::Lane& lane_;
  const event::SlotId slot_;
  const LinkCounters counters_;
  const size_t most_waiting_;
  upstream::ClusterLocal* cluster_ = nullptr;  // of the attempt, as the two that follow
  event::Pin<upstream::Cluster> pin_;
  upstream::ConnPool* pool_ = nullptr;          // null: between attempts
  upstream::UpstreamStream* stream_ = nullptr;  // null: not connected
  upstream::Waiter waiter_{*this};
  stream::WireBytes wire_;
  std::string waiting_;  // from start_ on
  size_t start_ = 0;
  uint64_t in_flight_ = 0;  // lines handed over that the kernel may not have yet
  uint32_t failures_ = 0;   // since it took something
};

}  // namespace weir::extensions::statsd
