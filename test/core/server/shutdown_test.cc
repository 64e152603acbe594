#include "core/server/shutdown.h"

#include <gtest/gtest.h>

#include "core/server/worker.h"
#include "test/support/fake_clock.h"

namespace weir::server {
namespace {

class ShutdownTest : public testing::Test {
 protected:
  ShutdownTest() {
    workers_.push_back(std::make_unique<Worker>(event::Lane::Options{.index = 1, .clock = &clock_}));
    loads_ = std::make_shared<proxy::LaneLoads>(std::vector<event::Lane*>{&workers_[0]->lane()});
    main_.attach(loads_);
    workers_[0]->attach(loads_);
  }
  ~ShutdownTest() override {
    for (Worker* worker : {workers_[0].get(), &main_}) worker->wind_down();
  }
  void begin(const Shutdown::Plan& plan) {
    main_.lane().turn(Duration::zero());
    shutdown_ = std::make_unique<Shutdown>(main_.lane(), workers_, *loads_, plan, [this](int64_t cut_off) {
      ++done_;
      cut_off_ = cut_off;
    });
    advance(Duration::zero());
  }
  void advance(Duration by) {
    clock_.advance(by);
    for (int i = 0; i < 3; ++i) {
      main_.lane().turn(Duration::zero());
      if (worker_runs_) workers_[0]->lane().turn(Duration::zero());
    }
  }
  bool draining() { return workers_[0]->listeners().draining(proxy::ListenerSpec{}); }
  void set_connections(int count) { loads_->loads[0].connections = count; }

  test::FakeClock clock_;
  Worker main_{{.index = 0, .clock = &clock_}};
  std::vector<std::unique_ptr<Worker>> workers_;
  std::shared_ptr<proxy::LaneLoads> loads_;
  std::unique_ptr<Shutdown> shutdown_;
  bool worker_runs_ = true;
  int done_ = 0;
  int64_t cut_off_ = -1;
};

TEST_F(ShutdownTest, EndsWhenTheLastConnectionHasGone) {
  set_connections(2);
  begin({.deadline = 25s});
  EXPECT_TRUE(draining());
  advance(10s);
  EXPECT_EQ(done_, 0);
  set_connections(0);
  advance(20ms);
  EXPECT_EQ(done_, 1);
  EXPECT_EQ(cut_off_, 0);
  advance(60s);
  EXPECT_EQ(done_, 1);
}

TEST_F(ShutdownTest, CutsOffAtTheDeadline) {
  set_connections(3);
  begin({.deadline = 25s});
  advance(25s - 1ms);
  EXPECT_EQ(done_, 0);
  advance(1ms);
  EXPECT_EQ(done_, 1);
  EXPECT_EQ(cut_off_, 3);
}

TEST_F(ShutdownTest, ListenersAcceptUntilTheDelayIsOver) {
  begin({.delay = 5s, .deadline = 25s});
  advance(5s - 1ms);
  EXPECT_FALSE(draining());
  EXPECT_EQ(done_, 0);  // nobody is connected, but somebody may come
  advance(1ms);
  EXPECT_TRUE(draining());
  set_connections(1);
  advance(20s);  // the deadline counts from the beginning
  EXPECT_EQ(done_, 1);
  EXPECT_EQ(cut_off_, 1);
}

// A worker that has not yet looked at its listening socket may still find connections there.
TEST_F(ShutdownTest, WaitsForEveryWorkerToStopAccepting) {
  worker_runs_ = false;
  begin({.deadline = 25s});
  advance(1s);
  EXPECT_EQ(done_, 0);
  worker_runs_ = true;
  advance(20ms);
  advance(20ms);
  EXPECT_EQ(done_, 1);
  EXPECT_EQ(cut_off_, 0);
}

TEST_F(ShutdownTest, WhoTakesOverIsToldOnce) {
  int closed = 0;
  set_connections(1);
  begin({.deadline = 25s, .handed_over = true, .closed = [&] { ++closed; }});
  advance(1s);
  EXPECT_EQ(closed, 1);
  advance(4s);  // a worker that is stuck would be given up by now
  EXPECT_EQ(closed, 1);
}

TEST_F(ShutdownTest, WhoTakesOverDoesNotWaitForAWorkerThatIsStuck) {
  worker_runs_ = false;
  int closed = 0;
  begin({.deadline = 25s, .handed_over = true, .closed = [&] { ++closed; }});
  advance(3s - 1ms);
  EXPECT_EQ(closed, 0);
  advance(1ms);
  advance(20ms);
  EXPECT_EQ(closed, 1);
  worker_runs_ = true;
  advance(1s);
  EXPECT_EQ(closed, 1);
}

}  // namespace
}  // namespace weir::server
