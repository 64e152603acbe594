#include "core/base/time.h"

#include <ctime>

namespace weir {
namespace {

Duration read_clock(clockid_t id) {
  timespec ts;
  clock_gettime(id, &ts);
  return std::chrono::seconds(ts.tv_sec) + Duration(ts.tv_nsec);
}

class SystemClock final : public Clock {
 public:
  MonoTime mono_now() override { return MonoTime(read_clock(CLOCK_MONOTONIC)); }
  WallTime wall_now() override { return WallTime(read_clock(CLOCK_REALTIME)); }
};

}  // namespace

Duration thread_cpu_time() { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

Clock& system_clock() {
  static SystemClock clock;
  return clock;
}

}  // namespace weir
