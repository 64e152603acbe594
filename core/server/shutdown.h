// The way from SIGTERM to the end of the process: listeners close after a delay, connections are told to end, and what
// is left at the deadline is cut off. Readiness has failed before this begins.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "core/event/lane.h"
#include "core/proxy/lane_listeners.h"

namespace weir::server {

class Worker;

// [main]
class Shutdown final : private event::Timer {
 public:
  struct Plan {
    Duration delay{};     // listeners go on accepting so long
    Duration deadline{};  // from the beginning
    proxy::DrainPlan drain{};
    bool handed_over = false;  // another process has the same listening sockets
    // Others whose end is waited for: processes that drain since a restart. nullptr: none.
    std::function<size_t()> others = nullptr;
    // Called once, when no worker accepts any more. nullptr: nobody wants to know.
    std::function<void()> closed = nullptr;
  };
  // `done` is told how many connections were open at the deadline (0: all have ended), and is called once, on main's
  // lane, outside of this object. Workers and loads outlive this.
  Shutdown(event::Lane& lane, const std::vector<std::unique_ptr<Worker>>& workers, const proxy::LaneLoads& loads,
           const Plan& plan, absl::AnyInvocable<void(int64_t cut_off)> done);
  ~Shutdown();
  // The deadline is this soon at the latest, and everybody is told now.
  void hasten(Duration deadline);

 private:
  enum class Phase : uint8_t { kDelay, kDraining, kDone };
  void on_timer() override;
  void begin_draining();

  event::Lane& lane_;
  const std::vector<std::unique_ptr<Worker>>& workers_;
  const proxy::LaneLoads& loads_;
  Plan plan_;
  absl::AnyInvocable<void(int64_t)> done_;
  const MonoTime began_;
  Phase phase_ = Phase::kDelay;
  // Workers that may still have connections waiting in their listening sockets. Shared with tasks that are under way.
  struct Accepting {
    size_t workers = 0;
    std::function<void()> closed;
  };
  std::shared_ptr<Accepting> accepting_ = std::make_shared<Accepting>();
};

}  // namespace weir::server
