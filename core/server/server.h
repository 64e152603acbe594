// The process: lanes, configuration, signals, readiness, draining.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/config/diagnostics.h"
#include "core/event/publisher.h"
#include "core/event/signals.h"
#include "core/filter/registry.h"
#include "core/server/cluster_manager.h"
#include "core/server/configuration.h"
#include "core/server/listener_manager.h"
#include "core/server/options.h"
#include "core/server/worker.h"
#include "core/stats/store.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace weir::server {

enum class State : uint8_t { kPreInitializing, kInitializing, kLive, kDraining };

class AdminFacts;

// [main]
class Server {
 public:
  Server(const Options& options, const filter::Registry& registry);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Builds everything from the bootstrap and starts the workers. The exit code if it failed, 0 otherwise.
  int start();
  // Runs until told to stop; returns the exit code.
  int run();
  // Reads the configuration again and applies what changed; on faults the old one serves on.
  bool reload();
  // SIGTERM: finish what runs, then stop. A second call stops at once.
  void begin_shutdown();

  State state() const { return state_; }
  event::Lane& lane() { return main_->lane(); }
  stats::Store& store() { return store_; }
  const Options& options() const { return options_; }
  ClusterManager& clusters() { return *clusters_; }
  ListenerManager& listeners() { return *listeners_; }
  event::Publisher& publisher() { return *publisher_; }
  MonoTime started() const { return started_; }
  WallTime loaded_at() const { return loaded_at_; }
  uint32_t worker_count() const { return static_cast<uint32_t>(workers_.size()); }
  // What is in force, read from its bytes: good until the end of the turn.
  const envoy::config::bootstrap::v3::Bootstrap& bootstrap();
  const std::string& last_reload_error() const { return last_reload_error_; }
  void set_failed_health(bool failed) { failed_health_ = failed; }
  bool failed_health() const { return failed_health_; }

 private:
  class DrainCheck;
  enum class LoadResult : uint8_t { kOk, kBadConfiguration, kCannotBind };
  LoadResult load(bool first);
  static uint64_t milliseconds_since(MonoTime time);
  bool idle();
  void on_signal(int signal);
  void finish();

  const Options options_;
  const filter::Registry& registry_;
  stats::Store store_;
  MonoTime started_;
  WallTime loaded_at_{};
  State state_ = State::kPreInitializing;
  bool failed_health_ = false;
  int exit_code_ = 0;
  std::string last_reload_error_;
  std::string bootstrap_bytes_;
  std::unique_ptr<envoy::config::bootstrap::v3::Bootstrap> bootstrap_;  // only while somebody looks at it
  uint64_t cluster_names_ = 0;                                          // Configuration::cluster_names
  std::unique_ptr<Worker> main_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<event::Publisher> publisher_;
  std::unique_ptr<ClusterManager> clusters_;
  std::unique_ptr<ListenerManager> listeners_;
  std::map<std::string, uint64_t> routes_;  // slot name -> fingerprint
  std::unique_ptr<event::Signals> signals_;
  std::unique_ptr<DrainCheck> drain_check_;
  std::unique_ptr<AdminFacts> admin_;
  stats::Gauge live_, state_gauge_, concurrency_, uptime_, connections_;
  stats::Counter reloads_ok_, reloads_failed_;
  // Of the last load: reading and checking the file, and from then until every lane had applied it.
  stats::Gauge config_parse_ms_, config_apply_ms_;
};

}  // namespace weir::server
