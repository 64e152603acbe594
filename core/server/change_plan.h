// What a new configuration changes, and what that does to running connections: decided here once, for the update that
// is applied, for `weir diff` and for POST /reload?dry_run. Works on fingerprints; the fields behind a change are
// field_diff.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/secret_config.h"
#include "core/net/socket.h"
#include "core/server/cluster_table.h"
#include "core/server/transports.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace weir::config {
struct ListenerTranslation;
}

namespace google::protobuf {
class FieldDescriptor;
}

namespace weir::server {

struct Configuration;

struct ListenerFacts {
  struct Chain {
    std::string label;  // its name; "chain 0", "default chain" if it has none
    uint64_t fingerprint = 0;
  };
  int index = 0;             // in static_resources.listeners
  uint64_t fingerprint = 0;  // of all but the routes
  uint64_t text = 0;         // 0: not known, or it does not say everything
  net::Address address;      // as configured
  net::ListenOptions options;
  std::vector<net::ListenAddress> more_addresses;
  std::vector<Chain> chains;

  std::vector<net::ListenAddress> addresses() const;  // all, the first one first
};

struct RouteFacts {
  uint64_t fingerprint = 0;
  uint64_t chain = 0;     // the version of the chain that it is for
  std::string slot_name;  // where that finds it
  std::weak_ptr<const void> use;
  std::string shown;     // as people are told: "edge/any"
  std::string name;      // of the route configuration
  std::string listener;  // whose it is,
  std::string path;      // and where in it
};

struct SecretFacts {
  int index = 0;
  uint64_t fingerprint = 0;
};

// Everything that a configuration consists of, as fingerprints by name.
struct Inventory {
  std::map<std::string, ListenerFacts> listeners;
  std::shared_ptr<const ClusterTable> clusters = std::make_shared<const ClusterTable>();
  std::map<std::string, RouteFacts> routes;  // by key
  std::map<config::SecretKey, SecretFacts> secrets;
  std::map<std::string, TransportFacts> transports;  // by slot name
  uint64_t runtime = 0;
  uint64_t cluster_manager = 0;
  std::map<std::string, uint64_t> start_only;  // fields of the bootstrap that are read at start alone
};
ListenerFacts facts_of(const config::ListenerTranslation& listener);
// Whether a reload applies this field of the bootstrap.
bool is_reloaded(const google::protobuf::FieldDescriptor& field);
// `in_force`: what the configuration was translated against, nullptr if it was none.
Inventory inventory_of(const Configuration& configuration, const envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                       const Inventory* in_force = nullptr);

enum class Change : uint8_t { kNone, kAdded, kRemoved, kChanged };

struct ListenerEffect {
  Change change = Change::kNone;
  bool rebinds = false;             // opens sockets
  std::string_view refused;         // why these cannot be opened, and the whole update is refused; empty: they can
  std::vector<std::string> drains;  // chains whose connections are told to end
};
// nullptr: there is none. Connections of a chain go on exactly if the new version has the same chain, which is what
// the lanes do (proxy::Listener::has_chain).
ListenerEffect effect_of(const ListenerFacts* before, const ListenerFacts* after);
// An address is held by one socket, or by several that all share it (enable_reuse_port). New sockets with other options
// can take the place of the old ones in the second case alone; otherwise such an update is refused.
bool address_is_held(const ListenerFacts& before, const ListenerFacts& after);
inline constexpr std::string_view kAddressIsHeld =
    "the options of its socket (enable_reuse_port, tcp_backlog_size and the like) cannot change while it listens; "
    "remove it in one reload and add it in the next, or restart";
inline constexpr std::string_view kAddressIsAnothers =
    "a listener that this update changes or removes holds it until then: do it in two steps";

struct ClusterEffect {
  Change change = Change::kNone;
  bool settings = false;  // the cluster's version is replaced; pools and counts stay
  bool hosts = false;     // its host set is; pools of hosts that are gone drain
  size_t was = ClusterTable::kNone, is = ClusterTable::kNone;  // positions
};
ClusterEffect effect_of(const ClusterFacts* before, const ClusterFacts* after);

struct Plan {
  std::map<std::string, ListenerEffect> listeners;  // what changes, alone
  std::map<std::string, ClusterEffect> clusters;
  std::map<std::string, Change> routes;  // by key
  std::set<std::string> moved_routes;    // the same, for another version of their chain
  std::map<config::SecretKey, Change> secrets;
  std::map<std::string, Change> transports;  // connections that are open stay
  bool runtime = false;
  bool cluster_manager = false;
  std::vector<std::string> start_only;  // differ, and take effect at the next start

  // Nothing is to be applied.
  bool empty() const {
    return listeners.empty() && clusters.empty() && routes.empty() && secrets.empty() && transports.empty() &&
           !runtime && !cluster_manager;
  }
  // "1 cluster, 2 route tables changed; 1 filter chain drains", "nothing changed".
  std::string summary() const;
};
Plan plan_changes(const Inventory& before, const Inventory& after);

}  // namespace weir::server
