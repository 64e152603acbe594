// Buckets for values that the configuration does not know: as many as a table has room for, found by a digest of the
// value, so that a value costs the same however long it is.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/time.h"
#include "filters/common/token_bucket/token_bucket.h"

namespace weir::filters::local_ratelimit {

// SipHash-2-4 (Aumasson and Bernstein, 2012). Clients that do not know the key cannot make two values with one digest.
// [immutable]
class DigestKey {
 public:
  DigestKey(uint64_t first, uint64_t second) : words_{first, second} {}
  static DigestKey random();  // [main]
  // Of `text` behind what `before` is the digest of.
  uint64_t digest(std::string_view text, uint64_t before = 0) const noexcept;

 private:
  std::array<uint64_t, 2> words_;
};

struct ValueBucket {
  std::atomic<uint64_t> value{0};  // a digest; 0: free
  std::atomic<int64_t> used{0};    // the start of the turn that it was used in
  TokenBucket bucket;
};

// The shape of one table. [immutable] Its memory is the caller's, and any number of lanes use it at the same time
// without a lock. Up to kWays values, the one that goes for another is the least recently used of all. More are dealt
// out over sets by their digests, with room for twice as many, so that hardly a set overflows before the table is full;
// what goes is then the least recently used of the set.
class ValueTable {
 public:
  static constexpr size_t kWays = 32;

  // `values` > 0: that have buckets at the same time.
  explicit ValueTable(size_t values)
      : sets_(values <= kWays ? 1 : std::bit_ceil((values + kWays / 2 - 1) / (kWays / 2))),
        ways_(values <= kWays ? values : kWays) {}
  size_t size() const { return sets_ * ways_; }

  // The bucket of a value, a full one if it has none yet. `table`: size() of them. [any] Lanes that bring values to one
  // set in the same instant may cost one of these values its bucket: it is full again then, as if another value had
  // come in between. Never does one token of a bucket go to two.
  TokenBucket& find(ValueBucket* table, uint64_t digest, MonoTime now) const noexcept;

 private:
  size_t sets_;
  size_t ways_;
};

}  // namespace weir::filters::local_ratelimit
