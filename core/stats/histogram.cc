#include "core/stats/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/stats/handles.h"

namespace weir::stats {
namespace {

// A cell has one writer, so an addition needs no locked instruction.
void add(std::atomic<uint64_t>& at, uint64_t amount) {
  at.store(at.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

double middle_of(uint32_t bucket) {
  return (static_cast<double>(bucket_low(bucket)) + static_cast<double>(bucket_high(bucket))) / 2;
}

HistogramData* data_of(uint64_t cell_value) {
  return reinterpret_cast<HistogramData*>(static_cast<uintptr_t>(cell_value));
}

}  // namespace

uint32_t bucket_of(uint64_t value) {
  if (value > kMaxValue) value = kMaxValue;
  if (value < kSubBuckets) return static_cast<uint32_t>(value);
  int shift = std::bit_width(value) - 1 - kSubBucketBits;
  // value >> shift is 32..63: its lower five bits count within the block.
  return static_cast<uint32_t>(shift + 1) * kSubBuckets + static_cast<uint32_t>((value >> shift) & (kSubBuckets - 1));
}

uint64_t bucket_low(uint32_t bucket) {
  uint32_t block = bucket / kSubBuckets;
  uint64_t within = bucket % kSubBuckets;
  return block == 0 ? within : (kSubBuckets + within) << (block - 1);
}

uint64_t bucket_high(uint32_t bucket) {
  uint32_t block = bucket / kSubBuckets;
  return block <= 1 ? bucket_low(bucket) : bucket_low(bucket) + (uint64_t{1} << (block - 1)) - 1;
}

HistogramData::~HistogramData() {
  for (auto& block : blocks_) delete block.load(std::memory_order_relaxed);
}

void HistogramData::record(uint64_t value) {
  value = std::min(value, kMaxValue);
  uint32_t bucket = bucket_of(value);
  std::atomic<Block*>& slot = blocks_[bucket / kSubBuckets];
  Block* block = slot.load(std::memory_order_relaxed);
  if (block == nullptr) [[unlikely]] {
    block = new Block{};
    slot.store(block, std::memory_order_release);
  }
  add(sum_, value);
  if (value < min_.load(std::memory_order_relaxed)) min_.store(value, std::memory_order_relaxed);
  if (value > max_.load(std::memory_order_relaxed)) max_.store(value, std::memory_order_relaxed);
  add(block->counts[bucket % kSubBuckets], 1);
}

void Histogram::record(uint64_t value) const {
  if (cell_ == 0) return;  // made by default: counts into nowhere
  std::atomic<uint64_t>& at = cell(cell_);
  HistogramData* data = data_of(at.load(std::memory_order_relaxed));
  if (data == nullptr) [[unlikely]] {
    data = new HistogramData;
    at.store(reinterpret_cast<uintptr_t>(data), std::memory_order_release);
  }
  data->record(value);
}

// Adds up the shares of threads.
class HistogramReader {
 public:
  void take(const HistogramData& data) {
    for (uint32_t i = 0; i < kBucketBlocks; ++i) {
      const HistogramData::Block* block = data.blocks_[i].load(std::memory_order_acquire);
      if (block == nullptr) continue;
      if (counts_.empty()) counts_.resize(kBuckets);
      for (uint32_t j = 0; j < kSubBuckets; ++j)
        counts_[i * kSubBuckets + j] += block->counts[j].load(std::memory_order_relaxed);
    }
    sum_ += data.sum_.load(std::memory_order_relaxed);
    min_ = std::min(min_, data.min_.load(std::memory_order_relaxed));
    max_ = std::max(max_, data.max_.load(std::memory_order_relaxed));
  }
  HistogramSnapshot finish() const {
    HistogramSnapshot snapshot;
    for (uint32_t i = 0; i < counts_.size(); ++i) {
      if (counts_[i] == 0) continue;
      snapshot.buckets.push_back({i, counts_[i]});
      snapshot.count += counts_[i];
    }
    if (snapshot.count > 0) {
      snapshot.sum = sum_;
      // A writer may be between its stores: what is shown must still agree with itself.
      snapshot.min = std::min(min_, bucket_high(snapshot.buckets.front().bucket));
      snapshot.max = std::max(max_, bucket_low(snapshot.buckets.back().bucket));
    }
    return snapshot;
  }

 private:
  std::vector<uint64_t> counts_;
  uint64_t sum_ = 0;
  uint64_t min_ = UINT64_MAX;
  uint64_t max_ = 0;
};

HistogramSnapshot read_histogram(uint32_t cell) {
  if (cell == 0) return {};
  HistogramReader reader;
  visit_cell(
      cell,
      [](uint64_t value, void* user) {
        if (value != 0) static_cast<HistogramReader*>(user)->take(*data_of(value));
      },
      &reader);
  return reader.finish();
}

void free_histogram(uint32_t cell) {
  if (cell == 0) return;
  visit_cell(
      cell, [](uint64_t value, void*) { delete data_of(value); }, nullptr);
}

double HistogramSnapshot::quantile(double percent) const {
  if (count == 0) return std::numeric_limits<double>::quiet_NaN();
  if (percent <= 0) return static_cast<double>(min);
  if (percent >= 100) return static_cast<double>(max);
  // The nearest-rank definition: the smallest value that at least `percent` of all are not above.
  auto rank = static_cast<uint64_t>(std::ceil(percent / 100 * static_cast<double>(count)));
  rank = std::clamp<uint64_t>(rank, 1, count);
  uint64_t seen = 0;
  for (const Bucket& at : buckets) {
    seen += at.count;
    if (seen >= rank) return std::clamp(middle_of(at.bucket), static_cast<double>(min), static_cast<double>(max));
  }
  return static_cast<double>(max);
}

uint64_t HistogramSnapshot::count_at_most(double bound) const {
  if (count == 0 || bound < static_cast<double>(min)) return 0;
  if (bound >= static_cast<double>(max)) return count;
  uint64_t below = 0;
  for (const Bucket& at : buckets) {
    auto low = static_cast<double>(bucket_low(at.bucket));
    auto high = static_cast<double>(bucket_high(at.bucket));
    if (bound < low) break;
    if (bound >= high) {
      below += at.count;
      continue;
    }
    double share = (std::floor(bound) - low + 1) / (high - low + 1);
    below += static_cast<uint64_t>(share * static_cast<double>(at.count));
    break;
  }
  return below;
}

HistogramSnapshot HistogramSnapshot::since(const HistogramSnapshot& before) const {
  HistogramSnapshot delta;
  auto old = before.buckets.begin();
  for (const Bucket& at : buckets) {
    while (old != before.buckets.end() && old->bucket < at.bucket) ++old;
    uint64_t had = old != before.buckets.end() && old->bucket == at.bucket ? old->count : 0;
    if (at.count <= had) continue;
    delta.buckets.push_back({at.bucket, at.count - had});
    delta.count += at.count - had;
  }
  if (delta.count == 0) return delta;
  delta.sum = sum - std::min(sum, before.sum);
  delta.min = std::max(min, bucket_low(delta.buckets.front().bucket));
  delta.max = std::min(max, bucket_high(delta.buckets.back().bucket));
  return delta;
}

}  // namespace weir::stats
