#include "core/event/background.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "core/event/lane.h"

namespace weir::event {
namespace {

class BackgroundTest : public testing::Test {
 protected:
  BackgroundTest() { lane_.enter(); }
  ~BackgroundTest() override { Lane::leave(); }
  template <class Condition>
  void wait(Condition condition) {
    while (!condition()) lane_.turn(1ms);
  }
  Lane lane_{Lane::Options{}};
};

TEST_F(BackgroundTest, JobsRunElsewhereInOrderAndEndHere) {
  Background background(lane_);
  std::vector<int> run, done;
  std::thread::id job_thread, done_thread;
  for (int i = 0; i < 20; ++i) {
    background.submit(
        [&, i] {
          run.push_back(i);
          job_thread = std::this_thread::get_id();
        },
        [&, i] {
          done.push_back(i);
          done_thread = std::this_thread::get_id();
        });
  }
  wait([&] { return done.size() == 20; });
  EXPECT_EQ(run, done);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(run[static_cast<size_t>(i)], i);
  EXPECT_NE(job_thread, std::this_thread::get_id());
  EXPECT_EQ(done_thread, std::this_thread::get_id());
}

TEST_F(BackgroundTest, WhatBothHoldEndsOnTheLane) {
  Background background(lane_);
  std::thread::id destroyed_on;
  struct Held {
    std::thread::id& at;
    ~Held() { at = std::this_thread::get_id(); }
  };
  bool done = false;
  auto held = std::make_shared<Held>(destroyed_on);
  background.submit([held] {}, [held, &done] { done = true; });
  held.reset();
  wait([&] { return done; });
  lane_.turn(Duration::zero());
  EXPECT_EQ(destroyed_on, std::this_thread::get_id());
}

TEST_F(BackgroundTest, ItsEndWaitsForTheJobThatRunsAndDropsTheOthers) {
  std::atomic<int> started{0}, finished{0};
  std::atomic<bool> go{false};
  {
    Background background(lane_);
    for (int i = 0; i < 3; ++i) {
      background.submit(
          [&] {
            ++started;
            while (!go) std::this_thread::yield();
            ++finished;
          },
          [] { FAIL() << "nobody turns the lane"; });
    }
    while (started == 0) std::this_thread::yield();
    go = true;
  }
  EXPECT_EQ(started, finished);
  EXPECT_GE(finished, 1);
}

TEST_F(BackgroundTest, CountsTheTimeOfItsJobs) {
  Background background(lane_);
  bool done = false;
  background.submit(
      [] {
        const Duration begin = thread_cpu_time();
        while (thread_cpu_time() - begin < 5ms) continue;
      },
      [&] { done = true; });
  wait([&] { return done; });
  EXPECT_GE(background.cpu_time(), 5ms);
}

}  // namespace
}  // namespace weir::event
