// How a histogram counts and how it is read. Buckets are log-linear: values below 64 are exact, above that every power
// of two is cut in 32 buckets, so that the middle of a bucket is at most 1.6 % from any value in it.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

namespace weir::stats {

constexpr int kSubBucketBits = 5;
constexpr uint32_t kSubBuckets = 1u << kSubBucketBits;
constexpr int kValueBits = 48;
constexpr uint64_t kMaxValue = (uint64_t{1} << kValueBits) - 1;  // larger values count as this one
constexpr uint32_t kBucketBlocks = kValueBits - kSubBucketBits + 1;
constexpr uint32_t kBuckets = kBucketBlocks * kSubBuckets;

uint32_t bucket_of(uint64_t value);
// First and last value of a bucket.
uint64_t bucket_low(uint32_t bucket);
uint64_t bucket_high(uint32_t bucket);

// One thread's share of one histogram. Written by that thread, read by any. Most histograms see a few powers of two
// only, so each has its block of buckets made at its first value.
class HistogramData {
 public:
  HistogramData() = default;
  ~HistogramData();
  HistogramData(const HistogramData&) = delete;
  HistogramData& operator=(const HistogramData&) = delete;

  void record(uint64_t value);

 private:
  friend class HistogramReader;
  struct Block {
    std::atomic<uint64_t> counts[kSubBuckets];
  };
  std::atomic<Block*> blocks_[kBucketBlocks] = {};
  std::atomic<uint64_t> sum_{0};
  std::atomic<uint64_t> min_{UINT64_MAX};
  std::atomic<uint64_t> max_{0};
};

// The quantiles that are shown, as percentages.
inline constexpr double kQuantiles[] = {0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100};

// The merged counts of all threads at one moment.
struct HistogramSnapshot {
  struct Bucket {
    uint32_t bucket;
    uint64_t count;  // > 0
  };
  std::vector<Bucket> buckets;  // ascending
  uint64_t count = 0;           // the sum of the buckets' counts
  uint64_t sum = 0;
  uint64_t min = 0;  // 0 if there is no value
  uint64_t max = 0;

  // NaN if there is no value. `percent` 0..100.
  double quantile(double percent) const;
  // How many values are <= bound; counts within a bucket are taken as evenly spread. Never falls with a rising bound.
  uint64_t count_at_most(double bound) const;
  // What came after `before`, an earlier snapshot of the same histogram. min and max are those of its buckets.
  HistogramSnapshot since(const HistogramSnapshot& before) const;
};

// [any]
HistogramSnapshot read_histogram(uint32_t cell);
// Frees every thread's data; nobody records any more. [main]
void free_histogram(uint32_t cell);

}  // namespace weir::stats
