#include "core/stats/native_histogram.h"

#include <cmath>

namespace weir::stats {
namespace {

// As coarse as the format can be.
constexpr int32_t kCoarsestNative = -4;
// Buckets that count nothing and are written all the same: cheaper than a span.
constexpr int32_t kNativeGap = 2;

struct NativeBucket {
  int32_t index;
  uint64_t count;
};

// To one that is there, or behind it.
void add_native(std::vector<NativeBucket>& to, int32_t index, uint64_t count) {
  if (!to.empty() && to.back().index == index) {
    to.back().count += count;
  } else {
    to.push_back({index, count});
  }
}

}  // namespace

int32_t native_index(double value, int32_t schema) {
  return static_cast<int32_t>(std::ceil(std::ldexp(std::log2(value), schema)));
}

NativeHistogram to_native(const HistogramSnapshot& histogram, size_t most_buckets) {
  NativeHistogram out;
  std::vector<NativeBucket> buckets;
  for (const HistogramSnapshot::Bucket& one : histogram.buckets) {
    const auto low = static_cast<double>(bucket_low(one.bucket));
    const auto high = static_cast<double>(bucket_high(one.bucket));
    if (high == 0) {
      out.zero_count += one.count;
    } else {
      add_native(buckets, native_index((low + high) / 2, out.schema), one.count);
    }
  }
  while (buckets.size() > most_buckets && out.schema > kCoarsestNative) {
    std::vector<NativeBucket> coarser;
    for (const NativeBucket& one : buckets) add_native(coarser, (one.index + 1) >> 1, one.count);
    buckets = std::move(coarser);
    --out.schema;
  }
  int64_t before = 0;
  int32_t next = 0;  // the index behind the last bucket
  for (const NativeBucket& one : buckets) {
    const int32_t gap = one.index - next;
    if (out.spans.empty() || gap > kNativeGap) {
      out.spans.push_back({gap, 0});
    } else {
      for (int32_t i = 0; i < gap; ++i) {
        out.deltas.push_back(-before);
        before = 0;
        ++out.spans.back().length;
      }
    }
    ++out.spans.back().length;
    out.deltas.push_back(static_cast<int64_t>(one.count) - before);
    before = static_cast<int64_t>(one.count);
    next = one.index + 1;
  }
  return out;
}

}  // namespace weir::stats
