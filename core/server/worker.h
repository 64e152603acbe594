// A lane with what the HTTP proxy keeps on it, and, for workers, the thread that runs it.
#pragma once

#include <future>
#include <memory>
#include <thread>

#include "core/event/lane.h"
#include "core/proxy/lane_listeners.h"
#include "core/proxy/lane_proxy.h"
#include "core/upstream/lane_clusters.h"

namespace weir::server {

class Worker {
 public:
  explicit Worker(const event::Lane::Options& options) : lane_(options), clusters_(lane_), proxy_(lane_) {}
  // Every lane knows of all workers, so this comes after all of them exist.
  void attach(std::shared_ptr<proxy::LaneLoads> loads) {
    listeners_ = std::make_unique<proxy::LaneListeners>(lane_, std::move(loads));
  }

  event::Lane& lane() { return lane_; }
  upstream::LaneClusters& clusters() { return clusters_; }
  proxy::LaneListeners& listeners() { return *listeners_; }
  proxy::LaneProxy& proxy() { return proxy_; }
  // Before the lane runs, and after attach().
  void set_overload(std::shared_ptr<const proxy::Overload> overload) {
    overload_ = std::move(overload);
    proxy_.set_overload(*overload_);
    listeners_->set_overload(overload_.get());
  }

  void start();
  pthread_t thread() { return thread_.native_handle(); }
  // Asks the thread to close everything and end; join() waits for it. False: it has not ended by then (what it calls
  // does not return), and may still do anything.
  void stop();
  bool join(MonoTime until);
  // Closes what is open and lets the lane settle. On the lane's thread.
  void wind_down();

 private:
  event::Lane lane_;
  std::shared_ptr<const proxy::Overload> overload_;
  upstream::LaneClusters clusters_;
  proxy::LaneProxy proxy_;
  std::unique_ptr<proxy::LaneListeners> listeners_;
  std::thread thread_;
  std::promise<void> ended_;
};

}  // namespace weir::server
