// The buckets of one filter or route, and which of them a request takes tokens from.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/match/rate_limits.h"
#include "filters/http/local_ratelimit/token_bucket.h"

namespace weir::filters::local_ratelimit {

// A descriptor that has a bucket of its own.
struct LimitedDescriptor {
  std::vector<std::pair<std::string, std::string>> entries;
  BucketSpec bucket;
};

// [immutable] The buckets themselves are apart: one set for all connections, or one for each.
class Limiter {
 public:
  // Descriptors of one request: those of a route and of its virtual host.
  static constexpr size_t kMaxMatches = 2 * match::RateLimit::kMaxPerLevel;

  Limiter() = default;
  // [main] Descriptors must differ. `always_default`: requests with a descriptor take from the default bucket too.
  Limiter(std::optional<BucketSpec> usual, bool always_default, std::vector<LimitedDescriptor> descriptors);

  // Buckets that a set needs: that of requests without a descriptor first.
  size_t buckets() const { return specs_.size(); }
  bool has_descriptors() const { return !by_hash_.empty(); }

  struct Answer {
    bool allowed = true;
    // That refused, or else the first that was asked, the strictest; nullptr: none concerns the request.
    const BucketSpec* spec = nullptr;
    TokenBucket* bucket = nullptr;
  };
  // Descriptors that a request has, as buckets; collected one by one.
  class Request {
   public:
    void add(const Limiter& limiter, match::Descriptor descriptor) noexcept;

   private:
    friend class Limiter;
    std::array<uint32_t, kMaxMatches> buckets_;
    size_t count_ = 0;
  };
  // No lock, no heap.
  Answer ask(Request& request, TokenBucket* buckets, MonoTime now) const noexcept;

 private:
  struct Entry {
    size_t hash;
    uint32_t bucket;
  };
  static constexpr uint32_t kDefault = 0;

  bool has_default_ = false;
  bool always_default_ = true;
  std::vector<BucketSpec> specs_;  // the default, then those of descriptors, the strictest first
  std::vector<std::vector<std::pair<std::string, std::string>>> entries_;  // beside specs_
  std::vector<Entry> by_hash_;
};

}  // namespace weir::filters::local_ratelimit
