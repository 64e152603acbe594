// A bootstrap, translated: everything that will be published, built and checked before anything is touched. Applying it
// is the server's business; `--mode validate` stops here.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "core/config/cluster_config.h"
#include "core/config/diagnostics.h"
#include "core/config/listener_config.h"
#include "core/config/position_index.h"
#include "core/event/publisher.h"
#include "core/filter/registry.h"
#include "core/route/route_table.h"
#include "core/stats/store.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace weir::server {

struct StagedRoute {
  std::string slot_name;
  std::unique_ptr<route::RouteTable> table;
  uint64_t fingerprint = 0;
};

// What is in force, to tell what a new bootstrap leaves as it is: a small change of a large file is to cost little.
struct InForce {
  std::function<bool(std::string_view name, uint64_t fingerprint)> has_cluster;
  std::function<bool(std::string_view name, uint64_t fingerprint)> has_listener;
  uint64_t cluster_names = 0;  // Configuration::cluster_names of it
};

struct Configuration {
  MonoTime parsed{};           // when the bootstrap had been read and translating it began
  uint64_t cluster_names = 0;  // the same for the same names
  std::vector<config::ClusterTranslation> clusters;
  std::vector<config::ListenerTranslation> listeners;
  std::vector<StagedRoute> routes;
  std::set<std::string> unchanged_routes;  // first parts of slot names (before the '/') whose tables stay
  net::Address admin_address;              // empty: no admin
  std::vector<std::string> admin_warnings;
};

// Where names become slots: the publisher, or, for validation, nothing at all.
class SlotNames {
 public:
  virtual ~SlotNames() = default;
  virtual event::SlotId intern(event::SlotKind kind, std::string_view name) = 0;
};

class PublisherSlots final : public SlotNames {
 public:
  explicit PublisherSlots(event::Publisher& publisher) : publisher_(publisher) {}
  event::SlotId intern(event::SlotKind kind, std::string_view name) override { return publisher_.intern(kind, name); }

 private:
  event::Publisher& publisher_;
};

// Clusters have a slot of each kind with the same index, because nothing else interns these kinds.
event::SlotId intern_cluster(SlotNames& slots, std::string_view name);

// [main] All faults of the bootstrap go to `diagnostics`; what comes back is to be used only if there were none. With
// `in_force`, clusters and listeners that are so already are not translated again, and marked (`unchanged`).
Configuration translate_bootstrap(const envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                                  const config::PositionIndex& positions, const filter::Registry& registry,
                                  stats::Store& store, SlotNames& slots, config::Diagnostics& diagnostics,
                                  const InForce* in_force = nullptr);

// [main] Only the faults, of a bootstrap that will not be applied. Errors of loading may be in `diagnostics` already;
// what only follows from them is not said. Nothing of it outlives the call but the log writer (it may have opened log
// files): stop that before `store` dies.
void check_configuration(const envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                         const config::PositionIndex& positions, const filter::Registry& registry, stats::Store& store,
                         config::Diagnostics& diagnostics);

}  // namespace weir::server
