// The `cors` of virtual hosts and route actions, from before filters had per-route configurations of their own.
#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/map.h>

#include <string>

namespace envoy::config::route::v3 {
class CorsPolicy;
}

namespace weir::config {

inline constexpr const char* kCorsFilter = "envoy.filters.http.cors";

// The same policy as the per-route configuration of that filter.
google::protobuf::Any to_filter_policy(const envoy::config::route::v3::CorsPolicy& message);

// Under which name a typed_per_filter_config says something to that filter; empty: it does not.
std::string name_of_cors_policy(const google::protobuf::Map<std::string, google::protobuf::Any>& configs);

}  // namespace weir::config
