// A histogram as Prometheus' native ones are: buckets that grow by a factor, of which those that count nothing cost
// nothing. Not how it is counted (histogram.h) and not how it is written (prometheus.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/stats/histogram.h"

namespace weir::stats {

// 16 buckets for each power of two: the finest of the format whose buckets are nowhere narrower than the histogram's
// own, so that there are no gaps.
inline constexpr int32_t kNativeSchema = 4;
// Of one histogram; with more, two neighbours become one, again and again.
inline constexpr size_t kMostNativeBuckets = 160;
// Of the bucket of zeros, as clients of Prometheus have it.
inline constexpr double kNativeZeroThreshold = 0x1p-128;

struct NativeHistogram {
  int32_t schema = kNativeSchema;
  uint64_t zero_count = 0;
  struct Span {
    int32_t offset;  // the first: index of its first bucket; others: how many buckets lie between it and the one before
    uint32_t length;
  };
  std::vector<Span> spans;
  std::vector<int64_t> deltas;  // of the buckets' counts, each against the one before
};

// The bucket of a value > 0: its upper bound is 2^(index / 2^schema), and belongs to it.
int32_t native_index(double value, int32_t schema);

// A bucket of the histogram goes, whole, where its middle is: always to the same one, so that no count ever falls.
NativeHistogram to_native(const HistogramSnapshot& histogram, size_t most_buckets = kMostNativeBuckets);

}  // namespace weir::stats
