#include "filters/http/local_ratelimit/limiter.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

namespace weir::filters::local_ratelimit {
namespace {

size_t mix(size_t hash, std::string_view text) { return hash * 31 + std::hash<std::string_view>{}(text); }

template <class Entries>
size_t hash_of(const Entries& entries) {
  size_t hash = 0;
  for (const auto& [key, value] : entries) hash = mix(mix(hash, key), value);
  return hash;
}

template <class Entries>
size_t hash_of_keys(const Entries& entries) {
  size_t hash = 0;
  for (const auto& [key, value] : entries) hash = mix(hash, key);
  return hash;
}

}  // namespace

Limiter::Limiter(std::optional<BucketSpec> usual, bool always_default, std::vector<LimitedDescriptor> descriptors,
                 size_t values)
    : has_default_(usual.has_value()), always_default_(always_default), key_(DigestKey::random()) {
  rules_.push_back({.bucket = usual.value_or(BucketSpec{}), .entries = {}, .shadow = false, .rank = 0, .values = {}});
  for (LimitedDescriptor& each : descriptors) {
    Rule& rule = rules_.emplace_back();
    rule.bucket = each.bucket;
    rule.shadow = each.shadow;
    if (each.open()) {
      rule.values.emplace(values);
      rule.first_value = std::exchange(by_value_, by_value_ + rule.values->size());
    }
    rule.entries = std::move(each.entries);
  }
  std::vector<Rule*> strictest;
  for (uint32_t i = 1; i < rules_.size(); ++i) {
    Rule& rule = rules_[i];
    strictest.push_back(&rule);
    if (rule.values) {
      by_keys_.push_back({hash_of_keys(rule.entries), i});
    } else {
      by_hash_.push_back({hash_of(rule.entries), i});
    }
  }
  std::stable_sort(strictest.begin(), strictest.end(),
                   [](const Rule* a, const Rule* b) { return a->bucket.slower_than(b->bucket); });
  for (uint32_t i = 0; i < strictest.size(); ++i) strictest[i]->rank = i;
  for (auto* index : {&by_hash_, &by_keys_}) {
    std::stable_sort(index->begin(), index->end(), [](const Entry& a, const Entry& b) { return a.hash < b.hash; });
  }
}

// The rule of exactly this descriptor, or else the first in the configuration that leaves open what differs.
uint32_t Limiter::find(match::Descriptor descriptor) const noexcept {
  const auto look = [&](const std::vector<Entry>& index, size_t hash) {
    auto at = std::lower_bound(index.begin(), index.end(), hash,
                               [](const Entry& entry, size_t wanted) { return entry.hash < wanted; });
    for (; at != index.end() && at->hash == hash; ++at) {
      const bool open = rules_[at->rule].values.has_value();
      const auto& entries = rules_[at->rule].entries;
      const bool fits = std::equal(entries.begin(), entries.end(), descriptor.begin(), descriptor.end(),
                                   [open](const auto& a, const match::DescriptorEntry& b) {
                                     return a.first == b.key && ((open && a.second.empty()) || a.second == b.value);
                                   });
      if (fits) return at->rule;
    }
    return kDefault;
  };
  uint32_t rule = by_hash_.empty() ? kDefault : look(by_hash_, hash_of(descriptor));
  if (rule == kDefault && !by_keys_.empty()) rule = look(by_keys_, hash_of_keys(descriptor));
  return rule;
}

void Limiter::Request::add(const Limiter& limiter, match::Descriptor descriptor, uint32_t hits,
                           Headers headers) noexcept {
  if (descriptor.empty() || count_ == kMaxMatches) return;
  const uint32_t number = limiter.find(descriptor);
  if (number == kDefault) return;
  const Rule& rule = limiter.rules_[number];
  uint64_t value = 0;
  for (size_t i = 0; rule.values && i < descriptor.size(); ++i) {
    if (rule.entries[i].second.empty()) value = limiter.key_.digest(descriptor[i].value, value);
  }
  auto end = matches_.begin() + static_cast<std::ptrdiff_t>(count_);
  const bool known =
      std::any_of(matches_.begin(), end, [&](const Match& each) { return each.rule == number && each.value == value; });
  if (!known) matches_[count_++] = {value, number, hits, headers};
}

TokenBucket& Limiter::bucket_of(const Request::Match& match, const Buckets& buckets, MonoTime now) const noexcept {
  const Rule& rule = rules_[match.rule];
  return rule.values ? rule.values->find(buckets.by_value + rule.first_value, match.value, now)
                     : buckets.fixed[match.rule];
}

Limiter::Answer Limiter::ask(Request& request, const Buckets& buckets, MonoTime now) const noexcept {
  auto begin = request.matches_.begin(), end = begin + static_cast<std::ptrdiff_t>(request.count_);
  // The strictest first: what it refuses costs the others nothing.
  std::sort(begin, end, [this](const Request::Match& a, const Request::Match& b) {
    return rules_[a.rule].rank < rules_[b.rule].rank;
  });
  Answer answer;
  const auto take = [&](const Request::Match& match) {
    const Rule& rule = rules_[match.rule];
    TokenBucket& bucket = bucket_of(match, buckets, now);
    const bool taken = bucket.take(rule.bucket, now, match.hits);
    answer.allowed = taken || rule.shadow;
    answer.shadowed |= !taken && rule.shadow;
    if (answer.bucket == nullptr || !answer.allowed) {
      answer.spec = &rule.bucket;
      answer.bucket = &bucket;
      answer.headers = match.headers;
    }
    return answer.allowed;
  };
  for (auto at = begin; at != end; ++at) {
    if (!take(*at)) return answer;
  }
  if (has_default_ && (request.count_ == 0 || always_default_)) take({0, kDefault, 1, Headers::kAsTheFilterSays});
  return answer;
}

void Limiter::charge(const Request& request, const Buckets& buckets, MonoTime now) const noexcept {
  for (size_t i = 0; i < request.count_; ++i) {
    const Request::Match& match = request.matches_[i];
    bucket_of(match, buckets, now).drain(rules_[match.rule].bucket, now, match.hits);
  }
}

}  // namespace weir::filters::local_ratelimit
