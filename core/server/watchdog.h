// Says, from a thread of its own, that a lane has been busy with one turn for too long, and with what, while it still
// is: a plugin that waits or computes holds up every connection of its lane.
#pragma once

#include <pthread.h>

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/time.h"
#include "core/event/lane.h"
#include "core/stats/store.h"

namespace weir::server {

// How long a turn may take; zero: that never happens.
struct WatchdogLimits {
  Duration miss = 200ms;    // is counted
  Duration mega_miss = 1s;  // is counted and told
  Duration kill{};          // ends the process
  Duration kill_jitter{};   // at most so much later, so that not all of a fleet end at once
  Duration multikill{};     // of so many lanes, two at least, ends the process
  double multikill_share = 0;
};

// What the bootstrap says.
struct WatchdogPlan {
  WatchdogLimits main, workers;
};

// [main]
class Watchdog {
 public:
  explicit Watchdog(stats::Store& store) : store_(store) {}
  ~Watchdog() { stop(); }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Before start(). `thread` runs the lane, and takes signal().
  void watch(const event::Lane& lane, pthread_t thread);
  void start(const WatchdogPlan& plan);
  // Before the lanes and their threads go.
  void stop();

  // Asks a thread what it is doing (event::current_activity).
  static int signal();

 private:
  struct Watched {
    const event::Lane* lane = nullptr;
    pthread_t thread{};
    std::string name;
    stats::Counter own_miss, own_mega_miss, miss, mega_miss;
    uint64_t turn = 0;  // that is looked at
    bool missed = false;
    Duration told{};  // how long that turn had taken when it was told last; zero: it was not
  };
  void run();
  void look(MonoTime now);
  void look_at(Watched& one, MonoTime now);
  // Of the turn under way; zero: there is none.
  static Duration busy(const Watched& one, MonoTime now);
  void tell(Watched& one, Duration busy);
  [[noreturn]] void kill(const std::string& why);
  const WatchdogLimits& limits_of(const Watched& one) const { return one.lane->is_main() ? plan_.main : plan_.workers; }

  stats::Store& store_;
  WatchdogPlan plan_;
  std::vector<Watched> watched_;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace weir::server
