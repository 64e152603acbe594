// Asks the resource monitors how much is used up, and puts actions and load shed points in force by what they say: main
// looks once every refresh_interval, the lanes read the outcome (core/proxy/overload.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/config/overload_config.h"
#include "core/event/lane.h"
#include "core/proxy/listener.h"
#include "core/proxy/overload.h"
#include "core/stats/store.h"

namespace weir::server {

class Worker;

// [main]
class OverloadManager final : private event::Timer {
 public:
  // Before the workers run, which outlive this. `connections`: what counts those of all listeners.
  OverloadManager(event::Lane& lane, const std::vector<std::unique_ptr<Worker>>& workers, stats::Store& store,
                  proxy::ConnectionLimit& connections, config::OverloadTranslation config);
  ~OverloadManager() override;

 private:
  struct Monitor;
  struct Target;
  void on_timer() override;
  void look();
  void look(Target& target);
  // Tells the lanes what they do not look at by themselves.
  void follow(const Target& target, bool was_saturated);
  void shrink_heap();
  void reset_streams();

  event::Lane& lane_;
  const std::vector<std::unique_ptr<Worker>>& workers_;
  proxy::ConnectionLimit& connections_;
  const Duration interval_;
  const std::shared_ptr<proxy::Overload> overload_;
  std::vector<std::unique_ptr<Monitor>> monitors_;
  std::vector<std::unique_ptr<Target>> targets_;
  double resetting_ = 0;  // how much of kResetHighMemoryStream is in force
  bool shrinking_ = false;
  MonoTime shrunk_{};
  stats::Counter shrinks_;
};

}  // namespace weir::server
