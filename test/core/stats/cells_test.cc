#include "core/stats/cells.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "core/stats/handles.h"

namespace weir::stats {
namespace {

TEST(Cells, CountsOfEndedThreadsAreKept) {
  uint32_t first = reserve_cells(2);
  Counter counter(first);
  Gauge gauge(first + 1);
  for (int round = 0; round < 3; ++round) {
    std::thread([&] {
      counter.add(5);
      gauge.inc();
    }).join();
    gauge.dec();
    counter.inc();
  }
  EXPECT_EQ(counter.value(), 18u);
  EXPECT_EQ(gauge.value(), 0);
  release_cells(first, 2);
}

TEST(Cells, AGaugeMayBeNegativeOnAThread) {
  uint32_t first = reserve_cells(1);
  Gauge gauge(first);
  gauge.add(-3);
  EXPECT_EQ(gauge.value(), -3);
  std::thread([&] { gauge.add(10); }).join();
  EXPECT_EQ(gauge.value(), 7);
  release_cells(first, 1);
}

TEST(Cells, ReleasedCellsComeBackZeroOnEveryThread) {
  uint32_t first = reserve_cells(700);  // over the end of a page
  for (uint32_t i = 0; i < 700; ++i) Counter(first + i).inc();
  std::thread([&] {
    for (uint32_t i = 0; i < 700; ++i) Counter(first + i).inc();
  }).join();
  std::vector<uint64_t> sums(700);
  read_cells(first, sums);
  for (uint64_t sum : sums) EXPECT_EQ(sum, 2u);
  release_cells(first, 700);
  EXPECT_EQ(reserve_cells(700), first);
  read_cells(first, sums);
  for (uint64_t sum : sums) EXPECT_EQ(sum, 0u);
  release_cells(first, 700);
}

TEST(Cells, SmallPiecesOfOneSizeHavePagesOfTheirOwn) {
  std::vector<uint32_t> small, odd;
  for (int i = 0; i < 200; ++i) {
    small.push_back(reserve_cells(8));
    odd.push_back(reserve_cells(9));
  }
  std::set<uint32_t> pages;
  for (uint32_t first : small) {
    EXPECT_EQ(first / kCellsPerPage, (first + 7) / kCellsPerPage);
    pages.insert(first / kCellsPerPage);
  }
  EXPECT_LE(pages.size(), 5u);  // 64 in each; the first page may have been begun before
  for (uint32_t first : odd) {
    EXPECT_FALSE(pages.contains(first / kCellsPerPage));
    EXPECT_FALSE(pages.contains((first + 8) / kCellsPerPage));
  }
  for (uint32_t first : small) release_cells(first, 8);
  for (uint32_t first : odd) release_cells(first, 9);
}

TEST(Cells, HandlesMadeByDefaultCountIntoNowhere) {
  Counter().inc();
  Gauge().set(12);
  Histogram().record(7);
  EXPECT_NE(reserve_cells(1), 0u);
}

// Something that counts when its thread is already over, as destructors of thread_local objects may.
struct CountsAtTheEnd {
  Counter counter;
  ~CountsAtTheEnd() { counter.inc(); }
};

TEST(Cells, CountingFromADestructorAtTheEndOfAThread) {
  uint32_t cell = reserve_cells(1);
  for (int i = 0; i < 3; ++i) {
    std::thread([&] {
      // Constructed before the thread's first count, so destroyed after its registration.
      thread_local CountsAtTheEnd late;
      late.counter = Counter(cell);
      Counter(cell).inc();
    }).join();
  }
  EXPECT_EQ(read_cell(cell), 6u);
}

TEST(Cells, WritersAndReadersAtOnce) {
  constexpr int kThreads = 4;
  constexpr uint64_t kEach = 20000;
  uint32_t first = reserve_cells(3);
  Counter counter(first);
  Gauge gauge(first + 1);
  std::atomic<int> running{kThreads};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (uint64_t n = 0; n < kEach; ++n) {
        counter.inc();
        gauge.inc();
        gauge.dec();
      }
      --running;
    });
  }
  uint64_t before = 0;
  while (running > 0) {
    uint64_t now = counter.value();
    EXPECT_GE(now, before);
    before = now;
    uint32_t other = reserve_cells(16);  // main goes on making and dropping things
    Counter(other).inc();
    release_cells(other, 16);
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), kThreads * kEach);
  EXPECT_EQ(gauge.value(), 0);
  release_cells(first, 3);
}

TEST(Cells, ManyShortThreads) {
  uint32_t cell = reserve_cells(1);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { Counter(cell).inc(); });
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(read_cell(cell), 200u);
  release_cells(cell, 1);
}

}  // namespace
}  // namespace weir::stats
