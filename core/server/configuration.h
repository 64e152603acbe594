// A bootstrap, translated: everything that will be published, built and checked before anything is touched. Applying it
// is the server's business; `--mode validate` stops here.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/config/cluster_config.h"
#include "core/config/diagnostics.h"
#include "core/config/listener_config.h"
#include "core/event/publisher.h"
#include "core/filter/registry.h"
#include "core/route/route_table.h"
#include "core/server/options.h"
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

struct Configuration {
  std::vector<config::ClusterTranslation> clusters;
  std::vector<config::ListenerTranslation> listeners;
  std::vector<StagedRoute> routes;
  net::Address admin_address;  // empty: no admin
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

// [main] Loads what the command line names into `bootstrap` (its node as the command line has it) and translates it.
// Nothing is opened, bound or started. All faults go to `diagnostics`; what comes back is to be used only if there were
// none.
Configuration load_configuration(const Options& options, const filter::Registry& registry, stats::Store& store,
                                 SlotNames& slots, envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                                 config::Diagnostics& diagnostics);

}  // namespace weir::server
