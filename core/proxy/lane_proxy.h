// What the HTTP proxy keeps once per lane: recycled streams and requests of its own, and texts that change once a
// second.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/slab.h"
#include "core/event/lane.h"
#include "core/http/date.h"
#include "core/proxy/deadlines.h"
#include "core/proxy/headless_stream.h"
#include "core/proxy/http2_connection.h"
#include "core/proxy/overload.h"
#include "core/proxy/server_stream.h"
#include "core/proxy/upstream_chain.h"

namespace weir::proxy {

class LaneProxy {
 public:
  explicit LaneProxy(event::Lane& lane) : lane_(lane) { lane.set_local(event::LocalKey::kProxy, this); }
  ~LaneProxy() { lane_.set_local(event::LocalKey::kProxy, nullptr); }
  LaneProxy(const LaneProxy&) = delete;
  LaneProxy& operator=(const LaneProxy&) = delete;
  static LaneProxy& of(event::Lane& lane) { return *static_cast<LaneProxy*>(lane.local(event::LocalKey::kProxy)); }

  Slab<ServerStream>& streams() { return streams_; }
  Slab<HeadlessStream>& headless() { return headless_; }
  Slab<Http2Stream>& http2_streams() { return http2_streams_; }
  Slab<UpstreamChain>& chains() { return chains_; }
  // The `date` header's value now. Valid until the end of the turn.
  std::string_view date() {
    int64_t second = std::chrono::duration_cast<std::chrono::seconds>(lane_.wall_now().time_since_epoch()).count();
    if (second != date_second_) {
      date_second_ = second;
      http::format_date(second, date_);
    }
    return {date_, http::kDateBytes};
  }
  // Without an overload manager: one that never does anything.
  const Overload& overload() const { return *overload_; }
  // Before the lane runs; outlives it.
  void set_overload(const Overload& overload) { overload_ = &overload; }
  // Deadlines that may get shorter and longer while they run.
  IntrusiveList<Deadlines, &Deadlines::node_>& scaled_deadlines() { return scaled_deadlines_; }
  void rescale_timeouts() {
    scaled_deadlines_.for_each([](Deadlines& deadlines) { deadlines.rescale(); });
  }
  // Those whose streams may be reset for the memory that they hold.
  IntrusiveList<Http2Connection, &Http2Connection::weighed_node_>& weighed_connections() {
    return weighed_connections_;
  }
  uint64_t next_id() { return ++last_id_ << 8 | lane_.index(); }

 private:
  event::Lane& lane_;
  Slab<ServerStream> streams_;
  Slab<HeadlessStream> headless_;
  Slab<Http2Stream> http2_streams_;
  Slab<UpstreamChain> chains_;
  static inline const Overload kCalm{};
  const Overload* overload_ = &kCalm;
  IntrusiveList<Deadlines, &Deadlines::node_> scaled_deadlines_;
  IntrusiveList<Http2Connection, &Http2Connection::weighed_node_> weighed_connections_;
  int64_t date_second_ = -1;
  uint64_t last_id_ = 0;
  char date_[http::kDateBytes];
};

}  // namespace weir::proxy
