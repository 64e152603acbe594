// Time as weir measures it: a monotonic instant in nanoseconds, and durations. Reading a clock is the business of the
// lane (one read per turn); everything else is handed `now`.
#pragma once

#include <chrono>
#include <cstdint>

namespace weir {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;

// Monotonic instant, nanoseconds since an arbitrary start. A fake clock may produce any.
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
// Wall-clock instant, nanoseconds since 1970-01-01 UTC.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

// From a message's seconds and nanoseconds. A message may say ten thousand years and 64 bits hold 292: beyond 285 it is
// that, so that a deadline in the far future does not become one in the past.
constexpr Duration duration_of(int64_t seconds, int32_t nanos) {
  constexpr int64_t kMaxSeconds = 9'000'000'000;
  seconds = seconds > kMaxSeconds ? kMaxSeconds : seconds < -kMaxSeconds ? -kMaxSeconds : seconds;
  return std::chrono::seconds(seconds) + Duration(nanos);
}

inline int64_t to_ms(Duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }

// Where time comes from; two implementations: the system's and the tests' FakeClock.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonoTime mono_now() = 0;
  virtual WallTime wall_now() = 0;
};

Clock& system_clock();
// That the thread has used so far.
Duration thread_cpu_time();

}  // namespace weir
