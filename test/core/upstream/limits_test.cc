// Leases over many threads: never over the limit, and back to nothing.
#include "core/upstream/limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "core/base/random.h"

namespace weir::upstream {
namespace {

TEST(Lease, SmallLimitsAreExact) {
  auto limit = std::make_shared<SharedLimit>(3, 2);
  Lease one(limit), two(limit);
  EXPECT_TRUE(one.acquire());
  EXPECT_TRUE(one.acquire());
  EXPECT_TRUE(two.acquire());
  EXPECT_FALSE(two.acquire());
  EXPECT_FALSE(one.acquire());
  one.release();
  EXPECT_TRUE(two.acquire());
  EXPECT_EQ(limit->taken(), 3);
  one.release();
  two.release();
  two.release();
  EXPECT_EQ(limit->taken(), 0);
}

TEST(Lease, ZeroAllowsNothing) {
  auto limit = std::make_shared<SharedLimit>(0, 2);
  Lease lease(limit);
  EXPECT_FALSE(lease.acquire());
  EXPECT_EQ(limit->taken(), 0);
}

TEST(Lease, LargeLimitsAreTakenInBatchesAndUsedUp) {
  auto limit = std::make_shared<SharedLimit>(1000, 2);
  Lease one(limit), two(limit);
  int granted = 0;
  while (one.acquire()) ++granted;
  EXPECT_EQ(granted, 1000);
  EXPECT_FALSE(two.acquire());
  for (int i = 0; i < 1000; ++i) one.release();
  EXPECT_EQ(one.used(), 0u);
  EXPECT_LT(limit->taken(), 200);  // some are kept for the next requests
  one.recall();
  EXPECT_EQ(limit->taken(), 0);
}

TEST(Lease, WhatWasTakenUnderAnotherLimitIsNotUsedUnderALowerOne) {
  auto limit = std::make_shared<SharedLimit>(1024, 1);
  Lease lease(limit);
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(lease.acquire());
  for (int i = 0; i < 30; ++i) lease.release();
  EXPECT_GE(limit->taken(), 30);
  limit->set_max(5);
  lease.look_again();
  EXPECT_EQ(limit->taken(), 0);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(lease.acquire());
  EXPECT_FALSE(lease.acquire());
  for (int i = 0; i < 5; ++i) lease.release();
  EXPECT_EQ(limit->taken(), 0);
}

TEST(Lease, ALowerLimitRefusesNewUseOnly) {
  auto limit = std::make_shared<SharedLimit>(10, 1);
  Lease lease(limit);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(lease.acquire());
  limit->set_max(2);
  EXPECT_FALSE(lease.acquire());
  for (int i = 0; i < 8; ++i) lease.release();
  EXPECT_FALSE(lease.acquire());
  lease.release();
  EXPECT_TRUE(lease.acquire());
}

// What is in use moves over when a cluster is made anew.
TEST(Lease, AnotherLimitTakesOverWhatIsInUse) {
  auto before = std::make_shared<SharedLimit>(100, 1);
  auto after = std::make_shared<SharedLimit>(4, 1);
  Lease lease(before);
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(lease.acquire());
  lease.attach(after, 0);
  EXPECT_EQ(before->taken(), 0);
  EXPECT_EQ(after->taken(), 6);
  EXPECT_FALSE(lease.acquire());
  for (int i = 0; i < 6; ++i) lease.release();
  EXPECT_EQ(after->taken(), 0);
}

TEST(Lease, ALeaseThatDiesGivesBack) {
  auto limit = std::make_shared<SharedLimit>(1000, 1);
  {
    Lease lease(limit);
    EXPECT_TRUE(lease.acquire());
    EXPECT_GT(limit->taken(), 0);
  }
  EXPECT_EQ(limit->taken(), 0);
}

TEST(Lease, ManyThreadsNeverExceedTheLimit) {
  for (uint32_t max : {1u, 7u, 100u, 3000u}) {
    constexpr int kThreads = 4;
    auto limit = std::make_shared<SharedLimit>(max, kThreads);
    std::atomic<int64_t> in_use{0};
    std::atomic<int64_t> worst{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        Random random(static_cast<uint64_t>(t) + 1);
        Lease lease(limit);
        uint32_t mine = 0;
        for (int i = 0; i < 20'000; ++i) {
          if (random.below(100) < 52) {
            if (!lease.acquire()) continue;
            ++mine;
            int64_t now = in_use.fetch_add(1) + 1;
            int64_t seen = worst.load();
            while (now > seen && !worst.compare_exchange_weak(seen, now)) {
            }
          } else if (mine > 0) {
            --mine;
            in_use.fetch_sub(1);
            lease.release();
          } else if (random.below(10) == 0) {
            lease.recall();
          }
        }
        for (; mine > 0; --mine) {
          in_use.fetch_sub(1);
          lease.release();
        }
        EXPECT_EQ(lease.used(), 0u);
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_LE(worst, max);
    EXPECT_EQ(limit->taken(), 0);
  }
}

}  // namespace
}  // namespace weir::upstream
