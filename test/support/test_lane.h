// A lane on a fake clock, driven by hand on the test's own thread: nothing waits and nothing depends on how fast the
// machine is.
#pragma once

#include <cstdint>

#include "core/event/lane.h"
#include "test/support/fake_clock.h"

namespace weir::test {

class TestLane {
 public:
  explicit TestLane(uint32_t index = 1, uint64_t seed = 1)
      : lane_({.index = index, .clock = &clock_, .random_seed = seed}) {
    lane_.enter();
  }
  ~TestLane() { event::Lane::leave(); }
  TestLane(const TestLane&) = delete;
  TestLane& operator=(const TestLane&) = delete;

  event::Lane& lane() { return lane_; }
  FakeClock& clock() { return clock_; }
  operator event::Lane&() { return lane_; }  // NOLINT: stands for the lane wherever one is wanted

  void turn() { lane_.turn(Duration::zero()); }
  void turns(int count) {
    for (int i = 0; i < count; ++i) turn();
  }
  // Moves the clock, then runs what has become due.
  void advance(Duration by) {
    clock_.advance(by);
    turn();
  }

 private:
  FakeClock clock_;
  event::Lane lane_;
};

}  // namespace weir::test
