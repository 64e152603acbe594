// Main's side of the runtime: the layers, operators' overrides, and the snapshots to publish.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/config/runtime_config.h"
#include "core/event/publisher.h"
#include "core/runtime/layers.h"
#include "core/stats/store.h"

namespace weir::server {

// [main]
class RuntimeManager {
 public:
  RuntimeManager(event::Publisher& publisher, stats::Store& store);

  // Adds a snapshot to the batch if it differs from the one that lanes have. Overrides stay.
  void apply(config::RuntimeTranslation runtime, event::Publisher::Batch& batch);
  // Publishes at once. False: there is no admin layer. Empty texts remove overrides.
  bool override_values(const std::vector<std::pair<std::string, std::string>>& texts);
  const runtime::Layers& layers() const { return layers_; }

 private:
  void stage(event::Publisher::Batch& batch);

  event::Publisher& publisher_;
  runtime::Layers layers_;
  stats::Counter load_success_, load_error_;
  stats::Gauge num_keys_, num_layers_, admin_overrides_active_;
};

}  // namespace weir::server
