// A thread beside the lanes for work that is too long for any of them: rendering statistics, sending them. One job at a
// time, in the order in which they came.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "core/base/time.h"
#include "core/event/lane.h"

namespace weir::event {

class Background {
 public:
  // `lane`: whose thread submits, and is told when jobs are done. [main]
  explicit Background(Lane& lane) : lane_(lane) {}
  // Waits for the job that runs; the others are dropped, on this thread.
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // [main] Runs `job` on the thread, which is made when it is first needed, destroys it there, and then runs `done` on
  // the lane. What the job holds and may not be destroyed elsewhere, `done` holds too.
  void submit(Task job, Task done);
  // CPU time that jobs have taken so far. [any]
  Duration cpu_time() const { return Duration(cpu_ns_.load(std::memory_order_relaxed)); }

 private:
  struct Job {
    Task run, done;
  };
  void run();

  Lane& lane_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;   // guarded by mutex_
  bool stopping_ = false;  // likewise
  std::atomic<int64_t> cpu_ns_{0};
  std::thread thread_;
};

}  // namespace weir::event
