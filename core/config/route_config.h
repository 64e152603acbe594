// From envoy.config.route.v3.RouteConfiguration to the plain data that core/route compiles. Every fault is reported,
// each with its path. Fields that weir does not implement are reported before (Report::check). [main]
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/config/data_source.h"
#include "core/config/diagnostics.h"
#include "core/config/position_index.h"
#include "core/event/slot.h"
#include "core/route/route_table.h"
#include "core/route/spec.h"

namespace google::protobuf {
class Any;
}
namespace google::protobuf {
template <typename Element>
class RepeatedPtrField;
}
namespace envoy::config::route::v3 {
class RouteConfiguration;
}
namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class HttpFilter;
}

namespace weir::filter {
class HttpChainConfig;
}

namespace weir::config {

// What a translation needs to know of the rest of the configuration. Implemented by the server.
class RouteConfigEnv {
 public:
  virtual ~RouteConfigEnv() = default;

  // Where the fields stand in their file. The default knows no file.
  virtual const PositionIndex& positions() const;
  // If the message does not say validate_clusters: true for a table inside a listener, false for one that came over
  // RDS.
  virtual bool validate_clusters_by_default() const = 0;
  // Is there such a cluster? If not, `hint` may become what to do about it: which one was probably meant.
  virtual bool has_cluster(std::string_view name, std::string& hint) = 0;
  // Whether a cluster of the configuration has http_filters, which copies of requests do not pass.
  virtual bool has_http_filters(std::string_view /*cluster*/) { return false; }
  // Where routes and virtual clusters are counted; null: nowhere.
  virtual stats::Store* stats_store() { return nullptr; }
  // The slot of a cluster, also of one that comes later. Asked once per name of a table.
  virtual event::SlotId cluster_slot(std::string_view name) = 0;
  // Requests of the table may name any cluster.
  virtual void may_lead_anywhere() {}

  // The field http_filters of a cluster's options, which are at `path`; null: there was a fault, which is reported.
  using HttpFilters =
      google::protobuf::RepeatedPtrField<envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter>;
  virtual std::shared_ptr<const filter::HttpChainConfig> upstream_filters(const HttpFilters& /*messages*/,
                                                                          const std::string& /*path*/) {
    return nullptr;
  }
  // The interned name of an HTTP filter: the key of typed_per_filter_config.
  virtual uint32_t filter_id(std::string_view filter_name) = 0;
  // Builds what the filter makes of its per-route message: `config` and `kind` of `spec`. Reports faults below `path`
  // and returns false. True with a null `config`: nothing for this filter (an `optional` message of an unknown type).
  virtual bool parse_filter_config(std::string_view filter_name, const google::protobuf::Any& message, bool optional,
                                   std::string_view path, route::FilterConfigSpec& spec, Diagnostics& diagnostics) = 0;
  // The content of a direct response. Reports faults below `path` and returns nullopt. The default reads the source and
  // remembers nothing.
  virtual std::optional<std::string> read_source(const envoy::config::core::v3::DataSource& source,
                                                 std::string_view path, SourceLimit limit, Diagnostics& diagnostics);
};

// Fills `out`; false if there were errors, and `out` is then not to be used. `path` is that of the message:
// "static_resources.listeners[0]....route_config". What only compiling shows (regexes, formats, duplicate domains) is
// not checked here.
bool translate_route_config(const envoy::config::route::v3::RouteConfiguration& message, std::string_view path,
                            RouteConfigEnv& env, route::RouteTableSpec& out, Diagnostics& diagnostics);

// Translates and compiles; nullptr if there were errors, all of them reported.
std::unique_ptr<route::RouteTable> build_route_table(const envoy::config::route::v3::RouteConfiguration& message,
                                                     std::string_view path, RouteConfigEnv& env,
                                                     Diagnostics& diagnostics);

}  // namespace weir::config
