// The configuration in force, and how another one takes its place: it is read, checked and compared in full before
// anything is touched; what is wrong with it changes nothing. SIGHUP, POST /reload and files that change all end here.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/time.h"
#include "core/config/diagnostics.h"
#include "core/config/secret_store.h"
#include "core/event/file_watcher.h"
#include "core/event/lane.h"
#include "core/event/publisher.h"
#include "core/filter/registry.h"
#include "core/server/change_plan.h"
#include "core/server/cluster_manager.h"
#include "core/server/configuration.h"
#include "core/server/listener_manager.h"
#include "core/server/options.h"
#include "core/server/runtime_manager.h"
#include "core/stats/store.h"

namespace envoy::config::core::v3 {
class Node;
}

namespace weir::server {

// What came of one attempt.
struct Update {
  enum class Result : uint8_t { kApplied, kLooked, kBadConfiguration, kCannotBind };
  Result result = Result::kApplied;
  config::Diagnostics diagnostics;
  std::string error;  // kCannotBind: why
  Plan plan;
  size_t kept = 0;                         // faults of files, whose contents stay as they were in use
  std::string changes_text, changes_json;  // if they were wanted
  Duration read{}, built{}, applied{};     // how long each step took; applying ends on main with publishing

  bool ok() const { return result == Result::kApplied || result == Result::kLooked; }
  // Everything that was wrong, lines of text.
  std::string faults() const { return diagnostics.has_errors() ? diagnostics.text() : error; }
};

// [main]
class LiveConfiguration final : private event::Timer {
 public:
  // `lane`: main's.
  LiveConfiguration(event::Lane& lane, const Options& options, const filter::Registry& registry, stats::Store& store,
                    event::Publisher& publisher, ClusterManager& clusters, ListenerManager& listeners,
                    RuntimeManager& runtime);
  ~LiveConfiguration() override;

  enum class Apply : uint8_t { kYes, kLook };
  enum class Report : uint8_t { kNone, kChanges };
  // Reads the configuration of the command line. `applied` runs when every lane has it, at the first time also if it is
  // empty, later only if something had to be published.
  Update load(Apply apply, Report report, event::Task applied = nullptr);
  // Builds the configuration in force once more: files that it names may hold something else now.
  Update read_files_again();
  // Runs the task when every lane has what was applied so far.
  void when_published(event::Task task);
  // Drops what waits for clusters: it comes no more.
  void discard();

  // The message of the configuration in force; good until the end of the turn.
  const envoy::config::bootstrap::v3::Bootstrap& bootstrap();
  const envoy::config::core::v3::Node& node() const { return *own_node_; }
  config::SecretStore& secrets() { return secrets_; }
  const AdminPlan& admin() const { return admin_; }
  // What the first configuration says; to be taken once.
  config::OverloadTranslation take_overload() { return std::exchange(overload_, {}); }
  const std::set<std::string>& watched() const { return watched_; }
  // Of the first one; only a restart changes it.
  FlushPlan take_flush_plan() { return std::move(flush_); }
  const WatchdogPlan& watchdog() const { return watchdog_; }
  const std::string& log_format() const { return log_format_; }
  WallTime loaded_at() const { return loaded_at_; }
  // Tells configurations apart: of what is in force, files included; 12 hexadecimal digits.
  std::string version() const;

 private:
  // Translates and, unless it is only looked at, applies.
  void build(std::unique_ptr<envoy::config::bootstrap::v3::Bootstrap> bootstrap, const config::PositionIndex& positions,
             Apply apply, Report report, event::Task applied, Update& update, const config::SecretStore* keep);
  void hold(event::Publisher::Batch leading, event::Task applied);
  void release();
  void keep_start_only(envoy::config::bootstrap::v3::Bootstrap& bootstrap);
  void pack_later();
  void pack();
  void retire_routes(const Plan& plan);
  void on_timer() override;

  event::Lane& lane_;
  const Options& options_;
  const filter::Registry& registry_;
  stats::Store& store_;
  event::Publisher& publisher_;
  ClusterManager& clusters_;
  ListenerManager& listeners_;
  RuntimeManager& runtime_;
  config::SecretStore secrets_;
  // A large configuration is large above all as a message: it is one only while somebody looks at it.
  std::unique_ptr<envoy::config::bootstrap::v3::Bootstrap> bootstrap_;
  std::string packed_;
  std::unique_ptr<envoy::config::core::v3::Node> own_node_;
  bool packing_ = false;
  // Tables of listeners that are gone: connections that drain still ask them. By slot name, with the end of the drain.
  std::map<std::string, MonoTime> retired_;
  bool loaded_ = false;
  // What leads to clusters (listeners, routes) and the removal of those that nothing leads to any more, while clusters
  // wait for their first answers, and what is to run when it has been published. What a reload adds meanwhile comes
  // behind it: nothing overtakes.
  bool holding_ = false;
  event::Publisher::Batch held_;
  std::vector<event::Task> after_held_;
  Inventory inventory_;
  AdminPlan admin_;
  config::OverloadTranslation overload_;
  FlushPlan flush_;
  WatchdogPlan watchdog_;
  std::string log_format_;
  std::set<std::string> watched_;
  WallTime loaded_at_{};
  stats::Gauge version_, update_time_;
};

}  // namespace weir::server
