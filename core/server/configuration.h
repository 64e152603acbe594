// A bootstrap, translated: everything that will be published, built and checked before anything is touched. Applying it
// is the server's business; `--mode validate` stops here.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/config/cluster_config.h"
#include "core/config/diagnostics.h"
#include "core/config/listener_config.h"
#include "core/config/overload_config.h"
#include "core/config/position_index.h"
#include "core/config/proto_loader.h"
#include "core/config/runtime_config.h"
#include "core/config/secret_config.h"
#include "core/event/publisher.h"
#include "core/filter/registry.h"
#include "core/route/route_table.h"
#include "core/server/admin_plan.h"
#include "core/server/cluster_table.h"
#include "core/server/options.h"
#include "core/server/route_slots.h"
#include "core/server/stats_flusher.h"
#include "core/server/transports.h"
#include "core/server/watchdog.h"
#include "core/stats/store.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}
namespace envoy::config::core::v3 {
class Node;
}

namespace weir::config {
class SecretStore;
}

namespace weir::server {

struct Inventory;

// Among the clusters that something leads to: all that there are.
inline constexpr std::string_view kAnyCluster;

struct StagedRoute {
  std::string key;                // of the chain's table, whatever the version
  std::string shown;              // as people are told: "edge/any"
  std::string slot_name;          // of the table for this version of the chain
  uint64_t chain = 0;             // that version
  std::weak_ptr<const void> use;  // of whoever asks for it
  std::string config_name;        // of the message
  std::string listener;           // whose it is,
  std::string path;               // and where in it
  std::unique_ptr<route::RouteTable> table;
  uint64_t fingerprint = 0;
};

struct Configuration {
  std::vector<config::ClusterTranslation> clusters;  // but for those that stay as they are in force
  std::shared_ptr<const ClusterTable> cluster_facts = std::make_shared<const ClusterTable>();  // of those, too
  std::vector<config::ListenerTranslation> listeners;
  std::vector<StagedRoute> routes;
  std::vector<StagedTransport> transports;
  // Of listeners, but for those that stay as they are: the clusters that they and their routes name, with those that
  // these stand for.
  std::map<std::string, std::set<std::string>> leads_to;
  std::vector<config::SecretTranslation> secrets;
  std::set<std::string> watched;  // directories whose files were read and may be replaced
  config::RuntimeTranslation runtime;
  config::OverloadTranslation overload;  // of the first configuration: a restart changes it
  std::string local_cluster;             // that weir is a member of; empty: none
  lb::Locality place;                    // where weir is
  AdminPlan admin;                       // of the first configuration
  FlushPlan flush;
  WatchdogPlan watchdog;   // of the first configuration
  std::string log_format;  // of the process log, likewise; empty: that of the command line
};

// Where names become slots: the publisher, or, for validation, nothing at all.
class SlotNames {
 public:
  virtual ~SlotNames() = default;
  virtual event::SlotId intern(event::SlotKind kind, std::string_view name) = 0;
  // RouteSlots::of().
  virtual RouteSlot route_slot(const std::string& key, uint64_t version) = 0;
};

class PublisherSlots final : public SlotNames {
 public:
  PublisherSlots(event::Publisher& publisher, RouteSlots& routes) : publisher_(publisher), routes_(routes) {}
  event::SlotId intern(event::SlotKind kind, std::string_view name) override { return publisher_.intern(kind, name); }
  RouteSlot route_slot(const std::string& key, uint64_t version) override { return routes_.of(key, version); }

 private:
  event::Publisher& publisher_;
  RouteSlots& routes_;
};

// Clusters have a slot of each kind with the same index, because nothing else interns these kinds.
event::SlotId intern_cluster(SlotNames& slots, std::string_view name);

// [main] Loads what the command line names into `bootstrap`, its node as the command line has it. All faults go to
// `diagnostics`.
void read_bootstrap(const Options& options, envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                    config::PositionIndex& positions, config::Diagnostics& diagnostics,
                    config::Alternative alternative = config::Alternative::kFirst);

// [main] Nothing is opened, bound or started. All faults of the bootstrap go to `diagnostics`; what comes back is to be
// used only if there were none. Of a text that could not be read to its end nothing more is said: most of it would be
// missing. What stands in `in_force` (nullptr: nothing is in force) with the same text is not translated again: a
// configuration of ten thousand clusters of which one changes costs little more than that one. `started_as`: the node
// of the process, which only a restart changes; nullptr: it starts with that of the bootstrap. `keep`: the secrets in
// force, if files have changed and nothing else: whatever certificates or keys cannot be made of them any more stay,
// and what is wrong is a warning. Needs `in_force`.
Configuration translate_bootstrap(const envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                                  const config::PositionIndex& positions, const Options& options,
                                  const filter::Registry& registry, stats::Store& store, SlotNames& slots,
                                  config::Diagnostics& diagnostics, const Inventory* in_force = nullptr,
                                  const envoy::config::core::v3::Node* started_as = nullptr,
                                  const config::SecretStore* keep = nullptr);
// Only the faults: nothing of it outlives the call. Of fields that exclude each other also those of which the bootstrap
// knows nothing, for which it is read again.
void find_faults(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, const config::PositionIndex& positions,
                 const Options& options, const filter::Registry& registry, config::Diagnostics& diagnostics);

// [main] What is legal and probably not meant (core/config/lint), unless the command line does not want it said
// (--lint off): warnings. kSome: a few of each kind, and how many more there are. Reads certificate files.
enum class Doubts : uint8_t { kSome, kAll };
void find_doubts(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, const config::PositionIndex& positions,
                 const Options& options, Doubts doubts, config::Diagnostics& diagnostics);

// [main] What the command line (--lint-error) wants to be an error.
void find_forbidden(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, const config::PositionIndex& positions,
                    const Options& options, config::Diagnostics& diagnostics);

// [main] Both steps.
Configuration load_configuration(const Options& options, const filter::Registry& registry, stats::Store& store,
                                 SlotNames& slots, envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                                 config::Diagnostics& diagnostics);

}  // namespace weir::server
