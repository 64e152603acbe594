#include "core/server/overload_manager.h"

#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/base/log.h"
#include "core/server/worker.h"

namespace weir::server {

using proxy::OverloadAction;

// Giving memory back takes a walk through the heap.
constexpr Duration kShrinkEvery = 10s;

struct OverloadManager::Monitor {
  std::string name;
  std::unique_ptr<filter::ResourceMonitor> monitor;  // nullptr: of connections
  double pressure = 0;
  bool failing = false;
  stats::Gauge gauge;
  stats::Counter failures;
};

// An action or a load shed point.
struct OverloadManager::Target {
  std::string name;
  std::vector<config::OverloadTrigger> triggers;
  std::optional<OverloadAction> action;
  proxy::ShedPoint point{};
  double value = 0;
  const Monitor* because = nullptr;  // whose trigger it is
  stats::Gauge active, percent;
};

OverloadManager::OverloadManager(event::Lane& lane, const std::vector<std::unique_ptr<Worker>>& workers,
                                 stats::Store& store, proxy::ConnectionLimit& connections,
                                 config::OverloadTranslation config)
    : lane_(lane),
      workers_(workers),
      connections_(connections),
      interval_(config.refresh_interval),
      overload_(std::make_shared<proxy::Overload>()) {
  const std::string prefix = "overload.";
  for (config::OverloadTranslation::Monitor& from : config.monitors) {
    auto one = std::make_unique<Monitor>();
    one->name = from.name;
    one->monitor = from.config->make();
    if (from.config->max_connections() > 0) connections_.global_max = from.config->max_connections();
    one->gauge = store.gauge(prefix + from.name + ".pressure");
    one->failures = store.counter(prefix + from.name + ".failed_updates");
    monitors_.push_back(std::move(one));
  }
  const auto add = [&](const std::string& name, std::vector<config::OverloadTrigger>& triggers) -> Target& {
    auto one = std::make_unique<Target>();
    one->name = name;
    one->triggers = std::move(triggers);
    one->percent = store.gauge(prefix + name + ".scale_percent");
    targets_.push_back(std::move(one));
    return *targets_.back();
  };
  for (auto& from : config.actions) {
    Target& target = add(from.name, from.triggers);
    target.action = from.action;
    target.active = store.gauge(prefix + from.name + ".active");
    if (from.action == OverloadAction::kShrinkHeap) shrinks_ = store.counter(prefix + from.name + ".shrink_count");
    if (from.action == OverloadAction::kResetHighMemoryStream) {
      overload_->smallest_account = config.smallest_account;
      overload_->streams_reset = store.counter(from.name + ".count");
    }
  }
  for (auto& from : config.points) {
    add(from.name, from.triggers).point = from.point;
    overload_->shed_counts[static_cast<size_t>(from.point)] = store.counter(prefix + from.name + ".shed_load_count");
  }
  overload_->reductions = config.reductions;
  for (const auto& reduction : config.reductions) overload_->reduces = overload_->reduces || reduction.on;
  for (const auto& worker : workers_) worker->set_overload(overload_);
  look();
  lane_.arm_in(*this, interval_);
}

OverloadManager::~OverloadManager() = default;

void OverloadManager::on_timer() {
  look();
  lane_.arm_in(*this, interval_);
}

void OverloadManager::look() {
  for (const auto& one : monitors_) {
    Result<double> pressure = 0.0;
    if (one->monitor != nullptr) {
      pressure = one->monitor->pressure();
    } else {
      pressure = static_cast<double>(connections_.global_active.load(std::memory_order_relaxed)) /
                 static_cast<double>(connections_.global_max);
    }
    if (pressure.ok()) {
      one->pressure = std::clamp(*pressure, 0.0, 1e6);
      one->gauge.set(static_cast<uint64_t>(std::lround(one->pressure * 100)));
      if (std::exchange(one->failing, false))
        WEIR_LOG(kInfo, "server", "overload: %s can be read again", one->name.c_str());
      continue;
    }
    // What it said last goes on to count.
    one->failures.inc();
    if (!std::exchange(one->failing, true)) {
      WEIR_LOG(kError, "server", "overload: %s: %s; what it said last (%.0f %%) counts", one->name.c_str(),
               message_of(pressure.status()).c_str(), one->pressure * 100);
    }
  }
  for (const auto& target : targets_) look(*target);
  if (shrinking_ && lane_.now() - shrunk_ >= kShrinkEvery) shrink_heap();
  if (resetting_ > 0) reset_streams();
}

void OverloadManager::look(Target& target) {
  double value = 0;
  const Monitor* because = nullptr;
  for (const config::OverloadTrigger& trigger : target.triggers) {
    const Monitor& monitor = *monitors_[trigger.monitor];
    double one = monitor.pressure >= trigger.full ? 1 : 0;
    if (one == 0 && monitor.pressure > trigger.from)
      one = (monitor.pressure - trigger.from) / (trigger.full - trigger.from);
    if (one <= value) continue;
    value = one;
    because = &monitor;
  }
  const double before = std::exchange(target.value, value);
  if (before == value) return;
  // One line for each beginning, each time that it is in full force, and each end.
  if (value == 0) {
    WEIR_LOG(kInfo, "server", "overload: %s is over (%s at %.0f %%)", target.name.c_str(),
             target.because != nullptr ? target.because->name.c_str() : "",
             target.because != nullptr ? target.because->pressure * 100 : 0);
  } else if (value == 1) {
    WEIR_LOG(kWarning, "server", "overload: %s is in force (%s at %.0f %%)", target.name.c_str(), because->name.c_str(),
             because->pressure * 100);
  } else if (before == 0) {
    WEIR_LOG(kWarning, "server", "overload: %s begins, by %.0f %% (%s at %.0f %%)", target.name.c_str(), value * 100,
             because->name.c_str(), because->pressure * 100);
  }
  if (because != nullptr) target.because = because;
  target.percent.set(static_cast<uint64_t>(std::lround(value * 100)));
  if (!target.action) {
    overload_->set(target.point, value);
    return;
  }
  target.active.set(value == 1 ? 1 : 0);
  overload_->set(*target.action, value);
  follow(target, before == 1);
}

void OverloadManager::follow(const Target& target, bool was_saturated) {
  const bool saturated = target.value == 1;
  switch (*target.action) {
    case OverloadAction::kStopAcceptingConnections:
      if (saturated == was_saturated) return;
      for (const auto& worker : workers_) {
        worker->lane().post([one = worker.get(), saturated] { one->listeners().pause_accepting(saturated); });
      }
      return;
    case OverloadAction::kReduceTimeouts:
      for (const auto& worker : workers_)
        worker->lane().post([one = worker.get()] { one->proxy().rescale_timeouts(); });
      return;
    case OverloadAction::kShrinkHeap:
      shrinking_ = saturated;
      return;
    case OverloadAction::kResetHighMemoryStream:
      resetting_ = target.value;
      return;
    default:
      return;  // the lanes look themselves
  }
}

void OverloadManager::reset_streams() {
  for (const auto& worker : workers_) {
    worker->lane().post(
        [one = worker.get(), share = resetting_] { proxy::Http2Connection::reset_heavy(one->lane(), share); });
  }
}

void OverloadManager::shrink_heap() {
  shrunk_ = lane_.now();
  malloc_trim(0);
  shrinks_.inc();
}

}  // namespace weir::server
