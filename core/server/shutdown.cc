#include "core/server/shutdown.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/base/log.h"
#include "core/server/worker.h"

namespace weir::server {
namespace {

// How often it looks whether the last connection has gone.
constexpr Duration kLook = 20ms;
constexpr Duration kPatience = 3s;  // with workers that are to say that they accept no more

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

Shutdown::Shutdown(event::Lane& lane, const std::vector<std::unique_ptr<Worker>>& workers,
                   const proxy::LaneLoads& loads, const Plan& plan, absl::AnyInvocable<void(int64_t)> done)
    : lane_(lane), workers_(workers), loads_(loads), plan_(plan), done_(std::move(done)), began_(lane.now()) {
  if (plan_.delay > Duration::zero()) {
    WEIR_LOG(kInfo, "server", "not ready any more; listeners close in %.0f s", seconds(plan_.delay));
    lane_.arm_in(*this, plan_.delay);
  } else {
    begin_draining();
  }
}

Shutdown::~Shutdown() { accepting_->closed = nullptr; }

void Shutdown::begin_draining() {
  phase_ = Phase::kDraining;
  Duration left = plan_.deadline - plan_.delay;
  if (plan_.drain.gradual) {
    WEIR_LOG(kInfo, "server",
             "draining: listeners close; %lld connections are told to end over %.0f s, cut off in %.0f s",
             static_cast<long long>(loads_.total()), seconds(plan_.drain.time), seconds(left));
  } else {
    WEIR_LOG(kInfo, "server", "draining: listeners close; %lld connections are told to end, cut off in %.0f s",
             static_cast<long long>(loads_.total()), seconds(left));
  }
  accepting_->workers = workers_.size();
  accepting_->closed = std::move(plan_.closed);
  for (const auto& worker : workers_) {
    worker->lane().post(
        [one = worker.get(), plan = plan_.drain, shared = plan_.handed_over, main = &lane_, accepting = accepting_] {
          one->listeners().stop_accepting(plan, shared);
          one->listeners().drain(plan);
          one->clusters().close_idle();
          main->post([accepting] {
            if (--accepting->workers == 0 && accepting->closed) std::exchange(accepting->closed, nullptr)();
          });
        });
  }
  lane_.arm_in(*this, kLook);
}

void Shutdown::hasten(Duration deadline) {
  if (phase_ == Phase::kDone) return;
  if (phase_ == Phase::kDelay) {
    cancel();
    begin_draining();
  }
  plan_.deadline = std::min(plan_.deadline, lane_.now() - began_ + deadline);
  for (const auto& worker : workers_)
    worker->lane().post([one = worker.get()] { one->listeners().drain(proxy::DrainPlan{}); });
}

void Shutdown::on_timer() {
  if (phase_ == Phase::kDone) return;
  if (phase_ == Phase::kDelay) return begin_draining();
  int64_t open = loads_.total();
  Duration took = lane_.now() - began_;
  const size_t others = plan_.others ? plan_.others() : 0;
  if (accepting_->closed && (took >= kPatience || took >= plan_.deadline)) {
    // What waits in its sockets is for whoever has them, too.
    WEIR_LOG(kWarning, "server", "%zu of %zu workers are stuck and have not stopped accepting; not waited for",
             accepting_->workers, workers_.size());
    std::exchange(accepting_->closed, nullptr)();
  }
  bool drained =
      accepting_->workers == 0 && open == 0 && loads_.answering.load(std::memory_order_relaxed) == 0 && others == 0;
  if (!drained && took < plan_.deadline) {
    lane_.arm_in(*this, std::min(kLook, plan_.deadline - took));
    return;
  }
  phase_ = Phase::kDone;
  if (drained) {
    WEIR_LOG(kInfo, "server", "drained: all connections have ended after %.1f s", seconds(took));
  } else {
    const std::string more =
        others == 0 ? "" : "; " + std::to_string(others) + " processes before this one still drain";
    WEIR_LOG(kWarning, "server", "drain deadline of %.0f s: %lld connections are cut off%s", seconds(plan_.deadline),
             static_cast<long long>(open), more.c_str());
  }
  lane_.post([done = std::move(done_), cut_off = drained ? 0 : open]() mutable { done(cut_off); });
}

}  // namespace weir::server
