#include "filters/http/local_ratelimit/limiter.h"

#include <algorithm>
#include <functional>
#include <string_view>

namespace weir::filters::local_ratelimit {
namespace {

size_t mix(size_t hash, std::string_view text) { return hash * 31 + std::hash<std::string_view>{}(text); }

template <class Entries>
size_t hash_of(const Entries& entries) {
  size_t hash = 0;
  for (const auto& [key, value] : entries) hash = mix(mix(hash, key), value);
  return hash;
}

}  // namespace

Limiter::Limiter(std::optional<BucketSpec> usual, bool always_default, std::vector<LimitedDescriptor> descriptors)
    : has_default_(usual.has_value()), always_default_(always_default) {
  std::stable_sort(descriptors.begin(), descriptors.end(), [](const LimitedDescriptor& a, const LimitedDescriptor& b) {
    return a.bucket.slower_than(b.bucket);
  });
  specs_.push_back(usual.value_or(BucketSpec{}));
  entries_.emplace_back();
  for (LimitedDescriptor& each : descriptors) {
    by_hash_.push_back({hash_of(each.entries), static_cast<uint32_t>(specs_.size())});
    specs_.push_back(each.bucket);
    entries_.push_back(std::move(each.entries));
  }
  std::sort(by_hash_.begin(), by_hash_.end(), [](const Entry& a, const Entry& b) { return a.hash < b.hash; });
}

void Limiter::Request::add(const Limiter& limiter, match::Descriptor descriptor) noexcept {
  if (descriptor.empty() || count_ == kMaxMatches) return;
  const size_t hash = hash_of(descriptor);
  auto at = std::lower_bound(limiter.by_hash_.begin(), limiter.by_hash_.end(), hash,
                             [](const Entry& entry, size_t wanted) { return entry.hash < wanted; });
  for (; at != limiter.by_hash_.end() && at->hash == hash; ++at) {
    const auto& entries = limiter.entries_[at->bucket];
    if (std::equal(
            entries.begin(), entries.end(), descriptor.begin(), descriptor.end(),
            [](const auto& a, const match::DescriptorEntry& b) { return a.first == b.key && a.second == b.value; })) {
      // Two actions may make the same descriptor: it is one request all the same.
      auto end = buckets_.begin() + static_cast<std::ptrdiff_t>(count_);
      if (std::find(buckets_.begin(), end, at->bucket) == end) buckets_[count_++] = at->bucket;
      return;
    }
  }
}

Limiter::Answer Limiter::ask(Request& request, TokenBucket* buckets, MonoTime now) const noexcept {
  auto begin = request.buckets_.begin(), end = begin + static_cast<std::ptrdiff_t>(request.count_);
  std::sort(begin, end);  // the strictest first: what it refuses costs the others nothing
  Answer answer;
  const auto take = [&](uint32_t number) {
    TokenBucket& bucket = buckets[number];
    const bool taken = bucket.take(specs_[number], now);
    if (answer.bucket == nullptr || !taken) {
      answer.spec = &specs_[number];
      answer.bucket = &bucket;
    }
    return answer.allowed = taken;
  };
  for (auto at = begin; at != end; ++at) {
    if (!take(*at)) return answer;
  }
  if (has_default_ && (request.count_ == 0 || always_default_)) take(kDefault);
  return answer;
}

}  // namespace weir::filters::local_ratelimit
