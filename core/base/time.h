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

inline int64_t to_ms(Duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }

// Where time comes from; two implementations: the system's and the tests' FakeClock.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonoTime mono_now() = 0;
  virtual WallTime wall_now() = 0;
};

Clock& system_clock();

}  // namespace weir
