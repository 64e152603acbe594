#include "core/stats/native_histogram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "core/stats/store.h"

namespace weir::stats {
namespace {

class NativeHistogramTest : public testing::Test {
 protected:
  HistogramSnapshot all() const { return read_histogram(histogram_.cell_index()); }
  Store store_;
  Histogram histogram_ = store_.histogram("time");
};

// Counts by index, as a reader makes them of spans and deltas.
std::map<int32_t, uint64_t> counts_of(const NativeHistogram& native) {
  std::map<int32_t, uint64_t> counts;
  int32_t index = 0;
  int64_t count = 0;
  size_t next = 0;
  for (const NativeHistogram::Span& span : native.spans) {
    index += span.offset;
    for (uint32_t i = 0; i < span.length; ++i) {
      count += native.deltas.at(next++);
      EXPECT_GE(count, 0);
      if (count > 0) counts[index] = static_cast<uint64_t>(count);
      ++index;
    }
  }
  EXPECT_EQ(next, native.deltas.size());
  return counts;
}

using Counts = std::map<int32_t, uint64_t>;

TEST(NativeIndex, BoundsBelongToTheirBucket) {
  EXPECT_EQ(native_index(1, 4), 0);
  EXPECT_EQ(native_index(2, 4), 16);
  EXPECT_EQ(native_index(2.01, 4), 17);
  EXPECT_EQ(native_index(1024, 0), 10);
  EXPECT_EQ(native_index(1025, 0), 11);
  EXPECT_EQ(native_index(65536, -4), 1);
  EXPECT_EQ(native_index(65537, -4), 2);
}

TEST_F(NativeHistogramTest, Nothing) {
  const NativeHistogram native = to_native(all());
  EXPECT_EQ(native.schema, kNativeSchema);
  EXPECT_EQ(native.zero_count, 0u);
  EXPECT_TRUE(native.spans.empty());
  EXPECT_TRUE(native.deltas.empty());
}

TEST_F(NativeHistogramTest, ZerosAreApart) {
  for (int i = 0; i < 3; ++i) histogram_.record(0);
  for (int i = 0; i < 5; ++i) histogram_.record(1);
  histogram_.record(2);
  const NativeHistogram native = to_native(all());
  EXPECT_EQ(native.zero_count, 3u);
  EXPECT_EQ(counts_of(native), (Counts{{0, 5}, {16, 1}}));
  ASSERT_EQ(native.spans.size(), 2u);
  EXPECT_EQ(native.spans[0].offset, 0);
  EXPECT_EQ(native.spans[1].offset, 15);
}

TEST_F(NativeHistogramTest, SmallGapsAreNoSpans) {
  // Two empty buckets lie between 1000 and 1120, and more before 1400.
  histogram_.record(1000);
  histogram_.record(1120);
  histogram_.record(1400);
  const NativeHistogram native = to_native(all());
  EXPECT_EQ(native.spans.size(), 2u);
  EXPECT_EQ(counts_of(native).size(), 3u);
}

TEST_F(NativeHistogramTest, EveryValueIsInItsBucketOrTheNext) {
  for (uint64_t value = 1; value < kMaxValue / 3; value = value * 3 / 2 + 1) {
    SCOPED_TRACE(value);
    Store store;
    const Histogram histogram = store.histogram("one");
    histogram.record(value);
    const NativeHistogram native = to_native(read_histogram(histogram.cell_index()));
    const Counts counts = counts_of(native);
    ASSERT_EQ(counts.size(), 1u);
    const int32_t exact = native_index(static_cast<double>(value), native.schema);
    EXPECT_LE(std::abs(counts.begin()->first - exact), value < 64 ? 0 : 1);
  }
}

TEST_F(NativeHistogramTest, NoCountEverFalls) {
  Counts before;
  uint64_t value = 7;
  for (int round = 0; round < 200; ++round) {
    value = value * 6364136223846793005u + 1442695040888963407u;
    histogram_.record((value >> 33) % 5000);
    const NativeHistogram native = to_native(all(), 100000);
    ASSERT_EQ(native.schema, kNativeSchema);
    const Counts now = counts_of(native);
    for (const auto& [index, count] : before) EXPECT_GE(now.at(index), count);
    before = now;
  }
}

TEST_F(NativeHistogramTest, ManyBucketsBecomeCoarser) {
  uint64_t recorded = 0;
  for (uint64_t value = 1; value < kMaxValue / 2; value += value / 32 + 1) {
    histogram_.record(value);
    ++recorded;
  }
  const NativeHistogram native = to_native(all());
  EXPECT_LT(native.schema, kNativeSchema);
  const Counts counts = counts_of(native);
  EXPECT_LE(counts.size(), kMostNativeBuckets);
  EXPECT_GT(counts.size(), kMostNativeBuckets / 4);
  uint64_t sum = 0;
  for (const auto& [index, count] : counts) sum += count;
  EXPECT_EQ(sum, recorded);
  // The same as if it had been that coarse from the start.
  Counts direct;
  for (const auto& one : all().buckets) {
    const double middle =
        (static_cast<double>(bucket_low(one.bucket)) + static_cast<double>(bucket_high(one.bucket))) / 2;
    direct[native_index(middle, native.schema)] += one.count;
  }
  EXPECT_EQ(counts, direct);
}

}  // namespace
}  // namespace weir::stats
