#include "core/config/route_cors.h"

#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"

namespace weir::config {

namespace cors_v3 = envoy::extensions::filters::http::cors::v3;
namespace route_v3 = envoy::config::route::v3;

google::protobuf::Any to_filter_policy(const route_v3::CorsPolicy& message) {
  cors_v3::CorsPolicy policy;
  *policy.mutable_allow_origin_string_match() = message.allow_origin_string_match();
  policy.set_allow_methods(message.allow_methods());
  policy.set_allow_headers(message.allow_headers());
  policy.set_expose_headers(message.expose_headers());
  policy.set_max_age(message.max_age());
  if (message.has_allow_credentials()) *policy.mutable_allow_credentials() = message.allow_credentials();
  if (message.has_filter_enabled()) *policy.mutable_filter_enabled() = message.filter_enabled();
  if (message.has_shadow_enabled()) *policy.mutable_shadow_enabled() = message.shadow_enabled();
  if (message.has_allow_private_network_access())
    *policy.mutable_allow_private_network_access() = message.allow_private_network_access();
  if (message.has_forward_not_matching_preflights())
    *policy.mutable_forward_not_matching_preflights() = message.forward_not_matching_preflights();
  google::protobuf::Any any;
  any.PackFrom(policy);
  return any;
}

std::string name_of_cors_policy(const google::protobuf::Map<std::string, google::protobuf::Any>& configs) {
  for (const auto& [name, any] : configs) {
    route_v3::FilterConfig wrapper;
    if (name == kCorsFilter || any.Is<cors_v3::CorsPolicy>() ||
        (any.Is<route_v3::FilterConfig>() && any.UnpackTo(&wrapper) && wrapper.config().Is<cors_v3::CorsPolicy>())) {
      return name;
    }
  }
  return {};
}

}  // namespace weir::config
