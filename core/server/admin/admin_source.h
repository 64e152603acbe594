// What the admin endpoints show and do, as the running server provides it. Narrow, so that tests are servers too.
// Everything is called on main, from within a request; views are valid until the visitor returns.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/base/time.h"
#include "core/lb/host.h"
#include "core/net/address.h"
#include "core/stats/reading.h"

namespace google::protobuf {
class Message;
}
namespace weir::filter {
class TransportSocket;
}
namespace weir::runtime {
class Layers;
}
namespace envoy::admin::v3 {
class CommandLineOptions;
}
namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}
namespace envoy::config::core::v3 {
class Node;
}

namespace weir::admin {

enum class ServerState : uint8_t { kLive, kDraining, kPreInitializing, kInitializing };  // the published numbers
std::string_view state_name(ServerState state);                                          // "LIVE"

struct BreakerView {
  uint32_t max_connections = 1024;
  uint32_t max_pending_requests = 1024;
  uint32_t max_requests = 1024;
  uint32_t max_retries = 3;
};

struct ClusterView {
  std::string_view name;
  std::string_view observability_name;  // alt_stat_name; empty: the name
  std::string_view eds_service_name;
  bool added_via_api = false;
  BreakerView default_priority;
  BreakerView high_priority;
  std::span<const lb::HostEntry> hosts;
};

struct ListenerView {
  std::string_view name;
  std::span<const net::Address> addresses;  // as bound; the first is the listener's own, others are additional
};

enum class ResourceKind : uint8_t { kCluster, kListener, kRouteConfig, kSecret };

// A resource as it was given to the server.
struct ResourceView {
  std::string_view name;
  const google::protobuf::Message& message;
  WallTime last_updated{};
  bool dynamic = false;           // from a control plane
  std::string_view version = {};  // dynamic ones
};

// What came of the last time that the configuration was read again.
struct ReloadView {
  WallTime at{};
  std::string_view error;  // empty: it is in force
};

// The configuration in force.
struct ConfigView {
  std::string version;  // empty: not known
  WallTime loaded_at{};
  uint64_t reloads = 0;
  uint64_t failed_reloads = 0;
};

// The configuration that was in force at one moment, for whoever shows it. Made on main; used by one thread at a time,
// any: where it is large, everything that is done with it is long.
class ConfigSnapshot {
 public:
  virtual ~ConfigSnapshot() = default;
  virtual const envoy::config::bootstrap::v3::Bootstrap& bootstrap() = 0;
  virtual WallTime loaded_at() const = 0;
  virtual void for_each_resource(ResourceKind kind, const std::function<void(const ResourceView&)>& visit) = 0;
};

class AdminSource {
 public:
  virtual ~AdminSource() = default;

  virtual ServerState state() const = 0;
  virtual std::string version() const = 0;  // "hash/0.1.0/Clean/RELEASE/none"
  virtual std::optional<ReloadView> last_reload() const = 0;
  virtual ConfigView config() const { return {}; }
  virtual Duration uptime() const = 0;  // of this process
  virtual Duration uptime_all_epochs() const { return uptime(); }
  virtual std::string hot_restart_version() const { return "disabled"; }
  virtual const envoy::config::core::v3::Node& node() const = 0;
  virtual std::shared_ptr<ConfigSnapshot> config_snapshot() const = 0;
  virtual void fill_command_line(envoy::admin::v3::CommandLineOptions& out) const = 0;
  virtual stats::Reading read_stats() = 0;
  virtual void reset_counters() = 0;
  virtual std::span<const stats::Tag> stats_tags() const = 0;  // of every statistic

  // Clusters behind `after` in the order of their names, as many as are a slice of main's time; `after` becomes the
  // last one's name. True: there is more.
  virtual bool next_clusters(std::string& after, const std::function<void(const ClusterView&)>& visit) const = 0;
  void for_each_cluster(const std::function<void(const ClusterView&)>& visit) const {
    std::string after;
    while (next_clusters(after, visit)) continue;
  }
  // Names of clusters that wait for the first answers of name servers.
  virtual void for_each_warming(const std::function<void(std::string_view)>& /*visit*/) const {}
  virtual void for_each_listener(const std::function<void(const ListenerView&)>& visit) const = 0;
  virtual void for_each_transport(const std::function<void(const filter::TransportSocket&)>& /*visit*/) const {}

  virtual const runtime::Layers& runtime() const = 0;
  // Overrides of runtime values: key and text, an empty text removes one. False: there is no admin layer.
  virtual bool modify_runtime(const std::vector<std::pair<std::string, std::string>>& texts) = 0;

  // The process ends without draining, as published; returns at once and destroys nothing: the answer is still to be
  // sent.
  virtual void shutdown() = 0;
  // Listeners accept no more; `graceful`: only after the drain time, over which connections are told to end
  // (`keep_accepting`: not even then). `inbound_only`: those with traffic_direction INBOUND.
  virtual void drain_listeners(bool graceful, bool keep_accepting, bool inbound_only) = 0;
  virtual void fail_health_check(bool fail) = 0;
  virtual void reopen_logs() = 0;
  // A profile of CPU time begins; nothing if one is being taken. An invalid argument: it is not configured.
  virtual Status start_cpu_profile() { return unavailable("not built in"); }
  // It ends. What comes back writes it, once, beside the lanes; empty: there is none.
  virtual std::function<Status()> stop_cpu_profile() { return nullptr; }
};

}  // namespace weir::admin
