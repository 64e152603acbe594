// The configuration in force, and how another one takes its place: it is read, checked and compared in full before
// anything is touched; what is wrong with it changes nothing. SIGHUP, POST /reload and files that change all end here.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "core/base/time.h"
#include "core/config/diagnostics.h"
#include "core/config/secret_store.h"
#include "core/event/file_watcher.h"
#include "core/event/publisher.h"
#include "core/filter/registry.h"
#include "core/server/change_plan.h"
#include "core/server/cluster_manager.h"
#include "core/server/configuration.h"
#include "core/server/listener_manager.h"
#include "core/server/options.h"
#include "core/server/runtime_manager.h"
#include "core/stats/store.h"

namespace weir::server {

// What came of one attempt.
struct Update {
  enum class Result : uint8_t { kApplied, kLooked, kBadConfiguration, kCannotBind };
  Result result = Result::kApplied;
  config::Diagnostics diagnostics;
  std::string error;  // kCannotBind: why
  Plan plan;
  std::string changes_text, changes_json;  // if they were wanted
  Duration read{}, built{}, applied{};     // how long each step took; applying ends on main with publishing

  bool ok() const { return result == Result::kApplied || result == Result::kLooked; }
  // Everything that was wrong, lines of text.
  std::string faults() const { return diagnostics.has_errors() ? diagnostics.text() : error; }
};

// [main]
class LiveConfiguration {
 public:
  LiveConfiguration(const Options& options, const filter::Registry& registry, stats::Store& store,
                    event::Publisher& publisher, ClusterManager& clusters, ListenerManager& listeners,
                    RuntimeManager& runtime);
  ~LiveConfiguration();

  enum class Apply : uint8_t { kYes, kLook };
  enum class Report : uint8_t { kNone, kChanges };
  // Reads the configuration of the command line. `applied` runs when every lane has it, at the first time also if it is
  // empty, later only if something had to be published.
  Update load(Apply apply, Report report, event::Task applied = nullptr);
  // Builds the configuration in force once more: files that it names may hold something else now.
  Update read_files_again();

  const envoy::config::bootstrap::v3::Bootstrap& bootstrap() const { return *bootstrap_; }
  config::SecretStore& secrets() { return secrets_; }
  const net::Address& admin_address() const { return admin_address_; }
  const std::set<std::string>& watched() const { return watched_; }
  WallTime loaded_at() const { return loaded_at_; }
  // Tells configurations apart: of what is in force, files included; 12 hexadecimal digits.
  std::string version() const;

 private:
  // Translates and, unless it is only looked at, applies.
  void build(std::unique_ptr<envoy::config::bootstrap::v3::Bootstrap> bootstrap, const config::PositionIndex& positions,
             Apply apply, Report report, event::Task applied, Update& update);
  void keep_start_only(envoy::config::bootstrap::v3::Bootstrap& bootstrap) const;

  const Options& options_;
  const filter::Registry& registry_;
  stats::Store& store_;
  event::Publisher& publisher_;
  ClusterManager& clusters_;
  ListenerManager& listeners_;
  RuntimeManager& runtime_;
  config::SecretStore secrets_;
  std::unique_ptr<envoy::config::bootstrap::v3::Bootstrap> bootstrap_;  // nullptr: nothing was loaded yet
  Inventory inventory_;
  net::Address admin_address_;
  std::set<std::string> watched_;
  WallTime loaded_at_{};
  stats::Gauge version_, update_time_;
};

}  // namespace weir::server
