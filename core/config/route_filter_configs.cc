#include "core/config/route_filter_configs.h"

#include <map>
#include <memory>
#include <utility>

#include "core/config/path_report.h"
#include "core/config/rate_limit_config.h"
#include "core/config/route_cors.h"
#include "core/config/suggest.h"
#include "core/filter/route_rate_limits.h"
#include "envoy/config/route/v3/route_components.pb.h"

namespace weir::config {

namespace route_v3 = envoy::config::route::v3;

RouteFilterConfigs::Below::Below(RouteFilterConfigs& configs, const Typed& typed)
    : configs_(configs), before_(configs.cors_above_) {
  if (before_.empty()) configs_.cors_above_ = name_of_cors_policy(typed);
}

RouteFilterConfigs::Specs RouteFilterConfigs::read(const Typed& typed) {
  Specs specs;
  if (typed.empty()) return specs;
  FieldPath::Step field(path_, "typed_per_filter_config");
  // The order of a protobuf map is not defined, that of errors should be.
  std::map<std::string_view, const google::protobuf::Any*> sorted;
  for (const auto& [name, any] : typed) sorted.emplace(name, &any);
  for (const auto& [name, any] : sorted) {
    FieldPath::Step step(path_, name);
    read_one(name, *any, specs);
  }
  return specs;
}

void RouteFilterConfigs::read_one(std::string_view name, const google::protobuf::Any& any, Specs& specs) {
  route::FilterConfigSpec spec;
  spec.filter_id = env_.filter_id(name);
  if (!any.Is<route_v3::FilterConfig>()) {
    if (parse(name, any, false, spec) && spec.config != nullptr) specs.push_back(std::move(spec));
    return;
  }
  route_v3::FilterConfig wrapper;
  if (!any.UnpackTo(&wrapper)) {
    path_.error("cannot be read as a FilterConfig");
    return;
  }
  spec.disabled = wrapper.disabled();
  if (!wrapper.has_config() && !wrapper.disabled()) {
    path_.error("needs config or disabled: true; config: {} switches the filter on and configures nothing");
    return;
  }
  // As control planes write it: nothing is configured by "config: {}".
  if (wrapper.has_config() && wrapper.config().ByteSizeLong() > 0) {
    FieldPath::Step step(path_, "config");
    if (!parse(name, wrapper.config(), wrapper.is_optional(), spec)) return;
  }
  // As published, what a wrapper configures that switches the filter off is ignored: also where a route below switches
  // it on again.
  if (wrapper.disabled()) spec.config = nullptr;
  specs.push_back(std::move(spec));
}

bool RouteFilterConfigs::parse(std::string_view name, const google::protobuf::Any& any, bool optional,
                               route::FilterConfigSpec& spec) {
  if (env_.parse_filter_config(name, any, optional, path_.text(), spec, path_.diagnostics())) return true;
  path_.count_error();
  return false;
}

void RouteFilterConfigs::read_cors(const route_v3::CorsPolicy& message, const Typed& typed, Specs& out) {
  FieldPath::Step step(path_, "cors");
  std::string name = name_of_cors_policy(typed);
  if (name.empty()) name = cors_above_;
  path_.warning_at({}, name.empty() ? std::string("is deprecated; typed_per_filter_config takes the same under ") +
                                          kCorsFilter + ", as an envoy.extensions.filters.http.cors.v3.CorsPolicy"
                                    : "has no effect: typed_per_filter_config says under " + in_quotes(name) +
                                          " what the filter is to do here; remove this one, which is deprecated");
  Specs made;
  read_one(kCorsFilter, to_filter_policy(message), made);
  if (!name.empty()) return;  // its mistakes are told all the same
  for (route::FilterConfigSpec& one : made) {
    one.filter_id = filter::kRouteCors.filter_id;
    one.kind = filter::kRouteCors.kind;
    out.push_back(std::move(one));
  }
}

void RouteFilterConfigs::read_rate_limits(const google::protobuf::RepeatedPtrField<route_v3::RateLimit>& messages,
                                          bool of_virtual_host, bool include_virtual_host, Specs& out) {
  if (messages.empty() && !include_virtual_host) return;
  PathReport shared(path_);
  auto limits = std::make_shared<match::RouteRateLimits>();
  limits->of_virtual_host = of_virtual_host;
  limits->include_virtual_host = include_virtual_host;
  limits->limits = translate(messages, shared.at().below("rate_limits"));
  out.push_back({filter::kRouteRateLimits.filter_id, false, std::move(limits), filter::kRouteRateLimits.kind});
}

}  // namespace weir::config
