// What routes say about the HTTP filters of their own listener (typed_per_filter_config), held against those filters.
// Only tables inside of a listener are: one that comes over RDS may serve listeners with other filters.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/diagnostics.h"

namespace google::protobuf {
class Any;
}
namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}
namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class HttpConnectionManager;
}

namespace weir::config {

class RouteFilters {
 public:
  explicit RouteFilters(
      const envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager& manager);

  // Those of its clusters (HttpProtocolOptions.http_filters), which routes of any listener may mean.
  explicit RouteFilters(const envoy::config::bootstrap::v3::Bootstrap& bootstrap);

  struct Fault {
    Severity severity;
    std::string message;
    std::string found;
  };
  // What is wrong with `config`, said under the name of a filter. A filter is handed what a message of its own package
  // became, and casts it: a message of another filter is an error, and never reaches it.
  std::optional<Fault> check(std::string_view name, const google::protobuf::Any& config) const;
  bool has_filter(std::string_view name) const;
  // There is a filter whose messages are declared beside `route_type`.
  bool has_filter_for(std::string_view route_type) const;

 private:
  struct Filter {
    std::string name;
    std::string type;  // of its configuration; empty if it has none that is known here
  };
  template <class Chain>
  void add(const Chain& chain);
  // The filter that a per-route message of this type is for, if it is the only one; nullptr otherwise.
  const Filter* filter_of(std::string_view route_type) const;

  std::vector<Filter> filters_;    // of all chains: that of the connection manager and those of upgrades
  std::vector<std::string> last_;  // the names of those that end one
};

}  // namespace weir::config
