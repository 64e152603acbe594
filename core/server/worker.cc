#include "core/server/worker.h"

#include <pthread.h>
#include <signal.h>

#include <cstdio>

#include "core/server/watchdog.h"

namespace weir::server {

void Worker::start() {
  thread_ = std::thread([this] {
    char name[16];
    snprintf(name, sizeof(name), "weir-%u", lane_.index());
    pthread_setname_np(pthread_self(), name);
    // Signals are main's, but for what asks this very thread where it is (cpu_profiler.h).
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGPROF);
    sigdelset(&all, Watchdog::signal());
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    lane_.run();
    wind_down();
    ended_.set_value();
  });
}

void Worker::stop() { lane_.stop(); }

bool Worker::join(MonoTime until) {
  if (!thread_.joinable()) return true;
  const Duration left = std::max(until - system_clock().mono_now(), Duration::zero());
  if (ended_.get_future().wait_for(left) != std::future_status::ready) return false;
  thread_.join();
  return true;
}

void Worker::wind_down() {
  lane_.enter();
  if (listeners_ != nullptr) {
    listeners_->stop_accepting({}, true);  // nobody is to be told by sockets that close all the same
    listeners_->close_all();
  }
  lane_.turn(Duration::zero());
  clusters_.shut_down();
  for (int i = 0; i < 4; ++i) lane_.turn(Duration::zero());
  event::Lane::leave();
}

}  // namespace weir::server
