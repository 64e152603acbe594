// What local_ratelimit counts with: token buckets, and tables of them for values that nobody knew.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "filters/http/local_ratelimit/value_buckets.h"

namespace weir::test {
namespace {

using filters::BucketSpec;
using filters::TokenBucket;
using filters::local_ratelimit::DigestKey;
using filters::local_ratelimit::ValueBucket;
using filters::local_ratelimit::ValueTable;

MonoTime at(Duration since) { return MonoTime(std::chrono::hours(1) + since); }

TEST(TokenBucket, FillsAtTheEndOfEachInterval) {
  const BucketSpec spec{3, 2, 100ms};
  TokenBucket bucket;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(spec, at(0ms)));
  EXPECT_FALSE(bucket.take(spec, at(0ms)));
  EXPECT_FALSE(bucket.take(spec, at(99ms)));
  EXPECT_EQ(bucket.until_fill(spec, at(99ms)), 1ms);
  EXPECT_EQ(bucket.tokens(spec, at(100ms)), 2u);
  EXPECT_TRUE(bucket.take(spec, at(100ms)));
  EXPECT_TRUE(bucket.take(spec, at(150ms)));
  EXPECT_FALSE(bucket.take(spec, at(199ms)));
  EXPECT_EQ(bucket.tokens(spec, at(10s)), 3u);  // no more than fit
  // A lane whose turn began a little earlier neither gets tokens twice nor takes them from the future.
  EXPECT_TRUE(bucket.take(spec, at(10s)));
  EXPECT_TRUE(bucket.take(spec, at(9900ms)));
  EXPECT_TRUE(bucket.take(spec, at(10s)));
  EXPECT_FALSE(bucket.take(spec, at(10s)));
}

TEST(TokenBucket, GivesManyTokensOrNone) {
  const BucketSpec spec{10, 1, 100ms};
  TokenBucket bucket;
  EXPECT_FALSE(bucket.take(spec, at(0ms), 11));
  EXPECT_TRUE(bucket.take(spec, at(0ms), 7));
  EXPECT_FALSE(bucket.take(spec, at(0ms), 4));
  EXPECT_EQ(bucket.tokens(spec, at(0ms)), 3u);
  EXPECT_TRUE(bucket.take(spec, at(0ms), 0));
  EXPECT_EQ(bucket.tokens(spec, at(0ms)), 3u);
  bucket.drain(spec, at(0ms), 2);
  EXPECT_EQ(bucket.tokens(spec, at(0ms)), 1u);
  bucket.drain(spec, at(0ms), 1'000'000'000);
  EXPECT_EQ(bucket.tokens(spec, at(0ms)), 0u);
  EXPECT_FALSE(bucket.take(spec, at(0ms), 0));
  EXPECT_EQ(bucket.tokens(spec, at(100ms)), 1u);  // what was asked for beyond the last token is forgotten
  bucket.renew();
  EXPECT_EQ(bucket.tokens(spec, at(100ms)), 10u);
}

TEST(TokenBucket, LanesNeverGetOneTokenTwice) {
  const BucketSpec spec{10'000, 10'000, 1h};
  TokenBucket bucket;
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      int mine = 0;
      for (int j = 0; j < 5'000; ++j) mine += bucket.take(spec, at(0ms));
      taken += mine;
    });
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(taken, 10'000);
}

// The vectors that the authors of SipHash published: the key is 00 01 ... 0f, the texts are 00 01 02 ...
TEST(DigestKey, IsSipHash) {
  const DigestKey key(0x0706050403020100, 0x0f0e0d0c0b0a0908);
  std::string text;
  for (char c = 0; c < 15; ++c) text += c;
  EXPECT_EQ(key.digest(""), 0x726fdb47dd0e0e31u);
  EXPECT_EQ(key.digest(text.substr(0, 1)), 0x74f839c593dc67fdu);
  EXPECT_EQ(key.digest(text.substr(0, 8)), 0x93f5f5799a932462u);
  EXPECT_EQ(key.digest(text), 0xa129ca6149be45e5u);
  // What is a value and what the next one is part of the digest.
  EXPECT_NE(key.digest("bc", key.digest("a")), key.digest("c", key.digest("ab")));
  EXPECT_NE(DigestKey::random().digest("a"), DigestKey::random().digest("a"));
}

TEST(ValueTable, TheLeastRecentlyUsedGoes) {
  const BucketSpec spec{1, 1, 1h};
  const ValueTable table(3);
  ASSERT_EQ(table.size(), 3u);
  std::vector<ValueBucket> memory(table.size());
  MonoTime now = at(0ms);
  const auto passes = [&](uint64_t value) { return table.find(memory.data(), value, now += 1ms).take(spec, now); };
  for (uint64_t value : {0, 1, 2}) {  // 0 is a digest like others, and shares its place with 1
    EXPECT_EQ(passes(value), value != 1) << value;
  }
  EXPECT_TRUE(passes(3));
  EXPECT_FALSE(passes(1));
  EXPECT_TRUE(passes(4));  // instead of 2
  EXPECT_FALSE(passes(3));
  EXPECT_FALSE(passes(1));
  EXPECT_FALSE(passes(4));
  EXPECT_TRUE(passes(2));  // instead of 3
  EXPECT_TRUE(passes(3));  // instead of 1
}

TEST(ValueTable, KeepsAsManyValuesAsItIsFor) {
  const BucketSpec spec{1, 1, 1h};
  const DigestKey key(1, 2);
  for (size_t values : {1, 2, 20, 32, 33, 1000, 20'000}) {
    const ValueTable table(values);
    EXPECT_LE(table.size(), values <= 32 ? values : 4 * values) << values;
    std::vector<ValueBucket> memory(table.size());
    MonoTime now = at(0ms);
    size_t passed = 0;
    for (int round = 0; round < 3; ++round) {
      for (size_t i = 0; i < values; ++i) {
        passed += table.find(memory.data(), key.digest(std::to_string(i)), now += 1us).take(spec, now);
      }
    }
    EXPECT_EQ(passed, values);
    // Whatever comes, the memory is what it was.
    for (size_t i = 0; i < 3 * values; ++i) table.find(memory.data(), key.digest(std::to_string(-i)), now += 1us);
  }
}

// Lanes that use the same values, more than there is room for, at the same time. No value gets more than its bucket
// holds for each time that it gets one; under ThreadSanitizer nothing is said.
TEST(ValueTable, LanesShareIt) {
  const BucketSpec spec{100, 1, 1h};
  const DigestKey key(3, 4);
  const ValueTable fits(64), small(20);
  for (const ValueTable* table : {&fits, &small}) {
    std::vector<ValueBucket> memory(table->size());
    std::atomic<uint64_t> passed{0};
    std::vector<std::thread> threads;
    for (int lane = 0; lane < 4; ++lane) {
      threads.emplace_back([&, lane] {
        uint64_t mine = 0;
        for (int i = 0; i < 20'000; ++i) {
          const uint64_t value = key.digest(std::to_string((i * (lane + 1)) % 64));
          const MonoTime now = at(std::chrono::microseconds(i));
          mine += table->find(memory.data(), value, now).take(spec, now);
        }
        passed += mine;
      });
    }
    for (std::thread& each : threads) each.join();
    EXPECT_GE(passed, 6'400u);
    // With room for all, only values that two lanes bring at once may have got a bucket again.
    if (table == &fits) {
      EXPECT_LE(passed, 4 * 6'400u);
    }
  }
}

}  // namespace
}  // namespace weir::test
