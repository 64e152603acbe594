// Buckets that each connection has of its own, in its filter state.
#pragma once

#include <cstdint>

#include "core/filter/stream.h"
#include "core/stream/filter_state.h"
#include "filters/http/local_ratelimit/limiter.h"

namespace weir::filters::local_ratelimit {

// Of one settings. [immutable]; made and destroyed on main. Settings that are there at the same time have different
// places, which those that come later take over together with the memory that connections keep for a place: a
// connection that outlives many configurations grows with the largest of them, not with their number.
class ConnectionBuckets {
 public:
  explicit ConnectionBuckets(BucketCounts counts);
  ~ConnectionBuckets();
  ConnectionBuckets(const ConnectionBuckets&) = delete;
  ConnectionBuckets& operator=(const ConnectionBuckets&) = delete;

  // Those of the stream's connection, full at first; of the stream itself if it has none. [worker]
  Buckets of(filter::Stream& stream) const;

 private:
  stream::FilterStateName name_;
  size_t place_;
  uint64_t id_;  // of the settings among all that ever were
  BucketCounts counts_;
};

}  // namespace weir::filters::local_ratelimit
