// The buckets of one filter or route, and which of them a request takes tokens from.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/match/rate_limits.h"
#include "filters/common/token_bucket/token_bucket.h"
#include "filters/http/local_ratelimit/value_buckets.h"

namespace weir::filters::local_ratelimit {

// A descriptor that has a bucket of its own, or one for each of the values that come.
struct LimitedDescriptor {
  std::vector<std::pair<std::string, std::string>> entries;  // an empty value: every value
  BucketSpec bucket;
  bool shadow = false;  // refuses nothing

  bool open() const {
    return std::any_of(entries.begin(), entries.end(), [](const auto& entry) { return entry.second.empty(); });
  }
};

// A set of buckets as a limiter wants it: so many for descriptors, and so many for values.
struct BucketCounts {
  size_t fixed = 0;
  size_t by_value = 0;
};
struct Buckets {
  TokenBucket* fixed = nullptr;
  ValueBucket* by_value = nullptr;
};

// [immutable] The buckets themselves are apart: one set for all connections, or one for each.
class Limiter {
 public:
  // Descriptors of one request: those of a route and of its virtual host.
  static constexpr size_t kMaxMatches = 2 * match::RateLimit::kMaxPerLevel;

  Limiter() = default;
  // [main] Descriptors must differ. `always_default`: requests with a descriptor take from the default bucket too.
  // `values`: that have buckets at the same time, for each descriptor that leaves some open.
  Limiter(std::optional<BucketSpec> usual, bool always_default, std::vector<LimitedDescriptor> descriptors,
          size_t values);

  BucketCounts buckets() const { return {rules_.size(), by_value_}; }
  bool has_descriptors() const { return rules_.size() > 1; }

  using Headers = match::RateLimit::Headers;
  struct Answer {
    bool allowed = true;
    bool shadowed = false;  // a bucket that refuses nothing has been empty
    // That refused, or else the first that was asked, the strictest; nullptr: none concerns the request.
    const BucketSpec* spec = nullptr;
    TokenBucket* bucket = nullptr;
    Headers headers = Headers::kAsTheFilterSays;  // of what made the descriptor
  };
  // Descriptors that a request has and that have buckets; collected one by one.
  class Request {
   public:
    // Counts as `hits`. Of equal descriptors the first counts: it is one request all the same.
    void add(const Limiter& limiter, match::Descriptor descriptor, uint32_t hits, Headers headers) noexcept;

   private:
    friend class Limiter;
    struct Match {
      uint64_t value;  // digest of the values that the rule leaves open
      uint32_t rule;
      uint32_t hits;
      Headers headers;
    };
    std::array<Match, kMaxMatches> matches_;
    size_t count_ = 0;
  };
  // No lock, no heap.
  Answer ask(Request& request, const Buckets& buckets, MonoTime now) const noexcept;
  // Counts what nobody asks about any more: takes what there is. The default bucket has no part in it.
  void charge(const Request& request, const Buckets& buckets, MonoTime now) const noexcept;

 private:
  struct Rule {
    BucketSpec bucket;
    std::vector<std::pair<std::string, std::string>> entries;
    bool shadow = false;
    uint32_t rank = 0;                 // among those of descriptors: the strictest has the least
    std::optional<ValueTable> values;  // of a descriptor that leaves some open,
    size_t first_value = 0;            // and where its buckets begin
  };
  struct Entry {
    size_t hash;
    uint32_t rule;
  };
  static constexpr uint32_t kDefault = 0;

  uint32_t find(match::Descriptor descriptor) const noexcept;
  TokenBucket& bucket_of(const Request::Match& match, const Buckets& buckets, MonoTime now) const noexcept;

  bool has_default_ = false;
  bool always_default_ = true;
  std::vector<Rule> rules_;     // the default, then those of descriptors
  std::vector<Entry> by_hash_;  // of keys and values
  std::vector<Entry> by_keys_;  // those that leave values open
  size_t by_value_ = 0;
  DigestKey key_{0, 0};
};

}  // namespace weir::filters::local_ratelimit
