// Whether this process wants to be taken out of service: it drains, or an operator said so. For filters that answer
// health checks, and for connections, which a drain tells in its own time.
#pragma once

#include <atomic>

namespace weir::filter {

class ServerHealth {
 public:
  // [main] Of the one server of this process.
  static void set_failing(bool failing) { failing_.store(failing, std::memory_order_relaxed); }
  // [any]
  static bool failing() { return failing_.load(std::memory_order_relaxed); }
  // [main] An operator said so.
  static void set_told_to_fail(bool told) { told_.store(told, std::memory_order_relaxed); }
  // [any]
  static bool told_to_fail() { return told_.load(std::memory_order_relaxed); }

 private:
  static inline std::atomic<bool> told_{false};
  static inline std::atomic<bool> failing_{false};
};

}  // namespace weir::filter
