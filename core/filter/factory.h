// What a plugin is handed while its configuration is built, on main. Narrow on purpose: services are interfaces that
// live here and are implemented further up.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/event/slot.h"
#include "core/filter/http_filter.h"
#include "core/stats/store.h"

namespace google::protobuf {
class Message;
class Any;
}  // namespace google::protobuf

namespace weir::filter {

class ConfigTranslator;
class Registry;
class FactoryScope;

// Where findings about a configuration go, and the questions that need reflection. Paths are complete
// ("static_resources.listeners[0].name").
class ConfigReport {
 public:
  virtual ~ConfigReport() = default;
  virtual void error(const std::string& path, const std::string& message) = 0;
  virtual void warning(const std::string& path, const std::string& message) = 0;
  // Every field of `message` that is set and in neither list is an error ("not supported by weir yet"); those of
  // `accepted` are a warning, for ignoring them changes neither routing nor security, limits or timing.
  virtual void check_fields(const google::protobuf::Message& message, const std::string& path,
                            std::initializer_list<std::string_view> implemented,
                            std::initializer_list<std::string_view> accepted) = 0;
  // The message inside; nullptr after an error was reported (unknown type, bad bytes, empty).
  virtual std::unique_ptr<google::protobuf::Message> unpack(const google::protobuf::Any& any,
                                                            const std::string& path) = 0;
  virtual size_t errors() const = 0;
  // Compiles messages that many plugins hold (config_translator.h); faults come back here.
  virtual ConfigTranslator& translator() = 0;
};

// Turns route configuration (inline or subscribed) into the slot that holds its table.
class RouteProvider {
 public:
  virtual ~RouteProvider() = default;
  // `config`: an envoy.config.route.v3.RouteConfiguration. Errors go to the scope's report.
  virtual event::SlotId route_table(const google::protobuf::Message& config, FactoryScope& scope) = 0;
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
  void warning(std::string_view field, const std::string& message) { report_.warning(at(field), message); }
  void check_fields(const google::protobuf::Message& message, std::initializer_list<std::string_view> implemented,
                    std::initializer_list<std::string_view> accepted = {}) {
    report_.check_fields(message, path_, implemented, accepted);
  }
  // The same services for a message further down.
  FactoryScope below(std::string_view field) const {
    FactoryScope scope = *this;
    scope.path_ = at(field);
    return scope;
  }

  // A counter named under the prefix of whatever owns the plugin: "http.ingress." + name.
  stats::Counter counter(std::string_view name) { return store_.counter(prefix_ + std::string(name)); }
  const std::string& stat_prefix() const { return prefix_; }
  void set_stat_prefix(std::string prefix) { prefix_ = std::move(prefix); }
  // per_connection_buffer_limit_bytes of the listener that the plugin serves.
  uint32_t buffer_limit() const { return buffer_limit_; }
  void set_buffer_limit(uint32_t bytes) { buffer_limit_ = bytes; }

 private:
  const Registry& registry_;
  stats::Store& store_;
  RouteProvider& routes_;
  ConfigReport& report_;
  std::string path_;
  std::string prefix_;
  uint32_t buffer_limit_ = 1024 * 1024;
};

}  // namespace weir::filter
