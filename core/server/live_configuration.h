// The configuration in force, and how another one takes its place: it is read, checked and compared in full before
// anything is touched; what is wrong with it changes nothing. SIGHUP, POST /reload and files that change all end here.
#pragma once

#include <map>
#include <memory>
#include <optional>
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
#include "core/server/route_slots.h"
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
  // Listeners that serve what they did before (or nothing yet) until they know members of the clusters.
  std::map<std::string, std::vector<std::string>> waiting;
  Duration read{}, built{}, applied{};  // how long each step took; applying ends on main with publishing

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
  // Whether the configuration came from where nothing more comes: whoever reads it again waits until somebody writes.
  bool read_only_once() const;
  static constexpr const char* kReadOnlyOnce =
      "cannot be read a second time; start weir with a file to change its configuration later";
  // Builds the configuration in force once more: files that it names may hold something else now.
  Update read_files_again();
  // Another process serves until this one has applied its first configuration: all of that waits until all clusters
  // are known.
  void set_taking_over() { taking_over_ = true; }
  // Runs the task when every lane has what was applied so far.
  void when_published(event::Task task);
  // The listeners are about to close for good: what waits for clusters is made again, for it gets other sockets, or
  // none. `shared`: another process, which has the same sockets, serves the same soon.
  void note_closed(proxy::Which which, bool shared);
  // Drops what waits for clusters: it comes no more.
  void discard();

  // The message of the configuration in force; good until the end of the turn.
  const envoy::config::bootstrap::v3::Bootstrap& bootstrap();
  // The same, serialised: for other threads.
  std::shared_ptr<const std::string> packed();
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
  using Leads = std::map<std::string, std::set<std::string>>;
  // `before`: what `plan` was made against; what follows it is in force.
  void tie(const Plan& plan, const Inventory& before, Leads& leads_to);
  // `leads_to`: of each listener that changes. `removed`: what goes behind all changes; `gone`: when nothing leads to
  // it any more.
  void hold(ListenerManager::Changes changes, Leads& leads_to, event::Publisher::Batch removed,
            event::Publisher::Batch gone);
  // The batch, and of what is held what has not to wait any more.
  void publish(event::Publisher::Batch batch);
  struct Held;
  // Not for longer than a cluster may take, whatever was reloaded meanwhile.
  bool waits(Held& held) const;
  // What the lanes have while something waits.
  struct Published {
    Inventory inventory;
    ListenerManager::Entries listeners;
  };
  // Of a listener that waits, as it was; of all others as they are.
  void note_what_is_published();
  // What waits is taken back, so that a new configuration is held against what the lanes have. It waits again when that
  // ends, unless its owner is gone by then. nullptr: nothing waits.
  struct TakenBack;
  std::unique_ptr<TakenBack> take_back();
  void put_back(TakenBack& taken);
  void keep_start_only(envoy::config::bootstrap::v3::Bootstrap& bootstrap);
  void pack_later();
  void pack();
  void retire_routes(const Plan& plan, const Inventory& next);
  struct Retired {
    MonoTime end;
    std::weak_ptr<const void> use;
  };
  bool is_over(const Retired& one) const;
  void linger(event::Publisher::Batch removals);
  // Adds what nobody needs any more.
  void take_gone(event::Publisher::Batch& batch);
  void on_timer() override;

  event::Lane& lane_;
  const Options& options_;
  const filter::Registry& registry_;
  stats::Store& store_;
  event::Publisher& publisher_;
  ClusterManager& clusters_;
  ListenerManager& listeners_;
  RuntimeManager& runtime_;
  RouteSlots route_slots_;
  config::SecretStore secrets_;
  // A large configuration is large above all as a message: it is one only while somebody looks at it.
  std::unique_ptr<envoy::config::bootstrap::v3::Bootstrap> bootstrap_;
  std::shared_ptr<const std::string> packed_;  // null: not yet
  std::unique_ptr<envoy::config::core::v3::Node> own_node_;
  bool packing_ = false;
  // Tables of chains that are gone or were other ones, by slot name: connections that drain ask them until nobody uses
  // them any more, or the drain ends.
  std::map<std::string, Retired> retired_;
  // Tables that others took the place of, in their slots: requests that were under way then go by them.
  std::vector<Retired> replaced_;
  // Clusters that those may lead to, and their transport sockets, which have left the configuration: by what was
  // retired and replaced then.
  struct Lingering {
    std::vector<std::string> until_gone;
    std::vector<Retired> until_unused;
    event::Publisher::Batch removals;
  };
  std::vector<Lingering> lingering_;
  bool loaded_ = false;
  bool taking_over_ = false;
  // While clusters wait for their first answers: what leads to them, of each listener (itself, its routes and
  // certificates) what was held back so far, in order; behind all of them what goes, with what a reload said meanwhile
  // of listeners that go; and what is to run when everything has been published.
  struct Held {
    event::Publisher::Batch changes;
    std::set<std::string> leads_to;  // but for those that are known to have members
    MonoTime until;
  };
  std::map<std::string, Held> held_;
  std::map<std::string, MonoTime> held_until_;  // of those that were held when this reload came, too
  std::optional<Published> published_;          // set exactly if something is held
  event::Publisher::Batch held_last_;
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
  stats::Gauge listeners_warming_;  // those that serve what they did before, or nothing yet
};

}  // namespace weir::server
