// The process: lanes, configuration, signals, readiness, draining.
#pragma once

#include <memory>
#include <optional>
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
#include "core/server/shutdown.h"
#include "core/server/worker.h"
#include "core/stats/store.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace weir::server {

enum class State : uint8_t { kPreInitializing, kInitializing, kLive, kDraining };

class AdminFacts;

// What came of the last SIGHUP.
struct Reload {
  WallTime at{};
  std::string error;  // empty: it was applied
};

// [main]
class Server {
 public:
  // `version`: as /server_info shows it.
  Server(const Options& options, const filter::Registry& registry, std::string_view version);
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
  // Without `graceful` listeners stop accepting now; with it connections are told to end over the drain time, and
  // listeners stop when it is over, or never if they `keep_accepting`.
  void drain_listeners(bool graceful, bool keep_accepting);
  // Stops at once, whatever runs.
  void quit();

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
  const envoy::config::bootstrap::v3::Bootstrap& bootstrap() const { return *bootstrap_; }
  const std::string& version() const { return version_; }
  // Nothing: there was no SIGHUP.
  const std::optional<Reload>& last_reload() const { return last_reload_; }
  // SIGUSR1: the process log and all access logs, for rotation.
  void reopen_logs();
  // Brings gauges up to date that follow something else.
  void refresh_stats();
  void set_failed_health(bool failed) { failed_health_ = failed; }
  bool failed_health() const { return failed_health_; }

 private:
  class StopAccepting;
  void make_lanes(uint32_t workers);
  // Loads the configuration and applies it, and says what is wrong. The exit code it is at start, 0 if all went well.
  struct Outcome {
    int exit_code = 0;
    std::string error;
  };
  Outcome load(bool first);
  // What was found in a configuration: at start on standard error, later in the log.
  void tell(const config::Diagnostics& diagnostics, bool first) const;
  void apply(Configuration configuration, event::Publisher::Batch& batch);
  void on_applied_first();
  void on_signal(int signal);
  proxy::DrainPlan drain_plan() const;

  const Options options_;
  const filter::Registry& registry_;
  stats::Store store_;
  MonoTime started_;
  WallTime loaded_at_{};
  State state_ = State::kPreInitializing;
  bool failed_health_ = false;
  int exit_code_ = 0;
  const std::string version_;
  std::optional<Reload> last_reload_;
  net::Address admin_address_;  // as configured at start
  std::unique_ptr<envoy::config::bootstrap::v3::Bootstrap> bootstrap_;
  std::unique_ptr<Worker> main_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::shared_ptr<proxy::LaneLoads> loads_;
  std::unique_ptr<event::Publisher> publisher_;
  std::unique_ptr<ClusterManager> clusters_;
  std::unique_ptr<ListenerManager> listeners_;
  std::map<std::string, uint64_t> routes_;  // slot name -> fingerprint
  std::unique_ptr<event::Signals> signals_, stop_signals_;
  std::unique_ptr<Shutdown> shutdown_;
  std::unique_ptr<StopAccepting> stop_accepting_;
  std::unique_ptr<AdminFacts> admin_;
  stats::Gauge live_, state_gauge_, concurrency_, uptime_, connections_;
  stats::Counter reloads_ok_, reloads_failed_;
};

}  // namespace weir::server
