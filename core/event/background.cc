#include "core/event/background.h"

#include <pthread.h>
#include <sched.h>

#include <utility>

namespace weir::event {

Background::~Background() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Background::submit(Task job, Task done) {
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back({std::move(job), std::move(done)});
  }
  if (!thread_.joinable()) {
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), "weir-background");
  } else {
    wake_.notify_one();
  }
}

void Background::run() {
  // Where cores are scarce, waking up takes none from a lane that is at work. Not allowed to say so: it does.
  const sched_param none{};
  pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    const Duration before = thread_cpu_time();
    job.run();
    job.run = nullptr;
    cpu_ns_.fetch_add((thread_cpu_time() - before).count(), std::memory_order_relaxed);
    lane_.post(std::move(job.done));
    lock.lock();
  }
}

}  // namespace weir::event
