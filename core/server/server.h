// The process: lanes, configuration, signals, readiness, draining.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/config/diagnostics.h"
#include "core/dns/cares_resolver.h"
#include "core/event/background.h"
#include "core/event/file_watcher.h"
#include "core/event/publisher.h"
#include "core/event/signals.h"
#include "core/filter/registry.h"
#include "core/server/cluster_manager.h"
#include "core/server/configuration.h"
#include "core/server/expiry_stats.h"
#include "core/server/listener_manager.h"
#include "core/server/live_configuration.h"
#include "core/server/options.h"
#include "core/server/overload_manager.h"
#include "core/server/process.h"
#include "core/server/runtime_manager.h"
#include "core/server/shutdown.h"
#include "core/server/stats_flusher.h"
#include "core/server/watchdog.h"
#include "core/server/worker.h"
#include "core/stats/reading.h"
#include "core/stats/store.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace weir::server {

enum class State : uint8_t { kPreInitializing, kInitializing, kLive, kDraining };

class AdminFacts;
class Restart;

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
  // Reads the configuration again and applies what changed, or only looks; on faults the old one serves on.
  Update reload(LiveConfiguration::Apply apply = LiveConfiguration::Apply::kYes,
                LiveConfiguration::Report report = LiveConfiguration::Report::kNone);
  // SIGTERM: finish what runs, then stop. A second call stops at once.
  void begin_shutdown();
  // Without `graceful` listeners stop accepting now; with it connections are told to end over the drain time, and
  // listeners stop when it is over, or never if they `keep_accepting`. Twice is once.
  void drain_listeners(bool graceful, bool keep_accepting, proxy::Which which);
  // Stops at once, whatever runs.
  void quit();
  // The same with so many connections open, which the exit code and a successor are told.
  void end(int64_t cut_off);
  // SIGUSR2: another process of this command line is started and takes over.
  void start_restart();
  // --- For Restart ---
  void on_restart_failed(pid_t successor, const std::string& why);
  // Another process serves: nothing is accepted any more, and this one ends when its connections have, or at the
  // deadline.
  // `closed`: called when no worker accepts any more.
  void end_as_predecessor(Duration deadline, const proxy::DrainPlan& drain, std::function<void()> closed);
  void hasten_end(Duration deadline);
  std::vector<std::string> manager_environment() const { return service_.environment(); }

  State state() const { return state_; }
  event::Lane& lane() { return main_->lane(); }
  stats::Store& store() { return store_; }
  const Options& options() const { return options_; }
  ClusterManager& clusters() { return *clusters_; }
  ListenerManager& listeners() { return *listeners_; }
  RuntimeManager& runtime() { return *runtime_; }
  Restart& restart() { return *restart_; }
  AdminFacts& admin() { return *admin_; }
  const filter::Registry& registry() const { return registry_; }
  int64_t connections() const { return loads_->total(); }
  event::Publisher& publisher() { return *publisher_; }
  MonoTime started() const { return started_; }
  LiveConfiguration& configuration() { return *configuration_; }
  WallTime loaded_at() const { return configuration_->loaded_at(); }
  uint32_t worker_count() const { return static_cast<uint32_t>(workers_.size()); }
  // What came of the last attempt to change the configuration, and what an earlier one found that is wrong still.
  struct LastReload {
    WallTime at{};
    std::string error;  // empty: it is in force
  };
  // Nothing: there was none.
  const std::optional<LastReload>& last_reload() const { return last_reload_; }
  uint64_t reloads() const { return reloads_ok_.value(); }
  uint64_t failed_reloads() const { return reloads_failed_.value(); }
  const std::string& version() const { return version_; }
  // SIGUSR1: the process log and all access logs, for rotation.
  void reopen_logs();
  // Statistics for somebody who shows them: gauges that follow something else are brought up to date first.
  stats::Reading read_stats();
  // Those gauges alone, all at once.
  void refresh_stats();
  event::Background& background() { return *background_; }
  StatsFlusher& flusher() { return *flusher_; }
  void set_failed_health(bool failed);
  bool failed_health() const { return failed_health_; }

 private:
  class StopAccepting;
  class Tending;
  bool refresh_stats(ClusterManager::StatsRound& round);  // true: there is more
  void refresh_memory();
  void make_lanes(uint32_t workers);
  // 0, or the exit code; `why` is what the process hears that this one was to take over from.
  int load_first(std::string& why);
  void on_applied_first();
  // Ready, and no other process serves (any more).
  void go_live();
  void on_files_changed();
  // What came of an attempt to change what is in force: counted, logged and remembered.
  void note(const Update& update, const char* what);
  // Those of its faults that change nothing. False: they were told before.
  bool note_kept(const Update& update);
  void remember(const Update& update);  // in last_reload_
  [[noreturn]] void end_without(Worker& stuck);
  // For filters that answer health checks.
  void tell_health();
  // What was found in a configuration while it serves, a line of the log each.
  void tell(const config::Diagnostics& diagnostics) const;
  void on_signal(int signal);
  proxy::DrainPlan drain_plan() const;

  Options options_;
  const filter::Registry& registry_;
  stats::Store store_;
  MonoTime started_;
  State state_ = State::kPreInitializing;
  bool failed_health_ = false;
  bool hastened_ = false;  // told to end after a successor took over
  int exit_code_ = 0;
  int64_t cut_off_ = 0;  // connections that the end of this process ended
  const std::string version_;
  std::optional<LastReload> last_reload_;
  std::optional<LastReload> file_fault_;  // of the configuration's file as it was read last
  std::optional<LastReload> kept_fault_;  // of files that it names, while their former contents go on
  std::set<std::string> told_;            // warnings that were printed: not again with every reload
  std::set<std::string> kept_;            // what was wrong with files last, while their former contents go on
  std::unique_ptr<Worker> main_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::shared_ptr<proxy::LaneLoads> loads_;
  std::unique_ptr<event::Publisher> publisher_;
  std::unique_ptr<dns::CaresResolvers> resolvers_;
  std::unique_ptr<ClusterManager> clusters_;
  InheritedSockets inherited_;
  PidFile pid_file_;
  ServiceManager service_;
  std::unique_ptr<ListenerManager> listeners_;
  std::unique_ptr<RuntimeManager> runtime_;
  std::unique_ptr<LiveConfiguration> configuration_;
  std::unique_ptr<event::FileWatcher> files_;
  std::unique_ptr<event::Signals> signals_, stop_signals_;
  std::unique_ptr<Shutdown> shutdown_;
  std::unique_ptr<StopAccepting> stop_accepting_, stop_inbound_;
  std::unique_ptr<Tending> tending_;
  std::unique_ptr<AdminFacts> admin_;
  std::unique_ptr<Restart> restart_;
  std::unique_ptr<OverloadManager> overload_;
  std::unique_ptr<event::Background> background_;
  std::unique_ptr<StatsFlusher> flusher_;
  std::unique_ptr<ExpiryStats> expiry_;
  std::unique_ptr<Watchdog> watchdog_;
  stats::Gauge live_, state_gauge_, concurrency_, uptime_, connections_, memory_allocated_, memory_heap_,
      memory_physical_, workers_started_;
  stats::Histogram initialization_time_;
  stats::Counter reloads_ok_, reloads_failed_, restart_failures_;
};

}  // namespace weir::server
