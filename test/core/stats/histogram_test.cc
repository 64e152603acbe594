#include "core/stats/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "core/base/random.h"
#include "core/stats/cells.h"
#include "core/stats/handles.h"

namespace weir::stats {
namespace {

constexpr double kRelativeError = 0.016;

class HistogramTest : public testing::Test {
 protected:
  ~HistogramTest() override {
    free_histogram(cell_);
    release_cells(cell_, 1);
  }
  uint32_t cell_ = reserve_cells(1);
  Histogram histogram_{cell_};
};

TEST(Buckets, CoverTheRangeWithoutGaps) {
  EXPECT_EQ(bucket_low(0), 0u);
  for (uint32_t i = 0; i + 1 < kBuckets; ++i) {
    ASSERT_EQ(bucket_high(i) + 1, bucket_low(i + 1)) << i;
    ASSERT_EQ(bucket_of(bucket_low(i)), i);
    ASSERT_EQ(bucket_of(bucket_high(i)), i);
    auto low = static_cast<double>(bucket_low(i));
    double middle = (low + static_cast<double>(bucket_high(i))) / 2;
    ASSERT_LE(middle - low, low * kRelativeError);
  }
  EXPECT_EQ(bucket_high(kBuckets - 1), kMaxValue);
  EXPECT_EQ(bucket_of(UINT64_MAX), kBuckets - 1);
}

TEST_F(HistogramTest, NoValue) {
  HistogramSnapshot empty = read_histogram(cell_);
  EXPECT_EQ(empty.count, 0u);
  EXPECT_TRUE(std::isnan(empty.quantile(50)));
  EXPECT_EQ(empty.count_at_most(1e9), 0u);
}

TEST_F(HistogramTest, OneValue) {
  histogram_.record(5);
  HistogramSnapshot one = read_histogram(cell_);
  for (double percent : kQuantiles) EXPECT_EQ(one.quantile(percent), 5);
  EXPECT_EQ(one.sum, 5u);
  EXPECT_EQ(one.min, 5u);
  EXPECT_EQ(one.max, 5u);
  EXPECT_EQ(one.count_at_most(4.9), 0u);
  EXPECT_EQ(one.count_at_most(5), 1u);
}

TEST_F(HistogramTest, ExtremesAreKept) {
  histogram_.record(0);
  histogram_.record(UINT64_MAX);
  HistogramSnapshot both = read_histogram(cell_);
  EXPECT_EQ(both.min, 0u);
  EXPECT_EQ(both.max, kMaxValue);
  EXPECT_EQ(both.count, 2u);
}

TEST_F(HistogramTest, QuantilesAreAccurate) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    uint32_t cell = reserve_cells(1);
    std::vector<uint64_t> values;
    for (int i = 0; i < 5000; ++i) {
      // Spread evenly over powers of two, so that small and huge values both occur.
      uint64_t value = random.next() >> (16 + random.below(1 + static_cast<uint32_t>(seed) * 5));
      values.push_back(value);
      Histogram(cell).record(value);
    }
    std::sort(values.begin(), values.end());
    HistogramSnapshot snapshot = read_histogram(cell);
    EXPECT_EQ(snapshot.count, values.size());
    EXPECT_EQ(snapshot.min, values.front());
    EXPECT_EQ(snapshot.max, values.back());
    for (double percent = 0; percent <= 100; percent += 0.5) {
      auto rank = static_cast<size_t>(std::max(1.0, std::ceil(percent / 100 * static_cast<double>(values.size()))));
      auto exact = static_cast<double>(values[rank - 1]);
      EXPECT_NEAR(snapshot.quantile(percent), exact, exact * kRelativeError) << percent;
    }
    for (double bound : {10.0, 1e3, 1e6, 1e9}) {
      auto exact = std::upper_bound(values.begin(), values.end(), static_cast<uint64_t>(bound)) - values.begin();
      EXPECT_NEAR(static_cast<double>(snapshot.count_at_most(bound)), static_cast<double>(exact), 60) << bound;
    }
    free_histogram(cell);
    release_cells(cell, 1);
  }
}

TEST_F(HistogramTest, CountAtMostNeverFalls) {
  Random random(3);
  for (int i = 0; i < 2000; ++i) histogram_.record(random.below(100000));
  HistogramSnapshot snapshot = read_histogram(cell_);
  uint64_t before = 0;
  for (double bound = 0; bound < 110000; bound += 37.5) {
    uint64_t now = snapshot.count_at_most(bound);
    ASSERT_GE(now, before);
    before = now;
  }
  EXPECT_EQ(before, 2000u);
}

TEST_F(HistogramTest, IntervalsAreDifferences) {
  histogram_.record(10);
  histogram_.record(1000);
  HistogramSnapshot first = read_histogram(cell_);
  EXPECT_EQ(first.since(HistogramSnapshot{}).count, 2u);
  EXPECT_EQ(read_histogram(cell_).since(first).count, 0u);
  histogram_.record(20);
  histogram_.record(20);
  HistogramSnapshot delta = read_histogram(cell_).since(first);
  EXPECT_EQ(delta.count, 2u);
  EXPECT_EQ(delta.sum, 40u);
  EXPECT_EQ(delta.quantile(0), 20);
  EXPECT_EQ(delta.quantile(100), 20);
}

TEST_F(HistogramTest, ThreadsRecordWhileOthersRead) {
  constexpr int kThreads = 3;
  constexpr uint64_t kEach = 5000;
  std::atomic<int> running{kThreads};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      Random random(static_cast<uint64_t>(i));
      for (uint64_t n = 0; n < kEach; ++n) histogram_.record(random.below(1u << (n % 30)));
      --running;
    });
  }
  while (running > 0) {
    HistogramSnapshot snapshot = read_histogram(cell_);
    if (snapshot.count == 0) continue;
    EXPECT_LE(snapshot.quantile(0), snapshot.quantile(50));
    EXPECT_LE(snapshot.quantile(50), snapshot.quantile(100));
    EXPECT_EQ(snapshot.count_at_most(1e18), snapshot.count);
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(read_histogram(cell_).count, kThreads * kEach);
}

}  // namespace
}  // namespace weir::stats
