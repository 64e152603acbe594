#include "filters/http/local_ratelimit/value_buckets.h"

#include <sys/random.h>

#include <cstring>
#include <limits>

#include "core/base/assert.h"

namespace weir::filters::local_ratelimit {

static_assert(std::endian::native == std::endian::little, "words are read as they lie in memory");

DigestKey DigestKey::random() {
  uint64_t words[2];
  WEIR_CHECK(getrandom(words, sizeof words, 0) == static_cast<ssize_t>(sizeof words));
  return {words[0], words[1]};
}

uint64_t DigestKey::digest(std::string_view text, uint64_t before) const noexcept {
  const uint64_t k0 = words_[0] ^ before, k1 = words_[1];
  uint64_t v0 = k0 ^ 0x736f6d6570736575, v1 = k1 ^ 0x646f72616e646f6d;
  uint64_t v2 = k0 ^ 0x6c7967656e657261, v3 = k1 ^ 0x7465646279746573;
  const auto rounds = [&](int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1, v1 = std::rotl(v1, 13) ^ v0, v0 = std::rotl(v0, 32);
      v2 += v3, v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3, v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1, v1 = std::rotl(v1, 17) ^ v2, v2 = std::rotl(v2, 32);
    }
  };
  const auto take = [&](uint64_t word) {
    v3 ^= word;
    rounds(2);
    v0 ^= word;
  };
  const size_t tail = text.size() % 8;
  uint64_t word = 0;
  for (size_t at = 0; at + 8 <= text.size(); at += 8) {
    std::memcpy(&word, text.data() + at, 8);
    take(word);
  }
  word = 0;
  if (tail > 0) std::memcpy(&word, text.data() + text.size() - tail, tail);
  take(word | uint64_t{text.size()} << 56);
  v2 ^= 0xff;
  rounds(4);
  return v0 ^ v1 ^ v2 ^ v3;
}

TokenBucket& ValueTable::find(ValueBucket* table, uint64_t digest, MonoTime now) const noexcept {
  if (digest == 0) digest = 1;  // 0 is free
  const int64_t ticks = now.time_since_epoch().count();
  ValueBucket* const set = table + (digest & (sets_ - 1)) * ways_;
  // Who loses a place to another lane looks again: that lane may have brought the same value.
  while (true) {
    ValueBucket* oldest = set;
    uint64_t value_of_oldest = 0;
    int64_t age = std::numeric_limits<int64_t>::max();
    for (ValueBucket* each = set; each != set + ways_; ++each) {
      const uint64_t value = each->value.load(std::memory_order_acquire);
      const int64_t used = each->used.load(std::memory_order_relaxed);
      if (value == digest) {
        if (used != ticks) each->used.store(ticks, std::memory_order_relaxed);
        return each->bucket;
      }
      const int64_t rank = value == 0 ? std::numeric_limits<int64_t>::min() : used;
      if (rank >= age) continue;
      oldest = each;
      value_of_oldest = value;
      age = rank;
    }
    if (!oldest->value.compare_exchange_strong(value_of_oldest, digest, std::memory_order_acq_rel)) continue;
    oldest->used.store(ticks, std::memory_order_relaxed);
    oldest->bucket.renew();
    return oldest->bucket;
  }
}

}  // namespace weir::filters::local_ratelimit
