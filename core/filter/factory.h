// What a plugin is handed while its configuration is built, on main. Narrow on purpose: services are interfaces that
// live here and are implemented further up.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/message_path.h"
#include "core/base/status.h"
#include "core/event/slot.h"
#include "core/filter/http_filter.h"
#include "core/stats/lease.h"
#include "core/stats/store.h"

namespace google::protobuf {
class Message;
class Any;
}  // namespace google::protobuf

namespace weir::filter {

class ConfigTranslator;
class Registry;
class FactoryScope;

// A place for a plugin whose type no plugin of this build has.
struct UnknownPlugin {
  std::string_view kind;  // "HTTP filter"
  std::string_view name;  // as configured
  bool optional = false;  // its own is_optional
  bool may_skip = true;   // false: nothing works without it (the last filter of a chain)
};

// Where findings about a configuration go, and the questions that need reflection. Paths are complete
// ("static_resources.listeners[0].name"). Fields that are set and not implemented are reported before a factory sees
// its message (api/README.md, the table of fields): it reads what it implements, and need not look at the others.
class ConfigReport {
 public:
  virtual ~ConfigReport() = default;
  virtual void error(const std::string& path, const std::string& message) = 0;
  virtual void warning(const std::string& path, const std::string& message) = 0;
  // As error(): something that weir has not got. Reported even where it may follow from another error.
  virtual void unsupported(const std::string& path, const std::string& message) { error(path, message); }
  virtual size_t errors() const = 0;
  // The message inside, its fields held against the table of what is implemented; nullptr after an error was reported
  // (unknown type, bad bytes, empty).
  virtual std::unique_ptr<google::protobuf::Message> unpack(const google::protobuf::Any& any,
                                                            const std::string& path) = 0;
  // The content of an envoy.config.core.v3.DataSource: text, a file, a variable of the environment; nullopt after an
  // error was reported. When a file in its watched_directory changes, the configuration is built again. May be a
  // secret: keep it out of messages.
  virtual std::optional<std::string> read_source(const google::protobuf::Message& source, const std::string& path,
                                                 size_t max_bytes);
  // A file was read that may be replaced, itself or a directory that its name leads through: then the configuration is
  // built again.
  virtual void watch_file(const std::string& file) { static_cast<void>(file); }
  // The envoy.extensions.transport_sockets.tls.v3.Secret that an SdsSecretConfig names, and where it stands: what is
  // wrong with it is reported there. Null after an error was reported. `kind`: the number of the field of its oneof
  // that is wanted; one of another kind is found if it alone has the name.
  struct FoundSecret {
    std::shared_ptr<const google::protobuf::Message> secret;
    ConfigReport* report = nullptr;
    std::string path;
  };
  virtual FoundSecret find_secret(const google::protobuf::Message& sds_secret_config, int kind,
                                  const std::string& path);
  // Files are read once more that the configuration in force names: of one that cannot be used now its reader may go on
  // with what it read before. It reports the errors, and then that it has made up for them: `since` them, with what was
  // read then, of which `sources` is the digest.
  virtual bool may_keep() const { return false; }
  struct Mark {
    size_t errors;
    uint64_t sources;
  };
  Mark mark() const { return {errors(), sources_digest()}; }
  virtual void made_up(const Mark& since, uint64_t sources) {
    static_cast<void>(since);
    static_cast<void>(sources);
  }
  // A digest of what was read so far (config::SourcesRead).
  virtual uint64_t sources_digest() const { return 0; }
  // Reports a plugin that this build does not have: as a warning if the place is to be left out, for it is optional or
  // the command line says so, which is true then; as an error otherwise. A plugin that may authorise is never left out.
  virtual bool skip_unknown(const UnknownPlugin& plugin, const google::protobuf::Any& config,
                            const std::string& path) = 0;
  // Compiles messages that many plugins hold (config_translator.h); faults come back here.
  virtual ConfigTranslator& translator() = 0;
};

// Of a report that has no access to files: tests, resources that are only looked at.
inline std::optional<std::string> ConfigReport::read_source(const google::protobuf::Message&, const std::string& path,
                                                            size_t) {
  error(path, "files and variables cannot be read here");
  return std::nullopt;
}

inline ConfigReport::FoundSecret ConfigReport::find_secret(const google::protobuf::Message&, int,
                                                           const std::string& path) {
  error(path, "there are no secrets here");
  return {};
}

enum class TransportSide : uint8_t { kDownstream, kUpstream };

// Turns route configuration (inline or subscribed) into the slot that holds its table, and names of clusters into
// theirs.
class RouteProvider {
 public:
  virtual ~RouteProvider() = default;
  // `config`: an envoy.config.route.v3.RouteConfiguration. Errors go to the scope's report. The table is there for as
  // long as somebody has `use`.
  struct TableSlot {
    event::SlotId id;
    std::shared_ptr<const void> use;
  };
  virtual TableSlot route_table(const google::protobuf::Message& config, FactoryScope& scope) = 0;
  // Shows the upstream::Cluster of that name; nothing while there is none.
  virtual event::SlotId cluster(std::string_view /*name*/) { return {}; }
  // Connections or requests may name any cluster: whoever it is waits, like who names one, for clusters that are new.
  virtual void may_lead_anywhere() {}
  // As statistics call the cluster (alt_stat_name).
  virtual std::string cluster_stat_name(std::string_view name) { return std::string(name); }
  // The same for the lb::HostSet of a cluster.
  virtual event::SlotId host_set(std::string_view /*cluster*/) { return {}; }
  // The cluster of an envoy.config.core.v3.GrpcService.GoogleGrpc, which is made for it. Faults go to the scope's
  // report.
  struct GrpcTarget {
    event::SlotId cluster;
    std::string authority;
  };
  virtual GrpcTarget google_grpc(const google::protobuf::Message& target, FactoryScope& scope);
  // What statistics of the connection manager begin with whose routes are read: "http.ingress.". Empty: of none.
  virtual std::string manager_stat_prefix() { return {}; }
  // A filter resolves names in the cache that this DnsCacheConfig is about, which it has in common with a cluster: the
  // name of the cache, empty if there is none such or it says something else there, which is reported.
  virtual std::string dns_cache(const google::protobuf::Message& /*config*/, FactoryScope& scope);
  // Makes a transport socket of an envoy.config.core.v3.TransportSocket, and the slot that shows it
  // (filter::DownstreamTransport or UpstreamTransport): of a chain of the listener that is read, where `name` is the
  // chain's key, or of `cluster`, where it tells it from the others. None: bytes are what they are, or there were
  // errors, all reported.
  virtual std::optional<event::SlotId> transport_socket(const google::protobuf::Message& config, TransportSide side,
                                                        std::string_view cluster, const std::string& name,
                                                        FactoryScope& scope);
};

// What this process calls itself (Bootstrap.node).
struct LocalNode {
  std::string id;
  std::string cluster;
};

// [main] Errors of a plugin are reported with the field's path below the plugin's own message:
// scope.error("stat_prefix", "must not be empty"). A factory may report several and go on; what it returns is used only
// if there were none.
class FactoryScope {
 public:
  FactoryScope(const Registry& registry, stats::Store& store, RouteProvider& routes, ConfigReport& report,
               std::string path)
      : registry_(registry), store_(store), routes_(routes), report_(report), path_(std::move(path)) {}

  const Registry& registry() const { return registry_; }
  stats::Store& store() { return store_; }
  RouteProvider& routes() { return routes_; }
  ConfigReport& report() { return report_; }
  ConfigTranslator& translator() { return report_.translator(); }
  const std::string& path() const { return path_; }

  // The place of a field below this scope's message; of the message itself if `field` is empty.
  std::string at(std::string_view field) const {
    if (field.empty()) return path_;
    return path_.empty() ? std::string(field) : path_ + "." + std::string(field);
  }
  void error(std::string_view field, const std::string& message) { report_.error(at(field), message); }
  // What a plugin's factory makes of its message in this place. nullopt: nothing, which is reported, unless the factory
  // has said itself what is wrong. Statistics that the factory asks the store for live as long as what it returns; if
  // that is no shared pointer (transport sockets), as long as what is built around it, or for ever.
  template <class T>
  std::optional<T> made_by(const std::function<Result<T>(const google::protobuf::Message&, FactoryScope&)>& factory,
                           const google::protobuf::Message& message) {
    const size_t errors = report_.errors();
    stats::Lease lease;
    std::optional<stats::Noting> noting;
    if constexpr (stats::kMayHoldLease<T>) noting.emplace(store_, &lease);
    Result<T> made = factory(message, *this);
    noting.reset();
    if (made.ok()) return stats::with_lease(std::move(*made), std::move(lease));
    if (report_.errors() == errors) error({}, std::string(made.status().message()));
    return std::nullopt;
  }
  void warning(std::string_view field, const std::string& message) { report_.warning(at(field), message); }
  // The content of the DataSource in this field.
  std::optional<std::string> read_source(const google::protobuf::Message& source, std::string_view field,
                                         size_t max_bytes) {
    return report_.read_source(source, at(field), max_bytes);
  }
  // The same services for a message further down.
  FactoryScope below(std::string_view field) const {
    FactoryScope scope = *this;
    scope.path_ = at(field);
    return scope;
  }

  // The same for an entry of a map, or of a list.
  FactoryScope below(std::string_view field, std::string_view key) const {
    FactoryScope scope = below(field);
    append_path_name(scope.path_, key);
    return scope;
  }
  FactoryScope below(std::string_view field, int index) const {
    FactoryScope scope = below(field);
    append_path_item(scope.path_, static_cast<size_t>(index));
    return scope;
  }

  // A counter named under the prefix of whatever owns the plugin: "http.ingress." + name.
  stats::Counter counter(std::string_view name) { return store_.counter(prefix_ + std::string(name)); }
  const std::string& stat_prefix() const { return prefix_; }
  void set_stat_prefix(std::string prefix) { prefix_ = std::move(prefix); }
  // Tells the filter chain that the plugin is part of from the others of its listener, also when others come and go.
  const std::string& chain_key() const { return chain_key_; }
  void set_chain_key(std::string key) { chain_key_ = std::move(key); }
  // What all of the chain says but for its routes: connections of another version keep the routes that go with it.
  uint64_t chain_version() const { return chain_version_; }
  void set_chain_version(uint64_t version) { chain_version_ = version; }
  // The same services for what stands elsewhere.
  FactoryScope elsewhere(ConfigReport& report, std::string path) const {
    FactoryScope scope(registry_, store_, routes_, report, std::move(path));
    scope.copy_owner(*this);
    return scope;
  }
  // As the listener or cluster is called in statistics: "0.0.0.0_443".
  const std::string& stat_owner() const { return stat_owner_; }
  void set_stat_owner(std::string owner) { stat_owner_ = std::move(owner); }
  // Of a chain's transport socket: what serves the connections speaks no HTTP but HTTP/1.
  bool serves_http1_alone() const { return http1_alone_; }
  void set_serves_http1_alone(bool alone) { http1_alone_ = alone; }
  // Of the entry that the plugin is in: the name that routes and metadata know it by. Empty: it has none.
  const std::string& plugin_name() const { return plugin_name_; }
  void set_plugin_name(std::string name) { plugin_name_ = std::move(name); }
  // Lives as long as the configuration is built.
  const LocalNode& node() const { return *node_; }
  void set_node(const LocalNode& node) { node_ = &node; }
  // per_connection_buffer_limit_bytes of the listener that the plugin serves.
  uint32_t buffer_limit() const { return buffer_limit_; }
  void set_buffer_limit(uint32_t bytes) { buffer_limit_ = bytes; }

 private:
  void copy_owner(const FactoryScope& other) {
    prefix_ = other.prefix_;
    chain_key_ = other.chain_key_;
    chain_version_ = other.chain_version_;
    stat_owner_ = other.stat_owner_;
    buffer_limit_ = other.buffer_limit_;
    http1_alone_ = other.http1_alone_;
    node_ = other.node_;
  }

  const Registry& registry_;
  stats::Store& store_;
  RouteProvider& routes_;
  ConfigReport& report_;
  std::string path_;
  std::string prefix_;
  std::string chain_key_;
  uint64_t chain_version_ = 0;
  std::string stat_owner_;
  std::string plugin_name_;
  uint32_t buffer_limit_ = 1024 * 1024;
  bool http1_alone_ = false;
  inline static const LocalNode kNoNode{};
  const LocalNode* node_ = &kNoNode;
};

inline std::string RouteProvider::dns_cache(const google::protobuf::Message&, FactoryScope& scope) {
  scope.error({}, "there are no caches of names here");
  return {};
}

inline RouteProvider::GrpcTarget RouteProvider::google_grpc(const google::protobuf::Message&, FactoryScope& scope) {
  scope.error({}, "no clusters are made here; use envoy_grpc");
  return {};
}

inline std::optional<event::SlotId> RouteProvider::transport_socket(const google::protobuf::Message&, TransportSide,
                                                                    std::string_view, const std::string&,
                                                                    FactoryScope& scope) {
  scope.error({}, "there are no transport sockets here");
  return std::nullopt;
}

}  // namespace weir::filter
