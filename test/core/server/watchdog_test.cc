// Lanes that are held up, seen from outside.
#include "core/server/watchdog.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

#include "core/base/log.h"
#include "core/event/activity.h"

namespace weir::server {
namespace {

void sleep_a_little() { std::this_thread::sleep_for(std::chrono::milliseconds(2)); }

template <class Condition>
bool wait_for(Condition condition) {
  for (int i = 0; i < 5000 && !condition(); ++i) sleep_a_little();
  return condition();
}

// A lane on a thread of its own, which can be made to do one thing until it is let go.
class BusyLane {
 public:
  explicit BusyLane(uint32_t index) : lane_({.index = index}), thread_([this] { lane_.run(); }) {}
  ~BusyLane() {
    let_go();
    lane_.stop();
    thread_.join();
  }
  const event::Lane& lane() const { return lane_; }
  pthread_t thread() { return thread_.native_handle(); }
  void hold(std::string_view what) {
    held_ = true;
    what_ = what;
    lane_.post([this] {
      if (what_.empty()) return wait();
      const event::ActivityScope outer(kOuter);
      const event::ActivityScope doing(what_);
      wait();
    });
  }
  void let_go() { held_ = false; }

 private:
  static constexpr std::string_view kOuter = "somebody";
  void wait() {
    while (held_) sleep_a_little();
  }
  std::atomic<bool> held_{false};
  std::string_view what_;
  event::Lane lane_;
  std::thread thread_;
};

class WatchdogTest : public testing::Test {
 protected:
  WatchdogTest() : path_(testing::TempDir() + "watchdog." + std::to_string(getpid()) + ".log") {
    EXPECT_TRUE(log::set_path(path_));
  }
  ~WatchdogTest() override {
    log::set_path("");
    unlink(path_.c_str());
  }
  std::string logged() const {
    std::stringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  bool waits_for_line(const std::string& text) const {
    return wait_for([&] { return logged().find(text) != std::string::npos; });
  }
  uint64_t counted(const std::string& name) { return store_.counter(name).value(); }

  const std::string path_;
  stats::Store store_;
  Watchdog watchdog_{store_};
};

constexpr WatchdogLimits kQuick{.miss = 20ms, .mega_miss = 100ms};

TEST_F(WatchdogTest, SaysWhileItIsStuckWhatALaneDoes) {
  BusyLane worker(1);
  BusyLane other(2);
  watchdog_.watch(worker.lane(), worker.thread());
  watchdog_.watch(other.lane(), other.thread());
  watchdog_.start({kQuick, kQuick});
  worker.hold("a hook");
  EXPECT_TRUE(waits_for_line("worker 0 is stuck: its turn takes "));
  EXPECT_TRUE(waits_for_line(" ms by now, in a hook, called by somebody; "));
  EXPECT_EQ(logged().find("goes on"), std::string::npos);
  // Again when it has taken twice as long.
  EXPECT_TRUE(wait_for([&] { return logged().find("is stuck") != logged().rfind("is stuck"); }));
  worker.let_go();
  EXPECT_TRUE(waits_for_line("worker 0 goes on; its turn took more than "));
  watchdog_.stop();
  EXPECT_EQ(counted("workers.watchdog_miss"), 1U);
  EXPECT_EQ(counted("workers.watchdog_mega_miss"), 1U);
  EXPECT_EQ(counted("server.worker_0.watchdog_mega_miss"), 1U);
  EXPECT_EQ(counted("server.worker_1.watchdog_miss"), 0U);
  EXPECT_EQ(logged().find("worker 1"), std::string::npos);
}

TEST_F(WatchdogTest, ALaneThatWaitsIsNotStuck) {
  BusyLane main(0);
  watchdog_.watch(main.lane(), main.thread());
  watchdog_.start({kQuick, kQuick});
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(counted("main_thread.watchdog_miss"), 0U);
  main.hold("");
  EXPECT_TRUE(waits_for_line("the main thread is stuck: its turn takes "));
  EXPECT_TRUE(waits_for_line("in weir's own work, and no hook of a filter; "));
  main.let_go();
  EXPECT_TRUE(waits_for_line("the main thread goes on"));
  watchdog_.stop();
  EXPECT_EQ(counted("server.main_thread.watchdog_mega_miss"), 1U);
  EXPECT_EQ(counted("main_thread.watchdog_mega_miss"), 1U);
}

TEST_F(WatchdogTest, AThreadThatDoesNotAnswer) {
  BusyLane worker(1);
  sigset_t asked;
  sigemptyset(&asked);
  sigaddset(&asked, Watchdog::signal());
  std::atomic<bool> blocked{false};
  const_cast<event::Lane&>(worker.lane()).post([&] {
    pthread_sigmask(SIG_BLOCK, &asked, nullptr);
    blocked = true;
  });
  ASSERT_TRUE(wait_for([&] { return blocked.load(); }));
  watchdog_.watch(worker.lane(), worker.thread());
  watchdog_.start({kQuick, kQuick});
  worker.hold("a hook");
  EXPECT_TRUE(waits_for_line("in a call to the kernel that does not return; "));
  worker.let_go();
  EXPECT_TRUE(waits_for_line("goes on"));
  watchdog_.stop();
}

using WatchdogDeathTest = WatchdogTest;

TEST_F(WatchdogDeathTest, EndsAProcessThatIsStuckForTooLong) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto run = [&](const WatchdogLimits& limits) {
    log::set_path("");
    BusyLane one(1), two(2);
    watchdog_.watch(one.lane(), one.thread());
    watchdog_.watch(two.lane(), two.thread());
    watchdog_.start({kQuick, limits});
    one.hold("a hook");
    two.hold("a hook");
    std::this_thread::sleep_for(std::chrono::seconds(20));
  };
  EXPECT_DEATH(run({.kill = 50ms, .kill_jitter = 20ms}), "in a hook.*\n.*has been stuck for longer than kill_timeout");
  EXPECT_DEATH(run({.multikill = 50ms, .multikill_share = 0.5}), "2 threads have been stuck for longer than multikill");
}

}  // namespace
}  // namespace weir::server
