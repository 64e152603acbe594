#include "core/config/route_filters.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>

#include "core/config/suggest.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace weir::config {
namespace {

// Empty if there is none, and if this build does not know it: it is refused or left out, and given to no filter.
std::string known_type(const google::protobuf::Any& any) {
  const std::string& url = any.type_url();
  std::string name = url.substr(url.rfind('/') + 1);
  return google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name) != nullptr ? name : "";
}

// The messages of a filter, that of the listener and those of routes, are declared in one package, which is no other
// filter's (a test holds the plugins to it).
bool same_package(std::string_view one, std::string_view other) {
  return one.substr(0, one.rfind('.')) == other.substr(0, other.rfind('.'));
}

}  // namespace

RouteFilters::RouteFilters(
    const envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager& manager) {
  add(manager.http_filters());
  for (const auto& upgrade : manager.upgrade_configs()) add(upgrade.filters());
}

RouteFilters::RouteFilters(const envoy::config::bootstrap::v3::Bootstrap& bootstrap) {
  for (const auto& cluster : bootstrap.static_resources().clusters()) {
    for (const auto& [name, any] : cluster.typed_extension_protocol_options()) {
      envoy::extensions::upstreams::http::v3::HttpProtocolOptions options;
      if (any.Is<envoy::extensions::upstreams::http::v3::HttpProtocolOptions>() && any.UnpackTo(&options))
        add(options.http_filters());
    }
  }
}

template <class Chain>
void RouteFilters::add(const Chain& chain) {
  for (const auto& filter : chain) {
    filters_.push_back({filter.name(), known_type(filter.typed_config())});
    envoy::extensions::filters::http::router::v3::Router router;
    if (filter.typed_config().template Is<envoy::extensions::filters::http::router::v3::Router>() &&
        filter.typed_config().UnpackTo(&router))
      add(router.upstream_http_filters());
  }
  if (!chain.empty()) last_.push_back(chain[chain.size() - 1].name());
}

bool RouteFilters::has_filter(std::string_view name) const {
  return std::any_of(filters_.begin(), filters_.end(), [&](const Filter& filter) { return filter.name == name; });
}

bool RouteFilters::has_filter_for(std::string_view route_type) const {
  return std::any_of(filters_.begin(), filters_.end(), [&](const Filter& filter) {
    return !filter.type.empty() && same_package(filter.type, route_type);
  });
}

const RouteFilters::Filter* RouteFilters::filter_of(std::string_view route_type) const {
  const Filter* found = nullptr;
  for (const Filter& filter : filters_) {
    if (filter.type.empty() || !same_package(filter.type, route_type)) continue;
    if (found != nullptr && found->name != filter.name) return nullptr;
    found = &filter;
  }
  return found;
}

std::optional<RouteFilters::Fault> RouteFilters::check(std::string_view name,
                                                       const google::protobuf::Any& config) const {
  std::string type = known_type(config);
  bool disabled = false;
  envoy::config::route::v3::FilterConfig wrapper;
  if (config.Is<envoy::config::route::v3::FilterConfig>() && config.UnpackTo(&wrapper)) {
    disabled = wrapper.disabled();
    type = known_type(wrapper.config());
  }
  bool known = false;
  const Filter* other = nullptr;  // of this name, and of another package
  for (const Filter& filter : filters_) {
    if (filter.name != name) continue;
    known = true;
    if (other == nullptr && !filter.type.empty() && !type.empty() && !same_package(filter.type, type)) other = &filter;
  }
  const Filter* meant = type.empty() ? nullptr : filter_of(type);
  if (!known) {
    std::string nearest(meant != nullptr ? meant->name : "");
    if (type.empty()) {
      NearestName near(name);
      for (const Filter& filter : filters_) near.offer(filter.name);
      nearest = near.best();
    }
    return Fault{Severity::kWarning,
                 "no filter of this listener has this name, so this has no effect" +
                     (nearest.empty() ? "" : "; did you mean " + nearest + "?"),
                 shown(name)};
  }
  if (disabled && std::find(last_.begin(), last_.end(), name) != last_.end()) {
    return Fault{Severity::kError, "the last filter answers the requests and cannot be disabled", "disabled"};
  }
  if (other != nullptr) {
    return Fault{Severity::kError,
                 type + " is not for the filter of this name, which is " + other->type +
                     (meant != nullptr ? "; did you mean the name " + meant->name + "?" : ""),
                 type};
  }
  return std::nullopt;
}

}  // namespace weir::config
