// Main's side of the listeners: sockets, which outlive updates, and the versions to publish.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/config/listener_config.h"
#include "core/event/publisher.h"
#include "core/proxy/listener.h"
#include "core/stats/store.h"

namespace weir::server {

// [main]
class ListenerManager {
 public:
  ListenerManager(event::Publisher& publisher, stats::Store& store, uint32_t workers);

  // Binds what is new, then adds to the batch what differs from what was published before. An address that cannot be
  // bound is an error, and nothing has changed then.
  Status apply(std::vector<config::ListenerTranslation> listeners, event::Publisher::Batch& batch);

  struct Entry {
    event::SlotId slot;
    uint64_t fingerprint = 0;
    bool reads_outside = false;  // see config::ListenerTranslation
    net::Address wanted;         // as configured
    net::ListenOptions options;
    std::shared_ptr<const proxy::ListenSockets> sockets;
    std::shared_ptr<proxy::ListenerStats> stats;
    std::shared_ptr<proxy::ConnectionLimit> limit;
  };
  const std::map<std::string, Entry, std::less<>>& listeners() const { return listeners_; }
  // Whether this is what is in force for the listener.
  bool has(std::string_view name, uint64_t fingerprint) const;

 private:
  Result<std::shared_ptr<const proxy::ListenSockets>> open_sockets(const config::ListenerTranslation& from);

  event::Publisher& publisher_;
  stats::Store& store_;
  const uint32_t workers_;
  std::map<std::string, Entry, std::less<>> listeners_;
  stats::Counter added_, modified_, removed_, create_success_, create_failure_;
  stats::Gauge active_;
};

}  // namespace weir::server
